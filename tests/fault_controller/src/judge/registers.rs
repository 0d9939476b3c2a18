// SPDX-License-Identifier: MIT

//! Accesses to registers: their width, what can be written when, and CC (Base 3.1.4).

use nvme_proto::register::{offset, Aqa, Cap, Cc};

use super::queues::{region, unusable};
use super::{rules, Broken, Judge};
use crate::controller::Controller;
use crate::data::number;
use crate::queue::{CQE_BYTES, SQE_BYTES};
use crate::registers::csts;

/// The registers of 64 bits.
const WIDE: [usize; 4] = [offset::CAP, offset::ASQ, offset::ACQ, offset::CMBMSC];

/// The registers that can be written; those of 64 bits by halves.
const WRITABLE: [usize; 11] = [
    offset::INTMS,
    offset::INTMC,
    offset::CC,
    offset::CSTS,
    offset::AQA,
    offset::ASQ,
    offset::ASQ + 4,
    offset::ACQ,
    offset::ACQ + 4,
    offset::CMBMSC,
    offset::CMBMSC + 4,
];

/// The bits of CC that mean something.
const CC_BITS: u32 = 0x01ff_fff1;

/// CAP.CMBS: there is a memory buffer, and CMBMSC.
const CMBS: u64 = 1 << 57;

/// Whether an access has the width of a register, or of a half of one of 64 bits.
fn fits(at: usize, bytes: usize) -> bool {
    at % 4 == 0 && (bytes == 4 || bytes == 8 && WIDE.contains(&at))
}

/// What is chosen in CC that CAP does not offer.
fn unsupported(cap: Cap, cc: Cc) -> Option<String> {
    let css = match cc.css() {
        0 => cap.css() & 1 != 0,
        6 => cap.css() & 0x40 != 0,
        7 => cap.css() & 0x80 != 0,
        _ => false,
    };
    let ams = (cc.raw() >> 11) & 7;
    let arbitration = match ams {
        0 => true,
        1 => cap.ams() & 1 != 0,
        7 => cap.ams() & 2 != 0,
        _ => false,
    };
    let crime = cc.raw() & (1 << 24) != 0;
    if !css {
        Some(format!("CSS {} with CAP.CSS {:02x}h", cc.css(), cap.css()))
    } else if !(cap.mpsmin()..=cap.mpsmax()).contains(&cc.mps()) {
        Some(format!("MPS {} outside of CAP's limits", cc.mps()))
    } else if !arbitration {
        Some(format!("AMS {ams}"))
    } else if crime && !cap.crims() {
        Some("CRIME without CAP.CRMS.CRIMS".to_owned())
    } else {
        None
    }
}

/// The admin queues, as they stand when the controller is enabled.
fn admin_queues(this: &Controller) -> Vec<Broken> {
    let registers = &this.registers;
    let aqa = Aqa::from_raw(registers.aqa);
    let both = [
        ("ASQ", registers.asq, aqa.asqs_entries(), SQE_BYTES, false),
        ("ACQ", registers.acq, aqa.acqs_entries(), CQE_BYTES, true),
    ];
    let mut broken = Vec::new();
    let mut regions = Vec::new();
    for (name, base, entries, bytes, write) in both {
        if entries < 2 {
            broken.push((
                rules::ADMIN_QUEUE_SIZE,
                format!("{name} has {entries} entry"),
            ));
        } else if base % u64::from(nvme_proto::PAGE) != 0 {
            broken.push((rules::ADMIN_QUEUE_BASE, format!("{name} is {base:#x}")));
        } else {
            let place = region(base, entries.into(), bytes);
            broken.extend(unusable(this, name, &place, write, &regions));
            regions.push((name.to_owned(), place));
        }
    }
    broken
}

