//! Source distributions: built once, at lock time, into a pure-Python wheel that lies beside the lock.
//!
//! uv builds in an isolated environment from the hash-checked archive; the result is repacked so that the same
//! content is the same bytes. What holds compiled code is refused, with a package that has wheels where one
//! is known.

use std::path::Path;
use std::sync::LazyLock;

use perijove_oci::{Digest, Event};
use regex::Regex;

use super::index::locate::WHEELS;
use super::index::{Index, IndexFile};
use super::program::{UV, any_python, last_words};
use super::requirements::{LockedWheel, RequirementsLock};
use super::wheels::Tags;
use super::wheels::filename::{WheelName, normalise, sdist_version};
use super::wheels::merge::Merged;
use super::wheels::repack::repack;
use super::wheels::target::PythonTarget;
use crate::entry::EPOCH;
use crate::{Error, Result};

/// Projects without wheels for Linux → what does their work and has some.
const ALTERNATIVES: &[(&str, &str)] = &[
    ("cx-oracle", "oracledb"),
    ("dbus-python", "jeepney"),
    ("gdal", "rasterio"),
    ("m2crypto", "cryptography"),
    ("mysql-python", "pymysql"),
    ("mysqlclient", "pymysql"),
    ("psycopg-c", "psycopg-binary"),
    ("psycopg2", "psycopg2-binary"),
    ("psycopg2cffi", "psycopg2-binary"),
    ("pycrypto", "pycryptodome"),
    ("pycurl", "httpx"),
    ("pygraphviz", "pydot"),
    ("pyldap", "ldap3"),
    ("pylibmc", "pymemcache"),
    ("pysqlite3", "pysqlite3-binary"),
    ("python-ldap", "ldap3"),
    ("python-snappy", "cramjam"),
    ("uwsgi", "gunicorn"),
];

/// A wheel that was built, and its entry in the lock.
pub struct Built {
    /// How the lock names it.
    pub wheel: LockedWheel,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The wheel of a project that has none: the one that the present lock names if it was built from the same
/// archive, else a new one.
pub async fn wheel(
    index: &Index,
    merged: &Merged,
    target: &PythonTarget,
    old: Option<&RequirementsLock>,
    image: &Path,
) -> Result<Built> {
    let Merged { name, version, .. } = merged;
    let files = index.files(name).await?;
    let mut sdist = None;
    for file in files.iter().filter(|f| sdist_version(&f.filename, name).as_ref() == Some(version)) {
        let digest = index.digest_of(file).await?;
        if merged.hashes.contains(&digest) {
            sdist = Some((file, digest));
            break;
        }
    }
    let Some((file, digest)) = sdist else {
        return Err(refused(name, &format!("{version} has no wheel that fits, and no source distribution")));
    };
    if let Some(known) = old.and_then(|lock| kept(lock, name, &digest, image)) {
        return Ok(known);
    }
    // Whoever publishes compiled wheels for other machines or Pythons has code to compile.
    let wheels = files.iter().filter_map(|f| f.filename.parse::<WheelName>().ok());
    let compiled = wheels.filter(|w| w.version == *version).any(|w| !w.is_any());
    if compiled || ALTERNATIVES.iter().any(|(bad, _)| bad == name) {
        return Err(refused(
            name,
            &format!("{version} has no wheel that fits, and its source holds compiled code"),
        ));
    }
    index
        .fetcher()
        .reporter()
        .report(Event::Note(format!("building a wheel of {name} {version} from its source")));
    let (filename, bytes) = build(index, name, file, &digest).await?;
    let parsed: WheelName =
        filename.parse().map_err(|reason| Error::Archive { archive: filename.clone(), reason })?;
    let mut runs = parsed.is_any();
    for platform in &target.platforms {
        runs &= Tags::new(target, platform)?.rank(&parsed).is_some();
    }
    if !runs || parsed.name != *name || parsed.version != *version {
        return Err(refused(
            name,
            &format!(
                "{version} has no wheel that fits, and its source builds {filename}, not a pure-Python wheel"
            ),
        ));
    }
    let bytes = repack(&filename, &bytes).map_err(|error| match error {
        Error::Archive { reason, .. } => {
            refused(name, &format!("{version} was built from its source: {reason}"))
        }
        other => other,
    })?;
    let (size, wheel_digest) = (Some(bytes.len() as u64), Digest::sha256(&bytes));
    let wheel = LockedWheel { filename, name: parsed, size, digest: wheel_digest, built_from: Some(digest) };
    Ok(Built { wheel, bytes })
}

/// The wheel that the present lock has for this very archive, if it is still there unchanged.
fn kept(lock: &RequirementsLock, name: &str, sdist: &Digest, image: &Path) -> Option<Built> {
    let wheels = lock.pins.iter().filter(|p| p.name == name).flat_map(|p| &p.wheels);
    let wheel = wheels.into_iter().find(|w| w.built_from.as_ref() == Some(sdist))?;
    let bytes = std::fs::read(image.join(WHEELS).join(&wheel.filename)).ok()?;
    (Digest::sha256(&bytes) == wheel.digest).then(|| Built { wheel: wheel.clone(), bytes })
}

async fn build(index: &Index, name: &str, file: &IndexFile, digest: &Digest) -> Result<(String, Vec<u8>)> {
    let archive = match file.url.to_file_path() {
        Ok(path) => path,
        Err(()) => index.fetcher().file(&file.url, &file.filename, digest, file.size).await?,
    };
    let temporary = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
    // A name from the index becomes a path here: only its last component, which the file name rules allow.
    let source = temporary.path().join(&file.filename);
    let out = temporary.path().join("out");
    std::fs::copy(&archive, &source).map_err(Error::io(&source))?;
    let mut command = index.uv();
    command.args(["build", "--wheel", "--no-python-downloads", "--no-sources", "--out-dir"]).arg(&out);
    command.args(any_python()).arg("--").arg(&source);
    for (variable, value) in
        [("SOURCE_DATE_EPOCH", EPOCH.to_string().as_str()), ("PYTHONHASHSEED", "0"), ("TZ", "UTC")]
    {
        command.env(variable, value);
    }
    let output = UV.run(command, b"").await?;
    if !output.status.success() {
        let said = last_words(&output).replace(&format!("{}/", temporary.path().display()), "");
        let reason =
            format!("has no wheel that fits, and its source does not build into a pure-Python one:\n{said}");
        return Err(refused(name, &reason));
    }
    let made: Vec<_> =
        std::fs::read_dir(&out).map_err(Error::io(&out))?.flatten().map(|e| e.path()).collect();
    let wheel = made.iter().find(|p| p.extension().is_some_and(|e| e == "whl"));
    let wheel = wheel.ok_or_else(|| refused(name, "has a source that builds no wheel"))?;
    let filename = wheel.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    Ok((filename, std::fs::read(wheel).map_err(Error::io(wheel))?))
}

/// The project whose source uv could not read, when that is what its error says.
pub fn unreadable(error: &Error) -> Option<String> {
    static BUILD: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)failed to (?:download and )?(?:build|prepare)[a-z ]* `?([A-Za-z0-9][A-Za-z0-9._-]*)(?:==|`| @)").ok()
    });
    let Error::Program { reason, .. } = error else { return None };
    BUILD.as_ref().and_then(|b| b.captures(reason)).and_then(|c| c.get(1)).map(|m| normalise(m.as_str()))
}

