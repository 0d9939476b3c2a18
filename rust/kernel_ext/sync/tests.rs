// SPDX-License-Identifier: GPL-2.0

//! Waiting for an event that has happened, happens meanwhile, or does not happen.

use super::Completion;
use kernel::{
    prelude::*,
    sync::Arc,
    time::{Instant, Monotonic},
    workqueue,
};

#[kunit_tests(rnvme_ext_sync)]
mod cases {
    use super::*;

    fn new() -> Result<Arc<Completion>> {
        Arc::pin_init(Completion::new(), GFP_KERNEL)
    }

    #[test]
    fn wait_for_nothing_ends_in_time() -> Result {
        let event = new()?;
        let start = Instant::<Monotonic>::now();
        assert!(!event.wait_ms(30));
        let waited = start.elapsed().as_millis();
        // A timer's tick may be as long as 10 ms.
        assert!(waited >= 20);
        assert!(waited < 10_000);
        assert!(!event.is_done());
        Ok(())
    }

    #[test]
    fn wait_without_time_only_looks() -> Result {
        let event = new()?;
        assert!(!event.wait_ms(0));
        event.complete_all();
        assert!(event.is_done());
        assert!(event.wait_ms(1));
        Ok(())
    }

    #[test]
    fn event_stays_for_every_later_waiter() -> Result {
        let event = new()?;
        event.complete_all();
        event.complete_all();
        for _ in 0..3 {
            assert!(event.wait_ms(u32::MAX));
            assert!(event.is_done());
        }
        Ok(())
    }

    #[test]
    fn event_ends_a_wait_under_way() -> Result {
        let (asked, answered) = (new()?, new()?);
        let (theirs, back) = (asked.clone(), answered.clone());
        workqueue::system_long().try_spawn(GFP_KERNEL, move || {
            if theirs.wait_ms(10_000) {
                back.complete_all();
            }
        })?;
        assert!(!answered.is_done());
        asked.complete_all();
        assert!(answered.wait_ms(10_000));
        Ok(())
    }
}
