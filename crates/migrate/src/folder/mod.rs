//! From a Dockerfile on a retired image to the image folder that replaces it.
//!
//! `steps` reads the instructions into what an image folder can say, `write` says it as files and as a section of
//! `perijove.toml`. What a folder cannot say is listed with its line and stays with the Dockerfile.

mod steps;
mod write;

use std::collections::BTreeMap;

use crate::dockerfile::{Base, Dockerfile, masked};
use crate::image::{self, Retired, Version};
use crate::{Error, Tree};

/// What `perijove.toml` says so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    /// Its text; none where there is no such file.
    pub text: Option<String>,
    /// For each image the marker line of its requirements.in, which says what Dockerfile it came from.
    pub images: BTreeMap<String, Option<String>>,
}

/// An image folder to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The image's name.
    pub name: String,
    /// The Dockerfile, below the repository's root.
    pub from: String,
    /// Whether it was written before.
    pub there: bool,
    /// The files below `images/NAME/`.
    pub files: BTreeMap<String, Content>,
    /// The whole new text of `perijove.toml`.
    pub toml: String,
    /// What is left to a person.
    pub left: Vec<Left>,
}

/// A file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// This text.
    Text(String),
    /// A copy of a file or folder beside the Dockerfile.
    Copy(String),
}

/// What a folder cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Line in the Dockerfile, from 1.
    pub line: usize,
    /// What stands there.
    pub source: String,
    /// Why it was left.
    pub why: String,
}

/// The folder that replaces the Dockerfile at `path`; none where its last stage stands on no retired image.
pub fn plan(
    path: &str,
    text: &str,
    tree: &dyn Tree,
    repository: &Repository,
    registry: Option<&str>,
) -> Result<Option<Folder>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let masked = masked(text);
    let Ok(file) = Dockerfile::parse(&masked) else { return Ok(None) };
    let Some(last) = file.stages.len().checked_sub(1) else { return Ok(None) };
    let Some(image) = file.retired(last) else { return Ok(None) };
    let version = version(&file, last);
    let marker = format!("# From {path}, by perijove migrate.");
    let (name, there) = name(path, image, repository, &marker);
    let steps = steps::read(path, &file, last, image, tree);
    let mut left = steps.left.clone();
    left.sort_by_key(|left| left.line);
    let order =
        write::Order { name: &name, image, version, marker: &marker, steps: &steps, repository, registry };
    let toml = if there { repository.text.clone().unwrap_or_default() } else { order.toml()? };
    let files = if there { BTreeMap::new() } else { order.files() };
    Ok(Some(Folder { name, from: path.to_owned(), there, files, toml, left }))
}

/// JupyterHub's version, where the FROM says it.
fn version(file: &Dockerfile<'_>, mut stage: usize) -> Option<String> {
    loop {
        match &file.stages[stage].base {
            Base::Stage(below) => stage = *below,
            Base::Image(value) => {
                let found = image::whole(&value.value)?;
                return match found.version(&value.value) {
                    Version::Exact(version) => Some(version),
                    _ => None,
                };
            }
        }
    }
}

/// The image's name: that of the Dockerfile's folder or of the Dockerfile, else what it is; and whether the image is
/// there already.
fn name(path: &str, image: Retired, repository: &Repository, marker: &str) -> (String, bool) {
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let file = parts.pop().unwrap_or("").to_ascii_lowercase();
    let stem = ["dockerfile.", "containerfile.", "dockerfile-", "dockerfile_"]
        .iter()
        .find_map(|start| file.strip_prefix(start));
    let stem =
        stem.or_else(|| file.strip_suffix(".dockerfile")).or_else(|| file.strip_suffix(".containerfile"));
    let general =
        ["docker", "dockerfiles", "build", "images", "image", "src", "app", "deploy", "container", ".."];
    let folder =
        parts.last().map(|part| part.to_ascii_lowercase()).filter(|part| !general.contains(&part.as_str()));
    let wanted =
        stem.map(str::to_owned).or(folder).map(|text| as_name(&text)).filter(|text| !text.is_empty());
    let wanted = wanted.unwrap_or_else(|| if image.is_hub() { "hub" } else { "lab" }.to_owned());
    let candidates = std::iter::once(wanted.clone())
        .chain(std::iter::once(format!("{wanted}-site")))
        .chain((2..).map(|number| format!("{wanted}-{number}")));
    for name in candidates {
        match repository.images.get(&name) {
            None => return (name, false),
            Some(Some(line)) if line == marker => return (name, true),
            Some(_) => {}
        }
    }
    (wanted, false)
}

/// A text as an image's name: lower-case letters and digits, single dashes between them.
fn as_name(text: &str) -> String {
    let dashed: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests;
