//! `perijove.toml`: what the image repository says of its images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use perijove_oci::Platform;
use serde::Deserialize;

use crate::dockerfile::{self, Tool};
use crate::layer::Compression;
use crate::{Error, Result};

/// The file's name, looked for in the working folder and every folder above.
pub const FILE: &str = "perijove.toml";

/// A read `perijove.toml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that holds the file.
    pub root: PathBuf,
    /// `[repository]`.
    pub repository: Repository,
    /// `[image.NAME]`, by name.
    pub images: BTreeMap<String, Image>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    repository: Repository,
    #[serde(default)]
    image: BTreeMap<String, Image>,
}

/// `[repository]`: what holds for every image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Repository {
    /// Every image goes to each, as `<registry>/<image name>`.
    pub registries: Vec<String>,
    /// `linux/amd64`, `linux/arm64`; the platforms of every image.
    #[serde(deserialize_with = "platforms")]
    pub platforms: Vec<Platform>,
    /// Alone may move `latest` by default.
    pub default_branch: Option<String>,
    /// Where images of pull requests go, as `<staging>/<image name>`.
    pub staging: Option<String>,
    /// Glob patterns of further branches that release, besides the default and the version branches.
    pub release_branches: Vec<String>,
    /// The image whose version a version branch (`5.x`) names; any of them where none is said.
    pub branch_image: Option<String>,
    /// Address of the repository's source, for the images' annotations.
    pub source: Option<String>,
    /// How layers are compressed.
    pub compression: Compression,
    /// What builds images from a Dockerfile; the first that answers unless told.
    pub builder: Option<Tool>,
    /// Locked Python packages that the images do without.
    pub python_exclude: Vec<String>,
    /// Files that the images do without: package name → glob patterns of paths in the image. For all images
    /// alike, so that a package is the same part in each.
    pub leave_out: BTreeMap<String, Vec<String>>,
    /// Where packages come from, when not from where uv, npm and apt say.
    pub mirrors: Mirrors,
}

/// `[repository.mirrors]`: overrides of what uv, npm and apt say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Mirrors {
    /// Address of the Debian archive.
    pub debian: Option<String>,
    /// Address of the Debian security archive.
    pub debian_security: Option<String>,
    /// File with the archive's public keys.
    pub debian_keyring: Option<PathBuf>,
    /// Address of the Python index.
    pub python: Option<String>,
    /// Address of the npm registry.
    pub npm: Option<String>,
}

/// `[image.NAME]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Image {
    /// One line for people and for the image's annotations.
    pub description: Option<String>,
    /// The locked package whose version is the image's.
    pub version_from: Option<String>,
    /// The version, where no package gives it.
    pub version: Option<String>,
    /// What the image stands on.
    pub base: Option<Base>,
    /// The Python lock, `requirements.txt`; its input is the same name with `.in`.
    pub python: Option<String>,
    /// Version of the base's Python, as `3.13`, where no `debs.lock` tells.
    pub python_version: Option<String>,
    /// Version of the base's C library, as `2.36`, where no `debs.lock` tells.
    pub glibc: Option<String>,
    /// The npm lock, `package-lock.json`; its input is `package.json`.
    pub npm: Option<String>,
    /// A folder that is copied to `/`; `{arch}` in its name is the platform's architecture.
    pub files: Option<String>,
    /// `uid:gid`, numbers.
    pub user: Option<String>,
    /// The user's name in `/etc/passwd`; `jovyan` unless told otherwise.
    pub user_name: Option<String>,
    /// The user's home; `/home/<user-name>` unless told otherwise.
    pub home: Option<String>,
    /// Folders with an owner of their own, besides the user's home and the workdir.
    pub directories: Vec<Directory>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Working folder; belongs to the user.
    pub workdir: Option<String>,
    /// The command's fixed part.
    pub entrypoint: Option<Vec<String>>,
    /// The command, or its default arguments where there is an entrypoint.
    pub command: Option<Vec<String>>,
    /// Ports, as 8000 or "8000/udp".
    #[serde(deserialize_with = "ports")]
    pub ports: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The image is made from this Dockerfile, a path in its folder, by buildah or docker buildx instead.
    pub dockerfile: Option<String>,
    /// Checks that must pass before anything is public.
    pub test: Vec<Check>,
}

