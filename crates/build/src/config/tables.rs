//! The tables of `perijove.toml`, key by key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perijove_oci::Platform;
use serde::Deserialize;

use crate::dockerfile::Tool;
use crate::layer::Compression;

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

/// `uid:gid` as numbers; the group is the user's number where it is not given.
pub fn parse_user(text: &str) -> Option<(u32, u32)> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    Some((uid.parse().ok()?, gid.parse().ok()?))
}
