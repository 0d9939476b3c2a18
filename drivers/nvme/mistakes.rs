// SPDX-License-Identifier: GPL-2.0

//! Deliberate mistakes, for the self-test build alone: what the debug kernel's checks must report.
//!
//! Reading `mistakes/NAME` in the PCI device's folder in sysfs commits the mistake of that name;
//! those that need a device being probed are committed at the beginning of the next probe. Each is
//! a function of its own that is not inlined, so that its name is in the report. What takes
//! `unsafe` to get wrong is in `kernel_ext::mistakes`.
//!
//! Nothing of this is in a module that was built without `--cfg rnvme_self_test`.

use crate::registers::Registers;
use core::{
    hint, mem,
    sync::atomic::{AtomicBool, Ordering},
};
use kernel::{
    device::{Bound, Core},
    devres, new_mutex, new_spinlock, pci,
    prelude::*,
    str::CString,
    sync::{Arc, Mutex, Refcount, SpinLock},
    time::{
        delay::{fsleep, udelay},
        Delta, Instant, Monotonic,
    },
};
use kernel_ext::{
    dma::Coherent,
    io::Mmio,
    mistakes::{freed_timer, out_of_bounds, use_after_free},
    pci as pci_ext,
    sync::Completion,
    sysfs::{Entry, Group},
};
use nvme_proto::limits::doorbell_offset;

/// How long the mistakes with time last: longer than the tests tell the kernel to put up with.
const TOO_LONG_MS: i64 = 6_000;
/// An address that nobody has mapped for the device, and no memory is at.
const NEVER_MAPPED: u64 = 0x7f_dead_0000;
/// Allocations that are lost: one could still be found in some register.
const LOST: usize = 8;

static LEAK_DMA: AtomicBool = AtomicBool::new(false);
static LEAVE_DMA: AtomicBool = AtomicBool::new(false);

static FILES: [Entry<()>; 13] = [
    file(c"use_after_free", |(), f| said(f, use_after_free())),
    file(c"out_of_bounds", |(), f| said(f, out_of_bounds())),
    file(c"freed_timer", |(), f| said(f, freed_timer())),
    file(c"lock_inversion", |(), f| said(f, lock_inversion())),
    file(c"memory_leak", |(), f| said(f, memory_leak())),
    file(c"sleep_in_atomic", |(), f| said(f, sleep_in_atomic())),
    file(c"warning", |(), f| said(f, warning())),
    file(c"refcount_underflow", |(), f| said(f, refcount_underflow())),
    file(c"hung_task", |(), f| said(f, hung_task())),
    file(c"busy_cpu", |(), f| said(f, busy_cpu())),
    file(c"rust_panic", |(), f| said(f, rust_panic())),
    file(c"dma_leak", |(), f| at_next_probe(f, &LEAK_DMA)),
    file(c"dma_outside", |(), f| at_next_probe(f, &LEAVE_DMA)),
];

type Formatter<'a> = kernel::fmt::Formatter<'a>;
type Said = kernel::fmt::Result;

const fn file(name: &'static CStr, show: fn(&(), &mut Formatter<'_>) -> Said) -> Entry<()> {
    Entry { name, show }
}

fn said(f: &mut Formatter<'_>, result: Result) -> Said {
    match result {
        Ok(()) => f.write_str("committed"),
        Err(error) => write!(f, "not committed: {error:?}"),
    }
}

fn at_next_probe(f: &mut Formatter<'_>, armed: &AtomicBool) -> Said {
    armed.store(true, Ordering::Relaxed);
    f.write_str("at the next probe")
}

/// Adds the files, until the device is unbound, and commits what was asked for at this probe.
pub(crate) fn probe(pdev: &pci::Device<Core<'_>>) {
    if let Err(error) = offer(pdev) {
        dev_err!(pdev, "no deliberate mistakes: {error:?}\n");
    }
}

fn offer(pdev: &pci::Device<Core<'_>>) -> Result {
    let bound: &pci::Device<Bound> = pdev;
    let files = Group::add(bound.as_ref(), Some(c"mistakes"), (), &FILES)?;
    devres::register(bound.as_ref(), files, GFP_KERNEL)?;
    if LEAK_DMA.swap(false, Ordering::Relaxed) {
        dma_leak(pdev)?;
    }
    if LEAVE_DMA.swap(false, Ordering::Relaxed) {
        dma_outside(pdev)?;
    }
    Ok(())
}

