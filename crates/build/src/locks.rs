//! The locks of one image as they lie in its folder, and what follows from them: the Python that wheels are
//! picked for, the image's version.

use std::path::PathBuf;

use perijove_oci::Platform;

use crate::config::{Base, Config, Image};
use crate::lock::debs::DebsLock;
use crate::lock::journal;
use crate::lock::npm::NpmLock;
use crate::lock::requirements::RequirementsLock;
use crate::lock::wheels::PythonTarget;
use crate::{Error, Result};

/// The locks that an image has.
#[derive(Clone, Debug)]
pub struct Locks {
    /// `debs.lock`.
    pub debs: Option<DebsLock>,
    /// `requirements.txt`.
    pub python: Option<RequirementsLock>,
    /// `package-lock.json`.
    pub npm: Option<NpmLock>,
    /// Names of the packages that `package.json` asks for itself: their commands are linked.
    pub npm_asked: Vec<String>,
}

/// Paths of an image's lock files and of their inputs.
#[derive(Clone, Debug)]
pub struct LockPaths {
    /// The image's folder.
    pub folder: PathBuf,
    /// `debs.in` and `debs.lock`, where the input exists or the base is Debian.
    pub debs: Option<(PathBuf, PathBuf)>,
    /// `requirements.in` and `requirements.txt`.
    pub python: Option<(PathBuf, PathBuf)>,
    /// `package.json` and `package-lock.json`.
    pub npm: Option<(PathBuf, PathBuf)>,
}

impl LockPaths {
    /// The paths that `perijove.toml` gives the image.
    pub fn of(config: &Config, name: &str) -> Result<Self> {
        let image = config.image(name)?;
        let folder = config.folder(name);
        let debs_in = folder.join("debs.in");
        let has_debs = matches!(image.base, Some(Base::Debian(_))) || debs_in.exists();
        Ok(LockPaths {
            debs: has_debs.then(|| (debs_in, folder.join("debs.lock"))),
            python: image.python.as_ref().map(|lock| {
                let lock = folder.join(lock);
                (lock.with_extension("in"), lock)
            }),
            npm: image.npm.as_ref().map(|lock| (folder.join("package.json"), folder.join(lock))),
            folder,
        })
    }
}

fn read(path: &PathBuf) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::Input {
            place: path.display().to_string(),
            reason: "there is no such file".to_owned(),
            hint: "write the locks with `perijove lock`".to_owned(),
        },
        _ => Error::Io { path: path.clone(), source },
    })
}

impl Locks {
    /// Reads them.
    pub fn read(config: &Config, name: &str) -> Result<Self> {
        let paths = LockPaths::of(config, name)?;
        let _reading = journal::reading(&config.root)?;
        let place = |path: &PathBuf| path.strip_prefix(&config.root).unwrap_or(path).display().to_string();
        let mut locks = Locks { debs: None, python: None, npm: None, npm_asked: Vec::new() };
        if let Some((_, lock)) = &paths.debs {
            locks.debs = Some(DebsLock::parse(&read(lock)?, &place(lock))?);
        }
        if let Some((_, lock)) = &paths.python {
            locks.python = Some(RequirementsLock::parse(&read(lock)?, &place(lock))?);
        }
        if let Some((input, lock)) = &paths.npm {
            locks.npm = Some(NpmLock::parse(&read(lock)?, &place(lock))?);
            locks.npm_asked = asked(&read(input)?, &place(input))?;
        }
        Ok(locks)
    }

    /// The image's version: that of the package which `version-from` names, or `version`.
    pub fn version(&self, config: &Config, name: &str) -> Result<String> {
        let image = config.image(name)?;
        let wrong = |reason: String, hint: &str| Error::Input {
            place: format!("{}: image.{name}", crate::config::FILE),
            reason,
            hint: hint.to_owned(),
        };
        let Some(package) = &image.version_from else {
            return image.version.clone().ok_or_else(|| {
                wrong(
                    "neither `version-from` nor `version` is given".into(),
                    "say which package gives the version",
                )
            });
        };
        self.package_version(package).ok_or_else(|| {
            wrong(
                format!("version-from names `{package}`, which no lock of the image has"),
                "name a package in requirements.txt, package-lock.json or debs.lock, or run `perijove lock`",
            )
        })
    }

    fn package_version(&self, name: &str) -> Option<String> {
        let wheel = crate::lock::wheels::normalise(name);
        let python = self.python.iter().flat_map(|l| &l.pins).find(|p| p.name == wheel);
        let npm =
            self.npm.iter().flat_map(|l| &l.packages).find(|p| p.path == format!("node_modules/{name}"));
        let deb = self.debs.iter().flat_map(|l| &l.packages).find(|p| p.name == name);
        python
            .map(|p| p.version.to_string())
            .or(npm.map(|p| p.version.clone()))
            .or(deb.map(|p| p.version.clone()))
    }
}

