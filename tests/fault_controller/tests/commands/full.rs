// SPDX-License-Identifier: MIT

//! Completion queues without room: commands wait in their submission queues.

use nvme_proto::command::Command;
use nvme_proto::ring::CompletionHead;

use super::driver::queue::Queue;
use super::{Driver, Setup};

/// Slots of the completion queue: three entries fit.
const SLOTS: u16 = 4;

/// A queue 1 whose completion queue is soon full, and a queue 3 that shares it.
fn narrow() -> Driver {
    let mut driver = Driver::start(Setup {
        queues: 3,
        ..Setup::default()
    });
    driver.delete_queue(1);
    driver.delete_queue(3);
    let mut first = Queue::new(1, 16, &mut driver.heap);
    let second = Queue::new(3, 16, &mut driver.heap);
    first.head = CompletionHead::new(SLOTS);
    driver.send(0, Command::create_io_cq(1, SLOTS, first.cq, Some(1)));
    driver.send(0, Command::create_io_sq(1, 16, first.sq, 1));
    driver.send(0, Command::create_io_sq(3, 16, second.sq, 1));
    driver.queues.insert(1, first);
    driver.queues.insert(3, second);
    driver
}

/// How many commands of a queue were taken, and how many completions wait for room.
fn taken(driver: &Driver, sqid: u16) -> (u32, usize) {
    let controller = &driver.controller;
    let waiting = controller.completion[&1].waiting.len();
    (controller.submission[&sqid].head, waiting)
}

#[test]
fn no_command_is_taken_before_the_completion_of_the_last_has_room() {
    let mut driver = narrow();
    for _ in 0..10 {
        driver.submit(1, Command::flush(1));
    }
    driver.ring(1);
    assert_eq!(taken(&driver, 1), (4, 1));
    // Two slots are given back: what waits gets one, the next command the other, and one more waits.
    driver.look(1, 2);
    driver.give_back(1);
    assert_eq!(taken(&driver, 1), (6, 1));
    while driver.reap(1) > 0 {}
    assert_eq!(taken(&driver, 1), (10, 0));
    let queue = driver.queue(1);
    assert_eq!((queue.done.len(), queue.in_flight.len()), (10, 0));
    driver.assert_no_complaint();
}

#[test]
fn each_queue_that_shares_a_full_one_goes_on() {
    let mut driver = narrow();
    for sqid in [1, 3] {
        for _ in 0..5 {
            driver.submit(sqid, Command::flush(1));
        }
        driver.ring(sqid);
    }
    assert_eq!(taken(&driver, 1), (4, 1));
    assert_eq!(taken(&driver, 3), (0, 1), "nothing of the second yet");
    while driver.reap(1) > 0 {}
    assert_eq!((taken(&driver, 1).0, taken(&driver, 3)), (5, (5, 0)));
    // By queue 1 those of queue 3 look as if they were somebody else's.
    let (done, strays) = (driver.queue(1).done.len(), driver.strays.len());
    assert_eq!((done, strays), (5, 5));
    driver.assert_no_complaint();
}
