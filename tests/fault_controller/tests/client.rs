// SPDX-License-Identifier: MIT

//! A driver that keeps the rules, on a controller without faults: what is written is read back, each
//! command completes once, and the judge has nothing to say.

mod driver;

use std::collections::BTreeMap;

use driver::data::Shape;
use driver::random::for_all;
use driver::{Driver, Setup};
use nvme_fault_controller::settings::Settings;
use nvme_proto::command::{Cns, Command};
use nvme_proto::status::Status;
use proptest::prelude::*;

/// Bytes of which no two blocks are alike.
fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

#[test]
fn a_controller_comes_up_and_names_itself() {
    let mut driver = Driver::usual();
    let id = driver.identify(0, Cns::Controller);
    assert_eq!(&id[24..46], b"rnvme fault controller");
    driver.assert_no_complaint();
}

#[test]
fn what_is_written_is_read_back() {
    let mut driver = Driver::usual();
    for nsid in [1, 2] {
        let data = pattern(8 * driver.block_bytes(nsid), nsid.into());
        driver.write_blocks(1, nsid, 16, &data);
        assert_eq!(driver.read_blocks(2, nsid, 16, 8), data, "{}", driver.log());
        let flushed = driver.send(1, Command::flush(nsid));
        assert_eq!(flushed.status, Status::SUCCESS);
    }
    driver.assert_no_complaint();
}

#[test]
fn rings_wrap_around_many_times() {
    let mut driver = Driver::usual();
    for round in 0..1000u64 {
        let data = pattern(512, round);
        driver.write_blocks(1, 1, round % 100, &data);
        assert_eq!(driver.read_blocks(1, 1, round % 100, 1), data);
    }
    driver.assert_no_complaint();
    let told = driver.interrupts.count(1);
    assert_eq!(told, 2000, "interrupts for 2000 commands one by one");
}

#[test]
fn a_full_ring_is_carried_out_as_a_whole() {
    let mut driver = Driver::usual();
    for _ in 0..50 {
        let mut sent = Vec::new();
        while driver.queue(1).room() > 0 {
            sent.push(driver.submit(1, Command::flush(1)));
        }
        assert_eq!(sent.len(), 15, "a ring of 16 slots takes 15 commands");
        driver.ring(1);
        for cid in sent {
            let completion = driver.wait(1, cid).expect("a completion");
            assert_eq!(completion.status, Status::SUCCESS);
        }
    }
    driver.assert_no_complaint();
}

#[test]
fn completions_that_find_no_room_come_later() {
    let mut driver = Driver::usual();
    // Two rounds are submitted before the host gives a slot of the completion queue back.
    for _ in 0..2 {
        while driver.queue(1).room() > 0 {
            driver.submit(1, Command::flush(1));
        }
        driver.ring(1);
        driver.look(1, 16);
    }
    driver.give_back(1);
    while driver.reap(1) > 0 {}
    let queue = driver.queue(1);
    assert_eq!((queue.done.len(), queue.in_flight.len()), (30, 0));
    driver.assert_no_complaint();
}

#[test]
fn transfers_of_every_length_and_offset_go_through_chained_lists() {
    let settings = Settings {
        mdts: 10,
        ..Settings::default()
    };
    let mut driver = Driver::start(Setup {
        settings,
        namespaces: vec![(16 << 20, 12)],
        ..Setup::default()
    });
    for (pages, first_room) in [
        (1, 256),
        (2, 256),
        (3, 2),
        (4, 2),
        (5, 3),
        (257, 256),
        (700, 2),
    ] {
        for offset in [0, 4, 512, 2048, 4092] {
            for sgl in [false, true] {
                let shape = Shape {
                    offset,
                    scattered: true,
                    first_room,
                    sgl,
                };
                let data = pattern(pages << 12, offset + pages as u64);
                let written = driver.try_write(1, 1, 7, &data, shape).expect("completed");
                assert_eq!(
                    written.status,
                    Status::SUCCESS,
                    "{shape:?} {}",
                    driver.log()
                );
                let (read, back) = driver
                    .try_read(2, 1, 7, pages as u16, shape)
                    .expect("completed");
                assert_eq!(read.status, Status::SUCCESS, "{shape:?} {}", driver.log());
                assert!(back == data, "{shape:?}: {pages} pages came back otherwise");
            }
        }
    }
    driver.heap.assert_free_is_untouched();
    driver.assert_no_complaint();
}

#[test]
fn shutdown_and_reset_leave_the_data_and_give_all_memory_back() {
    let mut driver = Driver::usual();
    let data = pattern(4096, 5);
    driver.write_blocks(1, 2, 3, &data);
    assert!(driver.shut_down(), "{}", driver.log());
    assert!(driver.disable(), "{}", driver.log());
    assert_eq!(driver.heap.in_use(), 0);
    driver.bring_up();
    assert_eq!(driver.read_blocks(1, 2, 3, 1), data);
    // A reset with commands in flight, whose completions were not looked at.
    for _ in 0..5 {
        driver.submit(1, Command::flush(1));
    }
    driver.ring(1);
    assert!(driver.disable(), "{}", driver.log());
    driver.bring_up();
    assert_eq!(driver.read_blocks(2, 2, 3, 1), data);
    driver.heap.assert_free_is_untouched();
    driver.assert_no_complaint();
}

#[test]
fn a_controller_that_takes_its_time_becomes_ready_when_it_said() {
    let settings = Settings {
        ready_time: std::time::Duration::from_secs(3),
        ..Settings::default()
    };
    let mut driver = Driver::start(Setup {
        settings,
        ..Setup::default()
    });
    assert!(driver.now() >= std::time::Duration::from_secs(3));
    assert!(driver.shut_down() && driver.disable(), "{}", driver.log());
    driver.assert_no_complaint();
}

