// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What Identify returns (Base 5.1.13): parsed from a private copy, never trusted.
//!
//! Relies on the caller to have copied the device's 4096 bytes once; nothing here reads past the
//! slice that it is given, whatever lengths the data claims.

pub mod controller;
pub mod descriptor;
pub mod independent;
pub mod list;
pub mod namespace;
pub mod nvm;
pub mod text;
pub mod zoned;

pub use controller::IdentifyController;
pub use descriptor::{DescriptorError, NamespaceDescriptors, NamespaceIds, Nidt};
pub use independent::IndependentNamespace;
pub use list::{parse_namespace_list, ActiveNamespaces, NamespaceListError, MAX_NAMESPACES};
pub use namespace::{IdentifyNamespace, LbaFormat, NamespaceFormat, NamespaceRefused};
pub use nvm::{IdentifyControllerNvm, IdentifyNamespaceNvm};
pub use text::Text;
pub use zoned::{IdentifyControllerZoned, IdentifyNamespaceZoned, LbaFormatExtension};

/// The size of every Identify data structure in bytes.
pub const IDENTIFY_BYTES: usize = 4096;
