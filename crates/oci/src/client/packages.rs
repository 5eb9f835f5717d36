//! Deleting at ghcr.io. It answers 405 to every DELETE of the distribution-spec; GitHub's own interface deletes
//! instead ("Packages" of GitHub's REST API): whole versions, each a manifest with all of its tags.

use std::collections::BTreeSet;

use reqwest::header::ACCEPT;
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;

use super::Client;
use super::delete::Deleted;
use super::referrers::fallback_tag;
use super::request::refused;
use crate::auth::{Access, Credential};
use crate::content::Links;
use crate::error::{Error, Result};
use crate::http;
use crate::reference::Reference;

/// A registry whose packages are deleted by an interface of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packages {
    /// The registry's host.
    pub registry: String,
    /// Where the interface is.
    pub api: Url,
}

/// Versions a page, the most that GitHub gives.
const PAGE: usize = 100;

/// Pages that are read before a package is given up.
const PAGES: usize = 500;

/// The longest page that is read, in bytes.
const MAX_PAGE: usize = 8 << 20;

/// One manifest of a package.
#[derive(Clone, Debug, Deserialize)]
struct Version {
    id: u64,
    /// Its digest.
    name: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    container: Container,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    tags: Vec<String>,
}

impl Version {
    fn tags(&self) -> &[String] {
        &self.metadata.container.tags
    }
}

impl Packages {
    /// ghcr.io, by the address that GitHub's pipelines are told (`GITHUB_API_URL`).
    pub fn of_github(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let api = variable("GITHUB_API_URL").filter(|text| !text.is_empty());
        let api = api.unwrap_or_else(|| "https://api.github.com".to_owned());
        let api = Url::parse(&format!("{}/", api.trim_end_matches('/'))).ok()?;
        Some(Packages { registry: "ghcr.io".to_owned(), api })
    }
}

impl Client {
    /// Deletes the versions that `tags` name, each with the platforms' manifests and the referrers that only it
    /// needs. A version with a tag that is not among them stays, for its tags go together. The last tagged version
    /// of a package goes with the package, as GitHub wants it.
    pub(super) async fn delete_versions(
        &self,
        packages: &Packages,
        repo: &Reference,
        tags: &[String],
    ) -> Result<Vec<Deleted>> {
        let Some((package, mut versions)) = self.versions(packages, repo).await? else {
            return Ok(vec![Deleted::Absent; tags.len()]);
        };
        let mut all = Vec::with_capacity(tags.len());
        for tag in tags {
            all.push(self.delete_version(repo, &package, &mut versions, tag, tags).await?);
        }
        Ok(all)
    }

    /// The same for one tag; takes what is gone out of `versions`.
    async fn delete_version(
        &self,
        repo: &Reference,
        package: &Url,
        versions: &mut Vec<Version>,
        tag: &str,
        going: &[String],
    ) -> Result<Deleted> {
        let Some(tagged) = versions.iter().find(|version| version.tags().iter().any(|t| t == tag)) else {
            return Ok(Deleted::Absent);
        };
        if tagged.tags().iter().any(|other| other != tag && !going.contains(other)) {
            return Ok(Deleted::Shared);
        }
        let below = self.below(repo, versions, tagged).await?;
        let gone: Vec<u64> = std::iter::once(tagged).chain(below).map(|version| version.id).collect();
        for (at, id) in gone.iter().enumerate() {
            match self.ask(Method::DELETE, repo, &join(package, &format!("versions/{id}"))?).await {
                Ok(_) => versions.retain(|version| version.id != *id),
                // "You cannot delete the last tagged version of a package. You must delete the package instead."
                Err(Error::Refused(no)) if at == 0 && no.status == 400 && no.message.contains("last") => {
                    self.ask(Method::DELETE, repo, package).await?;
                    versions.clear();
                    break;
                }
                Err(other) => return Err(other),
            }
        }
        Ok(Deleted::Manifest)
    }

