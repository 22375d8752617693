/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `portico why` against the engine: whatever is in the tables, the packet that
 * was asked for meets what was foretold, and leaves as was foretold. Hosts,
 * peers, ports and limits are few, so that all of them are hit.
 */
#include "tests/unit/control_lab.h"
#include "tests/unit/dice.h"
#include "tests/unit/packets.h"
#include "platform/views.h"
#include "platform/why.h"

#define ROUNDS 120
#define STEPS 600
#define E 0xcb007101U /* 203.0.113.1 */
#define POOL_FIRST 2000U
#define POOL_LAST 2009U

static const struct nat_prefix inside[] = { { 0xc0a80100, 24 } };
static const struct nat_prefix exempt[] = { { 0x0a080000, 16 } };
static const struct nat_prefix martians[] = { { 0xc6336463, 32 } };
static const struct nat_prefix from[] = { { PEER_1, 32 } };
static const struct nat_forward forwards[] = {
	{ "pool", NAT_PROTO_TCP, 2008, 2008, INSIDE_1, 80, from, 1 },
	{ "pool", NAT_PROTO_UDP, 2008, 2008, INSIDE_1, 80, from, 1 },
	{ "low", NAT_PROTO_TCP, 81, 82, INSIDE_2, 2001, NULL, 0 },
	{ "inside", NAT_PROTO_UDP, 83, 83, INSIDE_2, 2001, inside, 1 },
};
static const struct nat_limits limits = {
	.mappings = 20,
	.sessions = 24,
	.hosts = 4,
	.held_ports = 4,
	.fragments = 4,
	.fragment_bytes = 4096,
	.tagged = 4,
};

struct round {
	struct gateway gateway;
	struct dice dice;
	bool shares; /* then UDP alone and no forwards: exact from outside */
	unsigned seen[NAT_DROPS], translated, untouched;
};

/* --- a gateway ----------------------------------------------------------- */

static void draw_config(struct round *round)
{
	struct nat_config *config = &round->gateway.config;
	struct dice *dice = &round->dice;

	lab_configure(config);
	memset(config->pool, 0, sizeof(config->pool));
	for (int pool = 0; pool < NAT_POOLS; pool++) {
		for (uint32_t i = POOL_FIRST; i <= POOL_LAST; i++)
			nat_portset_add(&config->pool[pool], (uint16_t)i);
		if (pool != NAT_POOL_ICMP)
			nat_portset_add(&config->pool[pool], 600);
		config->filtering[pool] =
			(enum nat_filter)dice_roll(dice, NAT_FILTERS);
	}
	nat_portset_add(&config->low_only, 600);
	for (int i = 0; i < NAT_TIMERS; i++)
		config->timeout_s[i] = 5 + dice_roll(dice, 10);
	config->timeout_s[NAT_TIMER_TCP_ESTABLISHED] = 30;
	config->host_mappings = 3 + dice_roll(dice, 10);
	config->host_sessions = 4 + dice_roll(dice, 16);
	config->mapping_sessions = 2 + dice_roll(dice, 6);
	config->hairpin = !dice_once_in(dice, 4);
	config->parity = dice_once_in(dice, 2);
	config->inbound_refresh = dice_once_in(dice, 2);
	config->inside = inside;
	config->inside_count = 1;
	config->exempt = exempt;
	config->exempt_count = 1;
	config->martians = martians;
	config->martian_count = 1;
	config->host_guaranteed = round->shares ? 1 + dice_roll(dice, 3) : 0;
	config->forwards = forwards;
	config->forward_count =
		round->shares ? 0 : sizeof(forwards) / sizeof(forwards[0]);
	config->untranslated[NAT_PROTO_UDPLITE] = true;
}

