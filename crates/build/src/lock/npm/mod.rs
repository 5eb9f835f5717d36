//! `package-lock.json`, lockfileVersion 3 (npm documentation, "package-lock.json"): what is installed where.
//!
//! Addresses in the lock count for nothing: a tarball's place follows from the registry in force, the name and
//! the version, and its bytes from `integrity`.

mod auth;
mod make;
mod read;

use std::collections::BTreeMap;

use perijove_oci::{Digest, Platform};
use reqwest::Url;

pub use make::Npm;

use crate::{Error, Result};

/// A package in the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedNpm {
    /// Where it is installed: `node_modules/a/node_modules/@b/c`.
    pub path: String,
    /// Its name in the registry.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The tarball's sha512.
    pub integrity: Digest,
    /// Operating systems that it is for, as written (`linux`, `!win32`); empty means all.
    pub os: Vec<String>,
    /// Processors (`x64`, `arm64`).
    pub cpu: Vec<String>,
    /// C libraries (`glibc`, `musl`).
    pub libc: Vec<String>,
    /// Whether the rest works without it.
    pub optional: bool,
    /// Whether it wants to run a script when it is installed.
    pub has_install_script: bool,
    /// Commands: name → file in the package.
    pub bin: BTreeMap<String, String>,
    /// Its licence as its own package.json has it: an SPDX expression, `SEE LICENSE IN FILE`, or what older
    /// packages wrote.
    pub licence: Option<String>,
}

/// A parsed lock, without what only development needs.
#[derive(Clone, Debug)]
pub struct NpmLock {
    /// What messages call the file.
    pub place: String,
    /// The packages by path.
    pub packages: Vec<LockedNpm>,
    /// What the image's own package.json asked for when it was locked: field → name → range.
    asked: read::Asked,
}

impl LockedNpm {
    /// The tarball's address in `registry`: the standard place, scoped names too.
    pub fn tarball(&self, registry: &Url) -> Result<Url> {
        let unscoped = self.name.rsplit('/').next().unwrap_or(&self.name);
        let base = registry.as_str().trim_end_matches('/');
        let text = format!("{base}/{}/-/{unscoped}-{}.tgz", self.name, self.version);
        text.parse().map_err(|_| Error::Refused {
            reason: format!("{} {} gives no address in the npm registry", self.name, self.version),
            hint: "check `npm config get registry`".to_owned(),
        })
    }

    /// Whether os, cpu and libc allow `platform`, by npm's rule: not excluded, and included where there is a list.
    pub fn runs_on(&self, platform: &Platform) -> bool {
        let cpu = match platform.architecture.as_str() {
            "amd64" => "x64",
            "386" => "ia32",
            "ppc64le" => "ppc64",
            other => other,
        };
        let allows = |list: &[String], is: &str| {
            let excluded = list.iter().any(|l| l.strip_prefix('!') == Some(is));
            let named = list.iter().any(|l| l == is || l == "any");
            !excluded && (named || list.iter().all(|l| l.starts_with('!')))
        };
        allows(&self.os, &platform.os) && allows(&self.cpu, cpu) && allows(&self.libc, "glibc")
    }
}

impl NpmLock {
    /// Reads a lock; `place` is the file's name for messages.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        read::parse(text, place)
    }

    /// What `platform` gets. Optional packages for other platforms are left out, with what lies in them. Refuses
    /// packages that want to run a script, and those that cannot run here.
    pub fn for_platform(&self, platform: &Platform) -> Result<Vec<&LockedNpm>> {
        let mut left_out: Vec<String> = Vec::new();
        let mut chosen: Vec<&LockedNpm> = Vec::new();
        for package in &self.packages {
            if left_out.iter().any(|prefix| package.path.starts_with(prefix.as_str())) {
                continue;
            }
            if package.runs_on(platform) {
                chosen.push(package);
            } else if package.optional {
                left_out.push(format!("{}/", package.path));
            } else {
                return Err(Error::Refused {
                    reason: format!(
                        "{}: {} {} is not for {platform}",
                        self.place, package.name, package.version
                    ),
                    hint: "take another version of the package that needs it".to_owned(),
                });
            }
        }
        let scripts: Vec<String> = chosen
            .iter()
            .filter(|p| p.has_install_script)
            .map(|p| format!("{} {}", p.name, p.version))
            .collect();
        if !scripts.is_empty() {
            return Err(Error::Refused {
                reason: format!(
                    "{}: these packages want to run a script when they are installed, and nothing runs while an \
                     image is built: {}",
                    self.place,
                    scripts.join(", ")
                ),
                hint: "replace them by `overrides` in package.json, take a version without the script, or build \
                       this image with `dockerfile =`"
                    .to_owned(),
            });
        }
        Ok(chosen)
    }

    /// Why the lock is behind `package_json` (its text), or `None`. Needs no network.
    pub fn check(&self, package_json: &str) -> Result<Option<String>> {
        read::behind(&self.asked, package_json)
    }
}

#[cfg(test)]
mod tests;
