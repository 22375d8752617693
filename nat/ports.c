/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Port choice. The two halves of RFC 4787 REQ-3a, 0-1023 and 1024-65535, are
 * whole words of the bitmaps; parity is a mask.
 */
#include "ports.h"

#include <string.h>

#define LOW_WORDS (1024 / 32)
#define EVEN_PORTS 0x55555555U
#define ODD_PORTS 0xaaaaaaaaU
#define ANY_PORTS 0xffffffffU

/* RFC 6056 algorithm 2: tries before the scan that is certain. */
#define RANDOM_TRIES 16

struct half {
	uint32_t first; /* word */
	uint32_t words;
};

static const struct half low_half = { 0, LOW_WORDS };
static const struct half high_half = { LOW_WORDS, NAT_PORT_WORDS - LOW_WORDS };

uint32_t nat_random_next(struct nat_random *random)
{
	return (uint32_t)nat_siphash_8(&random->key, random->counter++);
}

/* A number below n (n at most 65,536: the bias is below 2^-16). */
static uint32_t random_below(struct nat_random *random, uint32_t n)
{
	return (uint32_t)((uint64_t)nat_random_next(random) * n >> 32);
}

static bool bit(const uint32_t *words, uint16_t port)
{
	return words[port >> 5] >> (port & 31) & 1;
}

static uint32_t free_word(const struct nat_ports *ports, uint32_t word)
{
	return ports->allowed[word] & ~ports->bound[word] & ~ports->taken[word];
}

static uint32_t count_bits(uint32_t word)
{
	word -= word >> 1 & 0x55555555U;
	word = (word & 0x33333333U) + (word >> 2 & 0x33333333U);
	return ((word + (word >> 4)) & 0x0f0f0f0fU) * 0x01010101U >> 24;
}

uint32_t nat_ports_count_free(const struct nat_ports *ports)
{
	uint32_t count = 0;

	for (uint32_t word = 0; word < NAT_PORT_WORDS; word++)
		count += count_bits(free_word(ports, word));
	return count;
}

uint32_t nat_ports_count_low(const struct nat_ports *ports)
{
	uint32_t count = 0;

	for (uint32_t word = 0; word < NAT_PORT_WORDS; word++)
		count += count_bits(free_word(ports, word) &
				    ports->low_only[word]);
	return count;
}

uint32_t nat_ports_free(const struct nat_ports *ports)
{
	return ports->free - ports->free_low;
}

uint32_t nat_ports_size(const struct nat_ports *ports)
{
	uint32_t count = 0;

	for (uint32_t word = 0; word < NAT_PORT_WORDS; word++)
		count += count_bits(ports->allowed[word] & ~ports->bound[word] &
				    ~ports->low_only[word]);
	return count;
}

static void count_anew(struct nat_ports *ports)
{
	ports->free = nat_ports_count_free(ports);
	ports->free_low = nat_ports_count_low(ports);
}

static void load_set(uint32_t *words, const struct nat_portset *set)
{
	for (uint32_t word = 0; word < NAT_PORT_WORDS; word++) {
		const uint8_t *bits = &set->bits[word * 4];

		words[word] = bits[0] | (uint32_t)bits[1] << 8 |
			      (uint32_t)bits[2] << 16 | (uint32_t)bits[3] << 24;
	}
}

void nat_ports_allow(struct nat_ports *ports, const struct nat_portset *allowed,
		     const struct nat_portset *low_only)
{
	load_set(ports->allowed, allowed);
	load_set(ports->low_only, low_only);
	ports->allowed[0] &= ~1U; /* port 0 is reserved (RFC 6335 6) */
	count_anew(ports);
}

void nat_ports_bind(struct nat_ports *ports, const struct nat_portset *bound)
{
	load_set(ports->bound, bound);
	count_anew(ports);
}

bool nat_ports_allowed(const struct nat_ports *ports, uint16_t port)
{
	return bit(ports->allowed, port);
}

