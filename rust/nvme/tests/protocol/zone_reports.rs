// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Zone reports of honest and lying devices.

use nvme_proto::command::Command;
use nvme_proto::zoned::{
    report_bytes, ReportError, ReportRefused, Zone, ZoneCondition, ZoneReport,
};
use proptest::prelude::*;

use crate::support::for_all;
use crate::zoned::layout;

#[test]
fn a_report_has_room_for_a_zone_and_no_more_than_a_transfer() {
    assert_eq!(report_bytes(8, 128 << 10), 576);
    assert_eq!(report_bytes(u32::MAX, 4096), 4096);
    assert_eq!(report_bytes(u32::MAX, 4100), 4096);
    assert_eq!((report_bytes(0, 4096), report_bytes(1, 0)), (128, 128));
    for_all(2000, (any::<u32>(), 128u32..), |(zones, most)| {
        let bytes = report_bytes(zones, most);
        assert!(bytes % 64 == 0 && (128..=most).contains(&bytes));
        let held = u64::from(bytes / 64 - 1);
        assert!(held == u64::from(zones.max(1)) || u64::from(bytes) + 64 > u64::from(most));
    });
}

/// A descriptor of a zone of 64 blocks of which 48 can be written; `wp` counts from its start.
fn descriptor(zone: u64, state: u8, wp: u64) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[0] = 2;
    bytes[1] = state << 4;
    bytes[8..16].copy_from_slice(&48u64.to_le_bytes());
    bytes[16..24].copy_from_slice(&(zone * 64).to_le_bytes());
    bytes[24..32].copy_from_slice(&(zone * 64).wrapping_add(wp).to_le_bytes());
    bytes
}

fn report(claimed: u64, descriptors: &[[u8; 64]]) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..8].copy_from_slice(&claimed.to_le_bytes());
    bytes.extend(descriptors.iter().flatten());
    bytes
}

/// What the walk makes of a report, with the zones that it told of.
fn taken(walk: &mut ZoneReport, report: &[u8]) -> (Result<u32, ReportRefused>, Vec<(u32, Zone)>) {
    let mut zones = Vec::new();
    let taken = walk.take(report, |index, zone| {
        zones.push((index, *zone));
        Ok::<(), ()>(())
    });
    let taken = taken.map_err(|error| match error {
        ReportError::Refused(refused) => refused,
        ReportError::Stopped(()) => panic!("nobody stopped"),
    });
    (taken, zones)
}

#[test]
fn a_zone_is_told_in_the_block_layers_terms() {
    let states = [
        (1, 0),
        (2, 5),
        (3, 0),
        (4, 48),
        (0xd, 9),
        (0xe, 48),
        (0xf, 9),
    ];
    let descriptors: Vec<_> = (0..)
        .zip(states)
        .map(|(n, (s, wp))| descriptor(n, s, wp))
        .collect();
    let mut walk = ZoneReport::new(layout(), 0, 7);
    let (count, zones) = taken(&mut walk, &report(7, &descriptors));
    assert_eq!((count, walk.left(), walk.reported()), (Ok(7), 0, 7));
    assert!(walk.command(1, 4096).is_none());
    let told: Vec<_> = zones
        .iter()
        .map(|(index, zone)| (*index, zone.condition, zone.write_pointer))
        .collect();
    let expected = [
        (0, ZoneCondition::Empty, 0),
        (1, ZoneCondition::ImplicitlyOpened, 512 + 40),
        (2, ZoneCondition::ExplicitlyOpened, 1024),
        (3, ZoneCondition::Closed, 1536 + 384),
        (4, ZoneCondition::ReadOnly, u64::MAX),
        (5, ZoneCondition::Full, 2560 + 512),
        (6, ZoneCondition::Offline, u64::MAX),
    ];
    assert_eq!(told, expected);
    let last = Zone {
        condition: ZoneCondition::Offline,
        start: 3072,
        len: 512,
        capacity: 384,
        write_pointer: u64::MAX,
        reset_recommended: false,
    };
    assert_eq!((zones[6].1, Zone::TYPE), (last, 2));
    let conditions = [(ZoneCondition::ReadOnly, 0xd), (ZoneCondition::Full, 0xe)];
    assert!(conditions
        .iter()
        .all(|&(condition, number)| condition as u8 == number));
}

