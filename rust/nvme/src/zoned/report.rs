// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Zone reports (ZNS 3.4.2): read with as many commands as they take, each zone checked.
//!
//! Relies on the caller for a buffer that was zeroed before each command, so that what a device
//! left out is not what an earlier report said. Which zone comes next is known beforehand; what
//! the device says must agree with it. So the walk moves forward or ends, whatever is reported.

use core::fmt;
use core::mem::{offset_of, size_of};

use zerocopy::little_endian::U64;
use zerocopy::FromBytes as _;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::ZoneLayout;
use crate::command::Command;

/// Bytes of a report before its first descriptor.
pub const REPORT_HEADER_BYTES: usize = 64;

/// Bytes of a zone descriptor without an extension.
pub const DESCRIPTOR_BYTES: usize = 64;

/// ZT: the only type of zone that the command set has, which the block layer calls by the same
/// number.
const SEQUENTIAL_WRITE_REQUIRED: u8 = 0x2;

/// ZA: the device would like the zone to be reset (Reset Zone Recommended).
const RESET_RECOMMENDED: u8 = 1 << 2;

/// A zone descriptor as it lies in memory. Field names are the specification's.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ZoneDescriptor {
    zt: u8,
    zs: u8,
    za: u8,
    zai: u8,
    reserved_4: [u8; 4],
    zcap: U64,
    zslba: U64,
    wp: U64,
    reserved_32: [u8; 32],
}

const _: () = {
    assert!(size_of::<ZoneDescriptor>() == DESCRIPTOR_BYTES);
    assert!(offset_of!(ZoneDescriptor, zcap) == 8);
    assert!(offset_of!(ZoneDescriptor, wp) == 24);
};

/// The state of a zone (ZNS 2.1.1). The block layer's conditions have the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneCondition {
    /// Nothing is written.
    Empty = 0x1,
    /// Opened by a write.
    ImplicitlyOpened = 0x2,
    /// Opened by Zone Management Send.
    ExplicitlyOpened = 0x3,
    /// Partly written, not open.
    Closed = 0x4,
    /// Can be read only.
    ReadOnly = 0xd,
    /// Written to its end, or finished.
    Full = 0xe,
    /// Can be neither read nor written.
    Offline = 0xf,
}

impl ZoneCondition {
    const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0x1 => Some(Self::Empty),
            0x2 => Some(Self::ImplicitlyOpened),
            0x3 => Some(Self::ExplicitlyOpened),
            0x4 => Some(Self::Closed),
            0xd => Some(Self::ReadOnly),
            0xe => Some(Self::Full),
            0xf => Some(Self::Offline),
            _ => None,
        }
    }
}

/// A zone as the block layer wants it, in sectors of 512 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its state.
    pub condition: ZoneCondition,
    /// Where it begins.
    pub start: u64,
    /// Its size.
    pub len: u64,
    /// How much of it can be written: 1 to `len`.
    pub capacity: u64,
    /// Where the next write goes: within the capacity or at its end. At the zone's end if it is
    /// full; all ones if it is read only or offline, since it then has none.
    pub write_pointer: u64,
    /// Whether the device would like it to be reset.
    pub reset_recommended: bool,
}

impl Zone {
    /// The block layer's type of every zone: sequential writes required.
    pub const TYPE: u8 = SEQUENTIAL_WRITE_REQUIRED;

    /// How much of the zone is written, as far as the write pointer tells: at most its capacity,
    /// and 0 if there is none.
    pub fn written(&self) -> u64 {
        match self.write_pointer {
            u64::MAX => 0,
            pointer => pointer.saturating_sub(self.start).min(self.capacity),
        }
    }
}

