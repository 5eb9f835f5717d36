//! Where Python packages come from: the indexes that are in force for uv, asked when the first page is needed.
//!
//! No index is known to the code. uv names them (`uv pip compile --emit-index-url`), with its configuration
//! files, environment and credentials taken into account; a setting of ours may replace them. Pages are read
//! once in a process.

pub mod credentials;
pub mod locate;
pub mod netrc;
pub mod simple;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use perijove_oci::http::redact;
use reqwest::Url;
use tokio::process::Command;
use tokio::sync::OnceCell;

pub use simple::IndexFile;

use self::credentials::Credentials;
use super::program::UV;
use crate::{Error, Fetcher, Result};

/// No project page is larger (64 MiB; the largest known is 15).
const MAX_PAGE: u64 = 64 << 20;

/// What is settled before any index is asked.
#[derive(Clone, Debug)]
pub struct IndexSettings {
    /// One index instead of those that uv names (`PERIJOVE_PYTHON_INDEX`, or perijove.toml).
    pub url: Option<String>,
    /// The folder whose uv configuration counts: the image's.
    pub folder: PathBuf,
    /// The uv program.
    pub uv: PathBuf,
}

impl IndexSettings {
    /// uv from PATH, and what it says in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        IndexSettings { url: None, folder: folder.into(), uv: PathBuf::from("uv") }
    }
}

/// What uv says about places, in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sources {
    /// Flat lists of files: folders (`file`) or pages.
    find_links: Vec<Url>,
    /// Indexes, each with a trailing `/`: the first that knows a project has all of its files.
    indexes: Vec<Url>,
}

type Files = Arc<Vec<IndexFile>>;

/// The indexes in force.
pub struct Index {
    fetcher: Fetcher,
    settings: IndexSettings,
    sources: OnceCell<Sources>,
    pages: Mutex<HashMap<String, Arc<OnceCell<Files>>>>,
}

impl Index {
    /// Asks nothing yet.
    pub fn new(fetcher: Fetcher, settings: IndexSettings) -> Self {
        Index { fetcher, settings, sources: OnceCell::new(), pages: Mutex::default() }
    }

    /// What fetches.
    pub fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// A uv command in the image's folder that sees the same indexes.
    pub fn uv(&self) -> Command {
        let mut command = UV.command(&self.settings.uv, &self.settings.folder);
        if let Some(url) = &self.settings.url {
            // By the environment: a command line can be read by every user of the machine.
            command.env("UV_DEFAULT_INDEX", url);
            for other in ["UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"] {
                command.env_remove(other);
            }
        }
        command
    }

    /// Every file that the places in force have for `project` (a normalised name); an error when none knows it.
    pub async fn files(&self, project: &str) -> Result<Files> {
        let cell = self.cell(project);
        cell.get_or_try_init(|| self.read(project)).await.cloned()
    }

    fn cell(&self, key: &str) -> Arc<OnceCell<Files>> {
        Arc::clone(
            self.pages.lock().unwrap_or_else(PoisonError::into_inner).entry(key.to_owned()).or_default(),
        )
    }

    async fn sources(&self) -> Result<&Sources> {
        self.sources
            .get_or_try_init(|| async {
                if let Some(url) = &self.settings.url {
                    let indexes =
                        vec![index_url(url, &self.settings.folder, "the setting PERIJOVE_PYTHON_INDEX")?];
                    return Ok(self.authorised(Sources { find_links: Vec::new(), indexes }).await);
                }
                let mut command = self.uv();
                command.args([
                    "pip",
                    "compile",
                    "--quiet",
                    "--no-header",
                    "--emit-index-url",
                    "--emit-find-links",
                    "-",
                ]);
                let hint =
                    "uv cannot tell which package index is in force: check uv.toml and the UV_ variables";
                let output = UV.output(command, hint).await?;
                Ok(self
                    .authorised(parse_sources(&String::from_utf8_lossy(&output), &self.settings.folder)?)
                    .await)
            })
            .await
    }

    /// The places with the credentials that uv would use for those that hold none.
    async fn authorised(&self, mut sources: Sources) -> Sources {
        let known = Credentials::of(&self.settings.folder);
        for url in sources.indexes.iter_mut().chain(&mut sources.find_links) {
            *url = known.put_into(url.clone()).await;
        }
        sources
    }

