//! Pid 1 of a cluster and of each node: starts the process that does the work, takes leave of orphans, and ends when
//! that one ends. Then the kernel kills everything in the pid namespace, and the other namespaces go with it.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{WaitOptions, wait};

/// A command in new mount, host name, network, pid and IPC namespaces, as a child of its pid 1.
///
/// `role` is what `program` is asked to be; its standard input is a pipe.
pub fn in_namespaces(program: &Path, role: &[&str], folder: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new("unshare");
    // With --kill-child the end of `unshare` itself is the end of it all, too.
    command.args([
        "--mount",
        "--uts",
        "--net",
        "--pid",
        "--ipc",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--",
    ]);
    command.arg(program).arg("init").args(role).arg(folder);
    command.stdin(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs this program with `arguments`, reaps every process of the namespace that ends, and ends with that one.
///
/// # Errors
/// When it does not start, or ended badly.
pub fn run(arguments: &[String]) -> std::io::Result<()> {
    let child = Command::new(std::env::current_exe()?).args(arguments).spawn()?;
    loop {
        let ended = wait(WaitOptions::empty())?;
        if let Some((pid, status)) = ended
            && u32::try_from(pid.as_raw_nonzero().get()) == Ok(child.id())
        {
            let code = status.exit_status();
            return if code == Some(0) {
                Ok(())
            } else {
                Err(std::io::Error::other(format!("{arguments:?} ended: {code:?}")))
            };
        }
    }
}
