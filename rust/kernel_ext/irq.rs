// SPDX-License-Identifier: GPL-2.0

//! Interrupt vectors with managed affinity, and handlers that own what they work on.
//!
//! The kernel crate's handlers get a shared reference. Here a handler is given to the interrupt
//! line and gets `&mut self`: genirq never runs one action on two CPUs at a time, so whatever
//! belongs to the interrupt's side alone needs no lock. [`Registration::free`] gives it back.
//!
//! C headers: `include/linux/interrupt.h`, `include/linux/pci.h`.

use crate::{bindings, numa::Node, raw};
use core::{cell::UnsafeCell, ffi::c_void};
use kernel::{
    device::Bound,
    devres::Devres,
    error::to_result,
    fmt, pci,
    prelude::*,
    str::CString,
    sync::{aref::ARef, Arc},
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// How a device interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By messages of a table.
    MsiX,
    /// By messages.
    Msi,
    /// By a line, which stays up until the device's cause is gone, and may be shared.
    Intx,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::MsiX => "MSI-X",
            Kind::Msi => "MSI",
            Kind::Intx => "INTx",
        })
    }
}

/// Vectors allocated by the PCI core; dropping it frees them.
///
/// # Invariants
///
/// `pdev` has MSI or MSI-X enabled by this allocation if `enabled`, else none.
struct Allocation {
    pdev: ARef<pci::Device>,
    enabled: bool,
}

impl Drop for Allocation {
    fn drop(&mut self) {
        if self.enabled {
            // SAFETY: By the invariant this undoes the allocation. Actions on the vectors are gone:
            // each keeps the vectors alive, and devres frees actions first, as they come later.
            unsafe { bindings::pci_free_irq_vectors(raw::pci_dev(&self.pdev)) };
        }
    }
}

/// The interrupt vectors of a PCI function, until the last reference goes or the device is unbound.
pub struct Vectors {
    allocation: Devres<Allocation>,
    count: u32,
}

/// Whether MSI or MSI-X is in use on a device.
fn message_signalled(pdev: &pci::Device<Bound>) -> bool {
    // SAFETY: `pdev` is a valid device; its vectors are only changed by its own driver.
    unsafe { (*raw::pci_dev(pdev)).msi_enabled() != 0 || (*raw::pci_dev(pdev)).msix_enabled() != 0 }
}

impl Vectors {
    /// Allocates `unmanaged` ordinary vectors and those of two sets, or fewer, but one at least:
    /// MSI-X, else MSI, else INTx.
    ///
    /// The affinity of each set is spread over all possible CPUs and managed by the kernel: such a
    /// vector is shut down while none of its CPUs is online. If there are too few vectors the
    /// second set gets fewer, down to one, then the first, then the second none. May sleep. `EBUSY`
    /// if the device has such vectors already, else the C function's errno.
    pub fn alloc(
        pdev: &pci::Device<Bound>,
        unmanaged: u32,
        mut sets: [u32; 2],
    ) -> Result<Arc<Self>> {
        if message_signalled(pdev) {
            return Err(EBUSY);
        }
        let mut affinity = bindings::irq_affinity {
            pre_vectors: unmanaged,
            ..Default::default()
        };
        // Without a second set the kernel's own way is the right one.
        if sets[1] != 0 {
            affinity.calc_sets = Some(share_out);
            affinity.priv_ = core::ptr::from_mut(&mut sets).cast();
        }
        let max = unmanaged.saturating_add(sets[0]).saturating_add(sets[1]);
        let flags = bindings::PCI_IRQ_ALL_TYPES | bindings::PCI_IRQ_AFFINITY;
        // SAFETY: `pdev` is a valid, bound device; `affinity` and the sets are only used during the
        // call.
        let count = unsafe {
            bindings::pci_alloc_irq_vectors_affinity(
                raw::pci_dev(pdev),
                1,
                max.max(1),
                flags,
                &mut affinity,
            )
        };
        to_result(count)?;
        // INVARIANT: None were enabled before, so any that are now come from this call.
        let allocation = Allocation {
            pdev: pdev.into(),
            enabled: message_signalled(pdev),
        };
        let allocation = Devres::new(pdev.as_ref(), allocation)?;
        let count = count as u32;
        Ok(Arc::new(Vectors { allocation, count }, GFP_KERNEL)?)
    }

