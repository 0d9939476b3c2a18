// SPDX-License-Identifier: MIT

//! The controller as a vfio-user device: BAR 0 and configuration space to the controller, event files
//! for its interrupts, and what the guest maps for DMA into its memory.
//!
//! Relies on the crate `vfio_user` for the protocol. One thread serves the socket, one does what is due
//! later; both lock the controller.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vfio_bindings::bindings::vfio::{
    vfio_region_info, VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_SET_ACTION_TRIGGER,
    VFIO_IRQ_SET_DATA_EVENTFD, VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX,
    VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS, VFIO_REGION_INFO_FLAG_READ,
    VFIO_REGION_INFO_FLAG_WRITE,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};

use crate::controller::{Controller, Wires};
use crate::pci::{ConfigSpace, BAR_BYTES, CONFIG_BYTES, VECTORS};

/// The event files of the interrupt vectors, as QEMU handed them over.
#[derive(Clone, Default)]
pub struct EventFiles {
    files: Arc<Mutex<Vec<Option<File>>>>,
}

impl EventFiles {
    fn set(&self, start: u32, count: u32, fds: Vec<File>) {
        let mut files = lock(&self.files);
        let end = (start as usize).saturating_add(count as usize);
        if files.len() < end {
            files.resize_with(end, || None);
        }
        let mut fds = fds.into_iter();
        for place in files.iter_mut().take(end).skip(start as usize) {
            *place = fds.next();
        }
    }
}

impl Wires for EventFiles {
    fn raise(&mut self, vector: u16) {
        let files = lock(&self.files);
        if let Some(Some(file)) = files.get(usize::from(vector)) {
            // An event file that is full has been told already.
            let mut file: &File = file;
            let _ = file.write_all(&1u64.to_ne_bytes());
        }
    }
}

/// Makes a panic of any thread the end of the process: what a controller does whose clock or whose control
/// socket has died is no fault that anybody asked for.
pub fn abort_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
}

/// A lock is never left by a panic ([`abort_on_panic`]).
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The controller and what wakes the thread that does what is due.
pub struct Shared {
    /// The controller.
    pub controller: Arc<Mutex<Controller>>,
    /// Told when something was put off until later.
    pub changed: Condvar,
}

impl Shared {
    /// Does what is due, as long as the process lives.
    pub fn keep_time(&self) {
        const LONGEST: Duration = Duration::from_millis(100);
        let mut guard = lock(&self.controller);
        loop {
            let next = guard.tick();
            let now = guard.now();
            let wait = next.map_or(LONGEST, |due| due.saturating_sub(now).min(LONGEST));
            guard = self
                .changed
                .wait_timeout(guard, wait)
                .map_or_else(|poison| poison.into_inner().0, |(guard, _)| guard);
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Controller) -> T) -> T {
        let mut guard = lock(&self.controller);
        let before = guard.later.next();
        let result = work(&mut guard);
        if guard.later.next() != before {
            self.changed.notify_one();
        }
        result
    }
}

/// What QEMU talks to.
struct Backend {
    shared: Arc<Shared>,
    config: ConfigSpace,
    events: EventFiles,
}

fn refused() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidInput)
}

