/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "siphash.h"

struct state {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void round_once(struct state *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 = rotate(s->v0, 32) + s->v3;
	s->v2 += s->v1;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static inline struct state start(const struct nat_siphash_key *key)
{
	/* The constants spell "somepseudorandomlygeneratedbytes". */
	return (struct state){ key->k0 ^ 0x736f6d6570736575U,
			       key->k1 ^ 0x646f72616e646f6dU,
			       key->k0 ^ 0x6c7967656e657261U,
			       key->k1 ^ 0x7465646279746573U };
}

static inline void compress(struct state *s, uint64_t word, unsigned c)
{
	s->v3 ^= word;
	for (unsigned i = 0; i < c; i++)
		round_once(s);
	s->v0 ^= word;
}

static inline uint64_t finish(struct state *s, unsigned d)
{
	s->v2 ^= 0xff;
	for (unsigned i = 0; i < d; i++)
		round_once(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static uint64_t load_little(const uint8_t *at, size_t bytes)
{
	uint64_t word = 0;

	for (size_t i = 0; i < bytes; i++)
		word |= (uint64_t)at[i] << (8 * i);
	return word;
}

struct nat_siphash_key nat_siphash_key(const uint8_t bytes[16])
{
	return (struct nat_siphash_key){ load_little(bytes, 8),
					 load_little(bytes + 8, 8) };
}

uint64_t nat_siphash(const struct nat_siphash_key *key, const uint8_t *data,
		     size_t length, unsigned c, unsigned d)
{
	struct state s = start(key);
	size_t left = length;

	for (; left >= 8; data += 8, left -= 8)
		compress(&s, load_little(data, 8), c);
	compress(&s, load_little(data, left) | (uint64_t)(length & 0xff) << 56,
		 c);
	return finish(&s, d);
}

uint64_t nat_siphash_8(const struct nat_siphash_key *key, uint64_t word)
{
	struct state s = start(key);

	compress(&s, word, 1);
	compress(&s, (uint64_t)8 << 56, 1);
	return finish(&s, 3);
}

uint64_t nat_siphash_16(const struct nat_siphash_key *key, uint64_t first,
			uint64_t second)
{
	struct state s = start(key);

	compress(&s, first, 1);
	compress(&s, second, 1);
	compress(&s, (uint64_t)16 << 56, 1);
	return finish(&s, 3);
}
