// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Registers: known values, and every value at all.

use nvme_proto::register::{
    ready_timeout_ms, Aqa, Cap, Cc, CommandSets, Csts, Shn, ShutdownStatus, Vs,
    MAX_READY_TIMEOUT_MS, MIN_READY_TIMEOUT_MS,
};
use proptest::prelude::*;

use crate::support::for_all;

#[test]
fn capabilities_are_read_field_by_field() {
    // MQES 2047, CQR, AMS 1, TO 15, DSTRD 2, NSSRS, CSS NVM, BPS, MPSMIN 1, MPSMAX 4, PMRS,
    // CMBS, CRMS 1.
    let cap = Cap::from_raw(
        0x7ff
            | (1 << 16)
            | (1 << 17)
            | (15 << 24)
            | (2 << 32)
            | (1 << 36)
            | (1 << 37)
            | (1 << 45)
            | (1 << 48)
            | (4 << 52)
            | (1 << 56)
            | (1 << 57)
            | (1 << 59),
    );
    assert_eq!((cap.mqes(), cap.queue_entries()), (2047, Some(2048)));
    assert_eq!((cap.cqr(), cap.ams(), cap.to_ms()), (true, 1, 7500));
    assert_eq!((cap.dstrd(), cap.doorbell_stride()), (2, 16));
    assert_eq!((cap.nssrs(), cap.css(), cap.bps()), (true, 1, true));
    assert!(cap.supports_nvm_command_set() && !cap.supports_command_set_selection());
    assert_eq!(
        (cap.mpsmin(), cap.min_page_size(), cap.mpsmax()),
        (1, 8192, 4)
    );
    assert_eq!((cap.pmrs(), cap.cmbs(), cap.crms()), (true, true, 1));
    assert!(!cap.crims() && Cap::from_raw(1 << 60).crims());
    assert!(!cap.is_gone());
}

#[test]
fn a_single_bit_moves_only_its_own_field() {
    let nothing = fields(Cap::from_raw(0));
    for bit in
        (0..61).filter(|bit| !(19..24).contains(bit) && !(46..48).contains(bit) && *bit != 58)
    {
        let changed = fields(Cap::from_raw(1 << bit));
        let different = changed.iter().zip(&nothing).filter(|(a, b)| a != b).count();
        assert_eq!(different, 1, "bit {bit}: {changed:?}");
    }
}

fn fields(cap: Cap) -> [u32; 13] {
    [
        u32::from(cap.mqes()),
        u32::from(cap.cqr()),
        u32::from(cap.ams()),
        cap.to_ms(),
        u32::from(cap.dstrd()),
        u32::from(cap.nssrs()),
        u32::from(cap.css()),
        u32::from(cap.bps()),
        u32::from(cap.mpsmin()),
        u32::from(cap.mpsmax()),
        u32::from(cap.pmrs()),
        u32::from(cap.cmbs()),
        u32::from(cap.crms()),
    ]
}

#[test]
fn a_device_that_is_gone_is_known_by_all_ones() {
    assert!(Cap::from_raw(u64::MAX).is_gone() && Csts::from_raw(u32::MAX).is_gone());
    assert!(!Cap::from_raw(u64::MAX - 1).is_gone() && !Csts::from_raw(3).is_gone());
}

#[test]
fn a_queue_of_one_entry_is_none() {
    assert_eq!(Cap::from_raw(0).queue_entries(), None);
    assert_eq!(Cap::from_raw(1).queue_entries(), Some(2));
    assert_eq!(Cap::from_raw(0xffff).queue_entries(), Some(65536));
}

#[test]
fn versions_print_and_compare() {
    let vs = Vs::from_raw(0x0001_0400);
    assert_eq!(vs.to_string(), "1.4.0");
    assert!(vs.at_least(1, 4) && vs.at_least(1, 0) && vs.at_least(0, 9));
    assert!(!vs.at_least(1, 5) && !vs.at_least(2, 0));
    assert!(Vs::from_raw(0x0002_0100).at_least(1, 4));
}

