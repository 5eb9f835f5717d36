//! What a new repository must know of itself, found out from git.

use std::path::{Path, PathBuf};
use std::process::Command;

use perijove_oci::Reference;
use url::Url;

use crate::{Error, Result};

/// Where GitHub has repositories, and where it has their images.
const GITHUB: (&str, &str) = ("github.com", "ghcr.io");

/// Everything that differs between two new repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// For the heading of the maintainers' page.
    pub name: String,
    /// Where images go: `ghcr.io/owner`.
    pub registries: Vec<String>,
    /// Where pull requests' images go.
    pub staging: Option<String>,
    /// As `linux/amd64`.
    pub platforms: Vec<String>,
    /// The branch that may move `latest`.
    pub default_branch: String,
    /// The web address of the source.
    pub source: Option<String>,
    /// Whether `origin` is at GitHub, whose pipelines are written.
    pub github: bool,
}

/// What git says of a folder. All of it may be missing: the folder need not be git's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Git {
    /// The top of the checkout that the folder lies in.
    pub top: Option<PathBuf>,
    /// The address of `origin`.
    pub origin: Option<String>,
    /// The branch that `origin` starts with, else the one that is checked out.
    pub branch: Option<String>,
}

impl Git {
    /// Asks git about `folder`, which must exist.
    pub fn ask(folder: &Path) -> Self {
        let git = |arguments: &[&str]| {
            let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            (output.status.success() && !said.is_empty()).then_some(said)
        };
        let head = git(&["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"]);
        Git {
            top: git(&["rev-parse", "--show-toplevel"]).map(PathBuf::from),
            origin: git(&["remote", "get-url", "origin"]),
            branch: head
                .and_then(|head| head.strip_prefix("origin/").map(str::to_owned))
                .or_else(|| git(&["symbolic-ref", "--quiet", "--short", "HEAD"])),
        }
    }
}

/// A repository somewhere on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Remote {
    host: String,
    /// Without `.git` and slashes at the ends.
    path: String,
}

impl Remote {
    /// git's forms of an address (git-clone(1), "GIT URLS"); `None` for a path on this machine. Passwords and ports
    /// of ssh are left behind.
    fn parse(address: &str) -> Option<Self> {
        let (host, path) = match Url::parse(address) {
            Ok(url) if matches!(url.scheme(), "http" | "https" | "ssh" | "git" | "git+ssh") => {
                let port = url.port().filter(|_| url.scheme().starts_with("http"));
                let host = url.host_str()?.to_ascii_lowercase();
                (port.map_or(host.clone(), |port| format!("{host}:{port}")), url.path().to_owned())
            }
            // `user@host:path`, which Url takes for a scheme or for nothing. A path has its slash before any colon.
            _ => {
                let (host, path) = address.split_once(':').filter(|(host, _)| !host.contains('/'))?;
                if path.starts_with("//") {
                    return None;
                }
                let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
                (host.to_ascii_lowercase(), path.to_owned())
            }
        };
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path).to_owned();
        (!host.is_empty() && !path.is_empty()).then_some(Remote { host, path })
    }

    /// The registry that goes with it: `ghcr.io/owner`. Image names are lower case, owners need not be.
    fn registry(&self) -> Option<String> {
        let (owner, _) = self.path.split_once('/')?;
        (self.host == GITHUB.0).then(|| format!("{}/{}", GITHUB.1, owner.to_ascii_lowercase()))
    }
}