    /// How many vectors there are; at least one.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// What kind of interrupt the vectors of `pdev` are.
    pub fn kind(&self, pdev: &pci::Device<Bound>) -> Kind {
        // SAFETY: `pdev` is a valid device.
        match unsafe { bindings::pci_irq_type(raw::pci_dev(pdev)) } {
            bindings::PCI_IRQ_MSIX => Kind::MsiX,
            bindings::PCI_IRQ_MSI => Kind::Msi,
            _ => Kind::Intx,
        }
    }

    /// The interrupt number of vector `index`; `EINVAL` if `pdev` is not the vectors' device, or
    /// has been unbound since they were allocated.
    fn number(&self, pdev: &pci::Device<Bound>, index: u32) -> Result<u32> {
        let allocation = self.allocation.try_access().ok_or(EINVAL)?;
        if raw::pci_dev(pdev) != raw::pci_dev(&allocation.pdev) || index >= self.count {
            return Err(EINVAL);
        }
        drop(allocation);
        // SAFETY: `pdev` is a valid device; an index out of range gives an error.
        let irq = unsafe { bindings::pci_irq_vector(raw::pci_dev(pdev), index) };
        to_result(irq)?;
        Ok(irq as u32)
    }

    /// The node of the first CPU that vector `index` is for; none in particular if `pdev` has no
    /// such vector of these.
    pub fn node(&self, pdev: &pci::Device<Bound>, index: u32) -> Node {
        if self.number(pdev, index).is_err() {
            return Node::ANY;
        }
        // SAFETY: `pdev` is a valid device that has this vector, as was checked above.
        Node::from_raw(unsafe { bindings::ext_vector_node(raw::pci_dev(pdev), index) })
    }
}

/// Says how many of `vectors` vectors each of the two wished-for sets gets.
///
/// # Safety
///
/// Only as the callback of [`Vectors::alloc`], which has the wish as private pointer.
unsafe extern "C" fn share_out(affinity: *mut bindings::irq_affinity, vectors: u32) {
    // SAFETY: Both are valid during the call that the callback belongs to.
    let (affinity, sets) = unsafe { (&mut *affinity, *(*affinity).priv_.cast::<[u32; 2]>()) };
    let first = sets[0].min(vectors.saturating_sub(1)).max(1);
    affinity.set_size[0] = first;
    affinity.set_size[1] = vectors.saturating_sub(first);
    affinity.nr_sets = 1 + u32::from(vectors > first);
}

/// What an interrupt line calls.
pub trait Handler: Send + 'static {
    /// Serves the interrupt; runs in hard interrupt context, never twice at a time.
    ///
    /// Returns whether the device had raised it: on a shared line every handler is asked.
    fn handle(&mut self) -> bool;
}

/// The place where a handler lives while the interrupt line knows its address.
///
/// # Invariants
///
/// While an action with this cell as its cookie is installed, only that action touches `0`; after
/// it is freed, only [`Registration::free`], which consumes the registration, does.
struct Cell<H>(UnsafeCell<Option<H>>);

// SAFETY: By the invariant there is one user at a time; `H` may move between threads.
unsafe impl<H: Send> Sync for Cell<H> {}
// SAFETY: As above.
unsafe impl<H: Send> Send for Cell<H> {}

/// An installed action.
///
/// # Invariants
///
/// An action of `irq` with the address of `cell`'s content as its cookie is installed until drop.
struct Action<H: Handler> {
    irq: u32,
    cell: Arc<Cell<H>>,
    /// The C side keeps a pointer to it, for /proc/interrupts.
    _name: CString,
    _vectors: Arc<Vectors>,
}

impl<H: Handler> Action<H> {
    fn install(
        irq: u32,
        vectors: &Arc<Vectors>,
        name: CString,
        cell: Arc<Cell<H>>,
    ) -> Result<Self> {
        // SAFETY: `name` and the cell's content stay in place until the action is freed, which
        // `Action`'s drop does before it gives up either. The callback fits the cookie.
        to_result(unsafe {
            bindings::request_threaded_irq(
                irq,
                Some(handle::<H>),
                None,
                bindings::IRQF_SHARED as usize,
                name.as_char_ptr(),
                core::ptr::from_ref::<Cell<H>>(&cell).cast_mut().cast(),
            )
        })?;
        // INVARIANT: Installed just now.
        Ok(Action {
            irq,
            cell,
            _name: name,
            _vectors: vectors.clone(),
        })
    }
}

