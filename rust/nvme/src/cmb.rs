// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The Controller Memory Buffer (Base 8.2.1): where the controller offers memory of its own, and
//! how submission queues lie in it.
//!
//! Relies on the caller to read the registers after it set CMBMSC.CRE where CAP.CMBS says that
//! there is such a register, and to know the BARs. A buffer that makes no sense is left out: the
//! queues are then in the host's memory.

use core::fmt;

use crate::PAGE;

/// Bytes of a submission queue entry.
const ENTRY_BYTES: u64 = 64;

/// The largest SZU with a meaning: units of 64 GiB.
const MAX_UNIT: u8 = 6;

/// CMBMSC (Base 3.1.4.16): makes CMBLOC and CMBSZ tell the truth (CRE).
pub const CMBMSC_CAPABILITIES: u64 = 1;

/// CMBMSC: the controller takes addresses in the buffer's range for the buffer (CMSE).
const CMBMSC_ENABLED: u64 = 1 << 1;

/// CMBSTS (Base 3.1.4.17): the controller cannot have its buffer at that address (CBAI).
pub const CMBSTS_ADDRESS_INVALID: u32 = 1;

/// CMBLOC (Base 3.1.4.11): where the buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cmbloc(u32);

impl Cmbloc {
    /// Takes the register's value.
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// BIR: the number of the BAR.
    pub const fn bir(self) -> u8 {
        (self.0 & 0x7) as u8
    }

    /// OFST: how far into the BAR, in the unit of CMBSZ.
    pub const fn ofst(self) -> u32 {
        self.0 >> 12
    }
}

/// CMBSZ (Base 3.1.4.12): how large the buffer is and what it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cmbsz(u32);

impl Cmbsz {
    /// Takes the register's value.
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    const fn bit(self, at: u32) -> bool {
        self.0 & 1u32.wrapping_shl(at) != 0
    }

    /// SQS: submission queues.
    pub const fn sqs(self) -> bool {
        self.bit(0)
    }

    /// CQS: completion queues.
    pub const fn cqs(self) -> bool {
        self.bit(1)
    }

    /// LISTS: PRP and SGL lists, of commands that are in the buffer as well.
    pub const fn lists(self) -> bool {
        self.bit(2)
    }

    /// RDS: data that the controller reads from its medium.
    pub const fn rds(self) -> bool {
        self.bit(3)
    }

    /// WDS: data that the controller writes to its medium.
    pub const fn wds(self) -> bool {
        self.bit(4)
    }

    /// SZU: the unit of sizes as an exponent.
    pub const fn szu(self) -> u8 {
        ((self.0 >> 8) & 0xf) as u8
    }

    /// SZ: the size in units; 0 if there is no buffer.
    pub const fn sz(self) -> u32 {
        self.0 >> 12
    }
}

/// Why a controller's buffer is not used. The controller works all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CmbRefused {
    /// BIR names what is no memory BAR.
    Bar(u8),
    /// SZU has no meaning.
    Unit(u8),
    /// The buffer begins beyond its BAR's end, or leaves not a page before it.
    Outside {
        /// The BAR.
        bar: u8,
        /// Where in it the buffer begins.
        offset: u64,
        /// The BAR's length.
        length: u64,
    },
    /// The buffer begins among the registers and doorbells.
    Registers(u64),
    /// So many bytes long, it reaches beyond its BAR: at bus addresses that are the host's memory.
    Long(u64),
    /// The bus address for the buffer is not at a page's base or too near to the last address.
    Address(u64),
    /// Submission queues may not be in the buffer.
    NoSubmissionQueues,
    /// The queues do not fit.
    Queues {
        /// How many were wanted.
        wanted: u16,
        /// How many there is room for.
        fit: u64,
    },
}

impl fmt::Display for CmbRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("controller memory buffer left out: ")?;
        match self {
            Self::Bar(bir) => write!(f, "BAR {bir} cannot hold it"),
            Self::Unit(szu) => write!(f, "its size has the unknown unit {szu}"),
            Self::Outside {
                bar,
                offset,
                length,
            } => write!(
                f,
                "it begins at {offset:#x} of BAR {bar}, which has {length:#x} bytes"
            ),
            Self::Registers(offset) => {
                write!(f, "it begins at {offset:#x}, among the registers")
            }
            Self::Long(bytes) => write!(f, "its {bytes:#x} bytes reach beyond its BAR"),
            Self::Address(address) => write!(f, "it cannot be at bus address {address:#x}"),
            Self::NoSubmissionQueues => f.write_str("submission queues may not be in it"),
            Self::Queues { wanted, fit } => {
                write!(
                    f,
                    "it has room for {fit} submission queues, not for {wanted}"
                )
            }
        }
    }
}

