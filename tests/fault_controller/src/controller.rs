// SPDX-License-Identifier: MIT

//! The controller: what a register access sets off, and how commands travel from a submission queue
//! to a completion.
//!
//! One thread at a time works on it. It waits for nothing: what shall happen later is put in
//! [`Later`] and done by [`Controller::tick`]. Admin commands are in `admin`, those of the NVM Command
//! Set in `io`; each step asks [`Faults`] whether to misbehave and tells [`Judge`] what the host did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nvme_proto::command::Command;
use nvme_proto::completion::Completion;
use nvme_proto::register::{offset, Cap};
use nvme_proto::status::Status;
use zerocopy::IntoBytes as _;

use crate::data::number;
use crate::fault::{Faults, Fired, Hook, Lies, Occasion};
use crate::interrupts::Coalescing;
use crate::judge::{Doorbell, Judge};
use crate::later::{Ends, Later};
use crate::log::Log;
use crate::memory::Memory;
use crate::namespace::Namespace;
use crate::pci::DOORBELLS_END;
use crate::queue::{CompletionQueue, SubmissionQueue};
use crate::registers::{csts, Registers};
use crate::settings::Settings;

/// Whom the controller's interrupts reach.
pub trait Wires: Send {
    /// Sends the message of a vector.
    fn raise(&mut self, vector: u16);

    /// Ends the process, as a fault.
    fn end(&mut self, status: i32) {
        std::process::exit(status);
    }
}

/// What the controller answers to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Dwords 0 and 1 of the completion.
    pub result: u64,
    /// Its status.
    pub status: Status,
}

impl Answer {
    /// Success without a result.
    pub const DONE: Self = Self::with(0);

    /// Success with a result.
    pub const fn with(result: u64) -> Self {
        Self {
            result,
            status: Status::SUCCESS,
        }
    }

    /// An error that a retry would not change.
    pub const fn refused(status: Status) -> Self {
        Self {
            result: 0,
            status: status.without_retry(),
        }
    }
}

/// A command that was taken from its queue.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Its submission queue.
    pub sqid: u16,
    /// The command.
    pub command: Command,
}

/// The controller.
pub struct Controller {
    /// What it was started with.
    pub settings: Settings,
    /// Its registers.
    pub registers: Registers,
    /// The host's memory.
    pub memory: Memory,
    /// Its interrupts.
    pub wires: Box<dyn Wires>,
    /// The submission queues by their identifiers.
    pub submission: BTreeMap<u16, SubmissionQueue>,
    /// The completion queues by their identifiers.
    pub completion: BTreeMap<u16, CompletionQueue>,
    /// The namespaces, all attached.
    pub namespaces: BTreeMap<u32, Namespace>,
    /// What admin commands keep.
    pub admin: crate::admin::State,
    /// What outlasts a reset.
    pub kept: crate::kept::Kept,
    /// Commands whose completions are held back.
    pub holding: crate::hold::Holding,
    /// The shadow doorbells, once the host has given them.
    pub shadow: Option<crate::shadow::Shadow>,
    /// What is to happen later.
    pub later: Later,
    /// Submission queues that wait until their completion queues have room.
    pub stalled: BTreeSet<u16>,
    /// Interrupts that wait for more entries.
    pub coalescing: Coalescing,
    /// Who looks at what the host does.
    pub judge: Judge,
    /// What is to go wrong.
    pub faults: Faults,
    /// What faults keep between two occasions.
    pub lies: Lies,
    /// What is written for people and for the runner.
    pub log: Log,
}

impl Controller {
    /// A controller that nobody has enabled.
    pub fn new(settings: Settings, wires: Box<dyn Wires>, log: Log) -> Self {
        let mut this = Self {
            registers: settings.registers(),
            faults: Faults::new(settings.seed),
            lies: Lies::default(),
            settings,
            memory: Memory::default(),
            wires,
            submission: BTreeMap::new(),
            completion: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            admin: crate::admin::State::default(),
            kept: crate::kept::Kept::default(),
            holding: crate::hold::Holding::default(),
            shadow: None,
            later: Later::default(),
            stalled: BTreeSet::new(),
            coalescing: Coalescing::default(),
            judge: Judge::default(),
            log,
        };
        this.reset();
        this
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.log.now()
    }

    /// Whether a fault is to happen here; it is logged and counted as done. What can happen anywhere
    /// is done at once.
    pub fn fault(&mut self, hook: Hook, occasion: &Occasion) -> Option<Fired> {
        if self.faults.is_empty() {
            return None;
        }
        let happening = self.faults.at(hook, occasion, self.log.now());
        for fired in happening.deeds {
            // Each just before it is done: what it misses is told behind it.
            self.log.line("fault", &format!("{fired} at {occasion}"));
            self.deed(fired);
            // Behind it: one that resets the controller is still a lie.
            self.judge.lied(occasion, &fired);
        }
        if let Some(fired) = &happening.instead {
            self.log.line("fault", &format!("{fired} at {occasion}"));
            self.judge.lied(occasion, fired);
        }
        happening.instead
    }

