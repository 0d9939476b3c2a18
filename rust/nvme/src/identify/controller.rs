// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The Identify Controller data structure (Base 5.1.13.2.1).

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32};
use zerocopy::FromBytes as _;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Text;
use crate::limits::transfer_limit;
use crate::register::Vs;

/// Bounds of the time that a shutdown may take, in milliseconds.
const SHUTDOWN_MS: (u32, u32) = (5_000, 60_000);

/// Identify Controller: 4096 bytes as they lie in memory. Field names are the specification's.
#[allow(missing_docs)]
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IdentifyController {
    pub vid: U16,
    pub ssvid: U16,
    pub sn: [u8; 20],
    pub mn: [u8; 40],
    pub fr: [u8; 8],
    pub rab: u8,
    pub ieee: [u8; 3],
    pub cmic: u8,
    pub mdts: u8,
    pub cntlid: U16,
    pub ver: U32,
    /// In microseconds.
    pub rtd3r: U32,
    /// In microseconds.
    pub rtd3e: U32,
    pub oaes: U32,
    pub ctratt: U32,
    pub rrls: U16,
    pub bpcap: u8,
    reserved_103: u8,
    pub nssl: U32,
    reserved_108: [u8; 2],
    pub plsi: u8,
    pub cntrltype: u8,
    pub fguid: [u8; 16],
    /// Command retry delays 1 to 3, in units of 100 ms.
    pub crdt: [U16; 3],
    pub crcap: u8,
    reserved_135: [u8; 118],
    pub nvmsr: u8,
    pub vwci: u8,
    pub mec: u8,
    pub oacs: U16,
    pub acl: u8,
    pub aerl: u8,
    pub frmw: u8,
    pub lpa: u8,
    pub elpe: u8,
    pub npss: u8,
    pub avscc: u8,
    pub apsta: u8,
    /// In kelvins.
    pub wctemp: U16,
    /// In kelvins.
    pub cctemp: U16,
    /// In units of 100 ms.
    pub mtfa: U16,
    /// In units of 4 KiB.
    pub hmpre: U32,
    /// In units of 4 KiB.
    pub hmmin: U32,
    pub tnvmcap: [u8; 16],
    pub unvmcap: [u8; 16],
    pub rpmbs: U32,
    pub edstt: U16,
    pub dsto: u8,
    pub fwug: u8,
    pub kas: U16,
    pub hctma: U16,
    pub mntmt: U16,
    pub mxtmt: U16,
    pub sanicap: U32,
    /// In units of 4 KiB.
    pub hmminds: U32,
    pub hmmaxd: U16,
    pub nsetidmax: U16,
    pub endgidmax: U16,
    pub anatt: u8,
    pub anacap: u8,
    pub anagrpmax: U32,
    pub nanagrpid: U32,
    pub pels: U32,
    pub domainid: U16,
    reserved_358: [u8; 154],
    pub sqes: u8,
    pub cqes: u8,
    pub maxcmd: U16,
    pub nn: U32,
    pub oncs: U16,
    pub fuses: U16,
    pub fna: u8,
    pub vwc: u8,
    /// In logical blocks, 0's based.
    pub awun: U16,
    /// In logical blocks, 0's based.
    pub awupf: U16,
    pub icsvscc: u8,
    pub nwpc: u8,
    pub acwu: U16,
    pub cdfs: U16,
    pub sgls: U32,
    pub mnan: U32,
    reserved_544: [u8; 224],
    pub subnqn: [u8; 256],
    reserved_1024: [u8; 1024],
    pub psd: [[u8; 32]; 32],
    pub vendor_specific: [u8; 1024],
}