impl ServerBackend for Backend {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), io::Error> {
        let at = usize::try_from(offset).map_err(|_| refused())?;
        match region {
            VFIO_PCI_CONFIG_REGION_INDEX => self.config.read(at, data),
            VFIO_PCI_BAR0_REGION_INDEX => {
                let pause = self.shared.with(|controller| {
                    controller.read(at, data);
                    std::mem::take(&mut controller.lies.pause)
                });
                // A fault: QEMU stands still, the controller does not.
                std::thread::sleep(pause);
            }
            _ => data.fill(0),
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let at = usize::try_from(offset).map_err(|_| refused())?;
        match region {
            VFIO_PCI_CONFIG_REGION_INDEX => {
                if self.config.write(at, data) {
                    self.shared.with(Controller::power_on);
                }
                let master = self.config.bus_master();
                let set = |controller: &mut Controller| controller.memory.set_bus_master(master);
                self.shared.with(set);
            }
            VFIO_PCI_BAR0_REGION_INDEX => self.shared.with(|controller| controller.write(at, data)),
            _ => {}
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        flags: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        fd: Option<File>,
    ) -> Result<(), io::Error> {
        let writable = flags.contains(DmaMapFlags::WRITE);
        self.shared.with(|controller| match fd {
            Some(file) => controller
                .memory
                .map_file(address, size, file, offset, writable),
            // Memory without a file, as another device's BAR: not reached from here.
            None => Ok(()),
        })
    }

    fn dma_unmap(
        &mut self,
        flags: DmaUnmapFlags,
        address: u64,
        size: u64,
    ) -> Result<(), io::Error> {
        let (address, size) = if flags.contains(DmaUnmapFlags::UNMAP_ALL) {
            (0, u64::MAX)
        } else {
            (address, size)
        };
        self.shared
            .with(|controller| controller.memory.unmap(address, size));
        Ok(())
    }

    fn reset(&mut self) -> Result<(), io::Error> {
        self.shared.with(Controller::power_on);
        Ok(())
    }

    fn set_irqs(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        count: u32,
        fds: Vec<File>,
    ) -> Result<(), io::Error> {
        const TRIGGER: u32 = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
        if index == VFIO_PCI_MSIX_IRQ_INDEX && start.saturating_add(count) <= VECTORS.into() {
            if flags & TRIGGER == TRIGGER {
                self.events.set(start, count, fds);
            } else if count == 0 {
                // No vectors and no data: all interrupts are taken away.
                self.events.set(0, VECTORS.into(), Vec::new());
            }
        }
        Ok(())
    }
}

fn regions() -> Vec<ServerRegion> {
    (0..VFIO_PCI_NUM_REGIONS)
        .map(|index| {
            let size = match index {
                VFIO_PCI_BAR0_REGION_INDEX => BAR_BYTES,
                VFIO_PCI_CONFIG_REGION_INDEX => CONFIG_BYTES,
                _ => 0,
            };
            let flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
            ServerRegion {
                region_info: vfio_region_info {
                    argsz: size_of::<vfio_region_info>() as u32,
                    index,
                    size: size as u64,
                    flags: if size == 0 { 0 } else { flags },
                    ..Default::default()
                },
                sparse_areas: Vec::new(),
                mmap_fd: None,
            }
        })
        .collect()
}

fn interrupts() -> Vec<IrqInfo> {
    (0..VFIO_PCI_NUM_IRQS)
        .map(|index| {
            let msix = index == VFIO_PCI_MSIX_IRQ_INDEX;
            IrqInfo {
                index,
                flags: if msix { VFIO_IRQ_INFO_EVENTFD } else { 0 },
                count: if msix { VECTORS.into() } else { 0 },
            }
        })
        .collect()
}

/// Serves the controller at `path` until QEMU goes.
pub fn serve(
    path: &Path,
    shared: Arc<Shared>,
    events: EventFiles,
    pci_id: (u16, u16),
) -> Result<(), vfio_user::Error> {
    let server = Server::new(path, true, interrupts(), regions())?;
    let config = ConfigSpace::new(pci_id.0, pci_id.1);
    shared.with(|controller| controller.memory.set_bus_master(config.bus_master()));
    let mut backend = Backend {
        shared,
        config,
        events,
    };
    server.run(&mut backend)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    /// The test calls itself: what shall end is a process.
    #[test]
    fn panic_of_a_thread_beside_ends_the_process() {
        const CHILD: &str = "PANICS_IN_A_THREAD";
        if std::env::var_os(CHILD).is_some() {
            abort_on_panic();
            let thread = std::thread::spawn(|| panic!("as told"));
            let _ = thread.join();
            return;
        }
        let name = "server::tests::panic_of_a_thread_beside_ends_the_process";
        let child = Command::new(std::env::current_exe().expect("this test's own program"))
            .args([name, "--exact", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .expect("it can be started");
        let said = String::from_utf8_lossy(&child.stderr).into_owned();
        println!("{:?}: {said}", child.status);
        assert_eq!(child.status.signal(), Some(6), "it was not aborted");
        assert!(said.contains("as told"), "it does not say why");
    }
}
