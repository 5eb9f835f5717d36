//! Running uv and npm: the programs that know a site's indexes, proxies and credentials.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::LazyLock;

use regex::Regex;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::{Error, Result};

/// A program, and how to get it.
pub struct Program {
    /// Its name for messages.
    pub name: &'static str,
    /// What to do when it is missing.
    pub get: &'static str,
}

/// uv.
pub const UV: Program = Program {
    name: "uv",
    get: "get uv with `pipx install uv` (or in a virtual environment: `python3 -m venv ~/uv && ~/uv/bin/pip \
          install uv`), and have it on PATH",
};

/// npm.
pub const NPM: Program = Program {
    name: "npm",
    get: "get npm with Node.js: `apt install npm`, or Node.js's own installer, and have it on PATH",
};

impl Program {
    /// A command that starts `path`, ends with this process's interest in it, and asks nothing of a terminal.
    pub fn command(&self, path: &Path, folder: &Path) -> Command {
        let mut command = Command::new(path);
        command.current_dir(folder).kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("NO_COLOR", "1").env_remove("FORCE_COLOR").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs it with `input` as its stdin and gives its output, whatever its exit code.
    pub async fn run(&self, mut command: Command, input: &[u8]) -> Result<Output> {
        let failed = |source: std::io::Error| self.failed(source.to_string(), "");
        command.stdin(Stdio::piped());
        let mut child = command.spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => self.failed("is not installed".to_owned(), self.get),
            _ => failed(e),
        })?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends without reading has its own reasons; its exit code tells.
            let _ = stdin.write_all(input).await;
        }
        child.wait_with_output().await.map_err(failed)
    }

    /// As [`Program::run`], and a failure is an error with the program's last words.
    pub async fn output(&self, command: Command, hint: &str) -> Result<Vec<u8>> {
        let output = self.run(command, b"").await?;
        if output.status.success() { Ok(output.stdout) } else { Err(self.failed(last_words(&output), hint)) }
    }

    /// An error of this program.
    pub fn failed(&self, reason: String, hint: &str) -> Error {
        Error::Program { program: self.name.to_owned(), reason, hint: hint.to_owned() }
    }
}

/// uv's options for the interpreter that it works with. Any Python 3 will do, for uv is told the image's version
/// besides: without them it tries every interpreter of the machine in search of that very version, which takes
/// 10 s and more under pyenv. `UV_PYTHON` holds where it is set.
pub fn any_python() -> &'static [&'static str] {
    if std::env::var_os("UV_PYTHON").is_some() { &[] } else { &["--python", "3"] }
}

/// What a program said before it failed: the end of stderr, else of stdout, without credentials.
pub fn last_words(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let text = if stderr.trim().is_empty() { stdout } else { stderr };
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    let end = without_credentials(&lines[lines.len().saturating_sub(25)..].join("\n"));
    let end: String = end.chars().take(4000).collect();
    if end.is_empty() { format!("failed with {}", output.status) } else { end }
}

/// `text` with the user and password of every address in it replaced.
pub fn without_credentials(text: &str) -> String {
    static USERINFO: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"://[^/@\s]+@").ok());
    USERINFO.as_ref().map_or_else(String::new, |r| r.replace_all(text, "://****@").into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_out() {
        let text = "error: http://me:s3cret@127.0.0.1/simple and https://token@host/x, http://host/a@b";
        assert_eq!(
            without_credentials(text),
            "error: http://****@127.0.0.1/simple and https://****@host/x, http://host/a@b"
        );
    }

    #[tokio::test]
    async fn a_missing_program_says_how_to_get_it() {
        for program in [UV, NPM] {
            let command = program.command(Path::new("/nonexistent/program"), Path::new("/"));
            let error = program.output(command, "").await.unwrap_err();
            assert_eq!(error.to_string(), format!("{}: is not installed", program.name));
            assert!(error.hint().unwrap().contains("install"), "{:?}", error.hint());
        }
    }
}