static void open_round(struct round *round)
{
	static const struct nat_secrets secrets = { { 1 }, { 2 } };
	struct gateway *gateway = &round->gateway;
	size_t records = nat_records_size(&limits);
	size_t indices = nat_indices_size(&limits);

	gateway->now_ms = 1000;
	gateway->records = lab_block(records);
	gateway->indices = lab_block(indices);
	gateway->nat = nat_init(&limits, &secrets, gateway->records, records,
				gateway->indices, indices, gateway->now_ms);
	CU_ASSERT_PTR_NOT_NULL_FATAL(gateway->nat);
	draw_config(round);
	nat_portset_add(&gateway->bound[NAT_POOL_UDP], 2007);
	nat_portset_add(&gateway->bound[NAT_POOL_TCP], 2006);
	for (int pool = 0; pool < 2; pool++)
		nat_set_bound(gateway->nat, (enum nat_pool)pool,
			      &gateway->bound[pool]);
	nat_configure(gateway->nat, &gateway->config, gateway->now_ms);
	nat_set_uplink(gateway->nat, E, gateway->now_ms);
}

/* --- questions and packets ----------------------------------------------- */

struct question {
	uint8_t proto;
	struct flow flow;
	enum nat_path path;
};

/* foreign: also what is no inside host's. */
static uint32_t draw_inside(struct dice *dice, bool foreign)
{
	if (dice_once_in(dice, 40))
		return 0xc0a801ff; /* its broadcast address */
	return foreign && dice_once_in(dice, 40) ?
		       0xc0a80201 :
		       0xc0a8010aU + dice_roll(dice, 6);
}

/* No groups: the rules keep these from the engine. */
static uint32_t draw_outside(struct dice *dice)
{
	static const uint32_t odd[] = { 0x0a080001, 0xc6336463, 0xf0000001,
					0x7f000001 };

	if (dice_once_in(dice, 25))
		return odd[dice_roll(dice, 4)];
	return PEER_1 + dice_roll(dice, 3);
}

static uint16_t draw_port(struct dice *dice)
{
	static const uint16_t odd[] = { 600, 601, 80, 81, 82, 83, 5000, 2008 };

	if (dice_once_in(dice, 3))
		return odd[dice_roll(dice, 8)];
	return (uint16_t)(POOL_FIRST + dice_roll(dice, 10));
}

static struct question draw_question(struct round *round)
{
	static const uint8_t protos[] = { NAT_PROTO_UDP,  NAT_PROTO_TCP,
					  NAT_PROTO_UDP,  NAT_PROTO_TCP,
					  NAT_PROTO_ICMP, 99 };
	struct dice *dice = &round->dice;
	struct question question = {
		.proto = round->shares ? NAT_PROTO_UDP :
					 protos[dice_roll(dice, 6)],
		.path = (enum nat_path)dice_roll(dice, 3),
	};
	bool from_outside = question.path == NAT_PATH_INBOUND;

	question.flow = (struct flow){
		.src = from_outside ?
			       draw_outside(dice) :
			       draw_inside(dice,
					   question.path == NAT_PATH_OUTBOUND),
		.sport = from_outside ? (uint16_t)(7000 + dice_roll(dice, 2)) :
					draw_port(dice),
		.dst = question.path == NAT_PATH_OUTBOUND ? draw_outside(dice) :
							    E,
		.dport = question.path == NAT_PATH_OUTBOUND ?
				 (uint16_t)(7000 + dice_roll(dice, 2)) :
				 draw_port(dice),
	};
	return question;
}

static void build(const struct question *question, struct packet *packet)
{
	struct flow flow = question->flow;

	switch (question->proto) {
	case NAT_PROTO_UDP:
		packet_udp(packet, flow, "x", 1);
		break;
	case NAT_PROTO_TCP:
		packet_tcp(packet, flow,
			   (struct segment){ .flags = SYN, .window = 1000 });
		break;
	case NAT_PROTO_ICMP:
		if (question->path == NAT_PATH_INBOUND)
			flow.sport = flow.dport;
		packet_icmp(packet, flow,
			    question->path == NAT_PATH_INBOUND ? 0 : 8, 8);
		break;
	default:
		packet_other(packet, flow.src, flow.dst, question->proto, 8);
		break;
	}
}

