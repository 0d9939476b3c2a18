// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands and completions, dword by dword as the specification has them.

use nvme_proto::command::{Cns, Command, NSID_ALL};
use nvme_proto::completion::{phase_of_word1, Completion};
use nvme_proto::feature::{host_behavior, number_of_queues_request, FeatureId, NumberOfQueues};
use nvme_proto::status::Status;
use proptest::prelude::*;
use zerocopy::IntoBytes;

use crate::support::for_all;

/// The sixteen dwords as a device reads them.
fn dwords(command: Command) -> [u32; 16] {
    let bytes = command.as_bytes();
    std::array::from_fn(|n| u32::from_le_bytes(bytes[n * 4..n * 4 + 4].try_into().unwrap()))
}

/// Dwords that are not 0, with their numbers.
fn set(command: Command) -> Vec<(usize, u32)> {
    let all = dwords(command).into_iter().enumerate();
    all.filter(|&(_, dword)| dword != 0).collect()
}

#[test]
fn a_read_says_where_and_how_much() {
    let read = Command::read(7, 0x1_2345_6789, 31)
        .with_cid(0xabcd)
        .with_data(0x11_2233_4000, 0x55_6677_8000);
    let expected = [
        (0, 0xabcd_0002),
        (1, 7),
        (6, 0x2233_4000),
        (7, 0x11),
        (8, 0x6677_8000),
        (9, 0x55),
        (10, 0x2345_6789),
        (11, 1),
        (12, 31),
    ];
    assert_eq!(set(read), expected);
}

#[test]
fn a_write_through_to_the_medium_differs_in_one_bit() {
    let plain = dwords(Command::write(1, 8, 0, false));
    let mut through = dwords(Command::write(1, 8, 0, true));
    assert_eq!((plain[0], plain[12], through[12]), (1, 0, 1 << 30));
    through[12] = 0;
    assert_eq!(plain, through);
}

#[test]
fn a_read_that_is_in_a_hurry_or_a_guess_says_so() {
    let read = Command::read(1, 0, 7);
    let hasty = set(read.with_limited_retry());
    assert_eq!(hasty, [(0, 2), (1, 1), (12, 0x8000_0007)]);
    let guess = set(read.with_speculation());
    assert_eq!(guess, [(0, 2), (1, 1), (12, 7), (13, 7)]);
}

#[test]
fn a_flush_names_only_its_namespace() {
    assert_eq!(set(Command::flush(NSID_ALL)), [(1, u32::MAX)]);
}

#[test]
fn admin_commands_carry_their_fields_where_they_belong() {
    assert_eq!(
        set(Command::identify(0, Cns::Controller, 0)),
        [(0, 6), (10, 1)]
    );
    let attached = Command::identify(5, Cns::AttachedControllerList, 3);
    assert_eq!(set(attached), [(0, 6), (1, 5), (10, 0x3_0012)]);
    let zoned = Command::identify_csi(5, Cns::CsiNamespace, 2);
    assert_eq!(set(zoned), [(0, 6), (1, 5), (10, 5), (11, 2 << 24)]);
    assert_eq!(set(Command::abort(3, 0x1234)), [(0, 8), (10, 0x1234_0003)]);
    assert_eq!(set(Command::async_event_request()), [(0, 0xc)]);
    assert_eq!(
        set(Command::get_features(FeatureId::NumberOfQueues)),
        [(0, 0xa), (10, 7)]
    );
    let features = Command::set_features(FeatureId::NumberOfQueues, number_of_queues_request(4));
    assert_eq!(set(features), [(0, 9), (10, 7), (11, 0x3_0003)]);
    let log = Command::get_log_page(NSID_ALL, 2, 0x2_0001, 0x5_0000_0010, true);
    let expected = [
        (0, 2),
        (1, u32::MAX),
        (10, 0x8002),
        (11, 2),
        (12, 0x10),
        (13, 5),
    ];
    assert_eq!(set(log), expected);
}

