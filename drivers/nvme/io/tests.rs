// SPDX-License-Identifier: GPL-2.0

//! A request's way into a command and back, on a real tag set with real memory.

use super::RequestData;
use crate::{
    failure::block_error,
    io_queue::{tests::Bench, LIST_WORDS},
};
use kernel::{page::PAGE_SIZE, prelude::*};
use kernel_ext::{block::Status as BlockStatus, kunit::Kind};
use nvme_proto::status::Status;

impl RequestData {
    /// Entry `index` of the request's list page `page`.
    fn entry(&self, page: usize, index: usize) -> Option<u64> {
        self.lists.get(page)?.as_ref()?.read(index)
    }

    /// Where list page `page` lies.
    fn page_address(&self, page: usize) -> Option<u64> {
        Some(self.lists.get(page)?.as_ref()?.dma_address())
    }
}

/// DNR.
const DO_NOT_RETRY: u16 = 1 << 14;

/// Statuses, by type and code, and what users are told.
const ERRORS: [(u16, BlockStatus); 12] = [
    (0x000, BlockStatus::OK),
    (0x001, BlockStatus::NOT_SUPPORTED),
    (0x007, BlockStatus::TIMEOUT),
    (0x081, BlockStatus::NO_SPACE),
    (0x080, BlockStatus::TARGET),
    (0x088, BlockStatus::MEDIUM),
    (0x281, BlockStatus::MEDIUM),
    (0x282, BlockStatus::PROTECTION),
    (0x083, BlockStatus::RESERVATION_CONFLICT),
    (0x022, BlockStatus::TRANSPORT),
    (0x006, BlockStatus::IO_ERROR),
    (0x7ff, BlockStatus::IO_ERROR),
];

#[kunit_tests(rnvme_io)]
mod cases {
    use super::*;

    #[test]
    fn write_of_less_than_a_page_has_one_prp() -> Result {
        let mut bench = Bench::new(c"nvme-write")?;
        let write = bench.start(Kind::Write, 24, 1024, 2048)?;
        let sent = bench.fetch()?;
        assert_eq!((sent.opcode, sent.nsid), (1, 7));
        assert_eq!((sent.slba, sent.cdw12), (24, 3));
        assert_eq!(sent.prp1, bench.memory.dma_address(1024));
        assert_eq!(sent.prp2, 0);
        assert_eq!(bench.end(sent.cid, &write)?, Some(BlockStatus::OK));
        Ok(())
    }

    #[test]
    fn read_across_a_page_has_two_prps() -> Result {
        let mut bench = Bench::new(c"nvme-read")?;
        let read = bench.start(Kind::Read, 0, 2048, PAGE_SIZE)?;
        let sent = bench.fetch()?;
        assert_eq!((sent.opcode, sent.cdw12), (2, 7));
        assert_eq!(sent.prp1, bench.memory.dma_address(2048));
        assert_eq!(sent.prp2, bench.memory.dma_address(PAGE_SIZE));
        assert_eq!(bench.end(sent.cid, &read)?, Some(BlockStatus::OK));
        Ok(())
    }

    #[test]
    fn longer_transfers_have_a_list_of_their_pages() -> Result {
        let mut bench = Bench::new(c"nvme-list")?;
        // A short block of the pool, a full one, and a page.
        for pages in [3, 33, 34, 64] {
            let write = bench.start(Kind::Write, 0, 0, pages * PAGE_SIZE)?;
            let sent = bench.fetch()?;
            assert_eq!(sent.cdw12 as usize, pages * 8 - 1);
            assert_eq!(sent.prp1, bench.memory.dma_address(0));
            let request = bench.claim(sent.cid).ok_or(ENOENT)?;
            assert_eq!(request.data().page_address(0), Some(sent.prp2));
            assert!(request.data().page_address(1).is_none());
            for page in 1..pages {
                let entry = request.data().entry(0, page - 1);
                if entry != Some(bench.memory.dma_address(page * PAGE_SIZE)) {
                    return Err(EFAULT);
                }
            }
            request.complete(BlockStatus::OK);
            assert_eq!(write.wait(), Some(BlockStatus::OK));
        }
        assert!(bench.counted("counters/prp_lists_of_one_page", b"4\n")?);
        assert!(bench.counted("counters/prp_lists_of_more_pages", b"0\n")?);
        Ok(())
    }

