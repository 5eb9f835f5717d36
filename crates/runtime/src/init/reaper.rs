//! Pid 1 where the image has no init of its own: starts the command, passes signals on, reaps orphans.

use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};

use crate::protocol::{Order, Report, receive, send};
use crate::spec::ExitStatus;

/// Runs `command` to its end, and says so.
pub(super) fn run(
    mut command: Command,
    mut orders: BufReader<UnixStream>,
    mut reports: UnixStream,
) -> Result<(), io::Error> {
    let child = command.spawn()?;
    send(&mut reports, &Report::Started)?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // The thread ends with the process.
    std::thread::spawn(move || {
        while let Ok(Some(order)) = receive::<Order>(&mut orders) {
            if let (Order::Signal(number), Some(pid)) = (order, pid)
                && let Some(signal) = Signal::from_named_raw(number)
            {
                // It may have ended meanwhile.
                let _ = kill_process(pid, signal);
            }
        }
    });
    loop {
        if let Some((ended, status)) = wait(WaitOptions::empty())?
            && Some(ended) == pid
        {
            return send(&mut reports, &Report::Ended(ended_as(status)));
        }
    }
}

/// How a process that was waited for ended.
pub(super) fn ended_as(status: WaitStatus) -> ExitStatus {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Code(255),
    }
}
