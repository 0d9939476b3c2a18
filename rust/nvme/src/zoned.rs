// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Zoned namespaces: what zones a namespace has in the block layer's terms, and the commands of
//! the Zoned Namespace Command Set.
//!
//! "ZNS" cites the NVM Express Zoned Namespace Command Set Specification 1.1. Relies on the
//! caller for a namespace whose format was checked. Zones begin at multiples of their size, which
//! is a power of two: the block layer has no other zones, so a device that has is refused.

use core::fmt;

use zerocopy::little_endian::U32;

use crate::command::{Command, NSID_ALL};
use crate::identify::{IdentifyNamespaceZoned, NamespaceFormat};
use crate::limits::transfer_limit;

mod report;

pub use report::{
    report_bytes, ReportError, ReportRefused, Zone, ZoneCondition, ZoneReport, DESCRIPTOR_BYTES,
    REPORT_HEADER_BYTES,
};

/// The Command Set Identifier of zoned namespaces.
pub const CSI: u8 = 0x02;

/// The most zones that a namespace may have. A drive of 256 TiB in zones of 64 MiB has as many.
/// The block layer keeps a byte for each in one piece of memory, which has 4 MiB at most: for more
/// zones the allocator would warn of a number that a device made up.
pub const MAX_ZONES: u32 = 1 << 22;

/// The most zones that users are told can be open or active at once. The block layer sets memory
/// aside for each of them; drives have some hundreds at most.
pub const MAX_RESOURCES: u32 = 4096;

/// log2 of the kernel's sector.
const SECTOR_SHIFT: u8 = 9;

/// What MAR and MOR say for "no limit".
const UNLIMITED: u32 = u32::MAX;

/// LID of the Commands Supported and Effects log page (Base 5.1.12.1.6).
const EFFECTS: u8 = 0x05;

/// Bytes of that page.
const EFFECTS_BYTES: u32 = 4096;

/// Where the page has its I/O commands, a dword each, of which bit 0 (CSUPP) tells of support.
const EFFECTS_OF_IO: usize = 1024;

/// CDW12 of Zone Append: Force Unit Access.
const FUA: u32 = 1 << 30;

/// CDW13 of Zone Management Send: Select All.
const SELECT_ALL: u32 = 1 << 8;

/// CDW13 of Zone Management Receive: the count in the header is of what the buffer holds, not of
/// all zones that match (Partial Report).
const PARTIAL: u32 = 1 << 16;

/// Opcodes that the Zoned Namespace Command Set adds to those of the NVM Command Set (ZNS 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZonedOpcode {
    /// Zone Management Send.
    ManagementSend = 0x79,
    /// Zone Management Receive.
    ManagementReceive = 0x7a,
    /// Zone Append.
    Append = 0x7d,
}

/// ZSA: what Zone Management Send does to a zone (ZNS 3.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneAction {
    /// Close Zone.
    Close = 0x01,
    /// Finish Zone: it becomes full.
    Finish = 0x02,
    /// Open Zone.
    Open = 0x03,
    /// Reset Zone: it becomes empty.
    Reset = 0x04,
    /// Offline Zone, of one that is read only.
    Offline = 0x05,
}

impl Command {
    #[inline]
    fn zoned(opcode: ZonedOpcode, nsid: u32, slba: u64) -> Self {
        Self {
            opcode: opcode as u8,
            nsid: U32::new(nsid),
            cdw10: U32::new((slba & 0xffff_ffff) as u32),
            cdw11: U32::new((slba >> 32) as u32),
            ..Self::default()
        }
    }

    /// Get Log Page for the commands of this command set that the controller has: 4096 bytes, for
    /// [`appends`] to look at.
    pub fn zoned_effects() -> Self {
        Self {
            cdw14: U32::new(u32::from(CSI) << 24),
            ..Self::get_log_page(NSID_ALL, EFFECTS, EFFECTS_BYTES / 4, 0, true)
        }
    }

    /// Zone Management Send (ZNS 3.4.3) to the zone that begins at `zslba`.
    #[inline]
    pub fn zone_action(nsid: u32, zslba: u64, action: ZoneAction) -> Self {
        Self {
            cdw13: U32::new(action as u32),
            ..Self::zoned(ZonedOpcode::ManagementSend, nsid, zslba)
        }
    }

