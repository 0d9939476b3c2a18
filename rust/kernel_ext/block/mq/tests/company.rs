// SPDX-License-Identifier: GPL-2.0

//! Requests that come together, and requests that end together.

use super::*;

impl Bench {
    /// Three reads of different sectors that come together.
    fn three(&self) -> Result<[Transfer; 3]> {
        kunit::together(|| {
            Ok([
                self.start(Kind::Read, 0, 0, 512)?,
                self.start(Kind::Read, 64, 4096, 512)?,
                self.start(Kind::Read, 128, 8192, 512)?,
            ])
        })
    }
}

#[kunit_tests(rnvme_ext_company)]
mod cases {
    use super::*;

    #[test]
    fn requests_that_come_together_keep_their_order() -> Result {
        let mut bench = Bench::new(c"together", 4)?;
        let reads = bench.three()?;
        let mut seen = KVec::new();
        for index in 0..3 {
            let one = bench.queue.seen(index)?;
            seen.push((one.sector, one.last), GFP_KERNEL)?;
            bench.complete(index)?;
        }
        assert_eq!(&seen[..], &[(0, false), (64, false), (128, true)]);
        for read in &reads {
            assert_eq!(read.wait(), Some(Status::OK));
        }
        Ok(())
    }

    #[test]
    fn refused_of_many_comes_again_or_ends_and_leaves_the_others_alone() -> Result {
        let mut bench = Bench::new(c"refused", 4)?;
        bench.queue.order(Do::RejectOnce);
        let reads = bench.three()?;
        for index in 0..3 {
            bench.complete(index)?;
        }
        for read in &reads {
            assert_eq!(read.wait(), Some(Status::OK));
        }
        assert_eq!(bench.queue.notes.lock().seen.len(), 4);
        bench.queue.order(Do::Reject(Status::OFFLINE));
        for read in bench.three()? {
            assert_eq!(read.wait(), Some(Status::OFFLINE));
        }
        Ok(())
    }

    #[test]
    fn list_that_is_dropped_ends_its_requests_with_an_error() -> Result {
        let mut bench = Bench::new(c"list-dropped", 4)?;
        let reads = bench.three()?;
        let mut list = RequestList::default();
        for index in 0..3 {
            let ticket = bench.queue.ticket(index)?;
            list.push_back(bench.side.0.claim(ticket).ok_or(ENOENT)?);
        }
        list.pop_front().ok_or(ENOENT)?.complete(Status::OK);
        assert!(reads[1].status().is_none() && reads[2].status().is_none());
        drop(list);
        let ends = reads.each_ref().map(Transfer::wait);
        assert_eq!(
            ends,
            [
                Some(Status::OK),
                Some(Status::IO_ERROR),
                Some(Status::IO_ERROR)
            ]
        );
        Ok(())
    }

    #[test]
    fn requests_of_a_batch_are_released_and_end_when_it_does() -> Result {
        let mut bench = Bench::new(c"batch", 1)?;
        for round in 0..3 {
            let read = bench.start(Kind::Read, 0, 0, 512)?;
            let ticket = bench.queue.ticket(round)?;
            let request = bench.side.0.claim(ticket).ok_or(ENOENT)?;
            assert_eq!(*request.data(), round as u32 * RELEASED);
            let early = Batch::with(|batch| {
                request.complete_in(batch);
                read.status()
            });
            assert_eq!(early, None);
            assert_eq!(read.wait(), Some(Status::OK));
        }
        Ok(())
    }

    #[test]
    fn batch_ends_all_of_its_requests() -> Result {
        let mut bench = Bench::new(c"batch-of-all", 4)?;
        bench.queue.order(Do::Map);
        let reads = bench.three()?;
        let mut tickets = KVec::new();
        for index in 0..3 {
            tickets.push(bench.queue.ticket(index)?, GFP_KERNEL)?;
        }
        Batch::with(|batch| {
            for ticket in &tickets {
                if let Some(request) = bench.side.0.claim(*ticket) {
                    request.complete_in(batch);
                }
            }
        });
        for read in &reads {
            assert_eq!(read.wait(), Some(Status::OK));
        }
        Ok(())
    }
}
