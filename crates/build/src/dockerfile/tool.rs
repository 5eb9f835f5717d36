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
    /// `docker buildx` with a builder that answers.
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
            hint: "get buildah (`apt install buildah`), or docker with buildx and a builder that answers; \
                   [repository] builder = \"…\" or PERIJOVE_BUILDER says which"
                .to_owned(),
        })
    }

    async fn answers(self) -> Result<(), String> {
        match self {
            // The builder in use may be elsewhere: an engine here is not what counts.
            Tool::Docker => unreachable_node(&answer("docker", &["buildx", "inspect"]).await?),
            Tool::Buildah => answer("buildah", &["--version"]).await.map(|_| ()),
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

/// `buildx inspect` ends well, and says of each node what keeps it from answering.
fn unreachable_node(inspected: &str) -> Result<(), String> {
    let error = inspected.lines().find_map(|line| line.trim_start().strip_prefix("Error:"));
    error.map_or(Ok(()), |reason| Err(shortened(reason.trim())))
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// What the program prints when it ends well; else the first line of what it says about it.
async fn answer(program: &str, arguments: &[&str]) -> Result<String, String> {
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
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("fails");
    Err(shortened(said))
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

    #[test]
    fn a_builder_that_cannot_be_reached_is_told_from_one_that_can() {
        for (inspected, reason) in [
            ("Name: a\nDriver: remote\n\nNodes:\nName:     a0\nStatus:   running\n", None),
            ("Name: a\nNodes:\nName:   a\nError:  Cannot connect\n", Some("Cannot connect")),
        ] {
            assert_eq!(unreachable_node(inspected).err().as_deref(), reason);
        }
    }
}
