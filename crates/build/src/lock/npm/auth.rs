//! The credentials that npm's own configuration has for a registry (npm documentation, "npmrc", "Auth related
//! configuration"). npm tells them to nobody (`npm config get` calls them protected), so they are read where npm
//! says that its files lie. Pure but for [`Npmrc::read`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::HeaderValue;

/// The settings of all files and of the environment that belong to an address: `//host/path/:key` → value.
#[derive(Default)]
pub struct Npmrc {
    settings: BTreeMap<String, String>,
}

impl Npmrc {
    /// Reads `files`, of which the first counts most, below what `environment` says. A file that may not be read is
    /// no file: the registry then says that it wants credentials.
    pub fn read(files: &[PathBuf], environment: impl Iterator<Item = (String, String)>) -> Self {
        let environment: BTreeMap<String, String> = environment.collect();
        let mut npmrc = Npmrc::default();
        for text in files.iter().rev().filter_map(|path| std::fs::read_to_string(path).ok()) {
            npmrc.add(&text, &|name| environment.get(name).cloned());
        }
        for (name, value) in &environment {
            let setting = name.get(..11).filter(|start| start.eq_ignore_ascii_case("npm_config_"));
            if let Some(setting) = setting.and_then(|_| name.get(11..)).filter(|s| s.starts_with("//")) {
                npmrc.settings.insert(setting.to_owned(), value.clone());
            }
        }
        npmrc
    }

    fn add(&mut self, text: &str, variable: &dyn Fn(&str) -> Option<String>) {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
        for (key, value) in lines.filter_map(|line| line.split_once('=')) {
            let (key, value) = (key.trim(), value.trim());
            let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            if key.starts_with("//") {
                self.settings.insert(expand(key, variable), expand(quoted.unwrap_or(value), variable));
            }
        }
    }

    /// The `Authorization` of requests below `registry`: what is said for the longest part of its path. A token
    /// counts more than `username` and `_password`, these more than `_auth`, as npm has it.
    pub fn authorization(&self, registry: &Url) -> Option<HeaderValue> {
        let host = registry.host_str()?;
        let port = registry.port().map_or(String::new(), |port| format!(":{port}"));
        let mut path = registry.path().trim_end_matches('/');
        loop {
            let scope = format!("//{host}{port}{path}/");
            if let Some(found) = self.said(&scope).or_else(|| self.said(scope.trim_end_matches('/'))) {
                let mut header = HeaderValue::from_str(&found).ok()?;
                header.set_sensitive(true);
                return Some(header);
            }
            path = path.rsplit_once('/')?.0;
        }
    }

    fn said(&self, scope: &str) -> Option<String> {
        let get = |key: &str| self.settings.get(&format!("{scope}:{key}")).filter(|value| !value.is_empty());
        if let Some(token) = get("_authToken") {
            return Some(format!("Bearer {token}"));
        }
        if let (Some(user), Some(password)) = (get("username"), get("_password")) {
            let password = STANDARD.decode(password).ok()?;
            let both = [user.as_bytes(), b":", &password].concat();
            return Some(format!("Basic {}", STANDARD.encode(both)));
        }
        get("_auth").map(|auth| format!("Basic {auth}"))
    }
}

/// `text` with `${NAME}` replaced; of a name that is not set it stays as it is, as npm leaves it, but for
/// `${NAME?}`, which is nothing then.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, name, after)) = rest
        .split_once("${")
        .and_then(|(before, tail)| tail.split_once('}').map(|(n, after)| (before, n, after)))
    {
        out.push_str(before);
        let bare = name.strip_suffix('?');
        match variable(bare.unwrap_or(name)) {
            Some(value) => out.push_str(&value),
            None if bare.is_some() => {}
            None => out.push_str(&format!("${{{name}}}")),
        }
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `npmrc` as the user's file below `project`, and two variables.
    fn npmrc(project: &str, user: &str) -> Npmrc {
        let folder = tempfile::tempdir().unwrap();
        let files = ["project", "user"].map(|name| folder.path().join(name));
        std::fs::write(&files[0], project).unwrap();
        std::fs::write(&files[1], user).unwrap();
        let environment = [("TOKEN", "t0"), ("NPM_CONFIG_//env.test/:_authToken", "t1")];
        Npmrc::read(&files, environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn the_longest_path_that_has_something_counts() {
        let files = npmrc(
            "; mine\n//a.test/deep/:_authToken=d\n//a.test:8080/:_authToken = ${TOKEN}\n//other.test/:_auth=bWU6cw==\n",
            "registry=https://a.test/\n//a.test/:_authToken=\"root\"\n//a.test/deep/:_authToken=old\n\
             //two.test/npm/:username=me\n//two.test/npm/:_password=cDpx\n//bad.test/:_authToken=${NONE?}\n_auth=bWU6cw==\n",
        );
        for (registry, header) in [
            ("https://a.test/", Some("Bearer root")),
            ("https://a.test/deep/", Some("Bearer d")),
            ("https://a.test/deep/er", Some("Bearer d")),
            ("https://a.test/deeper/", Some("Bearer root")),
            ("http://a.test:8080/x/", Some("Bearer t0")),
            ("https://other.test", Some("Basic bWU6cw==")),
            ("https://two.test/npm/", Some("Basic bWU6cDpx")),
            ("https://two.test/", None),
            ("https://env.test/", Some("Bearer t1")),
            ("https://bad.test/", None),
            ("https://none.test/", None),
        ] {
            let found = files.authorization(&registry.parse().unwrap());
            assert_eq!(found.as_ref().map(|h| h.to_str().unwrap()), header, "{registry}");
        }
        let found = files.authorization(&"https://a.test/".parse().unwrap()).unwrap();
        assert!(!format!("{found:?}").contains("root"), "it is not shown");
    }

    #[test]
    fn variables_are_put_in() {
        let variable = |name: &str| (name == "A").then(|| "x".to_owned());
        for (text, expected) in
            [("${A}b${A}", "xbx"), ("${B}", "${B}"), ("a${B?}c", "ac"), ("${A", "${A"), ("", "")]
        {
            assert_eq!(expand(text, &variable), expected);
        }
    }
}
