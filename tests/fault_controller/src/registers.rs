// SPDX-License-Identifier: MIT

//! The controller's register file (Base 3.1.4): what is read where, and which bits can be written.
//!
//! What a write sets off is decided by the controller; here are only the values.

use nvme_proto::register::offset;

/// Bits of CSTS (Base 3.1.4.6).
pub mod csts {
    /// Shutdown Status.
    pub const SHST: u32 = 3 << 2;
    /// NVM Subsystem Reset Occurred: writing 1 clears it, a controller reset does not.
    pub const NSSRO: u32 = 1 << 4;
    /// Processing Paused.
    pub const PP: u32 = 1 << 5;
}

/// Bytes of the registers in front of the doorbells.
pub const REGISTER_BYTES: usize = offset::DOORBELLS;

/// The registers' values.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Registers {
    pub cap: u64,
    pub vs: u32,
    pub intms: u32,
    pub cc: u32,
    pub csts: u32,
    pub nssr: u32,
    pub aqa: u32,
    pub asq: u64,
    pub acq: u64,
    pub cmbloc: u32,
    pub cmbsz: u32,
    pub bpinfo: u32,
    pub cmbmsc: u64,
    pub cmbsts: u32,
    pub crto: u32,
}

impl Registers {
    /// Where each register is, with its value and bytes.
    fn values(&self) -> [(usize, u64, usize); 16] {
        [
            (offset::CAP, self.cap, 8),
            (offset::VS, self.vs.into(), 4),
            (offset::INTMS, self.intms.into(), 4),
            (offset::INTMC, self.intms.into(), 4),
            (offset::CC, self.cc.into(), 4),
            (offset::CSTS, self.csts.into(), 4),
            (offset::NSSR, 0, 4),
            (offset::AQA, self.aqa.into(), 4),
            (offset::ASQ, self.asq, 8),
            (offset::ACQ, self.acq, 8),
            (offset::CMBLOC, self.cmbloc.into(), 4),
            (offset::CMBSZ, self.cmbsz.into(), 4),
            (offset::BPINFO, self.bpinfo.into(), 4),
            (offset::CMBMSC, self.cmbmsc, 8),
            (offset::CMBSTS, self.cmbsts.into(), 4),
            (offset::CRTO, self.crto.into(), 4),
        ]
    }

    /// Fills `bytes` with what lies from `at` on; what is no register reads as zeros.
    pub fn read(&self, at: usize, bytes: &mut [u8]) {
        bytes.fill(0);
        for (start, value, size) in self.values() {
            for (index, byte) in value.to_le_bytes().into_iter().take(size).enumerate() {
                if let Some(place) = (start + index)
                    .checked_sub(at)
                    .and_then(|place| bytes.get_mut(place))
                {
                    *place = byte;
                }
            }
        }
    }

    /// Puts a write into the registers that keep what is written. Those that act, or that cannot be
    /// written, are left to the caller.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        let mut value = [0; 8];
        for (place, byte) in value.iter_mut().zip(bytes) {
            *place = *byte;
        }
        let value = u64::from_le_bytes(value);
        let (low, wide) = ((value & 0xffff_ffff) as u32, bytes.len() >= 8);
        match at {
            offset::INTMS => self.intms |= low,
            offset::INTMC => self.intms &= !low,
            offset::CC => self.cc = low,
            offset::CSTS => self.csts &= !(low & csts::NSSRO),
            offset::AQA => {
                self.aqa = low & 0x0fff_0fff;
                if wide {
                    self.asq = merged(self.asq, value >> 32, false, false);
                }
            }
            offset::ASQ => self.asq = merged(self.asq, value, false, wide),
            0x2c => self.asq = merged(self.asq, value, true, false),
            offset::ACQ => self.acq = merged(self.acq, value, false, wide),
            0x34 => self.acq = merged(self.acq, value, true, false),
            offset::CMBMSC => self.cmbmsc = merged(self.cmbmsc, value, false, wide),
            0x54 => self.cmbmsc = merged(self.cmbmsc, value, true, false),
            _ => {}
        }
    }
}

/// A register of 64 bits after a write of its low half, its high half, or all of it.
fn merged(old: u64, value: u64, high: bool, wide: bool) -> u64 {
    match (wide, high) {
        (true, _) => value,
        (false, false) => (old & !0xffff_ffff) | (value & 0xffff_ffff),
        (false, true) => (old & 0xffff_ffff) | (value << 32),
    }
}
