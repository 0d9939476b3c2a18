// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Flexible Data Placement: configurations and handles of honest and lying devices.

use nvme_proto::command::Command;
use nvme_proto::placement::{
    configurations_bytes, enabled_configuration, FdpConfiguration, PlacementRefused, WriteStreams,
    CTRATT_FDPS, MAX_CONFIGURATIONS_BYTES, MAX_STREAMS, STATUS_BYTES,
};
use proptest::prelude::*;
use zerocopy::IntoBytes;

use crate::support::for_all;

/// A configuration of 1 reclaim group and units of 96 MiB, with these handles' types.
fn configuration(handles: &[u8], vendor: usize) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[0..2].copy_from_slice(&((64 + handles.len() * 4 + vendor) as u16).to_le_bytes());
    bytes[2] = 0x80;
    bytes[3] = vendor as u8;
    bytes[4..8].copy_from_slice(&1u32.to_le_bytes());
    bytes[8..10].copy_from_slice(&(handles.len() as u16).to_le_bytes());
    bytes[10..12].copy_from_slice(&127u16.to_le_bytes());
    bytes[12..16].copy_from_slice(&256u32.to_le_bytes());
    bytes[16..24].copy_from_slice(&(96u64 << 20).to_le_bytes());
    bytes.extend(handles.iter().flat_map(|&kind| [kind, 0, 0, 0]));
    bytes.resize(bytes.len() + vendor, 0xee);
    bytes
}

fn log(configurations: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    bytes[0..2].copy_from_slice(&((configurations.len() - 1) as u16).to_le_bytes());
    bytes.extend(configurations.iter().flatten());
    let size = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&size.to_le_bytes());
    bytes
}

/// The reply about handles with these placement identifiers.
fn status(claimed: u16, pids: &[u16]) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    bytes[14..16].copy_from_slice(&claimed.to_le_bytes());
    for (handle, pid) in (0u16..).zip(pids) {
        let mut descriptor = [0; 32];
        descriptor[0..2].copy_from_slice(&pid.to_le_bytes());
        descriptor[2..4].copy_from_slice(&handle.to_le_bytes());
        bytes.extend(descriptor);
    }
    bytes
}

fn refused<T>(result: Result<T, PlacementRefused>) -> PlacementRefused {
    let Err(refused) = result else {
        panic!("must be refused")
    };
    println!("namespace 1: {refused}");
    assert!(refused
        .to_string()
        .starts_with("data placement is left out: "));
    refused
}

/// The dwords that are not 0, with their numbers.
fn set(command: Command) -> Vec<(usize, u32)> {
    let bytes = command.as_bytes();
    let dwords = bytes
        .chunks_exact(4)
        .map(|d| u32::from_le_bytes(d.try_into().unwrap()));
    dwords
        .enumerate()
        .filter(|&(_, dword)| dword != 0)
        .collect()
}

#[test]
fn the_commands_ask_about_an_endurance_group_and_a_namespace() {
    assert_eq!(set(Command::get_fdp(3)), [(0, 0xa), (10, 0x1d), (11, 3)]);
    let configurations = Command::get_fdp_configurations(3, 0, 0x50000);
    assert_eq!(
        set(configurations),
        [(0, 2), (10, 0x3fff_0020), (11, 0x3_0001)]
    );
    let further = Command::get_fdp_configurations(3, 0x1_0000_1000, 16);
    assert_eq!(
        set(further),
        [
            (0, 2),
            (10, 0x3_0020),
            (11, 0x3_0000),
            (12, 0x1000),
            (13, 1)
        ]
    );
    let handles = Command::reclaim_unit_handle_status(7);
    assert_eq!(set(handles), [(0, 0x12), (1, 7), (10, 1), (11, 1019)]);
    assert_eq!((STATUS_BYTES, CTRATT_FDPS), (4080, 0x8_0000));
}

#[test]
fn a_write_names_its_stream_and_keeps_what_it_said() {
    let write = Command::write(1, 8, 3, true).with_placement(0xabcd);
    let expected = [
        (0, 1),
        (1, 1),
        (10, 8),
        (12, (1 << 30) | (2 << 20) | 3),
        (13, 0xabcd_0000),
    ];
    assert_eq!(set(write), expected);
}

#[test]
fn a_disabled_feature_has_no_configuration() {
    assert_eq!(enabled_configuration(0x0500), None);
    assert_eq!(enabled_configuration(0x0501), Some(5));
    assert_eq!(enabled_configuration(u32::MAX), Some(255));
}

