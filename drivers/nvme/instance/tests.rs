// SPDX-License-Identifier: GPL-2.0

//! Numbers of controllers: each is given once, the lowest first, until it comes back.

use super::Instance;
use kernel::{prelude::*, str::CString};

#[kunit_tests(rnvme_instance)]
mod cases {
    use super::*;

    #[test]
    fn number_that_came_back_is_the_next_to_go() -> Result {
        let (first, second) = (Instance::take()?, Instance::take()?);
        let (low, high) = (first.number(), second.number());
        assert!(low < high);
        drop(first);
        let again = Instance::take()?;
        assert_eq!(again.number(), low);
        Ok(())
    }

    #[test]
    fn name_has_the_number() -> Result {
        let instance = Instance::take()?;
        let number = instance.number();
        let name = CString::try_from_fmt(fmt!("{instance}"))?;
        let expected = CString::try_from_fmt(fmt!("rnvme{number}"))?;
        assert_eq!(name.to_bytes(), expected.to_bytes());
        Ok(())
    }

    #[test]
    fn numbers_end_and_none_is_given_twice() -> Result {
        let mut taken = KVec::with_capacity(1024, GFP_KERNEL)?;
        let refused = loop {
            match Instance::take() {
                Ok(instance) => taken.push(instance, GFP_KERNEL)?,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, ENOSPC);
        // Ascending, so all are different; controllers of the machine may have the others.
        assert!(taken
            .iter()
            .map(Instance::number)
            .is_sorted_by(|a, b| a < b));
        assert!(taken.last().is_some_and(|last| last.number() == 1023));
        drop(taken);
        assert!(Instance::take().is_ok());
        Ok(())
    }
}
