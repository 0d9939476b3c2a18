// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Queues shared out: known answers, and what holds for every wish and every grant.

use nvme_proto::queue_plan::{QueuePlan, QueueWish};
use proptest::prelude::*;

use crate::support::for_all;

fn wish(write: u32, poll: u32) -> QueueWish {
    QueueWish {
        cpus: 4,
        write,
        poll,
        most: 0,
    }
}

fn plan(default: u16, read: u16, poll: u16) -> QueuePlan {
    QueuePlan {
        default,
        read,
        poll,
    }
}

#[test]
fn every_cpu_has_a_queue_of_each_kind_where_there_are_enough() {
    assert_eq!(wish(0, 0).total(u16::MAX), 4);
    assert_eq!(wish(0, 0).share(4, 4), plan(4, 0, 0));
    assert_eq!(wish(2, 0).total(u16::MAX), 6);
    assert_eq!(wish(2, 0).share(6, 6), plan(2, 4, 0));
    assert_eq!(wish(0, 2).total(u16::MAX), 6);
    assert_eq!(wish(0, 2).share(6, 4), plan(4, 0, 2));
    assert_eq!(wish(1, 3).share(8, 5), plan(1, 4, 3));
}

#[test]
fn fewer_queues_than_wished_leave_one_for_everything() {
    assert_eq!(wish(2, 2).share(1, 8), plan(1, 0, 0));
    assert_eq!(wish(2, 2).share(2, 8), plan(1, 0, 1));
    assert_eq!(wish(2, 2).share(4, 8), plan(1, 1, 2));
    assert_eq!(wish(9, 0).share(4, 8), plan(3, 1, 0));
    assert_eq!(wish(9, 9).share(0, 8), plan(0, 0, 0));
}

#[test]
fn fewer_vectors_than_queues_cost_no_polled_queue() {
    assert_eq!(wish(0, 2).share(6, 1), plan(1, 0, 2));
    assert_eq!(wish(2, 2).share(8, 2), plan(1, 1, 2));
    assert_eq!(wish(2, 0).share(6, 0), plan(1, 0, 0));
}

#[test]
fn polled_queues_come_last() {
    let shared = plan(2, 1, 2);
    assert_eq!((shared.interrupts(), shared.total()), (3, 5));
    let polled: Vec<u16> = (1..=5).filter(|&qid| shared.is_polled(qid)).collect();
    assert_eq!(polled, [4, 5]);
    assert_eq!([4, 5].map(|qid| shared.polled_index(qid)), [0, 1]);
}

#[test]
fn no_more_is_shared_out_than_there_is_and_something_if_there_is_any() {
    let numbers = || prop_oneof![0u32..20, any::<u32>()];
    let wishes = (numbers(), numbers(), numbers(), numbers());
    for_all(
        20_000,
        (wishes, any::<u16>(), numbers()),
        |((cpus, write, poll, most), queues, vectors)| {
            let wish = QueueWish {
                cpus,
                write,
                poll,
                most,
            };
            let asked = wish.total(queues);
            assert!(asked <= queues && (most == 0 || u32::from(asked) <= most));
            let shared = wish.share(asked, vectors);
            assert!(shared.total() <= asked, "{wish:?} {shared:?}");
            assert!(u32::from(shared.interrupts()) <= vectors.max(1));
            assert!(asked == 0 || shared.default > 0);
            for kind in [shared.default, shared.read, shared.poll] {
                assert!(u32::from(kind) <= cpus.max(1));
            }
            assert!(write != 0 || shared.read == 0);
        },
    );
}
