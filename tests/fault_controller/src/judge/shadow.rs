// SPDX-License-Identifier: MIT

//! Shadow doorbells that nobody was told of (Base 5.2.5).
//!
//! A submission queue's event index is the tail that was seen last. A driver that leaves another tail in
//! the shadow has passed it, and must ring. Between its store and its doorbell a driver may be
//! interrupted: only what stays so for long was forgotten.

use std::time::Duration;

use super::{rules, Judge};
use crate::controller::Controller;

/// How long a driver may take from its store to its doorbell.
const PATIENCE: Duration = Duration::from_secs(5);

/// A tail in the shadow that the controller was not told of.
#[derive(Clone, Copy)]
pub(super) struct Untold {
    value: u32,
    since: Duration,
    complained: bool,
}

impl Judge {
    fn look_at_shadow(&mut self, this: &Controller) {
        let now = this.now();
        for queue in this.submission.values() {
            // The admin queue's entries are never looked at; those of others from their first ring on.
            let shadow = this
                .shadow_value(queue.id, false)
                .filter(|value| *value != queue.tail && queue.id != 0 && queue.shadowed);
            let Some(value) = shadow else {
                self.untold.remove(&queue.id);
                continue;
            };
            let fresh = Untold {
                value,
                since: now,
                complained: false,
            };
            let untold = self.untold.entry(queue.id).or_insert(fresh);
            if untold.value != value {
                *untold = fresh;
            }
            if untold.complained || now.saturating_sub(untold.since) < PATIENCE {
                continue;
            }
            untold.complained = true;
            let seen = format!(
                "submission queue {} has the tail {value} in its shadow since {:.1} s, the event \
                 index is {}, and the doorbell was not rung",
                queue.id,
                untold.since.as_secs_f64(),
                queue.tail
            );
            self.complain(rules::LOST_WAKEUP, &seen, Vec::new());
        }
    }
}

impl Controller {
    /// Time goes by.
    pub(crate) fn judge_time(&mut self) {
        if self.shadow.is_some() {
            self.judged(|judge, this| judge.look_at_shadow(this));
        }
    }
}
