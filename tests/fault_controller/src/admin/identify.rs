// SPDX-License-Identifier: MIT

//! Identify (Base 5.1.13): the controller, its namespaces, and the lists of them.

use nvme_proto::command::{Cns, NSID_ALL};
use nvme_proto::identify::{IdentifyController, IdentifyNamespace, IDENTIFY_BYTES};
use nvme_proto::status::Status;
use zerocopy::{FromZeros as _, IntoBytes as _};

use crate::admin::EVENT_REQUESTS;
use crate::controller::{Answer, Controller, Taken};
use crate::fault::What;
use crate::namespace::Namespace;

/// The vendor and device that the controller calls itself: none that a driver has quirks for.
pub const PCI_ID: (u16, u16) = (0x1234, 0x4e56);

/// Bytes of the model number that say what this is.
const MODEL: &str = "rnvme fault controller";

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
        } else if cns == Cns::ActiveNamespaceList as u8 {
            self.list(nsid)
        } else if cns == Cns::CsiController as u8 && csi == 0 {
            vec![0; IDENTIFY_BYTES]
        } else {
            let Some(namespace) = self.namespaces.get(&nsid) else {
                return self.absent(taken, cns, nsid);
            };
            if cns == Cns::Namespace as u8 {
                identify_namespace(namespace).as_bytes().to_vec()
            } else if cns == Cns::NamespaceDescriptors as u8 {
                descriptors(namespace)
            } else if cns == Cns::CsiNamespace as u8 && csi == 0 {
                vec![0; IDENTIFY_BYTES]
            } else {
                return Answer::refused(Status::INVALID_FIELD);
            }
        };
        self.give(taken, What::Identify(cns), bytes)
    }

    /// What is answered for a namespace that is not there: zeros if its number is possible.
    fn absent(&mut self, taken: &Taken, cns: u8, nsid: u32) -> Answer {
        if nsid == 0 || nsid == NSID_ALL || nsid > self.settings.most_namespaces {
            Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT)
        } else if cns == Cns::Namespace as u8 || cns == Cns::NamespaceDescriptors as u8 {
            self.give(taken, What::Identify(cns), vec![0; IDENTIFY_BYTES])
        } else {
            Answer::refused(Status::INVALID_FIELD)
        }
    }

    fn identify_controller(&self) -> IdentifyController {
        let mut id = IdentifyController::new_zeroed();
        (id.vid, id.ssvid) = (PCI_ID.0.into(), PCI_ID.0.into());
        fill(&mut id.sn, &format!("FAULT{:08x}", self.settings.seed));
        fill(&mut id.mn, MODEL);
        fill(&mut id.fr, env!("CARGO_PKG_VERSION"));
        id.mdts = self.settings.mdts;
        id.cntlid = 1.into();
        id.ver = self.registers.vs.into();
        id.cntrltype = 1;
        // Namespace attributes and firmware activation are told of by events.
        id.oaes = 0x0000_0300.into();
        id.acl = 3;
        id.aerl = (EVENT_REQUESTS - 1) as u8;
        id.frmw = 0x03;
        id.lpa = 0x06;
        id.wctemp = 343.into();
        id.cctemp = 353.into();
        id.sqes = 0x66;
        id.cqes = 0x44;
        id.nn = self.settings.most_namespaces.into();
        // Write Uncorrectable is not there; Compare, Dataset Management, Write Zeroes and Verify are.
        id.oncs = 0x008d.into();
        id.vwc = 0x07;
        id.sgls = 0x0000_0001.into();
        let nqn = format!(
            "nqn.2026-11.org.rnvme:fault-controller:{:08x}",
            self.settings.seed
        );
        for (place, byte) in id.subnqn.iter_mut().zip(nqn.bytes()) {
            *place = byte;
        }
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

fn identify_namespace(namespace: &Namespace) -> IdentifyNamespace {
    let mut id = IdentifyNamespace::new_zeroed();
    (id.nsze, id.ncap) = (namespace.blocks.into(), namespace.blocks.into());
    id.nuse = id.ncap;
    id.lbaf[0].lbads = 9;
    id.lbaf[1].lbads = 12;
    id.nlbaf = 1;
    id.flbas = u8::from(namespace.lbads == 12);
    // Deallocated blocks read as zeros, also by a Write Zeroes that deallocates.
    id.dlfeat = 0x09;
    id.nguid = namespace.nguid;
    id.eui64 = namespace.eui64;
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
