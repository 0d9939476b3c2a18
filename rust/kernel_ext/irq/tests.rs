// SPDX-License-Identifier: GPL-2.0

//! A line without an interrupt: whose the handler is. Lines with one are driven by the tests with a
//! controller, since an interrupt takes a device.

use super::{Handler, Line};
use crate::kunit::{Drops, Tell};
use kernel::prelude::*;

struct Counting {
    calls: u32,
    _tell: Tell,
}

impl Handler for Counting {
    fn handle(&mut self) -> bool {
        self.calls += 1;
        self.calls % 2 == 1
    }
}

#[kunit_tests(rnvme_ext_irq)]
mod cases {
    use super::*;

    fn detached(drops: &Drops) -> Line<Counting> {
        let _tell = drops.tell();
        Line::Detached(Counting { calls: 0, _tell })
    }

    #[test]
    fn detached_handler_is_its_owners_to_call() -> Result {
        let drops = Drops::new()?;
        let mut line = detached(&drops);
        for served in [true, false, true] {
            assert_eq!(line.detach().map(Counting::handle), Some(served));
        }
        assert!(matches!(&line, Line::Detached(handler) if handler.calls == 3));
        assert_eq!(drops.count(), 0);
        Ok(())
    }

    #[test]
    fn handler_goes_once_with_its_line() -> Result {
        let drops = Drops::new()?;
        let mut line = detached(&drops);
        assert!(line.detach().is_some());
        drop(line);
        assert_eq!(drops.count(), 1);
        Ok(())
    }

    #[test]
    fn lost_line_has_no_handler_and_stays_lost() -> Result {
        let mut line = Line::<Counting>::Lost;
        assert!(line.detach().is_none());
        assert!(matches!(line, Line::Lost));
        Ok(())
    }
}
