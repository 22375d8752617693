/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SipHash against the vectors of its authors (key 00..0f, message 00, 01, ...
 * of every length), for the rounds of the paper and for those of the tables.
 */
#include <stdlib.h>
#include <string.h>

#include "nat/siphash.h"
#include "suite.h"

/* SipHash-2-4 of messages of 0..63 bytes. */
static const uint64_t vectors_2_4[64] = {
	0x726fdb47dd0e0e31U, 0x74f839c593dc67fdU, 0x0d6c8009d9a94f5aU,
	0x85676696d7fb7e2dU, 0xcf2794e0277187b7U, 0x18765564cd99a68dU,
	0xcbc9466e58fee3ceU, 0xab0200f58b01d137U, 0x93f5f5799a932462U,
	0x9e0082df0ba9e4b0U, 0x7a5dbbc594ddb9f3U, 0xf4b32f46226bada7U,
	0x751e8fbc860ee5fbU, 0x14ea5627c0843d90U, 0xf723ca908e7af2eeU,
	0xa129ca6149be45e5U, 0x3f2acc7f57c29bdbU, 0x699ae9f52cbe4794U,
	0x4bc1b3f0968dd39cU, 0xbb6dc91da77961bdU, 0xbed65cf21aa2ee98U,
	0xd0f2cbb02e3b67c7U, 0x93536795e3a33e88U, 0xa80c038ccd5ccec8U,
	0xb8ad50c6f649af94U, 0xbce192de8a85b8eaU, 0x17d835b85bbb15f3U,
	0x2f2e6163076bcfadU, 0xde4daaaca71dc9a5U, 0xa6a2506687956571U,
	0xad87a3535c49ef28U, 0x32d892fad841c342U, 0x7127512f72f27cceU,
	0xa7f32346f95978e3U, 0x12e0b01abb051238U, 0x15e034d40fa197aeU,
	0x314dffbe0815a3b4U, 0x027990f029623981U, 0xcadcd4e59ef40c4dU,
	0x9abfd8766a33735cU, 0x0e3ea96b5304a7d0U, 0xad0c42d6fc585992U,
	0x187306c89bc215a9U, 0xd4a60abcf3792b95U, 0xf935451de4f21df2U,
	0xa9538f0419755787U, 0xdb9acddff56ca510U, 0xd06c98cd5c0975ebU,
	0xe612a3cb9ecba951U, 0xc766e62cfcadaf96U, 0xee64435a9752fe72U,
	0xa192d576b245165aU, 0x0a8787bf8ecb74b2U, 0x81b3e73d20b49b6fU,
	0x7fa8220ba3b2eceaU, 0x245731c13ca42499U, 0xb78dbfaf3a8d83bdU,
	0xea1ad565322a1a0bU, 0x60e61c23a3795013U, 0x6606d7e446282b93U,
	0x6ca4ecb15c5f91e1U, 0x9f626da15c9625f3U, 0xe51b38608ef25f57U,
	0x958a324ceb064572U,
};

/* SipHash-1-3 of messages of 0..16 bytes. */
static const uint64_t vectors_1_3[17] = {
	0xabac0158050fc4dcU, 0xc9f49bf37d57ca93U, 0x82cb9b024dc7d44dU,
	0x8bf80ab8e7ddf7fbU, 0xcf75576088d38328U, 0xdef9d52f49533b67U,
	0xc50d2b50c59f22a7U, 0xd3927d989bb11140U, 0x369095118d299a8eU,
	0x25a48eb36c063de4U, 0x79de85ee92ff097fU, 0x70c118c1f94dc352U,
	0x78a384b157b4d9a2U, 0x306f760c1229ffa7U, 0x605aa111c0f95d34U,
	0xd320d86d2a519956U, 0xcc4fdd1a7d908b66U,
};

static struct nat_siphash_key key(void)
{
	uint8_t bytes[16];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	return nat_siphash_key(bytes);
}

static uint64_t hash_of_length(size_t length, unsigned c, unsigned d)
{
	struct nat_siphash_key the_key = key();
	uint8_t *message = malloc(length ? length : 1);
	uint64_t hash;

	CU_ASSERT_PTR_NOT_NULL_FATAL(message);
	for (size_t i = 0; i < length; i++)
		message[i] = (uint8_t)i;
	hash = nat_siphash(&the_key, message, length, c, d);
	free(message);
	return hash;
}

static void test_key(void)
{
	CU_ASSERT_EQUAL(key().k0, 0x0706050403020100U);
	CU_ASSERT_EQUAL(key().k1, 0x0f0e0d0c0b0a0908U);
}

static void test_2_4(void)
{
	for (size_t length = 0; length < 64; length++)
		CU_ASSERT_EQUAL(hash_of_length(length, 2, 4),
				vectors_2_4[length]);
}

static void test_1_3(void)
{
	for (size_t length = 0; length < 17; length++)
		CU_ASSERT_EQUAL(hash_of_length(length, 1, 3),
				vectors_1_3[length]);
}

static void test_words(void)
{
	struct nat_siphash_key the_key = key();

	CU_ASSERT_EQUAL(nat_siphash_8(&the_key, 0x0706050403020100U),
			vectors_1_3[8]);
	CU_ASSERT_EQUAL(nat_siphash_16(&the_key, 0x0706050403020100U,
				       0x0f0e0d0c0b0a0908U),
			vectors_1_3[16]);
}

static void test_other_key(void)
{
	struct nat_siphash_key one = { 1, 0 }, two = { 0, 1 };

	CU_ASSERT_NOT_EQUAL(nat_siphash_8(&one, 7), nat_siphash_8(&two, 7));
	CU_ASSERT_NOT_EQUAL(nat_siphash_8(&one, 7), nat_siphash_8(&one, 8));
	CU_ASSERT_NOT_EQUAL(nat_siphash_16(&one, 7, 8),
			    nat_siphash_16(&one, 8, 7));
}

static const struct test tests[] = {
	{ "the key is read in little-endian halves", test_key },
	{ "SipHash-2-4 gives the vectors of its authors", test_2_4 },
	{ "SipHash-1-3 gives known values", test_1_3 },
	{ "the forms for words equal the general form", test_words },
	{ "another key or message gives another hash", test_other_key },
};

int main(int argc, char **argv)
{
	return suite_run("siphash", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
