// SPDX-License-Identifier: GPL-2.0
/*
 * What kernel_ext needs of C because the kernel has it as inline functions
 * only. Declared in bindings.h, whence bindgen knows it.
 */
#include <linux/blk-integrity.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/group_cpus.h>
#include <linux/pci.h>
#include <linux/percpu-refcount.h>
#include <linux/slab.h>
#include <linux/topology.h>

#include "bindings.h"

/* Puts a request that ended well into a batch, unless it must end by itself. */
bool ext_add_to_batch(struct request *rq, struct io_comp_batch *batch,
		      void (*end)(struct io_comp_batch *))
{
	return blk_mq_add_to_batch(rq, batch, false, end);
}

/* Keeps a queue of which a request is held from going away. */
void ext_queue_get(struct request_queue *q)
{
	percpu_ref_get(&q->q_usage_counter);
}

void ext_queue_put(struct request_queue *q)
{
	percpu_ref_put(&q->q_usage_counter);
}

/* Whether the queue's disk is on its way out. */
bool ext_queue_dying(struct request_queue *q)
{
	return blk_queue_dying(q);
}

/* Whether the work that sends requeued requests comes soon enough by itself. */
static bool ext_requeue_comes(struct request_queue *q, unsigned long delay_ms)
{
	unsigned long then = jiffies + msecs_to_jiffies(delay_ms);

	/* Whoever finds the work pending finds the request on its list. */
	smp_mb();
	return delayed_work_pending(&q->requeue_work) &&
	       time_before_eq(READ_ONCE(q->requeue_work.timer.expires), then);
}

/*
 * Requeues a request, and has the list of requeued ones run after a while, or
 * earlier if others are due: a kick would put them off. The list may be run
 * before this returns, and the request end: the queue is kept from going away
 * with its work still to be armed.
 */
void ext_requeue(struct request *rq, unsigned long delay_ms)
{
	struct request_queue *q = rq->q;

	percpu_ref_get(&q->q_usage_counter);
	blk_mq_requeue_request(rq, false);
	if (!delay_ms || !ext_requeue_comes(q, delay_ms))
		blk_mq_delay_kick_requeue_list(q, delay_ms);
	percpu_ref_put(&q->q_usage_counter);
}

/* Where in its page the data of a request begins, and where it has gaps. */
void ext_data_shape(struct request *rq, u32 *first_offset, u64 *gaps)
{
	*first_offset = req_bvec(rq).bv_offset;
	*gaps = req_phys_gap_mask(rq);
}

/* Which parts of its protection information are to be checked; false without. */
bool ext_integrity_checks(struct request *rq, u16 *flags, u16 *app_tag)
{
	struct bio_integrity_payload *bip = rq->bio ? bio_integrity(rq->bio) : NULL;

	if (!bip)
		return false;
	*flags = bip->bip_flags;
	*app_tag = bip->app_tag;
	return true;
}

/* Maps the first range of the metadata of a request that has some. */
bool ext_integrity_map(struct request *rq, struct device *dev, struct dma_iova_state *state,
		       struct blk_dma_iter *iter)
{
	return blk_rq_integrity_dma_map_iter_start(rq, dev, state, iter);
}

/* For memory that a device looks at without being coherent with this CPU. */
void ext_full_barrier(void)
{
	/* Pairs with the barrier in the device. */
	mb();
}

/* The NUMA node of the first of these CPUs. */
static int ext_first_node(const struct cpumask *mask)
{
	unsigned int cpu = mask ? cpumask_first(mask) : nr_cpu_ids;

	return cpu < nr_cpu_ids ? cpu_to_node(cpu) : NUMA_NO_NODE;
}

/* The node of a queue with an interrupt vector; the device must have that vector. */
int ext_vector_node(struct pci_dev *pdev, unsigned int index)
{
	return ext_first_node(pci_irq_get_affinity(pdev, index));
}

/* The node of one of the queues that the block layer spreads the CPUs over. */
int ext_spread_node(unsigned int index, unsigned int count)
{
	unsigned int groups = 0;
	struct cpumask *masks = group_cpus_evenly(count, &groups);
	int node = NUMA_NO_NODE;

	if (masks && groups)
		node = ext_first_node(&masks[index % groups]);
	kfree(masks);
	return node;
}

/* Whether a BAR is memory; if so, what of it matters to who maps it. */
bool ext_memory_bar(struct pci_dev *pdev, int bar, u64 *len, u64 *bus_address,
		    bool *prefetchable)
{
	unsigned long flags = pci_resource_flags(pdev, bar);

	*len = pci_resource_len(pdev, bar);
	if (!(flags & IORESOURCE_MEM) || (flags & IORESOURCE_UNSET) || !*len)
		return false;
	*bus_address = pci_bus_address(pdev, bar);
	*prefetchable = flags & IORESOURCE_PREFETCH;
	return true;
}