/// A controller memory buffer that lies within its BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cmb {
    /// The BAR: 0 or 2 to 5.
    pub bar: u8,
    /// Where in the BAR it begins, in bytes: a multiple of [`PAGE`].
    pub offset: u64,
    /// How many bytes can be used: whole pages, at least one.
    pub size: u64,
    /// How many bytes of bus addresses the controller takes for it.
    pub claimed: u64,
    /// Whether submission queues may be in it.
    pub submission_queues: bool,
    /// Whether the PRP and SGL lists of commands in it may be in it.
    pub lists: bool,
    /// Whether data may be in it, in both directions: what peer-to-peer transfers need.
    pub data: bool,
}

impl Cmb {
    /// Where the buffer is, or `None` if there is none. `bar_len` gives the bytes of a BAR, 0 if
    /// it is no memory; `registers_end` is where in BAR 0 the last doorbell ends.
    ///
    /// A buffer that is longer than its BAR ends with it (Base 3.1.4.12).
    pub fn place(
        cmbloc: Cmbloc,
        cmbsz: Cmbsz,
        bar_len: impl FnOnce(u8) -> u64,
        registers_end: u64,
    ) -> Result<Option<Self>, CmbRefused> {
        if cmbsz.sz() == 0 {
            return Ok(None);
        }
        let bar = cmbloc.bir();
        if !matches!(bar, 0 | 2..=5) {
            return Err(CmbRefused::Bar(bar));
        }
        let szu = cmbsz.szu();
        if szu > MAX_UNIT {
            return Err(CmbRefused::Unit(szu));
        }
        // At most 2^36, of which there are less than 2^20: far from the end of 64 bits.
        let unit = u64::from(PAGE).wrapping_shl(u32::from(szu).wrapping_mul(4));
        let offset = unit.saturating_mul(u64::from(cmbloc.ofst()));
        let claimed = unit.saturating_mul(u64::from(cmbsz.sz()));
        if bar == 0 && offset < registers_end {
            return Err(CmbRefused::Registers(offset));
        }
        let length = bar_len(bar);
        let size = claimed.min(length.saturating_sub(offset)) & !u64::from(PAGE).wrapping_sub(1);
        if size == 0 {
            return Err(CmbRefused::Outside {
                bar,
                offset,
                length,
            });
        }
        Ok(Some(Self {
            bar,
            offset,
            size,
            claimed,
            submission_queues: cmbsz.sqs(),
            lists: cmbsz.lists(),
            data: cmbsz.rds() && cmbsz.wds(),
        }))
    }

    /// The value of CMBMSC that makes the controller take the bus addresses from `base` on for
    /// its buffer (Base 3.1.4.16): as many as the buffer claims to have, also beyond its BAR. No
    /// memory of the host may be at these, so `base` is best where the buffer is seen through its
    /// BAR, and one that is longer is refused.
    pub fn memory_space_control(&self, base: u64) -> Result<u64, CmbRefused> {
        if self.claimed > self.size {
            return Err(CmbRefused::Long(self.claimed));
        }
        let aligned = base & u64::from(PAGE).wrapping_sub(1) == 0;
        if !aligned || base.checked_add(self.size).is_none() {
            return Err(CmbRefused::Address(base));
        }
        Ok(base | CMBMSC_ENABLED | CMBMSC_CAPABILITIES)
    }

    /// Lays out `queues` submission queues of `entries` each.
    pub fn submission_queues(
        &self,
        queues: u16,
        entries: u16,
    ) -> Result<SubmissionQueues, CmbRefused> {
        if !self.submission_queues {
            return Err(CmbRefused::NoSubmissionQueues);
        }
        let bytes = u64::from(entries.max(1)).wrapping_mul(ENTRY_BYTES);
        let stride = bytes.next_multiple_of(u64::from(PAGE));
        let fit = self.size.checked_div(stride).unwrap_or(0);
        if u64::from(queues) > fit {
            return Err(CmbRefused::Queues {
                wanted: queues,
                fit,
            });
        }
        Ok(SubmissionQueues { queues, stride })
    }
}

/// Submission queues in the buffer, one after the other, each at a page's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmissionQueues {
    queues: u16,
    stride: u64,
}

impl SubmissionQueues {
    /// Where in the buffer the queue of this index (from 0 on) begins, or `None` beyond the last.
    pub const fn offset(&self, index: u16) -> Option<u64> {
        if index >= self.queues {
            return None;
        }
        // Within the buffer, as all of them fit.
        Some((index as u64).wrapping_mul(self.stride))
    }

    /// The bytes of each queue: whole pages.
    pub const fn queue_bytes(&self) -> u64 {
        self.stride
    }
}