impl Facts {
    /// From what git says; `registries` where the user names some, `folder` for a name where git has none.
    ///
    /// # Errors
    /// [`Error::Registry`] for what cannot be a registry.
    pub fn new(git: &Git, registries: &[String], folder: &Path) -> Result<Self> {
        let remote = git.origin.as_deref().and_then(Remote::parse);
        for registry in registries {
            check(registry)?;
        }
        let own: Option<String> = remote.as_ref().and_then(Remote::registry);
        let last = |path: &str| path.rsplit('/').next().map(str::to_owned);
        let of_folder = || folder.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Facts {
            name: remote
                .as_ref()
                .and_then(|remote| last(&remote.path))
                .or_else(of_folder)
                .unwrap_or_else(|| "Images".to_owned()),
            staging: own.as_ref().map(|own| format!("{own}/staging")),
            registries: match registries {
                [] => own.into_iter().collect(),
                named => named.to_vec(),
            },
            platforms: ["linux/amd64", "linux/arm64"].map(str::to_owned).into(),
            default_branch: git.branch.clone().unwrap_or_else(|| "main".to_owned()),
            github: remote.as_ref().is_some_and(|remote| remote.host == GITHUB.0),
            source: remote.map(|remote| format!("https://{}/{}", remote.host, remote.path)),
        })
    }
}

/// Whether images can go to a registry of this name.
fn check(registry: &str) -> Result<()> {
    let named = format!("{registry}/image").parse::<Reference>();
    // The message would speak of an image that nobody named.
    named.map(drop).map_err(|error| Error::Registry(error.to_string().replace("/image`", "`")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail at once")]

    use super::*;

    fn facts(origin: Option<&str>, registries: &[&str]) -> Facts {
        let git = Git { top: None, origin: origin.map(str::to_owned), branch: None };
        let registries: Vec<String> = registries.iter().map(|&r| r.to_owned()).collect();
        Facts::new(&git, &registries, Path::new("/srv/somewhere")).unwrap()
    }

    #[test]
    fn the_remote_tells_source_registry_and_name() {
        for (origin, source, registry, name) in [
            (
                "https://github.com/Example/images.git",
                "https://github.com/Example/images",
                "ghcr.io/example",
                "images",
            ),
            (
                "git@github.com:example/images.git",
                "https://github.com/example/images",
                "ghcr.io/example",
                "images",
            ),
            (
                "ssh://git@github.com:22/example/images",
                "https://github.com/example/images",
                "ghcr.io/example",
                "images",
            ),
            (
                "https://me:secret@github.com/example/images/",
                "https://github.com/example/images",
                "ghcr.io/example",
                "images",
            ),
            ("git@gitlab.com:group/deep/images.git", "https://gitlab.com/group/deep/images", "", "images"),
            ("https://git.example.org:8443/a/b.git", "https://git.example.org:8443/a/b", "", "b"),
            ("ssh://git@git.example.org:2222/a/b.git", "https://git.example.org/a/b", "", "b"),
        ] {
            let facts = facts(Some(origin), &[]);
            assert_eq!(facts.source.as_deref(), Some(source), "{origin}");
            assert_eq!(facts.registries.join(" "), registry, "{origin}");
            assert_eq!(facts.name, name, "{origin}");
            assert_eq!(facts.github, origin.contains("github.com"), "{origin}");
        }
    }

    #[test]
    fn a_path_on_this_machine_tells_nothing() {
        for origin in
            [None, Some("/srv/git/images.git"), Some("../images.git"), Some("file:///srv/images.git")]
        {
            let facts = facts(origin, &[]);
            assert_eq!((facts.source, facts.registries.len(), facts.github), (None, 0, false), "{origin:?}");
            assert_eq!(facts.name, "somewhere");
            assert_eq!(facts.default_branch, "main");
        }
    }

    #[test]
    fn registries_that_are_named_count_and_are_checked() {
        let named = facts(Some("git@github.com:example/images.git"), &["quay.io/example", "localhost:5000"]);
        assert_eq!(named.registries, ["quay.io/example", "localhost:5000"]);
        assert_eq!(named.staging.as_deref(), Some("ghcr.io/example/staging"));
        for wrong in
            ["quay.io/Example", "https://quay.io/example", "me:secret@quay.io/example", "", "quay.io/a b"]
        {
            let error = Facts::new(&Git::default(), &[wrong.to_owned()], Path::new("/")).unwrap_err();
            assert!(error.is_usage() && error.hint().is_some(), "{wrong}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
