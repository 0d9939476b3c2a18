// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Claims of a device that are left out of the limits, each with its reason.

use core::fmt;

/// A claim that was left out, or used for less than it says. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// NPWG is longer than any transfer.
    WriteGranularity(u64),
    /// NPWA does not divide NPWG; both in logical blocks.
    WriteAlignment {
        /// NPWA.
        npwa: u32,
        /// NPWG.
        npwg: u32,
    },
    /// NOWS is no multiple of NPWG, or longer than any transfer.
    OptimalWrite(u64),
    /// NOIOB is no power of two, or less than what must stay together.
    IoBoundary {
        /// NOIOB.
        bytes: u64,
        /// The least that is taken.
        least: u32,
    },
    /// AWUPF, in logical blocks, where the namespace has no NAWUPF.
    ControllerAtomicUnit(u32),
    /// NABO, in logical blocks, is not 0.
    AtomicOffset(u16),
    /// NABSPF is no power of two; both in logical blocks.
    AtomicBoundary {
        /// NABSPF.
        blocks: u32,
        /// What is taken in its place.
        taken: u32,
    },
    /// NPDG, NPDA, NPDGL or NPDAL is no power of two, or more than can be deallocated.
    DiscardGranularity(u64),
    /// Some of DMRL, DMRSL and DMSL are 0 and some are not, and ONCS lacks Dataset Management.
    DiscardSupport,
    /// DMRSL or DMSL is less than a physical block.
    DiscardSize(u64),
    /// WZSL is less than a logical block.
    WriteZeroesSize(u64),
    /// WZDSL is less than a logical block.
    DeallocatingZeroesSize(u64),
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteGranularity(bytes) => {
                write!(
                    f,
                    "NPWG of {bytes} bytes is longer than any transfer: ignored"
                )
            }
            Self::WriteAlignment { npwa, npwg } => {
                write!(
                    f,
                    "NPWA of {npwa} blocks does not divide NPWG of {npwg}: ignored"
                )
            }
            Self::OptimalWrite(bytes) => write!(
                f,
                "NOWS of {bytes} bytes is no multiple of NPWG or longer than any transfer: ignored"
            ),
            Self::IoBoundary { bytes, least } => write!(
                f,
                "NOIOB of {bytes} bytes is no power of two from {least} on: ignored"
            ),
            Self::ControllerAtomicUnit(blocks) => write!(
                f,
                "AWUPF of {blocks} blocks names no namespace, and there is no NAWUPF: ignored"
            ),
            Self::AtomicOffset(nabo) => write!(
                f,
                "NABO is {nabo}, but atomic boundaries must begin at block 0: NAWUPF ignored"
            ),
            Self::AtomicBoundary { blocks, taken } => write!(
                f,
                "NABSPF of {blocks} blocks is no power of two: taken as {taken}"
            ),
            Self::DiscardGranularity(bytes) => write!(
                f,
                "deallocation in units of {bytes} bytes (NPDG, NPDA) is not possible: ignored"
            ),
            Self::DiscardSupport => f.write_str(
                "DMRL, DMRSL and DMSL are neither all 0 nor all set, without ONCS: no discard",
            ),
            Self::DiscardSize(bytes) => write!(
                f,
                "DMRSL and DMSL allow {bytes} bytes, less than a physical block: no discard"
            ),
            Self::WriteZeroesSize(bytes) => write!(
                f,
                "WZSL allows {bytes} bytes, less than a block: no write zeroes"
            ),
            Self::DeallocatingZeroesSize(bytes) => write!(
                f,
                "WZDSL allows {bytes} bytes, less than a block: zeroes do not deallocate"
            ),
        }
    }
}

/// How many claims can be left out: each kind once, since the support for discard is lacking
/// before its size matters.
const MOST: usize = 12;

/// The claims that were left out, in the order in which they were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IgnoredClaims {
    claims: [Option<Ignored>; MOST],
}

impl IgnoredClaims {
    /// The claims.
    pub fn iter(&self) -> impl Iterator<Item = Ignored> + '_ {
        self.claims.iter().copied().flatten()
    }

    /// Adds a claim; what is beyond the room for all kinds is dropped.
    pub(super) fn push(&mut self, claim: Ignored) {
        if let Some(free) = self.claims.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(claim);
        }
    }
}
