//! The credentials that uv has for an index besides those in its address, which are all that it tells: those of a
//! named index in the environment (`UV_INDEX_NAME_USERNAME`, `…_PASSWORD`), netrc, and the `keyring` program where
//! uv is told to ask it (uv documentation, "Authentication", "Indexes").

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::netrc;
use crate::lock::program::Program;

/// A keyring that waits for somebody at a screen is left after this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

const KEYRING: Program =
    Program { name: "keyring", get: "install keyring, or set UV_KEYRING_PROVIDER=disabled" };

/// Where credentials may be found.
pub struct Credentials {
    /// Name and address of the indexes that have a name.
    named: Vec<(String, String)>,
    netrc: Option<String>,
    keyring: bool,
}

/// As much of `uv.toml`, or of `tool.uv` in `pyproject.toml`, as is needed here.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Settings {
    index: Vec<NamedIndex>,
    keyring_provider: Option<String>,
}

#[derive(Deserialize)]
struct NamedIndex {
    name: Option<String>,
    url: String,
}

#[derive(Deserialize)]
struct Project {
    tool: Option<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    uv: Option<Settings>,
}

impl Credentials {
    /// What uv would know in `folder`.
    pub fn of(folder: &Path) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let files = match (variable("UV_NO_CONFIG"), variable("UV_CONFIG_FILE")) {
            (Some(_), _) => Vec::new(),
            (None, Some(file)) => vec![PathBuf::from(file)],
            (None, None) => settings_files(folder, variable("XDG_CONFIG_HOME").map(PathBuf::from)),
        };
        let settings: Vec<Settings> = files.iter().filter_map(|path| read(path)).collect();
        let mut named: Vec<(String, String)> = Vec::new();
        for name in ["UV_INDEX", "UV_DEFAULT_INDEX"] {
            let all = variable(name).unwrap_or_default();
            named.extend(
                all.split_whitespace()
                    .filter_map(|index| index.split_once('='))
                    .map(|(name, url)| (name.to_owned(), url.to_owned())),
            );
        }
        for index in settings.iter().flat_map(|settings| &settings.index) {
            named.extend(index.name.iter().map(|name| (name.clone(), index.url.clone())));
        }
        let provider = variable("UV_KEYRING_PROVIDER")
            .or_else(|| settings.iter().find_map(|settings| settings.keyring_provider.clone()));
        Credentials {
            // `word=…` before an address without a name may be part of its query.
            named: named.into_iter().filter(|(name, _)| !name.contains(':')).collect(),
            netrc: netrc::location().and_then(|path| std::fs::read_to_string(path).ok()),
            keyring: provider.is_some_and(|provider| provider == "subprocess"),
        }
    }

    /// `url` with its credentials, unless it holds a password already or none are known.
    pub async fn put_into(&self, url: Url) -> Url {
        let mut url = self.of_name(url, |name| std::env::var(name).ok());
        if let Some(netrc) = &self.netrc {
            url = netrc::with_credentials(url, netrc);
        }
        if self.keyring && !url.username().is_empty() && url.password().is_none() {
            let plain = without_user(&url).to_string();
            let host = url.host_str().unwrap_or_default();
            let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
            for service in [plain.trim_end_matches('/'), &host] {
                if let Some(password) = keyring(service, url.username()).await {
                    let _ = url.set_password(Some(&password));
                    break;
                }
            }
        }
        url
    }

    fn of_name(&self, mut url: Url, variable: impl Fn(&str) -> Option<String>) -> Url {
        if url.password().is_some() {
            return url;
        }
        let plain = without_user(&url);
        let same = |other: &str| {
            let other = other.parse::<Url>().ok();
            other.is_some_and(|other| trimmed(&without_user(&other)) == trimmed(&plain))
        };
        if let Some((name, _)) = self.named.iter().find(|(_, address)| same(address)) {
            let name: String = name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
                .collect();
            if let Some(user) = variable(&format!("UV_INDEX_{name}_USERNAME")) {
                let _ = url.set_username(&user);
            }
            if let Some(password) = variable(&format!("UV_INDEX_{name}_PASSWORD")) {
                let _ = url.set_password(Some(&password));
            }
        }
        url
    }
}

