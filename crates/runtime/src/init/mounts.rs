//! The file systems of a container: a writable view of the read-only root, and what Linux programs expect
//! beside it (runtime specification, config-linux.md, default file systems).
//!
//! All changes go to a tmpfs that exists in this mount namespace alone: whatever ends the container, nothing
//! of it stays on the disk. Every target is resolved inside the new root (see [`crate::rootfs::Tree`]).

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{Mode, OFlags, StatVfsMountFlags, fstatvfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_remount, unmount,
};

use super::at;
use super::namespaces::Rights;
use crate::protocol::Container;
use crate::rootfs::{EntryPath, Tree};
use crate::spec::{Mount, Network};
use crate::user::Identity;

pub(super) const SAFE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// Parts of /proc that are about the machine: hidden, or read-only. runc's defaults.
pub(super) const HIDDEN: &[&str] = &["kcore", "keys", "timer_list", "sched_debug", "latency_stats"];
pub(super) const READ_ONLY: &[&str] = &["sys", "sysrq-trigger", "irq", "bus", "fs"];
/// Folders that get an empty tmpfs unless the image has something in them.
const SCRATCH: &[(&str, &str)] = &[("tmp", "mode=1777"), ("run", "mode=755")];

/// Mounts the tmpfs that holds the container's changes on `kept/mount`.
pub(super) fn scratch(kept: &Path) -> io::Result<()> {
    let mount_point = kept.join("mount");
    mount("tmpfs", &mount_point, "tmpfs", MountFlags::NODEV, Some(&*data("mode=755")?)).map_err(at("tmpfs"))
}

/// Mounts everything and makes it the root. Gives a line for people when the usual way did not work.
pub(super) fn enter(container: &Container, rights: Rights) -> io::Result<Option<String>> {
    let note = writable_root(container, rights)?;
    let root = container.kept.join("mount/root");
    let mut tree = Tree::open(&root)?;
    tmpfs_and_proc(&mut tree, container, rights)?;
    devices(&mut tree)?;
    write_files(&mut tree, container)?;
    for path in &container.writable {
        let folder = folder(&mut tree, path)?;
        let Identity { uid, gid, .. } = container.process.identity;
        let options = format!("mode=755,uid={uid},gid={gid}");
        mount_on(&mut tree, &folder, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID, &options)
            .map_err(|e| io::Error::new(e.kind(), format!("{path}: {e}")))?;
    }
    for mount in &container.mounts {
        bind(&mut tree, mount).map_err(|e| {
            io::Error::new(e.kind(), format!("{} on {}: {e}", mount.source.display(), mount.target))
        })?;
    }
    folder(&mut tree, &container.process.cwd)?;
    drop(tree);
    rustix::process::chdir(&root).map_err(at("new root"))?;
    rustix::process::pivot_root(".", ".").map_err(at("pivot_root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(at("old root"))?;
    rustix::process::chdir("/").map_err(at("new root")).map(|()| note)
}

/// An overlay of the tree and the tmpfs. Where the kernel has no overlay for this user (before 5.11), or its
/// tmpfs cannot hold the overlay's marks (before 6.6), a copy of the tree in the tmpfs.
pub(super) fn writable_root(container: &Container, rights: Rights) -> io::Result<Option<String>> {
    let kept = &container.kept;
    let scratch = kept.join("mount");
    let root = scratch.join("root");
    for name in ["root", "upper", "work"] {
        fs::create_dir(scratch.join(name))?;
    }
    // The upper folder is the container's `/`: it shows the tree's own mode and owner.
    let meta = fs::metadata(kept.join("tree"))?;
    fs::set_permissions(scratch.join("upper"), meta.permissions())?;
    if rights == Rights::Root {
        std::os::unix::fs::chown(scratch.join("upper"), Some(meta.uid()), Some(meta.gid()))?;
    }
    // Relative names need no escapes in the options.
    rustix::process::chdir(kept).map_err(at("cache"))?;
    let marks = if rights == Rights::Root { "" } else { ",userxattr" };
    let options = data(&format!("lowerdir=tree,upperdir=mount/upper,workdir=mount/work{marks}"))?;
    let mounted = container
        .overlay
        .then_some(())
        .ok_or(Errno::OPNOTSUPP)
        .and_then(|()| holds_marks(&scratch.join("upper"), rights))
        .and_then(|()| mount("overlay", &root, "overlay", MountFlags::NODEV, Some(&*options)));
    let Err(errno) = mounted else { return Ok(None) };
    copy(&kept.join("tree"), &root, rights)?;
    // The root must be a mount of its own to become the root.
    mount_bind(&root, &root).map_err(at("new root"))?;
    Ok(Some(format!("no overlay here ({errno}): the container runs in a copy of the image in memory")))
}

/// Whether the overlay's marks on folders can be stored; without them removing a folder and making it again
/// would fail inside.
fn holds_marks(upper: &Path, rights: Rights) -> Result<(), Errno> {
    let name = if rights == Rights::Root { "trusted.overlay.probe" } else { "user.overlay.probe" };
    rustix::fs::setxattr(upper, name, b"y", rustix::fs::XattrFlags::empty())?;
    rustix::fs::removexattr(upper, name)
}

fn copy(from: &Path, to: &Path, rights: Rights) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = entry.metadata()?;
        if meta.is_dir() {
            fs::create_dir(&target)?;
            copy(&source, &target, rights)?;
            fs::File::open(&target)?.set_modified(meta.modified()?)?;
        } else if meta.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else if meta.is_file() {
            fs::copy(&source, &target)?;
            fs::File::options().write(true).open(&target)?.set_modified(meta.modified()?)?;
        } else {
            continue;
        }
        if rights == Rights::Root {
            std::os::unix::fs::lchown(&target, Some(meta.uid()), Some(meta.gid()))?;
        }
        if !meta.is_symlink() {
            fs::set_permissions(&target, fs::Permissions::from_mode(meta.mode() & 0o1777))?;
        }
    }
    Ok(())
}

