// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Identify data of honest and hostile devices.

use nvme_proto::identify::{
    IdentifyController, IdentifyControllerNvm, IdentifyNamespace, IdentifyNamespaceNvm,
    IndependentNamespace, LbaFormat, NamespaceFormat, NamespaceRefused, Text,
};
use nvme_proto::protection::{Guard, Metadata, MetadataRefused};
use proptest::prelude::*;
use zerocopy::FromZeros;

use crate::support::for_all;

/// One format of 512 bytes in use, 1 GiB.
fn namespace() -> IdentifyNamespace {
    let mut namespace = IdentifyNamespace::new_zeroed();
    namespace.nsze = (1u64 << 21).into();
    namespace.ncap = (1u64 << 21).into();
    namespace.lbaf[0] = lbaf(9, 0);
    namespace
}

fn lbaf(lbads: u8, ms: u16) -> LbaFormat {
    LbaFormat {
        ms: ms.into(),
        lbads,
        rp: 0,
    }
}

fn refused(change: impl Fn(&mut IdentifyNamespace)) -> NamespaceRefused {
    let mut namespace = namespace();
    change(&mut namespace);
    let refused = namespace.format().expect_err("must be refused");
    println!("namespace 1 {refused}");
    assert!(!refused.to_string().contains('\n'));
    refused
}

fn accepted(change: impl Fn(&mut IdentifyNamespace)) -> NamespaceFormat {
    let mut namespace = namespace();
    change(&mut namespace);
    namespace.format().expect("must be accepted")
}

#[test]
fn a_plain_namespace_makes_a_plain_disk() {
    let expected = NamespaceFormat {
        lba_shift: 9,
        blocks: 1 << 21,
        capacity_sectors: 1 << 21,
        write_protected: false,
    };
    assert_eq!(accepted(|_| {}), expected);
}

#[test]
fn blocks_of_4096_bytes_make_eight_sectors_each() {
    let format = accepted(|ns| ns.lbaf[0] = lbaf(12, 0));
    assert_eq!(format.logical_block_size(), 4096);
    assert_eq!((format.blocks, format.capacity_sectors), (1 << 21, 1 << 24));
}

#[test]
fn a_namespace_without_capacity_is_inactive() {
    assert_eq!(refused(|ns| ns.nsze = 0.into()), NamespaceRefused::Inactive);
    assert_eq!(refused(|ns| ns.ncap = 0.into()), NamespaceRefused::Inactive);
    let zeros = [0; 4096];
    let empty = IdentifyNamespace::ref_from(&zeros).expect("4096 bytes");
    assert_eq!(empty.format(), Err(NamespaceRefused::Inactive));
}

#[test]
fn absurd_block_sizes_are_refused() {
    for lbads in (0..=u8::MAX).filter(|lbads| !(9..=16).contains(lbads)) {
        let refused = refused(|ns| ns.lbaf[0] = lbaf(lbads, 0));
        assert_eq!(refused, NamespaceRefused::BlockSize(lbads));
    }
}

#[test]
fn a_size_that_no_disk_can_have_is_refused() {
    let capacity = |blocks, lba_shift| NamespaceRefused::Capacity { blocks, lba_shift };
    assert_eq!(
        refused(|ns| ns.nsze = u64::MAX.into()),
        capacity(u64::MAX, 9)
    );
    let huge = |ns: &mut IdentifyNamespace| {
        ns.lbaf[0] = lbaf(16, 0);
        ns.nsze = (1u64 << 60).into();
    };
    assert_eq!(refused(huge), capacity(1 << 60, 16));
    let largest = (i64::MAX as u64) >> 9;
    assert_eq!(
        accepted(|ns| ns.nsze = largest.into()).capacity_sectors,
        largest
    );
    assert_eq!(
        refused(|ns| ns.nsze = (largest + 1).into()),
        capacity(largest + 1, 9)
    );
}

