//! Which runtime: docker, podman, runc, or the built-in one, whichever answers first, or the one asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use perijove_oci::{Event, Reporter};

use crate::brought::Brought;
use crate::container::Alive;
use crate::error::Error;
use crate::rootfs::Limits;
use crate::trial::trial;

/// What a client gets to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A way to run a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// A docker client and an engine that answers it.
    Docker,
    /// podman.
    Podman,
    /// runc.
    Runc,
    /// This crate's own ([`crate::init`]).
    Builtin,
}

impl Runtime {
    /// All, in the order of preference.
    pub const ALL: [Runtime; 4] = [Runtime::Docker, Runtime::Podman, Runtime::Runc, Runtime::Builtin];

    /// Its name, as `--runtime` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Runtime::Docker => "docker",
            Runtime::Podman => "podman",
            Runtime::Runc => "runc",
            Runtime::Builtin => "builtin",
        }
    }

    /// Whether a container has a network of its own even where it is given the machine's, so that a service
    /// in it is reached through a published port and has to listen on all addresses.
    pub fn publishes(self) -> bool {
        matches!(self, Runtime::Docker | Runtime::Podman)
    }
}

/// What `--runtime` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// The first of [`Runtime::ALL`] that answers.
    #[default]
    Auto,
    /// This one and no other.
    This(Runtime),
}

impl FromStr for Wanted {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Wanted::Auto);
        }
        Runtime::ALL
            .into_iter()
            .find(|r| r.name() == text)
            .map(Wanted::This)
            .ok_or_else(|| format!("`{text}` is no runtime: auto, docker, podman, runc or builtin"))
    }
}

/// What every runtime needs.
#[derive(Clone)]
pub struct Settings {
    /// The program to start as a supervisor: one whose `main` begins with
    /// [`maybe_run`](crate::init::maybe_run). `/proc/self/exe` is this program.
    pub program: PathBuf,
    /// Folder where unpacked images are kept.
    pub cache: PathBuf,
    /// Whether the built-in runtime and runc try an overlay of the unpacked image before a copy of it in memory.
    pub overlay: bool,
    /// What an image may unpack to.
    pub limits: Limits,
    /// Takes notes and progress.
    pub reporter: Arc<dyn Reporter>,
}

impl Settings {
    /// This program as the supervisor, and the usual limits.
    pub fn new(cache: PathBuf, reporter: Arc<dyn Reporter>) -> Self {
        Settings {
            program: PathBuf::from("/proc/self/exe"),
            cache,
            overlay: true,
            limits: Limits::default(),
            reporter,
        }
    }
}

/// A chosen runtime. With the last clone docker and podman lose the images that they got from us, which waits for
/// containers that are just ending, 10 seconds at most.
#[derive(Clone)]
pub struct Engine {
    /// Which one.
    pub runtime: Runtime,
    /// Why, for people: `podman 4.3.1 answers; docker: Cannot connect …`.
    pub reason: String,
    pub(crate) settings: Settings,
    /// The client's path, for all but the built-in one.
    pub(crate) client: PathBuf,
    pub(crate) alive: Alive,
    /// Dropped with the last of those who use this engine.
    pub(crate) brought: Arc<Brought>,
}

