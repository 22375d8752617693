/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tests of the rulesets share: a spec with something in each part,
 * and looking into the text it leads to.
 */
#ifndef PORTICO_TESTS_RULES_LAB_H
#define PORTICO_TESTS_RULES_LAB_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/rules.h"
#include "platform/rules_text.h"
#include "suite.h"

static const char inside[][IFNAMSIZ] = { "lan0", "guest.2" };
static const struct nat_prefix nets[] = { { 0xc0a80100, 24 },
					  { 0x0a630000, 16 } };
static const struct nat_prefix exempt[] = { { 0x0a080000, 16 } };
static const struct nat_prefix elsewhere[] = { { 0xac110000, 16 },
					       { 0x0a636301, 32 } };

/* The ports must outlive the spec. */
struct fixture {
	struct nat_portset tcp, udp;
	struct rules_spec spec;
};

static inline void add_range(struct nat_portset *set, unsigned first,
			     unsigned last)
{
	for (unsigned port = first; port <= last; port++)
		nat_portset_add(set, (uint16_t)port);
}

static inline struct fixture *fixture_new(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	add_range(&f->tcp, 1024, 32767);
	add_range(&f->tcp, 34816, 65535);
	add_range(&f->tcp, 80, 80);
	add_range(&f->udp, 1024, 32767);
	add_range(&f->udp, 34816, 65535);
	f->spec = (struct rules_spec){
		.uplink = "wan0",
		.uplink_addr = 0xcb007107,
		.inside = inside,
		.inside_count = 2,
		.inside_nets = nets,
		.inside_net_count = 2,
		.away = nets,
		.away_count = 2,
		.exempt = exempt,
		.exempt_count = 1,
		.elsewhere = elsewhere,
		.elsewhere_count = 2,
		.tcp = &f->tcp,
		.udp = &f->udp,
		.router_ports = { 32768, 34815 },
		.queue_number = 100,
		.mark = 0x03000000,
		.mss_clamp = true,
	};
	return f;
}

typedef int render_fn(const struct rules_spec *spec, enum rules_backend backend,
		      FILE *out);

static inline char *render_with(render_fn *fn, const struct rules_spec *spec,
				enum rules_backend backend)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	CU_ASSERT_EQUAL(fn(spec, backend, out), 0);
	fclose(out);
	return text;
}

static inline char *render(const struct rules_spec *spec,
			   enum rules_backend backend)
{
	return render_with(rules_render, spec, backend);
}

static inline bool holds(const char *text, const char *part)
{
	if (strstr(text, part))
		return true;
	printf("no \"%s\" in:\n%s", part, text);
	return false;
}

static inline bool lacks(const char *text, const char *part)
{
	if (!strstr(text, part))
		return true;
	printf("\"%s\" in:\n%s", part, text);
	return false;
}

#endif