#[test]
fn the_configuration_in_use_is_found_behind_others() {
    let log = log(&[
        configuration(&[1, 1], 0),
        configuration(&[], 12),
        configuration(&[1, 2, 2], 8),
    ]);
    assert_eq!(configurations_bytes(&log[..16]), Ok(log.len() as u32));
    let third = FdpConfiguration::find(&log, 2).expect("three");
    assert_eq!(third.handle_types().collect::<Vec<_>>(), [1, 2, 2]);
    assert_eq!((third.unit_bytes(), third.reclaim_groups()), (96 << 20, 1));
    assert!(third.is_valid());
    let second = FdpConfiguration::find(&log, 1).expect("three");
    assert_eq!(second.handle_types().len(), 0);
    let beyond = FdpConfiguration::find(&log, 3);
    assert_eq!(
        refused(beyond),
        PlacementRefused::Index { index: 3, count: 3 }
    );
}

#[test]
fn a_log_of_an_absurd_size_is_not_fetched() {
    let sized = |size: u32| {
        let mut header = [0; 16];
        header[4..8].copy_from_slice(&size.to_le_bytes());
        configurations_bytes(&header)
    };
    for size in [0, 16, 79, MAX_CONFIGURATIONS_BYTES + 1, u32::MAX] {
        assert_eq!(refused(sized(size)), PlacementRefused::LogSize(size));
    }
    assert_eq!((sized(80), sized(81)), (Ok(80), Ok(84)));
    assert_eq!(
        sized(MAX_CONFIGURATIONS_BYTES),
        Ok(MAX_CONFIGURATIONS_BYTES)
    );
    assert_eq!(
        refused(configurations_bytes(&[0; 7])),
        PlacementRefused::Short(7)
    );
}

#[test]
fn a_configuration_that_does_not_hold_what_it_claims_is_refused() {
    let odd = |at: usize, bytes: &[u8], index| {
        let mut log = log(&[configuration(&[1, 1], 0), configuration(&[2], 0)]);
        log[at..at + bytes.len()].copy_from_slice(bytes);
        refused(FdpConfiguration::find(&log, index))
    };
    let descriptor = |index, bytes| PlacementRefused::Descriptor { index, bytes };
    // The size of the first, which is 72 and from which the second is found.
    for bytes in [0u16, 4, 63, 141, 0xffff] {
        assert_eq!(odd(16, &bytes.to_le_bytes(), 1), descriptor(0, bytes));
    }
    assert_eq!(
        odd(16, &140u16.to_le_bytes(), 1),
        PlacementRefused::Short(0)
    );
    assert_eq!(odd(88, &63u16.to_le_bytes(), 1), descriptor(1, 63));
    assert_eq!(odd(88, &69u16.to_le_bytes(), 1), descriptor(1, 69));
    // More handles than there is room for.
    assert_eq!(odd(24, &3u16.to_le_bytes(), 0), descriptor(0, 72));
    assert_eq!(odd(96, &0xffffu16.to_le_bytes(), 1), descriptor(1, 68));
}

#[test]
fn streams_are_numbered_from_1() {
    let log = log(&[configuration(&[1; 4], 0)]);
    let configuration = FdpConfiguration::find(&log, 0).expect("one");
    let streams = WriteStreams::new(&configuration, &status(4, &[0, 7, 2, 0x8001])).expect("four");
    assert_eq!(streams.pids(), [0, 7, 2, 0x8001]);
    assert_eq!((streams.pid(1), streams.pid(4)), (Some(0), Some(0x8001)));
    assert_eq!(
        (streams.pid(0), streams.pid(5), streams.pid(u16::MAX)),
        (None, None, None)
    );
    assert_eq!(streams.granularity(), 96 << 20);
}

#[test]
fn a_handle_that_comes_twice_is_one_stream() {
    let log = log(&[configuration(&[1; 4], 0)]);
    let configuration = FdpConfiguration::find(&log, 0).expect("one");
    let streams = WriteStreams::new(&configuration, &status(5, &[3, 1, 3, 3, 1])).expect("two");
    assert_eq!(streams.pids(), [3, 1]);
}

