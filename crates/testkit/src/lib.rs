//! Real servers and made packages for the tests.
//!
//! `web` answers as a test says, `front` stands between a client and a registry; `packages` makes wheels and Debian packages and serves them, and those of `npm`, as an index, a
//! mirror and a registry would; `repository` is an image repository with locks of such packages; `program` runs the built
//! binary in an environment that the test decides; `registry` is the embedded registry as a process and `peer` Debian's; `layout`
//! reads what was built; `cluster` is a real Kubernetes; `workflow` runs workflows of GitHub Actions as GitHub would.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say why they are skipped"
)]

pub mod cluster;
pub mod freezes;
pub mod front;
pub mod layout;
pub mod npm;
pub mod packages;
pub mod peer;
pub mod program;
pub mod registry;
pub mod repository;
mod requests;
pub mod web;
pub mod workflow;

/// Says that `test` is skipped and why; where `CI` is `true` everything must be there, and it fails instead. The test
/// runner shows nothing of a test that passes, so the line goes into the file that `PERIJOVE_SKIPPED` names, too.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} must not be skipped in CI: {why}");
    let line = skipped(test, why);
    eprintln!("{line}");
    if let Some(file) = std::env::var_os("PERIJOVE_SKIPPED").filter(|file| !file.is_empty()) {
        append(file.as_ref(), &line);
    }
}

/// One line, whatever the reason has.
fn skipped(test: &str, why: &str) -> String {
    let why: Vec<&str> = why.split_whitespace().collect();
    format!("skipped: {test}: {}", why.join(" "))
}

/// In one write, for other tests do so at the same time.
fn append(file: &std::path::Path, line: &str) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Whether the package index of this site answers, by uv; if not, `test` is skipped by name. Whatever fails then is
/// the test's.
pub fn index_answers(test: &str) -> bool {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut ask = Command::new("uv");
    ask.args(["pip", "compile", "--quiet", "--no-deps", "--refresh", "-"]);
    ask.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let Ok(mut asked) = ask.spawn() else {
        skip(test, "uv is not installed");
        return false;
    };
    // Dropped, so that it ends.
    asked.stdin.take().unwrap().write_all(b"jupyterhub\n").unwrap();
    let output = asked.wait_with_output().unwrap();
    if !output.status.success() {
        skip(test, &format!("no package index: {}", String::from_utf8_lossy(&output.stderr)));
    }
    output.status.success()
}

/// Whether `program --version` works; if not, the test is skipped by name.
pub fn has(test: &str, program: &str) -> bool {
    let there =
        std::process::Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        skip(test, &format!("{program} is not installed"));
    }
    there
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_one_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (test, why) in [("a", "no root"), ("b", "error: none\n  hint: some\n")] {
            append(file.path(), &skipped(test, why));
        }
        let lines = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(lines, "skipped: a: no root\nskipped: b: error: none hint: some\n");
    }
}