/// Keeps a DMA buffer beyond unbinding. DMA-API debugging reports it.
#[inline(never)]
fn dma_leak(pdev: &pci::Device<Bound>) -> Result {
    mem::forget(Coherent::new(pdev.as_ref(), 512)?);
    Ok(())
}

/// Has the controller fetch commands from where nothing is mapped. A strict IOMMU reports it.
#[inline(never)]
fn dma_outside(pdev: &pci::Device<Core<'_>>) -> Result {
    pci_ext::enable_until_unbind(pdev)?;
    let name = CString::try_from_fmt(fmt!("rnvme"))?;
    let registers = Registers::new(Mmio::map(pdev, 0, name)?)?;
    registers.reset()?;
    pdev.set_master();
    registers.set_admin_queues(NEVER_MAPPED, NEVER_MAPPED, 2)?;
    registers.enable()?;
    registers
        .doorbell(doorbell_offset(0, registers.cap().doorbell_stride(), false))?
        .ring(1);
    // The command is fetched after the doorbell write, in the device's own time.
    fsleep(Delta::from_millis(200));
    registers.disable()
}

#[pin_data]
struct Pair {
    #[pin]
    first: Mutex<()>,
    #[pin]
    second: Mutex<()>,
}

/// Takes two locks in one order and then in the other. Lockdep reports it.
#[inline(never)]
fn lock_inversion() -> Result {
    let pair = KBox::pin_init(
        pin_init!(Pair {
            first <- new_mutex!((), "mistaken_first"),
            second <- new_mutex!((), "mistaken_second"),
        }),
        GFP_KERNEL,
    )?;
    {
        let _first = pair.first.lock();
        let _second = pair.second.lock();
    }
    let _second = pair.second.lock();
    let _first = pair.first.lock();
    Ok(())
}

/// Loses memory. kmemleak reports it at its next scan.
#[inline(never)]
fn memory_leak() -> Result {
    for _ in 0..LOST {
        mem::forget(KBox::new([0xa5u8; 256], GFP_KERNEL)?);
    }
    Ok(())
}

#[pin_data]
struct Spin {
    #[pin]
    lock: SpinLock<()>,
}

impl Spin {
    fn new() -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            pin_init!(Spin { lock <- new_spinlock!((), "mistaken_spin") }),
            GFP_KERNEL,
        )
    }
}

/// Allocates with the right to sleep where sleeping is forbidden. The scheduler's check reports it.
#[inline(never)]
fn sleep_in_atomic() -> Result {
    let spin = Spin::new()?;
    let _guard = spin.lock.lock();
    drop(KBox::new([0u8; 256], GFP_KERNEL)?);
    Ok(())
}

/// Warns.
#[inline(never)]
fn warning() -> Result {
    kernel::warn_on!(true);
    Ok(())
}

/// Gives back one reference more than there is. The reference count reports it.
#[inline(never)]
fn refcount_underflow() -> Result {
    let count = Refcount::new(1);
    let _ = count.dec_and_test();
    let _ = count.dec_and_test();
    Ok(())
}

/// Waits too long, in a way that no signal ends. The check for hung tasks reports it.
#[inline(never)]
fn hung_task() -> Result {
    let never = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
    never.wait_ms(TOO_LONG_MS as u32);
    Ok(())
}

/// Keeps a CPU from everybody else. The watchdog reports it.
#[inline(never)]
fn busy_cpu() -> Result {
    let spin = Spin::new()?;
    let _guard = spin.lock.lock();
    let start = Instant::<Monotonic>::now();
    while start.elapsed().as_millis() < TOO_LONG_MS {
        udelay(Delta::from_micros(100));
    }
    Ok(())
}

/// Takes what is not there. The kernel stops whoever does that.
#[inline(never)]
fn rust_panic() -> Result {
    let few = [0u8; LOST];
    match few[hint::black_box(FILES.len())] {
        0 => Ok(()),
        _ => Err(EINVAL),
    }
}
