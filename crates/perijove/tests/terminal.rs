//! What is said where: bars on a terminal, lines elsewhere; `-q`, `-v`, `--color`, `NO_COLOR`. The terminal is
//! util-linux's `script`.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use perijove_testkit::has;
use perijove_testkit::packages::{Deb, Packages, Wheel};
use perijove_testkit::program::Program;
use perijove_testkit::repository::Repository;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");
/// What `-v` says of the one wheel.
const STEP: &str = "fetch app-1.0-py3-none-any.whl";
/// The colour of the bars, bold (ECMA-48, SGR), and the clearing of a line, as bars do.
const CYAN: &str = "\x1b[36m";
const BOLD: &str = "\x1b[1";
const CLEARED: &str = "\x1b[2K";

/// A repository whose image was never built, so that there is something to fetch and to say.
struct Scene {
    packages: Packages,
    repository: Repository,
    cache: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let debs = [Deb::new("base", "1", "all", 10_000)];
        let wheels = [Wheel::new("app", "1.0", 3_000_000)];
        let packages = Packages::serve();
        packages.debs(&debs);
        packages.wheels(&wheels);
        Scene { packages, repository: Repository::app(&debs, &wheels), cache: tempfile::tempdir().unwrap() }
    }

    fn program(&self, program: &str) -> Program {
        Program::new(program, self.repository.path(), self.cache.path()).envs(self.packages.environment())
    }

    /// Stderr of a command line without a terminal.
    fn plain(&self, line: &str, env: &[(&str, &str)]) -> String {
        let with = |p: Program, (name, value): &(&str, &str)| p.env(name, value);
        env.iter().fold(self.program(PERIJOVE).args(line.split(' ')), with).run().stderr
    }

    /// All that it writes on a terminal of this kind.
    fn terminal(&self, line: &str, term: &str, env: &[(&str, &str)]) -> String {
        let with = |p: Program, (name, value): &(&str, &str)| p.env(name, value);
        let script = self.program("script").env("TERM", term).env("SHELL", "/bin/sh");
        let script = script.args(["-qec", &format!("'{PERIJOVE}' {line}"), "/dev/null"]);
        env.iter().fold(script, with).run().stdout
    }
}

#[test]
fn quiet_and_verbose_without_a_terminal() {
    let usual = Scene::new().plain("build --output oci:out", &[]);
    assert!(!usual.contains(STEP), "{usual}");
    let quiet = Scene::new().plain("build --output oci:out -q", &[]);
    assert_eq!(quiet, "");
    let verbose = Scene::new().plain("build --output oci:out -v", &[]);
    assert!(verbose.lines().any(|line| line == STEP), "{verbose}");
    assert!(!verbose.contains('\x1b'), "{verbose}");
}

#[test]
fn bars_on_a_terminal() {
    if !has("bars_on_a_terminal", "script") {
        return;
    }
    // Between bars a line is filled up to the terminal's width; a bar's own name is cut at 48 columns.
    let line = format!("{STEP:60}");
    let usual = Scene::new().terminal("build --output oci:out", "xterm", &[]);
    assert!(usual.contains(CLEARED) && usual.contains(CYAN), "bars are drawn and removed: {usual:?}");
    assert!(usual.contains(STEP) && !usual.contains(&line), "{usual:?}");
    let verbose = Scene::new().terminal("build --output oci:out -v", "xterm", &[]);
    assert!(verbose.contains(CLEARED) && verbose.contains(&line), "{verbose:?}");
    let quiet = Scene::new().terminal("build --output oci:out -q", "xterm", &[]);
    assert!(!quiet.contains('\x1b'), "{quiet:?}");
    for (line, env) in [
        ("build --output oci:out --color never", vec![]),
        ("build --output oci:out", vec![("NO_COLOR", "1")]),
        ("build --output oci:out", vec![("PERIJOVE_COLOR", "never")]),
    ] {
        let said = Scene::new().terminal(line, "xterm", &env);
        assert!(said.contains(CLEARED) && !said.contains(CYAN), "{line} {env:?}: {said:?}");
    }
}

#[test]
fn lines_where_the_terminal_draws_no_bars() {
    if !has("lines_where_the_terminal_draws_no_bars", "script") {
        return;
    }
    let verbose = Scene::new().terminal("build --output oci:out -v", "dumb", &[]);
    assert!(verbose.contains(&format!("{STEP}\r\n")), "{verbose:?}");
    assert!(!verbose.contains('\x1b'), "{verbose:?}");
}

#[test]
fn colours_of_errors() {
    if !has("colours_of_errors", "script") {
        return;
    }
    let scene = Scene::new();
    // An error of clap's, and one of ours.
    for line in ["build --no-such-flag", "build no-such-image"] {
        let always = scene.plain(&format!("{line} --color always"), &[]);
        assert!(always.contains(BOLD), "{line}: {always:?}");
        assert!(!scene.plain(line, &[]).contains('\x1b'), "{line}");
        let usual = scene.terminal(line, "xterm", &[]);
        assert!(usual.contains(BOLD), "{line}: {usual:?}");
        let never = scene.terminal(&format!("--color never {line}"), "xterm", &[]);
        assert!(never.contains("error:") && !never.contains('\x1b'), "{line}: {never:?}");
        for env in [("NO_COLOR", "1"), ("PERIJOVE_COLOR", "never")] {
            let without = scene.terminal(line, "xterm", &[env]);
            assert!(without.contains("error:") && !without.contains('\x1b'), "{line} {env:?}: {without:?}");
        }
    }
}

#[test]
fn a_password_is_not_repeated() {
    let scene = Scene::new();
    for line in [
        "build --push user:secret@host.test/x",
        "build --push host.test/x --previous user:secret@host.test/x",
        "tags verify user:secret@host.test/x",
        "tags next 1.0.0 --repo user:secret@host.test/x",
        "release --dry-run --registry user:secret@host.test",
    ] {
        let said = scene.plain(line, &[]);
        assert!(!said.contains("secret"), "{line}: {said}");
        assert!(said.contains("***@host.test") && said.contains("docker login"), "{line}: {said}");
    }
}
