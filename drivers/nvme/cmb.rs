// SPDX-License-Identifier: GPL-2.0

//! The controller memory buffer: submission queues in memory that the controller has beside it.
//!
//! NVM Express Base Specification 2.1, section 8.2.1. The controller then fetches commands without
//! crossing the bus. Nothing depends on it: where the buffer makes no sense or has no room for all
//! queues, they lie in the host's memory, and the log says so in one line.

use crate::{module_parameters, registers::Registers, show::Show};
use core::mem::size_of;
use kernel::{device::Bound, pci, prelude::*, str::CString, sync::Arc};
use kernel_ext::io::{MemoryBar, Window};
use nvme_proto::{
    cmb::{Cmb, CmbRefused, SubmissionQueues},
    limits::doorbell_offset,
};

/// A submission queue's place in the buffer.
pub(crate) struct Place {
    pub(crate) window: Arc<Window>,
    /// The queue's first word.
    pub(crate) first: usize,
}

impl Place {
    /// The bus address of the queue's first word.
    pub(crate) fn bus_address(&self) -> u64 {
        let offset = self.first.wrapping_mul(size_of::<u64>()) as u64;
        self.window.bus_address().wrapping_add(offset)
    }

    /// Stores `words` at word `index` of the queue; `EINVAL` beyond the window's end.
    #[inline]
    pub(crate) fn write<const N: usize>(&self, index: usize, words: &[u64; N]) -> Result {
        self.window.write(self.first.wrapping_add(index), words)
    }
}

/// The buffer of one controller, laid out for submission queues.
pub(crate) struct ControllerMemory {
    window: Arc<Window>,
    layout: SubmissionQueues,
}

/// Why there is none.
enum Without {
    /// The controller has none, or not for submission queues; or it is not wanted.
    Nothing,
    Refused(CmbRefused),
    Failed(Error),
}

impl From<CmbRefused> for Without {
    fn from(refused: CmbRefused) -> Self {
        match refused {
            CmbRefused::NoSubmissionQueues => Without::Nothing,
            refused => Without::Refused(refused),
        }
    }
}

impl From<Error> for Without {
    fn from(error: Error) -> Self {
        Without::Failed(error)
    }
}

impl ControllerMemory {
    /// Finds the buffer of a controller that is not enabled yet, and has the controller take the
    /// bus addresses of its BAR for it. With room for `queues` submission queues of `entries`
    /// entries, else there is none. May sleep.
    pub(crate) fn find(
        pdev: &pci::Device<Bound>,
        registers: &Registers,
        queues: u16,
        entries: u16,
    ) -> Option<Self> {
        match Self::lay_out(pdev, registers, queues, entries) {
            Ok(memory) => return Some(memory),
            Err(Without::Nothing) => {}
            Err(Without::Refused(refused)) => dev_warn!(pdev, "{}\n", Show(refused)),
            Err(Without::Failed(error)) => {
                dev_warn!(pdev, "controller memory buffer left out: {error:?}\n");
            }
        }
        registers.close_cmb();
        None
    }

    fn lay_out(
        pdev: &pci::Device<Bound>,
        registers: &Registers,
        queues: u16,
        entries: u16,
    ) -> Result<Self, Without> {
        if module_parameters::use_cmb_sqes.value() == 0 || queues == 0 {
            return Err(Without::Nothing);
        }
        let (cmbloc, cmbsz) = registers.cmb_claims()?;
        let stride = registers.cap().doorbell_stride();
        let doorbells_end = doorbell_offset(queues, stride, true).saturating_add(size_of::<u32>());
        let bar = |bar: u8| MemoryBar::of(pdev, bar.into());
        let bar_len = |number| bar(number).map_or(0, |bar| bar.len);
        let cmb =
            Cmb::place(cmbloc, cmbsz, bar_len, doorbells_end as u64)?.ok_or(Without::Nothing)?;
        let layout = cmb.submission_queues(queues, entries)?;
        let base = bar(cmb.bar)
            .ok_or(ENODEV)?
            .bus_address
            .wrapping_add(cmb.offset);
        // Without CMBMSC the buffer is where its BAR is, and no longer than that.
        let control = match registers.cap().cmbs() {
            true => cmb.memory_space_control(base)?,
            false => 0,
        };
        // Within the buffer, whose size fits what can be mapped: its BAR is there.
        let bytes = layout.queue_bytes().saturating_mul(queues.into());
        let words = usize::try_from(bytes).unwrap_or(0) / size_of::<u64>();
        let name = CString::try_from_fmt(fmt!("rnvme queues"))?;
        let window = registers.window(pdev, cmb.bar.into(), cmb.offset, words, name)?;
        if !registers.open_cmb(control)? {
            return Err(CmbRefused::Address(base).into());
        }
        dev_info!(
            pdev,
            "submission queues lie in the controller's memory: BAR {} from {:#x} on, bus address {:#x}\n",
            cmb.bar,
            cmb.offset,
            window.bus_address()
        );
        Ok(ControllerMemory { window, layout })
    }

    /// Where the submission queue of id `qid`, from 1 on, lies.
    pub(crate) fn place(&self, qid: u16) -> Option<Place> {
        let offset = self.layout.offset(qid.checked_sub(1)?)?;
        Some(Place {
            window: self.window.clone(),
            first: usize::try_from(offset).ok()? / size_of::<u64>(),
        })
    }
}
