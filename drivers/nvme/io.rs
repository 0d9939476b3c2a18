// SPDX-License-Identifier: GPL-2.0

//! How a request becomes a command, and ends.
//!
//! NVM Command Set Specification 1.1, sections 3.2 (Read), 3.3 (Write) and NVM Express Base
//! Specification 2.1, sections 4.3.1 (PRP lists) and 7.2 (Flush). Documentation/request.md follows
//! one request through this file.

use crate::{
    describe::{with_data, Described, Prepared},
    discard::{self, Ranges},
    failure,
    io_queue::{IoQueue, ListPools, Submission},
    namespace::Namespace,
    placement, protection,
    zoned::{self, Zones},
};
use kernel::{prelude::*, sync::Arc};
use kernel_ext::{
    block::{
        mq::{Batch, Op, Operations, Rejected, Request, RequestList, ZoneReport},
        Status as BlockStatus,
    },
    dma::Block,
};
use nvme_proto::{cid::CommandId, command::Command, prp::MAX_LIST_PAGES, status::Status};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// The driver's block operations.
pub(crate) struct Io;

/// What the driver keeps with a request, while the controller works on its command.
pub(crate) struct RequestData {
    /// The pages of the list that describes its data.
    pub(crate) lists: [Option<Block>; MAX_LIST_PAGES],
    /// The ranges that it discards.
    pub(crate) ranges: Option<Ranges>,
    /// How its command ended, if that was not well.
    pub(crate) status: Status,
    /// Its command, from when that is made to when it is sent along with others; of a request of
    /// the driver's own, from the start.
    pub(crate) prepared: Prepared,
}

impl Default for RequestData {
    fn default() -> Self {
        RequestData {
            lists: Default::default(),
            ranges: None,
            status: Status::SUCCESS,
            prepared: Prepared::without_data(Command::flush(0)),
        }
    }
}

impl RequestData {
    /// Frees what only the command needed.
    #[inline]
    pub(crate) fn free(&mut self, op: Op) {
        if op == Op::Discard {
            self.ranges = None;
        }
        // List pages are taken in order: the first empty place ends them.
        for list in &mut self.lists {
            if list.take().is_none() {
                break;
            }
        }
    }
}

/// Makes the command for `rq`.
#[inline]
fn prepare(
    pools: &ListPools,
    namespace: &Namespace,
    rq: &mut Request<Io>,
) -> Result<Prepared, BlockStatus> {
    let op = rq.op();
    match op {
        Op::Read | Op::Write | Op::WriteZeroes | Op::ZoneAppend => {}
        Op::Flush => return Ok(Prepared::without_data(Command::flush(namespace.nsid))),
        Op::Discard => {
            let command = discard::prepare(pools, namespace, rq)?;
            return Ok(Prepared::without_data(command));
        }
        Op::Driver => return Ok(rq.data().prepared),
        _ => return zoned::prepare(pools, namespace, rq),
    }
    let (slba, nlb0) = namespace
        .transfer(rq.sector(), rq.bytes())
        .ok_or(BlockStatus::INVALID)?;
    let command = match op {
        Op::Write => {
            if rq.atomic() && !namespace.atomic.holds(rq.sector(), rq.bytes()) {
                return Err(BlockStatus::INVALID);
            }
            let command = Command::write(namespace.nsid, slba, nlb0, rq.fua());
            match &namespace.streams {
                None => command,
                Some(streams) => placement::placed(command, streams, rq),
            }
        }
        Op::WriteZeroes => {
            let deallocate = namespace.zeroes_deallocate && !rq.stays_allocated();
            let command = Command::write_zeroes(namespace.nsid, slba, nlb0, deallocate, rq.fua());
            return Ok(Prepared::without_data(protection::zeroes(
                namespace, command,
            )));
        }
        Op::ZoneAppend if namespace.zones.is_some() => {
            Command::zone_append(namespace.nsid, slba, nlb0, rq.fua())
        }
        Op::Read => Command::read(namespace.nsid, slba, nlb0),
        _ => return Err(BlockStatus::NOT_SUPPORTED),
    };
    let command = if rq.fails_fast_in_device() || rq.reads_ahead() {
        in_haste(rq, command)
    } else {
        command
    };
    let command = if namespace.metadata.is_some() {
        protection::carry(namespace, rq, command, u32::from(nlb0).wrapping_add(1))?
    } else {
        command
    };
    with_data(pools, namespace, rq, command)
}