/// What is wrong with a report. The walk is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportRefused {
    /// The buffer has so many bytes, which is no header.
    Short(usize),
    /// There are no zones from this one on, though the namespace has more.
    Nothing(u32),
    /// A zone is of a type that does not exist.
    Type {
        /// The zone.
        zone: u32,
        /// ZT.
        zt: u8,
    },
    /// A zone is in a state that does not exist.
    State {
        /// The zone.
        zone: u32,
        /// ZS.
        zs: u8,
    },
    /// A zone does not begin where the one before ends.
    Start {
        /// The zone.
        zone: u32,
        /// The logical block at which it should.
        expected: u64,
        /// ZSLBA.
        zslba: u64,
    },
    /// A zone's capacity is 0 or more than its size.
    Capacity {
        /// The zone.
        zone: u32,
        /// ZCAP.
        zcap: u64,
    },
    /// A zone's write pointer is outside of what can be written.
    WritePointer {
        /// The zone.
        zone: u32,
        /// WP.
        wp: u64,
    },
}

impl fmt::Display for ReportRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("zone report: ")?;
        match self {
            Self::Short(bytes) => write!(f, "{bytes} bytes are too few for a header"),
            Self::Nothing(zone) => write!(f, "nothing from zone {zone} on, but there are more"),
            Self::Type { zone, zt } => write!(f, "zone {zone} is of the unknown type {zt:#x}"),
            Self::State { zone, zs } => write!(f, "zone {zone} is in the unknown state {zs:#x}"),
            Self::Start {
                zone,
                expected,
                zslba,
            } => write!(
                f,
                "zone {zone} should begin at block {expected}, not at {zslba}"
            ),
            Self::Capacity { zone, zcap } => {
                write!(f, "zone {zone} has an impossible capacity of {zcap} blocks")
            }
            Self::WritePointer { zone, wp } => {
                write!(f, "the write pointer of zone {zone} is outside of it: {wp}")
            }
        }
    }
}

/// Why a report ended before its last zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportError<E> {
    /// The device's report makes no sense.
    Refused(ReportRefused),
    /// Who was told of a zone wants no more.
    Stopped(E),
}

impl<E: fmt::Display> fmt::Display for ReportError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::Stopped(error) => write!(f, "zone report: {error}"),
        }
    }
}

/// The size of a buffer for a report of `zones` (at least 1) in one command, if `max_transfer`
/// allows: always a header and whole descriptors, at least one.
pub const fn report_bytes(zones: u32, max_transfer: u32) -> u32 {
    const HEADER: u32 = REPORT_HEADER_BYTES as u32;
    const DESCRIPTOR: u32 = DESCRIPTOR_BYTES as u32;
    let room = max_transfer.saturating_sub(HEADER) / DESCRIPTOR;
    let fit = if zones < room { zones } else { room };
    let descriptors = if fit == 0 { 1 } else { fit };
    // No more than `max_transfer`, but for the least that there can be.
    HEADER.wrapping_add(descriptors.wrapping_mul(DESCRIPTOR))
}

/// Walks the zones of a namespace, one command after the other, until all that were asked for
/// are reported. Each report that is taken brings at least one zone or ends the walk.
#[derive(Clone, Debug)]
pub struct ZoneReport {
    layout: ZoneLayout,
    first: u32,
    next: u32,
    end: u32,
}

impl ZoneReport {
    /// Walks `zones` zones, or fewer if there are no more, from the one that holds `sector` on.
    pub fn new(layout: ZoneLayout, sector: u64, zones: u32) -> Self {
        let first = layout.zone_of(sector).unwrap_or(layout.zones);
        Self {
            layout,
            first,
            next: first,
            end: first.saturating_add(zones).min(layout.zones),
        }
    }

    /// How many zones are still to come.
    pub const fn left(&self) -> u32 {
        self.end.saturating_sub(self.next)
    }

    /// How many zones have been reported.
    pub const fn reported(&self) -> u32 {
        self.next.saturating_sub(self.first)
    }

    /// The sector that the next zone begins with.
    pub const fn sector(&self) -> u64 {
        self.layout.start(self.next)
    }

    /// The command that fetches what comes next into a buffer of `bytes` (at least what
    /// [`report_bytes`] gives for one zone), or `None` when all is done.
    pub fn command(&self, nsid: u32, bytes: u32) -> Option<Command> {
        let slba = self.layout.lba(self.sector());
        (self.left() > 0).then(|| Command::report_zones(nsid, slba, bytes))
    }

