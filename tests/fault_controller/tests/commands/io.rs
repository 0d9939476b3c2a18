// SPDX-License-Identifier: MIT

//! I/O commands beside Read and Write.

use nvme_fault_controller::settings::Settings;
use nvme_proto::command::{Cns, Command};
use nvme_proto::status::Status;

use super::driver::data::Shape;
use super::{code, number, raw, with_page, Driver, Setup};

#[test]
fn what_was_made_unreadable_gives_errors_until_it_is_written() {
    let mut driver = Driver::usual();
    driver.write_blocks(1, 1, 0, &[3; 4096]);
    let spoilt = driver.send(1, raw(0x04, 1, &[2, 0, 1]));
    assert_eq!(spoilt.status, Status::SUCCESS);
    let (read, _) = with_page(&mut driver, Command::read(1, 0, 7), &[0; 1]);
    assert_eq!(code(&read), Status::UNRECOVERED_READ_ERROR);
    let verify = driver.send(1, raw(0x0c, 1, &[3, 0, 0]));
    assert_eq!(code(&verify), Status::UNRECOVERED_READ_ERROR);
    assert_eq!(driver.read_blocks(1, 1, 0, 2), [3; 1024]);
    driver.write_blocks(1, 1, 2, &[4; 1024]);
    assert_eq!(driver.read_blocks(1, 1, 2, 2), [4; 1024]);
    let verify = driver.send(1, raw(0x0c, 1, &[0, 0, 7]));
    assert_eq!(verify.status, Status::SUCCESS);
}

#[test]
fn of_a_large_stretch_that_is_unreadable_only_what_is_written_is_mended() {
    let mut driver = Driver::usual();
    let spoilt = driver.send(1, raw(0x04, 1, &[0, 0, 2047]));
    assert_eq!(spoilt.status, Status::SUCCESS);
    driver.write_blocks(1, 1, 1000, &[5; 1024]);
    for (first, status) in [
        (999, Status::UNRECOVERED_READ_ERROR),
        (1000, Status::SUCCESS),
        (1001, Status::SUCCESS),
        (1002, Status::UNRECOVERED_READ_ERROR),
    ] {
        let verify = driver.send(1, raw(0x0c, 1, &[first, 0, 0]));
        assert_eq!(code(&verify), status, "block {first}");
    }
    driver.assert_no_complaint();
}

#[test]
fn a_verify_reads_no_more_than_its_limit() {
    let mut driver = Driver::start(Setup {
        namespaces: vec![(4 << 20, 9)],
        ..Setup::default()
    });
    let (_, limits) = driver.fetch(raw(0x06, 0, &[0x06, 0]), 4096);
    assert_eq!(limits[0], 8, "VSL: 1 MiB");
    for (blocks, status) in [(2048, Status::SUCCESS), (2049, Status::INVALID_FIELD)] {
        let verify = driver.send(1, raw(0x0c, 1, &[0, 0, blocks - 1]));
        assert_eq!(code(&verify), status, "{blocks} blocks");
    }
    driver.assert_no_complaint();
}

#[test]
fn a_compare_finds_the_difference() {
    let mut driver = Driver::usual();
    driver.write_blocks(1, 1, 0, &[3; 512]);
    let (same, _) = with_page(&mut driver, raw(0x05, 1, &[0, 0, 0]), &[3; 512]);
    assert_eq!(same.status, Status::SUCCESS);
    let mut other = [3; 512];
    other[511] = 4;
    let (differs, _) = with_page(&mut driver, raw(0x05, 1, &[0, 0, 0]), &other);
    assert_eq!(code(&differs), Status::COMPARE_FAILURE);
}

#[test]
fn zeroes_are_written_with_and_without_deallocating() {
    let mut driver = Driver::usual();
    for deallocate in [false, true] {
        driver.write_blocks(1, 2, 5, &[9; 3 * 4096]);
        let command = Command::write_zeroes(2, 6, 0, deallocate, true);
        assert_eq!(driver.send(1, command).status, Status::SUCCESS);
        let data = driver.read_blocks(1, 2, 5, 3);
        let sums: Vec<bool> = data
            .chunks(4096)
            .map(|block| block.iter().all(|byte| *byte == 9))
            .collect();
        assert_eq!(sums, [true, false, true]);
        assert_eq!(data[4096..8192], [0; 4096]);
    }
    driver.assert_no_complaint();
}

#[test]
fn a_copy_gathers_ranges() {
    let mut driver = Driver::usual();
    driver.write_blocks(1, 1, 10, &[1; 1024]);
    driver.write_blocks(1, 1, 20, &[2; 512]);
    let mut list = [0; 64];
    for (entry, (first, blocks)) in list.chunks_exact_mut(32).zip([(10u64, 1u16), (20, 0)]) {
        entry[8..16].copy_from_slice(&first.to_le_bytes());
        entry[16..18].copy_from_slice(&blocks.to_le_bytes());
    }
    let (copied, _) = with_page(&mut driver, raw(0x19, 1, &[100, 0, 1]), &list);
    assert_eq!(copied.status, Status::SUCCESS, "{}", driver.log());
    let data = driver.read_blocks(1, 1, 100, 3);
    assert_eq!(
        (&data[..1024], &data[1024..]),
        (&[1; 1024][..], &[2; 512][..])
    );
    let (refused, _) = with_page(&mut driver, raw(0x19, 1, &[11, 0, 1]), &list);
    assert_eq!(code(&refused), Status::OVERLAPPING_IO_RANGE);
    let (refused, _) = with_page(&mut driver, raw(0x19, 1, &[5000, 0, 1]), &list);
    assert_eq!(code(&refused), Status::LBA_OUT_OF_RANGE);
}

#[test]
fn without_lists_and_cache_it_says_so() {
    let settings = Settings {
        sgl: false,
        cache: false,
        shadow: false,
        ..Settings::default()
    };
    let mut driver = Driver::start(Setup {
        settings,
        ..Setup::default()
    });
    let id = driver.identify(0, Cns::Controller);
    assert_eq!(number(&id, 536, 4), 0, "SGLS");
    assert_eq!((id[525], number(&id, 256, 2)), (0, 0), "VWC, OACS");
    driver.write_blocks(1, 1, 0, &[3; 512]);
    driver.assert_no_complaint();
    let shape = Shape {
        sgl: true,
        ..Shape::PLAIN
    };
    let (read, _) = driver.try_read(1, 1, 0, 1, shape).expect("an answer");
    assert_eq!(code(&read), Status::INVALID_FIELD);
    let refused = driver.send(0, Command::doorbell_buffer_config(0x1000, 0x2000));
    assert_eq!(code(&refused), Status::INVALID_OPCODE);
}
