// SPDX-License-Identifier: MIT

//! Identify (Base 5.1.13): the controller, its namespaces, and the lists of them.

use nvme_proto::command::{Cns, NSID_ALL};
use nvme_proto::identify::{
    IdentifyController, IdentifyControllerNvm, IdentifyNamespace, IndependentNamespace,
    IDENTIFY_BYTES,
};
use nvme_proto::shadow::OACS_DOORBELL_BUFFER_CONFIG;
use nvme_proto::status::Status;
use zerocopy::{FromZeros as _, IntoBytes as _};

use crate::admin::features::{HOT, WARM};
use crate::admin::{host_memory, logs, power, EVENT_REQUESTS};
use crate::controller::{Answer, Controller, Taken};
use crate::fault::What;
use crate::hold::ABORTS;
use crate::io::{copy, reservations, VERIFY_LIMIT};
use crate::namespace::{Namespace, TUPLE_BYTES};

/// The vendor and device that the controller calls itself: none that a driver has quirks for.
pub const PCI_ID: (u16, u16) = (0x1234, 0x4e56);

/// Bytes of the model number that say what this is.
const MODEL: &str = "rnvme fault controller";

/// CRDT1 to CRDT3, in units of 100 ms.
const RETRY_DELAYS: [u16; 3] = [1, 5, 20];

/// Fills a field of text with `text`, and spaces behind it.
fn fill(field: &mut [u8], text: &str) {
    field.fill(b' ');
    for (place, byte) in field.iter_mut().zip(text.bytes()) {
        *place = byte;
    }
}

impl Controller {
    /// Executes an Identify.
    pub(super) fn identify(&mut self, taken: &Taken) -> Answer {
        let cns = (taken.command.cdw10.get() & 0xff) as u8;
        let nsid = taken.command.nsid.get();
        let csi = (taken.command.cdw11.get() >> 24) as u8;
        let bytes = if cns == Cns::Controller as u8 {
            self.identify_controller().as_bytes().to_vec()
        } else if cns == Cns::ActiveNamespaceList as u8
            || (cns == Cns::CsiActiveNamespaceList as u8 && csi == 0)
        {
            // Behind these two no identifier can follow.
            if nsid >= NSID_ALL - 1 {
                return Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT);
            }
            self.list(nsid)
        } else if cns == Cns::CsiController as u8 && csi == 0 {
            self.identify_controller_nvm().as_bytes().to_vec()
        } else if let Some(structure) = of_namespace(cns, csi) {
            let Some(namespace) = self.namespaces.get(&nsid) else {
                return self.absent(taken, cns, nsid);
            };
            structure(namespace)
        } else {
            return Answer::refused(Status::INVALID_FIELD);
        };
        self.give(taken, What::Identify(cns), bytes)
    }

    /// What is answered for a namespace that is not there: zeros if its number is possible.
    fn absent(&mut self, taken: &Taken, cns: u8, nsid: u32) -> Answer {
        if nsid == 0 || nsid == NSID_ALL || nsid > self.settings.most_namespaces {
            Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT)
        } else if cns == Cns::Namespace as u8
            || cns == Cns::NamespaceDescriptors as u8
            || cns == Cns::IndependentNamespace as u8
        {
            self.give(taken, What::Identify(cns), vec![0; IDENTIFY_BYTES])
        } else {
            Answer::refused(Status::INVALID_FIELD)
        }
    }

    /// The controller, as it says it is.
    pub(crate) fn identify_controller(&self) -> IdentifyController {
        let mut id = IdentifyController::new_zeroed();
        (id.vid, id.ssvid) = (PCI_ID.0.into(), PCI_ID.0.into());
        fill(&mut id.sn, &format!("FAULT{:08x}", self.settings.seed));
        fill(&mut id.mn, MODEL);
        fill(&mut id.fr, &self.kept.firmware);
        id.mdts = self.settings.mdts;
        id.cntlid = 1.into();
        id.ver = self.registers.vs.into();
        id.cntrltype = 1;
        // In microseconds: how long becoming ready and shutting down take.
        (id.rtd3r, id.rtd3e) = (500_000.into(), 1_000_000.into());
        // Namespace attributes and firmware activation are told of by events.
        id.oaes = 0x0000_0300.into();
        // Host identifiers of 128 bits.
        id.ctratt = 0x0000_0001.into();
        for (place, delay) in id.crdt.iter_mut().zip(RETRY_DELAYS) {
            *place = delay.into();
        }
        if self.settings.shadow {
            id.oacs = OACS_DOORBELL_BUFFER_CONFIG.into();
        }
        id.acl = (ABORTS - 1) as u8;
        id.aerl = (EVENT_REQUESTS - 1) as u8;
        // One slot, read-only.
        id.frmw = 0x03;
        id.lpa = 0x26;
        id.elpe = (logs::ERROR_ENTRIES - 1) as u8;
        id.npss = (power::STATES - 1) as u8;
        id.apsta = 1;
        (id.wctemp, id.cctemp) = (WARM.into(), HOT.into());
        // In units of 100 ms: how long firmware takes at most.
        id.mtfa = 50.into();
        id.hmpre = host_memory::PREFERRED.into();
        id.hmmin = host_memory::LEAST.into();
        id.hmmaxd = host_memory::DESCRIPTORS.into();
        id.sqes = 0x66;
        id.cqes = 0x44;
        id.nn = self.settings.most_namespaces.into();
        // Compare, Write Uncorrectable, Dataset Management, Write Zeroes, saved features,
        // reservations, Timestamp, Verify, Copy.
        id.oncs = 0x01ff.into();
        id.vwc = if self.settings.cache { 0x07 } else { 0 };
        // All kinds of write protection.
        id.nwpc = 0x07;
        // Copy: source ranges of format 0.
        id.cdfs = 0x0001.into();
        id.sgls = u32::from(self.settings.sgl).into();
        id.psd = power::descriptors();
        let nqn = format!(
            "nqn.2026-11.org.rnvme:fault-controller:{:08x}",
            self.settings.seed
        );
        for (place, byte) in id.subnqn.iter_mut().zip(nqn.bytes()) {
            *place = byte;
        }
        id
    }

    /// Identify Controller of the NVM Command Set: a limit of its own only for Verify.
    fn identify_controller_nvm(&self) -> IdentifyControllerNvm {
        let mut id = IdentifyControllerNvm::new_zeroed();
        id.ver = 0x0001_0100.into();
        id.vsl = VERIFY_LIMIT;
        id
    }

    /// The identifiers of the namespaces above `nsid`, ascending.
    fn list(&self, nsid: u32) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .namespaces
            .range(nsid.saturating_add(1)..)
            .take(IDENTIFY_BYTES / 4)
            .flat_map(|(nsid, _)| nsid.to_le_bytes())
            .collect();
        bytes.resize(IDENTIFY_BYTES, 0);
        bytes
    }
}