/// A folder that is made, with owner and mode.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// `uid:gid`; the image's user unless told otherwise.
    pub owner: Option<String>,
    /// Octal permission bits, `0755` unless told otherwise.
    pub mode: Option<String>,
}

/// What an image stands on.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Base {
    /// Debian packages of this release: `debs.in`, `debs.lock`.
    Debian(String),
    /// A registry's image, by digest.
    Image(String),
    /// Another image of this repository.
    Parent(String),
    /// Nothing: `files` are all there is.
    Scratch,
}

/// `[[image.NAME.test]]`: one check.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct Check {
    /// A command that must end with exit code 0.
    pub run: Vec<String>,
    /// What its output must contain; `{version}` is the image's version.
    pub expect: Option<String>,
    /// A command that goes on running.
    pub serve: Vec<String>,
    /// What then must answer 200.
    pub get: Option<String>,
    /// In so many seconds.
    pub within_seconds: Option<u64>,
}

fn platforms<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Platform>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .collect()
}

fn ports<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Port {
        Number(u16),
        Text(String),
    }
    let text = |port| match port {
        Port::Number(number) => number.to_string(),
        Port::Text(text) => text,
    };
    Ok(Vec::<Port>::deserialize(deserializer)?.into_iter().map(text).collect())
}

impl Config {
    /// Reads the file in `folder` or the nearest folder above it.
    pub fn find(folder: &Path) -> Result<Self> {
        let folder = std::path::absolute(folder).map_err(Error::io(folder))?;
        let root = Self::root(&folder)?.ok_or_else(|| Error::Input {
            place: folder.display().to_string(),
            reason: format!("no {FILE} here or in any folder above"),
            hint: "go to an image repository (or give its folder by -C), or make one: perijove init"
                .to_owned(),
        })?;
        let path = root.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        Self::parse(&root, &text)
    }

    /// The image repository that `folder` lies in: the nearest folder with a `perijove.toml`.
    pub fn root(folder: &Path) -> Result<Option<PathBuf>> {
        let folder = std::path::absolute(folder).map_err(Error::io(folder))?;
        Ok(folder.ancestors().find(|f| f.join(FILE).is_file()).map(Path::to_owned))
    }

