//! The text of `package-lock.json`. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perijove_oci::{Digest, digest};
use serde::Deserialize;

use super::{LockedNpm, NpmLock};
use crate::{Error, Result};

/// Dependency fields of package.json → name → range.
pub type Asked = BTreeMap<&'static str, BTreeMap<String, String>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    lockfile_version: Option<u64>,
    packages: Option<BTreeMap<String, Package>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Package {
    name: Option<String>,
    version: Option<String>,
    resolved: Option<String>,
    integrity: Option<String>,
    link: bool,
    dev: bool,
    optional: bool,
    dev_optional: bool,
    extraneous: bool,
    in_bundle: bool,
    has_install_script: bool,
    os: OneOrMany,
    cpu: OneOrMany,
    libc: OneOrMany,
    bin: BTreeMap<String, String>,
    license: Option<String>,
    #[serde(flatten)]
    asked: Dependencies,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Dependencies {
    dependencies: BTreeMap<String, String>,
    dev_dependencies: BTreeMap<String, String>,
    optional_dependencies: BTreeMap<String, String>,
    peer_dependencies: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum OneOrMany {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(value: OneOrMany) -> Self {
        match value {
            OneOrMany::None => Vec::new(),
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

impl From<Dependencies> for Asked {
    fn from(mut d: Dependencies) -> Self {
        // npm moves a name that stands in both to the optional ones.
        d.dependencies.retain(|name, _| !d.optional_dependencies.contains_key(name));
        [
            ("dependencies", d.dependencies),
            ("devDependencies", d.dev_dependencies),
            ("optionalDependencies", d.optional_dependencies),
            ("peerDependencies", d.peer_dependencies),
        ]
        .into()
    }
}

pub fn parse(text: &str, place: &str) -> Result<NpmLock> {
    let file: File = serde_json::from_str(text).map_err(|e| Error::Input {
        place: format!("{place}:{}", e.line()),
        reason: format!("it is not a package-lock.json: {e}"),
        hint: "run `perijove lock`".to_owned(),
    })?;
    let (Some(3), Some(packages)) = (file.lockfile_version, file.packages) else {
        let version = file.lockfile_version.map_or_else(|| "none".to_owned(), |v| v.to_string());
        return Err(Error::Input {
            place: format!("{place}: lockfileVersion"),
            reason: format!("version 3 is needed, this is {version}"),
            hint: "run `perijove lock`, or `npm install --package-lock-only --lockfile-version 3`".to_owned(),
        });
    };
    let mut lock = NpmLock { place: place.to_owned(), packages: Vec::new(), asked: Asked::new() };
    for (path, package) in packages {
        if path.is_empty() {
            lock.asked = package.asked.into();
        } else if !package.dev && !package.in_bundle && !package.extraneous {
            // What is bundled lies in its parent's tarball, which has an integrity of its own.
            lock.packages.push(one(path, package).map_err(|(path, reason, hint)| Error::Input {
                place: format!("{place}: packages.{path:?}"),
                reason,
                hint: hint.to_owned(),
            })?);
        }
    }
    Ok(lock)
}

const PUBLISH: &str = "depend on a version that is in a registry: publish it to yours, or copy it into the image's `files` folder";

fn one(path: String, package: Package) -> Result<LockedNpm, (String, String, &'static str)> {
    let fail = |reason: &str, hint| Err((path.clone(), reason.to_owned(), hint));
    let Some(folder) = folder_name(&path) else {
        return fail(
            "it does not lie in node_modules: workspaces and local folders are not installed",
            PUBLISH,
        );
    };
    if package.link {
        return fail("it is a link to a local folder", PUBLISH);
    }
    let name = package.name.unwrap_or_else(|| folder.to_owned());
    let (Some(version), true) = (package.version, is_name(&name)) else {
        return fail("it has no name and version that a registry could have", PUBLISH);
    };
    if version.is_empty() || !version.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-".contains(&b)) {
        return fail(&format!("its version `{version}` is not one of a registry"), PUBLISH);
    }
    if let Some(resolved) = &package.resolved {
        // The registry's tarballs all lie at `/NAME/-/FILE.tgz`, whatever the host.
        let web = resolved.starts_with("https://") || resolved.starts_with("http://");
        if !(web && resolved.contains("/-/")) {
            let shown = crate::lock::program::without_credentials(resolved);
            return fail(&format!("it comes from `{shown}`, not from a registry"), PUBLISH);
        }
    }
    let Some(integrity) = package.integrity.as_deref().and_then(sha512) else {
        return fail("it has no sha512 integrity", "run `perijove lock --upgrade`");
    };
    Ok(LockedNpm {
        name,
        version,
        integrity,
        os: package.os.into(),
        cpu: package.cpu.into(),
        libc: package.libc.into(),
        optional: package.optional || package.dev_optional,
        has_install_script: package.has_install_script,
        bin: package.bin,
        licence: package.license,
        path,
    })
}

/// The name of the folder of a path made of `node_modules/NAME` steps, or nothing.
fn folder_name(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("node_modules/")?;
    let mut last = "";
    for step in rest.split("/node_modules/") {
        if !is_name(step) {
            return None;
        }
        last = step;
    }
    Some(last)
}

/// Whether a text is a package name: one step, or `@scope/step`, of letters that need no escape in a path or an
/// address.
fn is_name(name: &str) -> bool {
    let step = |s: &str| {
        !s.is_empty()
            && !s.starts_with('.')
            && s != "node_modules"
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    match name.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| step(scope) && step(name)),
        None => step(name),
    }
}

/// The sha512 in a subresource integrity text (W3C SRI, section 3.5): `alg-BASE64` words.
fn sha512(text: &str) -> Option<Digest> {
    let value = text.split_whitespace().find_map(|word| word.strip_prefix("sha512-"))?;
    let bytes = STANDARD.decode(value.split('?').next()?).ok()?;
    format!("sha512:{}", digest::hex(&bytes)).parse().ok()
}

pub fn behind(asked: &Asked, package_json: &str) -> Result<Option<String>> {
    let now: Dependencies = serde_json::from_str(package_json).map_err(|e| Error::Input {
        place: format!("package.json:{}", e.line()),
        reason: format!("it is not a package.json: {e}"),
        hint: "see npm's documentation of package.json".to_owned(),
    })?;
    let now = Asked::from(now);
    for (field, wanted) in &now {
        let locked = asked.get(field).cloned().unwrap_or_default();
        let names = wanted.keys().chain(locked.keys());
        for name in names {
            let (want, have) = (wanted.get(name), locked.get(name));
            if want != have {
                let show = |range: Option<&String>| range.map_or("nothing".to_owned(), |r| format!("`{r}`"));
                return Ok(Some(format!(
                    "{name}: package.json wants {} in {field}, the lock was made for {}",
                    show(want),
                    show(have)
                )));
            }
        }
    }
    Ok(None)
}
