// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Metadata and end-to-end data protection (NVM 5.3): what a namespace's format means for the
//! host, and the fields that a command carries for it.
//!
//! Relies on the block layer (or the controller) to make and check the tuples themselves. What is
//! in force is told by FLBAS and DPS; MC and DPC, which tell what could be chosen at a format, are
//! not asked: a controller that contradicts itself there still does what it is formatted to do.

use core::fmt;

use zerocopy::little_endian::U32;

use crate::command::Command;
use crate::zoned::ZonedOpcode;

/// CTRATT bit 15 (Base 5.1.13.2.1): whether extended LBA formats exist (ELBAS), so that ELBAF
/// tells the guard. The controller honours them only once Host Behavior Support has LBAFEE set.
pub const CTRATT_ELBAS: u32 = 1 << 15;

/// FLBAS bit 4: metadata follows each block's data in the same buffer.
const FLBAS_EXTENDED: u8 = 1 << 4;

/// DPS bits 2:0: the type of protection.
pub(crate) const DPS_TYPE: u8 = 0x7;

/// DPS bit 3: the tuple comes first in the metadata, not last.
const DPS_FIRST: u8 = 1 << 3;

/// PIC bit 3: whether QPIF counts (QPIFS).
const PIC_QUALIFIED: u8 = 1 << 3;

/// PIF that defers to QPIF.
const PIF_QUALIFIED: u8 = 3;

/// CDW12: Protection Information Action (PRACT).
const PRACT: u32 = 1 << 29;

/// CDW12: Protection Information Check (PRCHK), one bit for each part of the tuple.
const CHECK_GUARD: u32 = 1 << 28;
const CHECK_APPLICATION: u32 = 1 << 27;
const CHECK_REFERENCE: u32 = 1 << 26;

/// CDW12 of Zone Append: Protection Information Remap (PIREMAP).
const REMAP: u32 = 1 << 25;

/// The application tag that turns checks off (NVM 5.3.3).
pub const APPLICATION_ESCAPE: u16 = 0xffff;

/// The type of protection in force (NVM 5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PiType {
    /// The reference tag is the logical block's address.
    One = 1,
    /// The reference tag counts up from what the command says.
    Two = 2,
    /// The reference tag means nothing to the controller, and is never checked.
    Three = 3,
}

/// The checksum in a tuple (NVM 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// 16b Guard: the CRC of T10 DIF, in a tuple of 8 bytes.
    Crc16,
    /// 64b Guard: NVMe's own CRC-64, in a tuple of 16 bytes.
    Crc64,
}

impl Guard {
    /// Bytes of a tuple with this guard.
    pub const fn tuple_size(self) -> u8 {
        match self {
            Self::Crc16 => 8,
            Self::Crc64 => 16,
        }
    }

    /// The bits of a reference tag, where no storage tag takes any: 32 or 48.
    pub const fn reference_mask(self) -> u64 {
        match self {
            Self::Crc16 => 0xffff_ffff,
            Self::Crc64 => 0xffff_ffff_ffff,
        }
    }
}

/// ELBAF: what Identify Namespace for the NVM command set (CNS 05h, CSI 00h) adds to a format
/// (NVM 4.1.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedLbaFormat {
    elbaf: u32,
    qualified: bool,
}

impl ExtendedLbaFormat {
    /// Takes the entry of the format in use, and the PIC of the same structure.
    pub const fn new(elbaf: u32, pic: u8) -> Self {
        Self {
            elbaf,
            qualified: pic & PIC_QUALIFIED != 0,
        }
    }

    /// STS: how many bits of the reference tag's space are a storage tag.
    pub const fn storage_tag_bits(self) -> u8 {
        (self.elbaf & 0x7f) as u8
    }

    /// PIF, or QPIF where it defers to that: 0 for a 16-bit guard, 1 for 32, 2 for 64 bits.
    pub const fn guard_format(self) -> u8 {
        match ((self.elbaf >> 7) & 0x3) as u8 {
            PIF_QUALIFIED if self.qualified => ((self.elbaf >> 9) & 0xf) as u8,
            pif => pif,
        }
    }
}

/// Protection information that is in force and that the host can deal with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectionInfo {
    /// The type.
    pub kind: PiType,
    /// The checksum.
    pub guard: Guard,
    /// Bytes of metadata with each logical block; at least a tuple.
    pub metadata_size: u8,
    /// Where in these the tuple begins. A tuple that is last also guards what is before it.
    pub offset: u8,
}

impl ProtectionInfo {
    /// Whether tuples have a reference tag that follows the block's address. Linux writes type 2
    /// as type 1, as nothing else could read it back.
    pub const fn has_reference_tag(&self) -> bool {
        !matches!(self.kind, PiType::Three)
    }

    /// Whether the controller can make and strip the tuples by itself (PRACT), so that data
    /// moves without metadata: only if the metadata is nothing but the tuple.
    pub const fn can_be_stripped(&self) -> bool {
        self.metadata_size == self.guard.tuple_size()
    }

