//! `perijove migrate`: uses of retired images in files and folders, and the change.

mod disk;
mod print;
mod walk;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use perijove_build::{Config, config};
use perijove_migrate::{Folder, Reading, Repository, Rule, Source, Successors};

use super::error::CliError;
use super::{Global, Outcome};
use crate::ui::Ui;
use disk::Disk;

/// Flags of `migrate`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Files, and folders with all that is below them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write the changes that are sure
    #[arg(long)]
    fix: bool,
    /// Where the site's images are, as quay.io/example; else the first of perijove.toml's registries
    #[arg(long, value_name = "REGISTRY", value_parser = registry)]
    registry: Option<String>,
    /// What users get in place of jupyterhub/singleuser: an image with its tag, or docker-stacks' name without one,
    /// as quay.io/jupyter/base-notebook
    #[arg(long, value_name = "IMAGE", value_parser = super::reference::ReferenceParser)]
    singleuser: Option<perijove_oci::Reference>,
    /// Take it that a proxy runs apart from the hub, though no file says so
    #[arg(long)]
    proxy_apart: bool,
}

/// What could not be read, and why.
pub struct Problem {
    /// The file as it was named.
    pub file: String,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub hint: String,
    /// Whether it is a reason to write nothing at all.
    pub stops: bool,
}

/// A file, what was found in it, and its text once the sure changes are made.
pub struct Page {
    pub path: PathBuf,
    pub source: Source,
    pub reading: Reading,
    pub fixed_text: String,
    pub ended: Vec<bool>,
}

/// An image folder, from which Dockerfile, and whether it is on disk now.
pub struct Planned {
    pub from: String,
    pub folder: Folder,
}

/// Everything that is known before anything is written.
pub struct Found {
    pub pages: Vec<Page>,
    pub folders: Vec<Planned>,
    pub problems: Vec<Problem>,
}

pub async fn run(arguments: Arguments, _: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    let root = root(&arguments.paths)?;
    let (repository, registries) = repository(&root)?;
    let walk = walk::read(&arguments.paths, &mut |word| ui.status(word));
    let successors = Successors {
        registry: arguments.registry.clone().or(registries),
        singleuser: arguments.singleuser.as_ref().map(ToString::to_string),
        proxy_apart: arguments.proxy_apart,
    };
    let found = look(walk, successors, &root, repository)?;
    let stopped = found.problems.iter().any(|problem| problem.stops);
    let writes = arguments.fix && !stopped;
    if writes {
        write::all(&found, &root)?;
    }
    let open = print::result(&found, writes, ui)?;
    if let Some(first) = found.problems.first() {
        let lines: Vec<String> =
            found.problems.iter().map(|p| format!("{}: {}", p.file, p.message)).collect();
        let mut hint = first.hint.clone();
        if arguments.fix && stopped {
            hint.push_str("; nothing was written");
        }
        return Err(CliError::usage(lines.join("\n"), &hint));
    }
    Ok(if open == 0 { Outcome::Done } else { Outcome::Found })
}

/// Reads every file, then plans the image folders one after the other.
fn look(
    walk: walk::Walk,
    successors: Successors,
    root: &Path,
    mut repository: Repository,
) -> Result<Found, CliError> {
    let sources: Vec<Source> = walk.files.iter().map(|(_, source)| source.clone()).collect();
    let scene = perijove_migrate::scene(&sources, successors);
    let mut found = Found { pages: Vec::new(), folders: Vec::new(), problems: walk.problems };
    let here = Disk::at(Path::new(""));
    let there = Disk::at(root);
    for (path, source) in walk.files {
        let reading = perijove_migrate::read(&source, &scene, &here);
        if let Some(error) = &reading.error {
            found.problems.push(Problem {
                file: source.path.clone(),
                message: error.to_string(),
                hint: error.hint().to_owned(),
                stops: false,
            });
        }
        let (fixed_text, ended) = perijove_migrate::apply(&source.text, &reading.findings);
        let sure = reading.findings.iter().any(|f| f.rule == Rule::RetiredImage && !f.edits.is_empty());
        let dockerfile =
            perijove_migrate::kind(&source.path, &source.text) == Some(perijove_migrate::Kind::Dockerfile);
        if dockerfile
            && !sure
            && reading.error.is_none()
            && let Some(below) = below(root, &path)
        {
            let registry = scene.successors.registry.as_deref();
            let folder = perijove_migrate::plan(&below, &source.text, &there, &repository, registry);
            let folder = folder.map_err(|e| CliError::usage(e.to_string(), e.hint()))?;
            if let Some(folder) = folder {
                if !folder.there {
                    repository.text = Some(folder.toml.clone());
                    repository.images.insert(folder.name.clone(), None);
                }
                found.folders.push(Planned { from: source.path.clone(), folder });
            }
        }
        found.pages.push(Page { path, source, reading, fixed_text, ended });
    }
    Ok(found)
}

/// The image repository around the first path; where there is none, what would become one: the folder that is read.
fn root(paths: &[PathBuf]) -> Result<PathBuf, CliError> {
    let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
    let path = std::path::absolute(first).map_err(CliError::io(first.display()))?;
    let folder = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(&path) };
    let above = folder.ancestors().find(|folder| folder.join(config::FILE).is_file());
    Ok(above.unwrap_or(folder).to_owned())
}

/// What `perijove.toml` says, and the first registry in it.
fn repository(root: &Path) -> Result<(Repository, Option<String>), CliError> {
    let path = root.join(config::FILE);
    if !path.is_file() {
        return Ok((Repository::default(), None));
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|e| CliError::usage(format!("{}: {e}", path.display()), "mend it, or move it away"))?;
    let config = Config::parse(root, &text)?;
    let marker = |name: &String| {
        let asked = std::fs::read_to_string(config.folder(name).join("requirements.in")).ok()?;
        asked.lines().next().filter(|line| line.starts_with("# From ")).map(str::to_owned)
    };
    let images: BTreeMap<_, _> = config.images.keys().map(|name| (name.clone(), marker(name))).collect();
    let registry = config.repository.registries.first().cloned();
    Ok((Repository { text: Some(text), images }, registry))
}

/// A path below the root, parted by `/`.
fn below(root: &Path, path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let parts = path.strip_prefix(root).ok()?.components().map(|part| part.as_os_str().to_str());
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}

/// `quay.io/example`: a host and perhaps a path, no tag.
fn registry(text: &str) -> Result<String, String> {
    let trimmed = text.trim_end_matches('/');
    let reference: perijove_oci::Reference =
        format!("{trimmed}/hub").parse().map_err(|e: perijove_oci::reference::ReferenceError| e.reason)?;
    if reference.name() != format!("{trimmed}/hub") {
        return Err("name the registry's host too, as docker.io/example".to_owned());
    }
    Ok(trimmed.to_owned())
}