    #[test]
    fn list_without_room_goes_on_in_a_second_page() -> Result {
        // Four entries of the first page are used, its last: three pages, and where it goes on.
        let mut bench = Bench::with(c"nvme-chain", 16, 9, 4)?;
        let read = bench.start(Kind::Read, 0, 512, 9 * PAGE_SIZE)?;
        let sent = bench.fetch()?;
        let request = bench.claim(sent.cid).ok_or(ENOENT)?;
        let data = request.data();
        let begin = LIST_WORDS - 4;
        assert_eq!(
            data.page_address(0).map(|at| at + begin as u64 * 8),
            Some(sent.prp2)
        );
        assert_eq!(data.entry(0, LIST_WORDS - 1), data.page_address(1));
        for page in 1..10 {
            let entry = match page {
                1..=3 => data.entry(0, begin + page - 1),
                _ => data.entry(1, page - 4),
            };
            assert_eq!(entry, Some(bench.memory.dma_address(page * PAGE_SIZE)));
        }
        request.complete(BlockStatus::OK);
        assert_eq!(read.wait(), Some(BlockStatus::OK));
        assert!(bench.counted("counters/prp_lists_of_more_pages", b"1\n")?);
        Ok(())
    }

    #[test]
    fn list_pages_are_given_back_at_the_end() -> Result {
        let mut bench = Bench::new(c"nvme-lists-back")?;
        let mut first = None;
        for _ in 0..20 {
            let write = bench.start(Kind::Write, 0, 0, 40 * PAGE_SIZE)?;
            let sent = bench.fetch()?;
            assert_eq!(*first.get_or_insert(sent.prp2), sent.prp2);
            assert_eq!(bench.end(sent.cid, &write)?, Some(BlockStatus::OK));
        }
        Ok(())
    }

    #[test]
    fn flush_names_the_namespace_and_no_data() -> Result {
        let mut bench = Bench::new(c"nvme-flush")?;
        let flush = bench.start(Kind::Flush, 0, 0, 0)?;
        let sent = bench.fetch()?;
        assert_eq!((sent.opcode, sent.nsid), (0, 7));
        assert_eq!((sent.prp1, sent.prp2, sent.slba), (0, 0, 0));
        assert_eq!(bench.end(sent.cid, &flush)?, Some(BlockStatus::OK));
        Ok(())
    }

    #[test]
    fn write_through_asks_for_unit_access() -> Result {
        let mut bench = Bench::new(c"nvme-fua")?;
        let write = bench.start(Kind::WriteThrough, 0, 0, 512)?;
        let sent = bench.fetch()?;
        assert_eq!((sent.opcode, sent.cdw12), (1, 1 << 30));
        assert_eq!(bench.end(sent.cid, &write)?, Some(BlockStatus::OK));
        Ok(())
    }

    #[test]
    fn atomic_write_that_might_be_torn_is_refused_and_not_sent() -> Result {
        let mut bench = Bench::new(c"nvme-atomic")?;
        let write = bench.start(Kind::WriteAtomic, 0, 0, 8192)?;
        assert_eq!(write.wait(), Some(BlockStatus::INVALID));
        let write = bench.start(Kind::WriteAtomic, 8, 0, 4096)?;
        let sent = bench.fetch()?;
        assert_eq!((sent.opcode, sent.slba, sent.cdw12), (1, 8, 7));
        assert_eq!(bench.end(sent.cid, &write)?, Some(BlockStatus::OK));
        Ok(())
    }

