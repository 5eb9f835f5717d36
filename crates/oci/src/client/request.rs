//! One request: credentials, retries, and what becomes of an answer that is not wanted.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap};
use reqwest::{RequestBuilder, Response, StatusCode, Url};

use super::{Client, endpoint};
use crate::auth::Access;
use crate::error::{Error, Refusal, Result};
use crate::http;

/// How much of a refusal's body is read.
const MAX_REFUSAL: usize = 16 << 10;

/// Whether a request is sent again after a fault on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// As [`http::send`] does.
    Yes,
    /// Never: the caller has to look first how far it came.
    No,
}

/// A document that came whole.
pub(super) struct Document {
    /// Where it came from, redirects followed.
    pub url: Url,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Client {
    /// Sends what `make` makes, with the credentials for `access` where `url` is the registry's own, and once
    /// more after a 401 that says how. Gives the last answer, whatever its status.
    pub(super) async fn send(
        &self,
        access: &Access,
        url: &Url,
        again: Again,
        make: impl Fn() -> RequestBuilder,
    ) -> Result<Response> {
        let base = self.base(&access.registry)?;
        let ours = endpoint::same_origin(&base, url);
        // Twice more: the first challenge may come to an anonymous request, the second to an expired token.
        let mut challenges = 2;
        loop {
            let header = if ours { self.0.auth.header(access).await? } else { None };
            let make = || match &header {
                Some(header) => make().header(AUTHORIZATION, header.clone()),
                None => make(),
            };
            let answer = match again {
                Again::Yes => http::send(make).await,
                Again::No => make().send().await,
            };
            let answer = answer.map_err(|e| Error::transport(url, &e))?;
            let challenged = answer.status() == StatusCode::UNAUTHORIZED
                && ours
                && endpoint::same_origin(&base, answer.url())
                && challenges > 0
                && self.0.auth.challenged(&base, access, answer.headers(), header.as_ref()).await?;
            if !challenged {
                return Ok(answer);
            }
            challenges -= 1;
        }
    }

    /// The document at `url`, of at most `limit` bytes; `None` where there is none (404).
    pub(super) async fn document(
        &self,
        access: &Access,
        url: &Url,
        accept: &str,
        limit: usize,
    ) -> Result<Option<Document>> {
        let mut tries = 0;
        loop {
            let answer = self
                .send(access, url, Again::Yes, || self.0.http.to(url).get(url.clone()).header(ACCEPT, accept))
                .await?;
            if answer.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            if answer.status() != StatusCode::OK {
                return Err(refused("GET", url, answer).await);
            }
            let (from, headers) = (answer.url().clone(), answer.headers().clone());
            tries += 1;
            match self.body(answer, limit).await {
                Ok(Some(bytes)) => return Ok(Some(Document { url: from, headers, bytes })),
                Ok(None) => {
                    return Err(Error::answer(url, format!("the answer is larger than {limit} bytes")));
                }
                Err(error) if tries >= http::TRIES => return Err(Error::transport(url, &error)),
                Err(_) => tokio::time::sleep(http::pause(tries - 1, None, SystemTime::now())).await,
            }
        }
    }

    /// The body; `None` where it is larger than `limit` bytes.
    pub(super) async fn body(&self, mut answer: Response, limit: usize) -> reqwest::Result<Option<Bytes>> {
        if answer.content_length().is_some_and(|length| length > limit as u64) {
            return Ok(None);
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) = answer.chunk().await? {
            self.0.received.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            if bytes.len() + chunk.len() > limit {
                return Ok(None);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes.freeze()))
    }
}

/// The error that an unwanted answer is.
pub(super) async fn refused(method: &str, url: &Url, mut answer: Response) -> Error {
    let status = answer.status();
    if status.is_redirection() {
        return Error::answer(url, format!("the server answers {} to {method}", status.as_u16()));
    }
    if status.is_success() {
        return Error::answer(
            url,
            format!("the server answers {} to {method}, which means nothing here", status.as_u16()),
        );
    }
    let mut body = Vec::new();
    // What of the body can be had is enough: the status is the news.
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_REFUSAL {
            body.truncate(MAX_REFUSAL);
            break;
        }
    }
    Error::Refused(Box::new(Refusal::read(method, http::redact(url), status.as_u16(), &body)))
}

/// A header's text, if it is there and readable.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}
