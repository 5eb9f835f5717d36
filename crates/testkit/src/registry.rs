//! The embedded registry as its own process.

use std::io::{BufRead, BufReader};

use crate::program::{Program, Running};

/// Serves until the value goes.
pub struct Registry {
    /// `127.0.0.1:PORT`.
    pub address: String,
    _process: Running,
    _root: tempfile::TempDir,
}

impl Registry {
    /// Starts `perijove registry serve` on a free port with an empty store.
    pub fn start(perijove: &str) -> Self {
        Registry::with(perijove, &[])
    }

    /// The same with more arguments for `registry serve`.
    pub fn with(perijove: &str, arguments: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let program = Program::new(perijove, root.path(), root.path());
        let process = program.args(["registry", "serve", "--listen", "127.0.0.1:0", "--quiet"]);
        let mut process = process.args(arguments.iter().copied()).start();
        let mut line = String::new();
        BufReader::new(process.stdout()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("it said {line:?}")).to_owned();
        Registry { address, _process: process, _root: root }
    }
}
