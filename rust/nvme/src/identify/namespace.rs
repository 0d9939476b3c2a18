// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The Identify Namespace data structure (NVM 4.1.5.1), and what disk it makes.

use core::fmt;
use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::FromBytes as _;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::IdentifyNamespaceNvm;
use crate::protection::{ExtendedLbaFormat, Metadata, MetadataRefused, DPS_TYPE};
use crate::register::Vs;

/// log2 of the kernel's sector.
const SECTOR_SHIFT: u8 = 9;

/// log2 of the largest logical block that is taken: 64 KiB.
const MAX_LBA_SHIFT: u8 = 16;

/// The kernel counts a disk's bytes in a signed 64-bit number.
const MAX_SECTORS: u64 = (i64::MAX as u64) >> SECTOR_SHIFT;

/// A logical block format (NVM 4.1.5.1, LBAF).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct LbaFormat {
    /// MS: bytes of metadata with each logical block.
    pub ms: U16,
    /// LBADS: log2 of the logical block.
    pub lbads: u8,
    /// RP: relative performance.
    pub rp: u8,
}

/// Identify Namespace: 4096 bytes as they lie in memory. Field names are the specification's.
#[allow(missing_docs)]
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IdentifyNamespace {
    /// In logical blocks.
    pub nsze: U64,
    /// In logical blocks.
    pub ncap: U64,
    /// In logical blocks.
    pub nuse: U64,
    pub nsfeat: u8,
    /// 0's based.
    pub nlbaf: u8,
    pub flbas: u8,
    pub mc: u8,
    pub dpc: u8,
    pub dps: u8,
    pub nmic: u8,
    pub rescap: u8,
    pub fpi: u8,
    pub dlfeat: u8,
    pub nawun: U16,
    pub nawupf: U16,
    pub nacwu: U16,
    pub nabsn: U16,
    pub nabo: U16,
    pub nabspf: U16,
    pub noiob: U16,
    pub nvmcap: [u8; 16],
    pub npwg: U16,
    pub npwa: U16,
    pub npdg: U16,
    pub npda: U16,
    pub nows: U16,
    pub mssrl: U16,
    pub mcl: U32,
    pub msrc: u8,
    pub kpios: u8,
    pub nulbaf: u8,
    reserved_83: u8,
    pub kpiodaag: U32,
    reserved_88: [u8; 4],
    pub anagrpid: U32,
    reserved_96: [u8; 3],
    pub nsattr: u8,
    pub nvmsetid: U16,
    pub endgid: U16,
    pub nguid: [u8; 16],
    pub eui64: [u8; 8],
    pub lbaf: [LbaFormat; 64],
    pub vendor_specific: [u8; 3712],
}

const _: () = {
    assert!(size_of::<LbaFormat>() == 4);
    assert!(size_of::<IdentifyNamespace>() == super::IDENTIFY_BYTES);
    assert!(offset_of!(IdentifyNamespace, nsfeat) == 24);
    assert!(offset_of!(IdentifyNamespace, flbas) == 26);
    assert!(offset_of!(IdentifyNamespace, dps) == 29);
    assert!(offset_of!(IdentifyNamespace, nmic) == 30);
    assert!(offset_of!(IdentifyNamespace, dlfeat) == 33);
    assert!(offset_of!(IdentifyNamespace, nawupf) == 36);
    assert!(offset_of!(IdentifyNamespace, noiob) == 46);
    assert!(offset_of!(IdentifyNamespace, nvmcap) == 48);
    assert!(offset_of!(IdentifyNamespace, npwg) == 64);
    assert!(offset_of!(IdentifyNamespace, nows) == 72);
    assert!(offset_of!(IdentifyNamespace, mcl) == 76);
    assert!(offset_of!(IdentifyNamespace, nulbaf) == 82);
    assert!(offset_of!(IdentifyNamespace, anagrpid) == 92);
    assert!(offset_of!(IdentifyNamespace, nsattr) == 99);
    assert!(offset_of!(IdentifyNamespace, endgid) == 102);
    assert!(offset_of!(IdentifyNamespace, nguid) == 104);
    assert!(offset_of!(IdentifyNamespace, eui64) == 120);
    assert!(offset_of!(IdentifyNamespace, lbaf) == 128);
    assert!(offset_of!(IdentifyNamespace, vendor_specific) == 384);
};

/// What disk a namespace makes, but for its metadata ([`IdentifyNamespace::metadata`]). All values
/// are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceFormat {
    /// log2 of the logical block: 9 to 16.
    pub lba_shift: u8,
    /// Size in logical blocks; not 0.
    pub blocks: u64,
    /// Size in sectors of 512 bytes.
    pub capacity_sectors: u64,
    /// NSATTR bit 0: whether the namespace is write protected now.
    pub write_protected: bool,
}

impl NamespaceFormat {
    /// The logical block in bytes.
    pub const fn logical_block_size(&self) -> u32 {
        1u32.wrapping_shl(self.lba_shift as u32)
    }
}

