// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Metadata and protection information: what a format means, and what commands carry for it.

use nvme_proto::command::Command;
use nvme_proto::protection::{
    Checks, ExtendedLbaFormat, Guard, Metadata, MetadataRefused, PiType, ProtectionInfo, Tuples,
    APPLICATION_ESCAPE, CTRATT_ELBAS,
};
use proptest::prelude::*;
use zerocopy::IntoBytes;

use crate::support::for_all;

const SEPARATE: u8 = 0;
const EXTENDED: u8 = 0x10;
const FIRST: u8 = 0x8;

/// ELBAF of a guard format and a storage tag.
fn elbaf(pif: u32, sts: u32) -> Option<ExtendedLbaFormat> {
    Some(ExtendedLbaFormat::new(sts | (pif << 7), 0))
}

fn protected(ms: u16, dps: u8, extended: Option<ExtendedLbaFormat>) -> ProtectionInfo {
    match Metadata::decide(ms, SEPARATE, dps, extended) {
        Ok(Metadata::Protected(info)) => info,
        other => panic!("{other:?}"),
    }
}

fn refused(ms: u16, flbas: u8, dps: u8, extended: Option<ExtendedLbaFormat>) -> MetadataRefused {
    let refused = Metadata::decide(ms, flbas, dps, extended).expect_err("must be refused");
    println!("namespace 1 {refused}");
    assert!(!refused.to_string().contains('\n'));
    refused
}

#[test]
fn without_metadata_there_is_nothing_to_do() {
    for extended in [None, elbaf(0, 0), elbaf(1, 127)] {
        for flbas in [SEPARATE, EXTENDED] {
            assert_eq!(
                Metadata::decide(0, flbas, FIRST, extended),
                Ok(Metadata::None)
            );
        }
    }
    assert_eq!(CTRATT_ELBAS, 0x8000);
}

#[test]
fn eight_bytes_in_a_buffer_of_their_own_are_a_t10_tuple() {
    for (dps, kind) in [(1, PiType::One), (2, PiType::Two), (3, PiType::Three)] {
        let expected = ProtectionInfo {
            kind,
            guard: Guard::Crc16,
            metadata_size: 8,
            offset: 0,
        };
        assert_eq!(protected(8, dps, None), expected);
        assert_eq!(protected(8, dps, elbaf(0, 0)), expected);
        assert!(expected.can_be_stripped());
        assert_eq!(expected.metadata_bytes(65536), 512 << 10);
    }
}

#[test]
fn a_64_bit_guard_takes_sixteen_bytes() {
    let info = protected(16, 1, elbaf(2, 0));
    assert_eq!(
        (info.guard, info.offset, info.guard.tuple_size()),
        (Guard::Crc64, 0, 16)
    );
    assert!(info.can_be_stripped());
    let small = MetadataRefused::TooSmall {
        metadata: 8,
        tuple: 16,
    };
    assert_eq!(refused(8, SEPARATE, 1, elbaf(2, 0)), small);
}

#[test]
fn the_guard_may_be_named_in_a_second_field() {
    let qualified = |qpif: u32| Some(ExtendedLbaFormat::new((3 << 7) | (qpif << 9), 0x8));
    assert_eq!(protected(16, 1, qualified(2)).guard, Guard::Crc64);
    assert_eq!(protected(16, 1, qualified(0)).guard, Guard::Crc16);
    assert_eq!(
        refused(16, SEPARATE, 1, qualified(9)),
        MetadataRefused::Guard(9)
    );
    let without = Some(ExtendedLbaFormat::new((3 << 7) | (2 << 9), 0x7));
    assert_eq!(refused(16, SEPARATE, 1, without), MetadataRefused::Guard(3));
}

#[test]
fn a_tuple_lies_first_or_last_in_longer_metadata() {
    assert_eq!(protected(64, 1 | FIRST, None).offset, 0);
    assert_eq!(protected(64, 1, None).offset, 56);
    assert_eq!(protected(64, 1, elbaf(2, 0)).offset, 48);
    assert_eq!(protected(255, 3, None).offset, 247);
    assert!(
        !protected(64, 1, None).can_be_stripped(),
        "the rest would be lost"
    );
}

