//! Compose files, Kubernetes manifests, Helm values and workflows: all are YAML, and the keys around a text say whether
//! it is an image.
//!
//! `place` knows the keys, `split` images in pieces, `anchors` where else a text counts, `container` what a container
//! runs.

mod anchors;
mod container;
mod place;
mod split;
mod tree;

use crate::Error;
use crate::dockerfile::pip;
use crate::finding::Finding;
use crate::image::{self, Retired};
use crate::lines::{self, Mode};
use crate::scene::{self, BUILT_ON, Obstacle, STEPS, Scene, Use, Write};
use crate::shell;
use anchors::{Anchors, Site};
use place::Path;
pub use tree::parse;
use tree::{Node, Scalar};

/// Keys whose text is for people.
const PROSE: [&str; 9] =
    ["description", "summary", "title", "message", "comment", "notes", "help", "display_name", "displayName"];

/// Files of services whose jobs run in the images they name, besides GitHub's workflows.
const JOBS: [&str; 9] = [
    "gitlab-ci.yml",
    ".circleci/",
    "azure-pipelines",
    ".drone.yml",
    ".woodpecker",
    "bitbucket-pipelines",
    "devcontainer.json",
    "cloudbuild.y",
    ".tekton/",
];

/// The obstacle of an anchor that is also what a build is called.
const BUILT_NAME: Obstacle = "another place uses it as the name of what is built";
/// The obstacle of an image whose pieces stand for others as well.
const PIECES: Obstacle = "its tag, digest or registry stands apart, or is used for others too";

/// The findings of a YAML file.
pub fn read(path: &str, text: &str, scene: &Scene) -> Result<Vec<Finding>, Error> {
    let documents = parse(text)?;
    let workflow = path.contains(".github/workflows/")
        || documents.iter().any(|document| document.get("jobs").is_some() && document.get("on").is_some());
    let lower = path.to_ascii_lowercase();
    let mut reader = Reader {
        text,
        scene,
        workflow,
        jobs: workflow || JOBS.iter().any(|name| lower.contains(name)),
        anchors: Anchors::of(&documents),
        sites: Vec::new(),
        found: Vec::new(),
    };
    for document in &documents {
        reader.node(document, &Path::root());
    }
    Ok(reader.found)
}

struct Reader<'a> {
    text: &'a str,
    scene: &'a Scene,
    /// GitHub's.
    workflow: bool,
    /// Jobs run in the images that are named.
    jobs: bool,
    anchors: Anchors<'a>,
    /// The other places of what is being read.
    sites: Vec<Site<'a>>,
    found: Vec<Finding>,
}

impl<'a> Reader<'a> {
    fn node(&mut self, node: &'a Node, path: &Path<'a>) {
        let known = self.sites.len();
        self.sites.extend_from_slice(self.anchors.sites(node.anchor()));
        match node {
            Node::Alias(_) => self.alias(node, path),
            Node::Scalar(scalar) => self.scalar(scalar, path),
            Node::List(items, _) => items.iter().for_each(|item| self.node(item, path)),
            Node::Map(entries, _) => {
                if self.workflow && path.depth() == 2 && path.at(0) == "jobs" {
                    self.job(node);
                }
                let taken = split::read(node, path, &self.anchors).filter(|_| !path.names_what_is_built());
                if let Some(used) = &taken {
                    self.push(used, &path.key("repository", node));
                }
                for (key, value) in entries {
                    let name = key.text().unwrap_or("");
                    let keys = ["registry", "repository", "name", "tag", "digest"];
                    if !(taken.is_some() && keys.contains(&name)) {
                        self.node(value, &path.key(name, node));
                    }
                }
            }
        }
        self.sites.truncate(known);
    }

    /// An image that stands elsewhere: what it is told to run stands here.
    fn alias(&mut self, node: &'a Node, path: &Path<'a>) {
        let retired = self.anchors.resolve(node).text().and_then(image::whole);
        if let (Some(found), true) = (retired, place::says_image(path.last())) {
            self.commands(found.image, &container::around(path));
        }
    }