    /// Does what is due. Tells when to call again. While the controller is gone all of it waits.
    pub fn tick(&mut self) -> Option<Duration> {
        self.fault(Hook::Time, &Occasion::default());
        while !self.lies.gone {
            let Some(deed) = self.later.due(self.log.now()) else {
                break;
            };
            deed(self);
        }
        self.judge_time();
        self.tell();
        self.later.next().filter(|_| !self.lies.gone)
    }

    /// Back to how the power came on, but for the namespaces: function-level reset.
    pub fn power_on(&mut self) {
        self.reset();
        self.registers = self.settings.registers();
    }

    /// A controller level reset (Base 3.7.2): queues and what was in flight are gone, and so is what
    /// would have ended a shutdown or a pause.
    pub fn reset(&mut self) {
        self.submission.clear();
        self.completion.clear();
        self.later.clear();
        self.stalled.clear();
        self.coalescing = Coalescing::default();
        self.registers.csts &= !(csts::SHST | csts::PP);
        self.holding.clear();
        self.shadow = None;
        self.lies.reset();
        self.admin = crate::admin::State::new(&self.settings);
        self.judge.reset();
    }

    /// A read of the registers.
    pub fn read(&mut self, at: usize, bytes: &mut [u8]) {
        self.lies.host_moves();
        self.registers.read(at, bytes);
        let occasion = Occasion {
            offset: Some(at),
            bytes: bytes.len(),
            ..Occasion::default()
        };
        self.judge_register_read(at, bytes.len());
        if let Some(fired) = self.fault(Hook::RegisterRead, &occasion) {
            self.register_fault(fired, at, bytes);
        }
        if self.lies.gone {
            bytes.fill(0xff);
        }
        self.tell();
    }

