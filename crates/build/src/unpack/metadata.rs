//! METADATA and WHEEL, a wheel's words about itself (Core metadata; binary distribution format). Pure.

/// What a wheel says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WheelMetadata {
    /// As written in METADATA.
    pub name: String,
    /// As written in METADATA.
    pub version: String,
    /// One line.
    pub summary: Option<String>,
    /// An SPDX expression (metadata 2.4).
    pub license_expression: Option<String>,
    /// Free text of older wheels; first line.
    pub license: Option<String>,
    /// Trove classifiers that begin with `License ::`.
    pub license_classifiers: Vec<String>,
    /// From Home-page, or the project URL of that name.
    pub homepage: Option<String>,
    /// A version specifier.
    pub requires_python: Option<String>,
    /// Requirements, as written (PEP 508).
    pub requires_dist: Vec<String>,
    /// `py3-none-any` and so on.
    pub tags: Vec<String>,
    /// Names of the commands in `bin`, sorted.
    pub commands: Vec<String>,
}

impl WheelMetadata {
    /// Parses both files.
    pub(super) fn parse(metadata: &str, wheel: &str) -> Result<WheelMetadata, String> {
        let head = headers(metadata);
        let all = |name: &str| -> Vec<String> {
            head.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone()).collect()
        };
        let one = |name: &str| all(name).into_iter().next().filter(|v| !v.is_empty() && v != "UNKNOWN");
        let name = one("Name").ok_or("METADATA has no Name")?;
        let version = one("Version").ok_or("METADATA has no Version")?;
        let project_url = |label: &str| {
            all("Project-URL").into_iter().find_map(|url| {
                let (found, url) = url.split_once(',')?;
                found.trim().eq_ignore_ascii_case(label).then(|| url.trim().to_owned())
            })
        };
        let about = headers(wheel);
        let said = |name: &str| {
            about.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
        };
        // "A wheel installer should warn if Wheel-Version is greater than the version it supports, and must
        // fail if it has a greater major version."
        match said("Wheel-Version").map(|v| v.split('.').next().unwrap_or_default()) {
            Some("1") => {}
            Some(other) => {
                return Err(format!("Wheel-Version {}, but only 1.x is known", other.escape_debug()));
            }
            None => return Err("WHEEL has no Wheel-Version".to_owned()),
        }
        if !said("Root-Is-Purelib")
            .is_some_and(|v| v.eq_ignore_ascii_case("true") || v.eq_ignore_ascii_case("false"))
        {
            return Err("WHEEL: Root-Is-Purelib is neither true nor false".to_owned());
        }
        Ok(WheelMetadata {
            summary: one("Summary"),
            license_expression: one("License-Expression"),
            license: one("License").map(|l| l.lines().next().unwrap_or_default().trim().to_owned()),
            license_classifiers: all("Classifier")
                .into_iter()
                .filter(|c| c.starts_with("License ::"))
                .collect(),
            homepage: one("Home-page").or_else(|| project_url("homepage")),
            requires_python: one("Requires-Python"),
            requires_dist: all("Requires-Dist"),
            tags: about
                .iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case("Tag"))
                .map(|(_, v)| v.clone())
                .collect(),
            commands: Vec::new(),
            name,
            version,
        })
    }
}

/// The header of an e-mail message, up to the first empty line.
fn headers(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines().take_while(|l| !l.is_empty()) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = found.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            found.push((key.to_owned(), value.trim().to_owned()));
        }
    }
    found
}

/// A project's name for comparing: lower case, runs of `-`, `_` and `.` are one `-` (Names and
/// normalization).
pub(super) fn normal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEEL: &str = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n";

    #[test]
    fn the_fields_that_an_sbom_needs_are_read() {
        let text = "Metadata-Version: 2.4\nName: Jupyter_Hub\nVersion: 6.1.1\nLicense: BSD\n  more\nLicense-Expression: BSD-3-Clause\n\
            Classifier: License :: OSI Approved\nClassifier: Other\nProject-URL: Homepage, https://jupyter.org\nRequires-Dist: a>1\n\n\
            Name: not-this\n";
        let found = WheelMetadata::parse(text, WHEEL).unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("Jupyter_Hub", "6.1.1"));
        assert_eq!(found.license.as_deref(), Some("BSD"));
        assert_eq!(found.license_classifiers, ["License :: OSI Approved"]);
        assert_eq!(found.homepage.as_deref(), Some("https://jupyter.org"));
        assert_eq!(
            (found.requires_dist, found.tags),
            (vec!["a>1".to_owned()], vec!["py3-none-any".to_owned()])
        );
    }

    #[test]
    fn wheels_of_another_kind_are_refused() {
        let metadata = "Name: a\nVersion: 1\n";
        for wheel in [
            "",
            "Wheel-Version: 2.0\nRoot-Is-Purelib: true\n",
            "Wheel-Version: 1.0\n",
            "Wheel-Version: 1.9\nRoot-Is-Purelib: yes\n",
        ] {
            assert!(WheelMetadata::parse(metadata, wheel).is_err(), "{wheel}");
        }
        assert!(WheelMetadata::parse("Name: a\n", WHEEL).is_err());
        assert!(WheelMetadata::parse(metadata, WHEEL).is_ok());
    }

    #[test]
    fn names_are_compared_normalized() {
        assert_eq!(normal("Jupyter_-.Hub"), "jupyter-hub");
    }
}
