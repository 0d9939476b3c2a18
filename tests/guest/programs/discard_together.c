// SPDX-License-Identifier: GPL-2.0
/*
 * Gives back pieces of a block device, all by one submission to io_uring: the
 * kernel plugs the queue meanwhile, and makes of them as few requests as it can.
 * None of the pieces may be in the page cache, or each would go by itself.
 *
 * usage: discard_together DEVICE FIRST LENGTH STRIDE COUNT (in bytes)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/blkdev.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *map_ring(int ring, size_t size, off_t what)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, what);

	if (at == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return at;
}

static unsigned int *word(void *ring, unsigned int offset)
{
	return (unsigned int *)((char *)ring + offset);
}

/* How many of the completions tell of a failure; the first is said. */
static unsigned int failures(const struct io_uring_params *params, void *cq)
{
	const struct io_uring_cqe *entries = (void *)((char *)cq + params->cq_off.cqes);
	unsigned int mask = *word(cq, params->cq_off.ring_mask);
	unsigned int head = *word(cq, params->cq_off.head);
	unsigned int tail = __atomic_load_n(word(cq, params->cq_off.tail), __ATOMIC_ACQUIRE);
	unsigned int failed = 0;

	for (; head != tail; head++) {
		int result = entries[head & mask].res;

		if (result < 0 && !failed++)
			fprintf(stderr, "piece %llu: %s\n", entries[head & mask].user_data,
				strerror(-result));
	}
	return failed;
}

int main(int argc, char **argv)
{
	struct io_uring_params params = { 0 };
	unsigned long first, length, stride, count, i;
	struct io_uring_sqe *entries;
	unsigned int *array;
	int disk, ring, done;
	void *sq, *cq;

	if (argc != 6) {
		fprintf(stderr, "usage: %s DEVICE FIRST LENGTH STRIDE COUNT\n", argv[0]);
		return 2;
	}
	first = strtoul(argv[2], NULL, 0);
	length = strtoul(argv[3], NULL, 0);
	stride = strtoul(argv[4], NULL, 0);
	count = strtoul(argv[5], NULL, 0);
	disk = open(argv[1], O_RDWR | O_DIRECT);
	ring = syscall(__NR_io_uring_setup, count, &params);
	if (disk < 0 || ring < 0) {
		perror(disk < 0 ? argv[1] : "io_uring_setup");
		return 2;
	}
	sq = map_ring(ring, params.sq_off.array + params.sq_entries * sizeof(*array),
		      IORING_OFF_SQ_RING);
	cq = map_ring(ring, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe),
		      IORING_OFF_CQ_RING);
	entries = map_ring(ring, params.sq_entries * sizeof(*entries), IORING_OFF_SQES);
	array = word(sq, params.sq_off.array);
	for (i = 0; i < count; i++) {
		entries[i].opcode = IORING_OP_URING_CMD;
		entries[i].cmd_op = BLOCK_URING_CMD_DISCARD;
		entries[i].fd = disk;
		entries[i].addr = first + i * stride;
		entries[i].addr3 = length;
		entries[i].user_data = i;
		array[i] = i;
	}
	__atomic_store_n(word(sq, params.sq_off.tail), count, __ATOMIC_RELEASE);
	done = syscall(__NR_io_uring_enter, ring, count, count, IORING_ENTER_GETEVENTS, NULL, 0);
	if (done != (int)count) {
		fprintf(stderr, "%d of %lu were taken: %s\n", done, count,
			done < 0 ? strerror(errno) : "");
		return 1;
	}
	return failures(&params, cq) ? 1 : 0;
}
