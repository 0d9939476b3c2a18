// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What Identify returns for the NVM Command Set alone (CSI 0): Identify Controller (CNS 06h, NVM
//! 4.1.5.4) and Identify Namespace (CNS 05h, NVM 4.1.5.3).
//!
//! A controller of an older version refuses both, or returns zeros: every field's zero means that
//! nothing is said.

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::FromBytes as _;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Identify Controller for the NVM Command Set: 4096 bytes as they lie in memory. Field names are
/// the specification's.
#[allow(missing_docs)]
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IdentifyControllerNvm {
    /// An exponent over the smallest memory page, as are `wzsl`, `wusl` and `wzdsl`.
    pub vsl: u8,
    pub wzsl: u8,
    pub wusl: u8,
    /// In ranges.
    pub dmrl: u8,
    /// In logical blocks of one range.
    pub dmrsl: U32,
    /// In logical blocks of all ranges.
    pub dmsl: U64,
    pub kpiocap: u8,
    /// Defined where ONCS has MAXWZD.
    pub wzdsl: u8,
    pub aocs: U16,
    pub ver: U32,
    reserved_24: [u8; 4072],
}

const _: () = {
    assert!(size_of::<IdentifyControllerNvm>() == super::IDENTIFY_BYTES);
    assert!(offset_of!(IdentifyControllerNvm, wzsl) == 1);
    assert!(offset_of!(IdentifyControllerNvm, dmrl) == 3);
    assert!(offset_of!(IdentifyControllerNvm, dmrsl) == 4);
    assert!(offset_of!(IdentifyControllerNvm, dmsl) == 8);
    assert!(offset_of!(IdentifyControllerNvm, wzdsl) == 17);
    assert!(offset_of!(IdentifyControllerNvm, aocs) == 18);
    assert!(offset_of!(IdentifyControllerNvm, ver) == 20);
};

impl IdentifyControllerNvm {
    /// Looks at the first 4096 bytes of a private copy, in place; `None` if it is shorter. Any
    /// bytes make a structure: its values are claims.
    pub fn ref_from(bytes: &[u8]) -> Option<&Self> {
        Self::ref_from_prefix(bytes).ok().map(|(this, _)| this)
    }
}

/// Identify Namespace for the NVM Command Set: 4096 bytes as they lie in memory. Field names are
/// the specification's.
#[allow(missing_docs)]
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IdentifyNamespaceNvm {
    pub lbstm: U64,
    pub pic: u8,
    pub pifa: u8,
    reserved_10: [u8; 2],
    pub elbaf: [U32; 64],
    /// In logical blocks, not 0's based.
    pub npdgl: U32,
    pub nprg: U32,
    pub npra: U32,
    pub nors: U32,
    /// In logical blocks, not 0's based.
    pub npdal: U32,
    reserved_288: [u8; 3808],
}

const _: () = {
    assert!(size_of::<IdentifyNamespaceNvm>() == super::IDENTIFY_BYTES);
    assert!(offset_of!(IdentifyNamespaceNvm, pic) == 8);
    assert!(offset_of!(IdentifyNamespaceNvm, elbaf) == 12);
    assert!(offset_of!(IdentifyNamespaceNvm, npdgl) == 268);
    assert!(offset_of!(IdentifyNamespaceNvm, nprg) == 272);
    assert!(offset_of!(IdentifyNamespaceNvm, npra) == 276);
    assert!(offset_of!(IdentifyNamespaceNvm, nors) == 280);
    assert!(offset_of!(IdentifyNamespaceNvm, npdal) == 284);
};

impl IdentifyNamespaceNvm {
    /// Looks at the first 4096 bytes of a private copy, in place; `None` if it is shorter. Any
    /// bytes make a structure: its values are claims.
    pub fn ref_from(bytes: &[u8]) -> Option<&Self> {
        Self::ref_from_prefix(bytes).ok().map(|(this, _)| this)
    }

    /// ELBAF of the format with this index, as it lies there:
    /// [`ExtendedLbaFormat`](crate::protection::ExtendedLbaFormat) takes it apart.
    pub fn elbaf_of(&self, index: u8) -> Option<u32> {
        self.elbaf.get(usize::from(index)).map(|elbaf| elbaf.get())
    }
}
