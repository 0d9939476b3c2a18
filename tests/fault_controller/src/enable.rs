// SPDX-License-Identifier: MIT

//! What writing registers sets off: enabling, reset and shutdown by CC.
//!
//! Each step that a fault can keep from happening asks for it.

use nvme_proto::register::{offset, Aqa, Cc};

use crate::controller::Controller;
use crate::fault::{Hook, Occasion};
use crate::queue::{CompletionQueue, SubmissionQueue};

impl Controller {
    /// A register write as a controller that works takes it.
    pub fn register_write(&mut self, at: usize, bytes: &[u8]) {
        let before = Cc::from_raw(self.registers.cc);
        self.registers.write(at, bytes);
        if at != offset::CC {
            return;
        }
        let after = Cc::from_raw(self.registers.cc);
        match (before.en(), after.en()) {
            (false, true) => self.later(self.settings.ready_time, Self::enable),
            (true, false) => {
                let ghosts = self
                    .fault(Hook::Reset, &Occasion::default())
                    .map(|fired| self.reset_fault(fired));
                self.reset();
                self.registers.cc = after.raw();
                self.registers.csts &= !2;
                if let Some(ghosts) = ghosts {
                    self.haunt(ghosts);
                }
                match self.fault(Hook::Disable, &Occasion::default()) {
                    Some(fired) => self.disable_fault(fired),
                    None => self.later(self.settings.ready_time, |this| this.registers.csts &= !1),
                }
            }
            _ => {}
        }
        if before.shn() != after.shn() {
            self.registers.csts &= !0xc;
            if after.shn() != 0 {
                self.registers.csts |= 1 << 2;
                match self.fault(Hook::Shutdown, &Occasion::default()) {
                    Some(fired) => self.shutdown_fault(fired),
                    None => self.later(self.settings.ready_time, |this| {
                        this.registers.csts = (this.registers.csts & !0xc) | (2 << 2);
                    }),
                }
            }
        }
    }

    /// CC.EN was set: the admin queues begin to live and CSTS.RDY follows.
    fn enable(&mut self) {
        let aqa = Aqa::from_raw(self.registers.aqa);
        let (asq, acq) = (self.registers.asq, self.registers.acq);
        let entries = u32::from(aqa.asqs_entries());
        self.submission
            .insert(0, SubmissionQueue::new(0, asq, entries, 0));
        let entries = u32::from(aqa.acqs_entries());
        self.completion
            .insert(0, CompletionQueue::new(0, acq, entries, Some(0)));
        let occasion = Occasion::default();
        match self.fault(Hook::Enable, &occasion) {
            Some(fired) => self.enable_fault(fired),
            None => self.registers.csts |= 1,
        }
    }
}
