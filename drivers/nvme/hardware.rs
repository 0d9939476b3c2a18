// SPDX-License-Identifier: GPL-2.0

//! The enabled controller and its queues.
//!
//! [`Hardware`] owns all memory that the controller has been told of: it is there before the
//! controller learns of it, and stays until the controller is disabled or off the bus. Dropping
//! it is the tear-down, in the order that Documentation/lifetimes.md gives and the controller's
//! state machine (`nvme_proto::life`) tells.
//!
//! NVM Express Base Specification 2.1, sections 3.5.1 (initialisation) and 3.6.1 (shutdown).

use crate::{
    admin::{AdminError, AdminQueue},
    cmb::ControllerMemory,
    counters::Counters,
    doorbell::ShadowBuffers,
    instance::Instance,
    io_queue::{Completions, IoQueue, ListPools, NodePools, QueueMemory},
    module_parameters,
    registers::Registers,
    show::Show,
};
use kernel::{device::Bound, pci, prelude::*, str::CString, sync::Arc};
use kernel_ext::{
    irq::{Kind, Line, Vectors},
    numa::Node,
    pci::{self as pci_ext, InterruptLine},
};
use nvme_proto::{
    command::Command,
    completion::Completion,
    feature::{number_of_queues_request, FeatureId, NumberOfQueues},
    life::{Answer, Event, Life, Step},
    limits::{queue_entries, queues_that_fit},
    queue_plan::{QueuePlan, QueueWish},
    shadow::OACS_DOORBELL_BUFFER_CONFIG,
};

/// How long a shutdown may take before the controller has said what it needs.
const DEFAULT_SHUTDOWN_MS: u32 = 5_000;

/// How much of a queue pair the controller knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Created {
    Nothing,
    CompletionQueue,
    Both,
}

/// An I/O queue pair. Its memory is here before the controller learns of it, and stays until the
/// controller is disabled.
struct QueuePair {
    queue: Arc<IoQueue>,
    completions: Line<Completions>,
    created: Created,
}

impl QueuePair {
    /// Leaves the completions to those who poll for them.
    fn give_to_pollers(&mut self) {
        if let Line::Detached(completions) = core::mem::replace(&mut self.completions, Line::Lost) {
            *self.queue.polled.lock() = Some(completions);
        }
    }

    /// Takes the completions back from the interrupt or from those who poll. May sleep.
    fn take_back(&mut self) {
        let polled = self.queue.polled.lock().take();
        match polled {
            Some(completions) => self.completions = Line::Detached(completions),
            None => {
                self.completions.detach();
            }
        }
    }
}

/// How many I/O queue pairs have their doorbells in the BAR.
fn room_for_queues(registers: &Registers) -> u16 {
    queues_that_fit(registers.len(), registers.cap().doorbell_stride()).unwrap_or(0)
}

/// The I/O queues that there should be.
fn wish() -> QueueWish {
    QueueWish {
        cpus: pci_ext::possible_queues(),
        write: module_parameters::write_queues.value(),
        poll: module_parameters::poll_queues.value(),
        most: module_parameters::max_io_queues.value(),
    }
}

/// How many entries an I/O queue has.
fn entries_of_queues(registers: &Registers) -> Result<u16> {
    let depth = module_parameters::io_queue_depth.value();
    queue_entries(registers.cap(), depth).map_err(|_| ENODEV)
}

/// The enabled controller with its queues; dropping it shuts the controller down.
pub(crate) struct Hardware<'bound> {
    pub(crate) pdev: &'bound pci::Device<Bound>,
    /// Without a lock: probe and removal, which exclude each other, are all that there is.
    pub(crate) life: Life,
    pub(crate) registers: Registers,
    pub(crate) admin: AdminQueue,
    /// In order of queue ids, from 1 on.
    pairs: KVec<QueuePair>,
    /// How they are shared out.
    pub(crate) plan: QueuePlan,
    pub(crate) shutdown_ms: u32,
    /// Doorbells in memory, once the controller looks there. Until it is disabled.
    shadow: Option<Arc<ShadowBuffers>>,
    /// The same, if the controller was told of them and refused: it may look there all the same.
    shadow_refused: Option<Arc<ShadowBuffers>>,
    /// The controller's own memory, where submission queues are in it.
    memory: Option<ControllerMemory>,
    line: InterruptLine<'bound>,
}

