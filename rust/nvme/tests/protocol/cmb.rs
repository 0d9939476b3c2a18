// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The controller memory buffer: where it is, what lies in it, and what is refused.

use nvme_proto::cmb::{Cmb, CmbRefused, Cmbloc, Cmbsz};
use proptest::prelude::*;

use crate::support::for_all;

/// Where the doorbells of 64 queue pairs end.
const REGISTERS_END: u64 = 0x1000 + 64 * 8;

fn cmbloc(bir: u32, ofst: u32) -> Cmbloc {
    Cmbloc::from_raw(bir | (ofst << 12))
}

/// For submission queues, lists and data.
fn cmbsz(szu: u32, sz: u32) -> Cmbsz {
    Cmbsz::from_raw(0b1_1101 | (szu << 8) | (sz << 12))
}

fn place(cmbloc: Cmbloc, cmbsz: Cmbsz, bar_len: u64) -> Result<Option<Cmb>, CmbRefused> {
    Cmb::place(cmbloc, cmbsz, |_| bar_len, REGISTERS_END)
}

fn placed(cmbloc: Cmbloc, cmbsz: Cmbsz, bar_len: u64) -> Cmb {
    place(cmbloc, cmbsz, bar_len)
        .expect("accepted")
        .expect("a buffer")
}

fn refused(cmbloc: Cmbloc, cmbsz: Cmbsz, bar_len: u64) -> CmbRefused {
    let refused = place(cmbloc, cmbsz, bar_len).expect_err("must be refused");
    println!("{refused}");
    assert!(refused
        .to_string()
        .starts_with("controller memory buffer left out: "));
    refused
}

#[test]
fn the_registers_are_read_field_by_field() {
    let location = Cmbloc::from_raw(0xabcd_e1fa);
    assert_eq!((location.bir(), location.ofst()), (2, 0xabcde));
    let size = Cmbsz::from_raw(0x1234_5600);
    assert_eq!((size.sz(), size.szu()), (0x12345, 6));
    let flags = |raw| {
        let size = Cmbsz::from_raw(raw);
        [size.sqs(), size.cqs(), size.lists(), size.rds(), size.wds()]
    };
    for bit in 0..5 {
        assert_eq!(flags(1 << bit), std::array::from_fn(|n| n == bit));
    }
    assert_eq!(flags(!0x1f), [false; 5]);
}

#[test]
fn a_buffer_in_a_bar_of_its_own_is_taken_whole() {
    // As QEMU has it: 64 MiB in BAR 2.
    let cmb = placed(cmbloc(2, 0), cmbsz(2, 64), 64 << 20);
    let expected = Cmb {
        bar: 2,
        offset: 0,
        size: 64 << 20,
        claimed: 64 << 20,
        submission_queues: true,
        lists: true,
        data: true,
    };
    assert_eq!(cmb, expected);
    let read_only = Cmbsz::from_raw(0b0_1000 | (1 << 12));
    assert!(
        !placed(cmbloc(2, 0), read_only, 1 << 20).data,
        "peers need both directions"
    );
}

#[test]
fn every_unit_is_sixteen_times_the_one_before() {
    let sizes = [12, 16, 20, 24, 28, 32, 36];
    for (szu, shift) in (0..).zip(sizes) {
        let cmb = placed(cmbloc(4, 1), cmbsz(szu, 3), u64::MAX);
        assert_eq!((cmb.offset, cmb.size), (1 << shift, 3 << shift));
    }
    for szu in 7..16 {
        let unit = CmbRefused::Unit(szu as u8);
        assert_eq!(refused(cmbloc(4, 1), cmbsz(szu, 3), u64::MAX), unit);
    }
}

#[test]
fn a_buffer_ends_with_its_bar() {
    assert_eq!(placed(cmbloc(2, 1), cmbsz(2, 64), 16 << 20).size, 15 << 20);
    assert_eq!(
        placed(cmbloc(2, 0), cmbsz(0, 64), 4096 * 3 + 17).size,
        4096 * 3
    );
    let outside = |offset, length| CmbRefused::Outside {
        bar: 2,
        offset,
        length,
    };
    for length in [0, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 4095] {
        assert_eq!(
            refused(cmbloc(2, 1), cmbsz(2, 1), length),
            outside(1 << 20, length)
        );
    }
}

#[test]
fn a_buffer_over_the_registers_or_in_no_bar_is_left_out() {
    let bar = 1 << 20;
    assert_eq!(
        refused(cmbloc(0, 0), cmbsz(0, 16), bar),
        CmbRefused::Registers(0)
    );
    assert_eq!(
        refused(cmbloc(0, 1), cmbsz(0, 16), bar),
        CmbRefused::Registers(4096)
    );
    assert_eq!(placed(cmbloc(0, 2), cmbsz(0, 16), bar).offset, 8192);
    for bir in [1, 6, 7] {
        assert_eq!(
            refused(cmbloc(bir, 0), cmbsz(0, 1), bar),
            CmbRefused::Bar(bir as u8)
        );
    }
}

