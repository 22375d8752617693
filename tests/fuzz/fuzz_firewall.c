/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What others' programs print: `nft -j list ruleset`, iptables-save (also to
 * take ours out of it), leases of dnsmasq. An input is its kind and the text;
 * what was understood is used. Judged are texts and packets.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "platform/firewall.h"
#include "platform/names.h"
#include "platform/rules_text.h"

enum { IPTABLES, NFT, BOTH, LEASES, UNDO, KINDS };

/* What refuses a packet in the forward hook, it meets. */
static void judge(const struct firewall *firewall,
		  const struct firewall_packet *packet)
{
	char place[256] = "";
	bool met = firewall_meets(firewall, packet, place, sizeof(place));

	if (met != (place[0] != '\0'))
		fuzz_expect("what is met has no place");
	for (size_t i = 0; i < firewall->chain_count; i++) {
		const struct firewall_chain *chain = &firewall->chains[i];
		enum firewall_judgement judgement =
			firewall_judge(firewall, chain, packet);

		if (judgement > FIREWALL_CLOSED)
			fuzz_expect("there is no such judgement");
		if (judgement == FIREWALL_CLOSED &&
		    chain->hook == FIREWALL_FORWARD && !met)
			fuzz_expect("what refuses it is not met");
		fuzz_judged();
	}
}

static void use(const struct firewall *firewall)
{
	static const struct firewall_packet packets[] = {
		{ "wan0", "lan0", 0x01000000 },
		{ "lan0", "wan0", 0x02000000 },
		{ NULL, NULL, 0 },
	};

	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
		judge(firewall, &packets[i]);
}

static void take_rules(unsigned kind, char *text)
{
	struct firewall *firewall = firewall_new();
	char *other = kind == BOTH ? strchr(text, '\1') : NULL;

	if (!firewall)
		abort();
	if (other)
		*other++ = '\0';
	if (kind != NFT)
		firewall_add_iptables(firewall, RULES_IPTABLES_NFT, text);
	if (kind == NFT || other)
		firewall_add_nft(firewall, other ? other : text);
	use(firewall);
	firewall_free(firewall);
}

/* Only our chains and the jumps to them are touched. */
static void take_undo(const char *save)
{
	char *text = NULL, *from, *line;
	size_t size, lines;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	lines = rules_iptables_undo(save, "raw", ":PORTICO-KEPT - [0:0]\n",
				    out);
	fclose(out);
	from = text;
	while ((line = strsep(&from, "\n"))) {
		lines -= *line != '\0';
		if (*line && !strstr(line, "PORTICO-"))
			fuzz_expect("another's rule is undone");
		if (strstr(line, "-X PORTICO-KEPT") &&
		    strlen(line) == strlen("-X PORTICO-KEPT"))
			fuzz_expect("what is kept goes");
	}
	if (lines)
		fuzz_expect("lines are miscounted");
	free(text);
}

/* The reader takes files only, and no links. */
static void take_leases(struct fuzz_bytes input)
{
	static char path[] = "/dev/shm/portico-fuzz-XXXXXX";
	const char *const files[] = { path, NULL };
	int fd = mkstemp(path);
	struct names *names;

	if (fd < 0)
		return;
	if (write(fd, input.at, input.left) == (ssize_t)input.left) {
		names = names_read(files);
		names_find(names, 0xc0a8010aU);
		names_free(names);
	}
	close(fd);
	unlink(path);
	memset(path + strlen(path) - 6, 'X', 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes input = { data, size };
	unsigned kind = fuzz_u8(&input) % KINDS;
	char *text;

	fuzz_judged();
	if (kind == LEASES) {
		take_leases(input);
	} else {
		text = fuzz_text(input);
		if (kind == UNDO)
			take_undo(text);
		else
			take_rules(kind, text);
		free(text);
	}
	return 0;
}
