/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probes of `portico selftest` against gateways that lie: each fault is
 * found by the probe that is about it.
 */
#include <stdlib.h>
#include <string.h>

#include "packets.h"
#include "probe_lab.h"

enum fault {
	FAULT_DEAF, /* nothing ever arrives */
	FAULT_SYMMETRIC, /* another outside port for each peer */
	FAULT_CHECKSUM,
	FAULT_PAYLOAD, /* of what goes to ports 21 and 5060 */
	FAULT_LEAK,
	FAULT_FRAGMENT_ORDER, /* a second fragment that comes first is lost */
	FAULT_ICMP, /* errors do not get in */
	FAULT_RST, /* in answer to the SYN that nobody asked for */
	FAULT_HAIRPIN_SOURCE, /* the inside address */
};

struct liar {
	struct probe_way way;
	struct probe_way *honest;
	enum fault fault;
	uint32_t first_fragment; /* identification of the last one sent */
	struct probe_packet answer;
	bool answers;
};

static struct liar *liar_of(struct probe_way *way)
{
	return (struct liar *)(void *)way;
}

/* Puts a word into the packet and keeps its checksums right. */
static void change(struct probe_packet *packet, uint32_t offset, uint16_t value)
{
	struct packet copy;
	uint8_t *l4 = packet->data + 20;
	uint32_t checksum = packet->data[9] == NAT_PROTO_TCP ? 16 : 6;

	packet_put16(packet->data + offset, value);
	memcpy(copy.data, packet->data, packet->length);
	copy.length = packet->length;
	packet_fix_ip(&copy);
	packet_put16(copy.data + 20 + checksum, 0);
	memcpy(packet->data, copy.data, packet->length);
	packet_put16(l4 + checksum,
		     (uint16_t)~packet_sum(packet_pseudo(&copy), copy.data + 20,
					   copy.length - 20));
}

static void lie_outside(enum fault fault, struct probe_packet *packet,
			const struct probe_view *view)
{
	if (fault == FAULT_CHECKSUM)
		packet->data[packet->length - 5] ^= 1;
	if (fault == FAULT_LEAK)
		change(packet, 12, PROBE_INSIDE_NET >> 16);
	if (fault == FAULT_LEAK)
		change(packet, 14, (PROBE_INSIDE_NET & 0xffff) | 10);
	if (view->proto == NAT_PROTO_ICMP)
		return;
	if (fault == FAULT_SYMMETRIC)
		change(packet, 20,
		       (uint16_t)(view->from.port + view->to.port +
				  (view->to.addr & 0xff) * 100));
	if (fault == FAULT_PAYLOAD && view->bytes &&
	    (view->to.port == 21 || view->to.port == 5060))
		change(packet, packet->length - 8, 0x2020);
}

static bool lie(const struct liar *liar, enum probe_side side,
		struct probe_packet *packet)
{
	struct probe_view view;

	if (!probe_read(packet, &view))
		return true;
	if (side == PROBE_OUTSIDE)
		lie_outside(liar->fault, packet, &view);
	if (side == PROBE_INSIDE && liar->fault == FAULT_HAIRPIN_SOURCE &&
	    view.from.addr == PROBE_UPLINK) {
		change(packet, 12, PROBE_INSIDE_NET >> 16);
		change(packet, 14, (PROBE_INSIDE_NET & 0xffff) | 10);
	}
	return !(side == PROBE_INSIDE && liar->fault == FAULT_ICMP &&
		 view.proto == NAT_PROTO_ICMP &&
		 view.type == PROBE_UNREACHABLE);
}

static bool lying_receive(struct probe_way *way, enum probe_side side,
			  struct probe_packet *packet, uint64_t wait_ms)
{
	struct liar *liar = liar_of(way);

	if (liar->answers && side == PROBE_OUTSIDE) {
		*packet = liar->answer;
		liar->answers = false;
		return true;
	}
	while (liar->honest->receive(liar->honest, side, packet, wait_ms))
		if (liar->fault != FAULT_DEAF && lie(liar, side, packet))
			return true;
	return false;
}

