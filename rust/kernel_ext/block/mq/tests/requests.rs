// SPDX-License-Identifier: GPL-2.0

//! What a request asks for, its data mapped, and how it may end.

use super::*;

#[kunit_tests(rnvme_ext_request)]
mod cases {
    use super::*;

    #[test]
    fn request_says_what_it_asks_for() -> Result {
        let mut bench = Bench::new(c"asks", 4)?;
        let write = bench.start(Kind::WriteThrough, 24, 0, 8192)?;
        let seen = bench.queue.seen(0)?;
        assert_eq!(seen.op, Op::Write);
        assert_eq!((seen.sector, seen.bytes), (24, 8192));
        assert!(seen.fua && seen.last);
        bench.complete(0)?;
        assert_eq!(write.wait(), Some(Status::OK));
        Ok(())
    }

    #[test]
    fn flush_has_no_data_and_cannot_be_mapped() -> Result {
        let bench = Bench::new(c"flush", 4)?;
        bench.queue.order(Do::Map);
        let flush = bench.start(Kind::Flush, 0, 0, 0)?;
        assert_eq!(flush.wait(), Some(Status::NOT_SUPPORTED));
        let seen = bench.queue.seen(0)?;
        assert_eq!((seen.op, seen.bytes), (Op::Flush, 0));
        Ok(())
    }

    #[test]
    fn mapped_ranges_cover_the_data_in_order() -> Result {
        let mut bench = Bench::new(c"map", 4)?;
        bench.queue.order(Do::Map);
        let (begin, bytes) = (512, 5 * PAGE_SIZE);
        let write = bench.start(Kind::Write, 0, begin, bytes)?;
        bench.queue.ticket(0)?;
        let mut at = begin;
        for range in &bench.queue.notes.lock().ranges {
            for offset in (0..range.len as usize).step_by(4) {
                let address = range.addr + offset as u64;
                if address != bench.memory.dma_address(at + offset) {
                    return Err(EFAULT);
                }
            }
            at += range.len as usize;
        }
        assert_eq!(at, begin + bytes);
        bench.complete(0)?;
        assert_eq!(write.wait(), Some(Status::OK));
        Ok(())
    }

    #[test]
    fn request_without_metadata_has_none_to_map() -> Result {
        let bench = Bench::new(c"plain", 4)?;
        let ended = bench.read_with(Do::MapIntegrity(0))?;
        assert_eq!(ended, Some(Status::INVALID));
        assert!(bench.queue.notes.lock().checks.is_none());
        Ok(())
    }

    #[test]
    fn dropped_request_ends_with_an_error() -> Result {
        let bench = Bench::new(c"dropped", 4)?;
        assert_eq!(bench.read_with(Do::Drop)?, Some(Status::IO_ERROR));
        Ok(())
    }

    #[test]
    fn every_status_reaches_the_submitter() -> Result {
        let bench = Bench::new(c"statuses", 4)?;
        for status in [
            Status::OK,
            Status::NOT_SUPPORTED,
            Status::TIMEOUT,
            Status::NO_SPACE,
            Status::TRANSPORT,
            Status::TARGET,
            Status::RESERVATION_CONFLICT,
            Status::MEDIUM,
            Status::PROTECTION,
            Status::IO_ERROR,
            Status::OFFLINE,
            Status::INVALID,
        ] {
            assert_eq!(bench.read_with(Do::End(status))?, Some(status));
        }
        Ok(())
    }

    #[test]
    fn rejected_request_ends_with_the_reason() -> Result {
        let bench = Bench::new(c"rejected", 4)?;
        assert_eq!(
            bench.read_with(Do::Reject(Status::OFFLINE))?,
            Some(Status::OFFLINE)
        );
        // Success is no reason.
        assert_eq!(
            bench.read_with(Do::Reject(Status::OK))?,
            Some(Status::IO_ERROR)
        );
        Ok(())
    }

    #[test]
    fn request_rejected_for_want_of_memory_comes_again() -> Result {
        let mut bench = Bench::new(c"again", 4)?;
        bench.queue.order(Do::RejectOnce);
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        bench.queue.ticket(0)?;
        let times = bench.queue.notes.lock().seen.len();
        assert_eq!(times, 2);
        bench.complete(0)?;
        assert_eq!(read.wait(), Some(Status::OK));
        Ok(())
    }

    #[test]
    fn data_of_a_request_stays_from_one_use_to_the_next() -> Result {
        let mut bench = Bench::new(c"data-stays", 1)?;
        let mut uses = KVec::new();
        // With a scheduler there are two requests to a tag: one of them comes again by the third.
        for index in 0..3 {
            let read = bench.start(Kind::Read, 0, 0, 512)?;
            let ticket = bench.queue.ticket(index)?;
            let request = bench.side.0.claim(ticket).ok_or(ENOENT)?;
            uses.push(*request.data(), GFP_KERNEL)?;
            request.complete(Status::OK);
            assert_eq!(read.wait(), Some(Status::OK));
        }
        assert_eq!(uses.first().copied(), Some(0));
        assert!(uses.last().is_some_and(|count| *count > 0));
        Ok(())
    }
}
