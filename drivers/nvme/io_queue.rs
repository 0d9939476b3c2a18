// SPDX-License-Identifier: GPL-2.0

//! An I/O queue pair: what submitters share under one lock, and what its interrupt owns.
//!
//! The two sides meet in the table of requests in flight alone (`kernel_ext::block::mq`), so the
//! interrupt's side takes no lock.

use crate::{
    cmb::Place,
    counters::Counters,
    doorbell::{Bell, ShadowBuffers},
    io::Io,
    module_parameters,
    queue::{CompletionQueue, SubmissionQueue},
    registers::Registers,
    zoned,
};
use kernel::{
    device::{Bound, Device},
    new_spinlock,
    prelude::*,
    str::CString,
    sync::{Arc, SpinLock},
};
use kernel_ext::{
    block::{
        mq::{Batch, Claimer, InFlight, Op, Ticket},
        Status as BlockStatus,
    },
    dma::Pool,
    irq::Handler,
    numa::Node,
};
use nvme_proto::{
    cid::CommandId,
    completion::Completion,
    limits::{doorbell_offset, MAX_TRANSFER},
    prp::MAX_LIST_PAGES,
    PAGE,
};

#[cfg(CONFIG_KUNIT = "y")]
pub(crate) mod tests;

/// 64-bit words of a PRP list page.
pub(crate) const LIST_WORDS: usize = PAGE as usize / 8;
/// 64-bit words of a short PRP list: 32 entries, 128 KiB of data.
pub(crate) const SHORT_LIST_WORDS: usize = 32;

/// How many entries of a PRP list's first page are used.
fn list_room() -> usize {
    (module_parameters::prp_list_room.value() as usize).clamp(2, LIST_WORDS)
}

/// How many pages a list has for sure room in.
pub(crate) fn full_list_pages() -> usize {
    if list_room() == LIST_WORDS {
        MAX_LIST_PAGES
    } else {
        // The first one has less.
        MAX_LIST_PAGES.wrapping_sub(1)
    }
}

/// The longest transfer in bytes that the pages of one list can describe.
pub(crate) fn longest_transfer() -> u32 {
    // A short first page could take one page more than there is room for, at full length.
    if list_room() == LIST_WORDS {
        MAX_TRANSFER
    } else {
        MAX_TRANSFER / 2
    }
}

/// Memory for the lists of the queues of one NUMA node.
#[derive(Clone)]
pub(crate) struct ListPools {
    /// For lists of up to [`SHORT_LIST_WORDS`] entries.
    pub(crate) short: Arc<Pool>,
    /// For whole list pages.
    pub(crate) page: Arc<Pool>,
    /// How many entries of a list's first page are used: all, or fewer to try chaining.
    pub(crate) first_room: usize,
}

impl ListPools {
    /// Pools for the CPUs of `node`. May sleep; `ENOMEM`.
    pub(crate) fn new(dev: &Device<Bound>, node: Node) -> Result<Self> {
        let short = CString::try_from_fmt(fmt!("rnvme short lists {node}"))?;
        let page = CString::try_from_fmt(fmt!("rnvme list pages {node}"))?;
        Ok(ListPools {
            short: Pool::new(dev, &short, SHORT_LIST_WORDS, node)?,
            page: Pool::new(dev, &page, LIST_WORDS, node)?,
            first_room: list_room(),
        })
    }
}

/// The pools of a controller: two for each NUMA node that has queues, so that CPUs of different
/// nodes share none.
pub(crate) struct NodePools(KVec<(Node, ListPools)>);

impl NodePools {
    pub(crate) fn new() -> Self {
        NodePools(KVec::new())
    }

    /// The pools for queues of `node`, made when they are first asked for. May sleep; `ENOMEM`.
    pub(crate) fn of_node(&mut self, dev: &Device<Bound>, node: Node) -> Result<ListPools> {
        if let Some((_, pools)) = self.0.iter().find(|(known, _)| *known == node) {
            return Ok(pools.clone());
        }
        let pools = ListPools::new(dev, node)?;
        self.0.push((node, pools.clone()), GFP_KERNEL)?;
        Ok(pools)
    }
}

/// The memory that a queue pair is to have.
pub(crate) struct QueueMemory {
    pub(crate) pools: ListPools,
    /// Of the submission queue in the controller's memory; else it is in the host's.
    pub(crate) place: Option<Place>,
}

/// What submitters share.
pub(crate) struct Submission {
    pub(crate) queue: SubmissionQueue,
    /// Cleared before the controller is taken away: no command is sent any more.
    pub(crate) usable: bool,
    /// Requests with a PRP list of one page, and of more, for sysfs.
    pub(crate) single_lists: u64,
    pub(crate) chained_lists: u64,
    /// Requests with a scatter gather list.
    pub(crate) sgls: u64,
}

