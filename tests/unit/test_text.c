/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text for people: units, names, columns, order; and lease files.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/names.h"
#include "platform/text.h"
#include "suite.h"
#include "text_lab.h"

static void test_bytes(void)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0B" },
		{ 1023, "1023B" },
		{ 1024, "1.0KiB" },
		{ 1126, "1.0KiB" },
		{ 1127, "1.1KiB" },
		{ 1048575, "1023.9KiB" },
		{ 1048576, "1.0MiB" },
		{ 5ULL << 30, "5.0GiB" },
		{ UINT64_MAX, "15.9EiB" },
	};
	char cell[TEXT_CELL];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_STRING_EQUAL(text_bytes(cases[i].bytes, cell),
				       cases[i].text);
}

static void test_duration(void)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} cases[] = {
		{ 0, "0s" },	     { 59, "59s" },	  { 60, "1m00s" },
		{ 125, "2m05s" },    { 3599, "59m59s" },  { 3600, "1h00m" },
		{ 7440, "2h04m" },   { 86399, "23h59m" }, { 86400, "1d00h" },
		{ 604800, "7d00h" },
	};
	char cell[TEXT_CELL];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_STRING_EQUAL(text_duration(cases[i].seconds, cell),
				       cases[i].text);
}

/* --- lease files --------------------------------------------------------- */

struct lease_file {
	char path[64];
};

static struct lease_file write_leases(const char *text)
{
	struct lease_file file = { "/tmp/portico-test-XXXXXX" };
	int fd = mkstemp(file.path);
	size_t length = strlen(text);

	CU_ASSERT_TRUE(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, text, length), (ssize_t)length);
	close(fd);
	return file;
}

static struct names *names_of(const char *text)
{
	struct lease_file file = write_leases(text);
	const char *const files[] = { "/nonexistent/leases", file.path, NULL };
	struct names *names = names_read(files);

	unlink(file.path);
	return names;
}

static void test_leases(void)
{
	struct names *names = names_of(
		"1700000000 aa:bb:cc:dd:ee:02 192.168.1.20 phone 01:aa\n"
		"1700000000 aa:bb:cc:dd:ee:03 192.168.1.30 * *\n"
		"1700000000 aa:bb:cc:dd:ee:01 192.168.1.10 tv *\n"
		"duid 00:01:02\n"
		"\n"
		"1700000000 1 fd00::10 six 00:01\n"
		"1700000000 aa:bb:cc:dd:ee:04 192.168.1.40 \x1b[2Jevil *\n");

	CU_ASSERT_STRING_EQUAL(names_find(names, 0xc0a8010a), "tv");
	CU_ASSERT_STRING_EQUAL(names_find(names, 0xc0a80114), "phone");
	CU_ASSERT_PTR_NULL(names_find(names, 0xc0a8011e));
	CU_ASSERT_PTR_NULL(names_find(names, 0xc0a80128));
	CU_ASSERT_PTR_NULL(names_find(names, 0xc0a80101));
	names_free(names);
	CU_ASSERT_PTR_NULL(names_find(NULL, 0xc0a8010a));
}

