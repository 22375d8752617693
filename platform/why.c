/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `portico why`: the answer as a line of JSON.
 *
 * The tables are walked in slices, as dump.c does, so that a question delays no
 * packet however large they are.
 */
#include "why.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"
#include "protos.h"
#include "why_private.h"

#define SENTENCE_MAX 512

static const char *const way_names[] = {
	[WHY_OUTBOUND] = "outbound", [WHY_INBOUND] = "inbound",
	[WHY_HAIRPIN] = "hairpin",   [WHY_EXEMPT] = "exempt",
	[WHY_LOCAL] = "local",	     [WHY_NONE] = "none",
};
static_assert(sizeof(way_names) / sizeof(way_names[0]) == WHY_WAYS,
	      "every way has a name");

static const char *const verdict_names[] = {
	[WHY_TRANSLATED] = "translated",
	[WHY_UNTOUCHED] = "untouched",
	[WHY_DROPPED] = "dropped",
};
static_assert(sizeof(verdict_names) / sizeof(verdict_names[0]) == WHY_VERDICTS,
	      "every verdict has a name");

/* The query id stands at either end. */
static void spread_query_id(struct why_question *question)
{
	struct why_socket *source = &question->source;
	struct why_socket *destination = &question->destination;

	if (question->proto != NAT_PROTO_ICMP)
		return;
	if (!source->port)
		source->port = destination->port;
	destination->port = source->port;
	source->has_port = destination->has_port = source->has_port ||
						   destination->has_port;
}

struct why *why_new(const struct why_question *question)
{
	struct why *why = calloc(1, sizeof(*why));

	if (!why)
		return NULL;
	why->question = *question;
	spread_query_id(&why->question);
	why->explanation = json_object_new_array();
	why->no_memory = !why->explanation;
	return why;
}

void why_free(struct why *why)
{
	if (!why)
		return;
	json_object_put(why->explanation);
	free(why);
}

/* --- the answer ---------------------------------------------------------- */

void why_say(struct why *why, const char *format, ...)
{
	char text[SENTENCE_MAX];
	struct json_object *sentence;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	sentence = json_object_new_string(text);
	if (sentence && why->explanation &&
	    !json_object_array_add(why->explanation, sentence))
		return;
	json_object_put(sentence);
	why->no_memory = true;
}

void why_remedy(struct why *why, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why->remedy, sizeof(why->remedy), format, arguments);
	va_end(arguments);
}

void why_refuse(struct why *why, const struct why_scene *scene,
		enum nat_drop drop)
{
	const unsigned long long before = scene->stats.drops[drop];
	/* All 0 when it is not known. */
	const struct nat_host_view *host = why->way == WHY_INBOUND ?
						   &why->found.target_host :
						   &why->found.host;

	why->verdict = WHY_DROPPED;
	why->drop = drop;
	why_say(why, "%s: it %s%s", nat_drop_name(drop),
		/* Some reasons tell of the packet, some of something else. */
		drop == NAT_DROP_HOST_QUOTA || drop == NAT_DROP_NO_PORT ||
				drop == NAT_DROP_TABLE_FULL ||
				drop == NAT_DROP_NO_UPLINK ||
				drop == NAT_DROP_HOST_SHARE ||
				drop == NAT_DROP_MARTIAN ||
				drop == NAT_DROP_UNSUPPORTED ?
			"is refused: " :
			"",
		nat_drop_help(drop));
	if (before)
		why_say(why, "%llu packets were dropped as %s so far", before,
			nat_drop_name(drop));
	if (host->refused)
		why_say(why,
			"of %s, %llu packets were refused for quota, rate or "
			"lack of room so far",
			WHY_ADDR(host->addr),
			(unsigned long long)host->refused);
}

/* NULL is null; a text that cannot be made spoils the answer. */
static void put_text(struct why *why, struct json_object *object,
		     const char *key, const char *text)
{
	struct json_object *value = text ? json_object_new_string(text) : NULL;

	if ((text && !value) || json_object_object_add(object, key, value)) {
		json_object_put(value);
		why->no_memory = true;
	}
}

/* Takes the value over, if there was one to be made. */
static void put_entry(struct why *why, struct json_object *object,
		      const char *key, bool wanted, struct json_object *value)
{
	if ((wanted && !value) || json_object_object_add(object, key, value)) {
		json_object_put(value);
		why->no_memory = true;
	}
}

static void put_socket(struct why *why, struct json_object *object,
		       enum why_key key, const struct why_socket *socket)
{
	put_text(why, object, why_name(key),
		 socket->has_port ? WHY_SOCKET(socket->addr, socket->port) :
				    WHY_ADDR(socket->addr));
}

static struct json_object *answer_of(struct why *why)
{
	struct json_object *object = json_object_new_object();
	const struct why_question *question = &why->question;
	char proto[4];

	if (!object)
		return NULL;
	put_text(why, object, "proto", protos_name(question->proto, proto));
	put_socket(why, object, WHY_SOURCE, &question->source);
	put_socket(why, object, WHY_DESTINATION, &question->destination);
	put_text(why, object, "way", way_names[why->way]);
	put_text(why, object, "verdict", verdict_names[why->verdict]);
	put_text(why, object, "drop",
		 why->drop ? nat_drop_name(why->drop) : NULL);
	put_entry(why, object, "mapping", why->mapping,
		  why->mapping ? views_mapping(why->mapping) : NULL);
	put_entry(why, object, "session", why->session,
		  why->session ? views_session(why->session) : NULL);
	put_entry(why, object, "explanation", true, why->explanation);
	why->explanation = NULL;
	put_text(why, object, "remedy", *why->remedy ? why->remedy : NULL);
	return object;
}

static int write_answer(struct why *why, struct buffer *out)
{
	const int flags = JSON_C_TO_STRING_PLAIN |
			  JSON_C_TO_STRING_NOSLASHESCAPE;
	struct json_object *answer = json_object_new_object();
	const char *text = NULL;
	int err = -ENOMEM;

	if (answer)
		put_entry(why, answer, "why", true, answer_of(why));
	if (answer && !why->no_memory)
		text = json_object_to_json_string_ext(answer, flags);
	if (text)
		err = buffer_append(out, text, strlen(text));
	if (!err)
		err = buffer_append(out, "\n", 1);
	json_object_put(answer);
	return err;
}

int why_slice(struct why *why, const struct gateway *gateway, uint32_t *budget,
	      struct buffer *out)
{
	struct why_scene scene = {
		.nat = gateway_nat(gateway),
		.config = gateway_nat_config(gateway),
		.bound = gateway_bound(gateway),
		.network = gateway_network(gateway),
		.now_ms = gateway_now_ms(gateway),
	};

	nat_stats(scene.nat, &scene.stats);
	while (why->phase != WHY_JUDGE && *budget) {
		*budget -= DUMP_COST_SKIPPED;
		why_step(why, &scene);
	}
	if (why->phase != WHY_JUDGE)
		return 1;
	why_judge(why, &scene);
	return write_answer(why, out);
}
