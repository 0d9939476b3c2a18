// SPDX-License-Identifier: GPL-2.0

//! Registers and doorbells within their bounds, over memory in place of a BAR.

use super::{Mmio, Window};
use kernel::{prelude::*, sync::Arc};

#[kunit_tests(rnvme_ext_io)]
mod cases {
    use super::*;

    /// Registers of `words` words, each of which holds its own number.
    fn registers(words: u32) -> Result<Arc<Mmio>> {
        let mut memory = KVec::with_capacity(words as usize, GFP_KERNEL)?;
        for word in 0..words {
            memory.push(word, GFP_KERNEL)?;
        }
        Mmio::over_memory(memory)
    }

    #[test]
    fn window_keeps_what_is_written_within_it() -> Result {
        let window = Window::over_memory(KVec::from_elem(0, 4, GFP_KERNEL)?)?;
        assert_eq!(window.words(), 4);
        window.write(1, &[7, 8])?;
        window.flush();
        assert_eq!(window.read(4), None);
        assert_eq!(
            [1, 2, 3].map(|index| window.read(index)),
            [Some(7), Some(8), Some(0)]
        );
        for index in [3, 4, 5, usize::MAX - 1, usize::MAX] {
            assert_eq!(window.write(index, &[1, 2]), Err(EINVAL));
        }
        // What does not fit as a whole is not written in part.
        assert_eq!(window.read(3), Some(0));
        Ok(())
    }

    #[test]
    fn register_reads_what_was_written() -> Result {
        let mmio = registers(4)?;
        assert_eq!(mmio.len(), 16);
        assert!(!mmio.is_empty());
        assert_eq!(mmio.read32(12), Ok(3));
        mmio.write32(12, 0x1234_5678)?;
        assert_eq!(mmio.read32(12), Ok(0x1234_5678));
        assert_eq!(mmio.read32(8), Ok(2));
        Ok(())
    }

    #[test]
    fn long_register_has_its_low_half_first() -> Result {
        let mmio = registers(4)?;
        assert_eq!(mmio.read64(4), Ok(0x0000_0002_0000_0001));
        mmio.write64(8, 0x1111_2222_3333_4444)?;
        assert_eq!(mmio.read32(8), Ok(0x3333_4444));
        assert_eq!(mmio.read32(12), Ok(0x1111_2222));
        Ok(())
    }

    #[test]
    fn register_outside_or_across_is_refused() -> Result {
        let mmio = registers(4)?;
        for offset in [
            1,
            2,
            3,
            13,
            14,
            15,
            16,
            17,
            20,
            4096,
            usize::MAX - 3,
            usize::MAX,
        ] {
            assert_eq!(mmio.read32(offset), Err(EINVAL));
            assert_eq!(mmio.write32(offset, 0), Err(EINVAL));
            assert_eq!(mmio.read64(offset), Err(EINVAL));
            assert_eq!(mmio.write64(offset, 0), Err(EINVAL));
            assert!(mmio.doorbell(offset).is_err());
        }
        for word in 0..4u32 {
            assert_eq!(mmio.read32(word as usize * 4), Ok(word));
        }
        Ok(())
    }

    #[test]
    fn long_register_half_outside_is_not_written_in_part() -> Result {
        let mmio = registers(4)?;
        assert_eq!(mmio.write64(12, u64::MAX), Err(EINVAL));
        assert_eq!(mmio.read64(12), Err(EINVAL));
        assert_eq!(mmio.read32(12), Ok(3));
        Ok(())
    }

    #[test]
    fn doorbell_writes_its_register_alone() -> Result {
        let mmio = registers(4)?;
        let doorbell = mmio.doorbell(8)?;
        doorbell.ring(0xffff);
        doorbell.ring(42);
        let words = [0, 4, 8, 12].map(|offset| mmio.read32(offset));
        assert_eq!(words, [Ok(0), Ok(1), Ok(42), Ok(3)]);
        Ok(())
    }

    #[test]
    fn doorbell_keeps_the_registers() -> Result {
        let mmio = registers(4)?;
        let doorbell = mmio.doorbell(0)?;
        drop(mmio);
        doorbell.ring(1);
        Ok(())
    }
}
