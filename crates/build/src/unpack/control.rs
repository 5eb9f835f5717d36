//! A Debian package's control file (policy, chapter 5), and its entry in `var/lib/dpkg/status.d`. Pure.

use super::path::clean;
use super::slim::{Fate, fate, place};

/// What a package says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Binary package.
    pub package: String,
    /// Its version, with epoch and revision.
    pub version: String,
    /// `amd64`, `arm64`, `all`.
    pub architecture: String,
}

impl Control {
    /// Parses the text of `control`: one paragraph.
    pub(super) fn parse(text: &str) -> Result<Control, String> {
        let fields = fields(text)?;
        let get = |name: &str| {
            let found = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.lines().next().unwrap_or_default().trim().to_owned())
        };
        let need = |name: &str| get(name).filter(|v| !v.is_empty()).ok_or(format!("no field {name}"));
        let package = need("Package")?;
        if !is_package(&package) {
            return Err(format!("Package: {} is no package name", package.escape_debug()));
        }
        let version = need("Version")?;
        Ok(Control { package, version, architecture: need("Architecture")? })
    }
}

/// Policy 5.6.7: two characters or more; lower case letters, digits, `+`, `-` and `.`; begins with a letter
/// or digit. The name becomes a file's name, so nothing else may be in it.
fn is_package(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

/// `Field: value` lines of one paragraph, continuation lines (indented) with their newline.
pub(super) fn fields(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for (number, line) in text.trim_matches('\n').lines().enumerate() {
        if line.starts_with([' ', '\t']) {
            let Some((_, value)) = fields.last_mut() else {
                return Err(format!("line {}: a continuation of nothing", number + 1));
            };
            value.push('\n');
            value.push_str(line);
        } else if !line.starts_with('#') {
            let Some((key, value)) = line.split_once(':') else {
                return Err(format!("line {}: no field", number + 1));
            };
            fields.push((key.to_owned(), value.trim().to_owned()));
        }
    }
    Ok(fields)
}

/// The paragraph as `dpkg` keeps it of an installed package: `Status` after `Package`.
pub(super) fn status(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 40);
    for line in text.trim_matches('\n').lines() {
        out.push_str(line);
        out.push('\n');
        if line.get(..8).is_some_and(|field| field.eq_ignore_ascii_case("package:")) {
            out.push_str("Status: install ok installed\n");
        }
    }
    out
}

/// The package's `md5sums` without what is left out, with the names that the files have in the image.
/// Lines that are none stay away: the file is for scanners, which take it as the list of files.
pub(super) fn md5sums(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let Some((sum, name)) = line.split_once("  ") else { continue };
        let Ok(Some(path)) = clean(name.as_bytes()) else { continue };
        let path = place(&path);
        if sum.len() == 32 && sum.bytes().all(|b| b.is_ascii_hexdigit()) && fate(&path, false) == Fate::Keep {
            out.push_str(sum);
            out.push_str("  ");
            out.push_str(&path);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIBC: &str = "Package: libc6\nSource: glibc (2.41-12)\nVersion: 2.41-12+b1\nArchitecture: amd64\n\
        Maintainer: GNU Libc Maintainers <glibc@example.org>\nSection: libs\n\
        Description: GNU C Library: Shared libraries\n Contains the standard libraries.\n .\n More.\n";

    #[test]
    fn a_paragraph_is_read() {
        let control = Control::parse(LIBC).unwrap();
        assert_eq!((control.package.as_str(), control.version.as_str()), ("libc6", "2.41-12+b1"));
        assert_eq!(control.architecture, "amd64");
        assert!(
            Control::parse(
                "package: tini
version: 1
architecture: amd64
"
            )
            .is_ok()
        );
    }

    #[test]
    fn names_that_would_lead_elsewhere_are_refused() {
        for name in ["../x", "a/b", "A", "x", "", ".x", "a b", "é1"] {
            let text = format!("Package: {name}\nVersion: 1\nArchitecture: all\n");
            assert!(Control::parse(&text).is_err(), "{name}");
        }
        assert!(Control::parse("Package: tini\nVersion: 1\n").unwrap_err().contains("Architecture"));
        assert!(Control::parse(" x\n").is_err());
        assert!(Control::parse("x\n").is_err());
    }

    #[test]
    fn the_status_has_one_more_line() {
        let expected = LIBC.replacen("libc6\n", "libc6\nStatus: install ok installed\n", 1);
        assert_eq!(status(&format!("\n{LIBC}\n\n")), expected);
    }

    #[test]
    fn sums_follow_the_files() {
        let sum = "0123456789abcdef0123456789abcdef";
        let text = format!(
            "{sum}  bin/sh\n{sum}  usr/share/man/x\n{sum}  usr/share/doc/x/copyright\nbroken\n{sum}  ../x\n"
        );
        assert_eq!(md5sums(&text), format!("{sum}  usr/bin/sh\n{sum}  usr/share/doc/x/copyright\n"));
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer(text in "\\PC{0,80}|(?s:.{0,80})") {
            let _ = Control::parse(&text);
            let _ = md5sums(&text);
            let _ = status(&text);
        }
    }
}
