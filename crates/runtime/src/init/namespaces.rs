//! Enters new namespaces (namespaces(7), user_namespaces(7)): user, mount, pid, ipc, uts, and network
//! where asked. One user and one group are mapped, which needs neither subuid nor a set-uid helper.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, UnshareFlags};

use super::at;
use crate::spec::Network;

/// How the namespaces were entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// By root, in the user namespace it was in: users of the image are those of the machine.
    Root,
    /// In an own user namespace with one user.
    OneUser,
}

/// Enters the namespaces of a container whose command is `uid` and `gid` inside, all but the pid namespace.
/// No thread may have been started yet.
pub(super) fn enter(network: Network, uid: u32, gid: u32) -> io::Result<Rights> {
    let (outer_uid, outer_gid) = (geteuid(), getegid());
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if network == Network::Own {
        flags |= UnshareFlags::NEWNET;
    }
    let step = at("new namespaces");
    let rights = match outer_uid.is_root().then(|| unshare(flags)) {
        Some(Ok(())) => Rights::Root,
        // Root of a container that may not: try as everybody else.
        Some(Err(Errno::PERM)) | None => {
            unshare(flags | UnshareFlags::NEWUSER).map_err(&step)?;
            map("setgroups", "deny")?;
            map("uid_map", &format!("{uid} {} 1", outer_uid.as_raw()))?;
            map("gid_map", &format!("{gid} {} 1", outer_gid.as_raw()))?;
            if uid != 0 {
                keep_capabilities().map_err(at("capabilities"))?;
            }
            Rights::OneUser
        }
        Some(Err(errno)) => return Err(step(errno)),
    };
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(at("private mounts"))?;
    if network == Network::Own {
        super::loopback::up().map_err(|e| io::Error::new(e.kind(), format!("loopback device: {e}")))?;
    }
    Ok(rights)
}

/// Puts the children of this thread, from now on, into a new pid namespace. This thread can start no other
/// thread any more (clone(2), `EINVAL`); others still can.
pub(super) fn new_pids() -> io::Result<()> {
    unshare(UnshareFlags::NEWPID).map_err(at("new pid namespace"))
}

fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: the call is unsafe because `FILES` can take file descriptors away from under another
    // thread. That flag is never set here.
    #[allow(unsafe_code)]
    unsafe {
        rustix::thread::unshare_unsafe(flags)
    }
}

fn map(file: &str, text: &str) -> io::Result<()> {
    fs::write(format!("/proc/self/{file}"), text)
        .map_err(|e| io::Error::new(e.kind(), format!("{file}: {e}")))
}

/// Only root keeps its capabilities over an exec; another mapped user needs them in the ambient set until
/// the mounts are made (capabilities(7)). Pid 1 drops them.
fn keep_capabilities() -> Result<(), Errno> {
    let mut sets = rustix::thread::capabilities(None)?;
    sets.inheritable = sets.permitted;
    rustix::thread::set_capabilities(None, sets)?;
    for capability in
        CapabilitySet::all().iter_names().map(|(_, c)| c).filter(|c| sets.permitted.contains(*c))
    {
        rustix::thread::configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}
