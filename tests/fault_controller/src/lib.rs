// SPDX-License-Identifier: MIT

//! An NVMe controller in userspace that misbehaves on command, and judges its driver.
//!
//! [`controller::Controller`] is the device: register accesses in, completions and interrupts out. It
//! knows nothing of how it is reached: [`server`] serves it to QEMU over vfio-user, and the tests play
//! a driver themselves. `fault` says what goes wrong when; `judge` looks at what the driver does.

pub mod admin;
pub mod control;
pub mod controller;
pub mod data;
mod enable;
pub mod fault;
pub mod hold;
mod interrupts;
pub mod io;
pub mod judge;
pub mod kept;
pub mod later;
pub mod log;
pub mod memory;
pub mod namespace;
pub mod pci;
pub mod queue;
pub mod ranges;
pub mod registers;
pub mod server;
pub mod settings;
pub mod shadow;