    async fn read(&self, project: &str) -> Result<Files> {
        let sources = self.sources().await?;
        let mut files = Vec::new();
        for place in &sources.find_links {
            let cell = self.cell(place.as_str());
            let all = cell.get_or_try_init(|| self.flat(place)).await?;
            files.extend(all.iter().filter(|f| belongs(&f.filename, project)).cloned());
        }
        for index in &sources.indexes {
            let url = index.join(&format!("{project}/")).map_err(|e| fetch_error(index, &e.to_string()))?;
            if let Some(page) = self.fetcher.page(&url, simple::ACCEPT, MAX_PAGE).await? {
                let mut base = page.url;
                if base.origin() == url.origin() && base.username().is_empty() {
                    let _ = base.set_username(url.username());
                    let _ = base.set_password(url.password());
                }
                files.extend(
                    simple::parse(&page.bytes, &page.kind, &base).map_err(|e| fetch_error(&url, &e))?,
                );
                return Ok(Arc::new(files));
            }
        }
        if files.is_empty() {
            let asked: Vec<String> = sources.indexes.iter().chain(&sources.find_links).map(redact).collect();
            return Err(Error::Refused {
                reason: format!(
                    "no package index in force has a project `{project}`: asked {}",
                    asked.join(", ")
                ),
                hint: "check the name, or name the right index in uv.toml or PERIJOVE_PYTHON_INDEX"
                    .to_owned(),
            });
        }
        Ok(Arc::new(files))
    }

    async fn flat(&self, place: &Url) -> Result<Files> {
        if let Ok(folder) = place.to_file_path() {
            return folder_files(&folder).map(Arc::new);
        }
        let page = self.fetcher.page(place, simple::ACCEPT, MAX_PAGE).await?;
        let page = page.ok_or_else(|| fetch_error(place, "the server answered 404 Not Found"))?;
        simple::parse(&page.bytes, &page.kind, place).map(Arc::new).map_err(|e| fetch_error(place, &e))
    }
}

fn belongs(file: &str, project: &str) -> bool {
    use super::wheels::filename::{WheelName, sdist_version};
    file.parse::<WheelName>().map_or_else(|_| sdist_version(file, project).is_some(), |w| w.name == project)
}

fn folder_files(folder: &Path) -> Result<Vec<IndexFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let path = entry.path();
        let (Ok(filename), Ok(url)) = (entry.file_name().into_string(), Url::from_file_path(&path)) else {
            continue;
        };
        let size = entry.metadata().ok().filter(std::fs::Metadata::is_file).map(|m| m.len());
        if size.is_some() {
            files.push(IndexFile { filename, url, sha256: None, size, requires_python: None, yanked: None });
        }
    }
    files.sort_by(|a, b| a.filename.cmp(&b.filename));
    Ok(files)
}

/// The places in `--index-url`, `--extra-index-url` and `--find-links` lines of uv's output. uv asks extra
/// indexes before the default one.
fn parse_sources(output: &str, folder: &Path) -> Result<Sources> {
    let (mut find_links, mut extra, mut default) = (Vec::new(), Vec::new(), Vec::new());
    for line in output.lines() {
        match line.split_once(char::is_whitespace).map(|(option, place)| (option, place.trim())) {
            Some(("--index-url", place)) => default.push(index_url(place, folder, "uv")?),
            Some(("--extra-index-url", place)) => extra.push(index_url(place, folder, "uv")?),
            Some(("--find-links", place)) => find_links.push(place_url(place, folder, "uv")?),
            _ => {}
        }
    }
    extra.append(&mut default);
    Ok(Sources { find_links, indexes: extra })
}

fn index_url(place: &str, folder: &Path, who: &str) -> Result<Url> {
    let mut url = place_url(place, folder, who)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::Refused {
            reason: format!("{who} names {} as a package index, which is not http or https", redact(&url)),
            hint: "name a folder of wheels as `find-links` in uv.toml instead".to_owned(),
        });
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn place_url(place: &str, folder: &Path, who: &str) -> Result<Url> {
    let parsed = match Url::parse(place) {
        Ok(url) => Ok(url),
        Err(_) => std::path::absolute(folder.join(place)).map_err(drop).and_then(Url::from_file_path),
    };
    parsed.map_err(|()| Error::Refused {
        reason: format!(
            "{who} names `{}` as a package index, which is not an address",
            super::program::without_credentials(place)
        ),
        hint: "check uv.toml, the UV_ variables and PERIJOVE_PYTHON_INDEX".to_owned(),
    })
}

fn fetch_error(url: &Url, reason: &str) -> Error {
    Error::Fetch {
        url: redact(url),
        reason: reason.to_owned(),
        hint: "is this the package index? check uv.toml, the UV_ variables, or PERIJOVE_PYTHON_INDEX"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uv_names_the_places() {
        let text = "--index-url http://me:s@127.0.0.1:1/simple\n--extra-index-url http://127.0.0.1:2/x/\n--find-links wheels dir\n\nsix==1\n";
        let sources = parse_sources(text, Path::new("/image")).unwrap();
        let show = |urls: &[Url]| urls.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(show(&sources.indexes), ["http://127.0.0.1:2/x/", "http://me:s@127.0.0.1:1/simple/"]);
        assert_eq!(show(&sources.find_links), ["file:///image/wheels%20dir"]);
    }

    #[test]
    fn odd_places_are_refused_without_their_secrets() {
        for place in ["--index-url ftp://me:s3cret@127.0.0.1/simple", "--index-url /srv/me"] {
            let error = parse_sources(place, Path::new("/image")).unwrap_err();
            assert!(error.to_string().contains("not http"), "{error}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }
}