#[test]
fn a_reset_that_the_device_would_like_is_passed_on() {
    let mut wanted = descriptor(0, 0xe, 0);
    wanted[2] = 0b100;
    let (_, zones) = taken(&mut ZoneReport::new(layout(), 0, 1), &report(1, &[wanted]));
    assert!(zones[0].1.reset_recommended);
    wanted[2] = 0b1111_1011;
    let (_, zones) = taken(&mut ZoneReport::new(layout(), 0, 1), &report(1, &[wanted]));
    assert!(!zones[0].1.reset_recommended);
}

#[test]
fn a_walk_goes_on_where_the_last_report_ended() {
    let mut walk = ZoneReport::new(layout(), 1030, 100);
    assert_eq!(walk.left(), 6, "from zone 2 to the last");
    let mut seen = Vec::new();
    for zone in [2, 4, 6] {
        let command = walk.command(9, 192).expect("zones are left");
        let expected = Command::report_zones(9, zone * 64, 192);
        assert_eq!(command, expected);
        let two = [descriptor(zone, 1, 0), descriptor(zone + 1, 1, 0)];
        let (count, zones) = taken(&mut walk, &report(2, &two));
        assert_eq!(count, Ok(2));
        seen.extend(zones.into_iter().map(|(index, zone)| (index, zone.start)));
    }
    let expected: Vec<_> = (0..6).map(|n| (n, (u64::from(n) + 2) * 512)).collect();
    assert_eq!((seen, walk.left()), (expected, 0));
    assert_eq!(
        walk.take(&[], |_, _| Err(())),
        Err(ReportError::Refused(ReportRefused::Short(0)))
    );
}

#[test]
fn nothing_is_asked_of_a_namespace_beyond_its_end() {
    for walk in [
        ZoneReport::new(layout(), 4096, 1),
        ZoneReport::new(layout(), 0, 0),
    ] {
        assert_eq!((walk.left(), walk.command(1, 4096)), (0, None));
    }
}

#[test]
fn a_count_that_is_a_lie_does_not_reach_beyond_the_buffer_or_the_question() {
    let two = [descriptor(0, 1, 0), descriptor(1, 1, 0)];
    for claimed in [2, 3, 1 << 32, u64::MAX] {
        let mut walk = ZoneReport::new(layout(), 0, 8);
        assert_eq!(taken(&mut walk, &report(claimed, &two)).0, Ok(2));
        let mut one = ZoneReport::new(layout(), 0, 1);
        let (count, zones) = taken(&mut one, &report(claimed, &two));
        assert_eq!((count, zones.len(), one.left()), (Ok(1), 1, 0));
    }
    let mut cut = report(2, &two);
    cut.truncate(191);
    assert_eq!(taken(&mut ZoneReport::new(layout(), 0, 8), &cut).0, Ok(1));
}

fn refusal(report: &[u8]) -> ReportRefused {
    let mut walk = ZoneReport::new(layout(), 0, 8);
    let refused = taken(&mut walk, report).0.expect_err("must be refused");
    println!("{refused}");
    assert_eq!(
        (walk.left(), walk.command(1, 4096)),
        (0, None),
        "the walk is over"
    );
    refused
}

#[test]
fn a_report_that_makes_no_sense_ends_the_walk() {
    assert_eq!(refusal(&[0; 63]), ReportRefused::Short(63));
    let empty = [descriptor(0, 1, 0)];
    assert_eq!(refusal(&report(0, &empty)), ReportRefused::Nothing(0));
    assert_eq!(refusal(&report(9, &[])), ReportRefused::Nothing(0));
    let odd = |change: &dyn Fn(&mut [u8; 64])| {
        let mut second = descriptor(1, 2, 3);
        change(&mut second);
        refusal(&report(2, &[descriptor(0, 1, 0), second]))
    };
    let zone = 1;
    assert_eq!(odd(&|d| d[0] = 1), ReportRefused::Type { zone, zt: 1 });
    assert_eq!(odd(&|d| d.fill(0)), ReportRefused::Type { zone, zt: 0 });
    for zs in [0, 5, 0xc] {
        assert_eq!(odd(&|d| d[1] = zs << 4), ReportRefused::State { zone, zs });
    }
    let start = |zslba| ReportRefused::Start {
        zone,
        expected: 64,
        zslba,
    };
    for zslba in [0, 63, 65, 128, 512, u64::MAX] {
        let refused = odd(&|d| d[16..24].copy_from_slice(&zslba.to_le_bytes()));
        assert_eq!(refused, start(zslba));
    }
    for zcap in [0, 65, 1 << 61, u64::MAX] {
        let refused = odd(&|d| d[8..16].copy_from_slice(&zcap.to_le_bytes()));
        assert_eq!(refused, ReportRefused::Capacity { zone, zcap });
    }
    for wp in [0, 63, 64 + 49, 128, (1 << 61) + 64, u64::MAX] {
        let refused = odd(&|d| d[24..32].copy_from_slice(&wp.to_le_bytes()));
        assert_eq!(refused, ReportRefused::WritePointer { zone, wp });
    }
}

