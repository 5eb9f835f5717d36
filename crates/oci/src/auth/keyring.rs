//! Where credentials come from: the files of podman (containers-auth.json(5)) and docker (config.json), and
//! the helpers that they name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use base64::Engine as _;
use serde::Deserialize;

use super::helper;
use crate::error::{Error, Result};

/// A credential. Its `Debug` tells the kind, never the value.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user's name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// An OAuth2 refresh token (`identitytoken`).
    Identity(String),
    /// A token that is sent to the registry as it is (`registrytoken`).
    Bearer(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credential::Password { .. } => "Password(…)",
            Credential::Identity(_) => "Identity(…)",
            Credential::Bearer(_) => "Bearer(…)",
        })
    }
}

/// The auth files, in the order they are asked.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    files: Vec<PathBuf>,
    /// The user named the file, so it has to be there.
    required: bool,
    /// `PATH`, where helpers are looked for; without it, this process's own.
    path: Option<OsString>,
}

/// docker's `config.json` and podman's `auth.json`, as far as credentials go.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct AuthFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl Keyring {
    /// The files that these environment variables name: `REGISTRY_AUTH_FILE` alone, or podman's
    /// (`$XDG_RUNTIME_DIR/containers`, `~/.config/containers`) and docker's (`$DOCKER_CONFIG`, `~/.docker`).
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let folder = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let path = variable("PATH");
        if let Some(file) = folder("REGISTRY_AUTH_FILE") {
            return Keyring { files: vec![file], required: true, path };
        }
        let home = folder("HOME");
        let config = folder("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
        let docker = folder("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
        let files = [
            folder("XDG_RUNTIME_DIR").map(|d| d.join("containers/auth.json")),
            config.map(|d| d.join("containers/auth.json")),
            docker.map(|d| d.join("config.json")),
        ];
        Keyring { files: files.into_iter().flatten().collect(), required: false, path }
    }

    /// A keyring of this file alone, which has to be there.
    pub fn of_file(file: impl Into<PathBuf>) -> Self {
        Keyring { files: vec![file.into()], required: true, path: None }
    }

    /// The credential for `repository` at `registry`: of the first file that has one.
    pub async fn find(&self, registry: &str, repository: &str) -> Result<Option<Credential>> {
        for path in &self.files {
            let place = path.display().to_string();
            let error = |reason: String| Error::Credentials { place: place.clone(), reason };
            let bytes = match tokio::fs::read(path).await {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && !self.required => continue,
                Err(e) => return Err(error(e.to_string())),
            };
            // Not serde's own text: it quotes what it stumbles over, and that may be a password.
            let file: AuthFile = serde_json::from_slice(&bytes)
                .map_err(|e| error(format!("not an auth file (line {}, column {})", e.line(), e.column())))?;
            let found = file.find(registry, repository, &error)?;
            let found = match found {
                Found::Entry(credential) => Some(credential),
                Found::Helper(name) => helper::get(&name, &server_of(registry), self.path.as_deref()).await?,
                Found::Nothing => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

#[derive(Debug, PartialEq)]
enum Found {
    Entry(Credential),
    Helper(String),
    Nothing,
}

impl AuthFile {
    /// `credHelpers` of the registry, then the most specific of `auths` that holds anything, then `credsStore`.
    fn find(&self, registry: &str, repository: &str, error: &dyn Fn(String) -> Error) -> Result<Found> {
        let registry = normal(registry);
        if let Some((_, name)) = self.cred_helpers.iter().find(|(key, _)| normal(key) == registry) {
            return Ok(Found::Helper(name.clone()));
        }
        let mut scope = format!("{registry}/{repository}");
        loop {
            for (_, entry) in self.auths.iter().filter(|(key, _)| normal(key) == scope) {
                if let Some(credential) = entry.credential(&scope, error)? {
                    return Ok(Found::Entry(credential));
                }
            }
            match scope.rsplit_once('/') {
                Some((shorter, _)) => scope.truncate(shorter.len()),
                None => break,
            }
        }
        Ok(if self.creds_store.is_empty() { Found::Nothing } else { Found::Helper(self.creds_store.clone()) })
    }
}

impl Entry {
    /// docker leaves `{}` where the credential is in `credsStore`.
    fn credential(&self, key: &str, error: &dyn Fn(String) -> Error) -> Result<Option<Credential>> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::Identity(self.identitytoken.clone())));
        }
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credential::Bearer(self.registrytoken.clone())));
        }
        if self.auth.is_empty() {
            let given = !self.username.is_empty();
            return Ok(given.then(|| Credential::Password {
                user: self.username.clone(),
                password: self.password.clone(),
            }));
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(self.auth.trim()).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        // docker pads the decoded text with NULs at times.
        match text.as_deref().and_then(|t| t.trim_end_matches('\0').split_once(':')) {
            Some((user, password)) => {
                Ok(Some(Credential::Password { user: user.to_owned(), password: password.to_owned() }))
            }
            None => Err(error(format!("`auth` of {key} is not base64 of user:password"))),
        }
    }
}

