// SPDX-License-Identifier: MIT

//! Faults of registers and doorbells.

use super::{Fault, Fired};
use crate::controller::{Answer, Controller};

impl Controller {
    /// After a register was read: the bytes can be changed.
    pub(crate) fn register_fault(&mut self, fired: Fired, _at: usize, bytes: &mut [u8]) {
        if fired.kind.fault == Fault::RegistersOnes {
            bytes.fill(0xff);
        }
    }

    /// Instead of a register write.
    pub(crate) fn register_write_fault(&mut self, fired: Fired, at: usize, bytes: &[u8]) {
        let _ = fired;
        self.register_write(at, bytes);
    }

    /// Instead of CSTS.RDY.
    pub(crate) fn enable_fault(&mut self, fired: Fired) {
        if fired.kind.fault != Fault::NeverReady {
            self.registers.csts |= 1;
        }
    }

    /// Instead of what a doorbell sets off.
    pub(crate) fn doorbell_fault(&mut self, fired: Fired, qid: u16, completion: bool, value: u32) {
        let _ = fired;
        if completion {
            self.consumed(qid, value);
        } else {
            self.submitted(qid, value);
        }
    }

    /// Instead of granting queues.
    pub(crate) fn grant_fault(&mut self, fired: Fired, granted: u32) -> Answer {
        let _ = fired;
        Answer::with(granted.into())
    }
}