#[test]
fn queues_are_deleted_and_created_again() {
    let mut driver = Driver::usual();
    for entries in [2, 3, 64, 65, 1024] {
        driver.delete_queue(1);
        driver.create_queue(1, entries);
        let data = pattern(512, entries.into());
        for block in 0..8 {
            driver.write_blocks(1, 1, block, &data);
        }
        assert_eq!(driver.read_blocks(1, 1, 7, 1), data);
    }
    driver.heap.assert_free_is_untouched();
    driver.assert_no_complaint();
}

/// Something that a driver does.
#[derive(Clone, Debug)]
enum Deed {
    Write {
        qid: u16,
        slba: u64,
        blocks: u16,
        shape: Shape,
        seed: u64,
    },
    Read {
        qid: u16,
        slba: u64,
        blocks: u16,
        shape: Shape,
    },
    Zero {
        qid: u16,
        slba: u64,
        blocks: u16,
    },
    Flush {
        qid: u16,
    },
    /// Flushes without waiting, as many as there is room for, up to this.
    Burst {
        qid: u16,
        count: usize,
    },
    Reset,
    NewQueue {
        qid: u16,
        entries: u16,
    },
}

fn shapes() -> impl Strategy<Value = Shape> {
    (0..1024u64, any::<bool>(), 2..=256usize, any::<bool>()).prop_map(
        |(dword, scattered, first_room, sgl)| Shape {
            offset: dword * 4,
            scattered,
            first_room,
            sgl,
        },
    )
}

fn deeds() -> impl Strategy<Value = Deed> {
    let place = || (1..=2u16, 0..200u64, 1..=56u16);
    prop_oneof![
        6 => (place(), shapes(), any::<u64>()).prop_map(|((qid, slba, blocks), shape, seed)| {
            Deed::Write { qid, slba, blocks, shape, seed }
        }),
        6 => (place(), shapes()).prop_map(|((qid, slba, blocks), shape)| {
            Deed::Read { qid, slba, blocks, shape }
        }),
        2 => place().prop_map(|(qid, slba, blocks)| Deed::Zero { qid, slba, blocks }),
        1 => (1..=2u16).prop_map(|qid| Deed::Flush { qid }),
        2 => (1..=2u16, 1..20usize).prop_map(|(qid, count)| Deed::Burst { qid, count }),
        1 => Just(Deed::Reset),
        1 => (1..=2u16, 2..40u16).prop_map(|(qid, entries)| Deed::NewQueue { qid, entries }),
    ]
}

/// A driver, and what the disk must hold: blocks by their numbers, zeros where there is none.
struct Story {
    driver: Driver,
    disk: BTreeMap<u64, Vec<u8>>,
}

impl Story {
    fn expected(&self, slba: u64, blocks: u16) -> Vec<u8> {
        let zeros = vec![0; 512];
        (slba..slba + u64::from(blocks))
            .flat_map(|block| self.disk.get(&block).unwrap_or(&zeros).clone())
            .collect()
    }

    fn carry_out(&mut self, deed: &Deed) {
        let driver = &mut self.driver;
        match *deed {
            Deed::Write {
                qid,
                slba,
                blocks,
                shape,
                seed,
            } => {
                let data = pattern(usize::from(blocks) * 512, seed);
                let written = driver.try_write(qid, 1, slba, &data, shape).expect("done");
                assert_eq!(written.status, Status::SUCCESS, "{}", driver.log());
                let blocks = data.chunks(512).map(<[u8]>::to_vec);
                self.disk.extend((slba..).zip(blocks));
            }
            Deed::Read {
                qid,
                slba,
                blocks,
                shape,
            } => {
                let read = driver.try_read(qid, 1, slba, blocks, shape);
                let (completion, data) = read.expect("done");
                assert_eq!(completion.status, Status::SUCCESS, "{}", driver.log());
                assert!(
                    data == self.expected(slba, blocks),
                    "other data at block {slba}"
                );
            }
            Deed::Zero { qid, slba, blocks } => {
                let command = Command::write_zeroes(1, slba, blocks - 1, false, false);
                assert_eq!(driver.send(qid, command).status, Status::SUCCESS);
                self.disk
                    .retain(|block, _| !(slba..slba + u64::from(blocks)).contains(block));
            }
            Deed::Flush { qid } => {
                assert_eq!(driver.send(qid, Command::flush(1)).status, Status::SUCCESS);
            }
            Deed::Burst { qid, count } => {
                let room = driver.queue(qid).room().min(count);
                let sent: Vec<u16> = (0..room)
                    .map(|_| driver.submit(qid, Command::flush(1)))
                    .collect();
                driver.ring(qid);
                for cid in sent {
                    assert!(driver.wait(qid, cid).is_some(), "{}", driver.log());
                }
            }
            Deed::Reset => {
                assert!(driver.disable());
                driver.bring_up();
            }
            Deed::NewQueue { qid, entries } => {
                driver.delete_queue(qid);
                driver.create_queue(qid, entries);
            }
        }
    }
}

#[test]
fn whatever_a_good_driver_does_its_data_stays() {
    for_all(64, prop::collection::vec(deeds(), 1..60), |deeds| {
        let mut story = Story {
            driver: Driver::usual(),
            disk: BTreeMap::new(),
        };
        for deed in &deeds {
            story.carry_out(deed);
        }
        let driver = &story.driver;
        assert!(driver.strays.is_empty(), "{:?}", driver.strays);
        let idle = driver
            .queues
            .values()
            .all(|queue| queue.in_flight.is_empty());
        assert!(idle, "commands that were never completed");
        driver.heap.assert_free_is_untouched();
        driver.assert_no_complaint();
    });
}
