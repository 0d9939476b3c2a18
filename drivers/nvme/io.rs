// SPDX-License-Identifier: GPL-2.0

//! How a request becomes a command, and ends.
//!
//! NVM Command Set Specification 1.1, sections 3.2 (Read), 3.3 (Write) and NVM Express Base
//! Specification 2.1, sections 4.3.1 (PRP lists) and 7.2 (Flush). Documentation/request.md follows
//! one request through this file.

use crate::{
    discard::{self, Ranges},
    failure,
    io_queue::{IoQueue, ListPools, LIST_WORDS, SHORT_LIST_WORDS},
    namespace::Namespace,
};
use core::mem::size_of;
use kernel::{prelude::*, sync::Arc};
use kernel_ext::{
    block::{
        mq::{Op, Operations, Rejected, Request},
        Status as BlockStatus,
    },
    dma::Block,
};
use nvme_proto::{
    cid::CommandId,
    command::Command,
    prp::{self, LayoutError, ListPages, Segment, MAX_LIST_PAGES},
    status::Status,
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// The driver's block operations.
pub(crate) struct Io;

/// What the driver keeps with a request, while the controller works on its command.
pub(crate) struct RequestData {
    /// The pages of its PRP list.
    lists: [Option<Block>; MAX_LIST_PAGES],
    /// The ranges that it discards.
    pub(crate) ranges: Option<Ranges>,
    /// How its command ended, if that was not well.
    pub(crate) status: Status,
}

impl Default for RequestData {
    fn default() -> Self {
        RequestData {
            lists: Default::default(),
            ranges: None,
            status: Status::SUCCESS,
        }
    }
}

impl RequestData {
    /// Frees what only the command needed.
    #[inline]
    fn free(&mut self, op: Op) {
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

/// Where a request's PRP list grows.
struct Lists<'a> {
    pools: &'a ListPools,
    pages: [Option<Block>; MAX_LIST_PAGES],
    count: usize,
    /// The word of the first page where the list begins.
    begin: usize,
}

impl ListPages for Lists<'_> {
    type Error = Error;

    #[inline]
    fn first_room(&self) -> usize {
        self.pools.first_room
    }

    fn add_page(&mut self, entries: usize) -> Result<u64> {
        // A list runs to the end of a page before it goes on in the next, so a first page of
        // which less is used is used from its end. The next begins at a page's base, as no short
        // block does for sure.
        let first = self.count == 0;
        let begin = if first {
            LIST_WORDS.saturating_sub(self.pools.first_room)
        } else {
            0
        };
        let short = first && begin == 0 && entries <= SHORT_LIST_WORDS;
        let pool = if short {
            &self.pools.short
        } else {
            &self.pools.page
        };
        let place = self.pages.get_mut(self.count).ok_or(E2BIG)?;
        let block = place.insert(pool.alloc()?);
        if first {
            self.begin = begin;
        }
        self.count = self.count.wrapping_add(1);
        let offset = begin.wrapping_mul(size_of::<u64>()) as u64;
        Ok(block.dma_address().wrapping_add(offset))
    }

    #[inline]
    fn write(&mut self, page: usize, index: usize, entry: u64) {
        let begin = if page == 0 { self.begin } else { 0 };
        if let Some(Some(block)) = self.pages.get(page) {
            // The layout stays within the entries it asked for, so this cannot fail.
            let _ = block.write(begin.wrapping_add(index), entry);
        }
    }
}

/// A command that lacks only its identifier, and how many list pages go with it.
struct Prepared {
    command: Command,
    list_pages: usize,
}

/// Maps the data of `rq` and describes it to the controller in `command`.
#[inline]
fn with_data(
    pools: &ListPools,
    rq: &mut Request<Io>,
    command: Command,
) -> Result<Prepared, BlockStatus> {
    let bytes = rq.bytes();
    let mut lists = Lists {
        pools,
        pages: Default::default(),
        count: 0,
        begin: 0,
    };
    let mut segments = rq.map_data();
    let ranges = segments.by_ref().map(|s| Segment {
        addr: s.addr,
        len: s.len,
    });
    let layout = prp::layout(bytes, ranges, &mut lists);
    // An early end of the mapping is the cause of whatever the layout then says.
    segments.finish()?;
    let pointer = layout.map_err(|error| match error {
        LayoutError::Memory(_) => BlockStatus::RESOURCE,
        _ => BlockStatus::INVALID,
    })?;
    let list_pages = lists.count;
    if list_pages != 0 {
        rq.data_mut().lists = lists.pages;
    }
    Ok(Prepared {
        command: command.with_data(pointer.prp1, pointer.prp2),
        list_pages,
    })
}

/// Makes the command for `rq`.
#[inline]
fn prepare(
    pools: &ListPools,
    namespace: &Namespace,
    rq: &mut Request<Io>,
) -> Result<Prepared, BlockStatus> {
    let op = rq.op();
    if op == Op::Flush {
        return Ok(Prepared {
            command: Command::flush(namespace.nsid),
            list_pages: 0,
        });
    }
    if op == Op::Discard {
        let command = discard::prepare(pools, namespace, rq)?;
        return Ok(Prepared {
            command,
            list_pages: 0,
        });
    }
    let (slba, nlb0) = namespace
        .transfer(rq.sector(), rq.bytes())
        .ok_or(BlockStatus::INVALID)?;
    let command = match op {
        Op::Read => Command::read(namespace.nsid, slba, nlb0),
        Op::Write => Command::write(namespace.nsid, slba, nlb0, rq.fua()),
        Op::WriteZeroes => {
            let deallocate = namespace.zeroes_deallocate && !rq.stays_allocated();
            let command = Command::write_zeroes(namespace.nsid, slba, nlb0, deallocate, rq.fua());
            return Ok(Prepared {
                command,
                list_pages: 0,
            });
        }
        _ => return Err(BlockStatus::NOT_SUPPORTED),
    };
    with_data(pools, rq, command)
}

impl Operations for Io {
    type OwnerModule = crate::LocalModule;
    type SetData = KVec<Arc<IoQueue>>;
    type HwData = IoQueue;
    type QueueData = Namespace;
    type RequestData = RequestData;

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
        let sent = if submission.usable {
            hw.in_flight.put(rq)
        } else {
            Err(rq)
        };
        let ticket = match sent {
            Ok(ticket) => ticket,
            Err(mut rq) => {
                drop(submission);
                let op = rq.op();
                rq.data_mut().free(op);
                return Err(Rejected(rq, BlockStatus::IO_ERROR));
            }
        };
        match prepared.list_pages {
            0 => {}
            1 => submission.single_lists = submission.single_lists.wrapping_add(1),
            _ => submission.chained_lists = submission.chained_lists.wrapping_add(1),
        }
        let id = CommandId::new(ticket.tag, ticket.generation);
        submission.queue.push(&prepared.command.with_cid(id.raw()));
        if last {
            submission.queue.ring();
        }
        Ok(())
    }

    fn commit_rqs(hw: &IoQueue) {
        let mut submission = hw.submission.lock();
        if submission.usable {
            submission.queue.ring();
        }
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
