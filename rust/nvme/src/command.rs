// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Submission queue entries (Base 4.1) and the commands that the driver sends.
//!
//! Relies on the caller to set the command identifier and, where data moves, the data pointer.

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::feature::FeatureId;
use crate::sgl::Descriptor;

/// Opcodes of the admin command set (Base 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminOpcode {
    /// Delete I/O Submission Queue.
    DeleteIoSq = 0x00,
    /// Create I/O Submission Queue.
    CreateIoSq = 0x01,
    /// Get Log Page.
    GetLogPage = 0x02,
    /// Delete I/O Completion Queue.
    DeleteIoCq = 0x04,
    /// Create I/O Completion Queue.
    CreateIoCq = 0x05,
    /// Identify.
    Identify = 0x06,
    /// Abort.
    Abort = 0x08,
    /// Set Features.
    SetFeatures = 0x09,
    /// Get Features.
    GetFeatures = 0x0a,
    /// Asynchronous Event Request.
    AsyncEventRequest = 0x0c,
    /// Doorbell Buffer Config.
    DoorbellBufferConfig = 0x7c,
}

/// Opcodes of the NVM Command Set (NVM 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NvmOpcode {
    /// Flush.
    Flush = 0x00,
    /// Write.
    Write = 0x01,
    /// Read.
    Read = 0x02,
    /// Write Uncorrectable.
    WriteUncorrectable = 0x04,
    /// Compare.
    Compare = 0x05,
    /// Write Zeroes.
    WriteZeroes = 0x08,
    /// Dataset Management.
    DatasetManagement = 0x09,
    /// Verify.
    Verify = 0x0c,
}

/// CNS: what an Identify command asks for (Base 5.1.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cns {
    /// Identify Namespace, NVM Command Set.
    Namespace = 0x00,
    /// Identify Controller.
    Controller = 0x01,
    /// Active Namespace ID list.
    ActiveNamespaceList = 0x02,
    /// Namespace Identification Descriptor list.
    NamespaceDescriptors = 0x03,
    /// I/O Command Set specific Identify Namespace.
    CsiNamespace = 0x05,
    /// I/O Command Set specific Identify Controller.
    CsiController = 0x06,
    /// I/O Command Set specific Active Namespace ID list.
    CsiActiveNamespaceList = 0x07,
    /// I/O Command Set Independent Identify Namespace.
    IndependentNamespace = 0x08,
    /// Allocated Namespace ID list.
    AllocatedNamespaceList = 0x10,
    /// Identify Namespace for an allocated namespace.
    AllocatedNamespace = 0x11,
    /// Controller list of those attached to a namespace.
    AttachedControllerList = 0x12,
    /// Controller list of the NVM subsystem.
    ControllerList = 0x13,
    /// I/O Command Set data structure.
    CommandSets = 0x1c,
}

/// NSID that means every namespace (Base 3.2.1.2).
pub const NSID_ALL: u32 = 0xffff_ffff;

/// CDW12 of Read and Write: Force Unit Access (NVM 3.2.6).
const FUA: u32 = 1 << 30;

/// CDW12 of Read and Write: Limited Retry (NVM 3.2.4).
const LIMITED_RETRY: u32 = 1 << 31;

/// CDW13 of Read: Dataset Management, Access Frequency, speculative read (NVM 3.2.4).
const SPECULATIVE_READ: u32 = 7;

/// CDW12 of Write Zeroes: Deallocate (NVM 3.2.8).
const DEAC: u32 = 1 << 25;

/// CDW11 of Dataset Management: Attribute - Deallocate (NVM 3.2.3).
const DEALLOCATE: u32 = 1 << 2;

/// PSDT in the flags (CDW0 bits 15:14): whether the data pointer is a descriptor.
const PSDT: u8 = 0xc0;

/// PSDT 01b: it is, and metadata, if any, is a contiguous buffer.
const PSDT_SGL: u8 = 0x40;

/// CDW11 of the queue creations: Physically Contiguous (PCIe 3.2).
const PHYSICALLY_CONTIGUOUS: u32 = 1;

/// CDW11 of Create I/O Completion Queue: Interrupts Enabled.
const INTERRUPTS_ENABLED: u32 = 1 << 1;

/// A submission queue entry: 64 bytes as they lie in memory (Base 4.1.1).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Command {
    /// OPC: opcode.
    pub opcode: u8,
    /// FUSE and PSDT; 0 for a single command with PRPs, 40h for one with an SGL.
    pub flags: u8,
    /// CID: command identifier.
    pub cid: U16,
    /// NSID: namespace identifier.
    pub nsid: U32,
    /// Command dword 2.
    pub cdw2: U32,
    /// Command dword 3.
    pub cdw3: U32,
    /// MPTR: metadata pointer.
    pub mptr: U64,
    /// PRP1: first entry of the data pointer.
    pub prp1: U64,
    /// PRP2: second entry of the data pointer.
    pub prp2: U64,
    /// Command dword 10.
    pub cdw10: U32,
    /// Command dword 11.
    pub cdw11: U32,
    /// Command dword 12.
    pub cdw12: U32,
    /// Command dword 13.
    pub cdw13: U32,
    /// Command dword 14.
    pub cdw14: U32,
    /// Command dword 15.
    pub cdw15: U32,
}

