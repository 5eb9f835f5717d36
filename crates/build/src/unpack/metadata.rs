//! METADATA and WHEEL, a wheel's words about itself (Core metadata; binary distribution format). Pure.

/// What a wheel says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WheelMetadata {
    /// As written in METADATA.
    pub name: String,
    /// As written in METADATA.
    pub version: String,
    /// Names of the commands in `bin`, sorted.
    pub commands: Vec<String>,
}

impl WheelMetadata {
    /// Parses both files.
    pub(super) fn parse(metadata: &str, wheel: &str) -> Result<WheelMetadata, String> {
        let head = headers(metadata);
        let one = |name: &str| {
            let value = head.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
            value.filter(|v| !v.is_empty() && v != "UNKNOWN")
        };
        let name = one("Name").ok_or("METADATA has no Name")?;
        let version = one("Version").ok_or("METADATA has no Version")?;
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
        Ok(WheelMetadata { name, version, commands: Vec::new() })
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
    fn the_header_ends_at_the_first_empty_line() {
        let text = "Metadata-Version: 2.4
Summary: a
  Version: 2
name: Jupyter_Hub
Version: 6.1.1

Name: not-this
";
        let found = WheelMetadata::parse(text, WHEEL).unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("Jupyter_Hub", "6.1.1"));
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