#[test]
fn the_format_in_use_is_found_by_both_parts_of_its_index() {
    let other = accepted(|ns| {
        ns.nlbaf = 3;
        ns.flbas = 3 | (1 << 5);
        ns.lbaf[3] = lbaf(12, 0);
    });
    assert_eq!(
        other.lba_shift, 12,
        "with few formats the upper part does not count"
    );
    for nlbaf in [16, 63] {
        let high = accepted(|ns| {
            ns.nlbaf = nlbaf;
            ns.flbas = 1 << 5;
            ns.lbaf[16] = lbaf(13, 0);
        });
        assert_eq!(high.lba_shift, 13, "NLBAF {nlbaf}");
    }
    let beyond = NamespaceRefused::FormatIndex { index: 5, last: 4 };
    let five = |ns: &mut IdentifyNamespace| {
        ns.nlbaf = 4;
        ns.flbas = 5;
        ns.lbaf[5] = lbaf(9, 0);
    };
    assert_eq!(refused(five), beyond);
}

#[test]
fn metadata_is_that_of_the_format_in_use() {
    let mut namespace = namespace();
    assert_eq!(namespace.metadata(None, false), Ok(Metadata::None));
    namespace.nlbaf = 2;
    namespace.flbas = 2;
    namespace.lbaf[2] = lbaf(12, 16);
    assert_eq!(namespace.metadata(None, false), Ok(Metadata::Opaque(16)));
    namespace.dps = 0b1001;
    let mut bytes = [0; 4096];
    // ELBAF of format 2: a 64-bit guard; that of format 0 is none of its business.
    bytes[12..16].copy_from_slice(&(1u32 << 7).to_le_bytes());
    bytes[20..24].copy_from_slice(&(2u32 << 7).to_le_bytes());
    let guard = |nvm: Option<&IdentifyNamespaceNvm>| match namespace.metadata(nvm, nvm.is_some()) {
        Ok(Metadata::Protected(info)) => info.guard,
        other => panic!("{other:?}"),
    };
    assert_eq!(guard(None), Guard::Crc16);
    let unsaid = NamespaceRefused::Metadata(MetadataRefused::Unsaid);
    assert_eq!(namespace.metadata(None, true), Err(unsaid));
    assert_eq!(guard(IdentifyNamespaceNvm::ref_from(&bytes)), Guard::Crc64);
    namespace.flbas = 2 | 0x10;
    let interleaved = NamespaceRefused::Metadata(MetadataRefused::Interleaved(16));
    assert_eq!(namespace.metadata(None, false), Err(interleaved));
    assert!(namespace.format().is_ok(), "the size does not depend on it");
    namespace.flbas = 3;
    let beyond = NamespaceRefused::FormatIndex { index: 3, last: 2 };
    assert_eq!(namespace.metadata(None, false), Err(beyond));
}

#[test]
fn any_bytes_make_a_sane_disk_or_a_refusal() {
    let header = prop::collection::vec(any::<u8>(), 384);
    // Without these most cases would be refused for their block size alone.
    let good = (9u8..=16, any::<bool>(), 0u8..64);
    for_all(20_000, (header, good), |(header, (lbads, tame, index))| {
        let mut bytes = header;
        bytes.resize(4096, 0xff);
        if tame {
            bytes[25] = 63;
            bytes[82] = 0;
            bytes[26] = index & 0xf | ((index >> 4) << 5);
            bytes[29] = 0;
            bytes[5..8].fill(0);
            bytes[128 + usize::from(index) * 4..][..3].copy_from_slice(&[0, 0, lbads]);
        }
        let namespace = IdentifyNamespace::ref_from(&bytes).expect("4096 bytes");
        match namespace.format() {
            Ok(format) => assert_sane(&format),
            Err(refused) => {
                assert!(!tame || refused == NamespaceRefused::Inactive, "{refused}")
            }
        }
    });
}

fn assert_sane(format: &NamespaceFormat) {
    let logical = format.logical_block_size();
    assert!((512..=65536).contains(&logical) && logical.is_power_of_two());
    let bytes = u128::from(format.blocks) * u128::from(logical);
    assert_eq!(bytes, u128::from(format.capacity_sectors) * 512);
    assert!(bytes > 0 && bytes <= i64::MAX as u128);
}