    /// A write to the registers or the doorbells.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        self.lies.host_moves();
        if self.lies.gone {
            return;
        }
        if (offset::DOORBELLS..DOORBELLS_END).contains(&at) {
            self.doorbell(at, bytes);
        } else {
            let occasion = Occasion {
                offset: Some(at),
                bytes: bytes.len(),
                ..Occasion::default()
            };
            self.judge_register_write(at, bytes);
            match self.fault(Hook::RegisterWrite, &occasion) {
                Some(fired) => self.register_write_fault(fired, at, bytes),
                None => self.register_write(at, bytes),
            }
        }
        self.tell();
    }

    /// Does something after `wait`; at once if that is zero.
    pub fn later(&mut self, wait: Duration, deed: impl FnOnce(&mut Self) + Send + 'static) {
        self.later_ends(wait, Ends::Never, deed);
    }

    fn doorbell(&mut self, at: usize, bytes: &[u8]) {
        let stride = Cap::from_raw(self.registers.cap).doorbell_stride();
        let index = (at - offset::DOORBELLS) / stride;
        let value = (number(bytes) & 0xffff_ffff) as u32;
        let (qid, completion) = ((index / 2) as u16, index % 2 == 1);
        let aligned = (at - offset::DOORBELLS) % stride == 0 && bytes.len() == 4;
        let value = self.newest(qid, completion, value);
        if !self.judge_doorbell(Doorbell {
            qid,
            completion,
            value,
            aligned,
            shadow: false,
        }) {
            let there = if completion {
                self.completion.contains_key(&qid)
            } else {
                self.submission.contains_key(&qid)
            };
            self.doorbell_error(!there);
            return;
        }
        let occasion = Occasion {
            queue: Some(qid),
            completion,
            offset: Some(at),
            bytes: bytes.len(),
            ..Occasion::default()
        };
        match self.fault(Hook::Doorbell, &occasion) {
            Some(fired) => self.doorbell_fault(fired, qid, completion, value),
            None => self.rung(qid, completion, value),
        }
    }

    /// A doorbell was rung.
    pub fn rung(&mut self, qid: u16, completion: bool, value: u32) {
        if completion {
            self.consumed(qid, value);
        } else {
            self.lies.rang(qid);
            self.submitted(qid, value);
        }
    }

    /// The host has consumed a completion queue's entries up to `head`.
    pub fn consumed(&mut self, cqid: u16, head: u32) {
        let Some(queue) = self.completion.get_mut(&cqid) else {
            return;
        };
        queue.head = head % queue.entries;
        queue.shadowed = true;
        self.post_waiting(cqid);
        self.watch_completions(cqid);
        self.told_of_consumption(cqid);
    }

    /// Posts what has waited for room, as far as there is some.
    pub(crate) fn post_waiting(&mut self, cqid: u16) {
        while let Some(queue) = self.completion.get_mut(&cqid) {
            if queue.is_full() {
                break;
            }
            let Some(entry) = queue.waiting.pop_front() else {
                break;
            };
            self.store(cqid, entry);
        }
    }

    /// The host has submitted a submission queue's commands up to `tail`.
    pub fn submitted(&mut self, sqid: u16, tail: u32) {
        if let Some(queue) = self.submission.get_mut(&sqid) {
            queue.tail = tail % queue.entries;
        }
        self.drain(sqid);
        self.drain_shadow(sqid);
    }

    /// Whether commands are carried out: it is ready, without a fatal error, not paused for new
    /// firmware (CSTS.PP), there, and may reach memory.
    fn works(&self) -> bool {
        self.registers.csts & 0x23 == 1
            && !self.lies.gone
            && self.memory.bus_master()
            && self.now() >= self.lies.still_until
    }

    /// Whether completions of a submission queue's commands wait for room.
    fn is_blocked(&self, sqid: u16) -> bool {
        let queue = self.submission.get(&sqid);
        queue
            .and_then(|queue| self.completion.get(&queue.cqid))
            .is_some_and(|queue| !queue.waiting.is_empty())
    }

    /// Goes on with the submission queues that waited for room, where there is some.
    pub(crate) fn resume(&mut self) {
        while let Some(sqid) = self
            .stalled
            .iter()
            .copied()
            .find(|sqid| !self.is_blocked(*sqid))
        {
            self.stalled.remove(&sqid);
            self.drain(sqid);
        }
    }

    /// Takes and executes what a submission queue holds. A command is only taken when its completion
    /// does not have to wait behind others: so no more wait than were taken before.
    pub fn drain(&mut self, sqid: u16) {
        while self.works() {
            if self.is_blocked(sqid) {
                self.stalled.insert(sqid);
                return;
            }
            let queue = self.submission.get_mut(&sqid);
            let Some((_, address)) = queue.and_then(SubmissionQueue::take) else {
                break;
            };
            let mut command = Command::default();
            if let Err(fault) = self.memory.read(address, command.as_mut_bytes()) {
                self.judge.dma(&fault, "a submission queue", &mut self.log);
                self.registers.csts |= 2;
                return;
            }
            let taken = Taken { sqid, command };
            self.judge_command(&taken);
            self.lies.saw(&taken);
            match self.fault(Hook::Command, &taken.occasion()) {
                Some(fired) => self.command_fault(fired, taken),
                None => self.carry_out(taken),
            }
        }
    }

    /// Executes a command and completes it, unless it stays outstanding.
    pub fn carry_out(&mut self, taken: Taken) {
        let answer = if taken.sqid == 0 {
            self.admin_command(&taken)
        } else {
            Some(self.io_command(&taken))
        };
        if let Some(answer) = answer {
            self.answer(&taken, answer);
        }
    }

    /// Completes a command.
    pub fn answer(&mut self, taken: &Taken, answer: Answer) {
        let answer = self.recorded(taken, answer);
        let entry = self.entry(taken, answer);
        if self.answer_for_another(taken, entry) {
            return;
        }
        match self.fault(Hook::Completion, &taken.occasion()) {
            Some(fired) => self.completion_fault(fired, *taken, entry),
            None => self.post_for(taken.sqid, entry),
        }
    }

    /// The completion queue entry for a command. Its phase is set where it is stored.
    pub fn entry(&self, taken: &Taken, answer: Answer) -> Completion {
        let head = self.submission.get(&taken.sqid).map_or(0, |sq| sq.head);
        Completion {
            result: answer.result,
            sq_head: head as u16,
            sq_id: taken.sqid,
            cid: taken.command.cid.get(),
            status: answer.status,
            phase: false,
        }
    }

    /// Posts an entry to the completion queue of `sqid`.
    pub fn post_for(&mut self, sqid: u16, entry: Completion) {
        if let Some(cqid) = self.submission.get(&sqid).map(|queue| queue.cqid) {
            self.post(cqid, entry);
        }
        if self.lies.holds(sqid) {
            self.release(sqid);
        }
    }

    /// Posts an entry, or keeps it until there is room.
    pub fn post(&mut self, cqid: u16, entry: Completion) {
        let Some(queue) = self.completion.get_mut(&cqid) else {
            return;
        };
        if queue.is_full() || !queue.waiting.is_empty() {
            queue.waiting.push_back(entry);
            self.watch_completions(cqid);
        } else {
            self.store(cqid, entry);
        }
    }

    /// Writes an entry into the next slot, whether or not there is room.
    pub fn store(&mut self, cqid: u16, entry: Completion) {
        if self.lies.gone {
            return;
        }
        self.judge_posting(cqid);
        self.ask_for_heads(cqid);
        let Some(queue) = self.completion.get_mut(&cqid) else {
            return;
        };
        let (address, phase) = queue.advance();
        queue.untold = true;
        self.store_at(address, Completion { phase, ..entry });
    }

    /// Writes an entry to an address: the half with the phase tag last.
    pub fn store_at(&mut self, address: u64, entry: Completion) {
        self.judge_posted(&entry);
        let [first, second] = entry.to_words();
        let stored = self
            .memory
            .store64(address, first)
            .and_then(|()| self.memory.store64(address + 8, second));
        if let Err(fault) = stored {
            self.judge.dma(&fault, "a completion queue", &mut self.log);
            if !fault.barred {
                self.registers.csts |= 2;
            }
        }
    }
}
