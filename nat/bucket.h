/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A token bucket, in thousandths of a token: `rate` tokens a second, at most
 * `burst` of them kept.
 */
#ifndef PORTICO_NAT_BUCKET_H
#define PORTICO_NAT_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#define NAT_TOKEN 1000U

struct nat_bucket {
	uint64_t tokens;
	uint64_t stamp_ms; /* when they were counted */
};

/* Counts what has come since; true when there is a token to take. A clock that
 * seems to go back gives nothing. */
static inline bool nat_bucket_has(struct nat_bucket *bucket, uint32_t rate,
				  uint32_t burst, uint64_t now_ms)
{
	uint64_t full = (uint64_t)burst * NAT_TOKEN;

	if (bucket->tokens > full)
		bucket->tokens = full;
	if (now_ms > bucket->stamp_ms) {
		uint64_t spent_ms = now_ms - bucket->stamp_ms;

		/* Longer than it takes to fill: no need to multiply. */
		bucket->tokens = spent_ms > full ?
					 full :
					 bucket->tokens + spent_ms * rate;
		bucket->stamp_ms = now_ms;
	}
	if (bucket->tokens > full)
		bucket->tokens = full;
	return bucket->tokens >= NAT_TOKEN;
}

/* Takes a token that nat_bucket_has() has seen. */
static inline void nat_bucket_take(struct nat_bucket *bucket)
{
	bucket->tokens -= NAT_TOKEN;
}

#endif