/// Why a namespace makes no disk. The others of its controller live on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceRefused {
    /// NSZE or NCAP is 0.
    Inactive,
    /// FLBAS names a format that NLBAF says does not exist.
    FormatIndex {
        /// The index.
        index: u8,
        /// The highest one.
        last: u8,
    },
    /// LBADS is below 9 or above 16.
    BlockSize(u8),
    /// NSZE is more than a disk can have.
    Capacity {
        /// NSZE.
        blocks: u64,
        /// LBADS.
        lba_shift: u8,
    },
    /// Its metadata cannot be dealt with.
    Metadata(MetadataRefused),
}

impl fmt::Display for NamespaceRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inactive => f.write_str("has no capacity: it is not active"),
            Self::FormatIndex { index, last } => {
                write!(f, "uses format {index}, but the last one is {last}")
            }
            Self::BlockSize(shift) => write!(
                f,
                "has logical blocks of 2^{shift} bytes; 2^9 to 2^16 are supported"
            ),
            Self::Capacity { blocks, lba_shift } => write!(
                f,
                "claims {blocks} blocks of 2^{lba_shift} bytes, more than a disk can have"
            ),
            Self::Metadata(refused) => fmt::Display::fmt(refused, f),
        }
    }
}

impl IdentifyNamespace {
    /// Looks at the first 4096 bytes of a private copy, in place; `None` if it is shorter. Any
    /// bytes make a structure: its values are claims.
    pub fn ref_from(bytes: &[u8]) -> Option<&Self> {
        Self::ref_from_prefix(bytes).ok().map(|(this, _)| this)
    }

    /// What disk this makes; what its queue can take is for
    /// [`queue_limits::decide`](crate::queue_limits::decide).
    pub fn format(&self) -> Result<NamespaceFormat, NamespaceRefused> {
        let blocks = self.nsze.get();
        if blocks == 0 || self.ncap.get() == 0 {
            return Err(NamespaceRefused::Inactive);
        }
        let lbaf = self.lba_format()?;
        let lba_shift = lbaf.lbads;
        if !(SECTOR_SHIFT..=MAX_LBA_SHIFT).contains(&lba_shift) {
            return Err(NamespaceRefused::BlockSize(lba_shift));
        }
        let sectors_per_block = 1u64.wrapping_shl(u32::from(lba_shift.wrapping_sub(SECTOR_SHIFT)));
        let capacity_sectors = blocks
            .checked_mul(sectors_per_block)
            .filter(|&sectors| sectors <= MAX_SECTORS)
            .ok_or(NamespaceRefused::Capacity { blocks, lba_shift })?;
        Ok(NamespaceFormat {
            lba_shift,
            blocks,
            capacity_sectors,
            write_protected: self.nsattr & 1 != 0,
        })
    }

    /// What the metadata of its format means to the host. `nvm` is the same namespace's Identify
    /// data for the NVM Command Set, if the controller gave it, which it must if it has
    /// `extended` LBA formats (ELBAS); if it has none, a tuple has a 16-bit guard.
    pub fn metadata(
        &self,
        nvm: Option<&IdentifyNamespaceNvm>,
        extended: bool,
    ) -> Result<Metadata, NamespaceRefused> {
        if extended && nvm.is_none() && self.dps & DPS_TYPE != 0 {
            return Err(NamespaceRefused::Metadata(MetadataRefused::Unsaid));
        }
        let (index, lbaf) = self.format_in_use()?;
        let extended =
            nvm.and_then(|nvm| Some(ExtendedLbaFormat::new(nvm.elbaf_of(index)?, nvm.pic)));
        Metadata::decide(lbaf.ms.get(), self.flbas, self.dps, extended)
            .map_err(NamespaceRefused::Metadata)
    }

    /// The format in use: FLBAS holds the index in two parts, of which the upper one counts
    /// only with more than 16 formats.
    fn lba_format(&self) -> Result<LbaFormat, NamespaceRefused> {
        self.format_in_use().map(|(_, lbaf)| lbaf)
    }

    /// The same with its index, by which other structures have more about the format.
    pub fn format_in_use(&self) -> Result<(u8, LbaFormat), NamespaceRefused> {
        let last = self.nlbaf.saturating_add(self.nulbaf);
        let upper = if last > 15 {
            (self.flbas >> 5) & 0x3
        } else {
            0
        };
        let index = self.flbas & 0xf | (upper << 4);
        match self.lbaf.get(usize::from(index)) {
            Some(lbaf) if index <= last => Ok((index, *lbaf)),
            _ => Err(NamespaceRefused::FormatIndex { index, last }),
        }
    }

    /// OPTPERF, bits 5:4 of NSFEAT: which of the preferred sizes are defined. Either bit has
    /// NPWG, NPWA, NPDA and NOWS; bit 0 adds NPDG, bit 1 the larger NPDGL and NPDAL. Before
    /// version 2.1 there was only the lower bit.
    pub fn optperf(&self, version: Vs) -> u8 {
        let defined = if version.at_least(2, 1) { 0x3 } else { 0x1 };
        (self.nsfeat >> 4) & defined
    }

    /// NAWUPF, if NSFEAT bit 1 says that the namespace has its own. 0 refers to the controller's.
    pub fn own_atomic_unit(&self) -> Option<u16> {
        let nawupf = self.nawupf.get();
        (self.nsfeat & 0x2 != 0 && nawupf != 0).then_some(nawupf)
    }
}
