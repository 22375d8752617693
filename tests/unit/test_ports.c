/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Port choice (RFC 4787 REQ-3, 3a, 4; RFC 6056).
 */
#include "nat/ports.h"

#include <string.h>

#include "suite.h"

struct lab {
	struct nat_ports ports;
	struct nat_random random;
};

static void allow(struct lab *lab, uint32_t first, uint32_t last,
		  uint32_t low_first, uint32_t low_last)
{
	struct nat_portset allowed = { 0 }, low_only = { 0 };

	for (uint32_t port = first; port <= last; port++)
		nat_portset_add(&allowed, (uint16_t)port);
	for (uint32_t port = low_first; port <= low_last; port++) {
		nat_portset_add(&allowed, (uint16_t)port);
		nat_portset_add(&low_only, (uint16_t)port);
	}
	nat_ports_allow(&lab->ports, &allowed, &low_only);
}

/* Pool first..last, 512-1023 for low inside ports. */
static void make(struct lab *lab, uint32_t first, uint32_t last)
{
	memset(lab, 0, sizeof(*lab));
	lab->random.key = (struct nat_siphash_key){ 1, 2 };
	allow(lab, first, last, 512, 1023);
}

static int32_t choose(struct lab *lab, uint16_t wanted)
{
	return nat_ports_choose(&lab->ports, &lab->random, wanted, true);
}

static int32_t take(struct lab *lab, uint16_t wanted)
{
	int32_t port = choose(lab, wanted);

	if (port >= 0)
		nat_ports_take(&lab->ports, (uint16_t)port);
	return port;
}

static void test_preserved(void)
{
	struct lab lab;

	make(&lab, 1024, 65535);
	CU_ASSERT_EQUAL(choose(&lab, 5000), 5000);
	CU_ASSERT_EQUAL(choose(&lab, 1024), 1024);
	CU_ASSERT_EQUAL(choose(&lab, 65535), 65535);
	CU_ASSERT_EQUAL(choose(&lab, 512), 512);
	CU_ASSERT_EQUAL(choose(&lab, 1023), 1023);
}

static void test_parity(void)
{
	struct lab lab;

	make(&lab, 1024, 65535);
	for (int i = 0; i < 200; i++) {
		CU_ASSERT_EQUAL(take(&lab, 5000) % 2, 0);
		CU_ASSERT_EQUAL(take(&lab, 5001) % 2, 1);
		CU_ASSERT_EQUAL(take(&lab, 700) % 2, 0);
	}
}

static void test_parity_gives_way(void)
{
	struct lab lab;
	int odd = 0;

	make(&lab, 5000, 5009);
	for (int i = 0; i < 10; i++) {
		int32_t port = take(&lab, 5000);

		CU_ASSERT_TRUE(port >= 5000 && port <= 5009);
		odd += port % 2;
		/* The five even ones first. */
		CU_ASSERT_TRUE(i >= 5 || port % 2 == 0);
	}
	CU_ASSERT_EQUAL(odd, 5);
	CU_ASSERT_EQUAL(take(&lab, 5000), -1);
}

static void test_without_parity(void)
{
	struct lab lab;
	int odd = 0;

	make(&lab, 1024, 65535);
	nat_ports_take(&lab.ports, 5000);
	for (int i = 0; i < 100; i++)
		odd += nat_ports_choose(&lab.ports, &lab.random, 5000, false) %
		       2;
	CU_ASSERT_TRUE(odd > 20 && odd < 80);
}

static void test_halves(void)
{
	struct lab lab;

	make(&lab, 1024, 65535);
	/* All 512 low ports, then the other half serves. */
	for (int i = 0; i < 512; i++) {
		int32_t port = take(&lab, (uint16_t)(i + 100));

		CU_ASSERT_TRUE(port >= 512 && port < 1024);
	}
	CU_ASSERT_TRUE(take(&lab, 100) >= 1024);
	for (int i = 0; i < 100; i++)
		CU_ASSERT_TRUE(take(&lab, 5000) >= 1024);
}

static void test_low_only(void)
{
	struct lab lab;

	make(&lab, 2000, 2001);
	CU_ASSERT_EQUAL(take(&lab, 2000), 2000);
	CU_ASSERT_EQUAL(take(&lab, 2000), 2001);
	/* 512 ports are free, but not for a high inside port. */
	CU_ASSERT_EQUAL(take(&lab, 2000), -1);
	CU_ASSERT_TRUE(take(&lab, 80) >= 512);
}

static void test_low_for_all(void)
{
	struct lab lab;

	make(&lab, 2000, 2000);
	allow(&lab, 600, 601, 1, 0);
	/* The operator gave low ports to everyone. */
	CU_ASSERT_TRUE(take(&lab, 2000) >= 600);
	CU_ASSERT_TRUE(take(&lab, 2000) >= 600);
	CU_ASSERT_EQUAL(take(&lab, 2000), -1);
}

static void test_port_0(void)
{
	struct lab lab;

	make(&lab, 0, 1);
	CU_ASSERT_FALSE(nat_ports_allowed(&lab.ports, 0));
	allow(&lab, 0, 1, 1, 0);
	CU_ASSERT_EQUAL(take(&lab, 0), 1);
	CU_ASSERT_EQUAL(take(&lab, 0), -1);
}