#[test]
fn among_the_data_only_what_the_controller_strips_is_taken() {
    match Metadata::decide(8, EXTENDED, 1, None) {
        Ok(Metadata::Inserted(info)) => assert_eq!(info, protected(8, 1, None)),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        refused(16, EXTENDED, 1, None),
        MetadataRefused::Interleaved(16)
    );
    assert_eq!(
        refused(8, EXTENDED, 0, None),
        MetadataRefused::Interleaved(8)
    );
}

#[test]
fn metadata_that_means_nothing_is_carried_as_it_is() {
    assert_eq!(
        Metadata::decide(1, SEPARATE, 0, None),
        Ok(Metadata::Opaque(1))
    );
    // Guard and storage tag say nothing where no tuple is.
    let odd = elbaf(1, 16);
    assert_eq!(
        Metadata::decide(255, SEPARATE, FIRST, odd),
        Ok(Metadata::Opaque(255))
    );
    assert_eq!(
        refused(256, SEPARATE, 0, None),
        MetadataRefused::TooLarge(256)
    );
}

#[test]
fn what_the_host_cannot_check_is_refused() {
    assert_eq!(
        refused(16, SEPARATE, 1, elbaf(1, 16)),
        MetadataRefused::Guard(1)
    );
    assert_eq!(
        refused(8, SEPARATE, 1, elbaf(0, 5)),
        MetadataRefused::StorageTag(5)
    );
    assert_eq!(
        refused(16, EXTENDED, 3, elbaf(2, 48)),
        MetadataRefused::StorageTag(48)
    );
    for kind in 4..8 {
        assert_eq!(
            refused(8, SEPARATE, kind, None),
            MetadataRefused::Type(kind)
        );
    }
    let small = |metadata| MetadataRefused::TooSmall { metadata, tuple: 8 };
    assert_eq!(refused(7, SEPARATE, 1, None), small(7));
    assert_eq!(refused(0, EXTENDED, 1, None), small(0));
    // A length that the block layer would cut to 8 bits.
    assert_eq!(
        refused(264, SEPARATE, 1, None),
        MetadataRefused::TooLarge(264)
    );
}

#[test]
fn any_format_makes_what_the_block_layer_accepts_or_a_refusal() {
    let extended = (any::<u32>(), any::<u8>()).prop_map(|(raw, pic)| {
        // Without this most would have a storage tag.
        let raw = if pic & 1 == 0 { raw & !0x7f } else { raw };
        ExtendedLbaFormat::new(raw, pic)
    });
    let ms = prop_oneof![Just(0), Just(8), Just(16), 0u16..300, any::<u16>()];
    let format = (ms, any::<u8>(), any::<u8>(), prop::option::of(extended));
    for_all(
        20_000,
        format,
        |(ms, flbas, dps, extended)| match Metadata::decide(ms, flbas, dps, extended) {
            Ok(Metadata::None) => assert_eq!(ms, 0),
            Ok(Metadata::Opaque(bytes)) => assert_eq!((u16::from(bytes), dps & 7), (ms, 0)),
            Ok(Metadata::Protected(info)) => {
                assert_eq!(flbas & EXTENDED, 0);
                assert_valid(&info, ms, dps);
            }
            Ok(Metadata::Inserted(info)) => {
                assert!(flbas & EXTENDED != 0 && info.can_be_stripped());
                assert_valid(&info, ms, dps);
            }
            Err(refused) => assert!(refused.to_string().len() < 120, "{refused}"),
        },
    );
}

/// What the block layer demands of a tuple in its limits.
fn assert_valid(info: &ProtectionInfo, ms: u16, dps: u8) {
    let tuple = info.guard.tuple_size();
    assert_eq!(
        (u16::from(info.metadata_size), info.kind as u8),
        (ms, dps & 7)
    );
    let end = u16::from(info.offset) + u16::from(tuple);
    assert!(end <= ms && (info.offset == 0 || end == ms));
    assert!(info.tag_size() <= tuple - 2 && (info.tag_size() == 2) == info.has_reference_tag());
}