/// The command for a request that would rather have an error soon than success late.
fn in_haste(rq: &Request<Io>, command: Command) -> Command {
    let command = command.with_limited_retry();
    match rq.op() {
        Op::Read if rq.reads_ahead() => command.with_speculation(),
        _ => command,
    }
}

/// Puts `rq` into the table of requests in flight and its command into the queue's ring. The
/// request comes back if the queue takes no more.
#[inline]
fn send(
    hw: &IoQueue,
    submission: &mut Submission,
    rq: Request<Io>,
    prepared: Prepared,
) -> Result<(), Request<Io>> {
    if !submission.usable {
        return Err(rq);
    }
    let ticket = hw.in_flight.put(rq)?;
    match prepared.described {
        Described::InCommand => {}
        Described::PrpList => submission.single_lists = submission.single_lists.wrapping_add(1),
        Described::ChainedPrpList => {
            submission.chained_lists = submission.chained_lists.wrapping_add(1)
        }
        Described::Sgl => submission.sgls = submission.sgls.wrapping_add(1),
    }
    let id = CommandId::new(ticket.tag, ticket.generation);
    submission.queue.push(&prepared.command.with_cid(id.raw()));
    Ok(())
}

impl Operations for Io {
    type OwnerModule = crate::LocalModule;
    type SetData = KVec<Arc<IoQueue>>;
    type HwData = IoQueue;
    type QueueData = Namespace;
    type RequestData = RequestData;
    type Zones = Zones;

    fn init_hctx(queues: &KVec<Arc<IoQueue>>, index: usize) -> Result<Arc<IoQueue>> {
        queues.get(index).cloned().ok_or(EINVAL)
    }

    #[inline]
    fn queue_rq(
        hw: &IoQueue,
        namespace: &Namespace,
        mut rq: Request<Io>,
        last: bool,
    ) -> Result<(), Rejected<Io>> {
        let prepared = match prepare(&hw.pools, namespace, &mut rq) {
            Ok(prepared) => prepared,
            Err(status) => return Err(Rejected(rq, status)),
        };
        let mut submission = hw.submission.lock();
        if let Err(mut rq) = send(hw, &mut submission, rq, prepared) {
            drop(submission);
            let op = rq.op();
            rq.data_mut().free(op);
            return Err(Rejected(rq, BlockStatus::IO_ERROR));
        }
        if last {
            submission.queue.ring();
        }
        Ok(())
    }

    #[inline]
    fn queue_rqs(hw: &IoQueue, namespace: &Namespace, mut list: RequestList<Io>) {
        // The lock is taken once for all, and not while data is mapped, which may mean to copy it.
        list.keep(|rq| {
            rq.data_mut().prepared = prepare(&hw.pools, namespace, rq)?;
            Ok(())
        });
        if list.is_empty() {
            return;
        }
        let mut unsent = RequestList::default();
        let mut submission = hw.submission.lock();
        while let Some(rq) = list.pop_front() {
            let prepared = rq.data().prepared;
            if let Err(rq) = send(hw, &mut submission, rq, prepared) {
                unsent.push_back(rq);
            }
        }
        if submission.usable {
            submission.queue.ring();
        }
        drop(submission);
        unsent.keep(|rq| {
            let op = rq.op();
            rq.data_mut().free(op);
            Err(BlockStatus::IO_ERROR)
        });
    }

    fn commit_rqs(hw: &IoQueue) {
        let mut submission = hw.submission.lock();
        if submission.usable {
            submission.queue.ring();
        }
    }

    fn poll(hw: &IoQueue, batch: &mut Batch<'_, Io>) -> u16 {
        hw.poll(batch)
    }

    fn zones(namespace: &Namespace) -> Option<Zones> {
        Zones::of(namespace)
    }

    fn report_zones(zones: Zones, report: &mut ZoneReport<'_, Io>) -> Result {
        zones.report(report)
    }

    #[inline]
    fn release(data: &mut RequestData, op: Op) {
        data.free(op);
    }

    #[inline]
    fn complete(mut rq: Request<Io>) {
        let op = rq.op();
        rq.data_mut().free(op);
        match rq.status() {
            BlockStatus::OK => rq.end(BlockStatus::OK),
            _ => failure::failed(rq),
        }
    }
}
