//! Names: of projects (PEP 503) and of wheel files (binary distribution format, "File name convention").

use std::str::FromStr;

use pep440_rs::Version;

/// A project name as PEP 503 normalises it: lower case, runs of `-`, `_` and `.` become one `-`.
pub fn normalise(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.trim().chars() {
        if matches!(c, '-' | '_' | '.') {
            if !out.ends_with('-') {
                out.push('-');
            }
        } else {
            out.extend(c.to_lowercase());
        }
    }
    out
}

/// A wheel's file name taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WheelName {
    /// Normalised project name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The build tag: digits, then the rest. Breaks ties; absent sorts first.
    pub build: Option<(u64, String)>,
    /// Python tags, `.`-separated in the file name.
    pub python: Vec<String>,
    /// ABI tags.
    pub abi: Vec<String>,
    /// Platform tags.
    pub platform: Vec<String>,
}

impl WheelName {
    /// Whether the wheel runs on every machine.
    pub fn is_any(&self) -> bool {
        self.abi.iter().all(|t| t == "none") && self.platform.iter().all(|t| t == "any")
    }
}

impl FromStr for WheelName {
    type Err = String;

    fn from_str(file: &str) -> Result<Self, String> {
        let malformed = || format!("`{file}` is not a wheel's file name");
        if !file.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b'\\') {
            return Err(malformed());
        }
        let stem = file.strip_suffix(".whl").ok_or_else(malformed)?;
        let parts: Vec<&str> = stem.split('-').collect();
        let (name, version, build, tags) = match parts[..] {
            [name, version, a, b, c] => (name, version, None, [a, b, c]),
            [name, version, build, a, b, c] => (name, version, Some(build), [a, b, c]),
            _ => return Err(malformed()),
        };
        if name.is_empty() || tags.iter().any(|t| t.is_empty()) {
            return Err(malformed());
        }
        let build = match build {
            None => None,
            Some(text) => {
                let digits = text.bytes().take_while(u8::is_ascii_digit).count();
                let number = text[..digits].parse().map_err(|_| malformed())?;
                Some((number, text[digits..].to_owned()))
            }
        };
        let list = |tag: &str| tag.split('.').map(str::to_ascii_lowercase).collect();
        Ok(WheelName {
            name: normalise(name),
            version: version.replace('_', "-").parse().map_err(|_| malformed())?,
            build,
            python: list(tags[0]),
            abi: list(tags[1]),
            platform: list(tags[2]),
        })
    }
}

/// The version in the name of a source distribution of `project` (`.tar.gz` or `.zip`), if it is one.
pub fn sdist_version(file: &str, project: &str) -> Option<Version> {
    let stem = file.strip_suffix(".tar.gz").or_else(|| file.strip_suffix(".zip"))?;
    // Old names have `-` in the project part, so the version is what remains after it.
    stem.match_indices('-').find_map(|(at, _)| {
        if normalise(&stem[..at]) == project { stem[at + 1..].parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_names_apart() {
        let w: WheelName = "SQLAlchemy-2.0.51-1a-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
            .parse()
            .unwrap();
        assert_eq!((w.name.as_str(), w.version.to_string().as_str()), ("sqlalchemy", "2.0.51"));
        assert_eq!(w.build, Some((1, "a".to_owned())));
        assert_eq!(w.platform, ["manylinux_2_17_x86_64", "manylinux2014_x86_64"]);
        assert!("six-1.17.0-py2.py3-none-any.whl".parse::<WheelName>().unwrap().is_any());
        assert_eq!(
            "ruamel.yaml-1.0_1-py3-none-any.whl".parse::<WheelName>().unwrap().version.to_string(),
            "1.0.post1"
        );
    }

    #[test]
    fn refuses_other_names() {
        for bad in [
            "",
            "a.whl",
            "a-1.whl",
            "a-1-py3-none.whl",
            "a-x-py3-none-any.whl",
            "a-1-py3-none-any.zip",
            "a-1-b-py3-none-any.whl",
            "../a-1-py3-none-any.whl",
            "-1-py3-none-any.whl",
            "a-1--none-any.whl",
        ] {
            assert!(bad.parse::<WheelName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_normalised() {
        for (from, to) in [("Foo.Bar__baz", "foo-bar-baz"), ("A-_.B", "a-b"), ("six", "six")] {
            assert_eq!(normalise(from), to);
        }
    }

    #[test]
    fn sdists_tell_their_version() {
        for (file, project, want) in [
            ("pamela-1.2.0.tar.gz", "pamela", Some("1.2.0")),
            ("python-json-logger-4.1.0.zip", "python-json-logger", Some("4.1.0")),
            ("python_json_logger-4.1.0.tar.gz", "python-json-logger", Some("4.1.0")),
            ("pamela-extra-1.0.tar.gz", "pamela", None),
            ("pamela-1.2.0.exe", "pamela", None),
        ] {
            assert_eq!(sdist_version(file, project).map(|v| v.to_string()).as_deref(), want, "{file}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = text.parse::<WheelName>();
            let _ = format!("{text}.whl").parse::<WheelName>();
            let _ = sdist_version(&format!("{text}.tar.gz"), "a");
            let _ = normalise(&text);
        }

        #[test]
        fn normalising_twice_changes_nothing(text in "[A-Za-z0-9._-]{1,30}") {
            prop_assert_eq!(normalise(&normalise(&text)), normalise(&text));
        }
    }
}
