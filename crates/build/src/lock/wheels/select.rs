//! From a lock to the wheels of one platform: markers decide which pins hold (PEP 508), tags which file is best.

use std::collections::BTreeMap;

use pep440_rs::Version;
use perijove_oci::{Digest, Platform};

use super::tags::Tags;
use super::target::PythonTarget;
use crate::lock::requirements::{Pin, RequirementsLock};
use crate::{Error, Result};

/// The wheel that a platform gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WheelChoice {
    /// Normalised project name.
    pub name: String,
    /// Its version, normalised (PEP 440).
    pub version: String,
    /// The wheel's file name.
    pub filename: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes, where the lock or the index tells.
    pub size: Option<u64>,
    /// The source distribution that it was built from at lock time, if it was.
    pub built_from: Option<Digest>,
}

/// A pin that holds on a platform.
#[derive(Clone, Debug)]
pub enum Selected {
    /// The lock names its file.
    Wheel(WheelChoice),
    /// The lock gives hashes only: an index must say which files they are.
    Unnamed(Unnamed),
}

/// A pin of a lock that names no files.
#[derive(Clone, Debug)]
pub struct Unnamed {
    /// `file:line` of the pin.
    pub place: String,
    /// Normalised project name.
    pub name: String,
    /// The version.
    pub version: Version,
    /// The files that may be taken.
    pub hashes: Vec<Digest>,
}

impl Unnamed {
    /// The choice, once the file is known.
    pub fn chosen(self, filename: String, digest: Digest, size: Option<u64>) -> WheelChoice {
        WheelChoice {
            name: self.name,
            version: self.version.to_string(),
            filename,
            digest,
            size,
            built_from: None,
        }
    }
}

impl RequirementsLock {
    /// The pins that hold on `platform`, sorted by name, each with the best wheel that the lock names. An error
    /// names the first package that the lock has no wheel of for this platform, or two pins of one name.
    pub fn select(&self, target: &PythonTarget, platform: &Platform) -> Result<Vec<Selected>> {
        let environment = target.markers(platform)?;
        let tags = Tags::new(target, platform)?;
        let mut pins: BTreeMap<&str, &Pin> = BTreeMap::new();
        for pin in self.pins.iter().filter(|pin| pin.marker.evaluate(&environment, &[])) {
            match pins.insert(&pin.name, pin) {
                Some(first) if first.version != pin.version => {
                    return Err(Error::Input {
                        place: format!("{}:{}", self.place, pin.line),
                        reason: format!(
                            "{} is pinned to {} here and to {} in line {}, both for {platform}",
                            pin.name, pin.version, first.version, first.line
                        ),
                        hint: "run `perijove lock`".to_owned(),
                    });
                }
                _ => {}
            }
        }
        pins.into_values().map(|pin| self.pick(pin, &tags, target, platform)).collect()
    }

    fn pick(&self, pin: &Pin, tags: &Tags, target: &PythonTarget, platform: &Platform) -> Result<Selected> {
        let place = format!("{}:{}", self.place, pin.line);
        if pin.wheels.is_empty() {
            return Ok(Selected::Unnamed(Unnamed {
                place,
                name: pin.name.clone(),
                version: pin.version.clone(),
                hashes: pin.hashes.clone(),
            }));
        }
        let best = tags.best(pin.wheels.iter().map(|w| &w.name)).into_iter().next();
        let Some(wheel) = best.map(|at| &pin.wheels[at]) else {
            let files: Vec<&str> = pin.wheels.iter().map(|w| w.filename.as_str()).collect();
            return Err(not_for_platform(&place, &pin.name, &pin.version, target, platform, &files));
        };
        Ok(Selected::Wheel(WheelChoice {
            name: pin.name.clone(),
            version: pin.version.to_string(),
            filename: wheel.filename.clone(),
            digest: wheel.digest.clone(),
            size: wheel.size,
            built_from: wheel.built_from.clone(),
        }))
    }
}

/// The lock was made for other platforms, or another Python.
pub fn not_for_platform(
    place: &str,
    name: &str,
    version: &Version,
    target: &PythonTarget,
    platform: &Platform,
    files: &[&str],
) -> Error {
    let has = if files.is_empty() {
        "none of the locked hashes is that of a wheel for it (a source distribution is not installed)"
            .to_owned()
    } else {
        format!("it has {}", files.join(", "))
    };
    Error::Input {
        place: place.to_owned(),
        reason: format!("the lock has no wheel of {name} {version} for {platform} ({target}): {has}"),
        hint: format!("have {platform} in `platforms` and run `perijove lock`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "\
a==1 --hash=sha256:1111111111111111111111111111111111111111111111111111111111111111 \\
    --hash=sha256:2222222222222222222222222222222222222222222222222222222222222222
    # wheel: a-1-cp313-cp313-manylinux_2_28_x86_64.whl 10 bytes sha256:111111111111
    # wheel: a-1-py3-none-any.whl 20 bytes sha256:222222222222
b==2 ; platform_machine == 'aarch64' --hash=sha256:3333333333333333333333333333333333333333333333333333333333333333
    # wheel: b-2-cp313-cp313-manylinux_2_28_x86_64.whl 10 bytes sha256:333333333333
b==3 ; platform_machine == 'x86_64' --hash=sha256:4444444444444444444444444444444444444444444444444444444444444444
";

    fn target() -> PythonTarget {
        PythonTarget { python: (3, 13), glibc: (2, 36), platforms: vec![] }
    }

    #[test]
    fn picks_by_marker_and_tag() {
        let lock = RequirementsLock::parse(LOCK, "requirements.txt").unwrap();
        let amd64 = lock.select(&target(), &"linux/amd64".parse().unwrap()).unwrap();
        let [Selected::Wheel(a), Selected::Unnamed(b)] = &amd64[..] else { panic!("{amd64:?}") };
        assert_eq!((a.filename.as_str(), a.size), ("a-1-cp313-cp313-manylinux_2_28_x86_64.whl", Some(10)));
        assert_eq!((b.version.to_string().as_str(), b.place.as_str()), ("3", "requirements.txt:7"));
    }

    #[test]
    fn another_platform_is_named() {
        let lock = RequirementsLock::parse(LOCK, "requirements.txt").unwrap();
        let error = lock.select(&target(), &"linux/arm64".parse().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "requirements.txt:5: the lock has no wheel of b 2 for linux/arm64 (Python 3.13, glibc 2.36): \
             it has b-2-cp313-cp313-manylinux_2_28_x86_64.whl"
        );
        let twice = LOCK.replace(" ; platform_machine == 'aarch64'", "");
        let lock = RequirementsLock::parse(&twice, "requirements.txt").unwrap();
        let error = lock.select(&target(), &"linux/amd64".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("b is pinned to 3 here and to 2 in line 5"), "{error}");
    }
}
