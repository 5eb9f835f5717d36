//! The registry client (distribution-spec 1.1): reading, writing, and what every request goes through.
//!
//! Reading is in `read`, `download` and `referrers`; writing in `upload` (blobs), `put` (manifests) and
//! `delete` (at ghcr.io in `packages`); `crate::push` and `crate::pull` move whole images with them.

mod delete;
mod download;
pub mod endpoint;
pub mod link;
mod packages;
mod put;
mod read;
mod referrers;
mod request;
mod route;
mod upload;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Url;

use crate::auth::{Auth, Keyring};
use crate::error::{Error, Result};
use crate::reference::Reference;
use crate::report::Reporter;

pub use delete::Deleted;
pub(crate) use download::permissions;
pub use packages::Packages;
pub use put::{Put, TAGS_AT_ONCE};
pub use read::{Fetched, TagList};
pub(crate) use route::Route;
pub use upload::{How, Sent};

/// Talks to registries. Clones share connections, tokens and counters.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: Route,
    /// For bodies that take their time: reqwest counts its read time limit from the start of the request.
    uploads: Route,
    auth: Auth,
    insecure: Vec<String>,
    packages: Option<Packages>,
    reporter: Arc<dyn Reporter>,
    received: AtomicU64,
    sent: AtomicU64,
    /// Registries that refuse a mount which names no repository.
    no_anonymous_mount: Mutex<HashSet<String>>,
}

/// What a client needs to know before its first request.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Registries (`host` or `host:port`) that are spoken to over plain HTTP, besides this machine.
    pub insecure: Vec<String>,
    /// Where credentials are.
    pub keyring: Keyring,
    /// A registry that deletes by an interface of its own.
    pub packages: Option<Packages>,
}

impl Settings {
    /// From `PERIJOVE_INSECURE_REGISTRIES` (separated by commas or blanks) and the variables of
    /// [`Keyring::from_environment`] and [`Packages::of_github`].
    pub fn from_environment() -> Self {
        let insecure = std::env::var("PERIJOVE_INSECURE_REGISTRIES").unwrap_or_default();
        let insecure = insecure.split([',', ' ']).filter(|s| !s.is_empty()).map(str::to_owned).collect();
        Settings {
            insecure,
            keyring: Keyring::from_environment(|name| std::env::var_os(name)),
            packages: Packages::of_github(|name| std::env::var(name).ok()),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("insecure", &self.0.insecure).finish_non_exhaustive()
    }
}

impl Client {
    /// A client with the settings of the environment. Fails where HTTPS cannot be set up.
    pub fn new(reporter: Arc<dyn Reporter>) -> Result<Self> {
        Self::with(Settings::from_environment(), reporter)
    }

    /// A client with these settings.
    pub fn with(settings: Settings, reporter: Arc<dyn Reporter>) -> Result<Self> {
        // A token request carries secrets in its body, which a redirect to elsewhere must not take along.
        let same_origin = || {
            reqwest::redirect::Policy::custom(|attempt| {
                let from = attempt.previous().last();
                let stays = from.is_some_and(|from| endpoint::same_origin(from, attempt.url()));
                if stays && attempt.previous().len() < 10 { attempt.follow() } else { attempt.stop() }
            })
        };
        let tokens = Route::new(|b| b.redirect(same_origin()))?;
        Ok(Client(Arc::new(Inner {
            http: Route::new(|b| b)?,
            uploads: Route::new(|b| b.read_timeout(Duration::from_secs(24 * 3600)))?,
            auth: Auth::new(settings.keyring, tokens),
            insecure: settings.insecure,
            packages: settings.packages,
            reporter,
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            no_anonymous_mount: Mutex::default(),
        })))
    }

    /// Body bytes of manifests and blobs received so far, by all clones.
    pub fn received_bytes(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// Body bytes of manifests and blobs sent so far, by all clones, those sent in vain included.
    pub fn sent_bytes(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Where events go.
    pub fn reporter(&self) -> &Arc<dyn Reporter> {
        &self.0.reporter
    }

    /// Whether the registry of `reference` is spoken to over plain HTTP.
    pub fn is_plain_http(&self, reference: &Reference) -> bool {
        self.base(&reference.registry).is_ok_and(|url| url.scheme() == "http")
    }

    fn base(&self, registry: &str) -> Result<Url> {
        endpoint::base(registry, &self.0.insecure)
    }

    /// `…/v2/<repository>/<rest>`.
    fn url(&self, repo: &Reference, rest: &str) -> Result<Url> {
        let base = self.base(&repo.registry)?;
        base.join(&format!("{}/{rest}", repo.repository))
            .map_err(|e| Error::content(repo, format!("not the name of a repository: {e}")))
    }
}