/* Opening a FIFO for reading would wait for ever. */
static void test_leases_fifo(void)
{
	char directory[] = "/tmp/portico-test-XXXXXX";
	char path[64];
	const char *const files[] = { path, NULL };
	struct names *names;

	CU_ASSERT_PTR_NOT_NULL(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/fifo", directory);
	CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
	names = names_read(files);
	CU_ASSERT_PTR_NOT_NULL(names);
	CU_ASSERT_PTR_NULL(names_find(names, 1));
	names_free(names);
	unlink(path);
	rmdir(directory);
}

static void test_leases_many(void)
{
	char *text = calloc(NAMES_MAX + 100, 64);
	struct names *names;
	size_t length = 0;

	for (unsigned i = 0; i < NAMES_MAX + 50; i++)
		length += (size_t)sprintf(text + length,
					  "1 aa 10.0.%u.%u host-%u *\n", i >> 8,
					  i & 255, i);
	names = names_of(text);
	CU_ASSERT_STRING_EQUAL(names_find(names, 0x0a000000), "host-0");
	CU_ASSERT_STRING_EQUAL(names_find(names, 0x0a000fff), "host-4095");
	CU_ASSERT_PTR_NULL(names_find(names, 0x0a001000));
	names_free(names);
	free(text);
}

/* --- tables -------------------------------------------------------------- */

static void print_mappings(struct json_object *reply, FILE *out)
{
	struct names *names = names_of("1 aa 192.168.1.9 tv *\n");

	text_mappings(reply, names, out);
	names_free(names);
}

static void print_sessions(struct json_object *reply, FILE *out)
{
	text_sessions(reply, NULL, out);
}

static void print_hosts(struct json_object *reply, FILE *out)
{
	text_hosts(reply, NULL, out);
}

static void test_mappings(void)
{
	check_text(print_mappings,
		   "{\"mappings\":["
		   "{\"proto\":\"tcp\",\"inside\":\"192.168.1.10:80\","
		   "\"outside\":\"203.0.113.1:8080\",\"kind\":\"forward\","
		   "\"sessions\":0,\"age_s\":90000,\"idle_s\":5,"
		   "\"expires_s\":null,\"out_packets\":0,\"out_bytes\":0,"
		   "\"in_packets\":0,\"in_bytes\":0,\"name\":\"web\"},"
		   "{\"proto\":\"udp\",\"inside\":\"192.168.1.9:5000\","
		   "\"outside\":\"203.0.113.1:5000\",\"kind\":\"dynamic\","
		   "\"sessions\":12,\"age_s\":125,\"idle_s\":0,"
		   "\"expires_s\":300,\"out_packets\":3,\"out_bytes\":2048,"
		   "\"in_packets\":2,\"in_bytes\":56,\"name\":null}]}",
		   "PROTO  INSIDE            OUTSIDE           KIND     "
		   "SESSIONS    AGE  IDLE  EXPIRES     OUT   IN  NAME\n"
		   "udp    192.168.1.9:5000  203.0.113.1:5000  dynamic  "
		   "      12  2m05s    0s    5m00s  2.0KiB  56B  tv\n"
		   "tcp    192.168.1.10:80   203.0.113.1:8080  forward  "
		   "       0  1d01h    5s        -      0B   0B  web\n");
}

static void test_sessions(void)
{
	check_text(
		print_sessions,
		"{\"sessions\":["
		"{\"proto\":\"tcp\",\"inside\":\"10.0.0.1:40000\","
		"\"outside\":\"203.0.113.1:40000\","
		"\"peer\":\"198.51.100.1:443\",\"state\":\"ESTABLISHED\","
		"\"age_s\":1,\"idle_s\":1,\"expires_s\":7440,"
		"\"out_packets\":1,\"out_bytes\":60,\"in_packets\":1,"
		"\"in_bytes\":60},"
		"{\"proto\":\"icmp\",\"inside\":\"10.0.0.1:7\","
		"\"outside\":\"203.0.113.1:7\","
		"\"peer\":\"198.51.100.1:0\",\"state\":\"INIT\","
		"\"age_s\":1,\"idle_s\":1,\"expires_s\":60,"
		"\"out_packets\":1,\"out_bytes\":84,\"in_packets\":0,"
		"\"in_bytes\":0}]}",
		"PROTO  INSIDE          OUTSIDE            PEER       "
		"       SERVICE  STATE        AGE  IDLE  EXPIRES  OUT"
		"   IN  NAME\n"
		"icmp   10.0.0.1:7      203.0.113.1:7      198.51.100.1:0"
		"    -        INIT          1s    1s    1m00s  84B   0B  -\n"
		"tcp    10.0.0.1:40000  203.0.113.1:40000  "
		"198.51.100.1:443  https    ESTABLISHED   1s    1s    2h04m  "
		"60B  60B  -\n");
}

/* By number, not by letter; a name's control letters are not shown, letters
 * of several bytes count as one. */
static void test_hosts(void)
{
	check_text(print_hosts,
		   "{\"hosts\":["
		   "{\"address\":\"10.0.0.10\",\"name\":\"\\u001b\\u009bb\","
		   "\"mappings\":1,\"sessions\":1,\"out_packets\":1,"
		   "\"out_bytes\":1,\"in_packets\":1,\"in_bytes\":1,"
		   "\"refused\":0},"
		   "{\"address\":\"10.0.0.9\",\"name\":\"\\u00fcber\","
		   "\"mappings\":1,\"sessions\":1,\"out_packets\":1,"
		   "\"out_bytes\":1,\"in_packets\":1,\"in_bytes\":1,"
		   "\"refused\":7}]}",
		   "ADDRESS    NAME  MAPPINGS  SESSIONS  OUT  IN  REFUSED\n"
		   "10.0.0.9   \xc3\xbc"
		   "ber         1         1   1B  1B"
		   "        7\n"
		   "10.0.0.10  ??b          1         1   1B  1B"
		   "        0\n");
}

static void test_empty(void)
{
	static const char titles[] =
		"ADDRESS  NAME  MAPPINGS  SESSIONS  OUT  IN  REFUSED\n";

	check_text(print_hosts, "{\"hosts\":[]}", titles);
	check_text(print_hosts, "{\"hosts\":5}", titles);
	check_text(print_hosts, "{}", titles);
}

static void test_status(void)
{
	check_text(text_status,
		   "{\"version\":\"9.9\",\"uptime_s\":125,"
		   "\"uplink\":{\"device\":\"wan0\",\"address\":null},"
		   "\"mappings\":{\"used\":1,\"limit\":16384},"
		   "\"sessions\":{\"used\":3,\"limit\":4},"
		   "\"hosts\":{\"used\":5,\"limit\":6},"
		   "\"ports\":{\"udp\":{\"used\":7,\"held\":8,\"total\":9},"
		   "\"tcp\":{\"used\":10,\"held\":11,\"total\":12},"
		   "\"icmp\":{\"used\":13,\"held\":14,\"total\":15}},"
		   "\"packets\":{\"outbound\":16,\"inbound\":18,"
		   "\"hairpin\":20,\"untouched\":21},"
		   "\"bytes\":{\"outbound\":17,\"inbound\":19},"
		   "\"drops\":{\"no_port\":22},"
		   "\"queue\":{\"length\":1024,\"dropped\":6,"
		   "\"user_dropped\":7,\"gso\":true,\"waiting\":1500},"
		   "\"warnings\":[\"o\\u009bne\"],\"backend\":\"nftables\","
		   "\"tagged_sessions\":{\"used\":1,\"limit\":1024}}",
		   "Portico 9.9, up 2m05s, rules by nftables\n"
		   "Uplink wan0, no address yet\n"
		   "\n"
		   "TABLE            USED  LIMIT\n"
		   "mappings            1  16384\n"
		   "sessions            3      4\n"
		   "hosts               5      6\n"
		   "tagged_sessions     1   1024\n"
		   "\n"
		   "PORTS  USED  HELD  TOTAL\n"
		   "udp       7     8      9\n"
		   "tcp      10    11     12\n"
		   "icmp     13    14     15\n"
		   "\n"
		   "TRAFFIC    PACKETS  BYTES\n"
		   "outbound        16    17B\n"
		   "inbound         18    19B\n"
		   "hairpin         20      -\n"
		   "untouched       21      -\n"
		   "\n"
		   "DROPPED  PACKETS  WHY\n"
		   "no_port       22  no outside port is free, or "
		   "another host has that session with the peer\n"
		   "\n"
		   "Queues: 1500 waiting, of 1024 each, 6 dropped when full, "
		   "7 at the socket, GSO on\n"
		   "\n"
		   "Warnings:\n"
		   "  o?ne\n");
}

static void print_why(struct json_object *reply, FILE *out)
{
	struct names *names = names_of("1 aa 192.168.1.9 tv *\n");

	text_why(reply, names, out);
	names_free(names);
}

static void test_why(void)
{
	check_text(print_why,
		   "{\"why\":{\"proto\":\"udp\","
		   "\"source\":\"192.168.1.9:5000\","
		   "\"destination\":\"198.51.100.1:53\","
		   "\"way\":\"outbound\",\"verdict\":\"dropped\","
		   "\"drop\":\"host_quota\",\"mapping\":{"
		   "\"inside\":\"192.168.1.9:5000\","
		   "\"outside\":\"203.0.113.1:5000\",\"kind\":\"forward\","
		   "\"sessions\":2,\"expires_s\":null,\"name\":\"web\"},"
		   "\"session\":{\"state\":\"INIT\",\"idle_s\":3,"
		   "\"peer\":\"198.51.100.1:53\",\"expires_s\":300},"
		   "\"explanation\":[\"one\",\"t\\u009bwo\"],"
		   "\"remedy\":\"three\"}}",
		   "Packet   udp 192.168.1.9:5000 (tv) -> 198.51.100.1:53\n"
		   "Way      outbound\n"
		   "Verdict  dropped: host_quota\n"
		   "Mapping  192.168.1.9:5000 (tv) <-> 203.0.113.1:5000, "
		   "forward web, 2 sessions\n"
		   "Session  INIT with 198.51.100.1:53, idle 3s, expires in "
		   "5m00s\n"
		   "Because  one\n"
		   "         t?wo\n"
		   "Remedy   three\n");
}

/* Whatever a daemon of another version says, the command does not fall. */
static void test_status_odd(void)
{
	static const char *const replies[] = {
		"{}",
		"{\"drops\":{\"x\":1},\"warnings\":[null]}",
		"{\"ports\":7,\"queue\":[],\"uplink\":null}",
		"{\"why\":7}",
		"{\"why\":{\"explanation\":[null,{}]}}",
		"{\"why\":{\"mapping\":[],\"session\":\"\"}}"
	};

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		struct json_object *reply = json_tokener_parse(replies[i]);
		FILE *null = fopen("/dev/null", "w");

		text_status(reply, null);
		text_mappings(reply, NULL, null);
		text_why(reply, NULL, null);
		CU_ASSERT_FALSE(ferror(null));
		fclose(null);
		json_object_put(reply);
	}
}