const _: () = {
    assert!(size_of::<Command>() == 64);
    assert!(offset_of!(Command, cid) == 2);
    assert!(offset_of!(Command, nsid) == 4);
    assert!(offset_of!(Command, mptr) == 16);
    assert!(offset_of!(Command, prp1) == 24);
    assert!(offset_of!(Command, prp2) == 32);
    assert!(offset_of!(Command, cdw10) == 40);
    assert!(offset_of!(Command, cdw15) == 60);
};

impl Command {
    /// An I/O command without data.
    #[inline]
    fn io(opcode: NvmOpcode, nsid: u32) -> Self {
        Self {
            opcode: opcode as u8,
            nsid: U32::new(nsid),
            ..Self::default()
        }
    }

    /// An admin command with its first two specific dwords.
    #[inline]
    fn admin(opcode: AdminOpcode, cdw10: u32, cdw11: u32) -> Self {
        Self {
            opcode: opcode as u8,
            cdw10: U32::new(cdw10),
            cdw11: U32::new(cdw11),
            ..Self::default()
        }
    }

    #[inline]
    fn with_range(mut self, slba: u64, nlb0: u16, flags: u32) -> Self {
        self.cdw10 = U32::new((slba & 0xffff_ffff) as u32);
        self.cdw11 = U32::new((slba >> 32) as u32);
        self.cdw12 = U32::new(u32::from(nlb0) | flags);
        self
    }

    /// Read (NVM 3.2.4) of `nlb0 + 1` logical blocks from `slba` on.
    #[inline]
    pub fn read(nsid: u32, slba: u64, nlb0: u16) -> Self {
        Self::io(NvmOpcode::Read, nsid).with_range(slba, nlb0, 0)
    }

    /// Write (NVM 3.2.6) of `nlb0 + 1` logical blocks from `slba` on; with `fua` it completes
    /// only when the data is on the medium.
    #[inline]
    pub fn write(nsid: u32, slba: u64, nlb0: u16, fua: bool) -> Self {
        let flags = if fua { FUA } else { 0 };
        Self::io(NvmOpcode::Write, nsid).with_range(slba, nlb0, flags)
    }

    /// A read or write that is not worth many retries of the controller's: Limited Retry (NVM 3.2.4).
    #[inline]
    pub fn with_limited_retry(mut self) -> Self {
        self.cdw12 = U32::new(self.cdw12.get() | LIMITED_RETRY);
        self
    }

    /// A read of what nobody waits for yet: a speculative one, by its Access Frequency (NVM 3.2.4).
    #[inline]
    pub fn with_speculation(mut self) -> Self {
        self.cdw13 = U32::new(self.cdw13.get() | SPECULATIVE_READ);
        self
    }

    /// Write Zeroes (NVM 3.2.8) of `nlb0 + 1` logical blocks from `slba` on; with `deac` it asks
    /// for them to be deallocated, as [`crate::dsm::may_deallocate_zeroes`] allows.
    #[inline]
    pub fn write_zeroes(nsid: u32, slba: u64, nlb0: u16, deac: bool, fua: bool) -> Self {
        let deac = if deac { DEAC } else { 0 };
        let fua = if fua { FUA } else { 0 };
        Self::io(NvmOpcode::WriteZeroes, nsid).with_range(slba, nlb0, deac | fua)
    }

    /// Dataset Management (NVM 3.2.3) that deallocates `ranges` (1 to 256) ranges, which
    /// [`crate::dsm::encode`] wrote to where the data pointer leads.
    #[inline]
    pub fn deallocate(nsid: u32, ranges: u16) -> Self {
        let nr0 = ranges.clamp(1, crate::dsm::MAX_RANGES).wrapping_sub(1);
        Self {
            cdw10: U32::new(u32::from(nr0)),
            cdw11: U32::new(DEALLOCATE),
            ..Self::io(NvmOpcode::DatasetManagement, nsid)
        }
    }

    /// Flush (Base 7.2) of a namespace's volatile write cache.
    #[inline]
    pub fn flush(nsid: u32) -> Self {
        Self::io(NvmOpcode::Flush, nsid)
    }

    /// Identify (Base 5.1.13): 4096 bytes about `nsid` or the controller.
    #[inline]
    pub fn identify(nsid: u32, cns: Cns, cntid: u16) -> Self {
        let cdw10 = cns as u32 | (u32::from(cntid) << 16);
        Self {
            nsid: U32::new(nsid),
            ..Self::admin(AdminOpcode::Identify, cdw10, 0)
        }
    }

    /// Identify for one I/O command set: `csi` is the Command Set Identifier.
    #[inline]
    pub fn identify_csi(nsid: u32, cns: Cns, csi: u8) -> Self {
        Self {
            cdw11: U32::new(u32::from(csi) << 24),
            ..Self::identify(nsid, cns, 0)
        }
    }