fn info(kind: PiType, guard: Guard) -> ProtectionInfo {
    ProtectionInfo {
        kind,
        guard,
        metadata_size: guard.tuple_size(),
        offset: 0,
    }
}

const ALL: Checks = Checks {
    guard: true,
    application: Some(0xbeef),
    reference: true,
};

/// Dwords of a command for 2 blocks from 1_2345_6789_abcd on that are not 0, without those that
/// say so.
fn carried(
    base: fn(u32, u64, u16, bool) -> Command,
    info: &ProtectionInfo,
    tuples: Tuples,
    checks: Checks,
) -> Vec<(usize, u32)> {
    let command = base(0, 0x1_2345_6789_abcd, 1, false).with_protection(info, tuples, checks);
    assert_eq!(
        (command.cdw10.get(), command.cdw11.get()),
        (0x6789_abcd, 0x1_2345)
    );
    assert_eq!(command.cdw12.get() & 0xffff, 1);
    let bytes = command.as_bytes();
    let dword = |n: usize| u32::from_le_bytes(bytes[n * 4..][..4].try_into().unwrap());
    let all = [2, 3, 12, 14, 15].map(|n| (n, dword(n) & if n == 12 { !0xffff } else { u32::MAX }));
    all.into_iter().filter(|&(_, dword)| dword != 0).collect()
}

#[test]
fn a_write_of_type_1_carries_its_own_address_as_the_reference() {
    let one = info(PiType::One, Guard::Crc16);
    let all = carried(Command::write, &one, Tuples::Carried, ALL);
    assert_eq!(all, [(12, 0x7 << 26), (14, 0x6789_abcd), (15, 0xffff_beef)]);
    let none = carried(Command::write, &one, Tuples::Inserted, Checks::default());
    assert_eq!(none, [(12, 1 << 29), (14, 0x6789_abcd)]);
}

#[test]
fn a_64_bit_guard_has_a_reference_of_48_bits() {
    let two = info(PiType::Two, Guard::Crc64);
    let guard = Checks {
        guard: true,
        ..Checks::default()
    };
    let carried = carried(Command::write, &two, Tuples::Carried, guard);
    assert_eq!(carried, [(3, 0x2345), (12, 1 << 28), (14, 0x6789_abcd)]);
}

#[test]
fn type_3_never_has_its_reference_checked() {
    for guard in [Guard::Crc16, Guard::Crc64] {
        let three = info(PiType::Three, guard);
        let all = carried(Command::write, &three, Tuples::Carried, ALL);
        assert_eq!(all, [(12, 0x6 << 26), (15, 0xffff_beef)]);
        let append = carried(Command::zone_append, &three, Tuples::Inserted, ALL);
        assert_eq!(append, [(12, 0xe << 26), (15, 0xffff_beef)], "nor remapped");
    }
}

#[test]
fn an_append_has_its_reference_remapped() {
    for kind in [PiType::One, PiType::Two] {
        let info = info(kind, Guard::Crc16);
        let append = carried(
            Command::zone_append,
            &info,
            Tuples::Carried,
            Checks::default(),
        );
        assert_eq!(append, [(12, 1 << 25), (14, 0x6789_abcd)]);
    }
}

#[test]
fn the_metadata_buffer_is_named_and_nothing_else_changes() {
    let plain = Command::read(1, 8, 0).with_data(0x1000, 0x2000);
    let with = plain.with_metadata(0x1_2345_6788);
    let mut expected = plain.to_words();
    expected[2] = 0x1_2345_6788;
    assert_eq!(with.to_words(), expected);
    let full = Command::write(1, 8, 0, true).with_protection(
        &info(PiType::One, Guard::Crc16),
        Tuples::Carried,
        ALL,
    );
    assert_eq!(full.cdw12.get(), (1 << 30) | (0x7 << 26), "FUA stays");
}

