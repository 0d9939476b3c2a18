// SPDX-License-Identifier: MIT

//! Faults of completion queue entries.

use super::{Expects, Fault, Kind, Only, Place};
use crate::fault::Hook;

const CLAIMED: &str = "a duplicate, late or invented completion ends a request twice, or another's";
const CHANGES: &str = "the entry changes while it is read";
const NONSENSE: &str = "status, SQ head or SQ id make no sense";

pub(super) const PLACE: Place = Place {
    title: "Completions",
    about: "Entries of completion queues: lost, invented, wrong, or at the wrong time.",
    kinds: &[
        Kind::new("completion-lost", Hook::Completion, Fault::Lost)
            .says(
                "carries out a command and never completes it",
                "notices by its timeout, aborts the command, resets the controller if that does not \
                 help, and tries again",
                "a completion that never comes",
            )
            .example("completion-lost:queue=io,nth=20"),
        Kind::new("completion-late", Hook::Completion, Fault::Late)
            .argument("milliseconds", 500)
            .says(
                "completes a command late",
                "waits, and takes the completion once; if its timeout was shorter, drops it without harm",
                "timeout against completion: each request has one end",
            )
            .example("completion-late:queue=io,nth=20,times=10"),
        Kind::new("completion-duplicate", Hook::Completion, Fault::Duplicate)
            .says(
                "posts a completion twice",
                "drops the second, counts it, and ends the request once",
                CLAIMED,
            )
            .example("completion-duplicate:queue=io,nth=20,times=10"),
        Kind::new("completion-unknown", Hook::Completion, Fault::Unknown)
            .argument("the command identifier", 0xffff)
            .says(
                "posts an entry with a command identifier that nobody uses in front of the right one",
                "drops it and counts it",
                CLAIMED,
            )
            .example("completion-unknown:queue=io,nth=20,times=10"),
        Kind::new("completion-stale", Hook::Completion, Fault::Stale)
            .says(
                "posts an entry in front of the right one whose command identifier has the upper four \
                 bits, where drivers keep the generation, one lower",
                "sees by the generation that it belongs to an earlier use of the tag, and drops it",
                CLAIMED,
            )
            .example("completion-stale:queue=io,nth=20,times=10"),
        Kind::new("completion-other-queue", Hook::Completion, Fault::OtherQueue)
            .only(Only::Io)
            .says(
                "posts a completion in the ring of another queue, and none in the right one",
                "ends no request of the other queue for it, and recovers this one by its timeout",
                "an entry says a queue that it is not in",
            )
            .example("completion-other-queue:nth=20"),
        Kind::new("completion-admin-in-io", Hook::Completion, Fault::AdminInIo)
            .only(Only::Io)
            .says(
                "posts an entry of the admin queue (its queue id, the identifier of an Asynchronous \
                 Event Request) in an I/O queue's ring, in front of the right one",
                "takes it for no event, and drops it",
                "an entry says a queue that it is not in",
            )
            .example("completion-admin-in-io:nth=20,times=5"),
        Kind::new("completion-wrong-phase", Hook::Completion, Fault::WrongPhase)
            .says(
                "writes a completion with the phase tag inverted, and goes on to the next slot",
                "does not see it nor what follows, and recovers by a timeout and a reset",
                "a completion that never comes",
            )
            .example("completion-wrong-phase:queue=io,nth=20"),
        Kind::new("completion-flood", Hook::Completion, Fault::Flood)
            .argument("how many", 64)
            .says(
                "posts invented entries in front of the right one, as many as find room and the rest \
                 when there is room again",
                "drops each, gives way to others after as many as the queue is deep",
                "a queue that never runs dry: endless work in an interrupt",
            )
            .example("completion-flood:queue=io,nth=20,arg=1000"),
        Kind::new("completion-overrun", Hook::Completion, Fault::Overrun)
            .argument("how many; 0 for as many as the queue has entries", 0)
            .says(
                "writes invented entries over those that the host has not consumed, without regard for \
                 its head",
                "reads no slot out of bounds, recovers what was overwritten by timeouts and a reset",
                "the ring is overrun",
            )
            .example("completion-overrun:queue=io,nth=20"),
        Kind::new("completion-endless", Hook::Consumed, Fault::Endless)
            .only(Only::Io)
            .always()
            .says(
                "fills the queue with invented entries again whenever the host has consumed some; with shadow \
                 doorbells it asks to be told of that",
                "handles a bounded number at a time, so that the CPU gets on with other things",
                "a queue that never runs dry: endless work in an interrupt",
            )
            .example("completion-endless:nth=20,times=2000"),
        Kind::new("completion-sq-head", Hook::Completion, Fault::SqHead)
            .argument("the submission queue head", 0xffff)
            .says(
                "says a submission queue head in the entry, beyond the queue unless told otherwise",
                "indexes nothing with it",
                NONSENSE,
            )
            .example("completion-sq-head:queue=io,nth=20,times=10"),
        Kind::new("completion-sq-head-stuck", Hook::Completion, Fault::SqHead)
            .argument("the submission queue head", 0)
            .always()
            .says(
                "says the same submission queue head in each entry, as if no command was ever taken",
                "goes on: its own count of what is in flight keeps the ring from being overrun",
                NONSENSE,
            )
            .example("completion-sq-head-stuck:queue=io"),
        Kind::new("completion-sq-id", Hook::Completion, Fault::SqId)
            .argument("the submission queue identifier", 0xffff)
            .says(
                "says another submission queue in the entry",
                "indexes nothing with it",
                NONSENSE,
            )
            .example("completion-sq-id:queue=io,nth=20,times=10"),
        Kind::new("completion-torn", Hook::Completion, Fault::Torn)
            .argument("milliseconds until the rest is there", 1)
            .says(
                "writes the phase tag with an identifier of all ones; the right entry follows into the \
                 same slot",
                "reads the entry once, drops it, and recovers the request by its timeout",
                CHANGES,
            )
            .example("completion-torn:queue=io,nth=20"),
        Kind::new("completion-rewritten", Hook::Completion, Fault::Rewritten)
            .argument("milliseconds that it lasts, 2000 at most", 5)
            .says(
                "posts a completion and then changes the slot between the right entry and one with an \
                 error and an unknown identifier, as fast as it can; the right one stays",
                "decides by one copy: takes the right one, or drops the wrong one and recovers",
                CHANGES,
            )
            .example("completion-rewritten:queue=io,nth=20,times=10"),
        Kind::new("completion-result", Hook::Completion, Fault::Garbage)
            .argument("dwords 0 and 1 of the entry", u64::MAX)
            .says(
                "puts a number into the result dwords that the command did not ask for",
                "takes no result that the command does not have, and checks those that it has",
                NONSENSE,
            )
            .example("completion-result:queue=io,nth=20,times=10"),
        Kind::new("completion-reordered", Hook::Completion, Fault::Reordered)
            .argument("milliseconds to wait for another at most", 200)
            .says(
                "keeps a completion until the queue's next one was posted",
                "ends each request by its identifier, in whatever order",
                "completions come in any order",
            )
            .example("completion-reordered:queue=io,every=3,times=50"),
        Kind::new("completion-interrupt-early", Hook::Completion, Fault::InterruptEarly)
            .argument("milliseconds until the entry follows", 5)
            .says(
                "sends the interrupt, and the entry later, with no other interrupt",
                "counts the interrupt as spurious and finds the entry by polling when the request's \
                 time is over",
                "an interrupt for no reason",
            )
            .example("completion-interrupt-early:queue=io,nth=20"),
        Kind::new("completion-error", Hook::Completion, Fault::Status)
            .argument("the status: SC, SCT << 8, CRD << 11, M << 13, DNR << 14", 0x281)
            .expects(Expects::Errors)
            .says(
                "completes a command with an error",
                "tells the error, or tries again where the status lets it",
                NONSENSE,
            )
            .example("completion-error:queue=io,nth=20"),
        Kind::new("completion-error-dnr", Hook::Completion, Fault::Status)
            .argument("the status", 0x4006)
            .expects(Expects::Errors)
            .says(
                "completes a command with an error that must not be retried (DNR)",
                "tells the error at once",
                NONSENSE,
            )
            .example("completion-error-dnr:queue=io,nth=20"),
        Kind::new("completion-error-unknown", Hook::Completion, Fault::Status)
            .argument("the status", 0x7ff)
            .expects(Expects::Errors)
            .says(
                "completes a command with a status that no specification has",
                "takes it for an error like any other",
                NONSENSE,
            )
            .example("completion-error-unknown:queue=io,nth=20"),
        Kind::new("completion-error-random", Hook::Completion, Fault::StatusRandom)
            .always()
            .expects(Expects::Errors)
            .says(
                "completes a command with a status that follows from the seed, never success",
                "tells the errors or tries again, without end for none",
                NONSENSE,
            )
            .example("completion-error-random:queue=io,prob=50"),
        Kind::new("completion-retry-later", Hook::Completion, Fault::RetryLater)
            .argument("CRD: which of the three delays of Identify Controller", 1)
            .says(
                "completes a command with Command Interrupted and asks for a retry after a delay",
                "waits as long as the delay says, within a bound of its own, and tries again",
                "a retry delay (CRDT) of up to 109 minutes",
            )
            .example("completion-retry-later:queue=io,nth=20,times=3"),
        Kind::new("abort-refused", Hook::Completion, Fault::Status)
            .only(Only::Admin(0x08))
            .argument("the status", 0x4103)
            .always()
            .says(
                "answers Abort with Abort Command Limit Exceeded",
                "keeps to the limit of Identify and goes on to the reset",
                "the abort limit is exceeded",
            )
            .example("abort-refused completion-lost:queue=io,nth=20"),
        Kind::new("abort-lost", Hook::Completion, Fault::Lost)
            .only(Only::Admin(0x08))
            .always()
            .says(
                "never answers Abort",
                "waits no longer for the abort than for a command, and resets",
                "a timeout while one is being handled",
            )
            .example("abort-lost completion-lost:queue=io,nth=20"),
        Kind::new("completion-after-sq-deletion", Hook::QueueDeleted, Fault::AfterDeletion)
            .only(Only::Submission)
            .argument("milliseconds after the deletion", 0)
            .says(
                "posts an entry of a submission queue that was deleted",
                "drops it: nothing of that queue is in flight",
                CLAIMED,
            ),
        Kind::new("completion-after-cq-deletion", Hook::QueueDeleted, Fault::AfterDeletion)
            .only(Only::Completion)
            .argument("milliseconds after the deletion, before which it is not told", 0)
            .says(
                "writes an entry to where a completion queue was that is being deleted",
                "gives the memory back only when the deletion was completed; behind an IOMMU it is then \
                 out of reach",
                "buffers are given back while the device may still write",
            ),
        Kind::new("completion-after-reset", Hook::Reset, Fault::AfterReset)
            .argument("milliseconds after CC.EN was cleared", 0)
            .says(
                "writes an entry with an unknown identifier to each old completion queue after CC.EN \
                 was cleared",
                "gives no memory back and clears no ring before CSTS.RDY is 0",
                "buffers are given back while the device may still write",
            ),
    ],
};
