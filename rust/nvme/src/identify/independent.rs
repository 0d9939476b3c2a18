// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The I/O Command Set Independent Identify Namespace data structure (CNS 08h, Base 5.1.13.2.8):
//! what holds for a namespace whatever commands it takes.

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32};
use zerocopy::FromBytes as _;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Identify Namespace, independent of the command set: 4096 bytes as they lie in memory. Field
/// names are the specification's.
#[allow(missing_docs)]
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IndependentNamespace {
    pub nsfeat: u8,
    pub nmic: u8,
    pub rescap: u8,
    pub fpi: u8,
    pub anagrpid: U32,
    pub nsattr: u8,
    reserved_9: u8,
    pub nvmsetid: U16,
    pub endgid: U16,
    pub nstat: u8,
    reserved_15: [u8; 4081],
}

const _: () = {
    assert!(size_of::<IndependentNamespace>() == super::IDENTIFY_BYTES);
    assert!(offset_of!(IndependentNamespace, anagrpid) == 4);
    assert!(offset_of!(IndependentNamespace, nsattr) == 8);
    assert!(offset_of!(IndependentNamespace, endgid) == 12);
    assert!(offset_of!(IndependentNamespace, nstat) == 14);
};

impl IndependentNamespace {
    /// Looks at the first 4096 bytes of a private copy, in place; `None` if it is shorter. Any
    /// bytes make a structure: its values are claims.
    pub fn ref_from(bytes: &[u8]) -> Option<&Self> {
        Self::ref_from_prefix(bytes).ok().map(|(this, _)| this)
    }

    /// NSFEAT bit 4 (RMEDIA): whether the medium rotates.
    pub fn rotational(&self) -> bool {
        self.nsfeat & 0x10 != 0
    }

    /// NSFEAT bit 5 (VWCNP): whether this namespace has no volatile write cache, though the
    /// controller has one.
    pub fn without_write_cache(&self) -> bool {
        self.nsfeat & 0x20 != 0
    }

    /// NSATTR bit 0: whether the namespace is write protected now.
    pub fn write_protected(&self) -> bool {
        self.nsattr & 1 != 0
    }
}
