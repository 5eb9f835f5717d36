//! The process between a caller and a container. It lives as long as both do: when the caller is gone its
//! socket closes, and the container is killed; when the container ends, the caller is told how.

use std::fs;
use std::io::{self, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::namespaces::{self, Rights};
use super::runc::Cgroups;
use super::{INSIDE, at, get, inside, mounts, socket};
use crate::protocol::{Container, Failure, Job, Order, Report, Supervise, receive, send};
use crate::spec::ExitStatus;

type Reports = Arc<Mutex<UnixStream>>;
/// Sends a signal, or ends it all where there is none to send: the caller is gone.
type Act = Box<dyn Fn(Option<Signal>) -> io::Result<()> + Send>;

pub(super) fn run() -> io::Result<()> {
    let (mut orders, reports) = socket()?;
    let Some(job) = receive::<Job>(&mut orders)? else { return Ok(()) };
    // Children must not hold the lifeline: it says that this process is there.
    rustix::stdio::dup2_stdin(openat(CWD, "/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)?;
    let reports = Arc::new(Mutex::new(reports));
    match job {
        Job::Container(container) => contain(*container, orders, &reports),
        Job::Supervise(other) => supervise(&other, orders, &reports),
    }
}

fn contain(container: Container, orders: BufReader<UnixStream>, reports: &Reports) -> io::Result<()> {
    let cgroups = container.runc.is_some().then(|| Cgroups::new(&container.name));
    let identity = &container.process.identity;
    let refused = |namespaces| move |e: io::Error| Failure { reason: e.to_string(), namespaces };
    let (sender, act) = channel();
    let started = namespaces::enter(container.network, identity.uid, identity.gid)
        .and_then(|rights| {
            // Before the pid namespace: after it this thread can start none.
            watch(orders, reports, act);
            namespaces::new_pids().map(|()| rights)
        })
        .map_err(refused(true))
        .and_then(|rights| start(container, rights).map_err(refused(false)));
    let (mut child, mut inner) = match started {
        Ok(started) => started,
        Err(failure) => return report(reports, &Report::Failed(failure)),
    };
    let pidfd = open(&child)?;
    let forward = inner.get_ref().try_clone()?;
    let by_init = child.command_is_init.then(|| pidfd.try_clone()).transpose()?;
    let action: Act = Box::new(move |signal| match (&by_init, signal) {
        (_, None | Some(Signal::KILL)) => pidfd_send_signal(&pidfd, Signal::KILL).map_err(Into::into),
        (Some(pidfd), Some(signal)) => pidfd_send_signal(pidfd, signal).map_err(Into::into),
        (None, Some(signal)) => send(&forward, &Order::Signal(signal.as_raw())),
    });
    // The thread lives as long as this process.
    let _ = sender.send(action);
    let mut ended = None;
    let mut said = false;
    while let Ok(Some(line)) = receive::<Report>(&mut inner) {
        match line {
            Report::Ended(how) => ended = Some(how),
            other => {
                said |= matches!(other, Report::Started | Report::Failed(_));
                report(reports, &other)?;
            }
        }
    }
    if !said {
        // The socket closed without a word: pid 1 became the command.
        report(reports, &Report::Started)?;
    }
    let status = child.process.wait()?;
    if let Some(cgroups) = cgroups {
        cgroups.remove();
    }
    report(reports, &Report::Ended(ended.unwrap_or_else(|| how(status))))
}

struct Inside {
    process: Child,
    command_is_init: bool,
}

fn start(container: Container, rights: Rights) -> io::Result<(Inside, BufReader<UnixStream>)> {
    mounts::scratch(&container.kept)?;
    let program = own_program(&container.kept)?;
    let (here, there) = UnixStream::pair()?;
    let command_is_init = container.command_is_init;
    let process = Command::new(program)
        .arg(INSIDE)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(there)))
        .spawn()?;
    send(&here, &inside::Settings { container, one_user: rights == Rights::OneUser })?;
    Ok((Inside { process, command_is_init }, BufReader::new(here)))
}

/// This program through a read-only mount: what runs in the container could otherwise reach it for writing
/// through /proc/self/exe (CVE-2019-5736), since it may be the same user's.
fn own_program(kept: &Path) -> io::Result<PathBuf> {
    let target = kept.join("mount/program");
    fs::File::create(&target)?;
    let own = fs::read_link("/proc/self/exe")?;
    let bound = rustix::mount::mount_bind(&own, &target).map_err(at("own program")).and_then(|()| {
        mounts::remount_read_only(&openat(CWD, &target, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
    });
    if bound.is_err() {
        // Replaced or removed meanwhile.
        fs::copy("/proc/self/exe", &target)?;
    }
    Ok(target)
}

fn supervise(other: &Supervise, orders: BufReader<UnixStream>, reports: &Reports) -> io::Result<()> {
    let ended = run_other(other, orders, reports);
    for command in &other.remove {
        // It may be gone already.
        let _ = quietly(command, &[]);
    }
    match ended {
        Ok(ended) => report(reports, &Report::Ended(ended)),
        Err(e) => report(reports, &Report::Failed(Failure { reason: e.to_string(), namespaces: false })),
    }
}

fn run_other(other: &Supervise, orders: BufReader<UnixStream>, reports: &Reports) -> io::Result<ExitStatus> {
    let (program, arguments) = other.run.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(other.env.iter().map(|(n, v)| (n, v)))
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("{program}: {e}")))?;
    let pidfd = pidfd_open(pid(&child)?, PidfdFlags::empty())?;
    report(reports, &Report::Started)?;
    let (sender, act) = channel();
    watch(orders, reports, act);
    let (kill, remove) = (other.kill.clone(), other.remove.clone());
    let action: Act = Box::new(move |signal| {
        if let Some(signal) = signal {
            let sent = quietly(&kill, &[&signal.as_raw().to_string()]);
            // While the client still pulls the image there is no container to send it to: then the client goes.
            if sent.is_ok() || signal != Signal::KILL {
                return sent;
            }
        }
        for command in &remove {
            // All are tried.
            let _ = quietly(command, &[]);
        }
        pidfd_send_signal(&pidfd, Signal::KILL).map_err(Into::into)
    });
    // The thread lives as long as this process.
    let _ = sender.send(action);
    Ok(how(child.wait()?))
}

/// Follows the caller's orders on a thread of its own. `act` comes when there is a container to act on.
fn watch(mut orders: BufReader<UnixStream>, reports: &Reports, act: Receiver<Act>) {
    let reports = Arc::clone(reports);
    std::thread::spawn(move || {
        let mut known = None;
        let mut act = move |signal| match &mut known {
            Some(known) => Act::as_ref(known)(signal),
            unknown => act.recv().map_or(Ok(()), |act| unknown.insert(act)(signal)),
        };
        while let Ok(Some(order)) = receive::<Order>(&mut orders) {
            match order {
                Order::Signal(number) => {
                    if let Some(signal) = Signal::from_named_raw(number) {
                        // The command may have ended meanwhile.
                        let _ = act(Some(signal));
                    }
                }
                Order::Get(wanted) => {
                    let reports = Arc::clone(&reports);
                    std::thread::spawn(move || {
                        let answer = get::get(&wanted);
                        report(&reports, &Report::Answer { id: wanted.id, answer })
                    });
                }
            }
        }
        let _ = act(None);
    });
}

fn report(reports: &Reports, what: &Report) -> io::Result<()> {
    let stream = reports.lock().unwrap_or_else(PoisonError::into_inner);
    match send(&*stream, what) {
        // The caller is gone; the other thread ends the container.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn quietly(command: &[String], more: &[&str]) -> io::Result<()> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Command::new(program)
        .args(arguments)
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .and_then(|status| {
            if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program}: {status}"))) }
        })
}

fn open(child: &Inside) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid(&child.process)?, PidfdFlags::empty())?)
}

fn pid(child: &Child) -> io::Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn how(status: process::ExitStatus) -> ExitStatus {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Code(255),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that has made no container yet, as one that pulls its image.
    #[test]
    fn a_client_without_a_container_can_be_killed() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let other = Supervise {
            run: words("sleep 600"),
            env: Vec::new(),
            remove: vec![words("false")],
            kill: words("false"),
        };
        let ((orders, caller), (reports, _heard)) =
            (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        for signal in [Signal::TERM, Signal::KILL] {
            send(&caller, &Order::Signal(signal.as_raw())).unwrap();
        }
        let ended = run_other(&other, BufReader::new(orders), &Arc::new(Mutex::new(reports))).unwrap();
        assert_eq!(ended, ExitStatus::Signal(Signal::KILL.as_raw()));
    }
}
