// SPDX-License-Identifier: GPL-2.0

//! Claiming: a request in the table ends once, by its own ticket, or with the table.

use super::*;

#[kunit_tests(rnvme_ext_mq)]
mod cases {
    use super::*;

    #[test]
    fn request_is_claimed_once_and_ends_once() -> Result {
        let mut bench = Bench::new(c"claim-once", 4)?;
        let read = bench.start(Kind::Read, 8, 0, 4096)?;
        assert!(read.status().is_none());
        let ticket = bench.queue.ticket(0)?;
        let request = bench.side.0.claim(ticket).ok_or(ENOENT)?;
        assert!(bench.side.0.claim(ticket).is_none());
        request.complete(Status::OK);
        assert_eq!(read.wait(), Some(Status::OK));
        assert!(bench.side.0.claim(ticket).is_none());
        Ok(())
    }

    #[test]
    fn ticket_of_another_generation_claims_nothing() -> Result {
        let mut bench = Bench::new(c"wrong-generation", 4)?;
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        let ticket = bench.queue.ticket(0)?;
        for ahead in 1..16 {
            let generation = (ticket.generation + ahead) % 16;
            assert!(bench
                .side
                .0
                .claim(Ticket {
                    generation,
                    ..ticket
                })
                .is_none());
        }
        assert!(read.status().is_none());
        bench.complete(0)?;
        assert_eq!(read.wait(), Some(Status::OK));
        Ok(())
    }

    #[test]
    fn ticket_with_a_tag_beyond_the_table_claims_nothing() -> Result {
        let mut bench = Bench::new(c"wrong-tag", 4)?;
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        let ticket = bench.queue.ticket(0)?;
        for tag in [4, 5, 4095, u16::MAX] {
            assert!(bench.side.0.claim(Ticket { tag, ..ticket }).is_none());
        }
        bench.complete(0)?;
        assert_eq!(read.wait(), Some(Status::OK));
        Ok(())
    }

    #[test]
    fn late_completion_does_not_end_the_tags_next_request() -> Result {
        let mut bench = Bench::new(c"late", 1)?;
        let first = bench.start(Kind::Read, 0, 0, 512)?;
        bench.complete(0)?;
        assert_eq!(first.wait(), Some(Status::OK));
        let second = bench.start(Kind::Read, 0, 0, 512)?;
        let (old, new) = (bench.queue.ticket(0)?, bench.queue.ticket(1)?);
        assert_eq!(old.tag, new.tag);
        assert!(bench.side.0.claim(old).is_none());
        assert!(second.status().is_none());
        bench.complete(1)?;
        assert_eq!(second.wait(), Some(Status::OK));
        Ok(())
    }

    #[test]
    fn request_without_a_place_comes_back() -> Result {
        let drops = Drops::new()?;
        // A table without places, whatever the tags are.
        let mut bench = Bench::with_drops(c"no-place", 4, 0, &drops, &drops)?;
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        assert_eq!(read.wait(), Some(Status::TARGET));
        assert_eq!(bench.queue.await_note(|notes| Some(notes.returned))?, 1);
        assert!(bench.side.0.claim_any_from(0).is_none());
        Ok(())
    }

    #[test]
    fn foreign_request_comes_back_from_a_taken_place() -> Result {
        // Two sets with a tag each share a table, so both requests have tag 0.
        let mut bench = Bench::new(c"foreign", 1)?;
        let drops = Drops::new()?;
        let device = Device::new(c"foreign-2")?;
        let set = new_set(&device, &bench.queue, 1, &drops)?;
        let other = Bench::add(&device, &set, &drops)?;
        let own = bench.start(Kind::Read, 0, 0, 512)?;
        let dev = device.bound();
        let memory = Memory::new(dev, 1)?;
        let foreign = Transfer::start(&other, dev, Kind::Read, 0, &memory, 0, 512)?;
        assert_eq!(foreign.wait(), Some(Status::TARGET));
        assert!(own.status().is_none());
        bench.complete(0)?;
        assert_eq!(own.wait(), Some(Status::OK));
        Ok(())
    }

    #[test]
    fn emptying_the_table_finds_every_request() -> Result {
        let mut bench = Bench::new(c"empty", 4)?;
        let mut reads = KVec::new();
        for sector in [0, 8, 16] {
            reads.push(bench.start(Kind::Read, sector, 0, 512)?, GFP_KERNEL)?;
        }
        bench.queue.ticket(2)?;
        let (mut from, mut found) = (0, 0);
        while let Some((request, next)) = bench.side.0.claim_any_from(from) {
            drop(request);
            found += 1;
            from = next;
        }
        assert_eq!(found, 3);
        for read in &reads {
            assert_eq!(read.wait(), Some(Status::IO_ERROR));
        }
        assert!(bench.side.0.claim_any_from(0).is_none());
        Ok(())
    }

    #[test]
    fn table_that_goes_ends_what_is_in_it() -> Result {
        let mut bench = Bench::new(c"table-goes", 1)?;
        let read = bench.start(Kind::Read, 0, 0, 512)?;
        let ticket = bench.queue.ticket(0)?;
        let request = bench.side.0.claim(ticket).ok_or(ENOENT)?;
        let (table, claimer) = InFlight::new(1)?;
        assert!(table.put(request).is_ok());
        drop(table);
        assert!(read.status().is_none());
        drop(claimer);
        assert_eq!(read.wait(), Some(Status::IO_ERROR));
        Ok(())
    }

    #[test]
    fn table_knows_its_depth() -> Result {
        let (table, mut claimer) = InFlight::<TestIo>::new(7)?;
        assert_eq!(table.depth(), 7);
        assert!(claimer.claim_any_from(0).is_none());
        assert!(claimer.claim_any_from(u16::MAX).is_none());
        let (none, _claimer) = InFlight::<TestIo>::new(0)?;
        assert_eq!(none.depth(), 0);
        Ok(())
    }
}
