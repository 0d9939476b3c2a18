// SPDX-License-Identifier: MIT

//! The PCI configuration space: an NVM Express I/O controller (class 010802h) with MSI-X, power
//! management and function-level reset, on PCI Express.
//!
//! Offsets and bits are those of the PCI Express Base Specification. QEMU keeps the MSI-X table and
//! the interrupts' masks itself; here is only where they lie.

/// Bytes of configuration space.
pub const CONFIG_BYTES: usize = 4096;

/// Bytes of BAR 0: registers, doorbells, the MSI-X table and its pending bits.
pub const BAR_BYTES: usize = 0x8000;

/// Where in BAR 0 the doorbells end.
pub const DOORBELLS_END: usize = 0x4000;

/// Where in BAR 0 the MSI-X table is.
const MSIX_TABLE: u32 = 0x4000;

/// Where in BAR 0 its pending bits are.
const MSIX_PENDING: u32 = 0x7000;

/// Interrupt vectors: more than any guest here has queues.
pub const VECTORS: u16 = 64;

const PM: usize = 0x40;
const MSIX: usize = 0x50;
const EXPRESS: usize = 0x60;

/// Device Control: its bit 15 starts a function-level reset.
const DEVICE_CONTROL: usize = EXPRESS + 8;

/// The configuration space with the bits that can be written.
pub struct ConfigSpace {
    bytes: [u8; CONFIG_BYTES],
    writable: [u8; CONFIG_BYTES],
}

impl ConfigSpace {
    /// The space of a device that calls itself `vendor`:`device`.
    pub fn new(vendor: u16, device: u16) -> Self {
        let mut this = Self {
            bytes: [0; CONFIG_BYTES],
            writable: [0; CONFIG_BYTES],
        };
        this.put(0x00, &vendor.to_le_bytes());
        this.put(0x02, &device.to_le_bytes());
        // Status: there is a list of capabilities. Class: non-volatile memory, NVM Express, I/O controller.
        this.put(0x06, &[0x10, 0]);
        this.put(0x08, &[1, 0x02, 0x08, 0x01]);
        // BAR 0 is in memory, 64 bits wide; what can be written tells its size.
        this.put(0x10, &[0x04]);
        let size = !(BAR_BYTES as u64 - 1);
        this.allow(0x10, &size.to_le_bytes());
        this.put(0x2c, &vendor.to_le_bytes());
        this.put(0x2e, &device.to_le_bytes());
        this.put(0x34, &[PM as u8]);
        // Command: memory, bus master, parity, SERR#, interrupt disable. Cache line size. Interrupt line.
        this.allow(0x04, &[0x46, 0x05]);
        this.allow(0x0c, &[0xff]);
        this.allow(0x3c, &[0xff]);
        // Power Management 1.2: the state can be written, and no reset follows D3hot.
        this.put(PM, &[0x01, MSIX as u8, 0x03, 0x00, 0x08, 0x00]);
        this.allow(PM + 4, &[0x03]);
        this.put(MSIX, &[0x11, EXPRESS as u8]);
        this.put(MSIX + 2, &(VECTORS - 1).to_le_bytes());
        this.put(MSIX + 4, &MSIX_TABLE.to_le_bytes());
        this.put(MSIX + 8, &MSIX_PENDING.to_le_bytes());
        this.allow(MSIX + 3, &[0xc0]);
        // PCI Express, version 2, an endpoint; payload 128, role-based errors, function-level reset.
        this.put(EXPRESS, &[0x10, 0x00, 0x02, 0x00]);
        this.put(EXPRESS + 4, &0x1000_8000u32.to_le_bytes());
        this.allow(DEVICE_CONTROL, &[0xff, 0x7f]);
        // Link: one lane of 2.5 GT/s.
        this.put(EXPRESS + 0x0c, &0x0000_0011u32.to_le_bytes());
        this.put(EXPRESS + 0x12, &0x0011u16.to_le_bytes());
        this
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        for (place, byte) in self.bytes.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    }

    fn allow(&mut self, at: usize, bits: &[u8]) {
        for (place, byte) in self.writable.iter_mut().skip(at).zip(bits) {
            *place = *byte;
        }
    }

    /// Fills `bytes` with what lies from `at` on.
    pub fn read(&self, at: usize, bytes: &mut [u8]) {
        bytes.fill(0);
        for (place, byte) in bytes.iter_mut().zip(self.bytes.iter().skip(at)) {
            *place = *byte;
        }
    }

    /// Whether the host lets the device reach memory: Bus Master Enable of the Command register.
    pub fn bus_master(&self) -> bool {
        self.bytes[0x04] & 0x04 != 0
    }

    /// Writes the bits that can be written. Tells whether it asked for a function-level reset.
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> bool {
        let places = self.bytes.iter_mut().zip(&self.writable).skip(at);
        for ((place, mask), byte) in places.zip(bytes) {
            *place = (*place & !mask) | (byte & mask);
        }
        (DEVICE_CONTROL + 1)
            .checked_sub(at)
            .and_then(|index| bytes.get(index))
            .is_some_and(|byte| byte & 0x80 != 0)
    }
}
