// SPDX-License-Identifier: GPL-2.0

//! What a namespace's queue can take: asked of the device, decided by `nvme_proto::queue_limits`,
//! and told to the block layer.
//!
//! NVM Express Base Specification 2.1, section 5.1.13; NVM Command Set Specification 1.1, section
//! 4.1.5. Documentation/limits.md has the table.

use crate::{
    admin::AdminError,
    io_queue::{full_list_pages, longest_transfer},
    namespace::{IdentifyData, Scanner},
};
use kernel::device::{Bound, Device};
use kernel_ext::{
    block::mq::{AtomicWrite, Discard, Limits},
    dma::{max_mapping_size, optimal_mapping_size},
};
use nvme_proto::{
    command::{Cns, Command},
    identify::{
        IdentifyControllerNvm, IdentifyNamespace, IdentifyNamespaceNvm, IndependentNamespace,
        NamespaceFormat,
    },
    queue_limits::{decide, Claims, Decision, HostLimits, QueueLimits, TransferTooShort},
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// The NVM Command Set's identifier.
pub(crate) const CSI_NVM: u8 = 0;

/// What is known of a namespace beyond its first identify data, where the controller has it.
#[derive(Default)]
pub(crate) struct Further {
    nvm_namespace: Option<IdentifyData>,
    independent: Option<IdentifyData>,
}

fn bytes(data: &Option<IdentifyData>) -> &[u8] {
    data.as_ref().map_or(&[], |data| &data[..])
}

impl Further {
    /// Identify Namespace for the NVM Command Set.
    pub(crate) fn nvm_namespace(&self) -> Option<&IdentifyNamespaceNvm> {
        IdentifyNamespaceNvm::ref_from(bytes(&self.nvm_namespace))
    }
}

/// The data that `command` asks for; none if the controller has none. Sleeps.
fn optional(
    scanner: &mut Scanner<'_>,
    command: Command,
) -> Result<Option<IdentifyData>, AdminError> {
    match scanner.identify(command) {
        Ok(data) => Ok(Some(data)),
        Err(AdminError::Status(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Identify Controller for the NVM Command Set. Sleeps.
pub(crate) fn ask_controller(
    scanner: &mut Scanner<'_>,
) -> Result<Option<IdentifyData>, AdminError> {
    // It is of revision 2.0, but was known before, and older controllers refuse what they do not
    // know.
    if !scanner.registers.version()?.at_least(1, 4) {
        return Ok(None);
    }
    optional(
        scanner,
        Command::identify_csi(0, Cns::CsiController, CSI_NVM),
    )
}

/// What else there is about namespace `nsid`. Sleeps.
pub(crate) fn ask_namespace(scanner: &mut Scanner<'_>, nsid: u32) -> Result<Further, AdminError> {
    let mut further = Further::default();
    if scanner.controller.extended_lba_formats() {
        let command = Command::identify_csi(nsid, Cns::CsiNamespace, CSI_NVM);
        further.nvm_namespace = optional(scanner, command)?;
    }
    if scanner.registers.version()?.at_least(2, 0) || scanner.registers.cap().crims() {
        let command = Command::identify(nsid, Cns::IndependentNamespace, 0);
        further.independent = optional(scanner, command)?;
    }
    Ok(further)
}

/// Decides the limits of a namespace's queue.
pub(crate) fn of_namespace(
    scanner: &Scanner<'_>,
    namespace: &IdentifyNamespace,
    further: &Further,
    format: &NamespaceFormat,
) -> Result<Decision, TransferTooShort> {
    let claims = Claims {
        controller: scanner.controller,
        namespace,
        nvm_controller: IdentifyControllerNvm::ref_from(bytes(&scanner.nvm_controller)),
        nvm_namespace: further.nvm_namespace(),
        independent: IndependentNamespace::ref_from(bytes(&further.independent)),
    };
    let host = host_limits(scanner.pdev.as_ref());
    decide(&claims, format, scanner.registers.cap(), &host)
}

fn host_limits(dev: &Device<Bound>) -> HostLimits {
    HostLimits {
        mappable: max_mapping_size(dev),
        longest_transfer: longest_transfer(),
        optimal_mapping: optimal_mapping_size(dev),
        list_pages: full_list_pages(),
    }
}

/// The same as the block layer has it.
pub(crate) fn for_block_layer(limits: &QueueLimits) -> Limits {
    Limits {
        logical_block_size: limits.logical_block_size,
        physical_block_size: limits.physical_block_size,
        io_min: limits.io_min,
        io_opt: limits.io_opt,
        max_transfer: limits.max_transfer,
        usual_transfer: limits.usual_transfer,
        chunk: limits.chunk,
        max_segments: limits.max_segments,
        virt_boundary_mask: limits.virt_boundary_mask,
        dma_alignment: limits.dma_alignment,
        write_cache: limits.write_cache,
        fua: limits.fua,
        rotational: limits.rotational,
        read_only: limits.read_only,
        discard: limits.discard.map(|discard| Discard {
            max_bytes: discard.max_bytes,
            max_ranges: discard.max_ranges,
            granularity: discard.granularity,
        }),
        max_write_zeroes: limits.write_zeroes.map_or(0, |zeroes| zeroes.max_bytes),
        write_zeroes_unmaps: limits.write_zeroes.is_some_and(|zeroes| zeroes.deallocate),
        atomic: Some(AtomicWrite {
            max: limits.atomic.max,
            boundary: limits.atomic.boundary,
            unit_min: limits.atomic.unit_min,
            unit_max: limits.atomic.unit_max,
        }),
        ..Limits::NONE
    }
}