#[test]
fn the_structures_of_the_nvm_command_set_are_read_in_place() {
    let mut bytes = [0; 4096];
    bytes[1] = 5;
    bytes[3] = 255;
    bytes[4..8].copy_from_slice(&0x1122_3344u32.to_le_bytes());
    bytes[8..16].copy_from_slice(&7u64.to_le_bytes());
    bytes[17] = 9;
    let controller = IdentifyControllerNvm::ref_from(&bytes).expect("4096 bytes");
    assert_eq!(
        (controller.wzsl, controller.dmrl, controller.wzdsl),
        (5, 255, 9)
    );
    assert_eq!(controller.dmrsl.get(), 0x1122_3344);
    assert_eq!(controller.dmsl.get(), 7);
    bytes[12 + 63 * 4..][..4].copy_from_slice(&0x0000_0310u32.to_le_bytes());
    bytes[268] = 3;
    bytes[284] = 4;
    let namespace = IdentifyNamespaceNvm::ref_from(&bytes).expect("4096 bytes");
    assert_eq!(namespace.elbaf_of(63), Some(0x310));
    assert_eq!(namespace.elbaf_of(64), None);
    assert_eq!((namespace.npdgl.get(), namespace.npdal.get()), (3, 4));
    bytes[..15].copy_from_slice(&[0x30, 1, 0, 0, 2, 0, 0, 0, 1, 0, 3, 0, 4, 0, 1]);
    let independent = IndependentNamespace::ref_from(&bytes).expect("4096 bytes");
    assert!(independent.rotational() && independent.without_write_cache());
    assert!(independent.write_protected());
    assert_eq!(
        (independent.anagrpid.get(), independent.endgid.get()),
        (2, 4)
    );
    assert!(IdentifyControllerNvm::ref_from(&bytes[1..]).is_none());
    assert!(IdentifyNamespaceNvm::ref_from(&bytes[1..]).is_none());
    assert!(IndependentNamespace::ref_from(&bytes[1..]).is_none());
}

#[test]
fn extended_formats_are_there_where_ctratt_says_so() {
    let mut data = [0; 4096];
    let there = |data: &[u8]| IdentifyController::ref_from(data).map(|c| c.extended_lba_formats());
    assert_eq!(there(&data), Some(false));
    // CTRATT bit 15.
    data[97] = 0x80;
    assert_eq!(there(&data), Some(true));
}

#[test]
fn a_short_copy_is_no_structure() {
    assert!(IdentifyController::ref_from(&[0; 4095]).is_none());
    assert!(IdentifyNamespace::ref_from(&[0; 4095]).is_none());
    assert!(IdentifyController::ref_from(&[0; 5000]).is_some());
}

#[test]
fn strings_are_made_safe_for_a_log() {
    let text = |field: &[u8; 8]| Text::new(field).to_string();
    assert_eq!(text(b"QEMU    "), "QEMU");
    assert_eq!(text(b"  A  B  "), "A  B");
    assert_eq!(text(b"AB\0CDEFG"), "AB");
    assert_eq!(text(b"\0BCDEFGH"), "");
    assert_eq!(text(b"        "), "");
    assert_eq!(text(b"\x1b[2J\x7f\xc3\xa4\n"), "?[2J???");
    assert_eq!(text(b"12345678"), "12345678");
    for_all(5000, any::<[u8; 20]>(), |field| {
        let text = Text::new(&field);
        assert!(text
            .as_str()
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte)));
        assert!(text.as_bytes().len() <= 20);
    });
}

#[test]
fn a_controllers_waits_and_sizes_are_bounded() {
    let mut controller = IdentifyController::new_zeroed();
    assert_eq!(controller.shutdown_timeout_ms(), 5000);
    assert_eq!(controller.max_transfer_bytes(4096), None);
    assert!(!controller.vwc_present());
    controller.rtd3e = 7_000_001.into();
    controller.mdts = 5;
    controller.vwc = 7;
    assert_eq!(controller.shutdown_timeout_ms(), 7001);
    assert_eq!(controller.max_transfer_bytes(4096), Some(128 << 10));
    assert!(controller.vwc_present());
    controller.rtd3e = u32::MAX.into();
    controller.mdts = 255;
    assert_eq!(controller.shutdown_timeout_ms(), 60_000);
    assert_eq!(controller.max_transfer_bytes(4096), Some(8 << 20));
}
