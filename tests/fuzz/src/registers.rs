// SPDX-License-Identifier: GPL-2.0

//! Registers: every value that a device can answer with.

use nvme_proto::register::{
    ready_timeout_ms, Aqa, Cap, Cc, Csts, Shn, ShutdownStatus, Vs, MAX_READY_TIMEOUT_MS,
    MIN_READY_TIMEOUT_MS,
};

use crate::input::Input;

/// CAP, VS, CSTS, CC, AQA, CRTO, and a page's shift.
pub(crate) fn registers(data: &[u8]) {
    let mut input = Input::new(data);
    let cap = input.bytes();
    assert_capabilities(cap);
    assert_version(input.bytes());
    assert_controller_status(input.u32());
    assert_configuration(input.u32());
    assert_admin_queues(input.u32());
    let crto = input.u32();
    assert_timeout(cap, None);
    assert_timeout(cap, Some(crto));
    let made = Cc::enabled(input.u8());
    assert!(made.en() && made.mps() <= 15 && made.css() == 0 && made.shn() == 0);
}

fn assert_capabilities(bytes: [u8; 8]) {
    let cap = Cap::from_raw(u64::from_le_bytes(bytes));
    let bit = |byte: usize, at: u8| (bytes[byte] >> at) & 1 == 1;
    assert_eq!(cap.raw().to_le_bytes(), bytes);
    assert_eq!(cap.is_gone(), bytes == [0xff; 8]);
    let mqes = u16::from_le_bytes([bytes[0], bytes[1]]);
    let entries = (mqes != 0).then_some(u32::from(mqes) + 1);
    assert_eq!((cap.mqes(), cap.queue_entries()), (mqes, entries));
    assert_eq!((cap.cqr(), cap.ams()), (bit(2, 0), (bytes[2] >> 1) & 3));
    assert_eq!(cap.to_ms(), u32::from(bytes[3]) * 500);
    let dstrd = bytes[4] % 16;
    assert_eq!(
        (cap.dstrd(), cap.doorbell_stride()),
        (dstrd, 4usize << dstrd)
    );
    let css = (bytes[5] << 3) | (bytes[4] >> 5);
    assert_eq!(
        (cap.nssrs(), cap.css(), cap.bps()),
        (bit(4, 4), css, bit(5, 5))
    );
    assert_eq!(cap.supports_command_set_selection(), (css >> 6) & 1 == 1);
    assert_eq!(cap.supports_nvm_command_set(), css & 0x41 != 0);
    let (mpsmin, mpsmax) = (bytes[6] % 16, bytes[6] / 16);
    assert_eq!((cap.mpsmin(), cap.mpsmax()), (mpsmin, mpsmax));
    assert_eq!(cap.min_page_size(), 4096u64 << mpsmin);
    assert_eq!(
        (cap.pmrs(), cap.cmbs(), cap.crms()),
        (bit(7, 0), bit(7, 1), (bytes[7] >> 3) & 3)
    );
}

fn assert_version(bytes: [u8; 4]) {
    let vs = Vs::from_raw(u32::from_le_bytes(bytes));
    let [tertiary, minor, ..] = bytes;
    let major = u16::from_le_bytes([bytes[2], bytes[3]]);
    assert_eq!(
        (vs.major(), vs.minor(), vs.tertiary()),
        (major, minor, tertiary)
    );
    assert_eq!(vs.raw().to_le_bytes(), bytes);
    assert_eq!(vs.to_string(), format!("{major}.{minor}.{tertiary}"));
    assert!(vs.at_least(major, minor) && vs.at_least(0, 0));
    assert!(minor == u8::MAX || !vs.at_least(major, minor + 1));
    assert!(major == u16::MAX || !vs.at_least(major + 1, 0));
}

fn assert_controller_status(raw: u32) {
    let csts = Csts::from_raw(raw);
    let bit = |at: u32| (raw >> at) & 1 == 1;
    assert_eq!((csts.raw(), csts.is_gone()), (raw, raw == 0xffff_ffff));
    assert_eq!(
        (csts.rdy(), csts.cfs(), csts.nssro(), csts.pp()),
        (bit(0), bit(1), bit(4), bit(5))
    );
    let expected = match (bit(3), bit(2)) {
        (false, false) => ShutdownStatus::Normal,
        (false, true) => ShutdownStatus::Occurring,
        (true, false) => ShutdownStatus::Complete,
        (true, true) => ShutdownStatus::Reserved,
    };
    assert_eq!(csts.shst(), expected);
}

fn assert_configuration(raw: u32) {
    let cc = Cc::from_raw(raw);
    assert_eq!((cc.raw(), cc.en()), (raw, raw % 2 == 1));
    let fields = [
        (cc.css(), 4, 7),
        (cc.mps(), 7, 15),
        (cc.shn(), 14, 3),
        (cc.iosqes(), 16, 15),
    ];
    for (field, at, mask) in fields.into_iter().chain([(cc.iocqes(), 20, 15)]) {
        assert_eq!(u32::from(field), (raw >> at) & mask);
    }
    assert_eq!(cc.without_enable().raw(), raw & !1);
    for (shn, bits) in [(Shn::None, 0), (Shn::Normal, 1), (Shn::Abrupt, 2)] {
        assert_eq!(cc.with_shn(shn).raw(), raw & !0xc000 | (bits << 14));
    }
}

fn assert_admin_queues(raw: u32) {
    let aqa = Aqa::from_raw(raw);
    let entries = [aqa.asqs_entries(), aqa.acqs_entries()];
    assert_eq!(
        entries.map(u32::from),
        [raw % 4096 + 1, (raw >> 16) % 4096 + 1]
    );
    // What is written is 2 to 4096, whatever was wanted.
    let [submission, completion] = [raw & 0xffff, raw >> 16];
    let made = Aqa::from_raw(Aqa::new(submission as u16, completion as u16));
    assert_eq!(u32::from(made.asqs_entries()), submission.clamp(2, 4096));
    assert_eq!(u32::from(made.acqs_entries()), completion.clamp(2, 4096));
}

fn assert_timeout(cap: [u8; 8], crto: Option<u32>) {
    let waited = ready_timeout_ms(Cap::from_raw(u64::from_le_bytes(cap)), crto);
    let asked = u32::from(cap[3]).max(crto.unwrap_or(0) & 0xffff) * 500;
    assert_eq!(
        waited,
        asked.clamp(MIN_READY_TIMEOUT_MS, MAX_READY_TIMEOUT_MS)
    );
    assert!((500..=60_000).contains(&waited), "{waited} ms");
}
