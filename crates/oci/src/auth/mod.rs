//! Credentials and tokens: what a request to a registry carries in `Authorization`.
//!
//! The first request goes without; the registry's `WWW-Authenticate` says what it wants (Basic, or Bearer and
//! where tokens are had) and is remembered, so that later requests, uploads above all, come with it at once.
//! A token is kept for each set of scopes until it expires or the registry refuses it.

pub mod challenge;
pub mod helper;
pub mod keyring;
mod token;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use crate::client::Route;
use crate::error::{Error, Result};
pub use keyring::{Credential, Keyring};
use token::{Issuer, Token};

/// What a request is about to do, and where: the key of a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// Host and port of the registry.
    pub registry: String,
    /// The repository that the credentials are looked up for.
    pub repository: String,
    /// `repository:NAME:ACTIONS`, sorted.
    scopes: BTreeSet<String>,
}

impl Access {
    /// To read from the repository.
    pub fn pull(registry: &str, repository: &str) -> Self {
        Self::new(registry, repository, "pull")
    }

    /// To write to the repository.
    pub fn push(registry: &str, repository: &str) -> Self {
        Self::new(registry, repository, "pull,push")
    }

    /// To delete from the repository (`delete` is what registries with tokens call it).
    pub fn delete(registry: &str, repository: &str) -> Self {
        Self::new(registry, repository, "pull,push,delete")
    }

    fn new(registry: &str, repository: &str, actions: &str) -> Self {
        let scopes = BTreeSet::from([format!("repository:{repository}:{actions}")]);
        Access { registry: registry.to_owned(), repository: repository.to_owned(), scopes }
    }

    /// The same, and to read from `other`, from which a blob is mounted.
    pub fn and_pull(mut self, other: &str) -> Self {
        if other != self.repository {
            self.scopes.insert(format!("repository:{other}:pull"));
        }
        self
    }
}

/// What a registry wants.
#[derive(Clone, Debug)]
enum Wanted {
    Basic,
    Bearer(Issuer),
}

type TokenSlot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// Credentials, what registries want, and the tokens at hand.
pub(crate) struct Auth {
    keyring: Keyring,
    client: Route,
    wanted: Mutex<HashMap<String, Wanted>>,
    /// Scopes that a registry named and that we had not thought of.
    learned: Mutex<HashMap<Access, BTreeSet<String>>>,
    credentials: tokio::sync::Mutex<HashMap<(String, String), Option<Credential>>>,
    tokens: Mutex<HashMap<Access, TokenSlot>>,
}

impl Auth {
    /// `client` must not carry a request's body or credentials to another origin.
    pub fn new(keyring: Keyring, client: Route) -> Self {
        Auth {
            keyring,
            client,
            wanted: Mutex::default(),
            learned: Mutex::default(),
            credentials: tokio::sync::Mutex::default(),
            tokens: Mutex::default(),
        }
    }

    /// What to send for `access`: nothing while the registry has not asked for anything.
    pub async fn header(&self, access: &Access) -> Result<Option<HeaderValue>> {
        let Some(wanted) = lock(&self.wanted).get(&access.registry).cloned() else { return Ok(None) };
        let credential = self.credential(access).await?;
        match (wanted, credential) {
            (Wanted::Basic, Some(Credential::Password { user, password })) => {
                Ok(Some(basic(&user, &password)))
            }
            (Wanted::Basic, _) => Ok(None),
            (Wanted::Bearer(_), Some(Credential::Bearer(token))) => Ok(token::bearer(&token)),
            (Wanted::Bearer(issuer), credential) => {
                let slot = lock(&self.tokens).entry(access.clone()).or_default().clone();
                // Held while a token is fetched: others who want the same one wait for it.
                let mut slot = slot.lock().await;
                if let Some(token) = slot.as_ref().filter(|t| t.until > Instant::now()) {
                    return Ok(Some(token.header.clone()));
                }
                let mut scopes = access.scopes.clone();
                scopes.extend(lock(&self.learned).get(access).into_iter().flatten().cloned());
                let scopes: Vec<String> = scopes.into_iter().collect();
                let token = issuer.token(&self.client, &scopes, credential.as_ref()).await?;
                Ok(Some(slot.insert(token).header.clone()))
            }
        }
    }

    /// Takes in a 401 to a request that carried `used`. Gives whether another try can do better.
    pub async fn challenged(
        &self,
        base: &Url,
        access: &Access,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
    ) -> Result<bool> {
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok());
        let challenges: Vec<_> = challenges.flat_map(challenge::parse).collect();
        let by = |scheme: &str| challenges.iter().find(|c| c.scheme == scheme);
        let wanted = if let Some(bearer) = by("bearer") {
            let realm = bearer.parameters.get("realm").ok_or_else(|| {
                Error::answer(base, "it wants a token but does not say from where (no realm)")
            })?;
            if let Some(scope) = bearer.parameters.get("scope") {
                let new = scope.split(' ').filter(|s| !s.is_empty() && !covered(s, &access.scopes));
                let new: Vec<String> = new.map(str::to_owned).collect();
                if !new.is_empty() {
                    lock(&self.learned).entry(access.clone()).or_default().extend(new);
                }
            }
            Wanted::Bearer(Issuer::new(base, realm, bearer.parameters.get("service").cloned())?)
        } else if by("basic").is_some() {
            Wanted::Basic
        } else {
            return Ok(false);
        };
        lock(&self.wanted).insert(access.registry.clone(), wanted);
        let slot = lock(&self.tokens).get(access).cloned();
        if let Some(slot) = slot {
            let mut slot = slot.lock().await;
            if slot.as_ref().map(|t| &t.header) == used {
                *slot = None;
            }
        }
        Ok(self.header(access).await?.as_ref() != used)
    }

    /// The credential for a repository, looked up once: a helper is a process of its own.
    pub async fn credential(&self, access: &Access) -> Result<Option<Credential>> {
        let mut known = self.credentials.lock().await;
        let key = (access.registry.clone(), access.repository.clone());
        if let Some(credential) = known.get(&key) {
            return Ok(credential.clone());
        }
        let credential = self.keyring.find(&access.registry, &access.repository).await?;
        known.insert(key, credential.clone());
        Ok(credential)
    }
}

/// Whether one of `scopes` allows what `scope` does: the same repository, at least its actions.
fn covered(scope: &str, scopes: &BTreeSet<String>) -> bool {
    let Some((name, actions)) = scope.rsplit_once(':') else { return scopes.contains(scope) };
    scopes.iter().filter_map(|s| s.rsplit_once(':')).any(|(ours, allowed)| {
        ours == name && actions.split(',').all(|action| allowed.split(',').any(|a| a == action))
    })
}

/// RFC 7617, marked so that no debug output shows it.
fn basic(user: &str, password: &str) -> HeaderValue {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    // Base64 always fits a header.
    let mut header = HeaderValue::from_str(&format!("Basic {text}")).unwrap_or(HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes() {
        let access = Access::push("r", "a/b").and_pull("c").and_pull("a/b");
        assert_eq!(
            access.scopes.iter().map(String::as_str).collect::<Vec<_>>(),
            ["repository:a/b:pull,push", "repository:c:pull"]
        );
        for (scope, is) in [
            ("repository:a/b:pull", true),
            ("repository:a/b:push,pull", true),
            ("repository:a/b:delete", false),
            ("repository:c:push", false),
            ("aws", false),
        ] {
            assert_eq!(covered(scope, &access.scopes), is, "{scope}");
        }
    }
}