impl Engine {
    /// Chooses, and reports the choice as a note.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the one asked for does not answer.
    pub async fn choose(wanted: Wanted, settings: Settings) -> Result<Engine, Error> {
        let candidates = match wanted {
            Wanted::Auto => Runtime::ALL.to_vec(),
            Wanted::This(runtime) => vec![runtime],
        };
        let mut not = Vec::new();
        for runtime in candidates {
            match probe(runtime, &settings).await {
                Ok((client, why)) => {
                    not.insert(0, why);
                    let reason = not.join("; ");
                    let text = format!("container runtime: {} ({reason})", runtime.name());
                    settings.reporter.report(Event::Note(text));
                    let brought = Arc::new(Brought::new(client.clone()));
                    return Ok(Engine {
                        runtime,
                        reason,
                        settings,
                        client,
                        alive: Alive::default(),
                        brought,
                    });
                }
                Err(reason) if wanted == Wanted::Auto => not.push(format!("{}: {reason}", runtime.name())),
                Err(reason) => {
                    let hint = match runtime {
                        Runtime::Builtin => namespaces_hint(&reason),
                        Runtime::Runc if is_root() && find("runc").is_some() => namespaces_hint(&reason),
                        other => format!(
                            "install or start {}, or use `--runtime builtin`, which needs nothing installed",
                            other.name()
                        ),
                    };
                    return Err(Error::Unavailable { runtime: runtime.name(), reason, hint });
                }
            }
        }
        let reason = not.join("; ");
        let hint = namespaces_hint(&reason);
        Err(Error::Unavailable { runtime: "every runtime", reason, hint })
    }
}

/// The client's path and why it can be used; or why not.
async fn probe(runtime: Runtime, settings: &Settings) -> Result<(PathBuf, String), String> {
    match runtime {
        Runtime::Docker => client("docker", &["version", "--format", "{{.Server.Version}}"]).await,
        Runtime::Podman => {
            let found = client("podman", &["info", "--format", "{{.Version.Version}}"]).await?;
            podman_runs(&found.0).await.map(|()| found)
        }
        Runtime::Runc if !is_root() => {
            // One mapped user must be 0 for runc; an image's own user would not be.
            Err("needs root to run as an image's own user".to_owned())
        }
        Runtime::Runc => {
            let found = client("runc", &["--version"]).await?;
            runs(trial(settings, Some(found.0.clone()))).await.map(|()| found)
        }
        Runtime::Builtin => match forbidden() {
            None => runs(trial(settings, None))
                .await
                .map(|()| (PathBuf::new(), "needs nothing installed".to_owned())),
            Some(sysctl) => Err(format!("{sysctl} forbids user namespaces")),
        },
    }
}

async fn runs(trial: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::time::timeout(ANSWER_WITHIN, trial)
        .await
        .unwrap_or_else(|_| Err("runs nothing within 20 seconds".to_owned()))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

async fn client(name: &str, arguments: &[&str]) -> Result<(PathBuf, String), String> {
    let path = find(name).ok_or("not installed")?;
    let mut command = tokio::process::Command::new(&path);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER_WITHIN, command.output())
        .await
        .map_err(|_| "does not answer within 20 seconds".to_owned())?
        .map_err(|e| e.to_string())?;
    let version = first_line(&output.stdout);
    if output.status.success() && !version.is_empty() {
        let version = version.strip_prefix("runc version ").unwrap_or(&version);
        return Ok((path, format!("{name} {version} answers")));
    }
    let said = said(&output.stderr);
    Err(if said.is_empty() { format!("`{name} {}` failed", arguments.join(" ")) } else { said })
}

fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    shortened(line)
}

fn shortened(line: &str) -> String {
    line.chars().take(200).collect()
}

/// The line of a client's stderr that says what failed: its error, else the first that is no log line of a
/// lower level (podman and runc log by logrus), else the first.
pub(crate) fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let is_error = |l: &str| {
        l.starts_with("Error:")
            || l.contains("level=error")
            || l.contains("level=fatal")
            || l.contains("ERRO[")
    };
    let is_less = |l: &str| {
        ["level=warning", "level=info", "level=debug", "WARN[", "INFO[", "DEBU["]
            .iter()
            .any(|w| l.contains(w))
    };
    let line = lines
        .iter()
        .rfind(|l| is_error(l))
        .or_else(|| lines.iter().find(|l| !is_less(l)))
        .or_else(|| lines.first());
    shortened(line.copied().unwrap_or_default())
}