#[test]
fn no_size_is_no_buffer() {
    assert_eq!(
        place(Cmbloc::from_raw(u32::MAX), Cmbsz::from_raw(0xfff), 0),
        Ok(None)
    );
}

#[test]
fn the_controller_is_told_where_the_host_sees_it() {
    let cmb = placed(cmbloc(2, 0), cmbsz(2, 64), 64 << 20);
    assert_eq!(cmb.memory_space_control(0x40_0000_0000), Ok(0x40_0000_0003));
    let near_the_end = u64::MAX - 4095;
    for base in [1, 0x800, 0x40_0000_0fff, near_the_end] {
        let refused = cmb.memory_space_control(base).expect_err("must be refused");
        println!("{refused}");
        assert_eq!(refused, CmbRefused::Address(base));
    }
}

#[test]
fn a_buffer_that_reaches_beyond_its_bar_gets_no_address_of_the_hosts() {
    let long = placed(cmbloc(2, 0), cmbsz(2, 65), 64 << 20);
    assert_eq!((long.size, long.claimed), (64 << 20, 65 << 20));
    let refused = long.memory_space_control(0x40_0000_0000);
    assert_eq!(refused, Err(CmbRefused::Long(65 << 20)));
}

#[test]
fn submission_queues_lie_one_after_the_other() {
    let cmb = placed(cmbloc(2, 0), cmbsz(2, 1), 1 << 20);
    let queues = cmb.submission_queues(3, 1000).expect("room");
    assert_eq!(queues.queue_bytes(), 65536, "63 KiB in whole pages");
    let offsets = [0, 1, 2, 3].map(|index| queues.offset(index));
    assert_eq!(offsets, [Some(0), Some(65536), Some(131_072), None]);
    assert!(cmb.submission_queues(16, 1024).is_ok());
    let full = CmbRefused::Queues {
        wanted: 17,
        fit: 16,
    };
    let refused = cmb.submission_queues(17, 1024).expect_err("no room");
    assert_eq!(refused, full);
    assert_eq!(
        refused.to_string(),
        "controller memory buffer left out: it has room for 16 submission queues, not for 17"
    );
    let data_only = Cmbsz::from_raw(0b1_1000 | (1 << 12));
    let data_only = placed(cmbloc(2, 0), data_only, 1 << 20);
    let refused = data_only.submission_queues(1, 2);
    assert_eq!(refused, Err(CmbRefused::NoSubmissionQueues));
}

#[test]
fn whatever_the_registers_say_the_buffer_is_in_its_bar() {
    let values = (
        any::<u32>(),
        any::<u32>(),
        any::<u64>(),
        0u32..64,
        any::<(u16, u16)>(),
    );
    for_all(
        20_000,
        values,
        |(location, size, bar, shift, (queues, entries))| {
            let bar_len = bar >> shift;
            // Without this most units would be refused.
            let size = if bar % 4 == 0 { size } else { size & !0x800 };
            let Ok(Some(cmb)) = place(Cmbloc::from_raw(location), Cmbsz::from_raw(size), bar_len)
            else {
                return;
            };
            assert!(cmb.size >= 4096 && cmb.size % 4096 == 0 && cmb.offset % 4096 == 0);
            let end = cmb.offset.checked_add(cmb.size).expect("no overflow");
            assert!(end <= bar_len && (cmb.bar != 0 || cmb.offset >= REGISTERS_END));
            if let Ok(plan) = cmb.submission_queues(queues, entries) {
                assert!(plan.queue_bytes() >= u64::from(entries) * 64);
                let last = queues.checked_sub(1).and_then(|last| plan.offset(last));
                assert!(last.is_none_or(|last| last + plan.queue_bytes() <= cmb.size));
            }
        },
    );
}

#[test]
fn what_is_left_out_says_why() {
    let outside = CmbRefused::Outside {
        bar: 2,
        offset: 0x10000,
        length: 0x4000,
    };
    let queues = CmbRefused::Queues { wanted: 9, fit: 4 };
    let messages = [
        (CmbRefused::Bar(1), "BAR 1 cannot hold it"),
        (CmbRefused::Unit(7), "its size has the unknown unit 7"),
        (
            CmbRefused::Long(0x9000),
            "its 0x9000 bytes reach beyond its BAR",
        ),
        (
            outside,
            "it begins at 0x10000 of BAR 2, which has 0x4000 bytes",
        ),
        (
            CmbRefused::Registers(0x1000),
            "it begins at 0x1000, among the registers",
        ),
        (
            CmbRefused::Address(0x801),
            "it cannot be at bus address 0x801",
        ),
        (
            CmbRefused::NoSubmissionQueues,
            "submission queues may not be in it",
        ),
        (queues, "it has room for 4 submission queues, not for 9"),
    ];
    for (refused, expected) in messages {
        assert_eq!(
            refused.to_string(),
            format!("controller memory buffer left out: {expected}")
        );
    }
}
