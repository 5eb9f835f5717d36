//! What a container is to run, and the pure step from an image's configuration to a process.

use std::path::PathBuf;
use std::sync::Arc;

use perijove_oci::Config;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::user::{Accounts, Identity};

/// Docker's default, where an image sets no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Which of the two output streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes a container's output, line by line, without the line's end. A line of more than 64 KiB comes in
/// pieces; bytes that are no UTF-8 are replaced.
pub type LineSink = Arc<dyn Fn(Stream, &str) + Send + Sync>;

/// Which network a container sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The machine's own.
    #[default]
    Host,
    /// Its own, with a loopback device and nothing else.
    Own,
}

/// A file or folder of this machine that a container sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path on this machine.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: String,
    /// Whether the container may not write to it.
    pub read_only: bool,
}

/// What to run in a container. The default runs what the image says.
#[derive(Clone, Default)]
pub struct Spec {
    /// In place of the image's entrypoint; the image's command then counts for nothing.
    pub entrypoint: Option<Vec<String>>,
    /// In place of the image's command, after the entrypoint.
    pub command: Option<Vec<String>>,
    /// Added to the image's environment, or in place of its values.
    pub env: Vec<(String, String)>,
    /// `user[:group]`, names or numbers, in place of the image's.
    pub user: Option<String>,
    /// In place of the image's working folder.
    pub workdir: Option<String>,
    /// The network.
    pub network: Network,
    /// Ports that people reach at 127.0.0.1 of this machine, at the same number. With
    /// [`Network::Host`], docker and podman publish them; the others share the machine's loopback.
    pub publish: Vec<u16>,
    /// With [`Network::Own`]: the port that [`Container::get`](crate::Container::get) asks. docker and
    /// podman publish it at a free port of this machine's loopback, which reaches services that listen on
    /// all addresses; the others are asked inside the container's own network.
    pub ask: Option<u16>,
    /// Files and folders of this machine.
    pub mounts: Vec<Mount>,
    /// Absolute paths of folders that the container may write to whatever their owner: empty, in memory.
    pub writable: Vec<String>,
    /// Takes the output.
    pub on_line: Option<LineSink>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It ended with this code. docker, podman and runc say 128 + number where a signal ended it.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl ExitStatus {
    /// Whether it ended with code 0.
    pub fn success(self) -> bool {
        self == ExitStatus::Code(0)
    }
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "exit code {code}"),
            ExitStatus::Signal(number) => write!(f, "signal {number}"),
        }
    }
}

/// A process, all decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Absolute path in the container.
    pub cwd: String,
    /// Whose process it is.
    pub identity: Identity,
}

/// Decides the process from the image's configuration (config.md; conversion.md for the same rules
/// towards a runtime), its accounts and what is asked for.
///
/// # Errors
/// [`Error::Spec`] when there is no command, a user is not known, or a text has a zero byte in it.
pub fn decide(config: &Config, accounts: &Accounts, spec: &Spec) -> Result<Process, Error> {
    let identity = accounts.resolve(spec.user.as_deref().or(config.user.as_deref()).unwrap_or(""))?;
    let argv = command(config, spec);
    if argv.first().is_none_or(String::is_empty) {
        return Err(Error::Spec("neither the image nor the caller names a command".to_owned()));
    }
    let mut env: Vec<(String, String)> = Vec::new();
    let asked = spec.env.iter().cloned();
    let own = config
        .env
        .iter()
        .map(|e| e.split_once('=').unwrap_or((e, "")))
        .map(|(n, v)| (n.to_owned(), v.to_owned()));
    for (name, value) in own.chain(asked) {
        match env.iter_mut().find(|(have, _)| *have == name) {
            Some(have) => have.1 = value,
            None => env.push((name, value)),
        }
    }
    for (name, value) in [("PATH", DEFAULT_PATH), ("HOME", &identity.home)] {
        if !env.iter().any(|(have, _)| have == name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    let cwd =
        spec.workdir.as_deref().or(config.working_dir.as_deref()).filter(|d| !d.is_empty()).unwrap_or("/");
    if !cwd.starts_with('/') {
        return Err(Error::Spec(format!("the working folder `{cwd}` is not absolute")));
    }
    let texts = argv.iter().chain(env.iter().flat_map(|(n, v)| [n, v]));
    if texts.chain([&cwd.to_owned()]).any(|t| t.contains('\0')) {
        return Err(Error::Spec("an argument or a variable has a zero byte in it".to_owned()));
    }
    env.retain(|(name, _)| !name.is_empty() && !name.contains('='));
    Ok(Process { argv, env, cwd: cwd.to_owned(), identity })
}

fn command(config: &Config, spec: &Spec) -> Vec<String> {
    let own = config.entrypoint.clone().unwrap_or_default();
    match (&spec.entrypoint, &spec.command) {
        (Some(entrypoint), command) => [entrypoint.clone(), command.clone().unwrap_or_default()].concat(),
        (None, Some(command)) => [own, command.clone()].concat(),
        (None, None) => [own, config.cmd.clone().unwrap_or_default()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Vec<String>> {
        Some(text.split_whitespace().map(ToOwned::to_owned).collect())
    }

    fn config() -> Config {
        Config {
            entrypoint: words("tini --"),
            cmd: words("jupyterhub"),
            env: vec!["A=1".to_owned(), "B=2=3".to_owned(), "A=4".to_owned()],
            working_dir: Some("/srv".to_owned()),
            user: Some("1000:1000".to_owned()),
            ..Config::default()
        }
    }

    #[test]
    fn the_command_is_put_together_as_docker_does() {
        let argv = |entrypoint: Option<&str>, command: Option<&str>| {
            let spec = Spec {
                entrypoint: entrypoint.and_then(words),
                command: command.and_then(words),
                ..Spec::default()
            };
            decide(&config(), &Accounts::default(), &spec).unwrap().argv.join(" ")
        };
        assert_eq!(argv(None, None), "tini -- jupyterhub");
        assert_eq!(argv(None, Some("jupyterhub --version")), "tini -- jupyterhub --version");
        assert_eq!(argv(Some("sh"), None), "sh");
        assert_eq!(argv(Some("sh"), Some("-c x")), "sh -c x");
    }

    #[test]
    fn the_environment_keeps_one_value_a_name() {
        let spec = Spec { env: vec![("B".to_owned(), "9".to_owned())], ..Spec::default() };
        let process = decide(&config(), &Accounts::default(), &spec).unwrap();
        let env: Vec<_> = process.env.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(env, ["A=4", "B=9", &format!("PATH={DEFAULT_PATH}"), "HOME=/"]);
        assert_eq!(process.cwd, "/srv");
    }

    #[test]
    fn refuses_what_cannot_run() {
        let refused = |config: Config, spec: Spec| {
            assert!(matches!(decide(&config, &Accounts::default(), &spec), Err(Error::Spec(_))));
        };
        refused(Config::default(), Spec::default());
        refused(config(), Spec { command: Some(vec!["a\0b".to_owned()]), ..Spec::default() });
        refused(config(), Spec { workdir: Some("srv".to_owned()), ..Spec::default() });
        refused(config(), Spec { user: Some("nobody-here".to_owned()), ..Spec::default() });
    }
}
