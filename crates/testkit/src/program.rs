//! The built binary, run in an environment that holds what the test says and nothing else.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A command line to be.
#[derive(Clone, Debug)]
pub struct Program {
    under: Vec<String>,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    site: bool,
}

/// How it ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Exit code; none after a signal.
    pub code: Option<i32>,
    /// Results.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Program {
    /// `program` in `folder` with `cache` as its cache and home.
    pub fn new(program: impl Into<PathBuf>, folder: &Path, cache: &Path) -> Self {
        let mut new = Program {
            under: Vec::new(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: folder.to_owned(),
            site: false,
        };
        for name in ["HOME", "XDG_CACHE_HOME"] {
            new = new.env(name, &cache.display().to_string());
        }
        new.env("PATH", &std::env::var("PATH").unwrap_or_default())
    }

    /// `program` in `folder` with the settings, indexes and caches of whoever runs the test.
    pub fn of_this_site(program: impl Into<PathBuf>, folder: &Path) -> Self {
        Program { environment: Vec::new(), site: true, ..Program::new(program, folder, folder) }
    }

    /// With these arguments behind those there are.
    pub fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// With a variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With variables.
    pub fn envs(mut self, all: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(all);
        self
    }

    /// Run by another program, as `taskset -c 0`.
    pub fn under(mut self, words: &[&str]) -> Self {
        self.under.extend(words.iter().map(|&w| w.to_owned()));
        self
    }

    fn command(&self) -> Command {
        let program = self.program.display().to_string();
        let words: Vec<&String> = self.under.iter().chain([&program]).chain(&self.arguments).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&self.folder).stdin(Stdio::null());
        if !self.site {
            command.env_clear();
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end.
    pub fn run(&self) -> Ran {
        let output = self.command().output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Starts it.
    pub fn start(&self) -> Running {
        let child = self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running { child: Some(child) }
    }
}

impl Ran {
    /// The result of a command that must have worked.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// A process that is killed with the value.
pub struct Running {
    child: Option<Child>,
}

impl Running {
    /// What its standard output says.
    pub fn stdout(&mut self) -> impl std::io::Read + use<> {
        self.child.as_mut().and_then(|c| c.stdout.take()).unwrap()
    }

    /// As Ctrl-C does.
    pub fn interrupt(&self) {
        let pid =
            self.child.as_ref().and_then(|c| rustix::process::Pid::from_raw(i32::try_from(c.id()).unwrap()));
        // A process that has ended already is as good.
        let _ = rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::INT);
    }

    /// As a power cut does: no word of warning.
    pub fn kill(mut self) {
        let child = self.child.as_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ran {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
