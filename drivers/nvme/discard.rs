// SPDX-License-Identifier: GPL-2.0

//! A request to discard becomes Dataset Management with the ranges to deallocate.
//!
//! NVM Command Set Specification 1.1, section 3.2.3. The ranges lie in a page of the list pool. A
//! discard that finds no memory takes the controller's spare page, and while another one has that,
//! it waits: so a file system that frees space because memory is short gets on.

use crate::{io::Io, io_queue::ListPools, namespace::Namespace};
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::{prelude::*, sync::Arc};
use kernel_ext::{
    block::{mq::Request, Status as BlockStatus},
    dma::Block,
};
use nvme_proto::{
    command::Command,
    dsm::{encode, DeallocateRefused, Range},
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// A page of ranges for when memory is short, one for all disks of a controller.
pub(crate) struct Spare {
    block: Block,
    taken: AtomicBool,
}

impl Spare {
    /// Takes the page from `pools`. May sleep; `ENOMEM`.
    pub(crate) fn new(pools: &ListPools) -> Result<Arc<Self>> {
        let spare = Spare {
            block: pools.page.alloc()?,
            taken: AtomicBool::new(false),
        };
        Ok(Arc::new(spare, GFP_KERNEL)?)
    }

    fn take(self: &Arc<Self>) -> Option<TakenSpare> {
        let taken = self.taken.swap(true, Ordering::Acquire);
        (!taken).then(|| TakenSpare(self.clone()))
    }
}

/// The right to the spare page, given back when dropped.
struct TakenSpare(Arc<Spare>);

impl Drop for TakenSpare {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

/// Where a command's ranges lie.
pub(crate) struct Ranges(Place);

enum Place {
    Own(Block),
    Spare(TakenSpare),
}

impl Ranges {
    /// The whole page is reserved, however few ranges there are: some controllers read all of it.
    fn new(pools: &ListPools, spare: &Arc<Spare>) -> Option<Self> {
        let own = pools.page.alloc().ok().map(Place::Own);
        own.or_else(|| spare.take().map(Place::Spare)).map(Ranges)
    }

    fn block(&self) -> &Block {
        match &self.0 {
            Place::Own(block) => block,
            Place::Spare(taken) => &taken.0.block,
        }
    }

    fn write(&self, index: usize, range: Range) {
        let at = index.wrapping_mul(2);
        for (offset, word) in range.to_words().into_iter().enumerate() {
            // The encoder stays within a page's 256 ranges, so this cannot fail.
            let _ = self.block().write(at.wrapping_add(offset), word);
        }
    }
}

/// Makes the command for `rq`, and notes in its data where the ranges lie.
#[cold]
pub(crate) fn prepare(
    pools: &ListPools,
    namespace: &Namespace,
    rq: &mut Request<Io>,
) -> Result<Command, BlockStatus> {
    let limits = namespace.deallocate.ok_or(BlockStatus::NOT_SUPPORTED)?;
    let ranges = Ranges::new(pools, &namespace.shared.spare).ok_or(BlockStatus::RESOURCE)?;
    let named = rq
        .discard_ranges()
        .map(|range| (range.sector, u64::from(range.bytes)));
    let mut written = 0;
    let mut write = |index: usize, range| {
        ranges.write(index, range);
        written = index.saturating_add(1);
    };
    match encode(named, &namespace.format, &limits, &mut write) {
        Ok(_) => {}
        // Schedulers merge requests to more ranges than the queue takes. To deallocate is a
        // hint: the rest stays as it is.
        Err(DeallocateRefused::TooManyRanges(_) | DeallocateRefused::TooManyBlocks(_)) => {}
        Err(_) => return Err(BlockStatus::INVALID),
    }
    let count = u16::try_from(written).map_err(|_| BlockStatus::INVALID)?;
    if count == 0 {
        return Err(BlockStatus::INVALID);
    }
    let command =
        Command::deallocate(namespace.nsid, count).with_data(ranges.block().dma_address(), 0);
    rq.data_mut().ranges = Some(ranges);
    Ok(command)
}
