// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Flexible Data Placement (Base 8.1.10): which write streams a namespace offers, and the
//! directive that puts a write into one.
//!
//! Relies on the caller to fetch what a function here has the command for, into zeroed memory.
//! Placement is only ever a hint: whatever is refused here, the namespace does without streams.

use core::fmt;
use core::slice::ChunksExact;

use zerocopy::little_endian::U32;

use crate::command::Command;
use crate::feature::FeatureId;

/// CTRATT bit 19 (Base 5.1.13.2.1): whether the controller knows data placement (FDPS).
pub const CTRATT_FDPS: u32 = 1 << 19;

/// The most streams that are offered: as many as one page of status describes.
pub const MAX_STREAMS: usize = 127;

/// The size of the buffer for [`Command::reclaim_unit_handle_status`].
pub const STATUS_BYTES: usize = STATUS_HEADER + MAX_STREAMS * STATUS_DESCRIPTOR;

/// NUMD of that: dwords, counted from 0.
const STATUS_NUMD: u32 = (STATUS_BYTES / 4) as u32 - 1;

/// The size of the header that tells how long the log of configurations is.
pub const CONFIGURATIONS_HEADER: usize = 16;

/// The longest log of configurations that is read. 256 configurations, which are all that can be
/// named, of 200 handles each are shorter.
pub const MAX_CONFIGURATIONS_BYTES: u32 = 256 << 10;

/// The shortest log: one configuration without handles.
const MIN_CONFIGURATIONS_BYTES: u32 = (CONFIGURATIONS_HEADER + CONFIGURATION) as u32;

/// LID of the FDP Configurations log (Base 5.1.12.1.28).
const CONFIGURATIONS_LID: u8 = 0x20;

/// Opcode of I/O Management Receive (Base 7.3).
const IO_MANAGEMENT_RECEIVE: u8 = 0x12;

/// CDW10 of I/O Management Receive: Reclaim Unit Handle Status (MO).
const RECLAIM_UNIT_HANDLE_STATUS: u32 = 0x01;

/// CDW12 of Write: the directive type Data Placement (DTYPE, Base 8.1.8.4).
const DATA_PLACEMENT: u32 = 0x2 << 20;

/// Bytes of a configuration before its list of handles, of each handle in it, of the status
/// before its descriptors, and of each of these.
const CONFIGURATION: usize = 64;
const HANDLE: usize = 4;
const STATUS_HEADER: usize = 16;
const STATUS_DESCRIPTOR: usize = 32;

impl Command {
    /// Get Features, Flexible Data Placement (Base 5.1.25.1.20), of an endurance group.
    #[inline]
    pub fn get_fdp(endgid: u16) -> Self {
        Self {
            cdw11: U32::new(u32::from(endgid)),
            ..Self::get_features(FeatureId::FlexibleDataPlacement)
        }
    }

    /// Get Log Page, FDP Configurations (Base 5.1.12.1.28), of an endurance group: `bytes` from
    /// `offset` on, both multiples of 4.
    #[inline]
    pub fn get_fdp_configurations(endgid: u16, offset: u64, bytes: u32) -> Self {
        let command = Self::get_log_page(0, CONFIGURATIONS_LID, bytes / 4, offset, false);
        Self {
            // LSI: the endurance group is what the log is about.
            cdw11: U32::new(command.cdw11.get() | (u32::from(endgid) << 16)),
            ..command
        }
    }

    /// I/O Management Receive (Base 7.3), Reclaim Unit Handle Status: [`STATUS_BYTES`] of it.
    #[inline]
    pub fn reclaim_unit_handle_status(nsid: u32) -> Self {
        Self {
            opcode: IO_MANAGEMENT_RECEIVE,
            nsid: U32::new(nsid),
            cdw10: U32::new(RECLAIM_UNIT_HANDLE_STATUS),
            cdw11: U32::new(STATUS_NUMD),
            ..Self::default()
        }
    }

    /// The same Write or Zone Append into the stream of a placement identifier (DTYPE, DSPEC).
    #[inline]
    pub fn with_placement(mut self, pid: u16) -> Self {
        self.cdw12 = U32::new(self.cdw12.get() | DATA_PLACEMENT);
        self.cdw13 = U32::new(self.cdw13.get() & 0xffff | (u32::from(pid) << 16));
        self
    }
}

