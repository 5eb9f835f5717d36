//! The demo outside any image repository: what it needs comes with the program.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;

use perijove_testkit::program::Program;
use perijove_testkit::{has, index_answers};

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// A port of loopback that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn an_empty_folder_is_enough() {
    let test = "an_empty_folder_is_enough";
    if !["uv", "npm", "apt-get"].iter().all(|program| has(test, program)) || !index_answers(test) {
        return;
    }
    let (empty, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let port = free_port().to_string();
    let program = Program::of_this_site(PERIJOVE, empty.path()).args(["demo", "--port", &port]);
    let program = program.env("XDG_STATE_HOME", &state.path().display().to_string());
    let mut running = program.start();
    let ready = format!("JupyterHub is ready at http://127.0.0.1:{port}");
    let mut said = BufReader::new(running.stdout()).lines().map_while(Result::ok);
    if !said.any(|line| line == ready) {
        let ran = running.end();
        panic!("exit {:?}: {}", ran.code, ran.stderr);
    }
    running.interrupt();
    let ran = running.end();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let folder = state.path().join("perijove/demo");
    let words = format!("this is perijove's own demo, kept in {}", folder.display());
    assert!(ran.stderr.contains(&words), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0, "it wrote into the folder it was called in");
    assert!(folder.join(".perijove/registry").is_dir() && folder.join("images/demo").is_dir());
}

#[test]
fn a_port_that_nobody_can_open_is_refused_at_once() {
    let (empty, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for port in ["0", "65536", "http"] {
        let ran = Program::new(PERIJOVE, empty.path(), state.path()).args(["demo", "--port", port]).run();
        assert_eq!(ran.code, Some(2), "{port}: {}", ran.stderr);
        assert!(ran.stderr.contains("--port"), "{}", ran.stderr);
    }
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0);
}

#[test]
fn a_named_folder_must_be_an_image_repository() {
    let (empty, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let named = empty.path().display().to_string();
    let program = Program::new(PERIJOVE, empty.path(), state.path()).args(["-C", &named, "demo"]);
    let ran = program.run();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("no perijove.toml here or in any folder above"), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0);
}
