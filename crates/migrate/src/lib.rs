//! Uses of JupyterHub's retired images: text in, findings and edits out.
//!
//! `kind` says how a file is read; `dockerfile`, `yaml`, `lines` and `scripts` read it, and `shell` the commands in it;
//! `image` knows the retired images, `rules` why they end, `successor` what takes their place, `around` what files say
//! of each other; `scene` turns a use into findings, and `finding` puts edits in place, byte for byte. `folder` makes of
//! a Dockerfile the image folder that replaces it. Nothing here touches a disk: what lies beside a file is asked of a
//! [`Tree`].

mod around;
mod dockerfile;
mod error;
mod finding;
mod folder;
mod image;
mod kind;
mod lines;
mod rules;
mod scene;
mod scripts;
mod shell;
mod successor;
mod yaml;

pub use error::Error;
pub use finding::{Edit, Finding, apply, position, source_line};
pub use folder::{Content, Folder, Left, Repository, plan};
pub use image::Retired;
pub use kind::{Kind, of as kind};
pub use rules::{RULES, Rule};
pub use scene::Scene;
pub use successor::Successors;

use lines::Mode;

#[cfg(test)]
mod tests;

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing that may be read.
    Nothing,
    /// A file, with its text where it is one.
    File(Option<String>),
    /// A folder.
    Folder,
}

/// What lies beside the files that are read.
pub trait Tree {
    /// What lies at `below`, a relative path, in the folder of `file`.
    fn look(&self, file: &str, below: &str) -> Entry;
}

/// A tree without anything in it.
pub struct Nothing;

impl Tree for Nothing {
    fn look(&self, _: &str, _: &str) -> Entry {
        Entry::Nothing
    }
}

/// A file's path, parted by `/`, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As it is shown.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// What was found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// In order of their places.
    pub findings: Vec<Finding>,
    /// Why it could not be read as what it is; its lines were looked at one by one.
    pub error: Option<Error>,
}

/// What all files say together.
pub fn scene(sources: &[Source], successors: Successors) -> Scene {
    let voices = sources.iter().map(|source| around::voice(&source.path, &source.text));
    Scene {
        proxy_apart: successors.proxy_apart,
        hub_used: false,
        voices: voices.filter(around::Voice::says_something).collect(),
        successors,
    }
}

/// Reads one of the files of a scene.
pub fn read(source: &Source, scene: &Scene, tree: &dyn Tree) -> Reading {
    let (path, text) = (source.path.as_str(), source.text.as_str());
    let runs_in = around::runs_in(path, &scene.voices).filter(|_| kind::is_script(path, text));
    let scene = &scene.at(path, text);
    let mut reading = match kind::of(path, text) {
        None => Reading { findings: Vec::new(), error: None },
        Some(Kind::Shell) => {
            let mut findings = lines::read(text, 0, Mode::Shell, scene);
            findings.extend(runs_in.into_iter().flat_map(|hub| scripts::read(text, hub, scene)));
            Reading { findings, error: None }
        }
        Some(Kind::Literals) => {
            let mut findings = lines::read(text, 0, Mode::Literals, scene);
            if kind::is_hub_configuration(path) {
                findings.extend(lines::hub_configuration(text, scene));
            }
            Reading { findings, error: None }
        }
        Some(Kind::Yaml) => parsed(source, scene, yaml::read(path, text, scene)),
        Some(Kind::Dockerfile) => {
            let body = text.strip_prefix('\u{feff}').unwrap_or(text);
            let mut reading = parsed(source, scene, dockerfile::read(path, body, scene, tree));
            if reading.error.is_none() && !kind::is_template(path, text) {
                shift(&mut reading.findings, text.len() - body.len());
            }
            reading
        }
    };
    reading.findings.sort_by_key(|finding| (finding.span.start, finding.rule, finding.span.end));
    reading.findings.dedup_by(|a, b| a.rule == b.rule && a.span == b.span);
    several(&mut reading.findings, scene);
    // A file that would not parse any more is left to a person.
    let (fixed, _) = apply(text, &reading.findings);
    if fixed != text && !parses(path, &fixed) && parses(path, text) {
        reading.findings.iter_mut().for_each(|finding| finding.edits.clear());
    }
    reading
}

/// A file that names several versions of singleuser offers a choice, or serves several hubs: one image with its tag
/// does not take the place of all.
fn several(findings: &mut [Finding], scene: &Scene) {
    if scene.successors.is_stacks() {
        return;
    }
    let of_lab = |finding: &&mut Finding| finding.retired == Some(Retired::Singleuser);
    let tag = |finding: &Finding| {
        let image = finding.image.clone().unwrap_or_default();
        image.split_once("singleuser").map(|(_, tag)| tag.to_owned()).unwrap_or_default()
    };
    let mut all: Vec<&mut Finding> = findings.iter_mut().filter(of_lab).collect();
    let first = all.first().map(|finding| tag(finding));
    if all.iter().all(|finding| Some(tag(finding)) == first) {
        return;
    }
    for finding in all.iter_mut().filter(|finding| !finding.edits.is_empty()) {
        finding.edits.clear();
        scene::by_hand(finding, "several versions are named in this file, and --singleuser is one image");
    }
}

/// A parser's findings, or those of the lines where it failed.
fn parsed(source: &Source, scene: &Scene, read: Result<Vec<Finding>, Error>) -> Reading {
    let error = match read {
        Ok(findings) => return Reading { findings, error: None },
        Err(error) => error,
    };
    let mut findings = lines::read(&source.text, 0, Mode::Template, scene);
    if kind::is_template(&source.path, &source.text) {
        return Reading { findings, error: None };
    }
    findings.iter_mut().for_each(|finding| finding.edits.clear());
    // Files with comments in them are no JSON, and empty ones no Dockerfile: nobody asked.
    let quiet = source.path.ends_with(".json")
        || (matches!(error, Error::Dockerfile { .. }) && !source.text.contains("jupyterhub"));
    Reading { findings, error: (!quiet).then_some(error) }
}

fn parses(path: &str, text: &str) -> bool {
    match kind::of(path, text) {
        Some(Kind::Yaml) => yaml::parse(text).is_ok(),
        Some(Kind::Dockerfile) => {
            let body = text.strip_prefix('\u{feff}').unwrap_or(text);
            dockerfile::Dockerfile::parse(&dockerfile::masked(body)).is_ok()
        }
        _ => true,
    }
}

fn shift(findings: &mut [Finding], by: usize) {
    for finding in findings {
        finding.span = finding.span.start + by..finding.span.end + by;
        for edit in &mut finding.edits {
            edit.start += by;
            edit.end += by;
        }
    }
}
