/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Strings of the configuration to values; see config_text.h.
 */
#include "config_text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Reads decimal digits without leading zeros at *at, up to max, and moves on.
 * False when there is no such number. */
static bool take_number(const char **at, uint32_t max, uint32_t *value)
{
	const char *c = *at;
	uint64_t sum = 0;

	if (!isdigit((unsigned char)*c) ||
	    (*c == '0' && isdigit((unsigned char)c[1])))
		return false;
	for (; isdigit((unsigned char)*c); c++) {
		sum = sum * 10 + (unsigned)(*c - '0');
		if (sum > max)
			return false;
	}
	*at = c;
	*value = (uint32_t)sum;
	return true;
}

static void skip_spaces(const char **at)
{
	while (**at == ' ' || **at == '\t')
		++*at;
}

/* One range at *at; moves behind it. */
static bool take_range(const char **at, struct config_range *range)
{
	uint32_t first, last;

	if (!take_number(at, 65535, &first))
		return false;
	last = first;
	if (**at == '-') {
		++*at;
		if (!take_number(at, 65535, &last))
			return false;
	}
	if (!first || last < first)
		return false;
	range->first = (uint16_t)first;
	range->last = (uint16_t)last;
	return true;
}

bool config_text_range(const char *text, struct config_range *range)
{
	struct config_range read;

	if (!take_range(&text, &read) || *text)
		return false;
	*range = read;
	return true;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct config_range *left = a, *right = b;

	return (int)left->first - (int)right->first;
}

/* Joins what touches or overlaps; returns the new count. */
static size_t merge_ranges(struct config_range *ranges, size_t count)
{
	size_t kept = 0;

	qsort(ranges, count, sizeof(*ranges), compare_ranges);
	for (size_t i = 1; i < count; i++) {
		struct config_range *last = &ranges[kept];

		if ((uint32_t)ranges[i].first > (uint32_t)last->last + 1)
			ranges[++kept] = ranges[i];
		else if (ranges[i].last > last->last)
			last->last = ranges[i].last;
	}
	return kept + 1;
}

static size_t count_commas(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == ',';
	return count;
}

/* The list itself, into room for every comma plus one. */
static bool take_ranges(const char *text, struct config_range *ranges,
			size_t *count)
{
	for (*count = 0;; text++) {
		skip_spaces(&text);
		if (!take_range(&text, &ranges[*count]))
			return false;
		++*count;
		skip_spaces(&text);
		if (*text != ',')
			return !*text;
	}
}

bool config_text_ranges(const char *text, struct config_range **ranges,
			size_t *count)
{
	struct config_range *list;
	size_t length;

	skip_spaces(&text);
	if (!*text) {
		*ranges = NULL;
		*count = 0;
		return true;
	}
	list = calloc(count_commas(text) + 1, sizeof(*list));
	if (!list) {
		errno = ENOMEM;
		return false;
	}
	if (!take_ranges(text, list, &length)) {
		free(list);
		errno = EINVAL;
		return false;
	}
	*count = merge_ranges(list, length);
	*ranges = list;
	return true;
}

static bool read_address(const char *text, uint32_t *addr)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		return false;
	*addr = ntohl(in.s_addr);
	return true;
}

bool config_text_address(const char *text, uint32_t *addr)
{
	uint32_t read;

	if (!read_address(text, &read))
		return false;
	if (read >> 24 == 0 || read >> 24 == 127 || read >> 24 >= 224)
		return false;
	*addr = read;
	return true;
}

bool config_text_socket(const char *text, uint32_t *addr, uint16_t *port)
{
	const char *colon = strchr(text, ':');
	char host[INET_ADDRSTRLEN];
	uint32_t value;

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return false;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	colon++;
	if (!take_number(&colon, 65535, &value) || *colon || !value)
		return false;
	if (!config_text_address(host, addr))
		return false;
	*port = (uint16_t)value;
	return true;
}

bool config_parse_prefix(const char *text, struct nat_prefix *prefix)
{
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	char host[INET_ADDRSTRLEN];
	uint32_t addr, bits = 32;

	if (length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (slash) {
		slash++;
		if (!take_number(&slash, 32, &bits) || *slash)
			return false;
	}
	if (!read_address(host, &addr))
		return false;
	if (bits < 32 && addr & (UINT32_MAX >> bits))
		return false;
	prefix->addr = addr;
	prefix->length = (uint8_t)bits;
	return true;
}

bool config_text_hex(const char *text, uint32_t *value)
{
	size_t length = strlen(text);

	if (length < 3 || length > 10 || text[0] != '0' ||
	    (text[1] != 'x' && text[1] != 'X') ||
	    strspn(text + 2, "0123456789abcdefABCDEF") != length - 2)
		return false;
	*value = (uint32_t)strtoul(text, NULL, 16);
	return true;
}

bool config_mark_valid(uint64_t mark)
{
	uint64_t low = mark & (~mark + 1);

	return mark && mark <= UINT32_MAX && mark == low * 3;
}

bool config_device_valid(const char *name)
{
	size_t length = strlen(name);

	if (!length || length >= IFNAMSIZ || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("._-@", *name))
			return false;
	return true;
}
