//! The programs that build Dockerfiles: which one is there, and what to do about its failures.

use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::{Error, Result};

/// A builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// `docker buildx` with an engine that answers.
    Docker,
    /// buildah: needs no engine.
    Buildah,
}

/// What a client gets to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

impl FromStr for Tool {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "docker" => Ok(Tool::Docker),
            "buildah" => Ok(Tool::Buildah),
            _ => Err(format!("`{text}` is no builder of Dockerfiles: docker or buildah")),
        }
    }
}

impl Tool {
    /// Its name, as the settings have it.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Docker => "docker",
            Tool::Buildah => "buildah",
        }
    }

    /// `wanted`, or the first that answers.
    pub async fn choose(wanted: Option<Tool>) -> Result<Tool> {
        let candidates = wanted.map_or(vec![Tool::Docker, Tool::Buildah], |tool| vec![tool]);
        let mut reasons = Vec::new();
        for tool in candidates {
            match tool.answers().await {
                Ok(()) => return Ok(tool),
                Err(reason) => reasons.push(format!("{}: {reason}", tool.name())),
            }
        }
        Err(Error::Program {
            program: "no builder of Dockerfiles".to_owned(),
            reason: reasons.join("; "),
            hint: "get buildah (`apt install buildah`), or docker with buildx and a running engine; \
                   [repository] builder = \"…\" or PERIJOVE_BUILDER says which"
                .to_owned(),
        })
    }

    async fn answers(self) -> Result<(), String> {
        match self {
            Tool::Docker => {
                answer("docker", &["version", "--format", "{{.Server.Version}}"]).await?;
                answer("docker", &["buildx", "version"]).await
            }
            Tool::Buildah => answer("buildah", &["--version"]).await,
        }
    }

    /// What to do about a failure, when `output` tells.
    pub fn hint(self, output: &str) -> &'static str {
        let table = [
            (
                Tool::Docker,
                "exporter",
                "docker's default builder may not write image layouts: `docker buildx create --use` makes one \
                 that does; or use builder = \"buildah\"",
            ),
            (
                Tool::Buildah,
                "short-name",
                "buildah wants the registry's name in FROM: registry/name:tag, not name:tag",
            ),
            (
                Tool::Buildah,
                "newuidmap",
                "buildah needs newuidmap (Debian: uidmap) and lines for you in /etc/subuid and /etc/subgid, or root",
            ),
        ];
        let known = table.iter().find(|(tool, word, _)| *tool == self && output.contains(word));
        known.map_or("put right what the output names, and run it again", |(.., hint)| hint)
    }
}

async fn answer(program: &str, arguments: &[&str]) -> Result<(), String> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER_WITHIN, command.output())
        .await
        .map_err(|_| "does not answer within 20 seconds".to_owned())?
        .map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => "not installed".to_owned(),
            _ => e.to_string(),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("fails").to_owned();
    Err(said.chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!("buildah".parse(), Ok(Tool::Buildah));
        assert_eq!(Tool::Docker.name().parse(), Ok(Tool::Docker));
        assert!("kaniko".parse::<Tool>().unwrap_err().contains("docker or buildah"));
    }
}
