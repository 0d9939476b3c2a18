// SPDX-License-Identifier: MIT

//! Shadow doorbells: no submission is lost, and most doorbells are spared while others are at work.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

use nvme_proto::command::Command;
use nvme_proto::shadow::must_ring;
use nvme_proto::status::Status;

use super::driver::queue::Queue;
use super::{code, page, Driver};

/// Hands the two buffers over.
pub(super) fn configure(driver: &mut Driver) {
    let (shadow, event) = (page(&mut driver.heap), page(&mut driver.heap));
    let done = driver.send(0, Command::doorbell_buffer_config(shadow, event));
    assert_eq!(done.status, Status::SUCCESS, "{}", driver.log());
    driver.shadow = Some((shadow, event));
}

#[test]
fn nothing_is_lost_over_many_rounds_of_a_ring() {
    let mut driver = Driver::usual();
    configure(&mut driver);
    for round in 0..300u64 {
        let data = [(round % 251) as u8; 512];
        driver.write_blocks(1, 1, round % 50, &data);
        assert_eq!(driver.read_blocks(2, 1, round % 50, 1), data);
    }
    driver.assert_no_complaint();
}

#[test]
fn a_tail_in_memory_is_taken_with_the_doorbell_of_an_earlier_one() {
    let mut driver = Driver::usual();
    configure(&mut driver);
    let first = driver.submit(1, Command::flush(1));
    let second = driver.submit(1, Command::flush(1));
    // The shadow has both, the doorbell is told of one.
    let (shadow, _) = driver.shadow.expect("shadows");
    driver.heap.write(shadow + 8, &2u32.to_le_bytes());
    let at = driver.doorbell_at(1, false);
    driver.write32(at, 1);
    driver.reap(1);
    let done = &driver.queue(1).done;
    assert!(done.contains_key(&first) && done.contains_key(&second));
}

#[test]
fn a_doorbell_that_comes_after_a_later_shadow_takes_nothing_twice() {
    let mut driver = Driver::usual();
    configure(&mut driver);
    for _ in 0..2 {
        driver.submit(1, Command::flush(1));
    }
    let (shadow, _) = driver.shadow.expect("shadows");
    driver.heap.write(shadow + 8, &2u32.to_le_bytes());
    let at = driver.doorbell_at(1, false);
    for late in [2, 1] {
        driver.write32(at, late);
    }
    driver.reap(1);
    assert_eq!(driver.queue(1).done.len(), 2);
    assert!(driver.strays.is_empty(), "{:?}", driver.strays);
    driver.assert_no_complaint();
}

#[test]
fn completions_without_room_find_the_head_in_memory() {
    let mut driver = Driver::usual();
    configure(&mut driver);
    for _ in 0..40 {
        while driver.queue(1).room() > 0 {
            driver.submit(1, Command::flush(1));
        }
        driver.ring(1);
        driver.look(1, 16);
        driver.give_back(1);
    }
    while driver.reap(1) > 0 {}
    assert!(driver.queue(1).in_flight.is_empty());
    driver.assert_no_complaint();
}

/// A queue 1 with a completion queue of 4 slots, whose commands all complete a second later.
fn late_and_narrow(driver: &mut Driver) -> Queue {
    driver.delete_queue(1);
    let queue = Queue::new(1, 128, &mut driver.heap);
    driver.send(0, Command::create_io_cq(1, 4, queue.cq, Some(1)));
    driver.send(0, Command::create_io_sq(1, 128, queue.sq, 1));
    driver.arm("completion-late:queue=1,times=100,arg=1000");
    queue
}

#[test]
fn a_head_that_goes_on_moving_is_followed_to_its_end() {
    let mut driver = Driver::usual();
    configure(&mut driver);
    let (shadow, event) = driver.shadow.expect("shadows");
    let queue = late_and_narrow(&mut driver);
    let cq = queue.cq;
    driver.queues.insert(1, queue);
    for cid in 0..100 {
        driver.submit_as(1, Command::flush(1).with_cid(cid));
    }
    driver.ring(1);
    driver.advance(Duration::from_secs(1));

    // The host consumes an entry when the controller looks at the clock, up to the one behind that
    // which the controller has asked for, and need not ring again: it is always ahead of what was asked.
    let (consumed, asked) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (head, rings, memory) = (consumed.clone(), asked.clone(), driver.memory().clone());
    let consume = move || {
        let old = head.load(Ordering::SeqCst);
        let word = memory.load32(cq + u64::from(old % 4) * 16 + 12);
        let phase = (word.expect("an entry") >> 16) & 1 == 1;
        let event = memory.load32(event + 12).expect("the event index");
        let beyond = (old % 4 + 4 - event) % 4 > 1;
        if beyond || phase != (old / 4 % 2 == 0) {
            return;
        }
        let new = old + 1;
        head.store(new, Ordering::SeqCst);
        memory.store32(shadow + 12, new % 4).expect("the shadow");
        let must = must_ring(event, (old % 4) as u16, (new % 4) as u16);
        rings.fetch_add(must.into(), Ordering::SeqCst);
    };
    *driver.meanwhile.lock().unwrap() = Some(Box::new(consume));
    driver.now();
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the first is asked for");
    let at = driver.doorbell_at(1, true);
    driver.write32(at, 1);
    driver.advance(Duration::from_secs(1));
    *driver.meanwhile.lock().unwrap() = None;
    // What is left when none waits for room any more fits the queue, whose heads nobody asks for then.
    let seen = consumed.load(Ordering::SeqCst);
    assert!(
        (97..=100).contains(&seen),
        "{seen} of 100 were there to consume"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1, "and no other");
    driver.assert_no_complaint();
}

#[test]
fn a_queue_that_is_created_again_begins_at_zero() {
    let mut driver = Driver::usual();
    configure(&mut driver);
    for entries in [7, 16, 5] {
        for _ in 0..entries + 2 {
            driver.send(1, Command::flush(1));
        }
        driver.delete_queue(1);
        driver.create_queue(1, entries);
        // A host clears what it had left there.
        let (shadow, _) = driver.shadow.expect("shadows");
        driver.heap.write(shadow + 8, &[0; 8]);
    }
    assert_eq!(driver.send(1, Command::flush(1)).status, Status::SUCCESS);
    driver.assert_no_complaint();
}

#[test]
fn a_reset_forgets_the_buffers() {
    let mut driver = Driver::usual();
    configure(&mut driver);
    driver.send(1, Command::flush(1));
    assert!(driver.disable());
    driver.bring_up();
    driver.send(1, Command::flush(1));
    driver.heap.assert_free_is_untouched();
    driver.assert_no_complaint();
}

#[test]
fn buffers_that_are_no_pages_are_refused() {
    let mut driver = Driver::usual();
    let good = page(&mut driver.heap);
    for (shadow, event) in [(good + 8, good), (good, 0x1000), (good, good)] {
        let refused = driver.send(0, Command::doorbell_buffer_config(shadow, event));
        assert_eq!(
            code(&refused),
            Status::INVALID_FIELD,
            "{shadow:#x} {event:#x}"
        );
    }
}
