// SPDX-License-Identifier: GPL-2.0

//! A controller, from probe to removal.
//!
//! Each step of probe leaves a value whose drop undoes it, so a probe that fails has undone what
//! it did when it returns; removal is the drop of [`Controller`]. What a removal does is told by the
//! controller's state machine (`nvme_proto::life`).

use crate::{
    behavior,
    counters::{self, Counters},
    discard::Spare,
    failure,
    hardware::Hardware,
    instance::Instance,
    io::Io,
    io_queue::IoQueue,
    module_parameters,
    namespace::{identify, Scanner, Shared},
    registers::Registers,
    show::Show,
};
use core::sync::atomic::AtomicBool;
use kernel::{
    device::{Bound, Core},
    pci,
    prelude::*,
    str::CString,
    sync::Arc,
};
use kernel_ext::{
    block::mq::{GenDisk, QueueKinds, TagSet, TagSetConfig},
    dma,
    io::Mmio,
    irq::Vectors,
    pci::{self as pci_ext, InterruptLine},
    sysfs::{Entry, Group},
};
use nvme_proto::{
    command::{Cns, Command},
    identify::{IdentifyController, Text},
    life::{Answer, Event, Step},
    limits::check_controller,
    queue_plan::QueuePlan,
    sgl::SglSupport,
    PAGE,
};

/// The BAR with the registers.
const REGISTER_BAR: u32 = 0;

/// A controller with its disks: the driver's data of a bound device.
///
/// The disks go first, which waits for their requests. Then fields are dropped in order: the tag
/// set, the files in sysfs that look at the queues, the hardware. The instance number is free for
/// others last.
pub(crate) struct Controller<'bound> {
    disks: KVec<GenDisk<Io>>,
    _set: Option<Arc<TagSet<Io>>>,
    _files: (Group<Identity>, Group<counters::Shown>),
    hardware: Hardware<'bound>,
    _instance: Instance,
}

impl<'bound> Controller<'bound> {
    /// Brings the controller of `pdev` up and makes its disks. Sleeps.
    pub(crate) fn probe(pdev: &'bound pci::Device<Core<'_>>) -> Result<Self> {
        pci_ext::enable_until_unbind(pdev)?;
        // Until there are vectors nobody serves an interrupt.
        let line = InterruptLine::off(pdev);
        dma::set_mask(pdev, 64).or_else(|_| dma::set_mask(pdev, 32))?;
        // PRP entries keep the offset within a page, so bounce buffers must, too.
        dma::set_min_align_mask(pdev, PAGE - 1)?;
        let registers = Registers::new(Mmio::map(
            pdev,
            REGISTER_BAR,
            CString::try_from_fmt(fmt!("rnvme"))?,
        )?)?;
        if let Err(refused) = check_controller(registers.cap(), registers.len()) {
            dev_err!(pdev, "refused: {}\n", Show(refused));
            return Err(ENODEV);
        }
        let instance = Instance::take()?;
        let counters = Arc::new(Counters::new(&instance), GFP_KERNEL)?;
        if let Err(error) = registers.reset() {
            dev_err!(
                pdev,
                "the controller does not get disabled: {error:?}; given up\n"
            );
            return Err(error);
        }
        // Not before: a controller that somebody left enabled would go on with what it was told.
        pdev.set_master();
        let mut hardware = Hardware::enable(pdev, registers, line, counters.clone())?;

        let command = Command::identify(0, Cns::Controller, 0);
        let data = identify(&mut hardware.admin, &hardware.registers, pdev, command)
            .inspect_err(|error| dev_err!(pdev, "Identify Controller: {error}; given up\n"))?;
        let identity = IdentifyController::ref_from(&data[..]).ok_or(EIO)?;
        hardware.shutdown_ms = identity.shutdown_timeout_ms();
        let identity_files = describe(pdev, identity, &instance, &hardware.registers)?;

        let vectors = hardware.set_up_queues(&instance, &counters, identity.oacs.get())?;
        // No plan can come of it, since nobody else has told anything yet.
        let _ = hardware.life.on(Event::BroughtUp);
        let queues = hardware.queues()?;
        let counter_files =
            counters::add_files(pdev.as_ref(), hardware.queues()?, counters.clone())?;
        let mut disks = KVec::new();
        let set = if let Some(first) = queues.first() {
            let delays = behavior::agree(&mut hardware, identity)?;
            let shared = Shared {
                counters,
                retry_policy: failure::retry_policy(identity, delays),
                settled: AtomicBool::new(false),
                spare: Spare::new(&first.pools)?,
                sgl: SglSupport::parse(identity.sgls.get()),
                sgl_threshold: module_parameters::sgl_threshold.value(),
            };
            let set = new_tag_set(pdev, &vectors, hardware.plan, queues)?;
            disks = Scanner {
                pdev,
                registers: &hardware.registers,
                admin: &mut hardware.admin,
                controller: identity,
                instance: &instance,
                set: &set,
                shared: Arc::new(shared, GFP_KERNEL)?,
                nvm_controller: None,
                claims: 0,
            }
            .scan()?;
            Some(set)
        } else {
            dev_warn!(pdev, "{instance}: no I/O queues, so no disks\n");
            None
        };
        Ok(Controller {
            disks,
            _set: set,
            _files: (identity_files, counter_files),
            hardware,
            _instance: instance,
        })
    }
}

