// SPDX-License-Identifier: MIT

//! Data of reads and writes: to a wrong place, at a wrong time, or changed.

use std::time::Duration;

use nvme_proto::command::Command;
use nvme_proto::status::Status;

use crate::driver::data::{Buffer, Shape};
use crate::driver::heap::{BASE, PAGES, PAGE_BYTES};
use crate::driver::Driver;
use crate::{fired, running};

/// Two pages of blocks, of which no two are alike.
fn blocks() -> Vec<u8> {
    (0..16u8)
        .flat_map(|block| vec![0x40 + block; 512])
        .collect()
}

/// A driver whose first namespace begins with these blocks; the fault is armed then.
fn written(spec: &str) -> Driver {
    let mut driver = Driver::usual();
    driver.write_blocks(1, 1, 0, &blocks());
    driver.arm(spec);
    driver
}

/// The blocks as they are in the namespace.
fn there(driver: &mut Driver) -> Vec<u8> {
    driver.tell("disarm");
    driver.read_blocks(1, 1, 0, 16)
}

/// Submits a read of 16 blocks. Its buffer stays the driver's.
fn read(driver: &mut Driver, shape: Shape) -> (u16, Buffer) {
    let (buffer, command) = driver.with_buffer(Command::read(1, 0, 15), 8192, shape);
    let cid = driver.submit(1, command);
    driver.ring(1);
    (cid, buffer)
}

#[test]
fn misplaced_data_lies_in_another_page() {
    let mut driver = written("data-misplaced:queue=1");
    let (cid, buffer) = read(&mut driver, Shape::SCATTERED);
    assert_eq!(
        driver.wait(1, cid).map(|entry| entry.status),
        Some(Status::SUCCESS)
    );
    let data = buffer.get(&driver.heap);
    assert_eq!(data[..4096], [0; 4096], "the page that it should be in");
    assert_eq!(data[4096..], blocks()[4096..], "the other page");
    let last = driver.heap.read(BASE + (PAGES - 1) * PAGE_BYTES, 4096);
    assert_eq!(last, blocks()[..4096], "the page that it is in");
}

#[test]
fn behind_a_misplaced_page_the_rest_of_a_long_piece_is_where_it_should_be() {
    let shape = Shape {
        sgl: true,
        ..Shape::PLAIN
    };
    let mut driver = written("data-misplaced:queue=1");
    let (cid, buffer) = read(&mut driver, shape);
    assert!(driver.wait(1, cid).is_some());
    let data = buffer.get(&driver.heap);
    assert_eq!(data[..4096], [0; 4096]);
    assert_eq!(data[4096..], blocks()[4096..]);
}

/// Discards the first block by a range that lies at an offset in a page. What was answered.
fn discard(driver: &mut Driver, offset: u64) -> Status {
    let page = driver.heap.take(1);
    driver.heap.write(page + offset + 4, &1u32.to_le_bytes());
    let command = Command::deallocate(1, 1).with_data(page + offset, 0);
    driver.send(1, command).status
}

#[test]
fn ranges_are_read_beyond_what_there_is() {
    let mut driver = written("ranges-read-beyond:queue=1");
    assert_eq!(discard(&mut driver, 0), Status::SUCCESS, "a whole page");
    assert_eq!(driver.read_blocks(1, 1, 0, 1), vec![0; 512]);
    let error = discard(&mut driver, 4096 - 16);
    assert_eq!(error.code(), Status::DATA_TRANSFER_ERROR.code());
    assert_eq!(fired(&driver), 2);
    driver.assert_no_complaint();
    driver.tell("disarm");
    assert_eq!(discard(&mut driver, 4096 - 16), Status::SUCCESS);
}

#[test]
fn an_address_that_is_not_mapped_is_an_error() {
    let mut driver = written("data-unmapped:queue=1");
    let (completion, data) = driver
        .try_read(1, 1, 0, 16, Shape::PLAIN)
        .expect("a completion");
    let error = Status::DATA_TRANSFER_ERROR.code();
    assert_eq!((completion.status.code(), data), (error, vec![0; 8192]));
    let mut driver = written("write-unmapped:queue=1");
    let completion = driver
        .try_write(1, 1, 0, &[1; 8192], Shape::PLAIN)
        .expect("a completion");
    assert_eq!(completion.status.code(), error);
    assert_eq!(there(&mut driver), blocks());
    driver.assert_no_complaint();
}

#[test]
fn less_data_is_moved_than_is_said() {
    for (spec, count) in [
        ("data-short:queue=1", 512),
        ("data-short:arg=100", 100),
        ("data-not-moved", 0),
    ] {
        let mut driver = written(spec);
        let mut expected = vec![0; 8192];
        expected[..count].copy_from_slice(&blocks()[..count]);
        assert_eq!(driver.read_blocks(1, 1, 0, 16), expected, "{spec}");
        assert_eq!(there(&mut driver), blocks(), "{spec}");
    }
}