/// The settings that count in `folder`, the nearest first: of the folders above it the first that has some, the
/// user's, the machine's.
fn settings_files(folder: &Path, config: Option<PathBuf>) -> Vec<PathBuf> {
    let candidates = |folder: &Path| ["uv.toml", "pyproject.toml"].map(|name| folder.join(name));
    let nearest = folder.ancestors().flat_map(candidates).find(|path| read(path).is_some());
    let config = config.or_else(|| std::env::home_dir().map(|home| home.join(".config")));
    nearest
        .into_iter()
        .chain(config.map(|config| config.join("uv/uv.toml")))
        .chain(["/etc/uv/uv.toml".into()])
        .collect()
}

/// The settings in a file; `None` where there are none. uv itself says what is wrong in one that it cannot read.
fn read(path: &Path) -> Option<Settings> {
    let text = std::fs::read_to_string(path).ok()?;
    if path.file_name().is_some_and(|name| name == "pyproject.toml") {
        return toml::from_str::<Project>(&text).ok()?.tool?.uv;
    }
    toml::from_str(&text).ok()
}

/// The password that `keyring get` prints, if it has one.
async fn keyring(service: &str, user: &str) -> Option<String> {
    let mut command = KEYRING.command(Path::new("keyring"), Path::new("."));
    command.args(["get", service, user]);
    let output = tokio::time::timeout(ANSWER_WITHIN, KEYRING.output(command, "")).await.ok()?.ok()?;
    let password = String::from_utf8(output).ok()?.lines().next()?.to_owned();
    (!password.is_empty()).then_some(password)
}

fn without_user(url: &Url) -> Url {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

fn trimmed(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_index_has_its_variables() {
        let known = Credentials {
            named: vec![("my-own.2".to_owned(), "https://a.test/simple".to_owned())],
            netrc: None,
            keyring: false,
        };
        let variable = |name: &str| match name {
            "UV_INDEX_MY_OWN_2_USERNAME" => Some("me".to_owned()),
            "UV_INDEX_MY_OWN_2_PASSWORD" => Some("s p".to_owned()),
            _ => None,
        };
        for (url, expected) in [
            ("https://a.test/simple/", "https://me:s%20p@a.test/simple/"),
            ("https://you:own@a.test/simple/", "https://you:own@a.test/simple/"),
            ("https://a.test/other/", "https://a.test/other/"),
        ] {
            assert_eq!(known.of_name(url.parse().unwrap(), variable).as_str(), expected);
        }
    }

    #[test]
    fn the_nearest_settings_count_first() {
        let root = tempfile::tempdir().unwrap();
        let image = root.path().join("images/app");
        std::fs::create_dir_all(&image).unwrap();
        std::fs::write(image.join("pyproject.toml"), "[project]\nname = \"x\"\n").unwrap();
        let project =
            "[tool.uv]\nkeyring-provider = \"subprocess\"\n[[tool.uv.index]]\nurl = \"https://a.test/\"\n";
        std::fs::write(root.path().join("pyproject.toml"), project).unwrap();
        let files = settings_files(&image, Some("/config".into()));
        assert_eq!(files[0], root.path().join("pyproject.toml"), "the image's own says nothing of uv");
        assert_eq!(files[1..], [PathBuf::from("/config/uv/uv.toml"), PathBuf::from("/etc/uv/uv.toml")]);
        let settings = read(&files[0]).unwrap();
        assert_eq!(settings.keyring_provider.as_deref(), Some("subprocess"));
        assert_eq!(
            (settings.index[0].url.as_str(), settings.index[0].name.as_deref()),
            ("https://a.test/", None)
        );
    }
}
