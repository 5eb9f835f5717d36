//! Which image references name a retired image, and where one stands in a text.
//!
//! The grammar is distribution-spec 1.1's ("Pulling manifests") with what files put in place of a tag: `${VERSION}`,
//! `{{ .Values.tag }}`, `%s`. Names that only begin or end alike (`jupyterhub/jupyterhub-demo`,
//! `github.com/jupyterhub/jupyterhub`, `jupyterhub/k8s-hub`) are other things.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// The images that are retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Retired {
    /// `jupyterhub/jupyterhub`: hub and proxy, no spawner.
    Hub,
    /// `jupyterhub/jupyterhub-onbuild`: the hub with an `ONBUILD COPY jupyterhub_config.py`.
    Onbuild,
    /// `jupyterhub/singleuser`: docker-stacks' base-notebook with JupyterHub.
    Singleuser,
}

/// Name and what it is; the longest name first, for names that begin alike.
const NAMES: [(&str, Retired); 3] = [
    ("jupyterhub/jupyterhub-onbuild", Retired::Onbuild),
    ("jupyterhub/jupyterhub", Retired::Hub),
    ("jupyterhub/singleuser", Retired::Singleuser),
];

impl Retired {
    /// Its name without a registry.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, image)| *image == self).map_or("", |(name, _)| name)
    }

    /// Whether a hub runs in it.
    pub fn is_hub(self) -> bool {
        self != Retired::Singleuser
    }
}

/// The registries that publish or published them, and other names of Docker Hub.
const HOSTS: &str = "docker.io|index.docker.io|registry-1.docker.io|registry.hub.docker.com|quay.io|ghcr.io";

/// A reference to a retired image in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub image: Retired,
    /// All of it.
    pub span: Range<usize>,
    /// Registry and name, without tag and digest.
    pub name: Range<usize>,
    /// The tag, without its colon.
    pub tag: Option<Range<usize>>,
    /// Whether a digest follows.
    pub digest: bool,
    /// Whether a registry stands before the name.
    pub host: bool,
    /// Whether it goes on in another piece: `${HUB:-jupyterhub/jupyterhub}:${TAG}`, `"jupyterhub/singleuser:" + tag`, or
    /// has a variable for its registry.
    pub parted: bool,
}

impl Found {
    /// Whether the text could be the name of a repository on GitHub or of a Helm chart as well.
    pub fn is_ambiguous(&self) -> bool {
        self.image == Retired::Hub && self.tag.is_none() && !self.digest && !self.host && !self.parted
    }

    /// What its tag says; `text` is the one that it was found in.
    pub fn version(&self, text: &str) -> Version {
        if self.parted && self.tag.is_none() {
            return Version::Variable;
        }
        version(self.tag.clone().map(|tag| &text[tag]), self.digest)
    }
}

/// What a tag says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// MAJOR.MINOR.PATCH, whatever build number followed it.
    Exact(String),
    /// Nothing, a word, or a version that is not whole.
    Moving,
    /// A digest: what it holds is not to be seen from here.
    Digest,
    /// A variable.
    Variable,
}

/// What the tag of a reference says.
pub fn version(tag: Option<&str>, digest: bool) -> Version {
    static EXACT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^([0-9]+\.[0-9]+\.[0-9]+(?:(?:a|b|rc|\.dev|\.post)[0-9]+)*)(?:-[0-9]+)?$").ok()
    });
    match tag {
        _ if digest => Version::Digest,
        None | Some("") => Version::Moving,
        Some(tag) if tag.contains(['$', '{', '%', '<']) => Version::Variable,
        Some(tag) => match EXACT.as_ref().and_then(|exact| exact.captures(tag)) {
            Some(found) => Version::Exact(found[1].to_owned()),
            None => Version::Moving,
        },
    }
}

