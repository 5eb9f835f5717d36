//! Has runc run the container, in the namespaces that the built-in runtime would use: the writable root,
//! the bundle and runc's state lie in a tmpfs of this mount namespace, and runc is a child of pid 1, so
//! that it ends with its caller and leaves nothing. Only its cgroups are the machine's: [`Cgroups`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::mount::mount;
use serde_json::{Value, json};

use super::namespaces::Rights;
use super::{at, mounts, privileges};
use crate::protocol::Container;

/// What all containers' names begin with.
const PREFIX: &str = "perijove-";
/// Cgroups of a killed supervisor are removed when they are older than this: runc enters a new one at once.
const STALE: Duration = Duration::from_secs(60);

/// Makes root and bundle, and gives the command that runs them. Gives a line for people, too, when the
/// usual way did not work.
pub(super) fn prepare(
    container: &Container,
    client: &Path,
    rights: Rights,
) -> io::Result<(Command, Option<String>)> {
    let note = mounts::writable_root(container, rights)?;
    let scratch = container.kept.join("mount");
    let mut tree = crate::rootfs::Tree::open(&scratch.join("root"))?;
    mounts::write_files(&mut tree, container)?;
    mounts::folder(&mut tree, &container.process.cwd)?;
    let empty = mounts::empty_scratch(&mut tree)?;
    // runc looks its children up by the numbers of this pid namespace.
    mount("proc", "/proc", "proc", mounts::SAFE, None).map_err(at("/proc"))?;
    let bundle = scratch.join("bundle");
    fs::create_dir(&bundle)?;
    let config = config(container, &scratch.join("root"), &empty);
    fs::write(bundle.join("config.json"), serde_json::to_vec(&config)?)?;
    let mut command = Command::new(client);
    command
        .arg("--root")
        .arg(scratch.join("state"))
        .arg("run")
        .arg("--bundle")
        .arg(&bundle)
        .arg(&container.name);
    command.stdin(Stdio::null());
    Ok((command, note))
}

/// The bundle's configuration (runtime specification, config.md): no cgroup or rlimit settings, the
/// network of whoever starts it.
fn config(container: &Container, root: &Path, empty: &[(&str, &str)]) -> Value {
    let process = &container.process;
    let identity = &process.identity;
    let keeps: Vec<String> = if identity.uid == 0 {
        privileges::ROOT_KEEPS.iter_names().map(|(name, _)| format!("CAP_{name}")).collect()
    } else {
        Vec::new()
    };
    let env: Vec<String> = process.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let proc = |names: &[&str]| names.iter().map(|name| format!("/proc/{name}")).collect::<Vec<_>>();
    json!({
        "ociVersion": "1.0.2",
        "hostname": container.hostname,
        "root": { "path": root, "readonly": false },
        "process": {
            "terminal": false,
            "user": { "uid": identity.uid, "gid": identity.gid, "additionalGids": identity.groups, "umask": 0o022 },
            "args": process.argv,
            "env": env,
            "cwd": process.cwd,
            "noNewPrivileges": true,
            "capabilities": { "bounding": keeps, "effective": keeps, "permitted": keeps },
        },
        "mounts": file_systems(container, empty),
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }],
            "maskedPaths": proc(mounts::HIDDEN),
            "readonlyPaths": proc(mounts::READ_ONLY),
        },
    })
}

fn file_systems(container: &Container, empty: &[(&str, &str)]) -> Vec<Value> {
    let identity = &container.process.identity;
    let mut all = vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"] }),
        json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] }),
        json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777"] }),
        json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] }),
    ];
    for (name, options) in empty {
        all.push(json!({ "destination": format!("/{name}"), "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", options] }));
    }
    for path in &container.writable {
        let (uid, gid) = (format!("uid={}", identity.uid), format!("gid={}", identity.gid));
        all.push(json!({ "destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=755", uid, gid] }));
    }
    for mount in &container.mounts {
        let options = if mount.read_only { vec!["bind", "ro"] } else { vec!["rbind"] };
        all.push(json!({ "destination": mount.target, "type": "bind", "source": mount.source, "options": options }));
    }
    all
}

/// The cgroups that runc makes: one of the container's name in each hierarchy, below this process's own.
pub(super) struct Cgroups {
    folders: Vec<PathBuf>,
    name: String,
}

impl Cgroups {
    /// Finds this process's own, and removes what a killed supervisor left there.
    pub(super) fn new(name: &str) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let folders: Vec<PathBuf> = own.lines().flat_map(folders).collect();
        for entry in folders.iter().filter_map(|f| fs::read_dir(f).ok()).flatten().flatten() {
            let stale = made(&entry.file_name().to_string_lossy())
                .is_some_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age > STALE));
            if stale {
                // The kernel removes none with a process in it.
                let _ = fs::remove_dir(entry.path());
            }
        }
        Cgroups { folders, name: name.to_owned() }
    }

    /// Removes them, when all processes are gone.
    pub(super) fn remove(&self) {
        for folder in &self.folders {
            // Where this hierarchy has none.
            let _ = fs::remove_dir(folder.join(&self.name));
        }
    }
}

/// When a container of this name was made (see [`crate::builtin::container_name`]); the kernel does not keep
/// a cgroup's times.
fn made(name: &str) -> Option<SystemTime> {
    let micros = name.strip_prefix(PREFIX)?.split('-').nth(1)?;
    let micros = u64::from_str_radix(micros, 16).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}

/// The folders of one line of /proc/self/cgroup (cgroups(7)): `hierarchy:controllers:path`.
fn folders(line: &str) -> Vec<PathBuf> {
    let mut fields = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
        return Vec::new();
    };
    let names = match controllers.strip_prefix("name=").unwrap_or(controllers) {
        "" => vec!["", "unified"],
        names => vec![names],
    };
    let path = path.trim_start_matches('/');
    names.into_iter().map(|name| Path::new("/sys/fs/cgroup").join(name).join(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_age() {
        let age = |name: &str| made(name).and_then(|t| SystemTime::now().duration_since(t).ok());
        let own = crate::builtin::container_name();
        assert!(age(&own).is_some_and(|age| age < STALE), "{own}");
        assert!(age("perijove-16560-660dc3fcd4a3b-0").is_some());
        for other in ["perijove-1", "perijove-1-xyz-0", "docker-1-1-1", "perijove-1-ffffffffffffffffff-0"] {
            assert_eq!(made(other), None, "{other}");
        }
    }

    #[test]
    fn cgroup_folders() {
        let of = |line: &str| folders(line).iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        assert_eq!(of("4:memory:/a/b"), ["/sys/fs/cgroup/memory/a/b"]);
        assert_eq!(of("3:cpu,cpuacct:/"), ["/sys/fs/cgroup/cpu,cpuacct/"]);
        assert_eq!(of("9:name=systemd:/x"), ["/sys/fs/cgroup/systemd/x"]);
        assert_eq!(of("0::/x"), ["/sys/fs/cgroup/x", "/sys/fs/cgroup/unified/x"]);
        assert_eq!(of("what"), [""; 0]);
    }
}