    #[test]
    fn read_ahead_is_not_worth_many_retries() -> Result {
        let mut bench = Bench::new(c"nvme-ahead")?;
        let read = bench.start(Kind::ReadAhead, 0, 0, 4096)?;
        let sent = bench.fetch()?;
        assert_eq!((sent.opcode, sent.cdw12), (2, 0x8000_0007));
        assert_eq!(bench.end(sent.cid, &read)?, Some(BlockStatus::OK));
        Ok(())
    }

    #[test]
    fn large_blocks_are_counted_in_blocks() -> Result {
        let mut bench = Bench::with(c"nvme-4k", 16, 12, LIST_WORDS)?;
        let read = bench.start(Kind::Read, 80, 0, 2 * PAGE_SIZE)?;
        let sent = bench.fetch()?;
        assert_eq!((sent.slba, sent.cdw12), (10, 1));
        assert_eq!(bench.end(sent.cid, &read)?, Some(BlockStatus::OK));
        Ok(())
    }

    #[test]
    fn request_of_no_whole_blocks_is_refused_and_not_sent() -> Result {
        let bench = Bench::with(c"nvme-part", 16, 12, LIST_WORDS)?;
        for (sector, bytes) in [(1, PAGE_SIZE), (0, 512), (8, 4608)] {
            let read = bench.start(Kind::Read, sector, 0, bytes)?;
            assert_eq!(read.wait(), Some(BlockStatus::INVALID));
        }
        assert_eq!(bench.doorbell(false)?, 0);
        Ok(())
    }

    #[test]
    fn error_of_the_controller_reaches_the_submitter_and_is_counted() -> Result {
        let mut bench = Bench::new(c"nvme-error")?;
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        let sent = bench.fetch()?;
        bench.answer(sent.cid, Status::from_raw(DO_NOT_RETRY | 0x281))?;
        assert_eq!(read.wait(), Some(BlockStatus::MEDIUM));
        assert!(bench.counted("counters/failed_requests", b"1\n")?);
        assert!(bench.counted("counters/retries", b"0\n")?);
        Ok(())
    }

    #[test]
    fn command_that_fails_is_sent_again_and_its_data_is_mapped_anew() -> Result {
        let mut bench = Bench::new(c"nvme-again")?;
        let write = bench.start(Kind::Write, 8, 512, 5 * PAGE_SIZE)?;
        let sent = bench.fetch()?;
        bench.answer(sent.cid, Status::from_raw(0x281))?;
        let again = bench.fetch()?;
        assert!(write.status().is_none());
        assert_eq!((again.slba, again.prp1), (sent.slba, sent.prp1));
        assert_eq!(bench.end(again.cid, &write)?, Some(BlockStatus::OK));
        assert!(bench.counted("counters/retries", b"1\n")?);
        assert!(bench.counted("counters/failed_requests", b"0\n")?);
        Ok(())
    }

    #[test]
    fn command_that_fails_for_ever_ends_with_its_last_error() -> Result {
        let mut bench = Bench::new(c"nvme-for-ever")?;
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        for _ in 0..5 {
            let sent = bench.fetch()?;
            bench.answer(sent.cid, Status::from_raw(0x006))?;
        }
        assert!(read.status().is_none());
        let sent = bench.fetch()?;
        bench.answer(sent.cid, Status::from_raw(0x281))?;
        assert_eq!(read.wait(), Some(BlockStatus::MEDIUM));
        assert!(bench.counted("counters/retries", b"5\n")?);
        // The next use of the tag begins anew.
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        let sent = bench.fetch()?;
        bench.answer(sent.cid, Status::from_raw(0x006))?;
        let sent = bench.fetch()?;
        assert_eq!(bench.end(sent.cid, &read)?, Some(BlockStatus::OK));
        Ok(())
    }

    #[test]
    fn every_kind_of_error_has_its_word_in_the_block_layer() -> Result {
        for (status, expected) in ERRORS {
            let outcome = Status::from_raw(status).outcome();
            assert_eq!(block_error(outcome), expected);
        }
        Ok(())
    }
}
