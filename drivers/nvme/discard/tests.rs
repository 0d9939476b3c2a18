// SPDX-License-Identifier: GPL-2.0

//! A discard's way into a command, also when memory is short.

use super::{Ranges, Spare};
use crate::io_queue::tests::Bench;
use kernel::prelude::*;
use kernel_ext::{block::Status as BlockStatus, kunit::Kind};

/// Dataset Management.
const DSM: u8 = 0x09;
/// Write Zeroes, and its bit to deallocate.
const WRITE_ZEROES: u8 = 0x08;
const DEAC: u32 = 1 << 25;

impl Ranges {
    fn word(&self, index: usize) -> Option<u64> {
        self.block().read(index)
    }
}

#[kunit_tests(rnvme_discard)]
mod cases {
    use super::*;

    #[test]
    fn discard_names_its_range_in_a_page_of_its_own() -> Result {
        let mut bench = Bench::new(c"nvme-discard")?;
        let discard = bench.start(Kind::Discard, 64, 0, 1 << 20)?;
        let sent = bench.fetch()?;
        // One range, 0's based, to deallocate.
        assert_eq!((sent.opcode, sent.nsid, sent.slba), (DSM, 7, 4 << 32));
        assert_eq!(sent.prp2, 0);
        let request = bench.claim(sent.cid).ok_or(ENOENT)?;
        let ranges = request.data().ranges.as_ref().ok_or(ENOENT)?;
        assert_eq!(ranges.block().dma_address(), sent.prp1);
        assert_eq!(ranges.word(0), Some(2048 << 32));
        assert_eq!(ranges.word(1), Some(64));
        request.complete(BlockStatus::OK);
        assert_eq!(discard.wait(), Some(BlockStatus::OK));
        Ok(())
    }

    #[test]
    fn spare_page_is_one_discards_at_a_time() -> Result {
        let bench = Bench::new(c"nvme-spare")?;
        let spare = Spare::new(&bench.queue.pools)?;
        let first = spare.take();
        assert!(first.is_some());
        assert!(spare.take().is_none());
        drop(first);
        assert!(spare.take().is_some());
        Ok(())
    }

    #[test]
    fn zeroes_deallocate_unless_they_must_not() -> Result {
        let mut bench = Bench::new(c"nvme-zeroes")?;
        for (kind, deac) in [(Kind::WriteZeroes, DEAC), (Kind::WriteZeroesAllocated, 0)] {
            let zeroes = bench.start(kind, 8, 0, 4096)?;
            let sent = bench.fetch()?;
            assert_eq!((sent.opcode, sent.slba), (WRITE_ZEROES, 8));
            assert_eq!(sent.cdw12, 7 | deac);
            assert_eq!((sent.prp1, sent.prp2), (0, 0));
            assert_eq!(bench.end(sent.cid, &zeroes)?, Some(BlockStatus::OK));
        }
        Ok(())
    }
}
