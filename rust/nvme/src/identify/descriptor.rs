// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Namespace Identification Descriptors (Base 5.1.13.2.4): a namespace's names that last.

use core::fmt;

use super::IdentifyNamespace;

/// Bytes before each identifier: type, length, two reserved.
const HEADER: usize = 4;

/// NIDT: the type of an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nidt {
    /// IEEE Extended Unique Identifier, 8 bytes.
    Eui64,
    /// Namespace Globally Unique Identifier, 16 bytes.
    Nguid,
    /// Namespace UUID, 16 bytes.
    Uuid,
    /// Command Set Identifier, 1 byte.
    Csi,
    /// A type that is newer than this code.
    Other(u8),
}

impl Nidt {
    const fn from_raw(raw: u8) -> Self {
        match raw {
            1 => Self::Eui64,
            2 => Self::Nguid,
            3 => Self::Uuid,
            4 => Self::Csi,
            other => Self::Other(other),
        }
    }

    /// The length that the type demands.
    const fn length(self) -> Option<usize> {
        match self {
            Self::Eui64 => Some(8),
            Self::Nguid | Self::Uuid => Some(16),
            Self::Csi => Some(1),
            Self::Other(_) => None,
        }
    }
}

/// What is wrong with a descriptor list. Walking ends there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptorError {
    /// A descriptor's length is not the one of its type.
    Length {
        /// Its type.
        nidt: Nidt,
        /// NIDL: the length that it claims.
        nidl: u8,
    },
    /// A descriptor claims more bytes than the list has.
    Overrun {
        /// Its type.
        nidt: Nidt,
        /// NIDL: the length that it claims.
        nidl: u8,
    },
    /// A type comes a second time.
    Repeated(Nidt),
}

impl fmt::Display for DescriptorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { nidt, nidl } => {
                write!(
                    f,
                    "namespace descriptor {nidt:?} has a wrong length, {nidl}"
                )
            }
            Self::Overrun { nidt, nidl } => write!(
                f,
                "namespace descriptor {nidt:?} of {nidl} bytes runs past the list"
            ),
            Self::Repeated(nidt) => write!(f, "namespace descriptor {nidt:?} comes twice"),
        }
    }
}

/// Walks a descriptor list up to a type or a length of 0, or its end. The first malformed
/// descriptor is given as an error and ends the walk.
#[derive(Clone, Debug)]
pub struct NamespaceDescriptors<'a> {
    rest: &'a [u8],
}

impl<'a> NamespaceDescriptors<'a> {
    /// Walks `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for NamespaceDescriptors<'a> {
    type Item = Result<(Nidt, &'a [u8]), DescriptorError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Emptied first: unless a good descriptor puts the remainder back, the walk is over.
        let (header, rest) = core::mem::take(&mut self.rest).split_first_chunk::<HEADER>()?;
        let &[nidt, nidl, _, _] = header;
        if nidt == 0 || nidl == 0 {
            return None;
        }
        let nidt = Nidt::from_raw(nidt);
        let length = usize::from(nidl);
        if nidt.length().is_some_and(|demanded| demanded != length) {
            return Some(Err(DescriptorError::Length { nidt, nidl }));
        }
        let Some((id, rest)) = rest.split_at_checked(length) else {
            return Some(Err(DescriptorError::Overrun { nidt, nidl }));
        };
        self.rest = rest;
        Some(Ok((nidt, id)))
    }
}

/// A namespace's identifiers. One of all zeros means none and is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamespaceIds {
    /// EUI64, as its bytes come.
    pub eui64: Option<[u8; 8]>,
    /// NGUID, as its bytes come.
    pub nguid: Option<[u8; 16]>,
    /// UUID, as its bytes come.
    pub uuid: Option<[u8; 16]>,
    /// Command Set Identifier; 0 is the NVM Command Set and does count.
    pub csi: Option<u8>,
}

impl NamespaceIds {
    /// Takes the identifiers from a descriptor list. A malformed list yields none at all: half
    /// a truth about which namespace this is would be worse.
    pub fn parse(bytes: &[u8]) -> Result<Self, DescriptorError> {
        let mut ids = Self::default();
        let mut seen = [false; 4];
        for descriptor in NamespaceDescriptors::new(bytes) {
            let (nidt, id) = descriptor?;
            let first = match nidt {
                Nidt::Eui64 => 0,
                Nidt::Nguid => 1,
                Nidt::Uuid => 2,
                Nidt::Csi => 3,
                Nidt::Other(_) => continue,
            };
            if let Some(seen) = seen.get_mut(first) {
                if core::mem::replace(seen, true) {
                    return Err(DescriptorError::Repeated(nidt));
                }
            }
            match nidt {
                Nidt::Eui64 => ids.eui64 = unless_zero(id),
                Nidt::Nguid => ids.nguid = unless_zero(id),
                Nidt::Uuid => ids.uuid = unless_zero(id),
                Nidt::Csi => ids.csi = id.first().copied(),
                Nidt::Other(_) => {}
            }
        }
        Ok(ids)
    }

    /// Fills in what only Identify Namespace tells, as older controllers do.
    #[must_use]
    pub fn or_from(mut self, namespace: &IdentifyNamespace) -> Self {
        self.eui64 = self.eui64.or_else(|| unless_zero(&namespace.eui64));
        self.nguid = self.nguid.or_else(|| unless_zero(&namespace.nguid));
        self
    }
}

fn unless_zero<const N: usize>(id: &[u8]) -> Option<[u8; N]> {
    let id: [u8; N] = id.try_into().ok()?;
    id.iter().any(|&byte| byte != 0).then_some(id)
}