bool nat_ports_usable(const struct nat_ports *ports, uint16_t port)
{
	return bit(ports->allowed, port) && !bit(ports->bound, port);
}

bool nat_ports_taken(const struct nat_ports *ports, uint16_t port)
{
	return bit(ports->taken, port);
}

void nat_ports_take(struct nat_ports *ports, uint16_t port)
{
	if (nat_ports_usable(ports, port) && !bit(ports->taken, port)) {
		ports->free--;
		ports->free_low -= bit(ports->low_only, port);
	}
	ports->taken[port >> 5] |= 1U << (port & 31);
}

void nat_ports_release(struct nat_ports *ports, uint16_t port)
{
	if (nat_ports_usable(ports, port) && bit(ports->taken, port)) {
		ports->free++;
		ports->free_low += bit(ports->low_only, port);
	}
	ports->taken[port >> 5] &= ~(1U << (port & 31));
}

struct choice {
	const struct nat_ports *ports;
	struct nat_random *random;
	bool low; /* the inside port is below 1024 */
};

/* The free ports of a word that this inside port may have. */
static uint32_t candidates(const struct choice *choice, uint32_t word)
{
	uint32_t free = free_word(choice->ports, word);

	return choice->low ? free : free & ~choice->ports->low_only[word];
}

static int32_t pick_bit(struct nat_random *random, uint32_t word, uint32_t bits)
{
	uint32_t skip = random_below(random, count_bits(bits));

	while (skip--)
		bits &= bits - 1;
	return (int32_t)(word * 32 + count_bits((bits & -bits) - 1));
}

static int32_t choose_at_random(const struct choice *choice,
				const struct half *half, uint32_t mask)
{
	for (int i = 0; i < RANDOM_TRIES; i++) {
		uint32_t at = half->first * 32 +
			      random_below(choice->random, half->words * 32);
		uint32_t bits = candidates(choice, at >> 5) & mask;

		/* Within parity: the port itself or its neighbour. */
		if (mask != ANY_PORTS)
			at = (at & ~1U) | (mask == ODD_PORTS);
		if (bits >> (at & 31) & 1)
			return (int32_t)at;
	}
	return -1;
}

static int32_t choose_by_scan(const struct choice *choice,
			      const struct half *half, uint32_t mask)
{
	uint32_t start = random_below(choice->random, half->words);

	for (uint32_t i = 0; i < half->words; i++) {
		uint32_t word = half->first + (start + i) % half->words;
		uint32_t bits = candidates(choice, word) & mask;

		if (bits)
			return pick_bit(choice->random, word, bits);
	}
	return -1;
}

static int32_t choose_in(const struct choice *choice, const struct half *half,
			 uint32_t mask)
{
	int32_t port = choose_at_random(choice, half, mask);

	return port >= 0 ? port : choose_by_scan(choice, half, mask);
}

int32_t nat_ports_choose(const struct nat_ports *ports,
			 struct nat_random *random, uint16_t wanted,
			 bool parity)
{
	struct choice choice = { ports, random, wanted < 1024 };
	const struct half *own = choice.low ? &low_half : &high_half;
	const struct half *other = choice.low ? &high_half : &low_half;
	uint32_t mask = !parity	   ? ANY_PORTS :
			wanted & 1 ? ODD_PORTS :
				     EVEN_PORTS;
	int32_t port;

	if (candidates(&choice, wanted >> 5) >> (wanted & 31) & 1)
		return wanted;
	if (!ports->free)
		return -1;
	port = choose_in(&choice, own, mask);
	if (port < 0 && mask != ANY_PORTS)
		port = choose_in(&choice, own, ANY_PORTS);
	if (port < 0)
		port = choose_in(&choice, other, mask);
	if (port < 0 && mask != ANY_PORTS)
		port = choose_in(&choice, other, ANY_PORTS);
	return port;
}
