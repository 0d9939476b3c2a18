// SPDX-License-Identifier: GPL-2.0
/*
 * What kernel_ext needs of C because the kernel has it as inline functions
 * only. Declared in bindings.h, whence bindgen knows it.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/percpu-refcount.h>

#include "bindings.h"

/* Whether the queue's disk is on its way out. */
bool ext_queue_dying(struct request_queue *q)
{
	return blk_queue_dying(q);
}

/*
 * Requeues a request, and has the list of requeued ones run after a while. The
 * list may be run by somebody else before, and the request end: the queue is
 * kept from going away with its work still to be armed.
 */
void ext_requeue(struct request *rq, unsigned long delay_ms)
{
	struct request_queue *q = rq->q;

	percpu_ref_get(&q->q_usage_counter);
	blk_mq_requeue_request(rq, false);
	blk_mq_delay_kick_requeue_list(q, delay_ms);
	percpu_ref_put(&q->q_usage_counter);
}