/// Every reference in `text`, in order.
pub fn find(text: &str) -> Vec<Found> {
    static REFERENCE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let variable = r"\$\{\{[^}\n]*\}\}|\$\{[^}\s]*\}|\$\w+|\{\{[^}\n]*\}\}|\{[^}\s]*\}|<[^>\s]*>|%\w";
        let hosts = HOSTS.replace('.', r"\.");
        Regex::new(&format!(
            r"(?P<name>(?:(?P<host>{hosts})/)?(?:library/)?(?P<path>jupyterhub/(?:jupyterhub-onbuild|jupyterhub|singleuser)))(?::(?P<tag>(?:{variable}|[\w.\-])+))?(?P<digest>@(?:sha(?:256|512):[0-9a-f]+|{variable}))?"
        ))
        .ok()
    });
    let Some(reference) = REFERENCE.as_ref() else { return Vec::new() };
    let mut all = Vec::new();
    for found in reference.captures_iter(text) {
        let (Some(whole), Some(name), Some(path)) = (found.get(0), found.name("name"), found.name("path"))
        else {
            continue;
        };
        let (before, after) = (&text[..whole.start()], &text[whole.end()..]);
        let goes_on = found.name("tag").is_none() && goes_on(after);
        let registry = found.name("host").is_none() && has_a_registry(before);
        if !(starts_a_word(before) || registry) || !(ends_a_word(after) || goes_on) {
            continue;
        }
        let Some((_, image)) = NAMES.iter().find(|(name, _)| *name == path.as_str()) else { continue };
        all.push(Found {
            image: *image,
            span: whole.range(),
            name: name.range(),
            tag: found.name("tag").map(|tag| tag.range()),
            digest: found.name("digest").is_some(),
            host: found.name("host").is_some() || registry,
            parted: goes_on || registry,
        });
    }
    all
}

/// The reference that `text` is, all of it.
pub fn whole(text: &str) -> Option<Found> {
    let inner = text.strip_prefix("docker://").unwrap_or(text);
    find(text).into_iter().find(|found| found.span.len() == inner.len() && found.span.end == text.len())
}

/// Whether a tag follows in another piece.
fn goes_on(after: &str) -> bool {
    let pieces = [":\"", ":'", "}:", "}@", "\":", "':", "\"@", "'@"];
    // `{"jupyterhub/singleuser": "a name"}` is a key, and `:` at the end of a line too.
    pieces
        .iter()
        .any(|piece| after.strip_prefix(piece).is_some_and(|rest| !rest.starts_with([' ', '\n', '\r'])))
        || [":\" +", ":' +", ":\" %", ":' %"].iter().any(|piece| after.starts_with(piece))
}

/// Whether a variable stands before the name that is one of the registries unless it is set.
fn has_a_registry(before: &str) -> bool {
    static REGISTRY: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(&format!(r"\$\{{\w+:?-(?:{})/?\}}/?$", HOSTS.replace('.', r"\."))).ok());
    before.ends_with(['/', '}']) && REGISTRY.as_ref().is_some_and(|registry| registry.is_match(before))
}

fn starts_a_word(before: &str) -> bool {
    let schemes = ["docker://", "docker-image://", ":-", ":="];
    if schemes.iter().any(|scheme| before.ends_with(scheme)) {
        return true;
    }
    // `${NAME-word}`
    if let Some(name) = before.strip_suffix('-') {
        let name = name.rsplit_once("${").map_or("", |(_, name)| name);
        return !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    }
    !before.ends_with(|c: char| c.is_alphanumeric() || "_./@$}".contains(c))
}

