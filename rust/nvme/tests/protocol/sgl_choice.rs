// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The choice between PRP entries and scatter gather lists, to its edges, and what is said and
//! written of it.

use nvme_proto::command::Command;
use nvme_proto::sgl::choice::{
    describe_with, max_segments, virtual_boundary_mask, DescribeWith, NotDescribable, Queue,
    Transfer, DEFAULT_THRESHOLD,
};
use nvme_proto::sgl::{Alignment, Descriptor, DescriptorType, SglError, SglSupport};

const BASE: u64 = 0x12_3456_7000;

#[test]
fn sgls_is_taken_apart_bit_by_bit() {
    assert_eq!(SglSupport::parse(0), None);
    assert_eq!(SglSupport::parse(0xffff_ffff), None, "11b is reserved");
    assert_eq!(SglSupport::parse(0xffff_fffc), None);
    // QEMU's and a Samsung PM1733's.
    let qemu = SglSupport::parse(0x8_0001).expect("lists");
    assert_eq!((qemu.alignment, qemu.metadata_sgl), (Alignment::Byte, true));
    assert!(!qemu.bit_bucket && !qemu.metadata_any_byte && !qemu.longer_than_transfer);
    let samsung = SglSupport::parse(0xf_0002).expect("lists");
    assert_eq!(
        (samsung.alignment, samsung.threshold),
        (Alignment::Dword, 0)
    );
    assert!(samsung.bit_bucket && samsung.metadata_any_byte && samsung.longer_than_transfer);
    assert_eq!(SglSupport::parse(0xab01).expect("lists").threshold, 0xab);
}

const BYTE: u32 = 0x1;
const DWORD: u32 = 0x2;

fn transfer(bytes: u32, segments: u32) -> Transfer {
    Transfer {
        bytes,
        segments,
        offset: 0,
        gaps: 0,
        check_length: false,
    }
}

fn choice(sgls: u32, transfer: Transfer) -> Result<DescribeWith, NotDescribable> {
    let support = SglSupport::parse(sgls);
    describe_with(support, Queue::Io, &transfer, DEFAULT_THRESHOLD)
}

const PRP: Result<DescribeWith, NotDescribable> = Ok(DescribeWith::Prp);
const SGL: Result<DescribeWith, NotDescribable> = Ok(DescribeWith::Sgl);

#[test]
fn what_fits_two_entries_takes_them() {
    for bytes in [1, 512, 4096, 8192] {
        assert_eq!(choice(BYTE, transfer(bytes, 1)), PRP);
        assert_eq!(choice(BYTE, transfer(bytes, 2)), PRP);
    }
    assert_eq!(choice(BYTE, transfer(8193, 1)), SGL);
    let offset = |offset, bytes| Transfer {
        offset,
        ..transfer(bytes, 1)
    };
    assert_eq!(choice(BYTE, offset(512, 7680)), PRP);
    assert_eq!(choice(BYTE, offset(512, 7684)), SGL);
    // A list would say the length twice; where there are none, nothing is lost but that.
    let checked = Transfer {
        check_length: true,
        ..transfer(512, 1)
    };
    assert_eq!(choice(BYTE, checked), SGL);
    assert_eq!(choice(0, checked), PRP);
}

#[test]
fn long_segments_take_a_list_from_the_threshold_on() {
    let mib = 1 << 20;
    assert_eq!(choice(BYTE, transfer(mib, 32)), SGL);
    assert_eq!(choice(BYTE, transfer(mib, 33)), PRP);
    assert_eq!(choice(BYTE, transfer(mib, 256)), PRP);
    assert_eq!(choice(BYTE, transfer(mib + 1, 33)), PRP);
    let at = |threshold, segments| {
        let support = SglSupport::parse(DWORD);
        describe_with(support, Queue::Io, &transfer(mib, segments), threshold)
    };
    assert_eq!(at(4096, 256), SGL);
    assert_eq!(at(4097, 256), PRP);
    assert_eq!((at(u32::MAX, 2), at(u32::MAX, 1)), (PRP, SGL));
    // Segments of no number do no harm.
    assert_eq!(at(1, 0), SGL);
    for segments in [0, 1, 32, 256] {
        assert_eq!(at(0, segments), PRP, "a threshold of 0");
    }
}

