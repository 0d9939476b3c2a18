// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The Identify data structures of the Zoned Namespace Command Set (ZNS 4.1.5).
//!
//! What they make of a namespace is decided in [`zoned`](crate::zoned).

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::FromBytes as _;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// LBAFE: what the command set adds to a logical block format (ZNS 4.1.5.1).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LbaFormatExtension {
    /// ZSZE: the size of each zone in logical blocks.
    pub zsze: U64,
    /// ZDES: bytes of extension with each zone descriptor, in units of 64.
    pub zdes: u8,
    reserved_9: [u8; 7],
}

/// Identify Namespace of this command set (CNS 05h, CSI 02h): 4096 bytes as they lie in memory.
/// Field names are the specification's.
#[allow(missing_docs)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IdentifyNamespaceZoned {
    pub zoc: U16,
    pub ozcs: U16,
    /// 0's based; all ones for no limit.
    pub mar: U32,
    /// 0's based; all ones for no limit.
    pub mor: U32,
    /// In seconds.
    pub rrl: U32,
    /// In seconds.
    pub frl: U32,
    /// In seconds.
    pub rrl_more: [U32; 3],
    /// In seconds.
    pub frl_more: [U32; 3],
    /// 0's based.
    pub numzrwa: U32,
    pub zrwafg: U16,
    pub zrwasz: U16,
    pub zrwacap: u8,
    reserved_53: [u8; 2763],
    pub lbafe: [LbaFormatExtension; 64],
    pub vendor_specific: [u8; 256],
}

/// Identify Controller of this command set (CNS 06h, CSI 02h): 4096 bytes as they lie in memory.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IdentifyControllerZoned {
    /// ZASL: the longest Zone Append as an exponent above CAP.MPSMIN, or 0 for MDTS.
    pub zasl: u8,
    reserved_1: [u8; 4095],
}

const _: () = {
    assert!(size_of::<LbaFormatExtension>() == 16);
    assert!(size_of::<IdentifyNamespaceZoned>() == super::IDENTIFY_BYTES);
    assert!(size_of::<IdentifyControllerZoned>() == super::IDENTIFY_BYTES);
    assert!(offset_of!(IdentifyNamespaceZoned, mar) == 4);
    assert!(offset_of!(IdentifyNamespaceZoned, mor) == 8);
    assert!(offset_of!(IdentifyNamespaceZoned, frl) == 16);
    assert!(offset_of!(IdentifyNamespaceZoned, frl_more) == 32);
    assert!(offset_of!(IdentifyNamespaceZoned, numzrwa) == 44);
    assert!(offset_of!(IdentifyNamespaceZoned, zrwacap) == 52);
    assert!(offset_of!(IdentifyNamespaceZoned, lbafe) == 2816);
    assert!(offset_of!(IdentifyNamespaceZoned, vendor_specific) == 3840);
};

impl IdentifyNamespaceZoned {
    /// Looks at the first 4096 bytes of a private copy, in place; `None` if it is shorter. Any
    /// bytes make a structure: its values are claims.
    pub fn ref_from(bytes: &[u8]) -> Option<&Self> {
        Self::ref_from_prefix(bytes).ok().map(|(this, _)| this)
    }
}

impl IdentifyControllerZoned {
    /// Looks at the first 4096 bytes of a private copy, in place; `None` if it is shorter. Any
    /// bytes make a structure: its values are claims.
    pub fn ref_from(bytes: &[u8]) -> Option<&Self> {
        Self::ref_from_prefix(bytes).ok().map(|(this, _)| this)
    }
}