#[test]
fn a_lost_write_is_acknowledged_and_not_there() {
    let mut driver = written("write-lost:queue=1");
    driver.write_blocks(1, 1, 0, &[1; 8192]);
    assert_eq!(there(&mut driver), blocks());
}

#[test]
fn a_bit_is_inverted_on_the_way() {
    let mut expected = blocks();
    expected[1] ^= 1 << 4;
    let mut driver = written("data-flipped:queue=1");
    assert_eq!(driver.read_blocks(1, 1, 0, 16), expected);
    assert_eq!(there(&mut driver), blocks());
    let mut driver = written("write-flipped:queue=1");
    driver.write_blocks(1, 1, 0, &blocks());
    assert_eq!(there(&mut driver), expected);
}

#[test]
fn other_blocks_are_moved_than_were_asked_for() {
    let mut driver = written("data-other-block:queue=1");
    assert_eq!(
        driver.read_blocks(1, 1, 8, 8),
        blocks()[..4096],
        "those in front"
    );
    let mut driver = written("data-other-block:queue=1");
    assert_eq!(
        driver.read_blocks(1, 1, 0, 8),
        blocks()[4096..],
        "those behind"
    );
    let mut driver = written("write-other-block:queue=1");
    driver.write_blocks(1, 1, 8, &[1; 4096]);
    let there = there(&mut driver);
    assert_eq!(
        (&there[..4096], &there[4096..]),
        (&[1; 4096][..], &blocks()[4096..])
    );
}

#[test]
fn two_pages_are_swapped() {
    let mut driver = written("data-pages-swapped:queue=1");
    let data = driver.read_blocks(1, 1, 0, 16);
    assert_eq!(
        (&data[..4096], &data[4096..]),
        (&blocks()[4096..], &blocks()[..4096])
    );
    let mut driver = written("data-pages-swapped:queue=1");
    let data = driver.read_blocks(1, 1, 0, 2);
    assert_eq!(
        (&data[..512], &data[512..]),
        (&blocks()[512..1024], &blocks()[..512])
    );
}

#[test]
fn data_comes_after_the_completion() {
    let mut driver = written("data-after-completion:queue=1,arg=5");
    let (cid, buffer) = read(&mut driver, Shape::SCATTERED);
    driver.reap(1);
    assert!(!driver.is_in_flight(1, cid));
    assert_eq!(buffer.get(&driver.heap), vec![0; 8192]);
    driver.advance(Duration::from_millis(5));
    assert_eq!(buffer.get(&driver.heap), blocks());
}

#[test]
fn a_writes_data_is_fetched_after_the_completion() {
    let mut driver = running("write-after-completion:queue=1,arg=5");
    let (buffer, command) = driver.with_buffer(Command::write(1, 0, 15, false), 8192, Shape::PLAIN);
    buffer.put(&driver.heap, &blocks());
    assert!(driver.send(1, command).status.is_success());
    buffer.put(&driver.heap, &[0x11; 8192]);
    driver.advance(Duration::from_millis(5));
    assert_eq!(there(&mut driver), vec![0x11; 8192]);
}

#[test]
fn data_is_written_again_after_the_completion() {
    let mut driver = written("data-written-again:queue=1,arg=5");
    let (_, buffer) = read(&mut driver, Shape::SCATTERED);
    driver.reap(1);
    assert_eq!(buffer.get(&driver.heap), blocks());
    buffer.put(&driver.heap, &[0; 8192]);
    driver.advance(Duration::from_millis(5));
    assert_eq!(buffer.get(&driver.heap), blocks());
}

#[test]
fn a_list_that_has_changed_leads_elsewhere_when_it_is_read_again() {
    let shape = Shape {
        scattered: true,
        first_room: 2,
        ..Shape::PLAIN
    };
    let mut driver = written("list-read-again:queue=1,arg=5");
    let (buffer, command) = driver.with_buffer(Command::read(1, 0, 23), 12288, shape);
    driver.send(1, command);
    assert_eq!(buffer.get(&driver.heap)[..8192], blocks());
    let elsewhere = driver.heap.take(1);
    driver.heap.write(buffer.lists[0], &elsewhere.to_le_bytes());
    driver.advance(Duration::from_millis(5));
    assert_eq!(driver.heap.read(elsewhere, 4096), blocks()[4096..]);
    driver.assert_no_complaint();
}

#[test]
fn faults_of_reads_leave_writes_alone() {
    let mut driver = written("data-not-moved:times=forever data-flipped");
    driver.write_blocks(1, 1, 0, &[1; 8192]);
    assert_eq!(fired(&driver), 0);
    assert_eq!(there(&mut driver), vec![1; 8192]);
}