fn tmpfs_and_proc(tree: &mut Tree, container: &Container, rights: Rights) -> io::Result<()> {
    let proc = folder(tree, "proc")?;
    mount_on(tree, &proc, "proc", SAFE, "").map_err(|e| {
        io::Error::new(e.kind(), format!("/proc: {e} (is part of this machine's own /proc hidden from you?)"))
    })?;
    for name in HIDDEN {
        if let Ok(target) = tree.open_in(format!("proc/{name}").as_bytes(), OFlags::PATH) {
            // What this kernel does not have needs no hiding.
            let _ = mount_bind("/dev/null", fd_path(&target));
        }
    }
    for name in READ_ONLY {
        let path = format!("proc/{name}");
        if let Ok(target) = tree.open_in(path.as_bytes(), OFlags::PATH) {
            mount_bind(fd_path(&target), fd_path(&target)).map_err(at(&path))?;
            make_read_only(tree, path.as_bytes())?;
        }
    }
    for (name, options) in empty_scratch(tree)? {
        let target = folder(tree, name)?;
        mount_on(tree, &target, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options)?;
    }
    if rights == Rights::Root || container.network == Network::Own {
        let sys = folder(tree, "sys")?;
        // Programs do without; a machine that hides parts of its own refuses it.
        let _ = mount_on(tree, &sys, "sysfs", SAFE | MountFlags::RDONLY, "");
    }
    Ok(())
}

/// Those of [`SCRATCH`] that the image has nothing in: name and options.
pub(super) fn empty_scratch(tree: &mut Tree) -> io::Result<Vec<(&'static str, &'static str)>> {
    let mut empty = Vec::new();
    for (name, options) in SCRATCH {
        if crate::rootfs::children(folder(tree, name)?).map_err(at(name))?.is_empty() {
            empty.push((*name, *options));
        }
    }
    Ok(empty)
}

fn devices(tree: &mut Tree) -> io::Result<()> {
    let dev = folder(tree, "dev")?;
    mount_on(tree, &dev, "tmpfs", MountFlags::NOSUID | MountFlags::NOEXEC, "mode=755,size=64k")?;
    let dev = folder(tree, "dev")?;
    for name in DEVICES {
        let file =
            rustix::fs::openat(&dev, *name, OFlags::CREATE | OFlags::CLOEXEC | OFlags::WRONLY, Mode::RUSR)?;
        mount_bind(format!("/dev/{name}"), fd_path(&file)).map_err(at(name))?;
    }
    for (name, target) in DEVICE_LINKS {
        rustix::fs::symlinkat(*target, &dev, *name)?;
    }
    let shm = folder(tree, "dev/shm")?;
    mount_on(tree, &shm, "tmpfs", SAFE, "mode=1777")?;
    let pts = folder(tree, "dev/pts")?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    // Without it there is no terminal in JupyterLab; all else works.
    let _ = mount_on(tree, &pts, "devpts", flags, "newinstance,ptmxmode=0666,mode=0620");
    Ok(())
}

