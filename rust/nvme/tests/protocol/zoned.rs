// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Zoned namespaces: their zones, and the commands.

use nvme_proto::command::Command;
use nvme_proto::identify::{
    IdentifyControllerZoned, IdentifyNamespaceZoned, LbaFormatExtension, NamespaceFormat,
};
use nvme_proto::zoned::{
    append_limit, appends, ZoneAction, ZoneLayout, ZonedRefused, CSI, MAX_RESOURCES, MAX_ZONES,
};
use proptest::prelude::*;
use zerocopy::{FromZeros, IntoBytes, TryFromBytes};

use crate::support::for_all;

/// 512 blocks of 4096 bytes in 8 zones of 64.
fn identify() -> IdentifyNamespaceZoned {
    let mut identify = IdentifyNamespaceZoned::new_zeroed();
    identify.lbafe[0] = LbaFormatExtension::new_zeroed();
    identify.lbafe[0].zsze = 64.into();
    identify.mor = 2.into();
    identify.mar = 4.into();
    identify
}

fn format(lba_shift: u8, blocks: u64) -> NamespaceFormat {
    NamespaceFormat {
        lba_shift,
        blocks,
        capacity_sectors: blocks << (lba_shift - 9),
        write_protected: false,
    }
}

pub(crate) fn layout() -> ZoneLayout {
    ZoneLayout::new(&identify(), 0, &format(12, 512)).expect("eight zones")
}

fn refused(format: &NamespaceFormat, change: impl Fn(&mut IdentifyNamespaceZoned)) -> ZonedRefused {
    let mut identify = identify();
    change(&mut identify);
    let refused = ZoneLayout::new(&identify, 0, format).expect_err("must be refused");
    println!("namespace 1 {refused}");
    assert!(!refused.to_string().contains('\n'));
    refused
}

#[test]
fn zones_are_counted_in_sectors() {
    let layout = layout();
    let expected = ZoneLayout {
        zone_sectors: 512,
        zones: 8,
        max_open: 3,
        max_active: 5,
        lba_shift: 12,
    };
    assert_eq!(layout, expected);
    assert_eq!((layout.start(0), layout.start(7)), (0, 3584));
    assert_eq!(
        (layout.zone_of(511), layout.zone_of(512)),
        (Some(0), Some(1))
    );
    assert_eq!(
        (layout.zone_of(4095), layout.zone_of(4096)),
        (Some(7), None)
    );
    assert_eq!(layout.zone_of(u64::MAX), None);
    assert_eq!(layout.lba(3584), 448);
}

#[test]
fn the_limits_of_open_and_active_zones_never_contradict_each_other() {
    let limits = |mor: u32, mar: u32| {
        let mut identify = identify();
        identify.mor = mor.into();
        identify.mar = mar.into();
        let layout = ZoneLayout::new(&identify, 0, &format(12, 512)).expect("accepted");
        (layout.max_open, layout.max_active)
    };
    assert_eq!(limits(0, 0), (1, 1));
    assert_eq!(limits(u32::MAX, u32::MAX), (0, 0), "all ones is no limit");
    assert_eq!(limits(13, u32::MAX), (14, 0));
    assert_eq!(limits(u32::MAX, 13), (0, 14));
    assert_eq!(limits(20, 13), (14, 14), "what is open is active");
    assert_eq!(limits(u32::MAX - 1, u32::MAX - 1), (u32::MAX, u32::MAX));
}

#[test]
fn no_more_resources_are_told_than_the_block_layer_has_memory_for() {
    let told = |max_open: u32, max_active: u32, zones: u32| {
        let layout = ZoneLayout {
            max_open,
            max_active,
            zones,
            ..layout()
        };
        layout.resources()
    };
    assert_eq!(told(3, 5, 8), (3, 5));
    assert_eq!(told(0, 0, 8), (0, 0), "no limit stays none");
    assert_eq!(told(3, 8, 8), (3, 0), "all zones may be active");
    assert_eq!(told(u32::MAX, u32::MAX, 8), (0, 0));
    assert_eq!(
        told(1 << 21, 1 << 21, MAX_ZONES),
        (MAX_RESOURCES, MAX_RESOURCES)
    );
    for_all(2000, any::<(u32, u32, u32)>(), |(mor, mar, zones)| {
        let mut identify = identify();
        (identify.mor, identify.mar) = (mor.into(), mar.into());
        let blocks = 64 * u64::from(zones % MAX_ZONES + 1);
        let layout = ZoneLayout::new(&identify, 0, &format(12, blocks)).expect("zones");
        let (open, active) = layout.resources();
        assert!(active == 0 || open <= active, "the block layer refuses it");
    });
}

