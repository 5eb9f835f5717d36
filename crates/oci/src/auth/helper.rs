//! Credential helpers: `docker-credential-NAME get`, the server's name on standard input, JSON on standard output.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::keyring::Credential;
use crate::error::{Error, Result, bounded};

/// How long a helper may take: some ask a cloud's metadata server first.
const LIMIT: Duration = Duration::from_secs(60);
/// More output than any helper gives.
const MAX_OUTPUT: u64 = 256 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// What the helper has for `server`; `None` where it has nothing. `path` is where programs are looked for.
pub async fn get(name: &str, server: &str, path: Option<&OsStr>) -> Result<Option<Credential>> {
    let program = format!("docker-credential-{name}");
    let error = |reason: String| Error::Credentials { place: program.clone(), reason };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return Err(error("not the name of a credential helper".to_owned()));
    }
    let run = run(&program, server, path);
    let (ok, output) = match tokio::time::timeout(LIMIT, run).await {
        Ok(result) => result.map_err(|e| error(format!("cannot run it: {e}")))?,
        Err(_) => return Err(error(format!("no answer within {} seconds", LIMIT.as_secs()))),
    };
    read(ok, &output).map_err(error)
}

async fn run(program: &str, server: &str, path: Option<&OsStr>) -> std::io::Result<(bool, Vec<u8>)> {
    let mut child = tokio::process::Command::new(program)
        .envs(path.map(|path| ("PATH", path)))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input closes it early: what it prints is what counts.
        let _ = stdin.write_all(format!("{server}\n").as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_OUTPUT).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?.success(), output))
}

/// The helper's words: a credential, or (on failure) a message, of which one means "nothing here".
fn read(ok: bool, output: &[u8]) -> Result<Option<Credential>, String> {
    let text = String::from_utf8_lossy(output);
    if !ok {
        return if text.contains("credentials not found") {
            Ok(None)
        } else if text.contains("Secret") {
            Err("it failed".to_owned())
        } else {
            Err(format!("it failed: {}", bounded(&text, 200)))
        };
    }
    let answer: Answer = serde_json::from_slice(output).map_err(|_| "its answer is not JSON".to_owned())?;
    Ok(match (answer.username.as_str(), answer.secret) {
        (_, secret) if secret.is_empty() => None,
        ("<token>", secret) => Some(Credential::Identity(secret)),
        (_, secret) => Some(Credential::Password { user: answer.username, password: secret }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let password = Credential::Password { user: "u".to_owned(), password: "p".to_owned() };
        for (ok, output, expected) in [
            (true, r#"{"ServerURL":"r","Username":"u","Secret":"p"}"#, Ok(Some(password))),
            (true, r#"{"Username":"<token>","Secret":"t"}"#, Ok(Some(Credential::Identity("t".to_owned())))),
            (true, "{}", Ok(None)),
            (false, "credentials not found in native keychain\n", Ok(None)),
            (false, "keychain is locked\n", Err("it failed: keychain is locked".to_owned())),
            (false, r#"{"Secret":"p"}"#, Err("it failed".to_owned())),
            (true, "hunter2", Err("its answer is not JSON".to_owned())),
        ] {
            assert_eq!(read(ok, output.as_bytes()), expected, "{output}");
        }
    }

    #[tokio::test]
    async fn a_missing_helper_is_named() {
        let error = get("is-not-there", "r.example", None).await.unwrap_err();
        assert!(error.to_string().contains("docker-credential-is-not-there"), "{error}");
        assert!(get("../../bin/sh", "r.example", None).await.is_err());
    }
}