/// Whether podman's own settings let it run anything: a program that is not in an empty root must be what
/// fails, which podman says with code 127. Other codes are its OCI runtime's own failure.
async fn podman_runs(podman: &Path) -> Result<(), String> {
    let empty = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut command = tokio::process::Command::new(podman);
    command.args(["run", "--rm", "--network", "none", "--rootfs"]).arg(empty.path()).arg("/nothing");
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(ANSWER_WITHIN, output)
        .await
        .map_err(|_| "runs nothing within 20 seconds".to_owned())?
        .map_err(|e| e.to_string())?;
    if output.status.code() == Some(127) {
        return Ok(());
    }
    Err(format!("it answers, but runs nothing (see containers.conf): {}", said(&output.stderr)))
}

/// Finds a program in PATH, and where root's programs lie.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|folder| folder.join(name)).find(|p| is_program(p))
}

fn is_program(path: &Path) -> bool {
    path.is_absolute() && path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Settings of a machine that keep ordinary users out of user namespaces: the setting, the value that
/// forbids, and what to do.
const FORBIDDING: &[(&str, &str, &str)] = &[
    ("kernel.unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("user.max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
];

/// The setting that keeps this user out, where one says so. Root needs no user namespace.
fn forbidden() -> Option<&'static str> {
    if is_root() {
        return None;
    }
    FORBIDDING.iter().find(|(name, value, _)| setting(name).as_deref() == Some(value)).map(|(name, ..)| *name)
}

fn setting(name: &str) -> Option<String> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// What to do where the kernel refuses namespaces.
pub(crate) fn namespaces_hint(reason: &str) -> String {
    if is_root() { root_hint() } else { user_hint(reason) }
}

/// Root is only refused where it has less than root's rights: in a container.
fn root_hint() -> String {
    "this container may not make another one: start it with `--privileged` (or `--cap-add SYS_ADMIN \
     --security-opt apparmor=unconfined --security-opt seccomp=unconfined`), or give it docker's client and \
     socket (`-v /var/run/docker.sock:/var/run/docker.sock`)"
        .to_owned()
}

fn user_hint(reason: &str) -> String {
    let other = "run as root, or install docker, podman or runc and use `--runtime`";
    let forbidding = FORBIDDING
        .iter()
        .find(|(name, value, _)| reason.contains(name) || setting(name).as_deref() == Some(value));
    match forbidding {
        Some((_, _, command)) => format!("as root: `{command}`; or {other}"),
        None => {
            format!("this machine refuses namespaces (a container without the right to make one?): {other}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!("auto".parse(), Ok(Wanted::Auto));
        assert_eq!("runc".parse(), Ok(Wanted::This(Runtime::Runc)));
        assert!("crun".parse::<Wanted>().unwrap_err().contains("builtin"));
    }

    #[test]
    fn hints_name_the_setting() {
        let hint = user_hint("user.max_user_namespaces forbids user namespaces");
        assert!(hint.contains("sysctl -w user.max_user_namespaces=10000"), "{hint}");
    }

    #[test]
    fn root_is_not_told_to_become_root() {
        let hint = root_hint();
        assert!(hint.contains("--cap-add SYS_ADMIN") && hint.contains("docker.sock"), "{hint}");
        assert!(!hint.contains("run as root"), "{hint}");
    }

    #[test]
    fn the_error_is_what_a_client_said() {
        for (case, stderr, line) in [
            (
                "podman's warning first",
                "time=\"2026-11-22\" level=warning msg=\"The cgroupv2 manager is set to systemd\"\n\
                 time=\"2026-11-22\" level=warning msg=\"Falling back\"\nError: OCI runtime error: crun: no\n",
                "Error: OCI runtime error: crun: no",
            ),
            (
                "runc's log",
                "time=\"x\" level=error msg=\"runc run failed\"\n",
                "time=\"x\" level=error msg=\"runc run failed\"",
            ),
            ("on a terminal", "WARN[0000] old\ncannot connect\n", "cannot connect"),
            ("only a warning", "\nWARN[0000] old\n", "WARN[0000] old"),
            ("nothing", "", ""),
        ] {
            assert_eq!(said(stderr.as_bytes()), line, "{case}");
        }
    }
}
