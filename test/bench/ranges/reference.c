/*
 * The yardstick for RangeSet: N random ranges, sorted with qsort, merged, inverted.
 *
 *   reference N SEED
 *
 * prints the milliseconds that sort, merge and invert took, the number of holes, and a checksum of them.
 * The generator and the checksum are also in ../ranges.mjs and must stay the same.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct range {
	uint64_t start;
	uint64_t last;
};

static uint64_t xorshift64(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int by_start_then_last(const void *left, const void *right)
{
	const struct range *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->last > b->last) - (a->last < b->last);
}

/* Sorted ranges in, disjoint ranges that do not touch out, in place. */
static size_t merge(struct range *ranges, size_t count)
{
	size_t merged = 0;

	for (size_t i = 1; i < count; i++) {
		struct range *current = &ranges[merged];

		if (ranges[i].start == 0 || ranges[i].start - 1 <= current->last) {
			if (ranges[i].last > current->last)
				current->last = ranges[i].last;
		} else {
			ranges[++merged] = ranges[i];
		}
	}
	return count ? merged + 1 : 0;
}

static size_t invert(const struct range *ranges, size_t count, struct range *holes)
{
	size_t found = 0;
	uint64_t next = 0;

	for (size_t i = 0; i < count; i++) {
		if (ranges[i].start > next)
			holes[found++] = (struct range){ next, ranges[i].start - 1 };
		if (ranges[i].last == UINT64_MAX)
			return found;
		next = ranges[i].last + 1;
	}
	holes[found++] = (struct range){ next, UINT64_MAX };
	return found;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: %s N SEED\n", argv[0]);
		return 2;
	}
	size_t count = strtoull(argv[1], NULL, 10);
	uint64_t state = strtoull(argv[2], NULL, 10);
	struct range *ranges = malloc(count * sizeof(*ranges));
	if (!ranges)
		return 1;
	for (size_t i = 0; i < count; i++) {
		/* Up to 2^44 long: the average distance of a million starts. About a third is merged away. */
		uint64_t start = xorshift64(&state);
		uint64_t last = start + (xorshift64(&state) >> 20);

		ranges[i] = (struct range){ start, last < start ? UINT64_MAX : last };
	}

	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	qsort(ranges, count, sizeof(*ranges), by_start_then_last);
	size_t merged = merge(ranges, count);
	struct range *holes = malloc((merged + 1) * sizeof(*holes));
	if (!holes)
		return 1;
	size_t found = invert(ranges, merged, holes);
	clock_gettime(CLOCK_MONOTONIC, &to);

	uint64_t checksum = 0;
	for (size_t i = 0; i < found; i++)
		checksum = (checksum * 31 + holes[i].start) * 31 + holes[i].last;
	printf("%.3f %zu %" PRIu64 "\n",
	       (to.tv_sec - from.tv_sec) * 1e3 + (to.tv_nsec - from.tv_nsec) / 1e6, found, checksum);
	free(holes);
	free(ranges);
	return 0;
}