#[test]
fn no_more_descriptors_than_recommended_are_used_by_choice() {
    let sdt = 8 << 8;
    assert_eq!(choice(BYTE | sdt, transfer(1 << 20, 8)), SGL);
    assert_eq!(choice(BYTE | sdt, transfer(1 << 20, 9)), PRP);
    let gaps = Transfer {
        gaps: 512,
        ..transfer(1 << 20, 9)
    };
    assert_eq!(choice(BYTE | sdt, gaps), SGL, "there is no other way");
}

#[test]
fn gaps_take_a_list_or_are_refused() {
    for gaps in [1, 2, 4, 512, 4092, 4095, 0x1_0200] {
        let gaps = Transfer {
            gaps,
            ..transfer(4096, 8)
        };
        assert_eq!(choice(BYTE, gaps), SGL);
        let dword = if gaps.gaps % 4 == 0 {
            SGL
        } else {
            Err(NotDescribable)
        };
        assert_eq!(choice(DWORD, gaps), dword);
        assert_eq!(choice(0, gaps), Err(NotDescribable));
        let admin = describe_with(SglSupport::parse(BYTE), Queue::Admin, &gaps, 1);
        assert_eq!(admin, Err(NotDescribable));
    }
    let borders = Transfer {
        gaps: 0xf000,
        ..transfer(1 << 20, 256)
    };
    assert_eq!(choice(BYTE, borders), PRP, "a page border is no gap");
    let odd = Transfer {
        offset: 2,
        ..transfer(512, 1)
    };
    assert_eq!(
        (choice(BYTE, odd), choice(DWORD, odd)),
        (SGL, Err(NotDescribable))
    );
    let text = NotDescribable.to_string();
    assert_eq!(
        text,
        "the data has gaps that this controller cannot be told of"
    );
}

#[test]
fn an_odd_length_of_a_dword_controller_takes_prp_entries() {
    assert_eq!(choice(DWORD, transfer((1 << 20) + 2, 1)), PRP);
    assert_eq!(choice(BYTE, transfer((1 << 20) + 2, 1)), SGL);
}

#[test]
fn admin_commands_never_have_lists() {
    for bytes in [4096, 1 << 20] {
        let checked = Transfer {
            check_length: true,
            ..transfer(bytes, 1)
        };
        let support = SglSupport::parse(BYTE);
        assert_eq!(describe_with(support, Queue::Admin, &checked, 1), PRP);
    }
}

#[test]
fn the_queues_limits_follow_from_what_can_be_described() {
    let lists = SglSupport::parse(DWORD);
    assert_eq!(virtual_boundary_mask(None, Queue::Io), 4095);
    assert_eq!(virtual_boundary_mask(lists, Queue::Admin), 4095);
    assert_eq!(virtual_boundary_mask(lists, Queue::Io), 0);
    assert_eq!(max_segments(None, Queue::Io, 5), u16::MAX);
    assert_eq!(max_segments(lists, Queue::Admin, 5), u16::MAX);
    assert_eq!(max_segments(lists, Queue::Io, 5), 1276);
    assert_eq!(max_segments(lists, Queue::Io, 0), 1);
    assert_eq!(max_segments(lists, Queue::Io, 1000), u16::MAX);
}

#[test]
fn a_command_forgets_its_other_way_of_pointing_to_data() {
    let one = Descriptor {
        addr: BASE,
        len: 512,
        kind: DescriptorType::DataBlock,
    };
    let plain = Command::read(1, 2, 3).with_data(7, 9);
    let listed = plain.with_sgl(one);
    assert_eq!(
        (listed.flags, listed.prp1.get(), listed.prp2.get()),
        (0x40, BASE, 512)
    );
    assert_eq!(listed.with_data(7, 9), plain);
}

#[test]
fn a_transfer_without_a_list_says_why() {
    let said = |error: SglError<&str>| error.to_string();
    assert_eq!(
        said(SglError::Memory("pool empty")),
        "no memory for SGL descriptors: pool empty"
    );
    let others = [
        SglError::Misaligned,
        SglError::Length,
        SglError::Segments,
        SglError::TooLong,
    ];
    for error in others.map(said) {
        println!("{error}");
        assert!(error.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
}