    /// Takes the buffer that the last command filled, and calls `visit` for each zone with its
    /// number in this report, from 0 on. How many they were: at least one while some are left.
    ///
    /// After an error nothing is left.
    pub fn take<E>(
        &mut self,
        report: &[u8],
        visit: impl FnMut(u32, &Zone) -> Result<(), E>,
    ) -> Result<u32, ReportError<E>> {
        let before = self.next;
        let taken = self.take_all(report, visit);
        if taken.is_err() {
            self.end = self.next;
        }
        taken.map(|()| self.next.wrapping_sub(before))
    }

    fn take_all<E>(
        &mut self,
        report: &[u8],
        mut visit: impl FnMut(u32, &Zone) -> Result<(), E>,
    ) -> Result<(), ReportError<E>> {
        let left = self.left();
        let short = ReportError::Refused(ReportRefused::Short(report.len()));
        let (header, descriptors) = report
            .split_first_chunk::<REPORT_HEADER_BYTES>()
            .ok_or(short)?;
        let claimed = header
            .first_chunk::<8>()
            .map_or(0, |raw| u64::from_le_bytes(*raw));
        // Only what is in the buffer counts, and only what was asked for.
        let count = usize::try_from(claimed.min(u64::from(left))).unwrap_or(usize::MAX);
        let before = self.next;
        for bytes in descriptors.chunks_exact(DESCRIPTOR_BYTES).take(count) {
            let zone = self.parse(bytes).map_err(ReportError::Refused)?;
            visit(self.reported(), &zone).map_err(ReportError::Stopped)?;
            self.next = self.next.saturating_add(1);
        }
        if self.next == before && left > 0 {
            return Err(ReportError::Refused(ReportRefused::Nothing(before)));
        }
        Ok(())
    }

    /// The next zone, by its descriptor.
    fn parse(&self, bytes: &[u8]) -> Result<Zone, ReportRefused> {
        let (zone, layout) = (self.next, &self.layout);
        // A copy: what was checked is what is used, whatever the device still writes there.
        let Ok((descriptor, _)) = ZoneDescriptor::read_from_prefix(bytes) else {
            return Err(ReportRefused::Short(bytes.len()));
        };
        let zt = descriptor.zt & 0xf;
        if zt != SEQUENTIAL_WRITE_REQUIRED {
            return Err(ReportRefused::Type { zone, zt });
        }
        let zs = descriptor.zs >> 4;
        let Some(condition) = ZoneCondition::from_raw(zs) else {
            return Err(ReportRefused::State { zone, zs });
        };
        let start = layout.start(zone);
        let (expected, zslba) = (layout.lba(start), descriptor.zslba.get());
        if zslba != expected {
            return Err(ReportRefused::Start {
                zone,
                expected,
                zslba,
            });
        }
        let zcap = descriptor.zcap.get();
        let len = u64::from(layout.zone_sectors);
        let capacity = layout
            .sector(zcap)
            .filter(|sectors| (1..=len).contains(sectors));
        let Some(capacity) = capacity else {
            return Err(ReportRefused::Capacity { zone, zcap });
        };
        let write_pointer = match condition {
            ZoneCondition::Empty => start,
            ZoneCondition::Full => start.saturating_add(len),
            ZoneCondition::ReadOnly | ZoneCondition::Offline => u64::MAX,
            ZoneCondition::ImplicitlyOpened
            | ZoneCondition::ExplicitlyOpened
            | ZoneCondition::Closed => {
                let wp = descriptor.wp.get();
                let writable = start..=start.saturating_add(capacity);
                layout
                    .sector(wp)
                    .filter(|sector| writable.contains(sector))
                    .ok_or(ReportRefused::WritePointer { zone, wp })?
            }
        };
        Ok(Zone {
            condition,
            start,
            len,
            capacity,
            write_pointer,
            reset_recommended: descriptor.za & RESET_RECOMMENDED != 0,
        })
    }
}
