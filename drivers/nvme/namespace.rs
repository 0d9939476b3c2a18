// SPDX-License-Identifier: GPL-2.0

//! Namespaces: finding them, and making a disk of each.
//!
//! NVM Express Base Specification 2.1, sections 3.2.1 (namespaces) and 5.1.13 (Identify); NVM
//! Command Set Specification 1.1, section 4.1.5.1. What the controller says is copied out of DMA
//! memory once and parsed there; a namespace that makes no sense is left out with one message, the
//! others live.

use crate::{
    admin::{AdminError, AdminQueue},
    counters::Counters,
    discard::Spare,
    instance::Instance,
    io::Io,
    limits::{self, CSI_NVM},
    placement, protection,
    registers::Registers,
    show::Show,
    zoned::{self, Zoned},
};
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::{device::Bound, pci, prelude::*, sync::Arc};
use kernel_ext::{
    block::mq::{GenDisk, Limits, TagSet},
    dma::Coherent,
};
use nvme_proto::{
    command::{Cns, Command},
    dsm::DeallocateLimits,
    identify::{
        parse_namespace_list, IdentifyController, IdentifyNamespace, NamespaceFormat, NamespaceIds,
        MAX_NAMESPACES,
    },
    limits::io_transfer,
    placement::WriteStreams,
    protection::Metadata,
    queue_limits::{AtomicWrite, QueueLimits},
    retry::RetryPolicy,
    sgl::SglSupport,
    zoned::{ZoneLayout, CSI as CSI_ZONED},
};

#[cfg(CONFIG_KUNIT = "y")]
pub(crate) mod tests;

/// Bytes of an identify data structure.
const IDENTIFY_BYTES: usize = 4096;
/// 64-bit words of it.
const IDENTIFY_WORDS: usize = IDENTIFY_BYTES / 8;
/// How many claims that make no sense the log tells of.
const MAX_CLAIMS: u32 = 16;
/// Namespace ids of one active namespace list.
const LIST_IDS: usize = IDENTIFY_BYTES / 4;

/// What the disks of a controller share on the way of a request.
pub(crate) struct Shared {
    pub(crate) counters: Arc<Counters>,
    pub(crate) retry_policy: RetryPolicy,
    /// Whether probe is over: until then nobody could stop a long wait.
    pub(crate) settled: AtomicBool,
    pub(crate) spare: Arc<Spare>,
    /// What the controller can do with scatter gather lists, if anything.
    pub(crate) sgl: Option<SglSupport>,
    /// From how many bytes on a range of memory is worth a descriptor; 0: none is.
    pub(crate) sgl_threshold: u32,
}

/// What the way of a request needs to know of its namespace.
pub(crate) struct Namespace {
    pub(crate) nsid: u32,
    pub(crate) format: NamespaceFormat,
    /// Its zones, if it is made of any.
    pub(crate) zones: Option<ZoneLayout>,
    /// What comes with each block.
    pub(crate) metadata: Metadata,
    /// What one command may deallocate, if that is possible.
    pub(crate) deallocate: Option<DeallocateLimits>,
    /// Whether Write Zeroes may deallocate.
    pub(crate) zeroes_deallocate: bool,
    /// Which writes are whole or not at all.
    pub(crate) atomic: AtomicWrite,
    /// Its write streams, if it has any.
    pub(crate) streams: Option<KBox<WriteStreams>>,
    pub(crate) shared: Arc<Shared>,
}

impl Namespace {
    /// One of which only blocks can be read and written, or that a command of the driver's own is
    /// for.
    pub(crate) fn plain(nsid: u32, format: NamespaceFormat, shared: Arc<Shared>) -> Self {
        Namespace {
            nsid,
            format,
            zones: None,
            metadata: Metadata::None,
            deallocate: None,
            zeroes_deallocate: false,
            atomic: AtomicWrite::NONE,
            streams: None,
            shared,
        }
    }

    /// The first logical block and the 0's based count for `bytes` at 512-byte sector `sector`.
    #[inline]
    pub(crate) fn transfer(&self, sector: u64, bytes: u32) -> Option<(u64, u16)> {
        io_transfer(sector, bytes, &self.format)
    }
}

/// A private copy of identify data.
pub(crate) type IdentifyData = KBox<[u8; IDENTIFY_BYTES]>;

/// Asks for identify data with `command`. Sleeps.
pub(crate) fn identify(
    admin: &mut AdminQueue,
    registers: &Registers,
    pdev: &pci::Device<Bound>,
    command: Command,
) -> Result<IdentifyData, AdminError> {
    let buffer =
        Arc::new(Coherent::new(pdev.as_ref(), IDENTIFY_WORDS)?, GFP_KERNEL).map_err(Error::from)?;
    admin.execute(registers, command, Some(&buffer))?;
    private_copy(&buffer)
}

