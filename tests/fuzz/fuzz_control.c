/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Clients of the control sockets: their bytes in pieces through the daemon's
 * code. Each whole line is answered by one line, which is JSON; a client of
 * the read-only socket changes nothing.
 *
 *   which socket (bit 0) and whether the gateway is there (bit 1), then pieces
 *   of: length, bytes
 */
#include "tests/unit/control_lab.h"

#include "fuzz.h"
#include "platform/control_private.h"

#define TURNS 64
#define ANSWERS (1U << 20)

struct bench {
	struct loop loop;
	struct control control;
	struct gateway *gateway;
	struct buffer heard;
};

static struct bench *bench_make(void)
{
	static struct bench bench;

	bench.gateway = lab_gateway();
	bench.control.loop = &bench.loop;
	bench.loop.now_ms = 5000;
	for (int i = 0; i < CONTROL_LISTENERS; i++) {
		bench.control.listeners[i].control = &bench.control;
		bench.control.listeners[i].read_only = i == CONTROL_READ;
	}
	for (uint16_t i = 0; i < 40; i++)
		lab_send(bench.gateway, 0xc0a8010aU + i % 4,
			 (uint16_t)(5000 + i), 0xc6336401U, 53);
	return &bench;
}

/* One forward of the configuration, one by command. */
static void bench_forwards(struct bench *bench)
{
	static const char *const forwards[] = {
		"{\"name\":\"web\",\"proto\":\"tcp\",\"outside\":80,"
		"\"to\":\"192.168.1.10:80\"}",
		"{\"name\":\"game\",\"proto\":[\"tcp\",\"udp\"],"
		"\"outside\":\"81-90\",\"to\":\"192.168.1.10:81\","
		"\"from\":[\"198.51.100.0/24\"]}",
	};
	struct gateway *gateway = bench->gateway;
	char error[256];

	lab_swap(gateway, calloc(1, sizeof(gateway->file)));
	for (int i = 0; i < 2; i++) {
		struct json_object *forward = json_tokener_parse(forwards[i]);

		if (gateway_add_forward(gateway, forward, error, sizeof(error)))
			abort();
		json_object_put(forward);
	}
	gateway->file.forwards_written = 1;
	gateway->forwards_changed = 0;
}

/* Only what the code that reads configurations takes is there. */
static void judge_forwards(const struct config *config)
{
	for (size_t i = 0; i < config->nat.forward_count; i++) {
		const struct nat_forward *f = &config->nat.forwards[i];

		if (!f->name[0] || !f->outside_first ||
		    f->outside_first > f->outside_last || !f->inside_first)
			fuzz_expect("a forward that is none");
	}
	if (config->forwards_written != 1 ||
	    strcmp(config->nat.forwards[0].name, "web") != 0)
		fuzz_expect("a client changed the configuration's forwards");
}

/* False: the daemon has hung up. */
static bool listen_to(struct bench *bench, int fd)
{
	struct buffer *heard = &bench->heard;
	ssize_t got;

	do {
		if (buffer_reserve(heard, 65536))
			abort();
		got = recv(fd, heard->data + heard->end, 65536, MSG_DONTWAIT);
		if (got > 0)
			heard->end += (size_t)got;
		if (heard->end > ANSWERS)
			fuzz_expect("the answers do not end");
	} while (got > 0);
	return got < 0;
}

static bool turn(struct bench *bench, int fd)
{
	bool open = true;

	for (int i = 0; i < TURNS && open && lab_turn(&bench->loop); i++)
		open = listen_to(bench, fd);
	return open;
}

static void judge_line(const char *line)
{
	struct json_object *object = json_tokener_parse(line);

	if (!json_object_is_type(object, json_type_object))
		fuzz_expect("an answer that is no JSON object");
	json_object_put(object);
}

/* Returns how many lines were answered. */
static unsigned judge(struct bench *bench)
{
	struct buffer *heard = &bench->heard;
	size_t left = buffer_length(heard);
	unsigned lines = 0;
	char *at, *end;

	if (!left)
		return 0;
	at = heard->data + heard->start;
	for (; left && (end = memchr(at, '\n', left)); lines++) {
		*end = '\0';
		judge_line(at);
		left -= (size_t)(end + 1 - at);
		at = end + 1;
	}
	if (left)
		fuzz_expect("half an answer");
	buffer_free(heard);
	memset(heard, 0, sizeof(*heard));
	return lines;
}

static unsigned count_lines(struct fuzz_bytes piece)
{
	unsigned lines = 0;

	for (size_t i = 0; i < piece.left; i++)
		lines += piece.at[i] == '\n';
	return lines;
}

/* False: another number of answers than of requests. */
static bool talk(struct bench *bench, int fd, struct fuzz_bytes input)
{
	unsigned asked = 0;
	bool open = true;

	while (open && input.left) {
		struct fuzz_bytes piece = fuzz_take(&input, fuzz_u8(&input));

		if (!piece.left)
			continue;
		asked += count_lines(piece);
		if (send(fd, piece.at, piece.left,
			 MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		open = turn(bench, fd);
		fuzz_judged();
	}
	while (open && lab_turn(&bench->loop))
		open = listen_to(bench, fd);
	return judge(bench) == asked;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench *bench;
	struct fuzz_bytes input = { data, size };
	uint8_t how = fuzz_u8(&input);
	struct control_listener *listener;
	int pair[2];

	if (!bench)
		bench = bench_make();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	listener = &bench->control.listeners[how & 1];
	bench->control.gateway = how & 2 ? NULL : bench->gateway;
	bench->gateway->reloads = 0;
	bench->gateway->flushed = 0;
	bench_forwards(bench);
	bench->gateway->reload_error = how & 4 ? "a \"reason\"\n" : NULL;
	listener->requests.stamp_ms = 0; /* as after a pause */
	if (control_client_add(listener, pair[1], 0))
		abort();
	/* A client that says too much or no JSON is told so and cut off. */
	if (!talk(bench, pair[0], input) && listener->clients)
		fuzz_expect("another number of answers than of requests");
	if (listener->read_only &&
	    (bench->gateway->reloads || bench->gateway->flushed ||
	     bench->gateway->forwards_changed))
		fuzz_expect("a reader has changed something");
	judge_forwards(&bench->gateway->file);
	while (listener->clients)
		control_client_close(listener->clients);
	close(pair[0]);
	return 0;
}