#[test]
fn zones_that_linux_has_not_are_refused() {
    let whole = format(12, 512);
    assert_eq!(
        refused(&whole, |id| id.zoc = 1.into()),
        ZonedRefused::Operation(1)
    );
    for size in [0, 3, 48, u64::MAX] {
        let refused = refused(&whole, |id| id.lbafe[0].zsze = size.into());
        assert_eq!(refused, ZonedRefused::ZoneSize(size));
    }
    let too_large = |blocks, lba_shift| ZonedRefused::ZoneTooLarge { blocks, lba_shift };
    for (shift, power) in [(9, 32), (12, 29), (16, 25), (9, 63), (16, 63)] {
        let namespace = format(shift, 1 << 20);
        let refused = refused(&namespace, |id| id.lbafe[0].zsze = (1u64 << power).into());
        assert_eq!(refused, too_large(1 << power, shift));
    }
    let whole_zones = |blocks, zone| ZonedRefused::NotWholeZones { blocks, zone };
    assert_eq!(refused(&format(12, 511), |_| {}), whole_zones(511, 64));
    assert_eq!(refused(&format(12, 32), |_| {}), whole_zones(32, 64));
    let one_block = |id: &mut IdentifyNamespaceZoned| id.lbafe[0].zsze = 1.into();
    let many = u64::from(MAX_ZONES) + 1;
    assert_eq!(
        refused(&format(12, many), one_block),
        ZonedRefused::TooManyZones(many)
    );
    let no_format = ZoneLayout::new(&identify(), 64, &whole);
    assert_eq!(no_format, Err(ZonedRefused::FormatIndex(64)));
    assert_eq!(
        no_format.expect_err("refused").to_string(),
        "uses format 64, for which no zone size exists"
    );
}

#[test]
fn the_largest_zones_and_the_most_are_taken() {
    let mut identify = identify();
    identify.lbafe[3].zsze = (1u64 << 31).into();
    let one = ZoneLayout::new(&identify, 3, &format(9, 1 << 31)).expect("1 TiB a zone");
    assert_eq!((one.zone_sectors, one.zones), (1 << 31, 1));
    identify.lbafe[0].zsze = 1.into();
    let many = format(9, u64::from(MAX_ZONES));
    let most = ZoneLayout::new(&identify, 0, &many).expect("as many as can be");
    assert_eq!((most.zone_sectors, most.zones), (1, MAX_ZONES));
}

#[test]
fn any_identify_data_makes_sane_zones_or_a_refusal() {
    let values = (
        any::<[u8; 20]>(),
        any::<u64>(),
        9u8..=16,
        0u32..64,
        any::<u64>(),
    );
    for_all(20_000, values, |(header, blocks, shift, power, raw)| {
        let mut bytes = vec![0; 4096];
        bytes[..20].copy_from_slice(&header);
        bytes[..2].copy_from_slice(&[u8::from(raw % 8 == 0), 0]);
        let zsze = if raw % 4 == 0 { raw } else { 1 << power };
        bytes[2816..2824].copy_from_slice(&zsze.to_le_bytes());
        let most = (i64::MAX as u64) >> shift;
        let blocks = (blocks % most) & !(zsze.wrapping_sub(u64::from(raw % 3 != 0)));
        let identify = IdentifyNamespaceZoned::ref_from(&bytes).expect("4096 bytes");
        match ZoneLayout::new(identify, 0, &format(shift, blocks)) {
            Ok(layout) => {
                assert!(layout.zone_sectors.is_power_of_two());
                assert!((1..=MAX_ZONES).contains(&layout.zones));
                assert_eq!(layout.start(layout.zones), blocks << (shift - 9));
                assert!(layout.max_active == 0 || layout.max_open <= layout.max_active);
            }
            Err(refused) => assert!(refused.to_string().len() < 160, "{refused}"),
        }
    });
    assert!(IdentifyNamespaceZoned::ref_from(&[0; 4095]).is_none());
    assert!(IdentifyControllerZoned::ref_from(&[0; 4095]).is_none());
    let controller = [9; 4096];
    let controller = IdentifyControllerZoned::ref_from(&controller).expect("4096 bytes");
    assert_eq!(controller.zasl, 9);
}

