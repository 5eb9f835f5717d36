//! The built-in runtime and runc: reads an image's root and decides what [`crate::init`] is to make of it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::OFlags;

use crate::error::Error;
use crate::image::Image;
use crate::protocol::{self, Job};
use crate::rootfs::{Rootfs, Tree};
use crate::spec::{self, Network, Spec};
use crate::user::Accounts;

/// Programs that reap and pass signals on: they are pid 1 themselves, and tini complains when it is not.
const INITS: &[&str] = &["tini", "tini-static", "dumb-init", "catatonit", "docker-init", "s6-svscan"];
/// The most that is read of /etc/passwd, /etc/group, /etc/hosts and /etc/resolv.conf, in bytes.
const FILE_LIMIT: u64 = 4 << 20;

/// The job of running `spec` in `image`, whose root is `rootfs`.
///
/// # Errors
/// [`Error::Spec`] when the image cannot run it; [`Error::Io`] when the kept root is not readable.
pub(crate) fn job(
    image: &Image,
    rootfs: &Rootfs,
    spec: &Spec,
    overlay: bool,
    runc: Option<PathBuf>,
) -> Result<Job, Error> {
    let tree = Tree::open(&rootfs.tree).map_err(|e| Error::io(&rootfs.tree, e))?;
    let accounts = Accounts::parse(&text(&tree, "etc/passwd"), &text(&tree, "etc/group"));
    let process = spec::decide(&image.config.config, &accounts, spec)?;
    let program = process.argv.first().map_or("", |p| p.rsplit('/').next().unwrap_or(p));
    // runc's client is never pid 1 of its own namespace.
    let command_is_init = runc.is_none() && INITS.contains(&program);
    let hostname = "perijove".to_owned();
    let kept = rootfs.tree.parent().unwrap_or(&rootfs.tree).to_owned();
    for path in spec.writable.iter().chain(spec.mounts.iter().map(|m| &m.target)) {
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(Error::Spec(format!("`{path}` is not an absolute path in the container")));
        }
    }
    Ok(Job::Container(Box::new(protocol::Container {
        kept,
        name: container_name(),
        overlay,
        files: files(spec.network, &hostname, &tree),
        hostname,
        network: spec.network,
        mounts: spec.mounts.clone(),
        writable: spec.writable.clone(),
        process,
        command_is_init,
        runc,
    })))
}

/// A name that no other container of this machine has.
pub(crate) fn container_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("perijove-{}-{:x}-{number}", std::process::id(), since.as_micros())
}

/// Name resolution: the machine's own on its network; on an own network, loopback's names alone.
fn files(network: Network, hostname: &str, tree: &Tree) -> Vec<(String, String)> {
    let mut hosts = format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    let mut files = vec![("/etc/hostname".to_owned(), format!("{hostname}\n"))];
    if network == Network::Host {
        hosts.push_str(&own("/etc/hosts"));
        files.push(("/etc/resolv.conf".to_owned(), own("/etc/resolv.conf")));
    } else {
        hosts.push_str(&text(tree, "etc/hosts"));
    }
    files.push(("/etc/hosts".to_owned(), hosts));
    files
}

fn own(path: &str) -> String {
    File::open(Path::new(path)).map(bounded).unwrap_or_default()
}

/// A text file of the image; empty when it is not there.
fn text(tree: &Tree, path: &str) -> String {
    // Not blocking: an image may have a pipe there.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    tree.open_in(path.as_bytes(), flags).map(|fd| bounded(File::from(fd))).unwrap_or_default()
}

fn bounded(file: File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read counts as not there.
    let _ = file.take(FILE_LIMIT).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