impl<'bound> Hardware<'bound> {
    /// Enables the controller, which has been reset, with fresh admin queues.
    pub(crate) fn enable(
        pdev: &'bound pci::Device<Bound>,
        registers: Registers,
        line: InterruptLine<'bound>,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        let admin = AdminQueue::new(pdev, &registers, counters)?;
        let mut life = Life::new();
        let fit = room_for_queues(&registers);
        let entries = entries_of_queues(&registers)?;
        let memory = ControllerMemory::find(pdev, &registers, wish().total(fit), entries);
        // The first event: the plan, to bring the controller up, is what follows here.
        let _ = life.on(Event::Probe);
        let hardware = Hardware {
            pdev,
            life,
            registers,
            admin,
            pairs: KVec::new(),
            plan: QueuePlan::default(),
            shutdown_ms: DEFAULT_SHUTDOWN_MS,
            shadow: None,
            shadow_refused: None,
            memory,
            line,
        };
        // From here on the drop disables the controller again.
        if let Err(error) = hardware.registers.enable() {
            let status = hardware.registers.status().raw();
            dev_err!(
                pdev,
                "the controller does not get ready: {error:?}, CSTS {status:#010x}; given up\n"
            );
            return Err(error);
        }
        Ok(hardware)
    }

    fn execute(&mut self, command: Command) -> Result<Completion, AdminError> {
        self.admin.execute(&self.registers, command, None)
    }

