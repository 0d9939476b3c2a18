// SPDX-License-Identifier: GPL-2.0

//! How the controller is told where a request's data lies: by PRP entries or by a scatter gather
//! list, with lists in memory of the controller's pools.
//!
//! NVM Express Base Specification 2.1, sections 4.3.1 (PRP) and 4.3.2 (SGL). Which of the two is
//! `nvme_proto::sgl::choice`'s to say.

use crate::{
    io::Io,
    io_queue::{ListPools, LIST_WORDS, SHORT_LIST_WORDS},
    namespace::Namespace,
};
use core::mem::size_of;
use kernel::prelude::*;
use kernel_ext::{
    block::{mq::Request, Status as BlockStatus},
    dma::Block,
};
use nvme_proto::{
    command::Command,
    prp::{self, LayoutError, ListPages, Segment, MAX_LIST_PAGES},
    sgl::{
        self,
        choice::{describe_with, DescribeWith, Queue, Transfer},
        Descriptor, DescriptorPages, SglError, SglSupport,
    },
    PAGE,
};

/// 64-bit words of a descriptor.
const DESCRIPTOR_WORDS: usize = 2;

/// How a command's data is described, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Described {
    /// There is none, or the command alone tells where it is, by PRP entries.
    InCommand,
    /// By a PRP list of one page.
    PrpList,
    /// By a PRP list of more pages.
    ChainedPrpList,
    /// By a scatter gather list.
    Sgl,
}

/// A command that lacks only its identifier.
#[derive(Clone, Copy)]
pub(crate) struct Prepared {
    pub(crate) command: Command,
    pub(crate) described: Described,
}

impl Prepared {
    /// A command without data of the request's.
    #[inline]
    pub(crate) fn without_data(command: Command) -> Self {
        Prepared {
            command,
            described: Described::InCommand,
        }
    }
}

/// Where a request's list grows.
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
        if first {
            self.begin = begin;
        }
        let offset = begin.wrapping_mul(size_of::<u64>()) as u64;
        let block = self.add_block(first && begin == 0 && entries <= SHORT_LIST_WORDS)?;
        Ok(block.dma_address().wrapping_add(offset))
    }

    #[inline]
    fn write(&mut self, page: usize, index: usize, entry: u64) {
        let begin = if page == 0 { self.begin } else { 0 };
        self.write_word(page, begin.wrapping_add(index), entry);
    }
}

impl DescriptorPages for Lists<'_> {
    type Error = Error;

    fn first_room(&self) -> usize {
        self.pools.first_room / DESCRIPTOR_WORDS
    }

    fn add_page(&mut self, descriptors: usize) -> Result<u64> {
        let short = descriptors.saturating_mul(DESCRIPTOR_WORDS) <= SHORT_LIST_WORDS;
        Ok(self.add_block(short)?.dma_address())
    }

    fn write(&mut self, page: usize, index: usize, descriptor: Descriptor) {
        let at = index.wrapping_mul(DESCRIPTOR_WORDS);
        let [first, second] = descriptor.to_words();
        self.write_word(page, at, first);
        self.write_word(page, at.wrapping_add(1), second);
    }
}

impl<'a> Lists<'a> {
    #[inline]
    fn new(pools: &'a ListPools) -> Self {
        Lists {
            pools,
            pages: Default::default(),
            count: 0,
            begin: 0,
        }
    }

    fn add_block(&mut self, short: bool) -> Result<&Block> {
        let pool = if short {
            &self.pools.short
        } else {
            &self.pools.page
        };
        let place = self.pages.get_mut(self.count).ok_or(E2BIG)?;
        let block = place.insert(pool.alloc()?);
        self.count = self.count.wrapping_add(1);
        Ok(block)
    }

    #[inline]
    fn write_word(&self, page: usize, index: usize, word: u64) {
        if let Some(Some(block)) = self.pages.get(page) {
            // The layouts stay within what they asked for, so this cannot fail.
            let _ = block.write(index, word);
        }
    }