/// The key without scheme, API version and docker.io's other names: docker writes `https://index.docker.io/v1/`.
fn normal(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let key = match bare {
        Some(bare) => bare.split('/').next().unwrap_or(bare),
        None => key.trim_end_matches('/'),
    };
    let (host, rest) = key.find('/').map_or((key, ""), |at| key.split_at(at));
    match host {
        "index.docker.io" | "registry-1.docker.io" => match rest {
            "/v1" | "/v2" => "docker.io".to_owned(),
            rest => format!("docker.io{rest}"),
        },
        _ => key.to_owned(),
    }
}

/// What a helper is asked for.
fn server_of(registry: &str) -> String {
    match registry {
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "auths": {
            "r.example": {"auth": "aG9zdDpvbmU="},
            "r.example/team": {"username": "team", "password": "two"},
            "r.example/team/app": {"identitytoken": "three"},
            "https://index.docker.io/v1/": {"auth": "aHViOmZvdXI6NQAA"},
            "empty.example": {},
            "broken.example": {"auth": "c2VjcmV0"},
            "http://plain.example:5000/v2/": {"registrytoken": "six"}
        },
        "credHelpers": {"helped.example": "site"},
        "credsStore": "keychain",
        "HttpHeaders": {"X": "y"}
    }"#;

    fn password(user: &str, password: &str) -> Found {
        Found::Entry(Credential::Password { user: user.to_owned(), password: password.to_owned() })
    }

    #[test]
    fn the_most_specific_key_wins() {
        let file: AuthFile = serde_json::from_str(FILE).unwrap();
        let error = |reason: String| Error::Credentials { place: "f".to_owned(), reason };
        for (registry, repository, found) in [
            ("r.example", "other", password("host", "one")),
            ("r.example", "teamwork", password("host", "one")),
            ("r.example", "team/other", password("team", "two")),
            ("r.example", "team/app", Found::Entry(Credential::Identity("three".to_owned()))),
            ("r.example", "team/app/sub", Found::Entry(Credential::Identity("three".to_owned()))),
            ("docker.io", "library/debian", password("hub", "four:5")),
            ("plain.example:5000", "a", Found::Entry(Credential::Bearer("six".to_owned()))),
            ("plain.example", "a", Found::Helper("keychain".to_owned())),
            ("empty.example", "a", Found::Helper("keychain".to_owned())),
            ("helped.example", "a", Found::Helper("site".to_owned())),
        ] {
            assert_eq!(file.find(registry, repository, &error).unwrap(), found, "{registry}/{repository}");
        }
        let broken = file.find("broken.example", "a", &error).unwrap_err().to_string();
        assert!(broken.contains("broken.example") && !broken.contains("secret") && !broken.contains("c2Vj"));
    }

    #[test]
    fn files_in_their_order() {
        let env = |pairs: &'static [(&'static str, &'static str)]| {
            let ring = Keyring::from_environment(|name| {
                pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v))
            });
            ring.files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(env(&[("REGISTRY_AUTH_FILE", "/a"), ("HOME", "/h")]), ["/a"]);
        assert_eq!(
            env(&[("XDG_RUNTIME_DIR", "/run/1"), ("HOME", "/h")]),
            ["/run/1/containers/auth.json", "/h/.config/containers/auth.json", "/h/.docker/config.json"]
        );
        assert_eq!(env(&[("DOCKER_CONFIG", "/d"), ("REGISTRY_AUTH_FILE", "")]), ["/d/config.json"]);
    }

    #[tokio::test]
    async fn a_named_file_must_be_there_and_readable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.json");
        assert!(Keyring::of_file(&path).find("r.example", "a").await.is_err());
        std::fs::write(&path, r#"{"auths": "hunter2"}"#).unwrap();
        let error = Keyring::of_file(&path).find("r.example", "a").await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert!(error.hint().is_some());
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(Keyring::of_file(&path).find("r.example", "a").await.unwrap(), None);
    }

    #[test]
    fn debug_hides_the_value() {
        for credential in [
            Credential::Password { user: "u".to_owned(), password: "hunter2".to_owned() },
            Credential::Identity("hunter2".to_owned()),
            Credential::Bearer("hunter2".to_owned()),
        ] {
            assert!(!format!("{credential:?}").contains("hunter2"));
        }
    }
}
