//! Programs of others: Debian's docker-registry, the peer of the embedded registry, and Podman, which takes images.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running docker-registry with an empty store.
pub struct Peer {
    /// `127.0.0.1:PORT`.
    pub address: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Peer {
    /// Starts one; `None` where the program is missing and the test is to be skipped.
    pub fn start(test: &str) -> Option<Self> {
        Self::start_with(test, |_| String::new())
    }

    /// Starts one that lets nobody delete.
    pub fn start_without_delete(test: &str) -> Option<Self> {
        Self::start_as(test, false, |_| String::new())
    }

    /// Starts one with more lines of configuration, which may name files of its folder.
    pub fn start_with(test: &str, more: impl Fn(&Path) -> String) -> Option<Self> {
        Self::start_as(test, true, more)
    }

    fn start_as(test: &str, delete: bool, more: impl Fn(&Path) -> String) -> Option<Self> {
        if !crate::has(test, "docker-registry") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        // Somebody may take the port between our looking and the registry's listening: then once more.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = format!("127.0.0.1:{port}");
            let config = format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
                 storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: {delete}}}}}\n\
                 http: {{addr: \"{address}\", secret: test}}\n{}",
                root.display(),
                more(folder.path())
            );
            let file = folder.path().join("config.yml");
            std::fs::write(&file, config).unwrap();
            let child = Command::new("docker-registry")
                .arg("serve")
                .arg(&file)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut registry = Peer { address, child, _folder: tempfile::tempdir().unwrap() };
            if registry.is_up() {
                registry._folder = folder;
                return Some(registry);
            }
        }
        panic!("docker-registry does not start");
    }

    fn is_up(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            if TcpStream::connect(&self.address).is_ok() {
                // The port may be another's while ours is about to give up.
                std::thread::sleep(Duration::from_millis(50));
                return matches!(self.child.try_wait(), Ok(None));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs podman with a store of its own below `root`; whether it ended well, and what it said.
pub fn podman(root: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("podman")
        .args(["--storage-driver", "vfs", "--root"])
        .arg(root.join("store"))
        .arg("--runroot")
        .arg(root.join("run"))
        .args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"])
        .args(arguments)
        .output()
        .unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}
