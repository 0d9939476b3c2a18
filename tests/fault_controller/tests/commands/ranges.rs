// SPDX-License-Identifier: MIT

//! A set of stretches is the set of the numbers in them.

use std::collections::BTreeSet;

use nvme_fault_controller::ranges::Ranges;
use proptest::prelude::*;

use super::driver::random::for_all;

#[test]
fn a_stretch_of_any_length_is_one() {
    let mut ranges = Ranges::default();
    ranges.add(0..u64::MAX);
    ranges.remove(1 << 40..1 << 41);
    assert_eq!(ranges.count(), 2, "{ranges:?}");
    assert!(!ranges.meets(&(1 << 40..1 << 41)), "{ranges:?}");
    ranges.add(1 << 40..1 << 41);
    assert_eq!(ranges.count(), 1, "{ranges:?}");
}

#[test]
fn adding_and_removing_is_as_with_each_number_alone() {
    let deeds = prop::collection::vec((any::<bool>(), 0u64..60, 0u64..20), 0..40);
    for_all(200, deeds, |deeds| {
        let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
        for (add, start, length) in deeds {
            let range = start..start + length;
            if add {
                model.extend(range.clone());
                ranges.add(range);
            } else {
                model.retain(|number| !range.contains(number));
                ranges.remove(range);
            }
            for first in 0..80 {
                for length in 0..3 {
                    let probe = first..first + length;
                    let there = model.range(probe.clone()).next().is_some();
                    assert_eq!(ranges.meets(&probe), there, "{probe:?} of {ranges:?}");
                }
            }
            let begins = model
                .iter()
                .filter(|number| **number == 0 || !model.contains(&(**number - 1)));
            assert_eq!(begins.count(), ranges.count(), "{ranges:?}");
        }
    });
}