static void test_bound(void)
{
	struct lab lab;
	struct nat_portset bound = { 0 };

	make(&lab, 5000, 5003);
	nat_portset_add(&bound, 5000);
	nat_portset_add(&bound, 5002);
	nat_portset_add(&bound, 80); /* not in the pool */
	nat_ports_bind(&lab.ports, &bound);
	CU_ASSERT_FALSE(nat_ports_usable(&lab.ports, 5000));
	CU_ASSERT_TRUE(nat_ports_usable(&lab.ports, 5001));
	CU_ASSERT_EQUAL(lab.ports.free, 512 + 2);
	CU_ASSERT_EQUAL(take(&lab, 5001), 5001);
	CU_ASSERT_EQUAL(take(&lab, 5000), 5003);
	CU_ASSERT_EQUAL(take(&lab, 5000), -1);
	nat_portset_remove(&bound, 5002);
	nat_ports_bind(&lab.ports, &bound);
	CU_ASSERT_EQUAL(take(&lab, 5000), 5002);
}

static void test_last_free(void)
{
	struct lab lab;

	/* One free port among 64,511, wherever it is: found with certainty. */
	make(&lab, 1024, 65535);
	for (uint32_t port = 1024; port < NAT_PORTS; port++)
		nat_ports_take(&lab.ports, (uint16_t)port);
	for (uint32_t port = 1024; port < NAT_PORTS; port += 997) {
		nat_ports_release(&lab.ports, (uint16_t)port);
		CU_ASSERT_EQUAL(choose(&lab, 5000), (int32_t)port);
		CU_ASSERT_EQUAL(choose(&lab, 5001), (int32_t)port);
		nat_ports_take(&lab.ports, (uint16_t)port);
	}
	CU_ASSERT_EQUAL(choose(&lab, 5000), -1);
}

static void test_counting(void)
{
	struct lab lab;

	make(&lab, 5000, 5009);
	CU_ASSERT_EQUAL(lab.ports.free, 522);
	nat_ports_take(&lab.ports, 5000);
	nat_ports_take(&lab.ports, 5000);
	nat_ports_take(&lab.ports, 80); /* a forward outside the pool */
	CU_ASSERT_EQUAL(lab.ports.free, 521);
	CU_ASSERT_TRUE(nat_ports_taken(&lab.ports, 80));
	nat_ports_release(&lab.ports, 5000);
	nat_ports_release(&lab.ports, 5000);
	nat_ports_release(&lab.ports, 80);
	CU_ASSERT_EQUAL(lab.ports.free, 522);
	CU_ASSERT_EQUAL(nat_ports_count_free(&lab.ports), 522);
}

static void test_pool_changes(void)
{
	struct lab lab;

	make(&lab, 5000, 5009);
	nat_ports_take(&lab.ports, 5000);
	nat_ports_take(&lab.ports, 5009);
	allow(&lab, 5005, 5014, 512, 1023);
	CU_ASSERT_EQUAL(lab.ports.free, 512 + 9);
	CU_ASSERT_TRUE(nat_ports_taken(&lab.ports, 5000));
	CU_ASSERT_FALSE(nat_ports_allowed(&lab.ports, 5000));
	nat_ports_release(&lab.ports, 5000);
	CU_ASSERT_EQUAL(lab.ports.free, 512 + 9);
	CU_ASSERT_NOT_EQUAL(choose(&lab, 5000), 5000);
}

static void test_unpredictable(void)
{
	struct lab lab;
	uint32_t boxes[16] = { 0 }, runs = 0;
	int32_t last = -2;

	make(&lab, 1024, 65535);
	nat_ports_take(&lab.ports, 5000);
	/* 1,000 collisions on one inside port: no consecutive ports, and every
	 * sixteenth of the range near its share of 62. */
	for (int i = 0; i < 1000; i++) {
		int32_t port = take(&lab, 5000);

		CU_ASSERT_TRUE(port >= 1024);
		boxes[(port - 1024) * 16 / 64512]++;
		runs += port == last + 1 || port == last + 2;
		last = port;
	}
	CU_ASSERT_TRUE(runs <= 2);
	for (int i = 0; i < 16; i++)
		CU_ASSERT_TRUE(boxes[i] > 30 && boxes[i] < 100);
}

static void test_keyed(void)
{
	struct lab one, two, same;
	int equal = 0;

	make(&one, 1024, 65535);
	make(&two, 1024, 65535);
	make(&same, 1024, 65535);
	two.random.key.k1++;
	nat_ports_take(&one.ports, 5000);
	nat_ports_take(&two.ports, 5000);
	nat_ports_take(&same.ports, 5000);
	for (int i = 0; i < 100; i++) {
		int32_t port = choose(&one, 5000);

		equal += port == choose(&two, 5000);
		CU_ASSERT_EQUAL(port, choose(&same, 5000));
	}
	CU_ASSERT_TRUE(equal < 3);
}

static const struct test tests[] = {
	{ "a free port is preserved", test_preserved },
	{ "parity is kept", test_parity },
	{ "parity gives way before a port is refused", test_parity_gives_way },
	{ "without parity any low bit is chosen", test_without_parity },
	{ "each half serves its own inside ports first", test_halves },
	{ "low-only ports are never given to high inside ports",
	  test_low_only },
	{ "low ports given to everyone serve high inside ports",
	  test_low_for_all },
	{ "port 0 is never handed out", test_port_0 },
	{ "ports bound by the router are not handed out", test_bound },
	{ "the last free port is found, and then none", test_last_free },
	{ "taking and releasing twice counts once", test_counting },
	{ "another pool keeps what is taken", test_pool_changes },
	{ "1,000 collisions give spread and unordered ports",
	  test_unpredictable },
	{ "another key gives another sequence", test_keyed },
};

int main(int argc, char **argv)
{
	return suite_run("ports", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