static int lying_send(struct probe_way *way, enum probe_side side,
		      const struct probe_packet *packet)
{
	struct liar *liar = liar_of(way);
	uint16_t id = packet_get16(packet->data + 4);
	uint16_t field = packet_get16(packet->data + 6);
	struct probe_view view;

	if (field == 0x2000)
		liar->first_fragment = id;
	if (liar->fault == FAULT_FRAGMENT_ORDER && (field & 0x1fff) &&
	    liar->first_fragment != id)
		return 0;
	if (liar->fault == FAULT_RST && probe_read(packet, &view) &&
	    view.proto == NAT_PROTO_TCP && view.flags == PROBE_SYN &&
	    side == PROBE_OUTSIDE) {
		probe_tcp(&liar->answer, view.to, view.from, 0x14, NULL, 0, 0);
		liar->answers = true;
	}
	return liar->honest->send(liar->honest, side, packet);
}

static uint64_t lying_now(struct probe_way *way)
{
	return liar_of(way)->honest->now_ms(liar_of(way)->honest);
}

static uint64_t lying_refused(struct probe_way *way)
{
	return liar_of(way)->honest->refused(liar_of(way)->honest);
}

static uint32_t lying_life(struct probe_way *way, struct probe_socket inside)
{
	(void)way;
	(void)inside;
	return 17;
}

static void lying_close(struct probe_way *way)
{
	liar_of(way)->honest->close(liar_of(way)->honest);
	free(way);
}

static struct probe_way *make_liar(const struct probe_setup *setup,
				   enum fault fault)
{
	struct liar *liar = calloc(1, sizeof(*liar));

	liar->way = (struct probe_way){ lying_send, lying_receive,
					lying_now,  lying_refused,
					lying_life, lying_close };
	liar->fault = fault;
	liar->first_fragment = UINT32_MAX;
	liar->honest = probe_engine_open(setup);
	return &liar->way;
}

/* Each fault is found by the rows that are about it. */
static void test_faults(void)
{
	static const struct {
		enum fault fault;
		const char *name;
		enum probe_status status;
	} cases[] = {
		{ FAULT_DEAF, "udp_mapping", PROBE_UNMEASURED },
		{ FAULT_DEAF, "tcp_filtering", PROBE_UNMEASURED },
		{ FAULT_DEAF, "fragments_out", PROBE_UNMEASURED },
		{ FAULT_SYMMETRIC, "udp_mapping", PROBE_FAIL },
		{ FAULT_SYMMETRIC, "tcp_mapping", PROBE_FAIL },
		{ FAULT_SYMMETRIC, "port_preservation", PROBE_FAIL },
		{ FAULT_CHECKSUM, "checksums", PROBE_FAIL },
		{ FAULT_PAYLOAD, "udp_payload", PROBE_FAIL },
		{ FAULT_PAYLOAD, "tcp_payload", PROBE_FAIL },
		{ FAULT_LEAK, "no_leak", PROBE_FAIL },
		{ FAULT_FRAGMENT_ORDER, "fragments_out", PROBE_PASS },
		{ FAULT_FRAGMENT_ORDER, "fragments_out_reversed", PROBE_FAIL },
		{ FAULT_FRAGMENT_ORDER, "fragments_in_reversed", PROBE_FAIL },
		{ FAULT_ICMP, "icmp_error", PROBE_FAIL },
		{ FAULT_RST, "unsolicited_syn", PROBE_FAIL },
		{ FAULT_HAIRPIN_SOURCE, "hairpin_source", PROBE_FAIL },
		{ FAULT_RST, "udp_lifetime_reported", PROBE_FAIL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct run *run = open_run("{}");
		enum probe_status status;

		probe_by(run, make_liar(&run->setup, cases[i].fault));
		status = status_of(run, cases[i].name);
		CU_ASSERT_EQUAL(status, cases[i].status);
		CU_ASSERT_FALSE(run->verdict.good);
		if (status != cases[i].status) {
			printf("fault %d:\n", (int)cases[i].fault);
			print_rows(run);
		}
		close_run(run);
	}
}

static const struct test tests[] = {
	{ "faulty gateways are found out", test_faults },
};

int main(int argc, char **argv)
{
	return probe_lab_run("probe_faults", tests,
			     sizeof(tests) / sizeof(tests[0]), argc, argv);
}