    /// Reads the text of a `perijove.toml` that lies in `root`.
    pub fn parse(root: &Path, text: &str) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(before).filter(|b| *b == b'\n').count();
            Error::Input {
                place: format!("{FILE}:{line}"),
                reason: error.message().to_owned(),
                hint: match nearest(error.message()) {
                    Some(key) => format!("did you mean `{key}`? docs/configuration.md lists every key"),
                    None => "docs/configuration.md lists every key".to_owned(),
                },
            }
        })?;
        let mut repository = file.repository;
        if repository.platforms.is_empty() {
            repository.platforms = vec![Platform::host()];
        }
        let config = Config { root: root.to_owned(), repository, images: file.image };
        for name in config.images.keys() {
            config.check(name)?;
        }
        config.check_repository()?;
        Ok(config)
    }

    /// What `[repository]` says of the whole: an image must have one repository in each registry, and branches
    /// and names must mean something.
    fn check_repository(&self) -> Result<()> {
        let wrong = |key: &str, reason: String, hint: &str| Error::Input {
            place: format!("{FILE}: repository.{key}"),
            reason,
            hint: hint.to_owned(),
        };
        let mut seen: Vec<String> = Vec::new();
        for registry in &self.repository.registries {
            // As images are named: `docker.io/team` and `team` are one place.
            let place =
                format!("{}/image", registry.trim_end_matches('/')).parse::<perijove_oci::Reference>();
            let place = place.map_or_else(|_| registry.clone(), |parsed| parsed.name());
            if seen.contains(&place) {
                return Err(wrong(
                    "registries",
                    format!("`{registry}` is named twice, so each image would go to one repository twice"),
                    "name each registry once",
                ));
            }
            seen.push(place);
        }
        for pattern in &self.repository.release_branches {
            globset::Glob::new(pattern)
                .map_err(|e| wrong("release-branches", e.to_string(), "say patterns as \"release/*\""))?;
        }
        if let Some(name) = self.repository.branch_image.as_ref().filter(|n| !self.images.contains_key(*n)) {
            return Err(wrong(
                "branch-image",
                format!("there is no image `{name}`"),
                "name an image of this file",
            ));
        }
        Ok(())
    }

    fn check(&self, name: &str) -> Result<()> {
        let wrong = |reason: String, hint: &str| Error::Input {
            place: format!("{FILE}: image.{name}"),
            reason,
            hint: hint.to_owned(),
        };
        if !perijove_oci::reference::is_repository(name) || name.contains('/') {
            return Err(wrong(
                format!("`{name}` cannot be an image name"),
                "use lower-case letters, digits and single - _ .",
            ));
        }
        let image = &self.images[name];
        if image.base.is_none() && image.dockerfile.is_none() {
            return Err(wrong(
                "neither `base` nor `dockerfile` is given".to_owned(),
                "say base = { debian = \"trixie\" }, { image = \"name@sha256:…\" }, { parent = \"image\" } or \"scratch\"",
            ));
        }
        if let Some((reason, hint)) = dockerfile::conflict(image) {
            return Err(wrong(reason, hint));
        }
        if let Some(Base::Image(reference)) = &image.base {
            let parsed: perijove_oci::Reference =
                reference.parse().map_err(|e: perijove_oci::reference::ReferenceError| {
                    wrong(e.to_string(), "say registry/name@sha256:…")
                })?;
            if parsed.digest.is_none() {
                return Err(wrong(
                    format!("the base `{reference}` has no digest, so it may change under you"),
                    "say registry/name@sha256:…",
                ));
            }
        }
        if let Some(user) = &image.user
            && parse_user(user).is_none()
        {
            return Err(wrong(
                format!("user `{user}` is not uid:gid in numbers"),
                "say user = \"1000:1000\"",
            ));
        }
        let mut seen = vec![name];
        let mut at = image;
        while let Some(Base::Parent(parent)) = &at.base {
            if seen.contains(&parent.as_str()) {
                return Err(wrong(
                    format!("its parents go round in a circle: {}", seen.join(" → ")),
                    "break it",
                ));
            }
            seen.push(parent);
            at = self.images.get(parent).ok_or_else(|| {
                wrong(
                    format!("its parent `{parent}` is not in this file"),
                    "name an image of this repository",
                )
            })?;
        }
        Ok(())
    }

    /// An image by name, or an error that lists the names there are.
    pub fn image(&self, name: &str) -> Result<&Image> {
        self.images.get(name).ok_or_else(|| Error::Input {
            place: self.root.join(FILE).display().to_string(),
            reason: format!("there is no image `{name}`"),
            hint: format!("the images are: {}", self.images.keys().cloned().collect::<Vec<_>>().join(", ")),
        })
    }

    /// The folder of an image's files.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join("images").join(name)
    }

    /// The images named, or all, each after its parent.
    pub fn select(&self, names: &[String]) -> Result<Vec<String>> {
        let mut order: Vec<String> = Vec::new();
        let all: Vec<String> =
            if names.is_empty() { self.images.keys().cloned().collect() } else { names.to_vec() };
        for name in all {
            let mut chain = vec![name.clone()];
            while let Some(Base::Parent(parent)) = &self.image(&chain[chain.len() - 1])?.base {
                chain.push(parent.clone());
            }
            for name in chain.into_iter().rev() {
                let wanted = names.is_empty() || names.contains(&name);
                if wanted && !order.contains(&name) {
                    order.push(name);
                }
            }
        }
        Ok(order)
    }

    /// Whether another image stands on this one.
    pub fn is_parent(&self, name: &str) -> bool {
        self.images.values().any(|image| image.base == Some(Base::Parent(name.to_owned())))
    }
}

/// The known key that is most like the unknown one in serde's words, if one is like it at all.
fn nearest(message: &str) -> Option<String> {
    let (unknown, expected) = message.strip_prefix("unknown ")?.split_once("expected")?;
    let unknown = unknown.split('`').nth(1)?;
    let known = expected.split('`').skip(1).step_by(2);
    let likeness = |key: &str| strsim::jaro_winkler(&unknown.to_lowercase().replace('_', "-"), key);
    let best = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > 0.8).then(|| best.to_owned())
}