fn ends_a_word(after: &str) -> bool {
    // A dot at the end of a sentence ends the name, one in `jupyterhub.git` does not.
    let next = after.strip_prefix('.').unwrap_or(after);
    !next.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && !after.starts_with(['/', '-', '$', '{', ':', '@'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_where_they_are_one() {
        let digest = format!("@sha256:{}", "a".repeat(64));
        for (text, found) in [
            ("jupyterhub/jupyterhub", Some((Retired::Hub, None))),
            ("jupyterhub/jupyterhub:5.2.1", Some((Retired::Hub, Some("5.2.1")))),
            ("docker.io/jupyterhub/jupyterhub:5", Some((Retired::Hub, Some("5")))),
            ("docker.io/library/jupyterhub/jupyterhub", Some((Retired::Hub, None))),
            ("index.docker.io/jupyterhub/jupyterhub-onbuild:0.8.1", Some((Retired::Onbuild, Some("0.8.1")))),
            ("quay.io/jupyterhub/singleuser:5.3.0-1", Some((Retired::Singleuser, Some("5.3.0-1")))),
            ("ghcr.io/jupyterhub/singleuser", Some((Retired::Singleuser, None))),
            ("docker://jupyterhub/singleuser:1.2", Some((Retired::Singleuser, Some("1.2")))),
            ("jupyterhub/jupyterhub:${VERSION:-5.2.1}", Some((Retired::Hub, Some("${VERSION:-5.2.1}")))),
            ("jupyterhub/jupyterhub:$VERSION", Some((Retired::Hub, Some("$VERSION")))),
            ("jupyterhub/jupyterhub:{{ .Values.tag }}", Some((Retired::Hub, Some("{{ .Values.tag }}")))),
            ("jupyterhub/singleuser:{version}", Some((Retired::Singleuser, Some("{version}")))),
            ("${HUB_IMAGE:-jupyterhub/jupyterhub:5}", Some((Retired::Hub, Some("5")))),
            ("${HUB_IMAGE-jupyterhub/jupyterhub:5}", Some((Retired::Hub, Some("5")))),
            ("x-jupyterhub/jupyterhub:5", None),
            ("${HUB:-jupyterhub/jupyterhub}:${TAG:-5}", Some((Retired::Hub, None))),
            ("\"jupyterhub/singleuser:\" + tag", Some((Retired::Singleuser, None))),
            ("${REGISTRY:-docker.io}/jupyterhub/jupyterhub:5", Some((Retired::Hub, Some("5")))),
            ("${REGISTRY:-quay.io/}jupyterhub/jupyterhub:5", Some((Retired::Hub, Some("5")))),
            ("${REGISTRY:-registry.example}/jupyterhub/jupyterhub:5", None),
            (&format!("jupyterhub/jupyterhub:5{digest}"), Some((Retired::Hub, Some("5")))),
            (&format!("jupyterhub/singleuser{digest}"), Some((Retired::Singleuser, None))),
            // Other things
            ("jupyterhub/jupyterhub-demo:5", None),
            ("jupyterhub/demo", None),
            ("jupyterhub/k8s-hub:3.3.7", None),
            ("jupyterhub/k8s-singleuser-sample", None),
            ("quay.io/jupyterhub/configurable-http-proxy:4", None),
            ("jupyterhub/jupyterhub-onbuildx", None),
            ("jupyterhub/singleuser-builder-venv-3.5", None),
            ("materialsproject/jupyterhub-singleuser", None),
            ("registry.example/jupyterhub/jupyterhub:5", None),
            ("${REGISTRY}/jupyterhub/jupyterhub:5", None),
            ("myjupyterhub/jupyterhub", None),
            ("https://github.com/jupyterhub/jupyterhub", None),
            ("git@github.com:jupyterhub/jupyterhub.git", None),
            ("https://hub.docker.com/r/jupyterhub/jupyterhub/", None),
            ("https://quay.io/repository/jupyterhub/jupyterhub", None),
            ("https://quay.io/jupyterhub/jupyterhub", None),
            ("jupyterhub/jupyterhub/blob/main/x", None),
        ] {
            let got = find(text);
            let got = got.first().map(|f| (f.image, f.tag.clone().map(|tag| &text[tag])));
            assert_eq!(got, found, "{text}");
        }
    }

    #[test]
    fn tags_say_what_they_say() {
        for (tag, digest, says) in [
            (Some("5.2.1"), false, Version::Exact("5.2.1".into())),
            (Some("5.3.0-12"), false, Version::Exact("5.3.0".into())),
            (Some("6.0.0rc1"), false, Version::Exact("6.0.0rc1".into())),
            (Some("5.2"), false, Version::Moving),
            (Some("5"), false, Version::Moving),
            (Some("latest"), false, Version::Moving),
            (None, false, Version::Moving),
            (Some("${V}"), false, Version::Variable),
            (Some("5.2.1"), true, Version::Digest),
        ] {
            assert_eq!(version(tag, digest), says, "{tag:?}");
        }
    }
}