fn bind(tree: &mut Tree, mount: &Mount) -> io::Result<()> {
    let meta = fs::metadata(&mount.source)?;
    let target = if meta.is_dir() { folder(tree, &mount.target)? } else { file(tree, &mount.target)? };
    if mount.read_only {
        // Not recursive: what is mounted below the source would stay writable.
        mount_bind(&mount.source, fd_path(&target))?;
        tree.forget();
        return make_read_only(tree, &parts(&mount.target)?.to_bytes());
    }
    mount_bind_recursive(&mount.source, fd_path(&target))?;
    tree.forget();
    Ok(())
}

/// Makes the mount at `path` read-only. The other flags stay: some are locked in a user namespace.
fn make_read_only(tree: &mut Tree, path: &[u8]) -> io::Result<()> {
    let target = tree.open_in(path, OFlags::PATH)?;
    remount_read_only(&target)
}

/// Makes the mount that `target` was opened in read-only.
pub(super) fn remount_read_only(target: &OwnedFd) -> io::Result<()> {
    let have = fstatvfs(target)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (is, flag) in [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    ] {
        if have.contains(is) {
            flags |= flag;
        }
    }
    mount_remount(fd_path(target), flags, "").map_err(at("read-only"))
}

fn mount_on(
    tree: &mut Tree,
    target: &OwnedFd,
    kind: &str,
    flags: MountFlags,
    options: &str,
) -> io::Result<()> {
    mount(kind, fd_path(target), kind, flags, Some(&*data(options)?)).map_err(at(kind))?;
    // A folder that was opened before lies below the new mount.
    tree.forget();
    Ok(())
}

/// Writes the container's own files into its root.
pub(super) fn write_files(tree: &mut Tree, container: &Container) -> io::Result<()> {
    container.files.iter().try_for_each(|(path, content)| write_file(tree, path, content))
}

fn write_file(tree: &mut Tree, path: &str, content: &str) -> io::Result<()> {
    let parts = parts(path)?;
    let Some((parent, name)) = parts.split() else { return Ok(()) };
    if let Some(folder) = tree.folder(parent, true, |_| {})? {
        crate::rootfs::remove(folder, name)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o644))?;
        io::Write::write_all(&mut fs::File::from(file), content.as_bytes())?;
    }
    Ok(())
}

/// Opens a folder of the container, made where it is missing.
pub(super) fn folder(tree: &mut Tree, path: &str) -> io::Result<OwnedFd> {
    let parts = parts(path)?.into_parts();
    let mut made = Vec::new();
    let folder = tree
        .folder(&parts, true, |path| made.push(path.to_vec()))
        .map_err(at(path))?
        .ok_or(io::ErrorKind::NotFound)?
        .as_fd()
        .try_clone_to_owned()?;
    for path in made {
        let new = tree.open_in(&crate::rootfs::join(&path), OFlags::RDONLY | OFlags::DIRECTORY)?;
        rustix::fs::fchmod(&new, Mode::from_raw_mode(0o755))?;
    }
    Ok(folder)
}

/// Opens a file of the container, made empty where it is missing.
fn file(tree: &mut Tree, path: &str) -> io::Result<OwnedFd> {
    let parts = parts(path)?;
    match tree.open_in(&parts.to_bytes(), OFlags::PATH) {
        Err(Errno::NOENT) => {
            write_file(tree, path, "")?;
            Ok(tree.open_in(&parts.to_bytes(), OFlags::PATH)?)
        }
        other => Ok(other?),
    }
}

fn parts(path: &str) -> io::Result<EntryPath> {
    EntryPath::new(path.trim_start_matches('/').as_bytes())
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, format!("{path}: {e}")))
}

fn fd_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn data(options: &str) -> io::Result<CString> {
    CString::new(options).map_err(|_| io::ErrorKind::InvalidInput.into())
}
