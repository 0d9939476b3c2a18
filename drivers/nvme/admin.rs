// SPDX-License-Identifier: GPL-2.0

//! The admin queue pair, and commands on it that are waited for.
//!
//! NVM Express Base Specification 2.1, section 5. Commands come from probe and removal, one at a
//! time. Until [`AdminQueue::use_interrupt`] and after [`AdminQueue::use_polling`] the completion queue
//! is looked at by the waiter itself, so bring-up and tear-down need no working interrupt.
//!
//! A command that timed out keeps its slot and its buffer until the controller is disabled: it may
//! still be written to.

use crate::{
    counters::Counters,
    doorbell::Bell,
    queue::{CompletionQueue, SubmissionQueue},
    registers::Registers,
    show::Show,
};
use kernel::{
    device::Bound,
    error::code,
    new_spinlock_irq, pci,
    prelude::*,
    str::CString,
    sync::{Arc, SpinLockIrq},
    time::{delay::fsleep, Delta, Instant, Monotonic},
};
use kernel_ext::{
    dma::Coherent,
    irq::{Handler, Line, Vectors},
    sync::Completion as Event,
};
use nvme_proto::{
    cid::{CommandId, Generation},
    command::Command,
    completion::Completion,
    status::Status,
};

/// Entries of the admin queues; one slot stays empty, so one command less is outstanding.
pub(crate) const ADMIN_ENTRIES: u16 = 32;
/// How long an admin command may take.
const ADMIN_TIMEOUT_MS: u32 = 60_000;
/// How often to look whether the device is still there while an interrupt is waited for.
const LOOK_INTERVAL_MS: u32 = 250;
/// How long to sleep between two looks at the completion queue.
const POLL_INTERVAL: Delta = Delta::from_micros(100);

/// Why an admin command did not succeed.
#[derive(Debug)]
pub(crate) enum AdminError {
    /// The controller said so.
    Status(Status),
    /// It could not be sent, or no answer came: `ETIMEDOUT`, `ENODEV`, `EBUSY`, `ENOMEM`.
    Kernel(Error),
}

impl From<Error> for AdminError {
    fn from(error: Error) -> Self {
        AdminError::Kernel(error)
    }
}

impl From<AdminError> for Error {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Status(_) => EIO,
            AdminError::Kernel(error) => error,
        }
    }
}

impl kernel::fmt::Display for AdminError {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        match self {
            AdminError::Status(status) => Show(status).fmt(f),
            AdminError::Kernel(code::ETIMEDOUT) => write!(f, "no answer in time"),
            AdminError::Kernel(code::ENODEV) => write!(f, "the device is gone"),
            AdminError::Kernel(error) => write!(f, "{error:?}"),
        }
    }
}

/// A command that the controller works on.
struct Pending {
    reply: Option<Completion>,
    done: Arc<Done>,
    /// Kept as long as the controller may write it.
    _buffer: Option<Arc<Coherent>>,
}

#[pin_data]
struct Done {
    #[pin]
    event: Event,
}

#[derive(Default)]
struct Slot {
    generation: Generation,
    pending: Option<Pending>,
    /// Nobody waits for the command any more.
    abandoned: bool,
}

impl Slot {
    /// Whether the controller is done with the slot, and so is the waiter.
    fn is_free(&self) -> bool {
        match &self.pending {
            None => true,
            Some(pending) => self.abandoned && pending.reply.is_some(),
        }
    }
}

struct Submission {
    queue: SubmissionQueue,
    /// One per command that may be outstanding.
    slots: KVec<Slot>,
}

/// What the waiter and the interrupt handler share.
#[pin_data]
struct Shared {
    #[pin]
    submission: SpinLockIrq<Submission>,
    counters: Arc<Counters>,
}

impl Shared {
    /// Wakes the waiter of the command that `completion` names; counts one that names none.
    fn complete(&self, completion: Completion) {
        let id = CommandId::from_raw(completion.cid);
        let mut submission = self.submission.lock();
        let slot = submission.slots.get_mut(usize::from(id.tag()));
        let claimed = slot
            .filter(|slot| slot.generation.get() == id.generation())
            .and_then(|slot| slot.pending.as_mut())
            .filter(|pending| pending.reply.is_none());
        match claimed {
            Some(pending) => {
                pending.reply = Some(completion);
                pending.done.event.complete_all();
            }
            None => self.counters.dropped(0, completion.cid),
        }
    }
}

/// The interrupt's side: the completion queue belongs to it alone.
struct Completions {
    queue: CompletionQueue,
    shared: Arc<Shared>,
}

impl Completions {
    fn drain(&mut self) -> u16 {
        let Completions { queue, shared } = self;
        queue.drain(|completion| shared.complete(completion))
    }
}

impl Handler for Completions {
    fn handle(&mut self) -> bool {
        self.drain() != 0
    }
}

/// The admin queue pair of a controller.
pub(crate) struct AdminQueue {
    shared: Arc<Shared>,
    completions: Line<Completions>,
}