#[test]
fn safe_checks_fit_whatever_was_written() {
    let checks = |kind| info(kind, Guard::Crc16).safe_checks();
    let guard = Checks {
        guard: true,
        ..Checks::default()
    };
    assert_eq!((checks(PiType::Two), checks(PiType::Three)), (guard, guard));
    let one = checks(PiType::One);
    assert!(one.guard && one.reference && one.application.is_none());
}

#[test]
fn a_tuple_of_all_ones_escapes_the_checks() {
    let escape = APPLICATION_ESCAPE;
    for guard in [Guard::Crc16, Guard::Crc64] {
        for kind in [PiType::One, PiType::Two] {
            assert!(info(kind, guard).is_escaped(escape, 7));
            assert!(!info(kind, guard).is_escaped(0xfffe, u64::MAX));
        }
        let three = info(PiType::Three, guard);
        assert!(three.is_escaped(escape, guard.reference_mask()));
        assert!(!three.is_escaped(escape, guard.reference_mask() - 1));
        assert!(!three.is_escaped(0, u64::MAX));
    }
    assert_eq!(Guard::Crc64.reference_mask(), (1 << 48) - 1);
}

#[test]
fn a_refused_format_learns_what_is_wrong_and_how_to_mend_it() {
    let small = MetadataRefused::TooSmall {
        metadata: 7,
        tuple: 8,
    };
    let messages = [
        (
            MetadataRefused::Type(5),
            "claims protection information of type 5, which does not exist",
        ),
        (
            MetadataRefused::Unsaid,
            "has protection information, and the controller does not say of which format",
        ),
        (
            MetadataRefused::Guard(1),
            "has protection information of guard format 1; only 16b and 64b are known",
        ),
        (
            MetadataRefused::StorageTag(16),
            "has storage tags of 16 bits in its protection information; format it without",
        ),
        (
            small,
            "claims protection information of 8 bytes in 7 bytes of metadata",
        ),
        (
            MetadataRefused::TooLarge(256),
            "has 256 bytes of metadata per block; Linux can carry 255",
        ),
        (
            MetadataRefused::Interleaved(64),
            "has 64 bytes of metadata among the data; format it with a separate buffer",
        ),
        (
            MetadataRefused::NotCarried(9),
            "has 9 bytes of metadata per block, which this kernel cannot carry with such blocks",
        ),
    ];
    for (refused, expected) in messages {
        assert_eq!(refused.to_string(), expected);
    }
}

#[test]
fn a_disk_with_metadata_says_what_it_has() {
    let said = |ms, flbas, dps, extended| match Metadata::decide(ms, flbas, dps, extended) {
        Ok(metadata) => (metadata.is_some(), metadata.to_string()),
        Err(refused) => panic!("{refused}"),
    };
    let messages = [
        (said(0, SEPARATE, 0, None), "no metadata"),
        (
            said(8, SEPARATE, 1, None),
            "protection information of type 1, 16b guard",
        ),
        (
            said(64, SEPARATE, 3, elbaf(2, 0)),
            "protection information of type 3, 64b guard, at byte 48 of 64 bytes of metadata",
        ),
        (
            said(8, EXTENDED, 2, None),
            "protection information of type 2, 16b guard, made and checked by the controller alone",
        ),
        (
            said(4, SEPARATE, 0, None),
            "4 bytes of metadata, without meaning here",
        ),
    ];
    for ((there, said), expected) in messages {
        assert_eq!(
            (there, said.as_str()),
            (expected != "no metadata", expected)
        );
    }
}

#[test]
fn a_host_that_cannot_carry_metadata_leaves_tuples_to_the_controller() {
    let decided = |ms, flbas, dps| Metadata::decide(ms, flbas, dps, None).expect("good");
    let inserted = decided(8, EXTENDED, 1);
    assert_eq!(decided(8, SEPARATE, 1).not_carried(), Ok(inserted));
    assert_eq!(inserted.not_carried(), Ok(inserted));
    assert_eq!(Metadata::None.not_carried(), Ok(Metadata::None));
    for (ms, dps) in [(16, 1), (16, 0)] {
        let refused = decided(ms, SEPARATE, dps).not_carried();
        assert_eq!(refused, Err(MetadataRefused::NotCarried(16)));
    }
}
