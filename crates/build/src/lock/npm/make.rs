//! `package.json` → `package-lock.json`, by npm itself, in a temporary folder.

use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::HeaderValue;
use tokio::process::Command;

use super::NpmLock;
use super::auth::Npmrc;
use crate::lock::program::{NPM, last_words};
use crate::lock::wheels::Upgrade;
use crate::{Error, Result};

/// npm, and what it is told.
#[derive(Clone, Debug)]
pub struct Npm {
    /// The program.
    pub program: PathBuf,
    /// A registry instead of the one that npm is configured for (`PERIJOVE_NPM_REGISTRY`, or perijove.toml).
    pub registry: Option<String>,
    /// The image's folder: its package.json, package-lock.json and .npmrc.
    pub folder: PathBuf,
}

impl Npm {
    /// npm from PATH and its own registry.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Npm { program: PathBuf::from("npm"), registry: None, folder: folder.into() }
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = NPM.command(&self.program, folder);
        if let Some(registry) = &self.registry {
            command.env("npm_config_registry", registry);
        }
        command.env("npm_config_update_notifier", "false");
        command
    }

    /// The registry of a package: that of its scope where npm has one (`@scope:registry`), else the general one.
    pub async fn registry_of(&self, name: &str) -> Result<Url> {
        let scope = name.split_once('/').map(|(scope, _)| scope).filter(|s| s.starts_with('@'));
        let mut answer = String::new();
        if let Some(scope) = scope {
            answer = self.config(&[&format!("{scope}:registry")]).await?;
        }
        if answer.is_empty() || answer == "undefined" {
            answer = self.config(&["registry"]).await?;
        }
        let url = answer.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        url.ok_or_else(|| {
            let shown = crate::lock::program::without_credentials(&answer);
            NPM.failed(
                format!("names `{shown}` as its registry, which is not an http address"),
                "check `npm config get registry`, or set PERIJOVE_NPM_REGISTRY",
            )
        })
    }

    /// The `Authorization` that npm is set up to send to `registry`.
    pub async fn authorization(&self, registry: &Url) -> Result<Option<HeaderValue>> {
        if !registry.username().is_empty() {
            return Ok(None);
        }
        let mut files = vec![self.folder.join(".npmrc")];
        // Of several keys npm answers `KEY=VALUE` lines.
        let places = self.config(&["userconfig", "globalconfig"]).await?;
        files.extend(places.lines().filter_map(|line| Some(line.split_once('=')?.1.into())));
        Ok(Npmrc::read(&files, std::env::vars()).authorization(registry))
    }

    async fn config(&self, keys: &[&str]) -> Result<String> {
        let mut command = self.command(&self.folder);
        command.args(["config", "get"]).args(keys);
        let output = NPM.output(command, "`npm config get registry` must name the registry").await?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }

    /// The text of a new `package-lock.json`. npm runs no script, and writes no address of a registry.
    pub async fn lock(&self, upgrade: &Upgrade) -> Result<String> {
        let temporary = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
        // npm calls a nameless package after its folder.
        let work = temporary.path().join(self.folder.file_name().unwrap_or("image".as_ref()));
        std::fs::create_dir(&work).map_err(Error::io(&work))?;
        let old_counts = *upgrade != Upgrade::All;
        for (name, wanted) in [("package.json", true), ("package-lock.json", old_counts), (".npmrc", true)] {
            let from = self.folder.join(name);
            if wanted && (name == "package.json" || from.exists()) {
                let to = work.join(name);
                std::fs::copy(&from, &to).map_err(Error::io(if from.exists() { &to } else { &from }))?;
            }
        }
        self.run(&work, "install", &[]).await?;
        if let Upgrade::Packages(names) = upgrade {
            if let Some(bad) = names.iter().find(|n| n.starts_with('-') || n.is_empty()) {
                return Err(Error::Input {
                    place: "--upgrade-package".to_owned(),
                    reason: format!("`{bad}` is not a package name"),
                    hint: "name an npm package, as `configurable-http-proxy`".to_owned(),
                });
            }
            self.run(&work, "update", names).await?;
        }
        let path = work.join("package-lock.json");
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        // What cannot be built is refused before it is written.
        NpmLock::parse(&text, "package-lock.json")?;
        Ok(text)
    }

    async fn run(&self, folder: &Path, verb: &str, names: &[String]) -> Result<()> {
        let mut command = self.command(folder);
        command.args([verb, "--package-lock-only", "--ignore-scripts", "--omit-lockfile-registry-resolved"]);
        command.args([
            "--lockfile-version=3",
            "--no-audit",
            "--no-fund",
            "--no-progress",
            "--loglevel=error",
            "--",
        ]);
        command.args(names);
        let output = NPM.run(command, b"").await?;
        if output.status.success() {
            return Ok(());
        }
        Err(NPM.failed(
            format!("package.json could not be locked:\n{}", last_words(&output)),
            "check the names and ranges in package.json, and that `npm config get registry` is right",
        ))
    }
}