    fn scalar(&mut self, scalar: &'a Scalar, path: &Path<'a>) {
        if path.has("labels")
            || PROSE.contains(&path.last())
            || !scalar.value.contains("jupyterhub/")
            || path.names_what_is_built()
        {
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
        let (value, literal, around) = (&scalar.value, &scalar.literal, path.map());
        for found in image::find(value) {
            let key = value[..found.span.start].trim_end_matches([':', '-', '=', '?']);
            let assigned = &value[..found.span.start];
            let starts = assigned.is_empty()
                || found.parted
                || assigned.ends_with('=')
                || key.starts_with("${")
                || assigned.ends_with("://");
            let ends = found.parted || value[found.span.end..].trim().trim_end_matches('}').is_empty();
            let image = place::says_image(key)
                || self.anchors.is_image(scalar.anchor)
                || path.is_image()
                || around.is_some_and(place::is_image_variable)
                || assigned.ends_with("docker://");
            if !starts || !ends || (found.is_ambiguous() && !image) {
                continue;
            }
            let span = literal
                .as_ref()
                .map_or(scalar.span.clone(), |at| at.start + found.span.start..at.start + found.span.end);
            let tag_apart = found.tag.is_none()
                && !found.digest
                && around.is_some_and(|map| {
                    place::has_pieces_beside(path.last(), map, &["tag", "digest", "version"])
                        || place::is_name_variable(map)
                });
            let pieces = ["tag", "digest", "registry", "version"];
            let pieces = if tag_apart { &pieces[..] } else { &pieces[..3] };
            let parted =
                tag_apart || around.is_some_and(|map| place::has_pieces_beside(path.last(), map, pieces));
            let used = Use {
                image: found.image,
                shown: value[found.span.clone()].to_owned(),
                version: (!tag_apart).then(|| found.version(value)),
                write: literal.is_some().then(|| Write::Whole(span.clone())),
                obstacle: (parted || found.parted).then_some(PIECES),
                span,
            };
            self.push(&used, path);
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

    fn push(&mut self, used: &Use, path: &Path<'a>) {
        let mut used = used.clone();
        used.obstacle = used.obstacle.or_else(|| self.obstacle(used.image, path));
        self.found.extend(scene::findings(self.scene, &used));
        let contained = |path: &Path<'_>| path.is_container() || path.last() == "image";
        let up = path.up();
        let place = if contained(path) { path } else { &up };
        let runs = !self.workflow
            && !path.has("args")
            && (contained(place) || self.sites.iter().any(|site| contained(&site.path)));
        if runs && used.image.is_hub() && !self.scene.proxy_apart {
            self.found.push(scene::proxy_in_hub(used.span.clone(), Some(used.shown.clone())));
        }
        if contained(place) {
            self.commands(used.image, &container::around(path));
        }
    }

    /// Why a person has to look at an image at `path`, and at the other places that take it from there.
    fn obstacle(&self, image: Retired, path: &Path<'a>) -> Option<Obstacle> {
        self.here(image, path).or_else(|| self.sites.iter().find_map(|site| self.there(image, site)))
    }

    fn here(&self, image: Retired, path: &Path<'a>) -> Option<Obstacle> {
        let hub = image.is_hub();
        let built = ["build", "build-args", "buildArgs", "dockerStrategy", "sourceStrategy"];
        let base = path.last().to_ascii_lowercase().contains("base");
        let built = built.iter().any(|key| path.has(key));
        if (base && hub) || (built && (hub || !self.scene.successors.is_stacks())) {
            return Some(BUILT_ON);
        }
        let service = self.workflow && path.at(0) == "jobs" && path.at(2) == "services";
        if !hub {
            return None;
        }
        if (self.jobs && !service) || path.has("matrix") {
            return Some(STEPS);
        }
        container::around(path).into_iter().find_map(container::obstacle)
    }

    fn there(&self, image: Retired, site: &Site<'a>) -> Option<Obstacle> {
        let pieces = ["tag", "digest", "registry"];
        let Some(map) = site.merged else {
            let beside = |map| place::has_pieces_beside(site.path.last(), map, &pieces);
            return if site.path.names_what_is_built() {
                Some(BUILT_NAME)
            } else if site.path.map().is_some_and(beside) {
                Some(PIECES)
            } else {
                self.here(image, &site.path)
            };
        };
        // Merged into a mapping that says more.
        if map.get("image").is_some() {
            None
        } else if map.get("build").is_some() {
            Some(BUILT_NAME)
        } else if pieces.iter().chain(&["name", "repository", "newTag"]).any(|key| map.get(key).is_some()) {
            Some(PIECES)
        } else {
            self.here(image, &site.path.key("image", map))
        }
    }

    /// What a container of a retired image is told to run.
    fn commands(&mut self, image: Retired, containers: &[&'a Node]) {
        let said = containers.iter().flat_map(|map| container::COMMANDS.iter().map(|key| map.get(key)));
        for node in said.flatten() {
            let texts = place::texts(node);
            let before = self.found.len();
            for scalar in &texts {
                let Some(text) = self.text.get(scalar.span.clone()) else { continue };
                if let Some(pip) = lines::pip_install(text) {
                    let start = scalar.span.start + pip.start;
                    self.found.push(scene::unlocked(start..start + pip.len()));
                }
            }
            // [pip, install, x]
            let words: Vec<String> = texts.iter().map(|scalar| scalar.value.clone()).collect();
            let open = |words: &Vec<String>| pip::read(words).is_some_and(|pip| !pip.is_locked(|_| false));
            if let (true, [first, .., last]) = (self.found.len() == before, texts.as_slice())
                && shell::inner(shell::itself(&words), 0).iter().any(open)
            {
                self.found.push(scene::unlocked(first.span.start..last.span.end));
            }
            if image.is_hub() {
                texts.iter().for_each(|scalar| self.proxy(scalar));
            }
        }
    }

    fn proxy(&mut self, scalar: &Scalar) {
        let word = "configurable-http-proxy";
        if let Some(at) = self.text.get(scalar.span.clone()).and_then(|text| text.find(word)) {
            let start = scalar.span.start + at;
            self.found.push(scene::proxy_in_hub(start..start + word.len(), None));
        }
    }

    /// The steps of a job that runs in a retired image.
    fn job(&mut self, job: &'a Node) {
        let container = job.get("container").map(|node| self.anchors.resolve(node));
        let image = container.and_then(|node| node.get("image").or(Some(node)));
        let Some(found) = image.and_then(|node| self.anchors.resolve(node).text()).and_then(image::whole)
        else {
            return;
        };
        let Some(Node::List(steps, _)) = job.get("steps") else { return };
        for run in steps.iter().filter_map(|step| step.get("run")) {
            let Node::Scalar(scalar) = run else { continue };
            let Some(text) = self.text.get(scalar.span.clone()) else { continue };
            for (words, at) in shell::programs(text, '\\') {
                if pip::read(&words).is_some_and(|pip| !pip.is_locked(|_| false)) {
                    self.found
                        .push(scene::unlocked(at.start + scalar.span.start..at.end + scalar.span.start));
                }
            }
            if found.image.is_hub() && !self.scene.proxy_apart {
                self.proxy(scalar);
            }
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod unsure;
