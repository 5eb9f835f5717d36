//! Pid 1 of a container: makes the mounts, drops its rights, and becomes the command or its parent.

use std::env;
use std::fs;
use std::io::{self, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use serde::{Deserialize, Serialize};

use super::namespaces::Rights;
use super::{at, mounts, privileges, reaper, runc, socket};
use crate::protocol::{Container, Failure, Report, receive, send};
use crate::spec::Process;

/// What the supervisor tells pid 1.
#[derive(Serialize, Deserialize)]
pub(super) struct Settings {
    pub container: Container,
    pub one_user: bool,
}

pub(super) fn run() -> io::Result<()> {
    privileges::die_with_parent()?;
    let (mut orders, mut reports) = socket()?;
    let Some(settings) = receive::<Settings>(&mut orders)? else { return Ok(()) };
    let failed = |e: io::Error| Report::Failed(Failure { reason: e.to_string(), namespaces: false });
    match prepare(&settings, &mut reports) {
        Ok(command) if settings.container.command_is_init => {
            // Becoming the command closes the socket, which says that it runs.
            let error = become_command(command, &reports);
            send(&mut reports, &failed(error))
        }
        Ok(command) => start(command, orders, reports, failed),
        Err(error) => send(&mut reports, &failed(error)),
    }
}

fn start(
    command: Command,
    orders: BufReader<UnixStream>,
    mut reports: UnixStream,
    failed: impl Fn(io::Error) -> Report,
) -> io::Result<()> {
    alive(&reports)?;
    let program = command.get_program().to_string_lossy().into_owned();
    let again = reports.try_clone()?;
    match reaper::run(command, orders, again) {
        Ok(()) => Ok(()),
        Err(error) => send(&mut reports, &failed(cannot_run(&program, &error))),
    }
}

fn become_command(mut command: Command, lifeline: &UnixStream) -> io::Error {
    if let Err(error) = alive(lifeline) {
        return error;
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let error = command.exec();
    cannot_run(&program, &error)
}

/// The supervisor may have ended before the kernel was told to end this process with it.
fn alive(lifeline: &UnixStream) -> io::Result<()> {
    let mut polled = [PollFd::from_borrowed_fd(lifeline.as_fd(), PollFlags::empty())];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    if polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(())
}

fn prepare(settings: &Settings, reports: &mut UnixStream) -> io::Result<Command> {
    let container = &settings.container;
    let rights = if settings.one_user { Rights::OneUser } else { Rights::Root };
    // Away from the caller's terminal: what runs here must not type into it.
    rustix::process::setsid().map_err(at("new session"))?;
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    if let Some(client) = &container.runc {
        let (command, note) = runc::prepare(container, client, rights)?;
        note.map_or(Ok(()), |note| send(&mut *reports, &Report::Note(note)))?;
        return Ok(command);
    }
    rustix::system::sethostname(container.hostname.as_bytes()).map_err(at("host name"))?;
    if let Some(note) = mounts::enter(container, rights)? {
        send(&mut *reports, &Report::Note(note))?;
    }
    privileges::drop(&container.process.identity, rights)?;
    command(&container.process)
}

fn command(process: &Process) -> io::Result<Command> {
    let missing = |reason: String| io::Error::new(io::ErrorKind::NotFound, reason);
    env::set_current_dir(&process.cwd)
        .map_err(|e| io::Error::new(e.kind(), format!("working folder {}: {e}", process.cwd)))?;
    let (name, arguments) = process.argv.split_first().ok_or_else(|| missing("no command".to_owned()))?;
    let path = process.env.iter().find(|(n, _)| n == "PATH").map_or("", |(_, v)| v.as_str());
    let program = find(name, path).ok_or_else(|| {
        missing(if name.contains('/') {
            format!("the image has no program {name}")
        } else {
            format!("the image has no program `{name}` in PATH={path}")
        })
    })?;
    let mut command = Command::new(program);
    command.arg0(name).args(arguments).env_clear().stdin(Stdio::null());
    command.envs(process.env.iter().map(|(n, v)| (n, v)));
    Ok(command)
}

/// Finds a program as execvp(3) does, in the container.
fn find(name: &str, path: &str) -> Option<String> {
    if name.contains('/') {
        return fs::metadata(name).ok().map(|_| name.to_owned());
    }
    path.split(':').map(|folder| format!("{}/{name}", if folder.is_empty() { "." } else { folder })).find(
        |candidate| {
            fs::metadata(candidate).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        },
    )
}

fn cannot_run(program: &str, error: &io::Error) -> io::Error {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => format!("{program}: its interpreter is not in the image ({error})"),
        _ => format!("{program}: {error}"),
    };
    io::Error::new(error.kind(), reason)
}