    /// Set Features (Base 5.1.25), not saved over a power cycle.
    #[inline]
    pub fn set_features(fid: FeatureId, cdw11: u32) -> Self {
        Self::admin(AdminOpcode::SetFeatures, fid as u32, cdw11)
    }

    /// Get Features (Base 5.1.11): the current value.
    #[inline]
    pub fn get_features(fid: FeatureId) -> Self {
        Self::admin(AdminOpcode::GetFeatures, fid as u32, 0)
    }

    /// Create I/O Completion Queue (PCIe 3.2.1) of `entries` (2 to 65535) at bus address
    /// `prp1`, contiguous, interrupting on vector `iv`, or never.
    #[inline]
    pub fn create_io_cq(qid: u16, entries: u16, prp1: u64, iv: Option<u16>) -> Self {
        let interrupt = match iv {
            Some(vector) => (u32::from(vector) << 16) | INTERRUPTS_ENABLED,
            None => 0,
        };
        Self::admin(
            AdminOpcode::CreateIoCq,
            queue_dword(qid, entries),
            interrupt | PHYSICALLY_CONTIGUOUS,
        )
        .with_data(prp1, 0)
    }

    /// Create I/O Submission Queue (PCIe 3.2.2) of `entries` (2 to 65535) at bus address
    /// `prp1`, contiguous, which completes into queue `cqid`.
    #[inline]
    pub fn create_io_sq(qid: u16, entries: u16, prp1: u64, cqid: u16) -> Self {
        Self::admin(
            AdminOpcode::CreateIoSq,
            queue_dword(qid, entries),
            (u32::from(cqid) << 16) | PHYSICALLY_CONTIGUOUS,
        )
        .with_data(prp1, 0)
    }

    /// Delete I/O Submission Queue (PCIe 3.2.4).
    #[inline]
    pub fn delete_io_sq(qid: u16) -> Self {
        Self::admin(AdminOpcode::DeleteIoSq, u32::from(qid), 0)
    }

    /// Delete I/O Completion Queue (PCIe 3.2.3), after its submission queues.
    #[inline]
    pub fn delete_io_cq(qid: u16) -> Self {
        Self::admin(AdminOpcode::DeleteIoCq, u32::from(qid), 0)
    }

    /// Abort (Base 5.1.1) of the command `cid` on submission queue `sqid`.
    #[inline]
    pub fn abort(sqid: u16, cid: u16) -> Self {
        let cdw10 = u32::from(sqid) | (u32::from(cid) << 16);
        Self::admin(AdminOpcode::Abort, cdw10, 0)
    }

    /// Get Log Page (Base 5.1.12): `dwords` (at least 1) of page `lid` from byte `offset` on,
    /// which is a multiple of 4. Reading clears the page's event unless `retain`.
    #[inline]
    pub fn get_log_page(nsid: u32, lid: u8, dwords: u32, offset: u64, retain: bool) -> Self {
        let numd0 = dwords.saturating_sub(1);
        let cdw10 = u32::from(lid) | (u32::from(retain) << 15) | ((numd0 & 0xffff) << 16);
        Self {
            nsid: U32::new(nsid),
            cdw12: U32::new((offset & 0xffff_ffff) as u32),
            cdw13: U32::new((offset >> 32) as u32),
            ..Self::admin(AdminOpcode::GetLogPage, cdw10, numd0 >> 16)
        }
    }

    /// Asynchronous Event Request (Base 5.1.2).
    #[inline]
    pub fn async_event_request() -> Self {
        Self::admin(AdminOpcode::AsyncEventRequest, 0, 0)
    }

    /// The same with its command identifier.
    #[inline]
    pub fn with_cid(mut self, cid: u16) -> Self {
        self.cid = U16::new(cid);
        self
    }

    /// The same with its data pointer; both entries are always written, so that none is stale.
    #[inline]
    pub fn with_data(mut self, prp1: u64, prp2: u64) -> Self {
        self.flags &= !PSDT;
        self.prp1 = U64::new(prp1);
        self.prp2 = U64::new(prp2);
        self
    }

    /// The same with its data described by a scatter gather list, of which `sgl1` is the first
    /// descriptor (Base 4.1.1, 4.3.2). I/O commands only.
    #[inline]
    pub fn with_sgl(mut self, sgl1: Descriptor) -> Self {
        let [addr, rest] = sgl1.to_words();
        self.flags = (self.flags & !PSDT) | PSDT_SGL;
        self.prp1 = U64::new(addr);
        self.prp2 = U64::new(rest);
        self
    }

    /// The entry as eight words to be stored as they are, each by one volatile store.
    #[inline]
    pub fn to_words(&self) -> [u64; 8] {
        zerocopy::transmute!(*self)
    }

    /// The entry that eight words make up: what a controller does with [`Command::to_words`].
    #[inline]
    pub fn from_words(words: [u64; 8]) -> Self {
        zerocopy::transmute!(words)
    }
}

/// CDW10 of the queue creations: the size counts from 0.
#[inline]
fn queue_dword(qid: u16, entries: u16) -> u32 {
    u32::from(qid) | (u32::from(entries.saturating_sub(1)) << 16)
}