#[test]
fn queues_are_made_contiguous_with_the_interrupt_asked_for() {
    let cq = Command::create_io_cq(3, 1024, 0x8000, Some(2));
    assert_eq!(
        set(cq),
        [(0, 5), (6, 0x8000), (10, 0x3ff_0003), (11, 0x2_0003)]
    );
    let polled = Command::create_io_cq(3, 2, 0x8000, None);
    assert_eq!(set(polled), [(0, 5), (6, 0x8000), (10, 0x1_0003), (11, 1)]);
    let sq = Command::create_io_sq(3, 4096, 0x9000, 5);
    assert_eq!(
        set(sq),
        [(0, 1), (6, 0x9000), (10, 0xfff_0003), (11, 0x5_0001)]
    );
    assert_eq!(set(Command::delete_io_sq(3)), [(10, 3)]);
    assert_eq!(set(Command::delete_io_cq(3)), [(0, 4), (10, 3)]);
}

#[test]
fn a_command_survives_the_way_through_the_ring() {
    for_all(1000, (any::<[u64; 8]>(), any::<u16>()), |(words, cid)| {
        let command = Command::from_words(words).with_cid(cid);
        assert_eq!(command.cid.get(), cid);
        let stored: Vec<u8> = command
            .to_words()
            .iter()
            .flat_map(|w| w.to_ne_bytes())
            .collect();
        assert_eq!(stored, command.as_bytes());
        assert_eq!(Command::from_words(command.to_words()), command);
    });
}

#[test]
fn a_completion_is_taken_apart_as_the_specification_lays_it_out() {
    let mut bytes = [0; 16];
    bytes[0..4].copy_from_slice(&0x1122_3344u32.to_le_bytes());
    bytes[4..8].copy_from_slice(&0x5566_7788u32.to_le_bytes());
    bytes[8..10].copy_from_slice(&0x0123u16.to_le_bytes());
    bytes[10..12].copy_from_slice(&0x0004u16.to_le_bytes());
    bytes[12..14].copy_from_slice(&0xf00du16.to_le_bytes());
    // Phase, then SC 81h, SCT 2, CRD 3, M 0, DNR 1.
    let status = 0x81 | (2 << 8) | (3 << 11) | (1 << 14);
    bytes[14..16].copy_from_slice(&(1u16 | (status << 1)).to_le_bytes());
    let completion = Completion::from_bytes(bytes);
    let expected = Completion {
        result: 0x5566_7788_1122_3344,
        sq_head: 0x0123,
        sq_id: 4,
        cid: 0xf00d,
        status: Status::from_raw(status),
        phase: true,
    };
    assert_eq!(completion, expected);
    assert_eq!(completion.dw0(), 0x1122_3344);
}

#[test]
fn any_completion_goes_there_and_back() {
    for_all(2000, any::<[u64; 2]>(), |words| {
        let completion = Completion::from_words(words);
        assert_eq!(completion.to_words(), words);
        assert_eq!(completion.phase, phase_of_word1(words[1]));
    });
}

#[test]
fn queues_granted_are_never_more_than_asked_and_never_none() {
    let words = [(false, false), (true, false), (false, true), (true, true)];
    let words = words.map(|(acre, lbafee)| host_behavior(acre, lbafee));
    assert_eq!(words, [0, 1, 0x1_0000, 0x1_0001]);
    assert_eq!(number_of_queues_request(1), 0);
    assert_eq!(number_of_queues_request(0), 0);
    assert_eq!(number_of_queues_request(u16::MAX), 0xfffe_fffe);
    assert_eq!(NumberOfQueues::granted(0x0003_0001, 8), 2);
    assert_eq!(NumberOfQueues::granted(0x0001_0003, 8), 2);
    assert_eq!(NumberOfQueues::granted(0xffff_ffff, 8), 8);
    for_all(2000, (any::<u32>(), 1u16..), |(answer, asked)| {
        let granted = NumberOfQueues::granted(answer, asked);
        assert!((1..=asked).contains(&granted), "{granted} of {asked}");
    });
}