    /// Bytes of a tuple that are free for the application: the application tag, and without a
    /// checked reference tag that as well.
    pub const fn tag_size(&self) -> u8 {
        match (self.has_reference_tag(), self.guard) {
            (true, _) => 2,
            (false, Guard::Crc16) => 6,
            (false, Guard::Crc64) => 8,
        }
    }

    /// Bytes of metadata with so many logical blocks.
    pub const fn metadata_bytes(&self, blocks: u32) -> u64 {
        (blocks as u64).wrapping_mul(self.metadata_size as u64)
    }

    /// The checks that fit any data that this host or another wrote: the guard, and the
    /// reference tag where it can only be the block's address.
    pub const fn safe_checks(&self) -> Checks {
        Checks {
            guard: true,
            application: None,
            reference: matches!(self.kind, PiType::One),
        }
    }

    /// Whether a tuple with these tags is not checked at all (NVM 5.3.3), as in blocks that
    /// were never written.
    pub const fn is_escaped(&self, application: u16, reference: u64) -> bool {
        let mask = self.guard.reference_mask();
        application == APPLICATION_ESCAPE && (self.has_reference_tag() || reference & mask == mask)
    }
}

/// What a namespace's metadata means for its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// There is none.
    None,
    /// Tuples in a buffer of their own (MPTR): the host makes and checks them, or leaves it to
    /// the controller if they [can be stripped](ProtectionInfo::can_be_stripped).
    Protected(ProtectionInfo),
    /// Tuples that the controller must make and strip: they would lie among the data.
    Inserted(ProtectionInfo),
    /// So many bytes with each block in a buffer of their own, which mean nothing to the
    /// controller.
    Opaque(u8),
}

impl Metadata {
    /// Whether blocks have any.
    #[inline]
    pub const fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// The same for a host that has no way to carry it: only what the controller can make and
    /// strip is left.
    pub const fn not_carried(self) -> Result<Self, MetadataRefused> {
        match self {
            Self::Protected(info) if info.can_be_stripped() => Ok(Self::Inserted(info)),
            Self::Protected(info) => Err(MetadataRefused::NotCarried(info.metadata_size)),
            Self::Opaque(bytes) => Err(MetadataRefused::NotCarried(bytes)),
            Self::None | Self::Inserted(_) => Ok(self),
        }
    }
}

impl fmt::Display for ProtectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guard = match self.guard {
            Guard::Crc16 => "16b",
            Guard::Crc64 => "64b",
        };
        let kind = self.kind as u8;
        write!(f, "protection information of type {kind}, {guard} guard")?;
        if self.can_be_stripped() {
            return Ok(());
        }
        let (metadata, offset) = (self.metadata_size, self.offset);
        write!(f, ", at byte {offset} of {metadata} bytes of metadata")
    }
}

impl fmt::Display for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no metadata"),
            Self::Protected(info) => fmt::Display::fmt(info, f),
            Self::Inserted(info) => write!(f, "{info}, made and checked by the controller alone"),
            Self::Opaque(bytes) => write!(f, "{bytes} bytes of metadata, without meaning here"),
        }
    }
}

/// Why a namespace with metadata makes no disk. The others of its controller live on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataRefused {
    /// DPS names a type of protection that does not exist.
    Type(u8),
    /// The controller has formats of guards, and does not say which one this is.
    Unsaid,
    /// The guard is of a format that the host has no checksum for (PIF).
    Guard(u8),
    /// So many bits of each tuple are a storage tag (STS).
    StorageTag(u8),
    /// The metadata is too short for the tuple that is said to be in it.
    TooSmall {
        /// Bytes of metadata.
        metadata: u16,
        /// Bytes of a tuple.
        tuple: u8,
    },
    /// More bytes of metadata than the block layer counts.
    TooLarge(u16),
    /// So many bytes of metadata lie among the data, and the controller cannot strip them.
    Interleaved(u16),
    /// The host's kernel cannot carry so many bytes with blocks of this size.
    NotCarried(u8),
}

impl fmt::Display for MetadataRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(kind) => write!(
                f,
                "claims protection information of type {kind}, which does not exist"
            ),
            Self::Unsaid => f.write_str(
                "has protection information, and the controller does not say of which format",
            ),
            Self::Guard(format) => write!(
                f,
                "has protection information of guard format {format}; only 16b and 64b are known"
            ),
            Self::StorageTag(bits) => write!(
                f,
                "has storage tags of {bits} bits in its protection information; format it without"
            ),
            Self::TooSmall { metadata, tuple } => write!(
                f,
                "claims protection information of {tuple} bytes in {metadata} bytes of metadata"
            ),
            Self::TooLarge(bytes) => write!(
                f,
                "has {bytes} bytes of metadata per block; Linux can carry 255"
            ),
            Self::Interleaved(bytes) => write!(
                f,
                "has {bytes} bytes of metadata among the data; format it with a separate buffer"
            ),
            Self::NotCarried(bytes) => write!(
                f,
                "has {bytes} bytes of metadata per block, which this kernel cannot carry with such blocks"
            ),
        }
    }
}

