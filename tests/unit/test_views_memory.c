/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Views when memory runs out while they are made: there is none then, never
 * half of one. The functions of json-c that allocate are replaced here.
 */
#include <dlfcn.h>
#include <string.h>

#include "platform/views.h"
#include "suite.h"

/* Allocations of one view, more than any has. */
#define ALLOCATIONS_MAX 500

static unsigned calls;
static unsigned fails; /* that call does; 0: none */

static bool strikes(void)
{
	return ++calls == fails;
}

#define REPLACE(name, params, args) \
	struct json_object *name params \
	{ \
		static __typeof__(name) *real; \
		if (!real) \
			real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name); \
		return strikes() ? NULL : real args; \
	}

REPLACE(json_object_new_object, (void), ())
REPLACE(json_object_new_array, (void), ())
REPLACE(json_object_new_string, (const char *text), (text))
REPLACE(json_object_new_uint64, (uint64_t value), (value))
REPLACE(json_object_new_boolean, (json_bool value), (value))

int json_object_object_add_ex(struct json_object *object, const char *key,
			      struct json_object *const value,
			      const unsigned options)
{
	static __typeof__(json_object_object_add_ex) *real;

	if (!real)
		real = (__typeof__(json_object_object_add_ex) *)dlsym(
			RTLD_NEXT, "json_object_object_add_ex");
	return strikes() ? -1 : real(object, key, value, options);
}

int json_object_array_add(struct json_object *array, struct json_object *value)
{
	static __typeof__(json_object_array_add) *real;

	if (!real)
		real = (__typeof__(json_object_array_add) *)dlsym(
			RTLD_NEXT, "json_object_array_add");
	return strikes() ? -1 : real(array, value);
}

static struct json_object *make_status(void)
{
	static const char *const warnings[] = { "one", "two" };
	static const struct nat_restored restored;
	static const struct queue_stats queue;
	static const struct control_stats control;
	static struct nat_stats nat;
	static const struct fast_stats fast = { 0 };
	const struct views_status status = {
		.fast = &fast,
		.uplink_device = "wan0",
		.warnings = warnings,
		.warnings_count = 2,
		.nat = &nat,
		.queue = &queue,
		.control = &control,
		.restored = &restored,
	};

	nat.drops[NAT_DROP_NONE + 1] = 1;
	return views_status(&status);
}

static struct json_object *make_mapping(void)
{
	const struct nat_mapping_view view = { .expires_ms = NAT_NEVER };

	return views_mapping(&view);
}

static struct json_object *make_session(void)
{
	const struct nat_session_view view = { .proto = NAT_PROTO_TCP };

	return views_session(&view);
}

static struct json_object *make_host(void)
{
	const struct nat_host_view view = { .addr = 0x0a000001 };

	return views_host(&view, "laptop");
}

static struct json_object *make_rules(void)
{
	return views_rules("text", "nftables");
}

static struct json_object *make_error(void)
{
	return views_error("no");
}

static struct json_object *make_flushed(void)
{
	return views_flushed(5);
}

static struct json_object *make_forward(void)
{
	static const struct nat_prefix from[] = { { 0x0a000000, 8 },
						  { 0xc6336400, 24 } };
	const struct nat_forward forward = {
		.name = "web",
		.proto = NAT_PROTO_TCP,
		.outside_first = 80,
		.outside_last = 81,
		.from = from,
		.from_count = 2,
	};

	return views_forward(&forward, true);
}

static struct json_object *make_added(void)
{
	static const char *const warnings[] = { "one" };

	return views_forward_added("web", warnings, 1);
}

static struct json_object *make_removed(void)
{
	return views_forward_removed("web");
}

/* Fails every allocation in turn, until one more than there are. */
static void check(struct json_object *(*make)(void))
{
	struct json_object *object = NULL;

	for (fails = 1; !object && fails < ALLOCATIONS_MAX; fails++) {
		calls = 0;
		object = make();
		if (object && calls >= fails)
			printf("call %u failed, and there is: %s\n", fails,
			       json_object_to_json_string(object));
		if (object)
			CU_ASSERT_EQUAL(calls, fails - 1);
	}
	CU_ASSERT(fails > 3);
	CU_ASSERT_PTR_NOT_NULL(object);
	json_object_put(object);
	fails = 0;
}

static void test_status(void)
{
	check(make_status);
}

static void test_tables(void)
{
	check(make_mapping);
	check(make_session);
	check(make_host);
	check(make_forward);
}

static void test_messages(void)
{
	check(make_rules);
	check(make_error);
	check(views_reloaded);
	check(make_flushed);
	check(make_added);
	check(make_removed);
}

static const struct test tests[] = {
	{ "a status without memory for all of it is none", test_status },
	{ "an entry without memory for all of it is none", test_tables },
	{ "a message without memory for all of it is none", test_messages },
};

int main(int argc, char **argv)
{
	return suite_run("views_memory", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