impl Controller<'_> {
    /// Does what comes of an event.
    fn carry_out(&mut self, answer: Answer) {
        let Answer::Do(plan) = answer else {
            return;
        };
        for step in plan.steps {
            match step {
                Step::RemoveDisks => self.disks.clear(),
                Step::MarkDead => {
                    for disk in &self.disks {
                        // Fails only for another device's disk, which there is none of here.
                        let _ = disk.mark_dead(self.hardware.pdev.as_ref());
                    }
                }
                step => self.hardware.carry_out(*step),
            }
        }
    }
}

impl Drop for Controller<'_> {
    fn drop(&mut self) {
        let removal = self.hardware.life.on(Event::Removal);
        if !self.hardware.registers.is_working() {
            // Nothing in flight will be answered: end it first, since the removal waits for it.
            dev_warn!(
                self.hardware.pdev,
                "the controller is gone or has failed; its requests end with an error\n"
            );
            let failure = self.hardware.life.on(Event::Fatal);
            self.carry_out(failure);
            let _ = self.hardware.life.on(Event::Ended);
        }
        // What this plan ends with is told by the drop of the hardware, after the tag set's.
        self.carry_out(removal);
    }
}

/// What sysfs says of the controller, in the PCI device's folder, where lsblk and others look.
struct Identity {
    model: Text<40>,
    serial: Text<20>,
    firmware: Text<8>,
}

static IDENTITY_FILES: [Entry<Identity>; 3] = [
    Entry {
        name: c"model",
        show: |identity, f| f.write_str(identity.model.as_str()),
    },
    Entry {
        name: c"serial",
        show: |identity, f| f.write_str(identity.serial.as_str()),
    },
    Entry {
        name: c"firmware_rev",
        show: |identity, f| f.write_str(identity.firmware.as_str()),
    },
];

/// Says in the log and in sysfs what the controller is.
fn describe(
    pdev: &pci::Device<Bound>,
    identity: &IdentifyController,
    instance: &Instance,
    registers: &Registers,
) -> Result<Group<Identity>> {
    let (model, serial) = (identity.model(), identity.serial());
    let (firmware, version) = (identity.firmware(), registers.version()?);
    dev_info!(
        pdev,
        "{instance}: {}, serial {}, firmware {}, NVMe {}\n",
        Show(model),
        Show(serial),
        Show(firmware),
        Show(version)
    );
    let shown = Identity {
        model,
        serial,
        firmware,
    };
    Group::add(pdev.as_ref(), None, shown, &IDENTITY_FILES)
}

/// Makes the tag set over `queues`, one hardware queue each, of the kinds that `plan` says.
fn new_tag_set(
    pdev: &pci::Device<Bound>,
    vectors: &Arc<Vectors>,
    plan: QueuePlan,
    queues: KVec<Arc<IoQueue>>,
) -> Result<Arc<TagSet<Io>>> {
    let depth = queues.first().map_or(0, |queue| queue.in_flight.depth());
    let config = TagSetConfig {
        queues: QueueKinds {
            default: plan.default.into(),
            read: plan.read.into(),
            poll: plan.poll.into(),
        },
        depth,
        first_vector: u32::from(vectors.count() > 1),
    };
    TagSet::new(pdev.as_ref(), config, queues)
}