    /// Has the controller look for doorbells in memory, those of the I/O queues up to `last_qid`,
    /// before there are any.
    fn use_shadow_doorbells(&mut self, last_qid: u16) -> Result {
        if module_parameters::shadow_doorbells.value() == 0 {
            return Ok(());
        }
        let stride = self.registers.cap().doorbell_stride();
        let Ok(Some(buffers)) = ShadowBuffers::new(self.pdev.as_ref(), last_qid, stride) else {
            // Too many queues for a page, or no memory for what is not needed.
            return Ok(());
        };
        let (shadow, event) = buffers.dma_addresses();
        // Here before the controller learns of it, as all of its memory.
        self.shadow = Some(buffers);
        match self.execute(Command::doorbell_buffer_config(shadow, event)) {
            Ok(_) => Ok(()),
            Err(AdminError::Status(status)) => {
                dev_warn!(
                    self.pdev,
                    "Doorbell Buffer Config: {}; doorbells are rung in the BAR\n",
                    Show(status)
                );
                self.shadow_refused = self.shadow.take();
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// How many I/O queue pairs the controller grants of `wanted`; 0 if it refuses.
    fn negotiate_queues(&mut self, wanted: u16) -> Result<u16> {
        let cdw11 = number_of_queues_request(wanted);
        match self.execute(Command::set_features(FeatureId::NumberOfQueues, cdw11)) {
            Ok(reply) => Ok(NumberOfQueues::granted(reply.dw0(), wanted)),
            Err(AdminError::Status(status)) => {
                dev_err!(
                    self.pdev,
                    "no I/O queues: Set Features, Number of Queues: {}\n",
                    Show(status)
                );
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Allocates the next queue pair and creates it in the controller, for interrupt `vector` or to
    /// be polled.
    fn create_queue(
        &mut self,
        entries: u16,
        vector: Option<u16>,
        pools: ListPools,
        counters: &Arc<Counters>,
    ) -> Result<(), AdminError> {
        let qid = u16::try_from(self.pairs.len())
            .unwrap_or(u16::MAX)
            .saturating_add(1);
        let dev = self.pdev.as_ref();
        let place = self.memory.as_ref().and_then(|memory| memory.place(qid));
        let (queue, completions, at) = IoQueue::new(
            dev,
            &self.registers,
            qid,
            entries,
            QueueMemory { pools, place },
            counters.clone(),
            self.shadow.as_ref(),
        )?;
        let completions = Line::Detached(completions);
        let pair = QueuePair {
            queue,
            completions,
            created: Created::Nothing,
        };
        self.pairs.push(pair, GFP_KERNEL).map_err(Error::from)?;
        for (command, created) in [
            (
                Command::create_io_cq(qid, entries, at.cq, vector),
                Created::CompletionQueue,
            ),
            (
                Command::create_io_sq(qid, entries, at.sq, qid),
                Created::Both,
            ),
        ] {
            self.execute(command)?;
            if let Some(pair) = self.pairs.last_mut() {
                pair.created = created;
            }
        }
        Ok(())
    }

    /// Creates the I/O queue pairs of `plan` with their interrupts, and says how many there are:
    /// fewer if the controller refuses one.
    fn create_queues(
        &mut self,
        plan: QueuePlan,
        entries: u16,
        vectors: &Arc<Vectors>,
        pools: &mut NodePools,
        instance: &Instance,
        counters: &Arc<Counters>,
    ) -> Result<u16> {
        let count = plan.total();
        for qid in 1..=count {
            let vector = match (plan.is_polled(qid), vectors.count()) {
                (true, _) => None,
                // With one vector for all, the admin queue and the I/O queue share it.
                (false, 1) => Some(0),
                (false, _) => Some(qid),
            };
            let node = match vector {
                Some(vector) => vectors.node(self.pdev, vector.into()),
                None => Node::of_spread_queue(plan.polled_index(qid).into(), plan.poll.into()),
            };
            let pools = pools.of_node(self.pdev.as_ref(), node)?;
            match self.create_queue(entries, vector, pools, counters) {
                Ok(()) => {}
                Err(AdminError::Status(status)) => {
                    dev_err!(
                        self.pdev,
                        "I/O queue {qid} of {count} refused: {}; going on with fewer\n",
                        Show(status)
                    );
                    return Ok(qid.saturating_sub(1));
                }
                Err(error) => return Err(error.into()),
            }
            let name = CString::try_from_fmt(fmt!("{instance}q{qid}"))?;
            match (self.pairs.last_mut(), vector) {
                (Some(pair), Some(vector)) => {
                    pair.completions
                        .attach(self.pdev, vectors, vector.into(), name)?;
                }
                (Some(pair), None) => pair.give_to_pollers(),
                (None, _) => {}
            }
        }
        Ok(count)
    }

    /// Negotiates the number of I/O queues, allocates the interrupt vectors and creates the queues.
    ///
    /// The least of what the CPUs can use, the doorbells in the BAR, the grant of the controller
    /// and the vectors decides. From here on admin commands are answered by interrupt.
    pub(crate) fn set_up_queues(
        &mut self,
        instance: &Instance,
        counters: &Arc<Counters>,
        oacs: u16,
    ) -> Result<Arc<Vectors>> {
        let pdev = self.pdev;
        let fit = room_for_queues(&self.registers);
        let wish = wish();
        let wanted = wish.total(fit);
        let granted = if wanted == 0 {
            0
        } else {
            self.negotiate_queues(wanted)?
        };
        let entries = entries_of_queues(&self.registers)?;
        let mut pools = NodePools::new();
        let mut planned = wish.total(fit.min(granted));
        loop {
            // A vector per I/O queue that is not polled, and one for the admin queue.
            let wished = wish.share(planned, u32::MAX);
            let sets = [wished.default.into(), wished.read.into()];
            let vectors = Vectors::alloc(pdev, 1, sets)?;
            // A line goes down when a completion queue's doorbell is rung in the BAR, which one in
            // memory is there to spare.
            let messages = vectors.kind(pdev) != Kind::Intx;
            let asked = self.shadow.is_some() || self.shadow_refused.is_some();
            if messages && !asked && oacs & OACS_DOORBELL_BUFFER_CONFIG != 0 {
                self.use_shadow_doorbells(wanted)?;
            }
            let spare = vectors.count().saturating_sub(1).max(1);
            let plan = wish.share(planned, spare);
            let name = CString::try_from_fmt(fmt!("{instance}q0"))?;
            self.admin.use_interrupt(pdev, &vectors, 0, name)?;
            let created =
                self.create_queues(plan, entries, &vectors, &mut pools, instance, counters)?;
            if created == plan.total() {
                self.plan = plan;
                dev_info!(
                    pdev,
                    "{instance}: {created} I/O queues of {entries} entries ({} for reads alone, {} polled), {} {} vectors\n",
                    plan.read,
                    plan.poll,
                    vectors.count(),
                    vectors.kind(pdev)
                );
                return Ok(vectors);
            }
            // The vectors' affinity was spread over queues that are not there. Once more with
            // what there is: fewer in each round, so this ends.
            self.stop();
            self.delete_queues()?;
            self.pairs.clear();
            if self.memory.take().is_some() {
                // It may be the place that was refused: once more as many, in the host's memory.
                dev_warn!(pdev, "submission queues go to the host's memory\n");
                self.registers.close_cmb();
                continue;
            }
            planned = created;
        }
    }

    /// The queue pairs, all of which exist in the controller once they are set up.
    pub(crate) fn queues(&self) -> Result<KVec<Arc<IoQueue>>> {
        let mut queues = KVec::with_capacity(self.pairs.len(), GFP_KERNEL)?;
        for pair in &self.pairs {
            queues.push(pair.queue.clone(), GFP_KERNEL)?;
        }
        Ok(queues)
    }

    /// Makes every queue unusable, and takes the completion queues back from their interrupts.
    fn stop(&mut self) {
        for pair in &mut self.pairs {
            pair.queue.stop();
            pair.take_back();
        }
        self.admin.use_polling();
        // With its vectors gone the device is back to its interrupt line, which nobody serves.
        self.line.off_again();
    }

    /// Ends every request still in flight. Only once the controller can no longer make DMA.
    fn cancel_requests(&mut self) {
        let sides = self
            .pairs
            .iter_mut()
            .filter_map(|pair| pair.completions.detach());
        let cancelled = sides.fold(0u32, |sum, side| sum.wrapping_add(side.cancel_all()));
        if cancelled != 0 {
            dev_warn!(self.pdev, "{cancelled} requests ended with an error\n");
        }
    }

    /// Deletes the I/O queues; the first one that is not deleted ends it.
    fn delete_queues(&mut self) -> Result<(), AdminError> {
        for index in (0..self.pairs.len()).rev() {
            let Some(pair) = self.pairs.get(index) else {
                continue;
            };
            let (qid, created) = (pair.queue.qid, pair.created);
            if created == Created::Both {
                self.execute(Command::delete_io_sq(qid))?;
            }
            if created != Created::Nothing {
                self.execute(Command::delete_io_cq(qid))?;
            }
        }
        Ok(())
    }

    /// Shuts the controller down in order, as far as it goes along.
    fn shut_down(&mut self) {
        // One that never got ready, or has failed, takes no commands and no notification.
        if !self.registers.is_working() {
            return;
        }
        if let Err(error) = self.delete_queues() {
            dev_warn!(
                self.pdev,
                "I/O queues not deleted: {error}; shutting down all the same\n"
            );
        }
        if let Err(error) = self.registers.shutdown(self.shutdown_ms) {
            dev_warn!(
                self.pdev,
                "the shutdown notification was not answered: {error:?}\n"
            );
        }
    }

    /// Disables the controller. From one that does not confirm it, the bus is taken: what it was
    /// told of is about to be freed or given back. One that seems gone may be back the next moment.
    fn disable(&mut self) {
        if self.registers.disable().is_ok() {
            return;
        }
        self.line.leave_off();
        if !pci_ext::clear_master(self.pdev) {
            dev_emerg!(
                self.pdev,
                "the controller can be neither disabled nor kept off the bus\n"
            );
        } else if !self.registers.is_gone() {
            dev_err!(
                self.pdev,
                "the controller does not get disabled; bus mastering is off\n"
            );
        }
    }

    /// Does what a step of a plan asks of the hardware. May sleep.
    pub(crate) fn carry_out(&mut self, step: Step) {
        match step {
            Step::Stop => self.stop(),
            Step::ShutDown => self.shut_down(),
            Step::Disable => self.disable(),
            Step::Cancel => self.cancel_requests(),
            // The disks' steps, and those of a reset, which nobody asks for.
            _ => {}
        }
    }
}

impl Drop for Hardware<'_> {
    fn drop(&mut self) {
        if let Answer::Do(plan) = self.life.on(Event::LetGo) {
            for step in plan.steps {
                self.carry_out(*step);
            }
        }
        if self.memory.is_some() {
            self.registers.close_cmb();
        }
    }
}
