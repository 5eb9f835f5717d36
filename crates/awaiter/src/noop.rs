//! `noop`: what runs in a puller's containers, so that their images are in use and are not collected.
//!
//! It touches nothing and sleeps until it is told to end, as the first process of a container too. `--install` puts
//! the program where containers of images without a shell can start it from.

use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs when the program was called as `noop`, or with that as its first word; none otherwise. To be called before
/// anything else in `main`: many of them sleep on each node, and each should be nothing.
pub fn maybe_run() -> Option<ExitCode> {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let is_noop = Path::new(&program).file_name() == Some(OsStr::new("noop"));
    if !is_noop && words.next().as_deref() != Some(OsStr::new("noop")) {
        return None;
    }
    let words: Vec<OsString> = words.collect();
    let result = match words.as_slice() {
        [] => sleep(),
        [flag, path] if flag == "--install" => install(Path::new(path)),
        _ => {
            let _ = writeln!(std::io::stderr(), "error: noop takes nothing, or --install PATH");
            return Some(ExitCode::from(2));
        }
    };
    match result {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: noop: {error}");
            Some(ExitCode::FAILURE)
        }
    }
}

/// Until SIGTERM or SIGINT, which a container's first process gets only when it has asked for them. Without an
/// asynchronous runtime: setting one up would touch most of the program's pages.
fn sleep() -> Result<(), Error> {
    let wanted = [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT];
    signal_hook::iterator::Signals::new(wanted)?.forever().next();
    Ok(())
}

/// Copies this program to `path`, whole or not at all.
fn install(path: &Path) -> Result<(), Error> {
    let place = |error: Error| Error::new(error.kind(), format!("{}: {error}", path.display()));
    let name = path.file_name().ok_or_else(|| place(Error::from(ErrorKind::InvalidInput)))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    let temporary: PathBuf = path.with_file_name(hidden);
    let copy = || -> Result<(), Error> {
        let mut from = std::fs::File::open("/proc/self/exe")?;
        let mut to = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(&temporary)?;
        std::io::copy(&mut from, &mut to)?;
        // Whatever the umask: users of other images start it.
        to.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        to.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    copy().map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        place(error)
    })
}