    /// The address of the repository's package, and its versions; `None` where there is no such package.
    async fn versions(&self, packages: &Packages, repo: &Reference) -> Result<Option<(Url, Vec<Version>)>> {
        let (owner, name) = repo.repository.split_once('/').unwrap_or(("", &repo.repository));
        let name = name.replace('/', "%2F");
        // Whether the owner is an organization or a user is not in the name.
        for kind in ["orgs", "users"] {
            let package = join(&packages.api, &format!("{kind}/{owner}/packages/container/{name}"))?;
            let mut all = Vec::new();
            for page in 1..=PAGES {
                let url = join(&package, &format!("versions?per_page={PAGE}&page={page}"))?;
                let Some(answer) = self.ask(Method::GET, repo, &url).await? else { break };
                let body = self.body(answer, MAX_PAGE).await.map_err(|e| Error::transport(&url, &e))?;
                let body = body.ok_or_else(|| Error::answer(&url, "the list of versions is too large"))?;
                let versions: Vec<Version> = serde_json::from_slice(&body)
                    .map_err(|e| Error::answer(&url, format!("not a list of versions: {e}")))?;
                let last = versions.len() < PAGE;
                all.extend(versions);
                if last {
                    return Ok(Some((package, all)));
                }
            }
        }
        Ok(None)
    }

    /// What only `tagged` needs: the manifests of its platforms, and what refers to it or to them.
    async fn below<'v>(
        &self,
        repo: &Reference,
        versions: &'v [Version],
        tagged: &Version,
    ) -> Result<Vec<&'v Version>> {
        let mut ours = self.children(repo, &tagged.name).await?;
        for version in versions.iter().filter(|v| v.name != tagged.name && is_image(v)) {
            for child in self.children(repo, &version.name).await? {
                ours.remove(&child);
            }
        }
        // Referrers are listed under a tag that is made of the digest: ghcr.io has no other list of them.
        let mut tags = BTreeSet::new();
        for digest in ours.iter().chain([&tagged.name]) {
            tags.extend(digest.parse().ok().map(|digest| fallback_tag(&digest)));
        }
        let lists = |v: &&Version| !v.tags().is_empty() && v.tags().iter().all(|t| tags.contains(t));
        let lists: Vec<&Version> = versions.iter().filter(lists).collect();
        for list in &lists {
            ours.extend(self.children(repo, &list.name).await?);
            ours.insert(list.name.clone());
        }
        let goes = |v: &&Version| ours.contains(&v.name) && v.tags().iter().all(|t| tags.contains(t));
        Ok(versions.iter().filter(goes).collect())
    }

    /// The digests that an index lists.
    async fn children(&self, repo: &Reference, digest: &str) -> Result<BTreeSet<String>> {
        let Ok(digest) = digest.parse() else { return Ok(BTreeSet::new()) };
        let reference = Reference { tag: None, digest: Some(digest), ..repo.clone() };
        let Some(manifest) = self.manifest(&reference).await? else { return Ok(BTreeSet::new()) };
        let links = Links::read(&reference, &manifest.bytes)?;
        Ok(links.manifests.into_iter().map(|child| child.digest.to_string()).collect())
    }

    /// A request with the registry's credentials; `None` for 404.
    async fn ask(&self, method: Method, repo: &Reference, url: &Url) -> Result<Option<Response>> {
        let access = Access::delete(&repo.registry, &repo.repository);
        let secret = match self.0.auth.credential(&access).await? {
            Some(
                Credential::Password { password: secret, .. }
                | Credential::Identity(secret)
                | Credential::Bearer(secret),
            ) => Some(secret),
            None => None,
        };
        let make = || {
            let request = self.0.http.to(url).request(method.clone(), url.clone());
            let request = request.header(ACCEPT, "application/vnd.github+json");
            match &secret {
                Some(secret) => request.bearer_auth(secret),
                None => request,
            }
        };
        let answer = http::send(make).await.map_err(|e| Error::transport(url, &e))?;
        match answer.status() {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(Some(answer)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refused(method.as_str(), url, answer).await),
        }
    }
}

/// Whether a version is an image that somebody pulls by tag, and no list of referrers.
fn is_image(version: &Version) -> bool {
    version.tags().iter().any(|tag| !tag.starts_with("sha256-"))
}

fn join(base: &Url, rest: &str) -> Result<Url> {
    let base_with_slash = format!("{}/", base.as_str().trim_end_matches('/'));
    let joined = Url::parse(&base_with_slash).and_then(|base| base.join(rest));
    joined.map_err(|e| Error::answer(base, e.to_string()))
}
