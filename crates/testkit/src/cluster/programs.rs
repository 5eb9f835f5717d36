//! The programs of a cluster: which versions, where `make tools-kube` puts them, and what is missing.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A line for each program and version; `tests/cluster/build` reads the same file.
const VERSIONS: &str = include_str!("../../../../tests/cluster/versions");

/// A Kubernetes that tests run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// The newest that is built: image volumes are on.
    Newest,
    /// The oldest that can be built: no image volumes.
    Oldest,
}

impl Version {
    /// Both.
    pub const ALL: [Version; 2] = [Version::Newest, Version::Oldest];

    /// Its number, as `1.36.3`.
    pub fn number(self) -> &'static str {
        let mut all = versions("kubernetes");
        let found = match self {
            Version::Newest => all.next(),
            Version::Oldest => all.last(),
        };
        found.unwrap()
    }
}

impl FromStr for Version {
    type Err = String;

    /// `newest`, `oldest`, or a number that is one of them.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "newest" => Ok(Version::Newest),
            "oldest" => Ok(Version::Oldest),
            number => Version::ALL.into_iter().find(|v| v.number() == number).ok_or_else(|| {
                let all: Vec<_> = Version::ALL.iter().map(|v| v.number()).collect();
                format!("Kubernetes {number} is not built here; there are {}", all.join(" and "))
            }),
        }
    }
}

/// The versions of a program, in the file's order.
fn versions(name: &str) -> impl Iterator<Item = &'static str> {
    let words = VERSIONS.lines().filter_map(|line| line.split_once(' '));
    words.filter(move |(n, _)| *n == name).map(|(_, version)| version)
}

/// `$XDG_CACHE_HOME/perijove/kube`, where the programs are.
pub fn cache() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").unwrap_or_else(|| set("HOME").unwrap_or_default().join(".cache"));
    cache.join("perijove/kube")
}

/// The folder of a program that has one version.
pub fn folder(name: &str) -> PathBuf {
    cache().join(format!("{name}-{}", versions(name).next().unwrap()))
}

/// The folder of Kubernetes' own programs.
pub fn kubernetes(version: Version) -> PathBuf {
    cache().join(format!("kubernetes-{}", version.number()))
}

/// kubectl: the newest serves every version.
pub fn kubectl() -> PathBuf {
    kubernetes(Version::Newest).join("kubectl")
}

/// helm.
pub fn helm() -> PathBuf {
    folder("helm").join("helm")
}

/// Argo CD's engine: `argo-sync NAMESPACE RELEASE` syncs the manifests that it is given.
pub fn argo_sync() -> PathBuf {
    folder("gitops-engine").join("argo-sync")
}

/// kube-score.
pub fn kube_score() -> PathBuf {
    folder("kube-score").join("kube-score")
}

/// Where Debian puts the plugins that give pods their network.
pub const CNI_PLUGINS: &str = "/usr/lib/cni";

/// What a cluster needs and this machine has not, with what brings it.
pub fn missing(version: Version, kwok: bool) -> Option<String> {
    let mut folders = vec![kubernetes(Version::Newest), kubernetes(version), folder("etcd")];
    folders.extend(if kwok { vec![folder("kwok")] } else { vec![folder("containerd"), folder("pause")] });
    if let Some(lacking) = folders.iter().find(|f| !f.is_dir()) {
        let name = lacking.file_name().unwrap_or_default().display();
        return Some(format!("{name} is not built: make tools-kube"));
    }
    let programs = ["ip", "unshare", "mkfs.ext4", "runc"];
    let lacking = programs.into_iter().find(|p| on_path(p).is_none());
    let lacking = lacking.or((!Path::new(CNI_PLUGINS).is_dir()).then_some("containernetworking-plugins"));
    lacking.map(|name| format!("{name} is not installed: make tools-test"))
}

/// The file of a program on the PATH, or where administrators' programs are.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|f| f.join(name)).find(|p| p.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_numbers_and_numbers_versions() {
        for version in Version::ALL {
            assert_eq!(version.number().parse(), Ok(version));
        }
        assert_eq!("newest".parse(), Ok(Version::Newest));
        assert!("1.2.3".parse::<Version>().unwrap_err().contains(Version::Oldest.number()));
    }
}