/// How the structure of a namespace is made that this CNS names, if it names one.
fn of_namespace(cns: u8, csi: u8) -> Option<fn(&Namespace) -> Vec<u8>> {
    if cns == Cns::Namespace as u8 {
        Some(|namespace| identify_namespace(namespace).as_bytes().to_vec())
    } else if cns == Cns::NamespaceDescriptors as u8 {
        Some(descriptors)
    } else if cns == Cns::CsiNamespace as u8 && csi == 0 {
        Some(|_| vec![0; IDENTIFY_BYTES])
    } else if cns == Cns::IndependentNamespace as u8 {
        Some(|namespace| independent(namespace).as_bytes().to_vec())
    } else {
        None
    }
}

fn identify_namespace(namespace: &Namespace) -> IdentifyNamespace {
    let mut id = IdentifyNamespace::new_zeroed();
    (id.nsze, id.ncap) = (namespace.blocks.into(), namespace.blocks.into());
    id.nuse = id.ncap;
    id.lbaf[0].lbads = 9;
    id.lbaf[1].lbads = 12;
    // The same two with a tuple of protection information in a buffer of its own.
    id.lbaf[2] = id.lbaf[0];
    id.lbaf[3] = id.lbaf[1];
    for format in &mut id.lbaf[2..4] {
        format.ms = (TUPLE_BYTES as u16).into();
    }
    id.nlbaf = 3;
    id.dps = namespace.protection_type();
    id.flbas = u8::from(namespace.lbads == 12) + if id.dps == 0 { 0 } else { 2 };
    // Metadata is never among the data; types 1 to 3, the tuple is all of the metadata, its end.
    (id.mc, id.dpc) = (0x02, 0x17);
    id.rescap = reservations::CAPABILITIES;
    id.nsattr = u8::from(namespace.protection != 0);
    if id.dps == 0 {
        id.mssrl = copy::RANGE_BLOCKS.into();
        id.mcl = copy::BLOCKS.into();
        id.msrc = copy::RANGES;
    }
    // Deallocated blocks read as zeros, also by a Write Zeroes that deallocates.
    id.dlfeat = 0x09;
    id.nguid = namespace.nguid;
    id.eui64 = namespace.eui64;
    id
}

/// What holds for a namespace whatever its command set.
fn independent(namespace: &Namespace) -> IndependentNamespace {
    let mut id = IndependentNamespace::new_zeroed();
    id.rescap = reservations::CAPABILITIES;
    id.nsattr = u8::from(namespace.protection != 0);
    // NSTAT: ready.
    id.nstat = 1;
    id
}

/// The Namespace Identification Descriptors: EUI64, NGUID, UUID and the command set.
fn descriptors(namespace: &Namespace) -> Vec<u8> {
    let mut bytes = Vec::new();
    let all: [(u8, &[u8]); 4] = [
        (1, &namespace.eui64),
        (2, &namespace.nguid),
        (3, &namespace.uuid),
        (4, &[0]),
    ];
    for (kind, name) in all {
        bytes.extend([kind, name.len() as u8, 0, 0]);
        bytes.extend(name);
    }
    bytes.resize(IDENTIFY_BYTES, 0);
    bytes
}
