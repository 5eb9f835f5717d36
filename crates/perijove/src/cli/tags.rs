//! `perijove tags`: the rule on a list of tags or on live repositories.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use perijove_oci::Reference;
use perijove_oci::client::Client;
use perijove_release::verify;
use serde_json::json;

use super::error::CliError;
use super::reference::ReferenceParser;
use super::temporary::temporary;
use super::{Global, Outcome};
use crate::ui::Ui;

/// The verbs of `tags`.
#[derive(Subcommand)]
pub enum Verb {
    /// The tag of the next build of a version
    Next {
        /// MAJOR.MINOR.PATCH, with what PEP 440 allows behind it
        version: String,
        #[command(flatten)]
        existing: Existing,
        /// Take three plain numbers alone
        #[arg(long)]
        strict: bool,
    },
    /// The aliases to point at a tag, a line each, longest first; nothing when none moves
    Aliases {
        /// VERSION-N
        tag: String,
        #[command(flatten)]
        existing: Existing,
    },
    /// List the aliases that break the rule in live repositories, and where those differ from each other
    Verify {
        /// REGISTRY/REPOSITORY; several are compared
        #[arg(required = true, value_name = "REPO", value_parser = ReferenceParser)]
        repos: Vec<Reference>,
        /// Move the aliases, and copy releases that one of the repositories lacks
        #[arg(long)]
        repair: bool,
    },
}

/// Where the tags stand that there are.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct Existing {
    /// A file with a tag a line; `-` is stdin
    #[arg(long, value_name = "FILE")]
    existing: Option<PathBuf>,
    /// A live repository; several count as one
    #[arg(long, value_name = "REPO", value_parser = ReferenceParser)]
    repo: Vec<Reference>,
}

pub async fn run(verb: Verb, _: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    match verb {
        Verb::Next { version, existing, strict } => {
            let tags = existing.read(ui).await?;
            let number = perijove_tags::next_build(&version, tags.iter().map(String::as_str), strict)?;
            let tag = format!("{version}-{number}");
            ui.result(&tag, &json!({ "tag": tag }))?;
            Ok(Outcome::Done)
        }
        Verb::Aliases { tag, existing } => {
            let tags = existing.read(ui).await?;
            let mut aliases = perijove_tags::aliases(&tag, tags.iter().map(String::as_str))?;
            aliases.retain(|alias| *alias != tag);
            ui.result(&aliases.join("\n"), &json!({ "tag": tag, "aliases": aliases }))?;
            Ok(Outcome::Done)
        }
        Verb::Verify { repos, repair } => verify(&repos, repair, ui).await,
    }
}

impl Existing {
    async fn read(&self, ui: &Ui) -> Result<Vec<String>, CliError> {
        let mut tags = Vec::new();
        if let Some(path) = &self.existing {
            let text = match path.as_os_str() == "-" {
                true => std::io::read_to_string(std::io::stdin()),
                false => std::fs::read_to_string(path),
            };
            let text = text.map_err(|e| {
                CliError::usage(format!("{}: {e}", path.display()), "name a file with a tag a line, or `-`")
            })?;
            tags.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
        }
        if !self.repo.is_empty() {
            let client = Client::new(Arc::clone(&ui.reporter()))?;
            for repo in &self.repo {
                tags.extend(client.tags(repo).await?);
            }
        }
        Ok(tags)
    }
}

async fn verify(repos: &[Reference], repair: bool, ui: &Ui) -> Result<Outcome, CliError> {
    let client = Client::new(Arc::clone(&ui.reporter()))?;
    let found = verify::look(&client, repos).await?;
    let mut left = found.faults.clone();
    if repair && !left.is_empty() {
        let folder = temporary()?;
        verify::repair(&client, repos, &left, folder.path()).await?;
        left = verify::look(&client, repos).await?.faults;
    }
    let mut lines: Vec<String> = Vec::new();
    for fault in &found.faults {
        let word = match (repair, left.contains(fault)) {
            (false, _) => "",
            (true, true) => "not repaired: ",
            (true, false) => "repaired: ",
        };
        lines.push(format!("{word}{fault}"));
    }
    ui.status(&format!("{} tags read, {} break the rule", found.read, found.faults.len()));
    if !repair && left.iter().any(|fault| fault.expected.is_some()) {
        ui.status("--repair moves the aliases and copies what is not there");
    }
    ui.result(
        &lines.join("\n"),
        &json!({ "read": found.read, "faults": found.faults, "left": left, "repaired": found.faults.len().saturating_sub(left.len()) }),
    )?;
    Ok(if left.is_empty() { Outcome::Done } else { Outcome::Found })
}