impl<H: Handler> Drop for Action<H> {
    fn drop(&mut self) {
        let cookie: *const Cell<H> = &*self.cell;
        // SAFETY: By the invariant this action is installed. The call waits for a running handler.
        unsafe { bindings::free_irq(self.irq, cookie.cast_mut().cast()) };
    }
}

/// # Safety
///
/// Only for `request_threaded_irq` with the address of a live `Cell<H>` as the cookie.
unsafe extern "C" fn handle<H: Handler>(_irq: i32, cookie: *mut c_void) -> bindings::irqreturn_t {
    // SAFETY: The cookie is a `Cell<H>` that lives until the action is freed.
    let cell = unsafe { &*cookie.cast_const().cast::<Cell<H>>() };
    // SAFETY: By the cell's invariant only this action uses the content now, and genirq does not
    // run an action while it runs.
    let handler = unsafe { &mut *cell.0.get() };
    if handler.as_mut().is_some_and(H::handle) {
        bindings::irqreturn::IRQ_HANDLED
    } else {
        bindings::irqreturn::IRQ_NONE
    }
}

/// A handler installed on a vector of a bound device.
///
/// Devres frees the line at unbind if nothing has before, so that leaking this value leaks memory
/// and nothing else.
pub struct Registration<H: Handler> {
    action: Devres<Action<H>>,
    cell: Arc<Cell<H>>,
}

impl<H: Handler> Registration<H> {
    /// Installs `handler` on vector `index`, under `name` in /proc/interrupts.
    ///
    /// The handler may run before this returns. May sleep. On failure the handler comes back with
    /// the C function's errno.
    pub fn new(
        pdev: &pci::Device<Bound>,
        vectors: &Arc<Vectors>,
        index: u32,
        name: CString,
        handler: H,
    ) -> Result<Self, (Error, Option<H>)> {
        let prepared = vectors
            .number(pdev, index)
            .and_then(|irq| Ok((irq, Arc::new(Cell(UnsafeCell::new(None)), GFP_KERNEL)?)));
        let (irq, cell) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Err((error, Some(handler))),
        };
        // SAFETY: Nobody else has the cell yet.
        unsafe { *cell.0.get() = Some(handler) };
        let installed = Action::install(irq, vectors, name, cell.clone())
            .and_then(|action| Devres::new(pdev.as_ref(), action));
        match installed {
            Ok(action) => Ok(Registration { action, cell }),
            // SAFETY: No action is installed, or not any more, so the content is ours alone.
            Err(error) => Err((error, unsafe { (*cell.0.get()).take() })),
        }
    }

    /// Frees the line, waits for a running handler, and gives the handler back. May sleep.
    pub fn free(self) -> Option<H> {
        let Registration { action, cell } = self;
        drop(action);
        // SAFETY: The action is freed: by the drop just now, or by devres, for which that drop
        // waits. By the cell's invariant the content is now ours alone.
        unsafe { (*cell.0.get()).take() }
    }
}

/// A handler with or without an interrupt to call it.
///
/// Without one it is its owner's to use, so what an interrupt normally serves can be served by
/// hand before the interrupt is there and after it is gone.
pub enum Line<H: Handler> {
    /// Called by an interrupt.
    Attached(Registration<H>),
    /// Used by its owner.
    Detached(H),
    /// Only while it passes from the one to the other.
    Lost,
}

impl<H: Handler> Line<H> {
    /// Lets vector `index` call the handler; see [`Registration::new`]. `EBUSY` if one does already.
    /// On failure the owner still has the handler.
    pub fn attach(
        &mut self,
        pdev: &pci::Device<Bound>,
        vectors: &Arc<Vectors>,
        index: u32,
        name: CString,
    ) -> Result {
        match core::mem::replace(self, Line::Lost) {
            Line::Detached(handler) => {
                match Registration::new(pdev, vectors, index, name, handler) {
                    Ok(registration) => *self = Line::Attached(registration),
                    Err((error, handler)) => {
                        *self = handler.map_or(Line::Lost, Line::Detached);
                        return Err(error);
                    }
                }
                Ok(())
            }
            other => {
                *self = other;
                Err(EBUSY)
            }
        }
    }

    /// Frees the interrupt, if there is one, and returns the handler. May sleep.
    pub fn detach(&mut self) -> Option<&mut H> {
        if let Line::Attached(_) = self {
            if let Line::Attached(registration) = core::mem::replace(self, Line::Lost) {
                *self = registration.free().map_or(Line::Lost, Line::Detached);
            }
        }
        match self {
            Line::Detached(handler) => Some(handler),
            _ => None,
        }
    }
}
