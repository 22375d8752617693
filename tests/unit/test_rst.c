/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When an RST counts (RFC 7857 2.2, RFC 5961): it is always forwarded, but only
 * one in the window of its receiver changes the connection's state.
 */
#include "suite.h"
#include "tcp_lab.h"

/* Established; the client expects 1000 and accepts 500 bytes from there. */
static enum nat_state after_rst(enum end from, uint32_t seq)
{
	struct lab lab;
	enum nat_state state;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	send(&lab, from, (struct segment){ .flags = RST, .seq = seq });
	state = session(&lab).state;
	engine_free(&lab.engine);
	return state;
}

static void test_rst_window(void)
{
	for (int end = CLIENT; end <= SERVER; end++) {
		enum end from = (enum end)end;

		CU_ASSERT_EQUAL(after_rst(from, 1000), NAT_STATE_TRANS);
		CU_ASSERT_EQUAL(after_rst(from, 1500), NAT_STATE_TRANS);
		CU_ASSERT_EQUAL(after_rst(from, 1501), NAT_STATE_ESTABLISHED);
		CU_ASSERT_EQUAL(after_rst(from, 999), NAT_STATE_ESTABLISHED);
		CU_ASSERT_EQUAL(after_rst(from, 0x80001000),
				NAT_STATE_ESTABLISHED);
	}
}

static void test_rst_wraps(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	send(&lab, CLIENT,
	     (struct segment){
		     .flags = ACK, .ack = 0xffffff00, .window = 500 });
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 500 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 100 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	engine_free(&lab.engine);
}

static void test_rst_zero_window(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	send(&lab, CLIENT, (struct segment){ .flags = ACK, .ack = 1000 });
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 1001 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 1000 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	engine_free(&lab.engine);
}

/* Both offer a scale of 7; the client's window of 500 is then 64,000. */
static enum nat_state after_scaled_rst(bool server_scales, uint32_t seq)
{
	struct segment syn = { .flags = SYN, .scaled = true, .scale = 7 };
	struct segment answer = { .flags = SYN | ACK,
				  .ack = 1,
				  .scaled = server_scales,
				  .scale = 7 };
	struct lab lab;
	enum nat_state state;

	lab_make(&lab, true);
	send(&lab, CLIENT, syn);
	send(&lab, SERVER, answer);
	flags(&lab, CLIENT, ACK);
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = seq });
	state = session(&lab).state;
	engine_free(&lab.engine);
	return state;
}

static void test_rst_scaled(void)
{
	CU_ASSERT_EQUAL(after_scaled_rst(true, 1000 + 64000), NAT_STATE_TRANS);
	CU_ASSERT_EQUAL(after_scaled_rst(true, 1000 + 64001),
			NAT_STATE_ESTABLISHED);
	/* Scaling needs both (RFC 7323 2.2). */
	CU_ASSERT_EQUAL(after_scaled_rst(false, 1000 + 501),
			NAT_STATE_ESTABLISHED);
}

static void test_forged_rst(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	later(&lab, 10 * SECOND);
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 77777 });
	CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED - 10 * SECOND);
	later(&lab, 300 * SECOND);
	flags(&lab, SERVER, ACK | PSH);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	engine_free(&lab.engine);
}

static void test_data_after_rst(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_TRANS);
	later(&lab, 10 * SECOND);
	flags(&lab, CLIENT, ACK | PSH);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED);
	engine_free(&lab.engine);
}

static const struct test tests[] = {
	{ "an RST counts inside the receiver's window only", test_rst_window },
	{ "the window wraps around", test_rst_wraps },
	{ "a closed window takes the exact number only", test_rst_zero_window },
	{ "the window is scaled when both sides offered it", test_rst_scaled },
	{ "a forged RST costs an idle connection nothing", test_forged_rst },
	{ "data after an RST brings the connection back", test_data_after_rst },
};

int main(int argc, char **argv)
{
	return suite_run("rst", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
