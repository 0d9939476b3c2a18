// SPDX-License-Identifier: GPL-2.0

//! Metadata and protection information: what the block layer is told of a namespace's, and what a
//! command carries for it.
//!
//! NVM Command Set Specification 1.1, section 5.3. What a format means is
//! `nvme_proto::protection`'s to say. The tuples themselves are made and checked by the block layer,
//! and checked by the controller as well; where the block layer leaves it (users can switch it off)
//! or cannot (they would lie among the data), the controller makes and strips them.
//! Documentation/protection.md has the table.

use crate::{io::Io, namespace::Namespace};
use kernel_ext::block::{
    mq::{Checksum, Integrity, IntegrityChecks, Op, Request},
    Status as BlockStatus,
};
use nvme_proto::{
    command::Command,
    identify::{IdentifyNamespace, IdentifyNamespaceNvm, NamespaceFormat, NamespaceRefused},
    protection::{Checks, Guard, Metadata, Tuples},
};

/// What comes with each block of a namespace of this `format`, as far as it can be dealt with
/// here. `nvm` and `extended` are as [`IdentifyNamespace::metadata`] takes them.
pub(crate) fn decide(
    identify: &IdentifyNamespace,
    nvm: Option<&IdentifyNamespaceNvm>,
    extended: bool,
    format: &NamespaceFormat,
) -> Result<Metadata, NamespaceRefused> {
    let metadata = identify.metadata(nvm, extended)?;
    match for_block_layer(&metadata) {
        Some(integrity) if !integrity.fits(format.logical_block_size()) => {
            metadata.not_carried().map_err(NamespaceRefused::Metadata)
        }
        _ => Ok(metadata),
    }
}

/// The metadata as the block layer has it; none where it has nothing to do with it.
pub(crate) fn for_block_layer(metadata: &Metadata) -> Option<Integrity> {
    match metadata {
        Metadata::None | Metadata::Inserted(_) => None,
        Metadata::Opaque(bytes) => Some(Integrity {
            checksum: Checksum::None,
            metadata_size: *bytes,
            tuple_offset: 0,
            tag_size: 0,
            reference_tag: false,
        }),
        Metadata::Protected(info) => Some(Integrity {
            checksum: match info.guard {
                Guard::Crc16 => Checksum::Crc16,
                Guard::Crc64 => Checksum::Crc64,
            },
            metadata_size: info.metadata_size,
            tuple_offset: info.offset,
            tag_size: info.tag_size(),
            reference_tag: info.has_reference_tag(),
        }),
    }
}

fn asked(checks: IntegrityChecks) -> Checks {
    Checks {
        guard: checks.guard,
        application: checks.application,
        reference: checks.reference,
    }
}

/// `command`, a Read or Write of `blocks` blocks for `rq`, with what its metadata needs, which is
/// mapped. For a namespace with metadata.
pub(crate) fn carry(
    namespace: &Namespace,
    rq: &mut Request<Io>,
    command: Command,
    blocks: u32,
) -> Result<Command, BlockStatus> {
    let carried = rq.integrity();
    let (command, bytes) = match (&namespace.metadata, carried) {
        (Metadata::None, None) => return Ok(command),
        (Metadata::Inserted(info), None) => {
            // Nobody else looks at them. What the controller makes it does not check.
            let checks = match rq.op() {
                Op::Read => info.safe_checks(),
                _ => Checks::default(),
            };
            return Ok(command.with_protection(info, Tuples::Inserted, checks));
        }
        (Metadata::Protected(info), None) if info.can_be_stripped() => {
            return Ok(command.with_protection(info, Tuples::Inserted, Checks::default()));
        }
        // What was asked for and cannot be checked must not look as if it had been.
        (Metadata::Protected(info), Some(checks))
            if checks.reference && !info.has_reference_tag() =>
        {
            return Err(BlockStatus::INVALID);
        }
        (Metadata::Opaque(_), Some(checks)) if checks != IntegrityChecks::default() => {
            return Err(BlockStatus::INVALID);
        }
        (Metadata::Protected(info), Some(checks)) => (
            command.with_protection(info, Tuples::Carried, asked(checks)),
            info.metadata_bytes(blocks),
        ),
        (Metadata::Opaque(size), Some(_)) => {
            let bytes = u64::from(blocks).wrapping_mul((*size).into());
            (command, bytes)
        }
        // The block layer brings metadata where there is room for some, and only there.
        _ => return Err(BlockStatus::NOT_SUPPORTED),
    };
    let mapped = rq.map_integrity(bytes)?;
    Ok(command.with_metadata(mapped.addr))
}

/// `command`, a Write Zeroes, with what tuples need: the controller makes them.
#[inline]
pub(crate) fn zeroes(namespace: &Namespace, command: Command) -> Command {
    match &namespace.metadata {
        Metadata::Protected(info) | Metadata::Inserted(info) => {
            command.with_protection(info, Tuples::Inserted, Checks::default())
        }
        Metadata::None | Metadata::Opaque(_) => command,
    }
}
