// SPDX-License-Identifier: MIT

//! A set of numbers that come in long stretches, as the blocks that a command names: it costs what the
//! stretches are, not what is in them. Relies on nothing.

use std::collections::BTreeMap;
use std::ops::Range;

/// Numbers, in stretches that do not touch each other.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    /// Where each begins, and where it ends.
    ends: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Whether any of `range` is in it.
    pub fn meets(&self, range: &Range<u64>) -> bool {
        // Of those that begin before the end the last one reaches farthest.
        let last = self.ends.range(..range.end).next_back();
        range.start < range.end && last.is_some_and(|(_, end)| *end > range.start)
    }

    /// Puts all of `range` in.
    pub fn add(&mut self, range: Range<u64>) {
        if range.start >= range.end {
            return;
        }
        let Range { mut start, mut end } = range;
        // What it meets, or touches, becomes one with it.
        while let Some((&first, &last)) = self.ends.range(..=end).next_back() {
            if last < start {
                break;
            }
            self.ends.remove(&first);
            (start, end) = (start.min(first), end.max(last));
        }
        self.ends.insert(start, end);
    }

    /// Takes all of `range` out.
    pub fn remove(&mut self, range: Range<u64>) {
        if range.start >= range.end {
            return;
        }
        while let Some((&first, &last)) = self.ends.range(..range.end).next_back() {
            if last <= range.start {
                break;
            }
            self.ends.remove(&first);
            if last > range.end {
                self.ends.insert(range.end, last);
            }
            if first < range.start {
                self.ends.insert(first, range.start);
            }
        }
    }

    /// How many stretches there are.
    pub fn count(&self) -> usize {
        self.ends.len()
    }
}
