//! What the command must not have: another user's number, capabilities, ways to gain new ones.

use std::io;

use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use super::at;
use super::namespaces::Rights;
use crate::user::Identity;

/// What root in a container may keep: docker's list without raw sockets, device nodes and the audit log.
pub(super) const ROOT_KEEPS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SYS_CHROOT);

/// Becomes `identity` for good.
pub(super) fn drop(identity: &Identity, rights: Rights) -> io::Result<()> {
    let keep = if identity.uid == 0 { ROOT_KEEPS } else { CapabilitySet::empty() };
    rustix::thread::clear_ambient_capability_set().map_err(at("ambient capabilities"))?;
    for capability in CapabilitySet::all().iter_names().map(|(_, c)| c).filter(|c| !keep.contains(*c)) {
        // Capabilities that this kernel does not know are not there to be dropped.
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(errno) => return Err(at("bounding capabilities")(errno)),
        }
    }
    if rights == Rights::Root {
        let groups: Vec<Gid> = identity.groups.iter().map(|g| Gid::from_raw(*g)).collect();
        rustix::thread::set_thread_groups(&groups).map_err(at("groups"))?;
        let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(at("group"))?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(at("user"))?;
    }
    let have = rustix::thread::capabilities(None).map_err(at("capabilities"))?.permitted;
    let left = have & keep;
    let sets = CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(at("capabilities"))?;
    rustix::thread::set_no_new_privs(true).map_err(at("no new privileges"))?;
    // The command must not look into this process, which still has the machine's files open.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(at("not dumpable"))?;
    die_with_parent()
}

/// The kernel kills this process, and with pid 1 its whole namespace, when the supervisor ends. A change
/// of credentials forgets it, so it is said again after each.
pub(super) fn die_with_parent() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(at("parent's death signal"))
}