fn asked(package_json: &str, place: &str) -> Result<Vec<String>> {
    let value: serde_json::Value = serde_json::from_str(package_json).map_err(|e| Error::Input {
        place: format!("{place}:{}", e.line()),
        reason: e.to_string(),
        hint: "package.json must be JSON".to_owned(),
    })?;
    let names = value.get("dependencies").and_then(|d| d.as_object());
    Ok(names.into_iter().flat_map(|d| d.keys().cloned()).collect())
}

/// The images from the one that stands on no other to `name` itself.
pub fn lineage<'a>(config: &'a Config, name: &'a str) -> Result<Vec<(&'a str, &'a Image)>> {
    let mut chain = vec![(name, config.image(name)?)];
    while let Some((_, Image { base: Some(Base::Parent(parent)), .. })) = chain.last() {
        chain.push((parent, config.image(parent)?));
    }
    chain.reverse();
    Ok(chain)
}

/// The Debian release that the image or its first ancestor stands on.
pub fn codename(config: &Config, name: &str) -> Result<Option<String>> {
    Ok(match &lineage(config, name)?[0].1.base {
        Some(Base::Debian(codename)) => Some(codename.clone()),
        _ => None,
    })
}

/// The Python that an image's wheels are picked for: what the settings say, else what the `debs.lock` of the
/// image or of an ancestor has (`python3`, `libc6`). `fresh` is a `debs.lock` that is not written yet.
pub fn python_target(config: &Config, name: &str, fresh: Option<&DebsLock>) -> Result<PythonTarget> {
    let lineage = lineage(config, name)?;
    let mut debs: Vec<DebsLock> = fresh.cloned().into_iter().collect();
    for (ancestor, _) in lineage.iter().rev() {
        let path = config.folder(ancestor).join("debs.lock");
        if path.exists() {
            debs.push(DebsLock::parse(&read(&path)?, &path.display().to_string())?);
        }
    }
    let setting =
        |get: fn(&Image) -> &Option<String>| lineage.iter().rev().find_map(|(_, image)| get(image).clone());
    let locked = |package: &str| {
        debs.iter().flat_map(|l| &l.packages).find(|p| p.name == package).map(|p| p.version.clone())
    };
    let python =
        setting(|i| &i.python_version).or_else(|| locked("python3")).or_else(|| locked("python3-minimal"));
    let glibc = setting(|i| &i.glibc).or_else(|| locked("libc6"));
    let unknown = |what: &str, key: &str| Error::Input {
        place: format!("{}: image.{name}", crate::config::FILE),
        reason: format!("the version of the base's {what} is not known"),
        hint: format!("put the package into debs.in, or say {key} = \"…\""),
    };
    let python = python.as_deref().and_then(two).ok_or_else(|| unknown("Python", "python-version"))?;
    let glibc = glibc.as_deref().and_then(two).ok_or_else(|| unknown("C library", "glibc"))?;
    let small = |n: u16| u8::try_from(n).unwrap_or(u8::MAX);
    Ok(PythonTarget {
        python: (small(python.0), small(python.1)),
        glibc,
        platforms: config.repository.platforms.clone(),
    })
}

/// The first two numbers of a version, epoch left out.
fn two(version: &str) -> Option<(u16, u16)> {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The platforms of the repository that are asked for, each once and in the repository's order, so that an image
/// does not depend on how they are asked for; or an error that lists them.
pub fn platforms(config: &Config, wanted: &[Platform]) -> Result<Vec<Platform>> {
    let all = &config.repository.platforms;
    if let Some(other) = wanted.iter().find(|p| !all.contains(p)) {
        return Err(Error::Input {
            place: "--platform".to_owned(),
            reason: format!("{other} is not a platform of this repository"),
            hint: format!(
                "perijove.toml has: {}; add it there and run `perijove lock`",
                all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ),
        });
    }
    let asked = |platform: &&Platform| wanted.is_empty() || wanted.contains(platform);
    Ok(all.iter().filter(asked).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_keep_the_order_of_the_repository() {
        let text = "[repository]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n";
        let config = Config::parse(std::path::Path::new(""), text).unwrap();
        for (asked, given) in [
            ("", Ok("linux/amd64 linux/arm64")),
            ("linux/arm64", Ok("linux/arm64")),
            ("linux/arm64 linux/amd64", Ok("linux/amd64 linux/arm64")),
            ("linux/amd64 linux/amd64", Ok("linux/amd64")),
            ("linux/amd64 linux/riscv64", Err("linux/riscv64 is not a platform of this repository")),
        ] {
            let wanted: Vec<Platform> = asked.split_whitespace().map(|p| p.parse().unwrap()).collect();
            match (platforms(&config, &wanted), given) {
                (Ok(found), Ok(given)) => {
                    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                    assert_eq!(found.join(" "), given, "{asked}");
                }
                (Err(error), Err(given)) => assert!(error.to_string().contains(given), "{error}"),
                (found, given) => panic!("{asked}: {found:?}, not {given:?}"),
            }
        }
    }

    #[test]
    fn versions_are_cut_to_two_numbers() {
        assert_eq!(two("3.13.5-1"), Some((3, 13)));
        assert_eq!(two("1:2.41-12+deb13u1"), Some((2, 41)));
        assert_eq!(two("3"), None);
    }
}