    /// Zone Management Send to every zone that the action can be done to.
    #[inline]
    pub fn zone_action_on_all(nsid: u32, action: ZoneAction) -> Self {
        Self {
            cdw13: U32::new(action as u32 | SELECT_ALL),
            ..Self::zoned(ZonedOpcode::ManagementSend, nsid, 0)
        }
    }

    /// Zone Management Receive (ZNS 3.4.2): a partial report of zones in any state, from the one
    /// that holds `slba` on, into `bytes` (a multiple of 4, at least 4).
    #[inline]
    pub fn report_zones(nsid: u32, slba: u64, bytes: u32) -> Self {
        Self {
            cdw12: U32::new((bytes / 4).saturating_sub(1)),
            cdw13: U32::new(PARTIAL),
            ..Self::zoned(ZonedOpcode::ManagementReceive, nsid, slba)
        }
    }

    /// Zone Append (ZNS 3.4.1) of `nlb0 + 1` logical blocks to the zone that begins at `zslba`.
    /// Where they went is in the completion: see [`ZoneLayout::appended`].
    #[inline]
    pub fn zone_append(nsid: u32, zslba: u64, nlb0: u16, fua: bool) -> Self {
        let flags = if fua { FUA } else { 0 };
        Self {
            cdw12: U32::new(u32::from(nlb0) | flags),
            ..Self::zoned(ZonedOpcode::Append, nsid, zslba)
        }
    }
}

/// Whether the controller has Zone Append, which is optional, by its log page of commands.
pub fn appends(effects: &[u8]) -> bool {
    const AT: usize = EFFECTS_OF_IO + ZonedOpcode::Append as usize * 4;
    effects.get(AT).is_some_and(|dword| dword & 1 != 0)
}

/// The longest Zone Append in bytes: ZASL (ZNS 4.1.5.2) counts as MDTS does, in the page size
/// `min_page` of CAP.MPSMIN, and never allows more than the controller's longest transfer.
pub fn append_limit(zasl: u8, min_page: u64, max_transfer: u32) -> u32 {
    match zasl {
        0 => max_transfer,
        _ => transfer_limit(zasl, min_page).min(max_transfer),
    }
}

/// Why a zoned namespace makes no disk. The others of its controller live on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZonedRefused {
    /// ZOC is not 0: zones whose capacity changes, or that leave the active state by themselves.
    Operation(u16),
    /// The format in use is beyond the 64 that there can be.
    FormatIndex(u8),
    /// ZSZE is no power of two.
    ZoneSize(u64),
    /// A zone has more sectors than the block layer counts in 32 bits.
    ZoneTooLarge {
        /// ZSZE.
        blocks: u64,
        /// log2 of the logical block.
        lba_shift: u8,
    },
    /// The namespace does not end with a zone.
    NotWholeZones {
        /// The namespace in logical blocks.
        blocks: u64,
        /// ZSZE.
        zone: u64,
    },
    /// More than [`MAX_ZONES`].
    TooManyZones(u64),
}

impl fmt::Display for ZonedRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation(zoc) => write!(
                f,
                "has zones of variable capacity or activity (ZOC {zoc:#06x}), which Linux has not"
            ),
            Self::FormatIndex(index) => {
                write!(f, "uses format {index}, for which no zone size exists")
            }
            Self::ZoneSize(blocks) => write!(
                f,
                "has zones of {blocks} blocks; Linux needs a power of two"
            ),
            Self::ZoneTooLarge { blocks, lba_shift } => write!(
                f,
                "has zones of {blocks} blocks of 2^{lba_shift} bytes; the most is 1 TiB"
            ),
            Self::NotWholeZones { blocks, zone } => write!(
                f,
                "has {blocks} blocks, which are not whole zones of {zone} blocks"
            ),
            Self::TooManyZones(zones) => {
                write!(f, "has {zones} zones; the most is {MAX_ZONES}")
            }
        }
    }
}

/// The zones of a namespace, in sectors of 512 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneLayout {
    /// Size of each zone; a power of two.
    pub zone_sectors: u32,
    /// How many zones there are: 1 to [`MAX_ZONES`].
    pub zones: u32,
    /// The most zones that can be open at once, or 0 for no limit.
    pub max_open: u32,
    /// The most zones that can be active (open or closed) at once, or 0 for no limit; no less
    /// than `max_open`.
    pub max_active: u32,
    /// log2 of the logical block in bytes: 9 to 16.
    pub lba_shift: u8,
}