static struct why_socket socket_of(const struct question *question, bool source)
{
	bool ports = question->proto == NAT_PROTO_UDP ||
		     question->proto == NAT_PROTO_TCP;
	bool id = question->proto == NAT_PROTO_ICMP &&
		  source == (question->path != NAT_PATH_INBOUND);

	return (struct why_socket){
		source ? question->flow.src : question->flow.dst,
		!ports && !id ? 0 :
		source	      ? question->flow.sport :
				question->flow.dport,
		ports || id,
	};
}

/* The answer, to be released; its text in *line. */
static struct json_object *foretell(struct round *round,
				    const struct question *question,
				    struct buffer *line)
{
	struct why_question asked = {
		.set = { true, true, true },
		.proto = question->proto,
		.source = socket_of(question, true),
		.destination = socket_of(question, false),
	};
	char error[256] = "";
	struct json_object *answer, *why = NULL;
	struct why *work;
	int more = 1;

	CU_ASSERT_EQUAL(why_check(&asked, error, sizeof(error)), 0);
	work = why_new(&asked);
	while (more > 0) {
		uint32_t budget = 1 + dice_roll(&round->dice, 100);

		more = why_slice(work, &round->gateway, &budget, line);
	}
	why_free(work);
	CU_ASSERT_EQUAL_FATAL(more, 0);
	CU_ASSERT_EQUAL_FATAL(buffer_append(line, "", 1), 0);
	answer = json_tokener_parse(line->data);
	json_object_object_get_ex(answer, "why", &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(why);
	why = json_object_get(why);
	json_object_put(answer);
	return why;
}

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;
	const char *text = NULL;

	json_object_object_get_ex(object, key, &value);
	if (value)
		text = json_object_get_string(value);
	return text ? text : "";
}

/* --- the comparison ------------------------------------------------------ */

static bool same_verdict(struct json_object *why,
			 const struct nat_result *result)
{
	const char *verdict = text_of(why, "verdict");

	switch (result->verdict) {
	case NAT_DROPPED:
		return !strcmp(verdict, "dropped") &&
		       !strcmp(text_of(why, "drop"),
			       nat_drop_name(result->drop));
	case NAT_UNTOUCHED:
		return !strcmp(verdict, "untouched");
	case NAT_TRANSLATED:
		return !strcmp(verdict, "translated");
	case NAT_CONSUMED:
		break;
	}
	return false;
}

/* The socket that the packet has got is told of. */
static bool same_socket(struct json_object *why,
			const struct question *question, struct packet *packet)
{
	const bool out = question->path == NAT_PATH_OUTBOUND;
	const uint32_t addr = packet_get32(packet->data + (out ? 12 : 16));
	uint16_t port = packet_get16(packet_l4(packet) + (out ? 0 : 2));
	struct json_object *mapping = NULL;
	char text[VIEWS_SOCKET_SIZE], part[64];

	if (question->proto == NAT_PROTO_ICMP)
		port = packet_get16(packet_l4(packet) + 4);
	views_socket(addr, port, text);
	if (json_object_object_get_ex(why, "mapping", &mapping) && mapping)
		return !strcmp(text_of(mapping, out ? "outside" : "inside"),
			       text);
	if (strstr(text_of(why, "explanation"), "by another "))
		return port != question->flow.sport;
	snprintf(part, sizeof(part), "leaves as %s, with the same", text);
	return strstr(text_of(why, "explanation"), part);
}

/* Which port a hairpin's new mapping gets is drawn, and the target may have
 * sent to just that one. */
static bool is_lucky(struct json_object *why, const struct question *question)
{
	return question->path == NAT_PATH_HAIRPIN_IN &&
	       strstr(text_of(why, "explanation"), "by another ");
}

