// SPDX-License-Identifier: GPL-2.0

//! The controller's registers, and the waits that go with them.
//!
//! NVM Express Base Specification 2.1, section 3.1.4 (properties) and 3.5 (initialisation). Each
//! wait has a bound, and ends at once when the registers read as all ones: the device is gone.

use kernel::{
    device::Bound,
    pci,
    prelude::*,
    str::CString,
    sync::Arc,
    time::{delay::fsleep, Delta, Instant, Monotonic},
};
use kernel_ext::io::{Doorbell, Mmio, Window};
use nvme_proto::{
    cmb::{Cmbloc, Cmbsz, CMBMSC_CAPABILITIES, CMBSTS_ADDRESS_INVALID},
    register::{offset, ready_timeout_ms, Cap, Cc, CommandSets, Csts, Shn, ShutdownStatus, Vs},
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// How long to sleep between two looks at a register.
const POLL_INTERVAL: Delta = Delta::from_micros(500);

/// The registers of one controller.
pub(crate) struct Registers {
    mmio: Arc<Mmio>,
    cap: Cap,
}

impl Registers {
    /// Reads CAP once; what it says is not asked for again. `ENODEV` if the device is gone.
    pub(crate) fn new(mmio: Arc<Mmio>) -> Result<Self> {
        let cap = Cap::from_raw(mmio.read64(offset::CAP)?);
        let registers = Registers { mmio, cap };
        if cap.is_gone() || registers.is_gone() {
            return Err(ENODEV);
        }
        Ok(registers)
    }

    /// Controller Capabilities, as they were at first.
    pub(crate) fn cap(&self) -> Cap {
        self.cap
    }

    /// Version.
    pub(crate) fn version(&self) -> Result<Vs> {
        Ok(Vs::from_raw(self.mmio.read32(offset::VS)?))
    }

    /// Controller Status.
    pub(crate) fn status(&self) -> Csts {
        // An offset below the smallest BAR accepted cannot fail; were it to, gone is a safe word.
        Csts::from_raw(self.mmio.read32(offset::CSTS).unwrap_or(u32::MAX))
    }

    /// CMBLOC and CMBSZ, once they tell the truth (sections 3.1.4.11, 3.1.4.12).
    pub(crate) fn cmb_claims(&self) -> Result<(Cmbloc, Cmbsz)> {
        if self.cap.cmbs() {
            self.set_cmb_control(CMBMSC_CAPABILITIES)?;
        }
        let cmbsz = Cmbsz::from_raw(self.mmio.read32(offset::CMBSZ)?);
        Ok((Cmbloc::from_raw(self.mmio.read32(offset::CMBLOC)?), cmbsz))
    }

    /// Has the controller take the addresses that `control` names for its memory buffer; whether it
    /// can. One without CMBMSC does so by itself, at its BAR.
    pub(crate) fn open_cmb(&self, control: u64) -> Result<bool> {
        if !self.cap.cmbs() {
            return Ok(true);
        }
        self.set_cmb_control(control)?;
        Ok(self.mmio.read32(offset::CMBSTS)? & CMBSTS_ADDRESS_INVALID == 0)
    }

    /// Undoes that: a reset does not.
    pub(crate) fn close_cmb(&self) {
        if self.cap.cmbs() && !self.is_gone() {
            // An offset below the smallest BAR accepted cannot fail.
            let _ = self.set_cmb_control(0);
        }
    }

    /// The half that enables comes last.
    fn set_cmb_control(&self, control: u64) -> Result {
        self.mmio
            .write32(offset::CMBMSC + 4, (control >> 32) as u32)?;
        self.mmio.write32(offset::CMBMSC, control as u32)
    }

    /// A window of `words` words on the device's memory from `offset` of a BAR on. May sleep.
    pub(crate) fn window(
        &self,
        pdev: &pci::Device<Bound>,
        bar: u32,
        offset: u64,
        words: usize,
        name: CString,
    ) -> Result<Arc<Window>> {
        Window::map(pdev, &self.mmio, bar, offset, words, name)
    }

    /// Whether the device has gone: its registers read as all ones.
    pub(crate) fn is_gone(&self) -> bool {
        self.status().is_gone()
    }

    /// Whether the controller is there, ready and has not failed: whether it can be expected to
    /// answer a command.
    pub(crate) fn is_working(&self) -> bool {
        let status = self.status();
        !status.is_gone() && status.rdy() && !status.cfs()
    }

    /// The size of the register BAR in bytes.
    pub(crate) fn len(&self) -> usize {
        self.mmio.len()
    }

    /// The doorbell register at byte `offset`.
    pub(crate) fn doorbell(&self, offset: usize) -> Result<Doorbell> {
        self.mmio.doorbell(offset)
    }

    /// How long CSTS.RDY may take to change, in milliseconds.
    pub(crate) fn ready_timeout_ms(&self) -> u32 {
        let crto = self.mmio.read32(offset::CRTO).ok();
        ready_timeout_ms(self.cap, crto)
    }

    /// Waits until `done` holds of CSTS: `ETIMEDOUT` after `ms`, `ENODEV` if the device is gone.
    fn wait(&self, ms: u32, done: impl Fn(Csts) -> bool) -> Result {
        let start = Instant::<Monotonic>::now();
        loop {
            let expired = start.elapsed().as_millis() > i64::from(ms);
            let status = self.status();
            if status.is_gone() {
                return Err(ENODEV);
            }
            if done(status) {
                return Ok(());
            }
            if expired {
                return Err(ETIMEDOUT);
            }
            fsleep(POLL_INTERVAL);
        }
    }

    /// `EIO` if the controller says that it has failed (CSTS.CFS).
    fn check_fatal(&self) -> Result {
        if self.status().cfs() {
            Err(EIO)
        } else {
            Ok(())
        }
    }

    /// Tells the controller where the admin queues are, of so many entries each.
    ///
    /// Only while it is disabled (sections 3.1.4.8 to 3.1.4.10).
    pub(crate) fn set_admin_queues(&self, sq: u64, cq: u64, entries: u16) -> Result {
        use nvme_proto::register::Aqa;
        self.mmio.write32(offset::AQA, Aqa::new(entries, entries))?;
        self.mmio.write64(offset::ASQ, sq)?;
        self.mmio.write64(offset::ACQ, cq)
    }

    /// Enables the controller with pages of 4 KiB and all its I/O command sets, if it has more
    /// than one, and waits until it is ready.
    pub(crate) fn enable(&self) -> Result {
        let sets = if self.cap.supports_command_set_selection() {
            CommandSets::All
        } else {
            CommandSets::Nvm
        };
        // CC.CSS may only change while disabled, so all of CC is written at once.
        self.mmio
            .write32(offset::CC, Cc::enabled_with(12, sets).raw())?;
        self.wait(self.ready_timeout_ms(), |status| {
            status.rdy() || status.cfs()
        })?;
        self.check_fatal()
    }

    /// Lets an enabling end that somebody before us has begun: CC.EN must not be cleared during it.
    ///
    /// A controller that never gets ready is none to wait for: only being gone is an error.
    fn settle(&self) -> Result {
        let cc = Cc::from_raw(self.mmio.read32(offset::CC)?);
        if !cc.en() {
            return Ok(());
        }
        match self.wait(self.ready_timeout_ms(), |status| {
            status.rdy() || status.cfs()
        }) {
            Err(error) if error != ETIMEDOUT => Err(error),
            _ => Ok(()),
        }
    }

    /// Brings the controller into its initial state, whatever somebody before us left it in.
    pub(crate) fn reset(&self) -> Result {
        self.settle()?;
        self.disable()
    }

    /// Disables the controller, and waits until it has let go of all queues.
    pub(crate) fn disable(&self) -> Result {
        if self.is_gone() {
            return Err(ENODEV);
        }
        let cc = Cc::from_raw(self.mmio.read32(offset::CC)?);
        if cc.en() {
            self.mmio.write32(offset::CC, cc.without_enable().raw())?;
        }
        self.wait(self.ready_timeout_ms(), |status| !status.rdy())
    }

    /// Tells the controller of an orderly shutdown, and waits at most `ms` until it is done.
    pub(crate) fn shutdown(&self, ms: u32) -> Result {
        let cc = Cc::from_raw(self.mmio.read32(offset::CC)?);
        self.mmio
            .write32(offset::CC, cc.with_shn(Shn::Normal).raw())?;
        self.wait(ms, |status| {
            status.cfs() || matches!(status.shst(), ShutdownStatus::Complete)
        })?;
        self.check_fatal()
    }
}