#[test]
fn an_append_is_as_long_as_zasl_says_and_no_longer_than_a_transfer() {
    assert_eq!(append_limit(0, 4096, 512 << 10), 512 << 10);
    assert_eq!(append_limit(3, 4096, 512 << 10), 32 << 10);
    assert_eq!(
        append_limit(3, 65536, 8 << 20),
        512 << 10,
        "the unit is CAP.MPSMIN"
    );
    assert_eq!(append_limit(9, 4096, 512 << 10), 512 << 10);
    assert_eq!(append_limit(255, 4096, 512 << 10), 512 << 10);
}

#[test]
fn where_an_append_went_must_be_in_its_zone() {
    let layout = layout();
    // Zone 1 has the sectors 512 to 1023, and the blocks 64 to 127.
    assert_eq!(layout.appended(512, 8, 64), Some(512));
    assert_eq!(layout.appended(512, 16, 126), Some(1008));
    assert_eq!(
        layout.appended(512, 16, 127),
        None,
        "it would reach into the next zone"
    );
    assert_eq!(layout.appended(512, 8, 63), None);
    assert_eq!(layout.appended(512, 8, 128), None);
    for hostile in [u64::MAX, u64::MAX / 8, 1 << 61, (1 << 61) + 64] {
        assert_eq!(layout.appended(512, 8, hostile), None, "{hostile:#x}");
    }
}

#[test]
fn the_log_of_commands_tells_of_appends() {
    let mut log = [0u8; 4096];
    assert!(!appends(&log));
    log[1024 + 0x7c * 4] = 1;
    log[1024 + 0x7d * 4] = 0xfe;
    assert!(!appends(&log));
    log[1024 + 0x7d * 4] = 1;
    assert!(appends(&log));
    assert!(!appends(&log[..1024 + 0x7d * 4]));
    let asked = [(0, 2), (1, u32::MAX), (10, 0x03ff_8005), (14, 0x0200_0000)];
    assert_eq!(set(Command::zoned_effects()), asked);
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
fn the_commands_say_which_zone_and_what_to_do() {
    assert_eq!(CSI, 2);
    let reset = Command::zone_action(7, 0x1_0000_0040, ZoneAction::Reset);
    assert_eq!(
        set(reset),
        [(0, 0x79), (1, 7), (10, 0x40), (11, 1), (13, 4)]
    );
    let numbers = [
        (ZoneAction::Close, 1),
        (ZoneAction::Finish, 2),
        (ZoneAction::Open, 3),
        (ZoneAction::Offline, 5),
    ];
    for (action, number) in numbers {
        let command = Command::zone_action(7, 0, action);
        assert_eq!(set(command), [(0, 0x79), (1, 7), (13, number)]);
    }
    let all = Command::zone_action_on_all(7, ZoneAction::Reset);
    assert_eq!(set(all), [(0, 0x79), (1, 7), (13, 0x104)]);
    let report = Command::report_zones(7, 0x40, 4096);
    assert_eq!(
        set(report),
        [(0, 0x7a), (1, 7), (10, 0x40), (12, 1023), (13, 1 << 16)]
    );
    let append = Command::zone_append(7, 0x40, 31, true);
    assert_eq!(
        set(append),
        [(0, 0x7d), (1, 7), (10, 0x40), (12, (1 << 30) | 31)]
    );
    assert_eq!(Command::zone_append(7, 0x40, 31, false).cdw12.get(), 31);
}

#[test]
fn a_refused_zoned_namespace_learns_what_linux_needs() {
    let messages = [
        (
            ZonedRefused::Operation(3),
            "has zones of variable capacity or activity (ZOC 0x0003), which Linux has not",
        ),
        (
            ZonedRefused::ZoneSize(48),
            "has zones of 48 blocks; Linux needs a power of two",
        ),
        (
            ZonedRefused::ZoneTooLarge {
                blocks: 1 << 29,
                lba_shift: 12,
            },
            "has zones of 536870912 blocks of 2^12 bytes; the most is 1 TiB",
        ),
        (
            ZonedRefused::NotWholeZones {
                blocks: 511,
                zone: 64,
            },
            "has 511 blocks, which are not whole zones of 64 blocks",
        ),
        (
            ZonedRefused::TooManyZones(1 << 40),
            "has 1099511627776 zones; the most is 4194304",
        ),
    ];
    for (refused, expected) in messages {
        assert_eq!(refused.to_string(), expected);
    }
}

#[test]
fn any_sixteen_bytes_extend_a_format() {
    let bytes = core::array::from_fn::<u8, 16, _>(|at| 0xf0 | at as u8);
    let extension = LbaFormatExtension::try_ref_from_bytes(&bytes).expect("any bytes will do");
    assert_eq!(extension.zsze.get(), 0xf7f6_f5f4_f3f2_f1f0);
    assert_eq!(extension.zdes, 0xf8);
}