/// Names the package when uv could not even read a source's metadata.
pub fn explain(error: Error) -> Error {
    match (unreadable(&error), &error) {
        (Some(name), Error::Program { reason, .. }) => {
            refused(&name, &format!("has no wheel that fits, and its source cannot be built here:\n{reason}"))
        }
        _ => error,
    }
}

fn refused(name: &str, what: &str) -> Error {
    let alternative = ALTERNATIVES.iter().find(|(bad, _)| *bad == name);
    Error::Refused {
        reason: format!("{name} {what}"),
        hint: alternative.map_or_else(
            || {
                "images hold wheels only: ask its authors for wheels for these platforms, take a version that has \
                 them, publish one to an index of yours, or take the package from Debian (debs.in)"
                    .to_owned()
            },
            |(_, good)| format!("take {good} instead: it has wheels and does the same work"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alternative_is_named() {
        let error = refused("psycopg2", "2.9 has no wheel");
        assert_eq!(
            error.hint().unwrap(),
            "take psycopg2-binary instead: it has wheels and does the same work"
        );
        assert!(refused("other", "x").hint().unwrap().contains("Debian"));
        for pair in ALTERNATIVES.windows(2) {
            assert!(pair[0].0 < pair[1].0, "sorted, and each once");
        }
    }

    #[test]
    fn a_failed_build_names_the_package() {
        for (reason, want) in [
            ("error: Failed to build `Psycopg2==2.9.9`\n  cause: x", Some("psycopg2 has no wheel")),
            ("Failed to download and build `python-ldap==3.4.4`", Some("python-ldap has no wheel")),
            ("No solution found", None),
        ] {
            let error = explain(UV.failed(reason.to_owned(), "")).to_string();
            assert!(error.starts_with(want.unwrap_or("uv: ")), "{error}");
        }
    }
}
