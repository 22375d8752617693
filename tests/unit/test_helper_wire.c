/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a packet process in strange hands may send as the specification of a
 * ruleset: looked at to the last byte, taken as a whole or not at all.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "helper_lab.h"
#include "platform/helper_wire.h"
#include "suite.h"

static int taken(const void *block, size_t length)
{
	struct helper_spec spec;
	int err = helper_spec_take(block, length, &spec);

	if (!err)
		helper_spec_free(&spec);
	return err;
}

static char *rules_of(const struct rules_spec *spec, enum rules_backend backend)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CU_ASSERT_EQUAL(rules_render(spec, backend, out), 0);
	fclose(out);
	return text;
}

static void expect_same_rules(const struct rules_spec *sent,
			      enum rules_backend backend)
{
	struct helper_spec got;
	size_t length;
	char *before, *after;
	void *block;

	CU_ASSERT_EQUAL_FATAL(helper_spec_put(sent, backend, &block, &length),
			      0);
	CU_ASSERT_EQUAL_FATAL(helper_spec_take(block, length, &got), 0);
	CU_ASSERT_EQUAL(got.backend, backend);
	before = rules_of(sent, backend);
	after = rules_of(&got.rules, backend);
	CU_ASSERT_STRING_EQUAL(before, after);
	free(before);
	free(after);
	helper_spec_free(&got);
	free(block);
}

static void test_round_trip(void)
{
	struct nat_portset tcp;
	struct rules_spec sent = good;
	static const enum rules_backend backends[] = { RULES_IPTABLES_LEGACY,
						       RULES_NFTABLES };

	memset(&tcp, 0, sizeof(tcp));
	nat_portset_add(&tcp, 8080);
	sent.tcp = &tcp;
	sent.mss_clamp = true;
	sent.fallback_kernel = true;
	sent.uplink_index = 77;
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		expect_same_rules(&sent, backends[i]);
}

/* Every length but the right one. */
static void test_spec_lengths(void)
{
	size_t length;
	char *block = block_of(&good, &length);
	char *more = calloc(1, length + 64);

	CU_ASSERT_EQUAL(taken(block, length), 0);
	for (size_t i = 0; i < length; i++)
		if (taken(block, i) != -EBADMSG)
			CU_FAIL("a block that was cut short was taken");
	memcpy(more, block, length);
	for (size_t i = 1; i < 64; i++)
		CU_ASSERT_EQUAL(taken(more, length + i), -EBADMSG);
	free(more);
	free(block);
}

/* Any byte may be anything: taken or not, never more than was sent. */
static void test_spec_bytes(void)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80,
					  0xff, '\n', '"',  '/' };
	size_t length;
	uint8_t *block = (uint8_t *)block_of(&good, &length);

	for (size_t i = 0; i < length; i++) {
		uint8_t before = block[i];

		for (size_t j = 0; j < sizeof(values); j++) {
			block[i] = values[j];
			taken(block, length);
		}
		block[i] = before;
	}
	CU_ASSERT_EQUAL(taken(block, length), 0);
	free(block);
}

static const char *const bad_names[] = {
	"",	".",	"..",	    "../../etc", "a/b", "a b",	"a\nb",
	"a\"b", "a;b",	"a{b",	    "-j",	 "*",	"wan+", "$(id)",
	"a\\b", "`id`", "\x01\x02", "\xff\xfe",	 "a'b", "a|b",	"a>b",
};

static void test_bad_names(void)
{
	for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
		struct rules_spec spec = good;
		char devices[2][IFNAMSIZ] = { "lan0" };
		size_t length;
		char *block;

		spec.uplink = bad_names[i];
		block = block_of(&spec, &length);
		CU_ASSERT_EQUAL(taken(block, length), -EINVAL);
		free(block);
		spec.uplink = good.uplink;
		strncpy(devices[1], bad_names[i], IFNAMSIZ - 1);
		spec.inside = (const char(*)[IFNAMSIZ])(const void *)devices;
		block = block_of(&spec, &length);
		CU_ASSERT_EQUAL(taken(block, length), -EINVAL);
		free(block);
	}
}

/* A name that fills its place has no end. */
static void test_endless_names(void)
{
	size_t length;
	char *block = block_of(&good, &length);
	char *devices = memmem(block, length, "lan0", 4);

	memset(block, 'w', IFNAMSIZ);
	CU_ASSERT_EQUAL(taken(block, length), -EINVAL);
	memset(block, 0, IFNAMSIZ);
	memcpy(block, "wan0", 4);
	CU_ASSERT_EQUAL(taken(block, length), 0);
	memset(devices, 'l', IFNAMSIZ);
	CU_ASSERT_EQUAL(taken(block, length), -EINVAL);
	free(block);
}

static const struct test tests[] = {
	{ "a specification comes through as it was", test_round_trip },
	{ "a specification has one length", test_spec_lengths },
	{ "any byte of a specification may be wrong", test_spec_bytes },
	{ "names that no rule can hold", test_bad_names },
	{ "names without an end", test_endless_names },
};

int main(int argc, char **argv)
{
	return suite_run("helper_wire", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
