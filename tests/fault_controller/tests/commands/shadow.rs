// SPDX-License-Identifier: MIT

//! Shadow doorbells: no submission is lost, and most doorbells are spared while others are at work.

use nvme_proto::command::Command;
use nvme_proto::status::Status;

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
