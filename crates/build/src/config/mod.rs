//! `perijove.toml`: what the image repository says of its images.

mod rules;
mod tables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use perijove_oci::Platform;
use serde::Deserialize;

pub use tables::{Base, Check, Directory, Image, Mirrors, Repository, parse_user};

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