static void test_forwards(void)
{
	check_text(text_forwards,
		   "{\"forwards\":["
		   "{\"name\":\"web\",\"proto\":\"udp\",\"outside\":8080,"
		   "\"to\":\"10.0.0.9:80\",\"from\":[],"
		   "\"origin\":\"command\"},"
		   "{\"name\":\"web\",\"proto\":\"tcp\",\"outside\":8080,"
		   "\"to\":\"10.0.0.9:80\",\"from\":[],"
		   "\"origin\":\"command\"},"
		   "{\"name\":\"a\",\"proto\":\"tcp\","
		   "\"outside\":\"90-99\",\"to\":\"10.0.0.9:90\","
		   "\"from\":[\"198.51.100.0/24\",\"10.0.0.0/8\"],"
		   "\"origin\":\"configuration\"}]}",
		   "NAME  PROTO  OUTSIDE  TO           FROM             "
		   "           ORIGIN\n"
		   "a     tcp    90-99    10.0.0.9:90  "
		   "198.51.100.0/24,10.0.0.0/8  configuration\n"
		   "web   tcp    8080     10.0.0.9:80  everyone         "
		   "           command\n"
		   "web   udp    8080     10.0.0.9:80  everyone         "
		   "           command\n");
}

static void test_forwards_many(void)
{
	check_text(text_forwards,
		   "{\"forwards\":[{\"from\":["
		   "\"198.51.100.0/24\",\"198.51.101.0/24\","
		   "\"198.51.102.0/24\",\"198.51.103.0/24\","
		   "\"198.51.104.0/24\"]}]}",
		   "NAME  PROTO  OUTSIDE  TO  FROM                            "
		   "                                     ORIGIN\n"
		   "-     -      -        -   198.51.100.0/24,198.51.101.0/24,"
		   "198.51.102.0/24,198.51.103.0/24,...  -\n");
}

static const struct test tests[] = {
	{ "bytes have binary units, rounded down", test_bytes },
	{ "durations have two units", test_duration },
	{ "lease files give names of letters only", test_leases },
	{ "a FIFO in the place of a lease file does not block",
	  test_leases_fifo },
	{ "a lease file without end is read up to a limit", test_leases_many },
	{ "mappings are aligned and sorted", test_mappings },
	{ "sessions show services", test_sessions },
	{ "hosts are sorted by number, names are harmless", test_hosts },
	{ "forwards are sorted by name", test_forwards },
	{ "of many networks of a forward some are shown", test_forwards_many },
	{ "an empty table shows its titles", test_empty },
	{ "status shows every part", test_status },
	{ "the answer to why is one thing a line", test_why },
	{ "a strange reply is survived", test_status_odd },
};

int main(int argc, char **argv)
{
	return suite_run("text", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