/// The reply to [`Command::get_fdp`]: the index of the configuration in use (FDPCIDX), or
/// `None` while placement is disabled (FDPE).
pub const fn enabled_configuration(dw0: u32) -> Option<u8> {
    match dw0 & 1 {
        0 => None,
        _ => Some(((dw0 >> 8) & 0xff) as u8),
    }
}

/// Why a namespace has no write streams. It works all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlacementRefused {
    /// A reply has so few bytes that its header is cut off.
    Short(usize),
    /// The log of configurations claims a size that is none (SZE).
    LogSize(u32),
    /// The configuration in use is beyond the last.
    Index {
        /// FDPCIDX.
        index: u8,
        /// How many there are.
        count: u32,
    },
    /// A configuration's size does not hold what it claims, or runs past the log.
    Descriptor {
        /// Which one.
        index: u8,
        /// DSZE.
        bytes: u16,
    },
    /// The configuration in use says that it is not valid (FDPA).
    Invalid(u8),
    /// There are several reclaim groups, between which no stream can choose (NRG).
    ReclaimGroups(u32),
    /// The reclaim unit has no size (RUNS).
    NoUnit,
    /// The namespace has no handle.
    NoHandles,
}

impl fmt::Display for PlacementRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data placement is left out: ")?;
        match self {
            Self::Short(bytes) => write!(f, "a reply of {bytes} bytes is too short"),
            Self::LogSize(bytes) => {
                write!(f, "the log of configurations claims to have {bytes} bytes")
            }
            Self::Index { index, count } => {
                write!(f, "configuration {index} is in use, but there are {count}")
            }
            Self::Descriptor { index, bytes } => write!(
                f,
                "configuration {index} claims {bytes} bytes, which cannot be"
            ),
            Self::Invalid(index) => write!(f, "configuration {index} is in use but not valid"),
            Self::ReclaimGroups(groups) => {
                write!(f, "there are {groups} reclaim groups; only 1 is supported")
            }
            Self::NoUnit => f.write_str("the reclaim unit has a size of 0"),
            Self::NoHandles => f.write_str("the namespace has no reclaim unit handle"),
        }
    }
}

/// How many bytes of the log to fetch, from its header: SZE, a multiple of 4 then.
pub fn configurations_bytes(header: &[u8]) -> Result<u32, PlacementRefused> {
    let size = u32::from_le_bytes(*field(header, 4)?);
    if !(MIN_CONFIGURATIONS_BYTES..=MAX_CONFIGURATIONS_BYTES).contains(&size) {
        return Err(PlacementRefused::LogSize(size));
    }
    Ok(size.next_multiple_of(4))
}

/// An FDP configuration (Base 5.1.12.1.28).
#[derive(Clone, Debug)]
pub struct FdpConfiguration<'a> {
    index: u8,
    attributes: u8,
    reclaim_groups: u32,
    unit_bytes: u64,
    handles: ChunksExact<'a, u8>,
}

impl<'a> FdpConfiguration<'a> {
    /// Finds the configuration of this index in the log. Each one before it has to be whole, as
    /// only its size tells where the next begins.
    pub fn find(log: &'a [u8], index: u8) -> Result<Self, PlacementRefused> {
        let size = configurations_bytes(log)? as usize;
        // NUMFDPC counts from 0.
        let count = u32::from(u16::from_le_bytes(*field(log, 0)?)).wrapping_add(1);
        if u32::from(index) >= count {
            return Err(PlacementRefused::Index { index, count });
        }
        let log = log.get(..size).unwrap_or(log);
        let mut rest = log.get(CONFIGURATIONS_HEADER..).unwrap_or(&[]);
        for before in 0..index {
            let bytes = Self::size(rest, before)?;
            rest = rest.get(usize::from(bytes)..).unwrap_or(&[]);
        }
        let bytes = Self::size(rest, index)?;
        Self::parse(rest.get(..usize::from(bytes)).unwrap_or(&[]), index)
            .ok_or(PlacementRefused::Descriptor { index, bytes })
    }

    /// DSZE of the configuration that `rest` begins with, which lies within it.
    fn size(rest: &[u8], index: u8) -> Result<u16, PlacementRefused> {
        let bytes = u16::from_le_bytes(*field(rest, 0)?);
        if usize::from(bytes) < CONFIGURATION || usize::from(bytes) > rest.len() {
            return Err(PlacementRefused::Descriptor { index, bytes });
        }
        Ok(bytes)
    }