/// What `buffer` holds, and zeros beyond its end.
pub(crate) fn private_copy(buffer: &Coherent) -> Result<IdentifyData, AdminError> {
    let mut data = KBox::new([0u8; IDENTIFY_BYTES], GFP_KERNEL).map_err(Error::from)?;
    for (index, bytes) in data.chunks_exact_mut(8).enumerate() {
        let word = buffer.read(index).unwrap_or(0);
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Ok(data)
}

/// What making disks takes.
pub(crate) struct Scanner<'a> {
    pub(crate) pdev: &'a pci::Device<Bound>,
    pub(crate) registers: &'a Registers,
    pub(crate) admin: &'a mut AdminQueue,
    pub(crate) controller: &'a IdentifyController,
    pub(crate) instance: &'a Instance,
    pub(crate) set: &'a Arc<TagSet<Io>>,
    pub(crate) shared: Arc<Shared>,
    /// Identify Controller for the NVM Command Set, once it was asked for.
    pub(crate) nvm_controller: Option<IdentifyData>,
    /// How many claims about namespaces were left out so far.
    pub(crate) claims: u32,
}

impl Scanner<'_> {
    /// Makes a disk of each active namespace. Sleeps; partitions are read.
    pub(crate) fn scan(&mut self) -> Result<KVec<GenDisk<Io>>> {
        self.nvm_controller = limits::ask_controller(self)?;
        let mut disks = KVec::new();
        for nsid in self.active_namespaces()? {
            match self.add(nsid) {
                Ok(Some(disk)) => disks.push(disk, GFP_KERNEL)?,
                Ok(None) => {}
                Err(AdminError::Status(status)) => {
                    dev_err!(self.pdev, "namespace {nsid}: left out: {}\n", Show(status));
                }
                // A controller that does not answer will not do so for the next one either.
                Err(AdminError::Kernel(error)) => {
                    dev_err!(
                        self.pdev,
                        "namespace {nsid}: no answer: {error:?}; given up\n"
                    );
                    return Err(error);
                }
            }
        }
        self.shared.settled.store(true, Ordering::Relaxed);
        Ok(disks)
    }

    /// Asks for identify data with `command`. Sleeps.
    pub(crate) fn identify(&mut self, command: Command) -> Result<IdentifyData, AdminError> {
        identify(self.admin, self.registers, self.pdev, command)
    }

    /// The ids of the active namespaces, in ascending order, at most [`MAX_NAMESPACES`].
    fn active_namespaces(&mut self) -> Result<KVec<u32>> {
        let mut ids = KVec::new();
        // The list came with revision 1.1; before it, ids are tried from 1 on.
        if !self.registers.version()?.at_least(1, 1) {
            for nsid in 1..=self.controller.nn.get().min(MAX_NAMESPACES as u32) {
                ids.push(nsid, GFP_KERNEL)?;
            }
            return Ok(ids);
        }
        let mut after = 0;
        loop {
            let data = self.identify(Command::identify(after, Cns::ActiveNamespaceList, 0))?;
            let before = ids.len();
            for nsid in parse_namespace_list(&data[..], after) {
                let nsid = match nsid {
                    Ok(nsid) => nsid,
                    Err(error) => {
                        dev_err!(
                            self.pdev,
                            "active namespace list: {}; the rest is left out\n",
                            Show(error)
                        );
                        return Ok(ids);
                    }
                };
                if ids.len() >= MAX_NAMESPACES {
                    dev_err!(
                        self.pdev,
                        "more than {MAX_NAMESPACES} namespaces; the rest is left out\n"
                    );
                    return Ok(ids);
                }
                ids.push(nsid, GFP_KERNEL)?;
                after = nsid;
            }
            if ids.len().wrapping_sub(before) < LIST_IDS {
                return Ok(ids);
            }
        }
    }

    /// Makes a disk of namespace `nsid`; none if it is not active or not for block I/O.
    fn add(&mut self, nsid: u32) -> Result<Option<GenDisk<Io>>, AdminError> {
        let data = self.identify(Command::identify(nsid, Cns::Namespace, 0))?;
        let identify = IdentifyNamespace::ref_from(&data[..]).ok_or(EIO)?;
        let format = match identify.format() {
            Ok(format) => format,
            Err(refused) => {
                dev_warn!(self.pdev, "namespace {nsid}: left out: {}\n", Show(refused));
                return Ok(None);
            }
        };
        let zoned = match self.ids(nsid, identify)?.csi {
            // What does not say may be of any of the sets that the controller was enabled with.
            None if self.registers.cap().supports_command_set_selection() => {
                dev_warn!(
                    self.pdev,
                    "namespace {nsid}: left out: it does not say its command set\n"
                );
                return Ok(None);
            }
            None | Some(CSI_NVM) => None,
            Some(CSI_ZONED) => match zoned::ask(self, nsid, identify, &format)? {
                None => return Ok(None),
                zoned => zoned,
            },
            Some(csi) => {
                dev_warn!(
                    self.pdev,
                    "namespace {nsid}: left out: command set {csi:#x} is not supported\n"
                );
                return Ok(None);
            }
        };
        let further = limits::ask_namespace(self, nsid)?;
        let extended = self.controller.extended_lba_formats();
        let nvm = further.nvm_namespace();
        let metadata = match protection::decide(identify, nvm, extended, &format) {
            Ok(metadata) => metadata,
            Err(refused) => {
                dev_warn!(self.pdev, "namespace {nsid}: left out: {}\n", Show(refused));
                return Ok(None);
            }
        };
        let decision = match limits::of_namespace(self, identify, &further, &format) {
            Ok(decision) => decision,
            Err(refused) => {
                dev_warn!(self.pdev, "namespace {nsid}: left out: {}\n", Show(refused));
                return Ok(None);
            }
        };
        for claim in decision.ignored.iter() {
            self.claims = self.claims.wrapping_add(1);
            if self.claims <= MAX_CLAIMS {
                dev_info!(self.pdev, "namespace {nsid}: {}\n", Show(claim));
            }
        }
        let streams = placement::ask(self, nsid, identify, &format)?;
        let limits = match zoned {
            Some(zoned) => zoned.in_zones(decision.limits),
            None => decision.limits,
        };
        Ok(self.add_disk(nsid, format, metadata, &limits, zoned, streams))
    }

    /// Makes the disk; if that fails, the others are made all the same.
    fn add_disk(
        &self,
        nsid: u32,
        format: NamespaceFormat,
        metadata: Metadata,
        limits: &QueueLimits,
        zoned: Option<Zoned>,
        streams: Option<KBox<WriteStreams>>,
    ) -> Option<GenDisk<Io>> {
        let instance = self.instance;
        let queue = Limits {
            zones: zoned.map(|zoned| {
                let min_page = self.registers.cap().min_page_size();
                let mut zones = zoned.for_block_layer(min_page, limits.max_transfer);
                if metadata.is_some() {
                    // The tags of an append would be those of another place.
                    zones.max_append = 0;
                }
                zones
            }),
            ..limits::for_block_layer(limits)
        };
        let disk = GenDisk::add(
            self.pdev.as_ref(),
            self.set.clone(),
            fmt!("{instance}n{nsid}"),
            Limits {
                integrity: protection::for_block_layer(&metadata),
                ..placement::with_streams(queue, streams.as_deref())
            },
            format.capacity_sectors,
            Namespace {
                zones: zoned.map(|zoned| zoned.layout),
                metadata,
                deallocate: limits.discard.map(|discard| discard.command),
                zeroes_deallocate: limits.write_zeroes.is_some_and(|zeroes| zeroes.deallocate),
                atomic: limits.atomic,
                streams,
                ..Namespace::plain(nsid, format, self.shared.clone())
            },
        );
        match &disk {
            Ok(_) => {
                dev_info!(
                    self.pdev,
                    "{instance}n{nsid}: {} blocks of {} bytes\n",
                    format.blocks,
                    format.logical_block_size()
                );
                if metadata.is_some() {
                    dev_info!(self.pdev, "{instance}n{nsid}: {}\n", Show(metadata));
                }
            }
            Err(error) => dev_err!(self.pdev, "{instance}n{nsid}: no disk: {error:?}\n"),
        }
        disk.ok()
    }

    /// The identifiers of namespace `nsid`: from its descriptors, else from its identify data.
    fn ids(&mut self, nsid: u32, identify: &IdentifyNamespace) -> Result<NamespaceIds, AdminError> {
        let mut ids = NamespaceIds::default();
        let several_sets = self.registers.cap().supports_command_set_selection();
        if several_sets || self.registers.version()?.at_least(1, 3) {
            let command = Command::identify(nsid, Cns::NamespaceDescriptors, 0);
            match self.identify(command) {
                Ok(data) => match NamespaceIds::parse(&data[..]) {
                    Ok(parsed) => ids = parsed,
                    Err(error) => dev_warn!(
                        self.pdev,
                        "namespace {nsid}: descriptors: {}\n",
                        Show(error)
                    ),
                },
                Err(AdminError::Status(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ids.or_from(identify))
    }
}