#[test]
fn the_configuration_is_what_a_4_kib_host_needs() {
    let cc = Cc::enabled(12);
    assert_eq!(cc.raw(), 0x0046_0001);
    assert_eq!((cc.en(), cc.css(), cc.mps()), (true, 0, 0));
    assert_eq!((cc.shn(), cc.iosqes(), cc.iocqes()), (0, 6, 4));
    assert_eq!(Cc::enabled_with(12, CommandSets::All).css(), 6);
    assert_eq!(
        (
            Cc::enabled(16).mps(),
            Cc::enabled(0).mps(),
            Cc::enabled(255).mps()
        ),
        (4, 0, 15)
    );
}

#[test]
fn shutdown_and_reset_change_nothing_else() {
    let cc = Cc::enabled(12);
    assert_eq!(cc.with_shn(Shn::Normal).raw(), cc.raw() | (1 << 14));
    assert_eq!(cc.with_shn(Shn::Abrupt).with_shn(Shn::None), cc);
    assert_eq!(cc.with_shn(Shn::Abrupt).shn(), 2);
    assert_eq!(cc.without_enable().raw(), cc.raw() & !1);
}

#[test]
fn status_bits_are_where_they_belong() {
    let csts = Csts::from_raw(0b11_0011);
    assert!(csts.rdy() && csts.cfs() && csts.nssro() && csts.pp());
    let none = Csts::from_raw(0);
    assert!(!none.rdy() && !none.cfs() && !none.nssro() && !none.pp());
    let shst = |raw: u32| Csts::from_raw(raw << 2).shst();
    assert_eq!(
        (shst(0), shst(1)),
        (ShutdownStatus::Normal, ShutdownStatus::Occurring)
    );
    assert_eq!(
        (shst(2), shst(3)),
        (ShutdownStatus::Complete, ShutdownStatus::Reserved)
    );
}

#[test]
fn admin_queue_sizes_count_from_0() {
    assert_eq!(Aqa::new(32, 64), 0x3f_001f);
    assert_eq!(Aqa::new(0, u16::MAX), 0xfff_0001);
    let aqa = Aqa::from_raw(Aqa::new(4096, 2));
    assert_eq!((aqa.asqs_entries(), aqa.acqs_entries()), (4096, 2));
}

#[test]
fn nobody_waits_for_ready_longer_than_a_minute() {
    let cap = |to: u64| Cap::from_raw(to << 24);
    assert_eq!(ready_timeout_ms(cap(15), None), 7500);
    assert_eq!(ready_timeout_ms(cap(0), None), MIN_READY_TIMEOUT_MS);
    assert_eq!(ready_timeout_ms(cap(255), None), MAX_READY_TIMEOUT_MS);
    // The upper half of CRTO is for another ready mode.
    assert_eq!(ready_timeout_ms(cap(2), Some(0xffff_0010)), 8000);
    assert_eq!(ready_timeout_ms(cap(40), Some(0x10)), 20_000);
    for_all(2000, (any::<u64>(), any::<Option<u32>>()), |(cap, crto)| {
        let timeout = ready_timeout_ms(Cap::from_raw(cap), crto);
        assert!((MIN_READY_TIMEOUT_MS..=MAX_READY_TIMEOUT_MS).contains(&timeout));
    });
}

#[test]
fn every_value_of_a_register_can_be_asked_everything() {
    for_all(5000, (any::<u64>(), any::<u32>()), |(wide, narrow)| {
        let cap = Cap::from_raw(wide);
        let raw = [
            Cc::from_raw(narrow).raw(),
            Csts::from_raw(narrow).raw(),
            Vs::from_raw(narrow).raw(),
        ];
        assert_eq!((cap.raw(), raw), (wide, [narrow; 3]));
        assert!(cap.doorbell_stride().is_power_of_two() && cap.doorbell_stride() <= 131_072);
        assert!(cap.min_page_size().is_power_of_two() && cap.min_page_size() <= 1 << 27);
        fields(cap);
        let _ = (
            Csts::from_raw(narrow).shst(),
            Vs::from_raw(narrow).to_string(),
        );
        let aqa = Aqa::from_raw(narrow);
        assert_eq!(
            Aqa::new(aqa.asqs_entries(), 2) & 0xfff,
            (narrow & 0xfff).max(1)
        );
    });
}
