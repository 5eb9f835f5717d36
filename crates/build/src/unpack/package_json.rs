//! package.json, as far as an image needs it. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::path::clean;

/// What an npm package says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageJson {
    /// With its scope.
    pub name: String,
    /// A semantic version.
    pub version: String,
    /// Commands: name in `bin` → path in the package.
    pub bin: BTreeMap<String, String>,
}

impl PackageJson {
    /// Parses the file.
    pub(super) fn parse(text: &[u8]) -> Result<PackageJson, String> {
        // npm takes a byte order mark in its stride.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let json: Value = serde_json::from_slice(text).map_err(|e| format!("package.json: {e}"))?;
        let string = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
        let name = string("name").ok_or("package.json has no name")?;
        Ok(PackageJson {
            version: string("version").ok_or("package.json has no version")?,
            bin: bin(&name, json.get("bin"))?,
            name,
        })
    }
}

/// `bin` in its three forms, as npm reads it (npm-normalize-package-bin): of a name only what follows the last
/// slash counts. A path that leaves the package is an error here; npm cuts it short.
fn bin(package: &str, written: Option<&Value>) -> Result<BTreeMap<String, String>, String> {
    let base = |name: &str| name.rsplit(['/', '\\', ':']).next().unwrap_or_default().to_owned();
    let mut pairs = Vec::new();
    match written {
        Some(Value::String(path)) => pairs.push((base(package), path)),
        Some(Value::Object(all)) => {
            for (name, path) in all {
                if let Value::String(path) = path {
                    pairs.push((base(name), path));
                }
            }
        }
        Some(Value::Array(all)) => {
            for path in all {
                if let Value::String(path) = path {
                    pairs.push((base(path), path));
                }
            }
        }
        _ => {}
    }
    let mut bin = BTreeMap::new();
    for (name, path) in pairs {
        let what = |e: String| format!("package.json: bin: {e}");
        if matches!(name.as_str(), "" | "." | "..") || clean(name.as_bytes()).map_err(what)?.is_none() {
            return Err(what(format!("{} is no name of a command", name.escape_debug())));
        }
        let path = clean(path.trim_start_matches('/').as_bytes()).map_err(what)?;
        bin.insert(name, path.ok_or_else(|| what("a command without a file".to_owned()))?);
    }
    Ok(bin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Result<PackageJson, String> {
        PackageJson::parse(format!("{{\"name\": \"@scope/x\", \"version\": \"1.0.0\"{rest}}}").as_bytes())
    }

    #[test]
    fn commands_are_read_in_every_form() {
        for (written, expected) in [
            (r#", "bin": "./cli.js""#, vec![("x", "cli.js")]),
            (r#", "bin": {"a": "bin/a", "@s/b": "/bin/b.js"}"#, vec![("a", "bin/a"), ("b", "bin/b.js")]),
            (r#", "bin": ["bin/c"]"#, vec![("c", "bin/c")]),
            (r#", "bin": null"#, vec![]),
            ("", vec![]),
        ] {
            let found = parse(written).unwrap().bin;
            let found: Vec<_> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(found, expected, "{written}");
        }
    }

    #[test]
    fn commands_stay_in_their_folders() {
        for bin in [
            r#"{"..": "a"}"#,
            r#"{"a": "../../etc/passwd"}"#,
            r#"{"a\n": "a"}"#,
            r#"{"": "a"}"#,
            r#"{"a": "./"}"#,
        ] {
            assert!(parse(&format!(", \"bin\": {bin}")).is_err(), "{bin}");
        }
        assert_eq!(
            parse(r#", "bin": {"../../bin/sh": "a"}"#).unwrap().bin.keys().collect::<Vec<_>>(),
            ["sh"]
        );
    }

    #[test]
    fn what_is_no_package_json_is_refused() {
        assert!(PackageJson::parse(b"[]").is_err());
        assert!(PackageJson::parse(b"{").is_err());
    }
}
