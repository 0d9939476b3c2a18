// SPDX-License-Identifier: GPL-2.0

//! A controller, from probe to removal.
//!
//! Each step of probe leaves a value whose drop undoes it, so a probe that fails has undone what
//! it did when it returns; removal is the drop of [`Controller`].

use crate::{
    counters::{Counters, DebugFiles},
    hardware::Hardware,
    instance::Instance,
    io::Io,
    io_queue::IoQueue,
    namespace::{identify, Scanner},
    registers::Registers,
    show::Show,
};
use kernel::{
    device::{Bound, Core},
    pci,
    prelude::*,
    str::CString,
    sync::Arc,
};
use kernel_ext::{
    block::mq::{GenDisk, TagSet, TagSetConfig},
    dma,
    io::Mmio,
    irq::Vectors,
    pci as pci_ext, sysfs,
};
use nvme_proto::{
    command::{Cns, Command},
    identify::IdentifyController,
    limits::check_controller,
};

/// The BAR with the registers.
const REGISTER_BAR: u32 = 0;

/// A controller with its disks: the driver's data of a bound device.
///
/// Fields are dropped in order: the disks, which waits for their requests, the tag set, the files
/// that look at the queues, the hardware. The instance number is free for others last.
pub(crate) struct Controller<'bound> {
    disks: KVec<GenDisk<Io>>,
    _set: Option<Arc<TagSet<Io>>>,
    _debugfs: DebugFiles,
    hardware: Hardware<'bound>,
    _instance: Instance,
}

impl<'bound> Controller<'bound> {
    /// Brings the controller of `pdev` up and makes its disks. Sleeps.
    pub(crate) fn probe(pdev: &'bound pci::Device<Core<'_>>) -> Result<Self> {
        // Without its interrupt line: until there are vectors nobody serves an interrupt.
        pci_ext::enable_until_unbind(pdev)?;
        pdev.set_master();
        dma::set_mask(pdev, 64).or_else(|_| dma::set_mask(pdev, 32))?;
        let registers = Registers::new(Mmio::map(pdev, REGISTER_BAR, c"rnvme")?)?;
        if let Err(refused) = check_controller(registers.cap(), registers.len()) {
            dev_err!(pdev, "refused: {}\n", Show(refused));
            return Err(ENODEV);
        }
        let instance = Instance::take()?;
        let counters = Arc::new(Counters::new(&instance), GFP_KERNEL)?;
        let mut hardware = Hardware::enable(pdev, registers, counters.clone())?;

        let command = Command::identify(0, Cns::Controller, 0);
        let data = identify(&mut hardware.admin, &hardware.registers, pdev, command)
            .inspect_err(|error| dev_err!(pdev, "Identify Controller: {error}; given up\n"))?;
        let identity = IdentifyController::ref_from(&data[..]).ok_or(EIO)?;
        hardware.shutdown_ms = identity.shutdown_timeout_ms();
        describe(pdev, identity, &instance, &hardware.registers)?;

        let vectors = hardware.set_up_queues(&instance, &counters)?;
        let queues = hardware.queues()?;
        let debugfs = DebugFiles::new(&instance, &queues, counters)?;
        let mut disks = KVec::new();
        let set = if queues.is_empty() {
            dev_warn!(pdev, "{instance}: no I/O queues, so no disks\n");
            None
        } else {
            let set = new_tag_set(pdev, &vectors, queues)?;
            disks = Scanner {
                pdev,
                registers: &hardware.registers,
                admin: &mut hardware.admin,
                controller: identity,
                instance: &instance,
                set: &set,
            }
            .scan()?;
            Some(set)
        };
        Ok(Controller {
            disks,
            _set: set,
            _debugfs: debugfs,
            hardware,
            _instance: instance,
        })
    }
}

impl Drop for Controller<'_> {
    fn drop(&mut self) {
        if !self.hardware.registers.is_gone() {
            return;
        }
        // The device will answer nothing that is in flight, and has stopped writing to memory.
        dev_warn!(
            self.hardware.pdev,
            "the device is gone; its requests end with an error\n"
        );
        for disk in &self.disks {
            // Fails only for another device's disk, which there is none of here.
            let _ = disk.mark_dead(self.hardware.pdev.as_ref());
        }
        self.hardware.stop_queues();
        self.hardware.cancel_requests();
    }
}

/// Says in the log and in sysfs what the controller is.
fn describe(
    pdev: &pci::Device<Bound>,
    identity: &IdentifyController,
    instance: &Instance,
    registers: &Registers,
) -> Result {
    let (model, serial) = (Show(identity.model()), Show(identity.serial()));
    let (firmware, version) = (Show(identity.firmware()), Show(registers.version()?));
    dev_info!(
        pdev,
        "{instance}: {model}, serial {serial}, firmware {firmware}, NVMe {version}\n"
    );
    sysfs::add_text(
        pdev.as_ref(),
        c"model",
        CString::try_from_fmt(fmt!("{model}"))?,
    )?;
    sysfs::add_text(
        pdev.as_ref(),
        c"serial",
        CString::try_from_fmt(fmt!("{serial}"))?,
    )?;
    sysfs::add_text(
        pdev.as_ref(),
        c"firmware_rev",
        CString::try_from_fmt(fmt!("{firmware}"))?,
    )
}

/// Makes the tag set over `queues`: one hardware queue each.
fn new_tag_set(
    pdev: &pci::Device<Bound>,
    vectors: &Arc<Vectors>,
    queues: KVec<Arc<IoQueue>>,
) -> Result<Arc<TagSet<Io>>> {
    let depth = queues.first().map_or(0, |queue| queue.in_flight.depth());
    let config = TagSetConfig {
        queues: queues.len().try_into()?,
        depth,
        first_vector: u32::from(vectors.count() > 1),
        numa_node: pci_ext::numa_node(pdev),
    };
    TagSet::new(pdev.as_ref(), config, queues)
}