impl Metadata {
    /// What a format with `ms` bytes of metadata means, by FLBAS and DPS. `extended` is its
    /// ELBAF where [`CTRATT_ELBAS`] is set and Identify was answered.
    pub const fn decide(
        ms: u16,
        flbas: u8,
        dps: u8,
        extended: Option<ExtendedLbaFormat>,
    ) -> Result<Self, MetadataRefused> {
        let kind = match dps & DPS_TYPE {
            0 if ms == 0 => return Ok(Self::None),
            0 => return Self::opaque(ms, flbas),
            1 => PiType::One,
            2 => PiType::Two,
            3 => PiType::Three,
            other => return Err(MetadataRefused::Type(other)),
        };
        let guard = match guard_of(extended) {
            Ok(guard) => guard,
            Err(refused) => return Err(refused),
        };
        let tuple = guard.tuple_size();
        if ms < tuple as u16 {
            return Err(MetadataRefused::TooSmall {
                metadata: ms,
                tuple,
            });
        }
        if ms > u8::MAX as u16 {
            return Err(MetadataRefused::TooLarge(ms));
        }
        let metadata_size = (ms & 0xff) as u8;
        let info = ProtectionInfo {
            kind,
            guard,
            metadata_size,
            offset: if dps & DPS_FIRST != 0 {
                0
            } else {
                // Not less than a tuple.
                metadata_size.saturating_sub(tuple)
            },
        };
        if flbas & FLBAS_EXTENDED == 0 {
            return Ok(Self::Protected(info));
        }
        if info.can_be_stripped() {
            return Ok(Self::Inserted(info));
        }
        Err(MetadataRefused::Interleaved(ms))
    }

    const fn opaque(ms: u16, flbas: u8) -> Result<Self, MetadataRefused> {
        if flbas & FLBAS_EXTENDED != 0 {
            return Err(MetadataRefused::Interleaved(ms));
        }
        if ms > u8::MAX as u16 {
            return Err(MetadataRefused::TooLarge(ms));
        }
        Ok(Self::Opaque((ms & 0xff) as u8))
    }
}

/// The checksum of a format. A storage tag would take bits of the reference tag, and the block
/// layer knows of none; with it, whatever the host wrote would be refused or wrong.
const fn guard_of(extended: Option<ExtendedLbaFormat>) -> Result<Guard, MetadataRefused> {
    let Some(extended) = extended else {
        return Ok(Guard::Crc16);
    };
    let guard = match extended.guard_format() {
        0 => Guard::Crc16,
        2 => Guard::Crc64,
        other => return Err(MetadataRefused::Guard(other)),
    };
    match extended.storage_tag_bits() {
        0 => Ok(guard),
        bits => Err(MetadataRefused::StorageTag(bits)),
    }
}

/// Who has the tuples of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuples {
    /// They are in the command's metadata buffer.
    Carried,
    /// The controller makes them for a write and strips them from a read (PRACT).
    Inserted,
}

/// PRCHK: which parts of the tuples the controller checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// The checksum.
    pub guard: bool,
    /// That all of the application tag is this value.
    pub application: Option<u16>,
    /// The reference tag; left out for type 3, where a controller must refuse the check.
    pub reference: bool,
}

impl Command {
    /// The same Read, Write, Compare, Write Zeroes, Verify or Zone Append on a namespace with
    /// protection information (NVM 5.3, 3.2.6): PRINFO, and the tags that begin with the
    /// command's own first block. Write Zeroes takes no checks.
    #[inline]
    pub fn with_protection(
        mut self,
        info: &ProtectionInfo,
        tuples: Tuples,
        checks: Checks,
    ) -> Self {
        let mut flags = match tuples {
            Tuples::Carried => 0,
            Tuples::Inserted => PRACT,
        };
        if checks.guard {
            flags |= CHECK_GUARD;
        }
        if let Some(tag) = checks.application {
            flags |= CHECK_APPLICATION;
            // LBAT and, above it, LBATM: which bits of it are compared.
            self.cdw15 = U32::new(u32::from(tag) | 0xffff_0000);
        }
        if info.has_reference_tag() {
            if checks.reference {
                flags |= CHECK_REFERENCE;
            }
            // A zone's tags are counted from where the zone begins until it is known where in
            // it the data goes; type 1 may not be appended otherwise (ZNS 3.4.1).
            if self.opcode == ZonedOpcode::Append as u8 {
                flags |= REMAP;
            }
            self = self.with_reference_tag(info.guard);
        }
        self.cdw12 = U32::new(self.cdw12.get() | flags);
        self
    }

    /// The same with its metadata buffer: one stretch at a multiple of 4 (MPTR, Base 4.1.1).
    #[inline]
    pub fn with_metadata(mut self, mptr: u64) -> Self {
        self.mptr = mptr.into();
        self
    }

    /// ILBRT, or EILBRT of a read: 32 bits in CDW14, of which a 64-bit guard has 16 more above,
    /// in CDW3. There is no storage tag, which would be above these.
    #[inline]
    fn with_reference_tag(mut self, guard: Guard) -> Self {
        self.cdw14 = self.cdw10;
        if matches!(guard, Guard::Crc64) {
            self.cdw3 = U32::new(self.cdw11.get() & 0xffff);
        }
        self
    }
}
