// SPDX-License-Identifier: GPL-2.0

//! Rings in coherent memory, from both ends: the test reads commands and posts completions where
//! the controller would.

use super::{CompletionQueue, Ring, SubmissionQueue, CQE_WORDS, SQE_WORDS};
use crate::{cmb::Place, doorbell::Bell};
use kernel::{prelude::*, sync::Arc};
use kernel_ext::{
    io::{Mmio, Window},
    kunit::Device,
};
use nvme_proto::{command::Command, completion::Completion, status::Status};

impl SubmissionQueue {
    /// What the controller finds in `slot`.
    pub(crate) fn entry(&self, slot: u16) -> Command {
        let first = usize::from(slot) * SQE_WORDS;
        Command::from_words(core::array::from_fn(|word| {
            let found = match &self.ring {
                Ring::Host(ring) => ring.read(first + word),
                Ring::Controller(place) => place.window.read(place.first + first + word),
            };
            found.unwrap_or(u64::MAX)
        }))
    }
}

impl CompletionQueue {
    /// Stores the completion that is the `count`-th since the queue was made, with its phase.
    pub(crate) fn post(&self, count: u16, completion: Completion) -> Result {
        let phase = (count / self.entries) % 2 == 0;
        let words = Completion {
            phase,
            ..completion
        }
        .to_words();
        let slot = usize::from(count % self.entries) * CQE_WORDS;
        self.ring.write(slot, &words)
    }
}

#[kunit_tests(rnvme_queue)]
mod cases {
    use super::*;

    /// Two doorbells, which tell what they were last rung with; a value that none is rung with
    /// at first.
    fn doorbells() -> Result<Arc<Mmio>> {
        Mmio::over_memory(KVec::from_elem(u32::MAX, 2, GFP_KERNEL)?)
    }

    fn completion(cid: u16) -> Completion {
        Completion {
            result: 0x1234_5678_9abc_def0,
            sq_head: 1,
            sq_id: 1,
            cid,
            status: Status::from_raw(0),
            phase: false,
        }
    }

    #[test]
    fn commands_lie_in_the_controllers_memory_each_queue_at_its_place() -> Result {
        let (device, bells) = (Device::new(c"nvme-cmb")?, doorbells()?);
        let window = Window::over_memory(KVec::from_elem(0, 6 * SQE_WORDS, GFP_KERNEL)?)?;
        let at = |index: usize| Place {
            window: window.clone(),
            first: index * 3 * SQE_WORDS,
        };
        for (index, command) in [Command::flush(1), Command::flush(2)].iter().enumerate() {
            let (bell, place) = (Bell::new(bells.doorbell(index * 4)?), at(index));
            let mut queue = SubmissionQueue::new(device.bound(), 3, bell, Some(place))?;
            let first = index * 3 * SQE_WORDS;
            assert_eq!(queue.dma_address(), window.bus_address() + first as u64 * 8);
            queue.push(command);
            queue.ring();
            assert_eq!(queue.entry(0), *command);
            assert_eq!(window.read(first), Some(command.to_words()[0]));
            assert_eq!(bells.read32(index * 4), Ok(1));
        }
        // What lies beyond a queue's entries stays as it was.
        assert_eq!(window.read(SQE_WORDS), Some(0));
        Ok(())
    }

    #[test]
    fn commands_lie_in_the_ring_and_the_doorbell_follows_around_it() -> Result {
        let (device, bells) = (Device::new(c"nvme-sq")?, doorbells()?);
        let mut queue =
            SubmissionQueue::new(device.bound(), 3, Bell::new(bells.doorbell(0)?), None)?;
        for count in 0..10u16 {
            let command = Command::flush(count.into()).with_cid(count);
            queue.push(&command);
            assert_eq!(queue.entry(count % 3), command);
            queue.ring();
            assert_eq!(bells.read32(0), Ok(u32::from((count + 1) % 3)));
        }
        assert_eq!(bells.read32(4), Ok(u32::MAX));
        Ok(())
    }

    #[test]
    fn doorbell_is_rung_once_for_a_batch_and_not_for_nothing() -> Result {
        let (device, bells) = (Device::new(c"nvme-batch")?, doorbells()?);
        let mut queue =
            SubmissionQueue::new(device.bound(), 8, Bell::new(bells.doorbell(0)?), None)?;
        queue.ring();
        assert_eq!(bells.read32(0), Ok(u32::MAX));
        for _ in 0..3 {
            queue.push(&Command::flush(1));
        }
        assert_eq!(bells.read32(0), Ok(u32::MAX));
        queue.ring();
        assert_eq!(bells.read32(0), Ok(3));
        bells.write32(0, 77)?;
        queue.ring();
        assert_eq!(bells.read32(0), Ok(77));
        Ok(())
    }

    #[test]
    fn completions_are_seen_once_each_around_the_ring() -> Result {
        let (device, bells) = (Device::new(c"nvme-cq")?, doorbells()?);
        let mut queue = CompletionQueue::new(device.bound(), 3, Bell::new(bells.doorbell(4)?))?;
        for count in 0..10 {
            assert_eq!(queue.drain(|_| ()), 0);
            queue.post(count, completion(count))?;
            let mut seen = None;
            assert_eq!(queue.drain(|entry| seen = Some(entry)), 1);
            let seen = seen.ok_or(ENOENT)?;
            assert_eq!((seen.cid, seen.result), (count, 0x1234_5678_9abc_def0));
            assert_eq!(bells.read32(4), Ok(u32::from((count + 1) % 3)));
        }
        Ok(())
    }

    #[test]
    fn entry_of_the_last_round_is_no_completion() -> Result {
        let (device, bells) = (Device::new(c"nvme-phase")?, doorbells()?);
        let mut queue = CompletionQueue::new(device.bound(), 2, Bell::new(bells.doorbell(4)?))?;
        for count in 0..2 {
            queue.post(count, completion(count))?;
            assert_eq!(queue.drain(|_| ()), 1);
        }
        // Slot 0 holds its first entry still, whose phase is the wrong one now.
        assert_eq!(queue.drain(|_| ()), 0);
        Ok(())
    }

    #[test]
    fn flood_of_completions_is_taken_in_bounded_portions() -> Result {
        let (device, bells) = (Device::new(c"nvme-flood")?, doorbells()?);
        let mut queue = CompletionQueue::new(device.bound(), 4, Bell::new(bells.doorbell(4)?))?;
        // A full ring, as no honest controller posts it.
        for count in 0..4 {
            queue.post(count, completion(count))?;
        }
        let mut next = 0;
        for portion in [3, 1, 0] {
            let mut in_order = true;
            let seen = queue.drain(|entry| {
                in_order &= entry.cid == next;
                next += 1;
            });
            assert_eq!((seen, in_order), (portion, true));
        }
        Ok(())
    }
}