    fn parse(bytes: &'a [u8], index: u8) -> Option<Self> {
        let handles = u16::from_le_bytes(*field(bytes, 8).ok()?);
        let list = usize::from(handles).checked_mul(HANDLE)?;
        Some(Self {
            index,
            attributes: *bytes.get(2)?,
            reclaim_groups: u32::from_le_bytes(*field(bytes, 4).ok()?),
            unit_bytes: u64::from_le_bytes(*field(bytes, 16).ok()?),
            handles: bytes
                .get(CONFIGURATION..)?
                .get(..list)?
                .chunks_exact(HANDLE),
        })
    }

    /// FDPA bit 7: whether the configuration can be used.
    pub const fn is_valid(&self) -> bool {
        self.attributes & 0x80 != 0
    }

    /// NRG: how many reclaim groups there are.
    pub const fn reclaim_groups(&self) -> u32 {
        self.reclaim_groups
    }

    /// RUNS: the nominal size of a reclaim unit in bytes.
    pub const fn unit_bytes(&self) -> u64 {
        self.unit_bytes
    }

    /// RUHT of each reclaim unit handle: 1 if what is written to it is isolated at first, 2 if
    /// it stays so.
    pub fn handle_types(&self) -> impl ExactSizeIterator<Item = u8> + 'a {
        let types = self.handles.clone();
        types.map(|handle| handle.first().copied().unwrap_or(0))
    }

    /// The size that a stream is filled in, or why this configuration offers no streams.
    fn granularity(&self) -> Result<u32, PlacementRefused> {
        if !self.is_valid() {
            return Err(PlacementRefused::Invalid(self.index));
        }
        if self.reclaim_groups > 1 {
            return Err(PlacementRefused::ReclaimGroups(self.reclaim_groups));
        }
        match u32::try_from(self.unit_bytes) {
            Ok(0) => Err(PlacementRefused::NoUnit),
            Ok(bytes) => Ok(bytes),
            Err(_) => Ok(u32::MAX),
        }
    }
}

/// The write streams of a namespace: numbered from 1 on as in the block layer, where 0 is for a
/// write that goes anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteStreams {
    pids: [u16; MAX_STREAMS],
    len: u8,
    granularity: u32,
}

impl WriteStreams {
    /// Takes the reply to [`Command::reclaim_unit_handle_status`] (Base 7.3.1.1).
    ///
    /// NRUHSD may well be more than what was asked for; only what is there counts. A placement
    /// identifier that comes again would be a second number for the same stream, and is left out.
    pub fn new(
        configuration: &FdpConfiguration<'_>,
        status: &[u8],
    ) -> Result<Self, PlacementRefused> {
        let granularity = configuration.granularity()?;
        let claimed = usize::from(u16::from_le_bytes(*field(status, 14)?));
        let descriptors = status.get(STATUS_HEADER..).unwrap_or(&[]);
        let mut streams = Self {
            pids: [0; MAX_STREAMS],
            len: 0,
            granularity,
        };
        let most = claimed.min(MAX_STREAMS);
        for descriptor in descriptors.chunks_exact(STATUS_DESCRIPTOR).take(most) {
            let pid = u16::from_le_bytes(*field(descriptor, 0)?);
            if streams.pids().contains(&pid) {
                continue;
            }
            if let Some(slot) = streams.pids.get_mut(usize::from(streams.len)) {
                *slot = pid;
                streams.len = streams.len.saturating_add(1);
            }
        }
        match streams.len {
            0 => Err(PlacementRefused::NoHandles),
            _ => Ok(streams),
        }
    }

    /// The placement identifiers (PID), each once: 1 to [`MAX_STREAMS`].
    pub fn pids(&self) -> &[u16] {
        self.pids.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The placement identifier of a stream, from 1 on; `None` for 0 and beyond the last.
    #[inline]
    pub fn pid(&self, stream: u16) -> Option<u16> {
        self.pids()
            .get(usize::from(stream.checked_sub(1)?))
            .copied()
    }

    /// The size that a stream is best filled in, in bytes; not 0.
    pub const fn granularity(&self) -> u32 {
        self.granularity
    }
}

/// The `N` bytes at `offset` of a reply.
fn field<const N: usize>(bytes: &[u8], offset: usize) -> Result<&[u8; N], PlacementRefused> {
    let short = PlacementRefused::Short(bytes.len());
    bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk())
        .ok_or(short)
}
