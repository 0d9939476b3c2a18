// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The Active Namespace ID list (Base 5.1.13.2.3): which namespaces a controller has.

use core::fmt;
use core::slice::ChunksExact;

/// The most namespaces that a controller may have: as many as one list holds. What is beyond
/// is left out, so that a device cannot keep its host scanning for ever.
pub const MAX_NAMESPACES: usize = 1024;

/// The lowest of the values that name no single namespace (Base 3.2.1.2).
const FIRST_RESERVED: u32 = 0xffff_fffe;

/// What is wrong with a list. The scan ends at the first such entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceListError {
    /// An identifier is not higher than the one before.
    NotAscending {
        /// The identifier before.
        previous: u32,
        /// The one that should be higher.
        found: u32,
    },
    /// An identifier that no namespace can have.
    Reserved(u32),
}

impl fmt::Display for NamespaceListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAscending { previous, found } => write!(
                f,
                "namespace list: {found} after {previous}, which is not ascending; the rest is left out"
            ),
            Self::Reserved(nsid) => write!(
                f,
                "namespace list: {nsid:#x} is no namespace; the rest is left out"
            ),
        }
    }
}

/// Walks a list: strictly ascending identifiers up to a 0 or the list's end. The first violation
/// is given as an error and ends the walk.
#[derive(Clone, Debug)]
pub struct ActiveNamespaces<'a> {
    entries: ChunksExact<'a, u8>,
    previous: u32,
    ended: bool,
}

impl<'a> ActiveNamespaces<'a> {
    /// Walks the first 4096 bytes of `bytes`; identifiers must be above `after`, the NSID that
    /// the command named.
    pub fn new(bytes: &'a [u8], after: u32) -> Self {
        let list = bytes.get(..super::IDENTIFY_BYTES).unwrap_or(bytes);
        Self {
            entries: list.chunks_exact(4),
            previous: after,
            ended: false,
        }
    }

    fn checked(&self, nsid: u32) -> Result<u32, NamespaceListError> {
        if nsid >= FIRST_RESERVED {
            return Err(NamespaceListError::Reserved(nsid));
        }
        if nsid <= self.previous {
            return Err(NamespaceListError::NotAscending {
                previous: self.previous,
                found: nsid,
            });
        }
        Ok(nsid)
    }
}

impl Iterator for ActiveNamespaces<'_> {
    type Item = Result<u32, NamespaceListError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.entries.next()?;
        let nsid = u32::from_le_bytes(entry.try_into().ok()?);
        if nsid == 0 {
            self.ended = true;
            return None;
        }
        let checked = self.checked(nsid);
        self.ended = checked.is_err();
        self.previous = nsid;
        Some(checked)
    }
}

/// Walks a namespace list; see [`ActiveNamespaces`].
pub fn parse_namespace_list(
    bytes: &[u8],
    after: u32,
) -> impl Iterator<Item = Result<u32, NamespaceListError>> + '_ {
    ActiveNamespaces::new(bytes, after)
}