    /// Leaves the pages to `rq`, for as long as the controller reads them.
    #[inline]
    fn leave_to(self, rq: &mut Request<Io>) {
        if self.count != 0 {
            rq.data_mut().lists = self.pages;
        }
    }
}

/// The list that describes `rq`'s data, if a list is what to describe it with.
#[inline]
fn choose(namespace: &Namespace, rq: &Request<Io>) -> Result<Option<SglSupport>, BlockStatus> {
    let support = namespace.shared.sgl;
    // What is not longer than a page lies in two at most, unless it has gaps.
    if support.is_none() || (rq.segments() <= 1 && rq.bytes() <= PAGE) {
        return Ok(None);
    }
    let shape = rq.data_shape();
    let transfer = Transfer {
        bytes: rq.bytes(),
        segments: rq.segments().into(),
        offset: shape.first_offset,
        gaps: shape.gaps,
        check_length: false,
    };
    match describe_with(
        support,
        Queue::Io,
        &transfer,
        namespace.shared.sgl_threshold,
    ) {
        Ok(DescribeWith::Prp) => Ok(None),
        Ok(DescribeWith::Sgl) => Ok(support),
        Err(_) => Err(BlockStatus::INVALID),
    }
}

/// Maps the data of `rq` and describes it to the controller in `command`.
#[inline]
pub(crate) fn with_data(
    pools: &ListPools,
    namespace: &Namespace,
    rq: &mut Request<Io>,
    command: Command,
) -> Result<Prepared, BlockStatus> {
    match choose(namespace, rq)? {
        None => with_prp(pools, rq, command),
        Some(support) => with_sgl(pools, support, rq, command),
    }
}

#[inline]
fn with_prp(
    pools: &ListPools,
    rq: &mut Request<Io>,
    command: Command,
) -> Result<Prepared, BlockStatus> {
    let bytes = rq.bytes();
    let mut lists = Lists::new(pools);
    let mut segments = rq.map_data();
    let ranges = segments.by_ref().map(range);
    let layout = prp::layout(bytes, ranges, &mut lists);
    // An early end of the mapping is the cause of whatever the layout then says.
    segments.finish()?;
    let pointer = layout.map_err(|error| match error {
        LayoutError::Memory(error) => no_page(error),
        _ => BlockStatus::INVALID,
    })?;
    let described = match lists.count {
        0 => Described::InCommand,
        1 => Described::PrpList,
        _ => Described::ChainedPrpList,
    };
    lists.leave_to(rq);
    Ok(Prepared {
        command: command.with_data(pointer.prp1, pointer.prp2),
        described,
    })
}

fn with_sgl(
    pools: &ListPools,
    support: SglSupport,
    rq: &mut Request<Io>,
    command: Command,
) -> Result<Prepared, BlockStatus> {
    let (bytes, at_most) = (rq.bytes(), rq.segments().into());
    let mut lists = Lists::new(pools);
    let mut segments = rq.map_data();
    let ranges = segments.by_ref().map(range);
    let layout = sgl::layout(bytes, at_most, support.alignment, ranges, &mut lists);
    segments.finish()?;
    let first = layout.map_err(|error| match error {
        SglError::Memory(error) => no_page(error),
        _ => BlockStatus::INVALID,
    })?;
    lists.leave_to(rq);
    Ok(Prepared {
        command: command.with_sgl(first),
        described: Described::Sgl,
    })
}

/// What comes of a list that lacks a page: what memory is short for comes again.
#[cold]
fn no_page(error: Error) -> BlockStatus {
    if error == ENOMEM {
        BlockStatus::RESOURCE
    } else {
        BlockStatus::INVALID
    }
}

fn range(segment: kernel_ext::block::mq::Segment) -> Segment {
    Segment {
        addr: segment.addr,
        len: segment.len,
    }
}