impl ZoneLayout {
    /// The zones of a namespace of this `format`, of which FLBAS names the `index`.
    pub fn new(
        identify: &IdentifyNamespaceZoned,
        index: u8,
        format: &NamespaceFormat,
    ) -> Result<Self, ZonedRefused> {
        let zoc = identify.zoc.get();
        if zoc != 0 {
            return Err(ZonedRefused::Operation(zoc));
        }
        let Some(extension) = identify.lbafe.get(usize::from(index)) else {
            return Err(ZonedRefused::FormatIndex(index));
        };
        let zone = extension.zsze.get();
        if !zone.is_power_of_two() {
            return Err(ZonedRefused::ZoneSize(zone));
        }
        let lba_shift = format.lba_shift;
        let zone_sectors = zone
            .checked_shl(u32::from(lba_shift.saturating_sub(SECTOR_SHIFT)))
            .filter(|sectors| sectors.is_power_of_two())
            .and_then(|sectors| u32::try_from(sectors).ok())
            .ok_or(ZonedRefused::ZoneTooLarge {
                blocks: zone,
                lba_shift,
            })?;
        let blocks = format.blocks;
        // A mask, as the size is a power of two.
        if blocks == 0 || blocks & zone.wrapping_sub(1) != 0 {
            return Err(ZonedRefused::NotWholeZones { blocks, zone });
        }
        let count = blocks.wrapping_shr(zone.trailing_zeros());
        let zones = match u32::try_from(count) {
            Ok(zones) if zones <= MAX_ZONES => zones,
            _ => return Err(ZonedRefused::TooManyZones(count)),
        };
        let (max_open, max_active) = resources(identify.mor.get(), identify.mar.get());
        Ok(Self {
            zone_sectors,
            zones,
            max_open,
            max_active,
            lba_shift,
        })
    }

    /// How many zones users are told can be open, and active, at once; 0: as many as there are.
    ///
    /// A limit that no namespace of so few zones can reach is none. One beyond [`MAX_RESOURCES`]
    /// is told as that: who keeps to it keeps to the device's.
    pub fn resources(&self) -> (u32, u32) {
        let told = |limit: u32| {
            if limit >= self.zones {
                0
            } else {
                limit.min(MAX_RESOURCES)
            }
        };
        (told(self.max_open), told(self.max_active))
    }

    /// The first sector of a zone.
    pub const fn start(&self, zone: u32) -> u64 {
        // Both factors have 32 bits.
        (zone as u64).wrapping_mul(self.zone_sectors as u64)
    }

    /// The zone that holds a sector, or `None` beyond the last.
    pub fn zone_of(&self, sector: u64) -> Option<u32> {
        let zone = sector.checked_div(u64::from(self.zone_sectors))?;
        u32::try_from(zone).ok().filter(|&zone| zone < self.zones)
    }

    /// The logical block that a sector begins.
    pub const fn lba(&self, sector: u64) -> u64 {
        sector.wrapping_shr(self.sector_shift())
    }

    /// The sector that a logical block begins with, or `None` if it is beyond 64 bits.
    const fn sector(&self, lba: u64) -> Option<u64> {
        lba.checked_mul(1u64.wrapping_shl(self.sector_shift()))
    }

    /// log2 of the sectors of a logical block.
    const fn sector_shift(&self) -> u32 {
        self.lba_shift.saturating_sub(SECTOR_SHIFT) as u32
    }

    /// Where a Zone Append of `sectors` to the zone at sector `start` went, by the logical block
    /// in the completion's result; `None` if that is not within the zone. The data is then lost
    /// somewhere, and the request must fail: its sector would make others read what is not there.
    pub fn appended(&self, start: u64, sectors: u32, result: u64) -> Option<u64> {
        let sector = self.sector(result)?;
        let end = sector.checked_add(u64::from(sectors))?;
        let zone_end = start.checked_add(u64::from(self.zone_sectors))?;
        (sector >= start && end <= zone_end).then_some(sector)
    }
}

/// MOR and MAR in the block layer's terms, where 0 is for no limit.
///
/// Open zones are active ones, so a limit on these binds those as well: the block layer refuses
/// limits that contradict each other.
fn resources(mor: u32, mar: u32) -> (u32, u32) {
    let limit = |raw: u32| match raw {
        UNLIMITED => 0,
        // Not all ones, so it cannot overflow.
        _ => raw.wrapping_add(1),
    };
    let (open, active) = (limit(mor), limit(mar));
    let open = if active != 0 { open.min(active) } else { open };
    (open, active)
}