/// An I/O queue pair, as submitters see it.
#[pin_data]
pub(crate) struct IoQueue {
    pub(crate) qid: u16,
    pub(crate) pools: ListPools,
    pub(crate) in_flight: InFlight<Io>,
    #[pin]
    pub(crate) submission: SpinLock<Submission>,
    /// The completion side, where no interrupt has it: of a queue that is polled.
    #[pin]
    pub(crate) polled: SpinLock<Option<Completions>>,
}

/// An I/O queue pair's completion side; it belongs to the interrupt.
pub(crate) struct Completions {
    qid: u16,
    entries: u16,
    queue: CompletionQueue,
    claimer: Claimer<Io>,
    counters: Arc<Counters>,
}

/// Where a new queue pair lies, for the commands that create it.
pub(crate) struct Placement {
    pub(crate) sq: u64,
    pub(crate) cq: u64,
}

impl IoQueue {
    /// Allocates queue pair `qid` of `entries` entries. May sleep.
    pub(crate) fn new(
        dev: &Device<Bound>,
        registers: &Registers,
        qid: u16,
        entries: u16,
        memory: QueueMemory,
        counters: Arc<Counters>,
        shadow: Option<&Arc<ShadowBuffers>>,
    ) -> Result<(Arc<Self>, Completions, Placement)> {
        let stride = registers.cap().doorbell_stride();
        let sq_doorbell = registers.doorbell(doorbell_offset(qid, stride, false))?;
        let cq_doorbell = registers.doorbell(doorbell_offset(qid, stride, true))?;
        let sq_bell = Bell::new(sq_doorbell).with_shadow(shadow, qid, false);
        let cq_bell = Bell::new(cq_doorbell).with_shadow(shadow, qid, true);
        let sq = SubmissionQueue::new(dev, entries, sq_bell, memory.place)?;
        let cq = CompletionQueue::new(dev, entries, cq_bell)?;
        let placement = Placement {
            sq: sq.dma_address(),
            cq: cq.dma_address(),
        };
        // One slot of the ring stays empty, so there is a tag less than there are entries.
        let (in_flight, claimer) = InFlight::new(entries.saturating_sub(1))?;
        let submission = Submission {
            queue: sq,
            usable: true,
            single_lists: 0,
            chained_lists: 0,
            sgls: 0,
        };
        let queue = Arc::pin_init(
            pin_init!(IoQueue {
                qid,
                pools: memory.pools,
                in_flight,
                submission <- new_spinlock!(submission),
                polled <- new_spinlock!(None),
            }),
            GFP_KERNEL,
        )?;
        Ok((
            queue,
            Completions {
                qid,
                entries,
                queue: cq,
                claimer,
                counters,
            },
            placement,
        ))
    }

    /// Ends what the controller has finished of a queue that is polled, and says how much that was.
    pub(crate) fn poll(&self, batch: &mut Batch<'_, Io>) -> u16 {
        match &mut *self.polled.lock() {
            Some(completions) => completions.drain(batch),
            None => 0,
        }
    }

    /// No command is sent on this queue any more; what comes is rejected.
    pub(crate) fn stop(&self) {
        self.submission.lock().usable = false;
    }
}

impl Completions {
    /// Ends what the controller has finished, and says how much that was.
    #[inline]
    fn drain(&mut self, batch: &mut Batch<'_, Io>) -> u16 {
        let Completions {
            qid,
            entries,
            queue,
            claimer,
            counters,
        } = self;
        queue.drain(|entry| complete(entry, *qid, *entries, claimer, counters, batch))
    }

    /// Ends every request still in flight with an error.
    ///
    /// Only once the controller can no longer write to their data.
    pub(crate) fn cancel_all(&mut self) -> u32 {
        let mut cancelled = 0u32;
        let mut from = 0;
        while let Some((mut request, next)) = self.claimer.claim_any_from(from) {
            let op = request.op();
            request.data_mut().free(op);
            drop(request);
            cancelled = cancelled.wrapping_add(1);
            from = next;
        }
        cancelled
    }
}

/// Ends the request that `completion` names. What the controller says of its submission queue is
/// looked at only to be counted.
#[inline]
fn complete(
    completion: Completion,
    qid: u16,
    entries: u16,
    claimer: &mut Claimer<Io>,
    counters: &Counters,
    batch: &mut Batch<'_, Io>,
) {
    if completion.sq_id != qid || completion.sq_head >= entries {
        counters.odd(qid, completion.sq_id, completion.sq_head);
    }
    let id = CommandId::from_raw(completion.cid);
    match claimer.claim(Ticket {
        tag: id.tag(),
        generation: id.generation(),
    }) {
        Some(request) if completion.status.is_success() => match request.op() {
            Op::ZoneAppend => zoned::appended(request, completion.result, batch),
            _ => request.complete_in(batch),
        },
        Some(mut request) => {
            request.data_mut().status = completion.status;
            request.complete(BlockStatus::IO_ERROR);
        }
        None => counters.dropped(qid, completion.cid),
    }
}

impl Handler for Completions {
    fn handle(&mut self) -> bool {
        let seen = Batch::with(|batch| self.drain(batch));
        if seen == 0 {
            self.counters.spurious();
        }
        seen != 0
    }
}