const _: () = {
    assert!(size_of::<IdentifyController>() == super::IDENTIFY_BYTES);
    assert!(offset_of!(IdentifyController, sn) == 4);
    assert!(offset_of!(IdentifyController, mn) == 24);
    assert!(offset_of!(IdentifyController, fr) == 64);
    assert!(offset_of!(IdentifyController, cmic) == 76);
    assert!(offset_of!(IdentifyController, mdts) == 77);
    assert!(offset_of!(IdentifyController, cntlid) == 78);
    assert!(offset_of!(IdentifyController, ver) == 80);
    assert!(offset_of!(IdentifyController, rtd3e) == 88);
    assert!(offset_of!(IdentifyController, oaes) == 92);
    assert!(offset_of!(IdentifyController, ctratt) == 96);
    assert!(offset_of!(IdentifyController, nssl) == 104);
    assert!(offset_of!(IdentifyController, cntrltype) == 111);
    assert!(offset_of!(IdentifyController, crdt) == 128);
    assert!(offset_of!(IdentifyController, nvmsr) == 253);
    assert!(offset_of!(IdentifyController, oacs) == 256);
    assert!(offset_of!(IdentifyController, aerl) == 259);
    assert!(offset_of!(IdentifyController, npss) == 263);
    assert!(offset_of!(IdentifyController, wctemp) == 266);
    assert!(offset_of!(IdentifyController, mtfa) == 270);
    assert!(offset_of!(IdentifyController, hmpre) == 272);
    assert!(offset_of!(IdentifyController, tnvmcap) == 280);
    assert!(offset_of!(IdentifyController, rpmbs) == 312);
    assert!(offset_of!(IdentifyController, kas) == 320);
    assert!(offset_of!(IdentifyController, sanicap) == 328);
    assert!(offset_of!(IdentifyController, hmminds) == 332);
    assert!(offset_of!(IdentifyController, anacap) == 343);
    assert!(offset_of!(IdentifyController, domainid) == 356);
    assert!(offset_of!(IdentifyController, sqes) == 512);
    assert!(offset_of!(IdentifyController, nn) == 516);
    assert!(offset_of!(IdentifyController, oncs) == 520);
    assert!(offset_of!(IdentifyController, vwc) == 525);
    assert!(offset_of!(IdentifyController, awupf) == 528);
    assert!(offset_of!(IdentifyController, sgls) == 536);
    assert!(offset_of!(IdentifyController, mnan) == 540);
    assert!(offset_of!(IdentifyController, subnqn) == 768);
    assert!(offset_of!(IdentifyController, psd) == 2048);
    assert!(offset_of!(IdentifyController, vendor_specific) == 3072);
};

impl IdentifyController {
    /// Looks at the first 4096 bytes of a private copy, in place; `None` if it is shorter. Any
    /// bytes make a structure: its values are claims.
    pub fn ref_from(bytes: &[u8]) -> Option<&Self> {
        Self::ref_from_prefix(bytes).ok().map(|(this, _)| this)
    }

    /// SN: serial number.
    pub fn serial(&self) -> Text<20> {
        Text::new(&self.sn)
    }

    /// MN: model number.
    pub fn model(&self) -> Text<40> {
        Text::new(&self.mn)
    }

    /// FR: firmware revision.
    pub fn firmware(&self) -> Text<8> {
        Text::new(&self.fr)
    }

    /// SUBNQN: NVM Subsystem NVMe Qualified Name.
    pub fn subnqn(&self) -> Text<256> {
        Text::new(&self.subnqn)
    }

    /// VER: the version of the specification that the controller follows.
    pub fn version(&self) -> Vs {
        Vs::from_raw(self.ver.get())
    }

    /// ONCS bit 2 (NVMDSMSV): whether there is Dataset Management. If not, there may still be one
    /// with limits ([`IdentifyControllerNvm`](super::IdentifyControllerNvm)).
    pub fn dataset_management(&self) -> bool {
        self.oncs.get() & 0x4 != 0
    }

    /// ONCS bit 3 (NVMWZSV): whether there is Write Zeroes. If not, there may still be one with a
    /// limit.
    pub fn write_zeroes(&self) -> bool {
        self.oncs.get() & 0x8 != 0
    }

    /// ONCS bit 11 (MAXWZD): whether WZDSL limits a Write Zeroes that deallocates.
    pub fn deallocating_zeroes_have_a_limit(&self) -> bool {
        self.oncs.get() & 0x800 != 0
    }

    /// CTRATT bit 15 (ELBAS): whether there is Identify Namespace for the NVM Command Set, with
    /// extended LBA formats.
    pub fn extended_lba_formats(&self) -> bool {
        self.ctratt.get() & 0x8000 != 0
    }

    /// VWC bit 0: whether there is a volatile write cache, so that flushes and FUA matter.
    pub fn vwc_present(&self) -> bool {
        self.vwc & 1 != 0
    }

    /// MDTS: the largest transfer in bytes, or `None` if the controller states no limit.
    /// `min_page_size` is [`Cap::min_page_size`](crate::register::Cap::min_page_size).
    pub fn max_transfer_bytes(&self, min_page_size: u64) -> Option<u32> {
        (self.mdts != 0).then(|| transfer_limit(self.mdts, min_page_size))
    }

    /// How long to wait for a shutdown in milliseconds: RTD3E, within 5 to 60 seconds.
    pub fn shutdown_timeout_ms(&self) -> u32 {
        let (least, most) = SHUTDOWN_MS;
        self.rtd3e.get().div_ceil(1000).clamp(least, most)
    }
}