#[test]
fn who_is_told_of_zones_can_stop() {
    let two = [descriptor(0, 1, 0), descriptor(1, 1, 0)];
    let mut walk = ZoneReport::new(layout(), 0, 8);
    let stopped = walk.take(&report(2, &two), |index, _| match index {
        0 => Ok(()),
        _ => Err("no memory"),
    });
    assert_eq!(stopped, Err(ReportError::Stopped("no memory")));
    assert_eq!(
        stopped.expect_err("stopped").to_string(),
        "zone report: no memory"
    );
    assert_eq!((walk.left(), walk.reported()), (0, 1));
}

#[test]
fn whatever_is_reported_the_walk_moves_forward_or_ends() {
    let reports = prop::collection::vec(
        (
            any::<u64>(),
            prop::collection::vec((0u64..10, any::<u8>(), any::<u8>()), 0..9),
        ),
        20,
    );
    for_all(3000, reports, |reports| {
        let mut walk = ZoneReport::new(layout(), 0, 8);
        let mut seen = 0;
        for (claimed, descriptors) in reports {
            let before = walk.left();
            if walk.command(1, 4096).is_none() {
                break;
            }
            // Mostly in order, so that some walks get far.
            let zones: Vec<_> = (u64::from(walk.reported())..)
                .zip(descriptors)
                .map(|(next, (wild, state, wp))| {
                    let zone = if wild == 0 { u64::from(wp) } else { next };
                    descriptor(zone, 1 + state % 5, u64::from(wp % 50))
                })
                .collect();
            let (count, told) = taken(&mut walk, &report(claimed % 12, &zones));
            assert!(walk.left() < before, "it neither moved nor ended");
            assert!(told.iter().all(|(index, zone)| {
                let start = u64::from(*index) * 512;
                let writable = start..=start + 512;
                zone.start == start && writable.contains(&zone.write_pointer)
            }));
            seen += told.len() as u32;
            assert_eq!(walk.reported(), seen);
            assert!(count.is_err() || walk.left() == 8 - seen);
        }
        assert!(seen <= 8);
    });
}

#[test]
fn a_refused_report_names_the_zone() {
    let zone = 5;
    let messages = [
        (ReportRefused::Short(9), "9 bytes are too few for a header"),
        (
            ReportRefused::Nothing(5),
            "nothing from zone 5 on, but there are more",
        ),
        (
            ReportRefused::Type { zone, zt: 3 },
            "zone 5 is of the unknown type 0x3",
        ),
        (
            ReportRefused::State { zone, zs: 5 },
            "zone 5 is in the unknown state 0x5",
        ),
        (
            ReportRefused::Start {
                zone,
                expected: 320,
                zslba: 0,
            },
            "zone 5 should begin at block 320, not at 0",
        ),
        (
            ReportRefused::Capacity { zone, zcap: 65 },
            "zone 5 has an impossible capacity of 65 blocks",
        ),
        (
            ReportRefused::WritePointer { zone, wp: 7 },
            "the write pointer of zone 5 is outside of it: 7",
        ),
    ];
    for (refused, expected) in messages {
        let expected = format!("zone report: {expected}");
        assert_eq!(refused.to_string(), expected);
        let error = ReportError::<&str>::Refused(refused);
        assert_eq!(error.to_string(), expected);
    }
}
