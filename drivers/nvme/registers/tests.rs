// SPDX-License-Identifier: GPL-2.0

//! What is written to the registers, and how the waits end, over memory in place of a BAR. A
//! controller of memory changes nothing by itself: its status is what the test has put there.

use super::Registers;
use kernel::{prelude::*, sync::Arc};
use kernel_ext::io::Mmio;
use nvme_proto::register::offset;

/// CAP: 64 entries, and 500 ms to get ready.
const CAP: u32 = 63 | 1 << 24;
const READY: u32 = 1;
const FATAL: u32 = 1 << 1;
const SHUTDOWN_COMPLETE: u32 = 0b10 << 2;

#[kunit_tests(rnvme_registers)]
mod cases {
    use super::*;

    fn with_status(status: u32) -> Result<(Arc<Mmio>, Registers)> {
        let mmio = Mmio::over_memory(KVec::from_elem(0, 0x1010 / 4, GFP_KERNEL)?)?;
        mmio.write32(offset::CAP, CAP)?;
        mmio.write32(offset::CSTS, status)?;
        let registers = Registers::new(mmio.clone())?;
        Ok((mmio, registers))
    }

    #[test]
    fn device_of_all_ones_is_none() -> Result {
        let mmio = Mmio::over_memory(KVec::from_elem(u32::MAX, 0x1010 / 4, GFP_KERNEL)?)?;
        assert_eq!(Registers::new(mmio.clone()).err(), Some(ENODEV));
        mmio.write64(offset::CAP, u64::from(CAP))?;
        assert_eq!(Registers::new(mmio).err(), Some(ENODEV));
        Ok(())
    }

    #[test]
    fn admin_queues_are_told_whole() -> Result {
        let (mmio, registers) = with_status(0)?;
        registers.set_admin_queues(0x1_2345_6000, 0x2_3456_7000, 32)?;
        assert_eq!(mmio.read32(offset::AQA), Ok(31 << 16 | 31));
        assert_eq!(mmio.read64(offset::ASQ), Ok(0x1_2345_6000));
        assert_eq!(mmio.read64(offset::ACQ), Ok(0x2_3456_7000));
        Ok(())
    }

    #[test]
    fn enabling_writes_the_whole_configuration_at_once() -> Result {
        let (mmio, registers) = with_status(READY)?;
        registers.enable()?;
        // Entries of 16 and 64 bytes, pages of 4 KiB, enabled.
        assert_eq!(mmio.read32(offset::CC), Ok(4 << 20 | 6 << 16 | 1));
        assert!(registers.is_working());
        Ok(())
    }

    #[test]
    fn enabling_ends_when_the_controller_fails_is_gone_or_silent() -> Result {
        for (status, error) in [(FATAL, EIO), (READY | FATAL, EIO), (0, ETIMEDOUT)] {
            let (_mmio, registers) = with_status(status)?;
            assert_eq!(registers.enable(), Err(error));
            assert!(!registers.is_working());
        }
        let (mmio, registers) = with_status(0)?;
        mmio.write32(offset::CSTS, u32::MAX)?;
        assert_eq!(registers.enable(), Err(ENODEV));
        assert!(registers.is_gone());
        Ok(())
    }

    #[test]
    fn disabling_clears_enable_alone_and_waits_for_it() -> Result {
        let (mmio, registers) = with_status(0)?;
        mmio.write32(offset::CC, 4 << 20 | 6 << 16 | 1)?;
        registers.disable()?;
        assert_eq!(mmio.read32(offset::CC), Ok(4 << 20 | 6 << 16));
        let (_mmio, registers) = with_status(READY)?;
        assert_eq!(registers.disable(), Err(ETIMEDOUT));
        Ok(())
    }

    #[test]
    fn shutdown_is_told_and_waited_for() -> Result {
        let (mmio, registers) = with_status(READY | SHUTDOWN_COMPLETE)?;
        mmio.write32(offset::CC, 1)?;
        registers.shutdown(100)?;
        assert_eq!(mmio.read32(offset::CC), Ok(1 << 14 | 1));
        let (_mmio, registers) = with_status(READY)?;
        assert_eq!(registers.shutdown(20), Err(ETIMEDOUT));
        Ok(())
    }
}
