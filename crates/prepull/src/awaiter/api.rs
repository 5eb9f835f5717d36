//! One request to the API server: sent, counted, and its refusals put into words.
//!
//! This is kube's client (configuration, TLS, tokens that are read again as they rotate, credential plugins) without
//! kube's watcher: that decodes whole objects and lists in pages, and so can keep neither the bound on memory for
//! 5,000 nodes nor the one on requests.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, KubeconfigError};
use kube::{Client, Config};
use serde::Deserialize;

use super::Error;

/// An API server that takes longer than this to begin its answer is tried again.
const ANSWER: Duration = Duration::from_secs(20);
/// To connect.
const CONNECT: Duration = Duration::from_secs(10);
/// Bytes of a refusal that are read.
const REFUSAL: usize = 64 << 10;

/// The API server, and what was asked of it.
pub struct Api {
    client: Client,
    requests: AtomicU32,
    answered: AtomicBool,
    date: AtomicI64,
}

/// What is asked, for the words of a refusal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub verb: &'static str,
    pub resource: &'static str,
}

/// Why a request brought nothing.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// 401, 403.
    Denied { asked: Asked, message: String, code: u16 },
    /// 410: the version is too old; everything has to be listed again.
    Gone,
    /// 400, 422: the server does not know what was asked.
    Unknown(String),
    /// 404: there is no such thing.
    Missing(String),
    /// Worth another try.
    Passing { text: String, after: Option<Duration> },
}

impl Trouble {
    pub(crate) fn passing(text: impl Into<String>) -> Self {
        Trouble::Passing { text: text.into(), after: None }
    }

    /// As an error that ends the run.
    pub(crate) fn denied(asked: Asked, message: String, code: u16, namespace: &str) -> Error {
        let namespace = (asked.resource != "nodes").then(|| namespace.to_owned());
        Error::Denied { verb: asked.verb, resource: asked.resource, namespace, message, code }
    }
}

/// Kubernetes' `Status`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub code: u16,
    pub message: String,
    pub reason: String,
}

/// Connects as kubectl does: `KUBECONFIG`, `~/.kube/config`, else the pod's service account.
///
/// # Errors
/// [`Error::NoCluster`] where neither is there or can be read.
pub async fn connect() -> Result<Client, Error> {
    let no_cluster = |reason: String| Error::NoCluster { reason };
    let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let named = std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
    let mut config = match Config::from_kubeconfig(&KubeConfigOptions::default()).await {
        Ok(config) => config,
        Err(_) if in_cluster && !named => Config::incluster().map_err(|error| no_cluster(causes(&error)))?,
        Err(error) => return Err(no_cluster(unreadable(&error))),
    };
    // Requests are counted and tried again here.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    Client::try_from(config).map_err(|error| no_cluster(causes(&error)))
}

/// What is wrong with a kubeconfig: a line of words, none of the file's own, which may be a token.
fn unreadable(error: &KubeconfigError) -> String {
    if let KubeconfigError::ReadConfig(cause, path) = error {
        return format!("cannot read {}: {cause}", path.display());
    }
    let named = std::env::var("KUBECONFIG").ok().filter(|value| !value.is_empty());
    let said = causes(error);
    format!("{}: {}", named.as_deref().unwrap_or("~/.kube/config"), said.lines().next().unwrap_or_default())
}

/// An error with its causes, each said once.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

impl Api {
    /// With a client.
    pub fn new(client: Client) -> Self {
        Api { client, requests: AtomicU32::new(0), answered: AtomicBool::new(false), date: AtomicI64::new(0) }
    }

    /// Whether anything was answered well: whoever asks was known to the server.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// By the server's clock, when it began its latest good answer: seconds since 1970.
    pub(super) fn date(&self) -> Option<i64> {
        Some(self.date.load(Ordering::Relaxed)).filter(|date| *date > 0)
    }

    /// Requests so far.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Sends a request, and gives the answer when it is a good one.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        asked: Asked,
    ) -> Result<Response<Body>, Trouble> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let content =
            if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let builder =
            Request::builder().method(method).uri(path).header(http::header::ACCEPT, "application/json");
        let builder =
            if body.is_empty() { builder } else { builder.header(http::header::CONTENT_TYPE, content) };
        let request = builder.body(Body::from(body)).map_err(|error| Trouble::passing(error.to_string()))?;
        let answer = tokio::time::timeout(ANSWER, self.client.send(request)).await;
        let response = match answer {
            Err(_) => return Err(Trouble::passing(format!("no answer within {} s", ANSWER.as_secs()))),
            Ok(Err(error)) => return Err(of_client(error, asked)),
            Ok(Ok(response)) => response,
        };
        if response.status().is_success() {
            self.answered.store(true, Ordering::Relaxed);
            if let Some(date) = date(&response) {
                self.date.store(date, Ordering::Relaxed);
            }
            return Ok(response);
        }
        Err(refusal(response, asked).await)
    }
}

/// `Date` (RFC 9110, section 6.6.1).
fn date(response: &Response<Body>) -> Option<i64> {
    let text = response.headers().get(http::header::DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp().as_second())
}

/// Credentials that cannot be had are a refusal; everything else on the way is worth another try.
fn of_client(error: kube::Error, asked: Asked) -> Trouble {
    match error {
        kube::Error::Auth(error) => Trouble::Denied { asked, message: causes(&error), code: 401 },
        error => {
            let text = causes(&error);
            // The client puts what it is made of in front of what happened.
            let text =
                text.strip_prefix("ServiceError: ").or(text.strip_prefix("HyperError: ")).unwrap_or(&text);
            Trouble::passing(text)
        }
    }
}

async fn refusal(response: Response<Body>, asked: Asked) -> Trouble {
    let code = response.status().as_u16();
    let after = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let mut text = Vec::new();
    let mut body = response.into_body();
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(ANSWER, body.frame()).await {
        if let Some(data) = frame.data_ref() {
            text.extend_from_slice(data);
        }
        if text.len() > REFUSAL {
            text.truncate(REFUSAL);
            break;
        }
    }
    let status: Option<Status> = serde_json::from_slice(&text).ok();
    let said = status.map(|status| status.message).filter(|message| !message.is_empty());
    let message = said.unwrap_or_else(|| super::reasons::brief(&String::from_utf8_lossy(&text), 200));
    by_code(code, message, after, asked)
}

/// What a status code means here.
pub(crate) fn by_code(code: u16, message: String, after: Option<Duration>, asked: Asked) -> Trouble {
    match code {
        401 | 403 => Trouble::Denied { asked, message, code },
        404 => Trouble::Missing(message),
        410 => Trouble::Gone,
        400 | 422 => Trouble::Unknown(message),
        _ => Trouble::Passing { text: format!("{code} {message}").trim_end().to_owned(), after },
    }
}
