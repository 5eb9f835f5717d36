//! The embedded registry as its own process.

use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::program::{Program, Running};
use crate::requests::To;

/// Serves until the value goes.
pub struct Registry {
    /// `127.0.0.1:PORT`.
    pub address: String,
    _process: Running,
    _root: Option<tempfile::TempDir>,
}

impl Registry {
    /// Starts `perijove registry serve` on a free port with an empty store.
    pub fn start(perijove: &str) -> Self {
        Registry::with(perijove, &[])
    }

    /// The same with more arguments for `registry serve`.
    pub fn with(perijove: &str, arguments: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let registry = Registry::on(perijove, root.path(), &[], arguments);
        Registry { _root: Some(root), ..registry }
    }

    /// On the store `root/store`, which stays, run by another program (`under`, as `strace`).
    pub fn on(perijove: &str, root: &Path, under: &[&str], arguments: &[&str]) -> Self {
        let program = Program::new(perijove, root, root).under(under);
        let store = root.join("store").display().to_string();
        let process =
            program.args(["registry", "serve", "--listen", "127.0.0.1:0", "--quiet", "--root", &store]);
        let mut process = process.args(arguments.iter().copied()).start();
        let mut line = String::new();
        BufReader::new(process.stdout()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("it said {line:?}")).to_owned();
        Registry { address, _process: process, _root: None }
    }
}

/// Deletes a blob of a registry's repository, as its owner may. The manifests that list it stay.
pub fn delete_blob(address: &str, repository: &str, digest: &str) {
    let to = To { address, login: None, name: repository };
    to.send(202, "DELETE", &format!("blobs/{digest}"), "application/octet-stream", b"");
}
