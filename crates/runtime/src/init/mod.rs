//! The process that makes a container. It is the same program, started again under a private name, so that
//! namespaces are entered by a process of one thread and nothing is forked in a threaded one.
//!
//! - [`supervisor`]: outside the container. Enters the namespaces, starts pid 1, passes signals on, makes
//!   requests inside the container's network, and ends everything when its caller is gone.
//! - [`inside`]: pid 1. Mounts, drops what the command must not have, and becomes the command
//!   or its parent ([`reaper`]), or runc's ([`runc`]).

mod get;
mod inside;
mod loopback;
mod mounts;
mod namespaces;
mod privileges;
mod reaper;
mod runc;
mod supervisor;

use std::io::{self, BufReader};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// First argument of the supervisor.
pub(crate) const SUPERVISOR: &str = "perijove-container-supervisor";
/// First argument of pid 1.
const INSIDE: &str = "perijove-container-init";

/// Runs the supervisor or pid 1 when this process was started as one, and gives its exit code; none
/// otherwise. To be called first in `main`, before any thread: see [`crate`].
pub fn maybe_run() -> Option<ExitCode> {
    let name = std::env::args_os().nth(1)?;
    if name == SUPERVISOR {
        Some(exit_code(&close_on_exec().and_then(|()| supervisor::run())))
    } else if name == INSIDE {
        Some(exit_code(&inside::run()))
    } else {
        None
    }
}

fn exit_code(result: &io::Result<()>) -> ExitCode {
    // Whoever could be told has been told over the socket, or is gone.
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Keeps what the caller happened to have open (a build tool's pipes, a lock) out of the container.
fn close_on_exec() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")?.flatten() {
        let number = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok());
        if let Some(number) = number.filter(|n| *n > 2) {
            // SAFETY: the number is only used for this call, and this process has one thread. The
            // listing's own number may be closed already; the kernel then says so.
            #[allow(unsafe_code)]
            let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
            match rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC) {
                Ok(()) | Err(rustix::io::Errno::BADF) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(())
}

/// The socket that stdin is: one end to read lines from, one to write lines to.
fn socket() -> io::Result<(BufReader<UnixStream>, UnixStream)> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let reader = BufReader::new(stream.try_clone()?);
    Ok((reader, stream))
}

/// An error that says which step failed.
fn at(step: &str) -> impl Fn(rustix::io::Errno) -> io::Error + '_ {
    move |errno| {
        let cause = io::Error::from(errno);
        io::Error::new(cause.kind(), format!("{step}: {cause}"))
    }
}