static bool is_ours(struct json_object *why, const struct question *question)
{
	/* The rules keep these from the engine, which need not know them. */
	return strcmp(text_of(why, "way"), "exempt") ||
	       question->path == NAT_PATH_OUTBOUND;
}

static void step(struct round *round, const struct question *question)
{
	struct buffer line = { 0 };
	struct json_object *why = foretell(round, question, &line);
	struct packet packet;
	struct nat_packet given = { .data = packet.data,
				    .path = question->path };
	struct nat_result result;
	bool good;

	build(question, &packet);
	given.length = packet.length;
	result = nat_translate(round->gateway.nat, &given,
			       round->gateway.now_ms);
	good = !is_ours(why, question) || same_verdict(why, &result) ||
	       is_lucky(why, question);
	if (good && is_ours(why, question) && result.verdict == NAT_TRANSLATED)
		good = same_socket(why, question, &packet);
	CU_ASSERT_TRUE(good);
	if (!good)
		printf("path %d, verdict %d, %s: %s\n", question->path,
		       result.verdict, nat_drop_name(result.drop), line.data);
	round->seen[result.drop]++;
	round->translated += result.verdict == NAT_TRANSLATED;
	round->untouched += result.verdict == NAT_UNTOUCHED;
	json_object_put(why);
	buffer_free(&line);
}

/* As the gateway does each second: what is over is gone when it is asked. */
static void pass_time(struct round *round)
{
	round->gateway.now_ms += 1000 * (1 + dice_roll(&round->dice, 3));
	while (nat_expire(round->gateway.nat, round->gateway.now_ms, 64) == 64)
		;
}

static void run_round(struct round *round)
{
	struct gateway *gateway = &round->gateway;

	open_round(round);
	for (int i = 0; i < STEPS; i++) {
		struct question question = draw_question(round);

		step(round, &question);
		if (dice_once_in(&round->dice, 20))
			pass_time(round);
		if (dice_once_in(&round->dice, 100))
			nat_set_uplink(gateway->nat,
				       nat_uplink(gateway->nat) ? 0 : E,
				       gateway->now_ms);
	}
	free(gateway->records);
	free(gateway->indices);
}

static void test_foretold(void)
{
	unsigned seen[NAT_DROPS] = { 0 }, translated = 0, untouched = 0;
	static const enum nat_drop reached[] = {
		NAT_DROP_NO_MAPPING,	NAT_DROP_FILTERED_ADDRESS,
		NAT_DROP_FILTERED_PORT, NAT_DROP_FORWARD_PEER,
		NAT_DROP_HOST_QUOTA,	NAT_DROP_NO_PORT,
		NAT_DROP_TABLE_FULL,	NAT_DROP_NO_UPLINK,
		NAT_DROP_MARTIAN,	NAT_DROP_UNSUPPORTED,
		NAT_DROP_HOST_SHARE,
	};

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct round *round = calloc(1, sizeof(*round));

		CU_ASSERT_PTR_NOT_NULL_FATAL(round);
		round->dice.state = i;
		round->shares = i % 3 == 2;
		run_round(round);
		for (int drop = 0; drop < NAT_DROPS; drop++)
			seen[drop] += round->seen[drop];
		translated += round->translated;
		untouched += round->untouched;
		free(round);
	}
	CU_ASSERT_TRUE(translated > 1000);
	CU_ASSERT_TRUE(untouched > 100);
	for (size_t i = 0; i < sizeof(reached) / sizeof(reached[0]); i++) {
		CU_ASSERT_TRUE(seen[reached[i]] > 0);
		if (!seen[reached[i]])
			printf("never %s\n", nat_drop_name(reached[i]));
	}
}

static const struct test tests[] = {
	{ "a packet meets what was foretold", test_foretold },
};

int main(int argc, char **argv)
{
	return suite_run("property: why", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
