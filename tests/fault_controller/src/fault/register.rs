// SPDX-License-Identifier: MIT

//! Faults of registers and doorbells.

use std::time::Duration;

use nvme_proto::register::{offset, Cc};

use super::{Fault, Fired};
use crate::controller::Controller;
use crate::later::{Ends, Owed};
use crate::registers::csts;

/// The longest that a read may take: QEMU stands still as long.
const LONGEST_READ: Duration = Duration::from_secs(2);

/// CMBSZ with everything supported, in units of 64 GiB, as large as it can say.
const CMBSZ_ABSURD: u64 = 0xffff_f61f;

/// CMBSZ of 16 KiB, everything supported.
const CMBSZ_SMALL: u64 = 0x0000_401f;

/// CMBLOC far away in BAR 0.
const CMBLOC_FAR: u64 = 0xffff_f000;

/// `bits` ones.
const fn mask(bits: u32) -> u64 {
    match 1u64.checked_shl(bits) {
        Some(bit) => bit - 1,
        None => u64::MAX,
    }
}

/// Puts `value`, of a register at `register`, over what was read from `at` on.
fn overlay(bytes: &mut [u8], at: usize, register: usize, value: u64) {
    for (index, byte) in value.to_le_bytes().into_iter().enumerate() {
        let place = (register + index)
            .checked_sub(at)
            .and_then(|place| bytes.get_mut(place));
        if let Some(place) = place {
            *place = byte;
        }
    }
}

impl Controller {
    /// After a register was read: the bytes can be changed.
    pub(crate) fn register_fault(&mut self, fired: Fired, at: usize, bytes: &mut [u8]) {
        match fired.kind.fault {
            Fault::Ones => bytes.fill(0xff),
            Fault::Zeros => bytes.fill(0),
            Fault::Value => {
                for (place, byte) in bytes.iter_mut().zip(fired.argument.to_le_bytes()) {
                    *place = byte;
                }
            }
            Fault::Field {
                at: register,
                shift,
                bits,
            } => {
                let field = mask(bits) << shift;
                let value =
                    (self.whole(register) & !field) | ((fired.argument & mask(bits)) << shift);
                overlay(bytes, at, register, value);
            }
            Fault::Bits { at: register, bits } => {
                overlay(bytes, at, register, self.whole(register) | bits);
            }
            Fault::CapChanging if fired.count % 2 == 0 => {
                let value = (self.whole(offset::CAP) & !0xffff) | 1;
                overlay(bytes, at, offset::CAP, value);
            }
            Fault::MemoryBuffer { over_registers } => {
                self.claim_memory_buffer(over_registers, at, bytes);
            }
            Fault::SlowRead => self.lies.pause = fired.wait().min(LONGEST_READ),
            _ => {}
        }
    }

    /// The eight bytes from a register on, as they are.
    fn whole(&self, register: usize) -> u64 {
        let mut bytes = [0; 8];
        self.registers.read(register, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn claim_memory_buffer(&self, over_registers: bool, at: usize, bytes: &mut [u8]) {
        let (location, size) = if over_registers {
            (0, CMBSZ_SMALL)
        } else {
            (CMBLOC_FAR, CMBSZ_ABSURD)
        };
        overlay(bytes, at, offset::CAP, self.whole(offset::CAP) | (1 << 57));
        overlay(bytes, at, offset::CMBLOC, location | (size << 32));
    }

    /// Instead of a register write.
    pub(crate) fn register_write_fault(&mut self, fired: Fired, at: usize, bytes: &[u8]) {
        if fired.kind.fault != Fault::WriteIgnored {
            self.register_write(at, bytes);
        }
    }

    /// Instead of CSTS.RDY after CC.EN was set.
    pub(crate) fn enable_fault(&mut self, fired: Fired) {
        match fired.kind.fault {
            Fault::Never => self.owe(Owed::Ready, Self::become_ready),
            Fault::Slowly => self.later_ends(fired.wait(), Ends::Done, Self::become_ready),
            Fault::Fatal => self.registers.csts |= 2,
            _ => self.become_ready(),
        }
    }

    /// Instead of clearing CSTS.RDY after CC.EN was cleared.
    pub(crate) fn disable_fault(&mut self, fired: Fired) {
        match fired.kind.fault {
            Fault::Never => self.owe(Owed::Stopped, Self::stop),
            Fault::Slowly => self.later_ends(fired.wait(), Ends::Done, Self::stop),
            _ => self.stop(),
        }
    }

    /// Instead of CSTS.SHST after CC.SHN was written.
    pub(crate) fn shutdown_fault(&mut self, fired: Fired) {
        match fired.kind.fault {
            Fault::ShutdownUnseen => {
                self.registers.csts &= !csts::SHST;
                self.owe(Owed::ShutDown, Self::end_shutdown);
            }
            Fault::Slowly => self.later_ends(fired.wait(), Ends::Done, Self::end_shutdown),
            _ => self.owe(Owed::ShutDown, Self::end_shutdown),
        }
    }

    /// What a fault keeps from happening until faults are disarmed.
    pub(super) fn owe(&mut self, what: Owed, deed: fn(&mut Self)) {
        self.later.owe(what, Box::new(deed));
    }

    /// CSTS.RDY follows CC.EN, unless the host has changed its mind.
    pub(super) fn become_ready(&mut self) {
        if Cc::from_raw(self.registers.cc).en() {
            self.registers.csts |= 1;
        }
    }

    fn stop(&mut self) {
        if !Cc::from_raw(self.registers.cc).en() {
            self.registers.csts &= !1;
        }
    }

    fn end_shutdown(&mut self) {
        if Cc::from_raw(self.registers.cc).shn() != 0 {
            self.registers.csts = (self.registers.csts & !csts::SHST) | (2 << 2);
        }
    }

    /// Instead of what a doorbell sets off. Only a submission queue's is late.
    pub(crate) fn doorbell_fault(&mut self, fired: Fired, qid: u16, completion: bool, value: u32) {
        match fired.kind.fault {
            Fault::DoorbellLost => {}
            Fault::DoorbellLate => {
                let number = self.lies.next_ring();
                self.later_in_queue(fired.wait(), qid, false, move |this| {
                    this.submitted_late(number, qid, value);
                });
            }
            _ => self.rung(qid, completion, value),
        }
    }

    /// Acts on a doorbell of earlier, unless a later one was acted on meanwhile: a tail does not go
    /// backwards.
    fn submitted_late(&mut self, number: u64, sqid: u16, tail: u32) {
        if self.lies.rang_late(number, sqid) {
            let tail = self.newest(sqid, false, tail);
            self.submitted(sqid, tail);
        }
    }
}