impl AdminQueue {
    /// Makes the queues and tells the controller, which must be disabled, where they are.
    pub(crate) fn new(
        pdev: &pci::Device<Bound>,
        registers: &Registers,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        use nvme_proto::limits::doorbell_offset;
        let stride = registers.cap().doorbell_stride();
        let sq_doorbell = registers.doorbell(doorbell_offset(0, stride, false))?;
        let cq_doorbell = registers.doorbell(doorbell_offset(0, stride, true))?;
        let sq_bell = Bell::new(sq_doorbell);
        let sq = SubmissionQueue::new(pdev.as_ref(), ADMIN_ENTRIES, sq_bell, None)?;
        let cq = CompletionQueue::new(pdev.as_ref(), ADMIN_ENTRIES, Bell::new(cq_doorbell))?;
        registers.set_admin_queues(sq.dma_address(), cq.dma_address(), ADMIN_ENTRIES)?;
        let mut slots = KVec::with_capacity(ADMIN_ENTRIES.into(), GFP_KERNEL)?;
        for _ in 1..ADMIN_ENTRIES {
            slots.push(Slot::default(), GFP_KERNEL)?;
        }
        let shared = Arc::pin_init(
            pin_init!(Shared {
                submission <- new_spinlock_irq!(Submission { queue: sq, slots }),
                counters,
            }),
            GFP_KERNEL,
        )?;
        let completions = Line::Detached(Completions {
            queue: cq,
            shared: shared.clone(),
        });
        Ok(AdminQueue {
            shared,
            completions,
        })
    }

    /// From now on `vector` says when commands are complete.
    pub(crate) fn use_interrupt(
        &mut self,
        pdev: &pci::Device<Bound>,
        vectors: &Arc<Vectors>,
        vector: u32,
        name: CString,
    ) -> Result {
        self.completions.attach(pdev, vectors, vector, name)
    }

    /// Gives up the interrupt: from now on the waiter looks for itself. May sleep.
    pub(crate) fn use_polling(&mut self) {
        self.completions.detach();
    }

    /// Sends `command`, with the data pointer to `buffer` if there is one, and waits for the answer.
    ///
    /// Sleeps, for at most the admin timeout. The command's identifier is filled in here.
    pub(crate) fn execute(
        &mut self,
        registers: &Registers,
        command: Command,
        buffer: Option<&Arc<Coherent>>,
    ) -> Result<Completion, AdminError> {
        let done = Arc::pin_init(pin_init!(Done { event <- Event::new() }), GFP_KERNEL)?;
        let tag = self.submit(command, buffer, &done)?;
        if !self.wait_for(&done, registers) {
            self.abandon(tag);
            let status = registers.status();
            return Err(match (status.is_gone(), status.cfs()) {
                (true, _) => ENODEV,
                (false, true) => EIO,
                (false, false) => ETIMEDOUT,
            }
            .into());
        }
        // The buffer's last reference must not go while the lock is held.
        let pending = {
            let mut submission = self.shared.submission.lock();
            submission
                .slots
                .get_mut(tag)
                .and_then(|slot| slot.pending.take())
        };
        let reply = pending.and_then(|pending| pending.reply).ok_or(EIO)?;
        if reply.status.is_success() {
            Ok(reply)
        } else {
            Err(AdminError::Status(reply.status))
        }
    }

    /// Waits until `done`, the device is gone, or time is up; says whether it is done.
    fn wait_for(&mut self, done: &Done, registers: &Registers) -> bool {
        let start = Instant::<Monotonic>::now();
        loop {
            let expired = start.elapsed().as_millis() > i64::from(ADMIN_TIMEOUT_MS);
            let answered = match &mut self.completions {
                Line::Attached(_) => done.event.wait_ms(LOOK_INTERVAL_MS),
                Line::Detached(completions) => {
                    completions.drain();
                    let answered = done.event.is_done();
                    if !answered {
                        fsleep(POLL_INTERVAL);
                    }
                    answered
                }
                Line::Lost => return false,
            };
            let status = registers.status();
            if answered || status.is_gone() || status.cfs() {
                return answered;
            }
            if expired {
                break;
            }
        }
        // It may be the interrupt that is missing and not the answer. If so, polling goes on.
        if let Some(completions) = self.completions.detach() {
            completions.drain();
        }
        let answered = done.event.is_done();
        if answered {
            self.shared.counters.interrupt_missing();
        }
        answered
    }

    /// Notes that nobody waits for the command in slot `tag`. It stays until it is answered.
    fn abandon(&self, tag: usize) {
        if let Some(slot) = self.shared.submission.lock().slots.get_mut(tag) {
            slot.abandoned = true;
        }
    }

    /// Puts `command` into a free slot and rings the doorbell; returns the slot.
    fn submit(
        &self,
        command: Command,
        buffer: Option<&Arc<Coherent>>,
        done: &Arc<Done>,
    ) -> Result<usize> {
        let pending = Pending {
            reply: None,
            done: done.clone(),
            _buffer: buffer.cloned(),
        };
        // What an abandoned command left goes after the lock does: freeing its buffer may sleep.
        let _old;
        let mut submission = self.shared.submission.lock();
        let Submission { queue, slots } = &mut *submission;
        let free = slots
            .iter_mut()
            .enumerate()
            .find(|(_, slot)| slot.is_free());
        let (tag, slot) = free.ok_or(EBUSY)?;
        slot.generation = slot.generation.next();
        slot.abandoned = false;
        _old = slot.pending.replace(pending);
        let id = CommandId::new(tag as u16, slot.generation.get());
        let command = match buffer {
            Some(buffer) => command.with_data(buffer.dma_address(), 0),
            None => command,
        };
        queue.push(&command.with_cid(id.raw()));
        queue.ring();
        Ok(tag)
    }
}
