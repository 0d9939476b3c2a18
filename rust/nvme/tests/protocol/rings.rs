// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Ring arithmetic and command identifiers against models that count without ever wrapping.

use nvme_proto::cid::{CommandId, Generation, MAX_TAG, MAX_TAGS};
use nvme_proto::ring::{CompletionHead, SubmissionTail};
use proptest::prelude::*;

use crate::support::for_all;

#[derive(Clone, Copy, Debug)]
enum Step {
    Submit,
    DeviceReads,
    Ring,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Submit),
        3 => Just(Step::DeviceReads),
        1 => Just(Step::Ring)
    ];
    prop::collection::vec(step, 0..400)
}

#[test]
fn a_submission_ring_never_overtakes_the_device() {
    for_all(2000, (2u16..20, steps()), |(entries, steps)| {
        let size = u64::from(entries);
        let (mut written, mut read, mut told) = (0u64, 0u64, 0u64);
        let mut tail = SubmissionTail::new(entries);
        for step in steps {
            let room = tail.room((read % size) as u16).expect("a valid head");
            assert_eq!(u64::from(room), size - 1 - (written - read));
            match step {
                Step::Submit if room > 0 => {
                    tail.advance();
                    written += 1;
                }
                Step::DeviceReads if read < told => read += 1,
                Step::Ring => {
                    let expected = (told != written).then_some((written % size) as u16);
                    assert_eq!(tail.ring(), expected);
                    told = written;
                }
                _ => {}
            }
            assert_eq!(u64::from(tail.current()), written % size);
            assert_eq!(tail.is_pending(), told != written);
        }
    });
}

#[test]
fn a_completion_ring_follows_a_device_round_and_round() {
    for_all(
        2000,
        (2u16..20, prop::collection::vec(0u16..40, 0..50)),
        |(entries, batches)| {
            let size = u32::from(entries);
            let mut head = CompletionHead::new(entries);
            let mut consumed = 0u32;
            for batch in batches {
                for _ in 0..batch {
                    assert_eq!(u32::from(head.index()), consumed % size);
                    assert_eq!(
                        head.phase(),
                        consumed / size % 2 == 0,
                        "phase after {consumed}"
                    );
                    head.advance();
                    consumed += 1;
                }
                assert_eq!(head.consumed(), batch);
                let told = (batch > 0).then_some((consumed % size) as u16);
                assert_eq!(head.ring(), told);
                assert_eq!((head.consumed(), head.ring()), (0, None));
            }
        },
    );
}

#[test]
fn the_largest_rings_wrap_like_small_ones() {
    for entries in [4095, 4096, u16::MAX] {
        let mut tail = SubmissionTail::new(entries);
        let mut head = CompletionHead::new(entries);
        for _ in 0..entries {
            assert!(head.phase());
            tail.advance();
            head.advance();
        }
        assert_eq!((tail.current(), head.index(), head.phase()), (0, 0, false));
    }
}

#[test]
fn a_head_that_is_no_slot_gives_no_room() {
    for_all(2000, (any::<u16>(), any::<u16>()), |(entries, head)| {
        let room = SubmissionTail::new(entries).room(head);
        assert_eq!(room.is_some(), head < entries);
        assert!(room.is_none_or(|room| room < entries));
    });
}

#[test]
fn rings_of_no_size_stay_at_slot_0_and_never_have_room() {
    for entries in [0, 1] {
        let mut tail = SubmissionTail::new(entries);
        let mut head = CompletionHead::new(entries);
        tail.advance();
        head.advance();
        assert_eq!((tail.current(), head.index()), (0, 0));
        assert_eq!(tail.room(0).unwrap_or(0), 0);
    }
}

#[test]
fn a_command_id_gives_back_its_tag_and_generation() {
    for tag in 0..=MAX_TAG {
        for generation in 0..16 {
            let id = CommandId::new(tag, generation);
            assert_ne!(id.raw(), 0xffff, "tag {tag}, generation {generation}");
            let back = CommandId::from_raw(id.raw());
            assert_eq!((back.tag(), back.generation()), (tag, generation));
        }
    }
}

#[test]
fn any_command_id_from_a_device_can_be_taken_apart() {
    for raw in 0..=u16::MAX {
        let id = CommandId::from_raw(raw);
        assert!(id.tag() <= 4095 && id.generation() < 16);
        assert_eq!(CommandId::new(id.tag(), id.generation()).raw(), raw);
    }
}

#[test]
fn a_generation_comes_back_after_16_uses_and_not_before() {
    let first = Generation::default();
    let uses: Vec<u8> = std::iter::successors(Some(first), |last| Some(last.next()))
        .take(17)
        .map(Generation::get)
        .collect();
    assert_eq!(
        uses[..16],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    );
    assert_eq!(uses[16], 0);
    assert_eq!(Generation::new(0xff).get(), 15);
    assert_eq!(MAX_TAGS, 4095);
}