#[test]
fn no_more_handles_are_taken_than_there_are_or_can_be() {
    let log = log(&[configuration(&[1; 4], 0)]);
    let configuration = FdpConfiguration::find(&log, 0).expect("one");
    let streams = |claimed, pids: &[u16]| WriteStreams::new(&configuration, &status(claimed, pids));
    let lying = streams(u16::MAX, &[4, 5]).expect("two");
    assert_eq!(lying.pids(), [4, 5]);
    assert_eq!(streams(1, &[4, 5]).expect("one").pids(), [4]);
    let many: Vec<u16> = (0..1000).collect();
    assert_eq!(
        streams(1000, &many).expect("many").pids(),
        &many[..MAX_STREAMS]
    );
    assert_eq!(status(0, &many[..MAX_STREAMS]).len(), STATUS_BYTES);
    assert_eq!(refused(streams(0, &[4, 5])), PlacementRefused::NoHandles);
    assert_eq!(refused(streams(9, &[])), PlacementRefused::NoHandles);
    let cut = WriteStreams::new(&configuration, &[0; 15]);
    assert_eq!(refused(cut), PlacementRefused::Short(15));
}

#[test]
fn a_configuration_without_use_offers_no_streams() {
    let streams = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut log = log(&[configuration(&[1; 4], 0)]);
        change(&mut log);
        let configuration = FdpConfiguration::find(&log, 0).expect("one");
        WriteStreams::new(&configuration, &status(1, &[1]))
    };
    assert_eq!(
        refused(streams(&|log| log[18] = 0x7f)),
        PlacementRefused::Invalid(0)
    );
    let groups = refused(streams(&|log| log[20] = 2));
    assert_eq!(groups, PlacementRefused::ReclaimGroups(2));
    assert_eq!(
        refused(streams(&|log| log[32..40].fill(0))),
        PlacementRefused::NoUnit
    );
    let huge = streams(&|log| log[32..40].fill(0xff)).expect("accepted");
    assert_eq!(
        huge.granularity(),
        u32::MAX,
        "as much as the block layer counts"
    );
}

#[test]
fn any_reply_gives_bounded_streams_or_a_refusal() {
    let header = (0u16..4, 60u32..400);
    let sizes = prop::collection::vec((56u16..100, 0u16..6, any::<u64>()), 4);
    let values = (
        header,
        sizes,
        prop::collection::vec(any::<u8>(), 0..400),
        0u8..5,
    );
    for_all(
        5000,
        values,
        |((last, size), configurations, reply, index)| {
            let mut log = vec![0; 16];
            log[0..2].copy_from_slice(&last.to_le_bytes());
            log[4..8].copy_from_slice(&size.to_le_bytes());
            for (bytes, handles, raw) in configurations {
                let mut one = vec![0xff; usize::from(bytes)];
                one[0..2].copy_from_slice(&bytes.to_le_bytes());
                one[4..8].copy_from_slice(&((raw % 3) as u32).to_le_bytes());
                one[8..10].copy_from_slice(&handles.to_le_bytes());
                one[16..24].copy_from_slice(&raw.to_le_bytes());
                log.extend(one);
            }
            let streams = FdpConfiguration::find(&log, index).and_then(|configuration| {
                assert!(u16::from(index) <= last);
                assert!(configuration.handle_types().all(|kind| kind == 0xff));
                WriteStreams::new(&configuration, &reply)
            });
            match streams {
                Ok(streams) => {
                    let pids = streams.pids();
                    assert!(
                        (1..=reply.len() / 32).contains(&pids.len()) && streams.granularity() > 0
                    );
                    let once = |pid: &u16| pids.iter().filter(|other| *other == pid).count() == 1;
                    assert!(pids.iter().all(once));
                }
                Err(refused) => assert!(refused.to_string().len() < 120, "{refused}"),
            }
        },
    );
}

#[test]
fn what_is_left_out_says_why() {
    let messages = [
        (
            PlacementRefused::Short(9),
            "a reply of 9 bytes is too short",
        ),
        (
            PlacementRefused::LogSize(16),
            "the log of configurations claims to have 16 bytes",
        ),
        (
            PlacementRefused::Index { index: 3, count: 2 },
            "configuration 3 is in use, but there are 2",
        ),
        (
            PlacementRefused::Descriptor { index: 1, bytes: 8 },
            "configuration 1 claims 8 bytes, which cannot be",
        ),
        (
            PlacementRefused::Invalid(1),
            "configuration 1 is in use but not valid",
        ),
        (
            PlacementRefused::ReclaimGroups(4),
            "there are 4 reclaim groups; only 1 is supported",
        ),
        (PlacementRefused::NoUnit, "the reclaim unit has a size of 0"),
        (
            PlacementRefused::NoHandles,
            "the namespace has no reclaim unit handle",
        ),
    ];
    for (refused, expected) in messages {
        assert_eq!(
            refused.to_string(),
            format!("data placement is left out: {expected}")
        );
    }
}
