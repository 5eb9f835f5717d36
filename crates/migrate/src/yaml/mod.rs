//! Compose files, Kubernetes manifests, Helm values and GitHub workflows: all are YAML, and the keys around a text
//! say whether it is an image.

mod place;
mod split;
mod tree;

use std::collections::BTreeSet;

use crate::Error;
use crate::finding::Finding;
use crate::image::{self, Found};
use crate::lines::{self, Mode};
use crate::scene::{self, BUILT_ON, NEEDS_SHELL, Obstacle, Scene, Use, Write};
use place::Path;
pub use tree::parse;
use tree::{Node, Scalar};

/// Keys whose text is for people.
const PROSE: [&str; 9] =
    ["description", "summary", "title", "message", "comment", "notes", "help", "display_name", "displayName"];

/// The findings of a YAML file.
pub fn read(path: &str, text: &str, scene: &Scene) -> Result<Vec<Finding>, Error> {
    let documents = parse(text)?;
    let workflow = path.contains(".github/workflows/")
        || documents.iter().any(|document| document.get("jobs").is_some() && document.get("on").is_some());
    let mut reader = Reader { text, scene, workflow, images: BTreeSet::new(), found: Vec::new() };
    for document in &documents {
        reader.aliases(document, false);
    }
    for document in &documents {
        reader.node(document, &Path::root());
    }
    Ok(reader.found)
}

struct Reader<'a> {
    text: &'a str,
    scene: &'a Scene,
    workflow: bool,
    /// Anchors that are used as images.
    images: BTreeSet<usize>,
    found: Vec<Finding>,
}

impl Reader<'_> {
    /// Notes the anchors that stand behind a key that says image.
    fn aliases(&mut self, node: &Node, image: bool) {
        match node {
            Node::Alias(anchor) if image => {
                self.images.insert(*anchor);
            }
            Node::Map(entries) => {
                for (key, value) in entries {
                    self.aliases(value, key.text().is_some_and(place::says_image));
                }
            }
            Node::List(items) => items.iter().for_each(|item| self.aliases(item, image)),
            Node::Scalar(_) | Node::Alias(_) => {}
        }
    }

    fn node(&mut self, node: &Node, path: &Path<'_>) {
        match node {
            Node::Alias(_) => {}
            Node::Scalar(scalar) => self.scalar(scalar, path, None),
            Node::List(items) => items.iter().for_each(|item| self.node(item, &path.item(node))),
            Node::Map(entries) => {
                let taken = split::read(node, path, self.text);
                if let Some(used) = &taken {
                    self.push(used, path);
                }
                for (key, value) in entries {
                    let name = key.text().unwrap_or("");
                    let keys = ["registry", "repository", "name", "tag", "digest"];
                    if taken.is_some() && keys.contains(&name) {
                        continue;
                    }
                    let below = path.key(name, node);
                    match value {
                        Node::Scalar(scalar) => self.scalar(scalar, &below, Some(node)),
                        _ => self.node(value, &below),
                    }
                }
            }
        }
    }

    fn scalar(&mut self, scalar: &Scalar, path: &Path<'_>, around: Option<&Node>) {
        if PROSE.contains(&path.last()) || !scalar.value.contains("jupyterhub/") {
            return;
        }
        // A GitHub repository or an action, never an image.
        if self.workflow && (path.last() == "repository" || path.last() == "if") {
            return;
        }
        if scalar.value.trim().contains([' ', '\n']) && image::whole(&scalar.value).is_none() {
            // A step's or container's name is for people.
            if path.last() != "name" {
                self.prose(scalar);
            }
            return;
        }
        let (value, literal) = (&scalar.value, &scalar.literal);
        for found in image::find(value) {
            let key = value[..found.span.start].trim_end_matches(":-").trim_end_matches(":=");
            let assigned = key.strip_suffix('=').unwrap_or(key);
            let starts =
                key.is_empty() || key.ends_with('=') || key.starts_with("${") || key.ends_with("://");
            let ends = value[found.span.end..].trim_end_matches('}').is_empty();
            let image = place::says_image(assigned)
                || self.images.contains(&scalar.anchor)
                || path.is_image()
                || around.is_some_and(place::is_image_variable)
                || key.ends_with("docker://");
            if !starts || !ends || (found.is_ambiguous() && !image) {
                continue;
            }
            let span = literal
                .as_ref()
                .map_or(scalar.span.clone(), |at| at.start + found.span.start..at.start + found.span.end);
            let used = Use {
                image: found.image,
                shown: value[found.span.clone()].to_owned(),
                version: Some(lines::version_of(value, &found)),
                write: literal.is_some().then(|| Write::Whole(span.clone())),
                obstacle: self.obstacle(&found, path, around),
                span,
            };
            self.push(&used, path);
            if let (Some(around), true) = (around, path.last() == "image") {
                self.commands(around);
            }
        }
    }

    /// Commands and configuration in a block of text.
    fn prose(&mut self, scalar: &Scalar) {
        let Some(text) = self.text.get(scalar.span.clone()) else { return };
        let mut found = lines::read(text, scalar.span.start, Mode::Shell, self.scene);
        for literal in lines::read(text, scalar.span.start, Mode::Literals, self.scene) {
            if !found.iter().any(|other| other.span == literal.span && other.rule == literal.rule) {
                found.push(literal);
            }
        }
        self.found.extend(found);
    }

    fn push(&mut self, used: &Use, path: &Path<'_>) {
        let mut used = used.clone();
        if self.workflow && used.image.is_hub() && (path.has("container") || path.last() == "uses") {
            used.obstacle = Some("the job's steps run in it and need a shell, which the successor lacks");
        }
        self.found.extend(scene::findings(self.scene, &used));
        let runs = !self.workflow && (path.is_container() || path.last() == "image") && !path.has("args");
        if runs && used.image.is_hub() && !self.scene.proxy_apart {
            self.found.push(scene::proxy_in_hub(used.span.clone(), Some(used.shown.clone())));
        }
    }

    fn obstacle(&self, found: &Found, path: &Path<'_>, around: Option<&Node>) -> Option<Obstacle> {
        if !found.image.is_hub() {
            return None;
        }
        if path.has("build") || path.has("build-args") || path.has("buildArgs") {
            return Some(BUILT_ON);
        }
        let needs = |node: &Node| {
            place::texts(node).iter().any(|scalar| {
                scalar.value.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| {
                    matches!(word, "sh" | "bash" | "pip" | "pip3" | "apt-get" | "npm" | "conda" | "curl")
                })
            })
        };
        around
            .is_some_and(|node| COMMANDS.iter().any(|key| node.get(key).is_some_and(needs)))
            .then_some(NEEDS_SHELL)
    }

    /// What a container of a retired image is told to run.
    fn commands(&mut self, container: &Node) {
        for scalar in COMMANDS.iter().filter_map(|key| container.get(key)).flat_map(place::texts) {
            let Some(text) = self.text.get(scalar.span.clone()) else { continue };
            if let Some(pip) = lines::pip_install(text) {
                let start = scalar.span.start + pip.start;
                self.found.push(scene::unlocked(start..start + pip.len()));
            }
            if let Some(at) = text.find("configurable-http-proxy") {
                let start = scalar.span.start + at;
                self.found.push(scene::proxy_in_hub(start..start + "configurable-http-proxy".len(), None));
            }
        }
    }
}

/// Keys that say what a container runs.
const COMMANDS: [&str; 3] = ["command", "args", "entrypoint"];

#[cfg(test)]
mod tests;