/// `uid:gid` as numbers; the group is the user's number where it is not given.
pub fn parse_user(text: &str) -> Option<(u32, u32)> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let error = Config::parse(Path::new("/r"), text).unwrap_err();
        format!("{error}\nhint: {}", error.hint().unwrap_or_default())
    }

    #[test]
    fn reads_the_interface() {
        let config = Config::parse(
            Path::new("/r"),
            r#"
            [repository]
            registries = ["registry.example/team"]
            platforms = ["linux/amd64", "linux/arm64"]
            default-branch = "main"
            [image.hub]
            version-from = "jupyterhub"
            base = { debian = "bookworm" }
            python = "requirements.txt"
            user = "1000:1000"
            env = { PATH = "/usr/local/bin" }
            [[image.hub.test]]
            serve = ["jupyterhub"]
            get = "http://127.0.0.1:8000/hub/api"
            within_seconds = 60
            [image.demo]
            base = { parent = "hub" }
            "#,
        )
        .unwrap();
        assert_eq!(config.repository.platforms.len(), 2);
        assert_eq!(config.images["hub"].base, Some(Base::Debian("bookworm".into())));
        assert_eq!(config.images["hub"].test[0].within_seconds, Some(60));
        assert_eq!(config.select(&[]).unwrap(), ["hub", "demo"]);
        assert_eq!(config.select(&["demo".into()]).unwrap(), ["demo"]);
        assert!(config.is_parent("hub") && !config.is_parent("demo"));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        insta::assert_snapshot!(
            [
                error("[image.hub]\nbase = { debian = \"trixie\" }\npyton = \"x\"\n"),
                error("[image.hub]\n"),
                error("[image.hub]\nbase = { image = \"python:3.13\" }\n"),
                error("[image.hub]\nbase = { parent = \"hub\" }\n"),
                error("[image.hub]\nbase = { parent = \"lab\" }\n"),
                error("[image.Hub]\nbase = { debian = \"trixie\" }\n"),
                error("[image.hub]\nbase = { debian = \"trixie\" }\nuser = \"jovyan\"\n"),
                error("[repository]\nplatforms = [\"amd64\"]\n"),
                error("[image.hub]\ndockerfile = \"Dockerfile\"\nenv = { A = \"b\" }\n"),
                error("[image.hub]\ndockerfile = \"Dockerfile\"\nbase = { debian = \"trixie\" }\n"),
                error("[repository]\nbuilder = \"kaniko\"\n"),
                error("= nonsense"),
                error("[repository]\nregistries = [\"team\", \"docker.io/team/\"]\n"),
                error("[repository]\nrelease-branches = [\"release/[\"]\n"),
                error("[repository]\nbranch-image = \"hub\"\n"),
                error(
                    "[image.hub]\nversion = \"1\"\nbase = { debian = \"trixie\" }\n[image.hub]\nversion = \"2\"\n"
                ),
            ]
            .join("\n\n")
        );
    }

    /// Every key of every table, with one letter lost.
    #[test]
    fn a_typo_is_told_the_nearest_key() {
        let base = "base = { debian = \"trixie\" }\n";
        for (table, before, keys) in [
            (
                "repository",
                "",
                "registries platforms default-branch staging release-branches branch-image source compression \
                 builder python-exclude leave-out mirrors",
            ),
            ("repository.mirrors", "", "debian debian-security debian-keyring python npm"),
            (
                "image.hub",
                base,
                "description version-from version python python-version glibc npm files user user-name home \
                 directories env workdir entrypoint command ports labels dockerfile",
            ),
            ("[image.hub.test]", "", "run expect serve get within_seconds"),
        ] {
            for key in keys.split_whitespace().filter(|key| key.len() > 3) {
                let typo = format!("{}{}", &key[..2], &key[3..]);
                let said = error(&format!("[{table}]\n{before}{typo} = \"x\"\n"));
                // `within_seconds` alone is written with a line below.
                assert!(said.contains(&format!("did you mean `{key}`?")), "{typo}: {said}");
            }
        }
        assert!(!error("[repository]\nzzz = 1\n").contains("did you mean"));
    }
}
