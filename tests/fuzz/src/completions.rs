// SPDX-License-Identifier: GPL-2.0

//! Completion queue entries, the status in them, and the rings that they move.

use nvme_proto::cid::CommandId;
use nvme_proto::completion::{phase_of_word1, Completion};
use nvme_proto::ring::{CompletionHead, SubmissionTail};
use nvme_proto::status::{Outcome, Status};

use crate::input::{assert_loggable, number, Input};

/// A queue's depth, then one entry after the other as a device writes them.
pub(crate) fn completions(data: &[u8]) {
    let mut input = Input::new(data);
    let mut rings = Rings::new(input.u16());
    while !input.is_empty() {
        let bytes = input.bytes();
        let completion = Completion::from_bytes(bytes);
        assert_fields(&completion, bytes);
        assert_status(completion.status);
        assert_identifier(completion.cid);
        rings.take(&completion);
    }
}

fn assert_fields(completion: &Completion, bytes: [u8; 16]) {
    assert_eq!(completion.result, number::<8>(&bytes, 0));
    assert_eq!(u64::from(completion.dw0()), number::<4>(&bytes, 0));
    assert_eq!(u64::from(completion.sq_head), number::<2>(&bytes, 8));
    assert_eq!(u64::from(completion.sq_id), number::<2>(&bytes, 10));
    assert_eq!(u64::from(completion.cid), number::<2>(&bytes, 12));
    let last = number::<2>(&bytes, 14) as u16;
    assert_eq!(
        (completion.phase, completion.status.raw()),
        (last % 2 == 1, last / 2)
    );
    let words = completion.to_words();
    assert_eq!(Completion::from_words(words), *completion);
    assert_eq!(words.map(u64::to_ne_bytes).concat(), bytes);
    assert_eq!(phase_of_word1(words[1]), completion.phase);
}

fn assert_status(status: Status) {
    let raw = status.raw();
    assert_eq!(
        (u16::from(status.sct()) << 8) | u16::from(status.sc()),
        status.code()
    );
    assert_eq!(status.code(), raw % 0x800);
    assert_eq!(
        (u16::from(status.crd()), status.dnr()),
        ((raw >> 11) & 3, raw >> 14 == 1)
    );
    assert_eq!(status.more(), (raw >> 13) & 1 == 1);
    let known = Status::ALL
        .iter()
        .any(|known| known.code() == status.code());
    assert_eq!(status.name().is_some(), known);
    assert_eq!(status.is_success(), status.code() == 0);
    assert_eq!(status.outcome() == Outcome::Success, status.is_success());
    assert!(
        known || status.outcome() == Outcome::Io,
        "{status} means more than it says"
    );
    // What the device forbids is not tried again, nor what is done.
    assert!(
        !status.retryable() || !(status.dnr() || status.is_success()),
        "{status:?}"
    );
    assert_loggable(&format!("{status:?}"));
}

fn assert_identifier(raw: u16) {
    let cid = CommandId::from_raw(raw);
    assert!(cid.tag() <= 4095 && cid.generation() <= 15);
    assert_eq!(CommandId::new(cid.tag(), cid.generation()).raw(), raw);
}

/// Both rings of a queue pair, beside plain counts of what went through them.
struct Rings {
    entries: u16,
    head: CompletionHead,
    tail: SubmissionTail,
    consumed: usize,
    unrung: u16,
    written: usize,
}

impl Rings {
    fn new(entries: u16) -> Self {
        Self {
            entries,
            head: CompletionHead::new(entries),
            tail: SubmissionTail::new(entries),
            consumed: 0,
            unrung: 0,
            written: 0,
        }
    }

    /// Does with an entry what a driver does: takes it if its phase is new, then fills the room
    /// that the device says there is, and rings when the entry happens to say so.
    fn take(&mut self, completion: &Completion) {
        if completion.phase == self.head.phase() {
            self.head.advance();
            self.consumed += 1;
            self.unrung = self.unrung.saturating_add(1);
        }
        match self.tail.room(completion.sq_head) {
            Some(room) => self.fill(completion.sq_head, room),
            None => assert!(completion.sq_head >= self.entries),
        }
        self.assert_slots();
        if completion.cid % 4 == 0 {
            self.ring();
        }
    }

    fn fill(&mut self, sq_head: u16, room: u16) {
        let entries = usize::from(self.entries);
        let tail = self.written % entries;
        let free = (usize::from(sq_head) + entries - tail - 1) % entries;
        assert_eq!(
            usize::from(room),
            free,
            "head {sq_head}, tail {tail} of {entries}"
        );
        for _ in 0..room.min(3) {
            self.tail.advance();
            self.written += 1;
        }
    }

    fn assert_slots(&self) {
        let entries = usize::from(self.entries).max(1);
        assert_eq!(usize::from(self.head.index()), self.consumed % entries);
        assert_eq!(self.head.phase(), (self.consumed / entries) % 2 == 0);
        assert_eq!(self.head.consumed(), self.unrung);
        assert_eq!(usize::from(self.tail.current()), self.written % entries);
    }

    fn ring(&mut self) {
        let slot = self.head.index();
        assert_eq!(self.head.ring(), (self.unrung > 0).then_some(slot));
        self.unrung = 0;
        let pending = self.tail.is_pending();
        assert_eq!(self.tail.ring(), pending.then_some(self.tail.current()));
        assert!(!self.tail.is_pending() && self.head.consumed() == 0);
    }
}