impl Judge {
    /// CC is written, while it still is what it was.
    fn configured(&mut self, this: &Controller, raw: u32) -> Vec<Broken> {
        let mut broken = Vec::new();
        let cap = Cap::from_raw(this.registers.cap);
        let (old, new) = (Cc::from_raw(this.registers.cc), Cc::from_raw(raw));
        let ready = this.registers.csts & 1 != 0;
        let change = || format!("CC goes from {:08x} to {raw:08x}", old.raw());
        if raw & !CC_BITS != 0 {
            broken.push((rules::CC_RESERVED, change()));
        }
        if new.en() && !old.en() {
            if ready {
                let seen = format!("{}, and CSTS.RDY is still 1", change());
                broken.push((rules::ENABLE_BEFORE_STOPPED, seen));
            }
            if let Some(what) = unsupported(cap, new) {
                broken.push((rules::CC_UNSUPPORTED, format!("{}: {what}", change())));
            }
            broken.extend(admin_queues(this));
        } else if old.en() && !new.en() && !ready {
            let seen = format!("{}, and CSTS.RDY is not 1 yet", change());
            broken.push((rules::DISABLE_BEFORE_READY, seen));
        } else if old.en() && new.en() {
            // AMS, MPS and CSS; then IOCQES and IOSQES.
            const FIXED: u32 = 0x3ff0;
            const SIZES: u32 = 0x00ff_0000;
            let changed = old.raw() ^ new.raw();
            let queues = this.submission.len().max(this.completion.len()) > 1;
            if changed & FIXED != 0 || changed & SIZES != 0 && queues {
                broken.push((rules::CC_LIVE, change()));
            }
        }
        broken
    }

    /// Registers are written, while they still are what they were.
    fn register_written(&mut self, this: &Controller, at: usize, bytes: &[u8]) {
        let mut broken = Vec::new();
        let low = (number(bytes) & 0xffff_ffff) as u32;
        let seen = format!("{} bytes, {low:08x}, are written at {at:#x}", bytes.len());
        if !fits(at, bytes.len()) {
            broken.push((rules::REGISTER_WIDTH, seen));
        } else if !WRITABLE.contains(&at) || at == offset::CSTS && low & csts::NSSRO == 0 {
            // The rest of CSTS is read-only, and may be written as it was read.
            broken.push((rules::REGISTER_READ_ONLY, seen));
        } else if at == offset::INTMS || at == offset::INTMC {
            broken.push((rules::INTERRUPT_MASK, seen));
        } else if at == offset::CC {
            broken = self.configured(this, low);
        } else if (offset::AQA..offset::CMBLOC).contains(&at) {
            if Cc::from_raw(this.registers.cc).en() {
                broken.push((rules::ADMIN_QUEUE_LIVE, seen));
            }
        } else if (offset::CMBMSC..offset::CMBSTS).contains(&at) && this.registers.cap & CMBS == 0 {
            broken.push((rules::CMB_UNSUPPORTED, seen));
        }
        for (rule, seen) in broken {
            self.complain(rule, &seen, Vec::new());
        }
        // What it was told of the state before counts no longer once it begins anew.
        let enabled = at == offset::CC && low & 1 != 0 && this.registers.cc & 1 == 0;
        if enabled && this.registers.csts & 1 == 0 {
            self.deceit.enabled();
        }
    }

    /// Registers are read.
    fn register_read(&mut self, at: usize, bytes: usize) {
        let seen = format!("{bytes} bytes are read at {at:#x}");
        if at < offset::DOORBELLS && !fits(at, bytes) {
            self.complain(rules::REGISTER_WIDTH, &seen, Vec::new());
        }
    }
}

impl Controller {
    /// Registers are written.
    pub(crate) fn judge_register_write(&mut self, at: usize, bytes: &[u8]) {
        self.judged(|judge, this| judge.register_written(this, at, bytes));
    }

    /// Registers are read.
    pub(crate) fn judge_register_read(&mut self, at: usize, bytes: usize) {
        self.judged(|judge, _| judge.register_read(at, bytes));
    }
}
