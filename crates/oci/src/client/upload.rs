//! Pushing blobs (distribution-spec 1.1, Pushing Blobs): there already, mounted from another repository, or sent.
//!
//! A blob goes out in one PUT. When that is cut, the registry is asked how much it has, and the rest follows
//! in another PUT with `Content-Range`; a registry that cannot say gets it from the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, TryStreamExt};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, LOCATION, RANGE};
use reqwest::{Response, StatusCode, Url};

use super::request::{Again, refused, text};
use super::{Client, endpoint};
use crate::auth::Access;
use crate::blob::{self, Blob};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::http;
use crate::manifest::Descriptor;
use crate::reference::Reference;
use crate::report::{self, Event};

/// How a blob came to be in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was there.
    Existed,
    /// The registry took it from another of its repositories.
    Mounted,
    /// It was sent.
    Uploaded,
}

/// What pushing a blob took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How it came to be there.
    pub how: How,
    /// Body bytes that went out, those of cut connections included.
    pub bytes_sent: u64,
}

/// An upload without a byte moving for so long has failed. Registries check large blobs before they answer.
const STALL: Duration = Duration::from_secs(300);

/// An upload under way.
struct Session {
    location: Url,
    /// What the registry has.
    offset: u64,
}

enum Start {
    Mounted,
    Session(Session),
}

/// Why a PUT did not end the upload.
enum Fault {
    /// Another try may do; its pause is what the answer asks for.
    Again(Error, Option<HeaderMap>),
    Final(Error),
}

impl Client {
    /// Makes `blob` part of the repository. `mount_from` are repositories of the same registry that may have
    /// it. A blob in another repository of this registry is mounted, one in another registry fetched first.
    pub async fn push_blob(
        &self,
        repo: &Reference,
        descriptor: &Descriptor,
        blob: &Blob,
        mount_from: &[String],
    ) -> Result<Sent> {
        let access = Access::push(&repo.registry, &repo.repository);
        if self.blob_exists_as(&access, repo, &descriptor.digest).await? {
            return Ok(Sent { how: How::Existed, bytes_sent: 0 });
        }
        let mut candidates: Vec<&str> = mount_from.iter().map(String::as_str).collect();
        if let Blob::Remote(from) = blob
            && from.registry == repo.registry
        {
            candidates.insert(0, &from.repository);
        }
        let session = match self.mount(&access, repo, &descriptor.digest, &candidates).await? {
            Some(Start::Mounted) => return Ok(Sent { how: How::Mounted, bytes_sent: 0 }),
            Some(Start::Session(session)) => session,
            None => self.start(&access, repo).await?,
        };
        let mut fetched = None;
        let blob = match blob {
            Blob::Remote(from) => {
                let folder = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
                let path = folder.path().join("blob");
                let lost = |error| match error {
                    Error::NotFound { what } => Error::Lost { what },
                    other => other,
                };
                self.blob_to_file(from, descriptor, &path).await.map_err(lost)?;
                fetched = Some(folder);
                &Blob::Files(vec![path])
            }
            local => local,
        };
        let length = blob.len().await?;
        if length != Some(descriptor.size) {
            let reason = format!(
                "its descriptor says {} bytes, but there are {}",
                descriptor.size,
                length.unwrap_or(0)
            );
            return Err(Error::content(&descriptor.digest, reason));
        }
        let task = report::task();
        let what = format!("push {} {}", repo.repository, descriptor.digest.short());
        self.reporter().report(Event::Started { task, what, total_bytes: Some(descriptor.size) });
        let upload = Upload {
            client: self,
            access,
            repo,
            descriptor,
            blob,
            task,
            sent: Arc::default(),
            shown: Arc::default(),
        };
        let result = upload.run(session).await;
        self.reporter().report(Event::Finished { task });
        drop(fetched);
        result?;
        Ok(Sent { how: How::Uploaded, bytes_sent: upload.sent.load(Ordering::Relaxed) })
    }

    /// Asks for the blob to be mounted from the first of `candidates` that has it, or from wherever the
    /// registry finds it. `None` where the registry would not hear of it.
    async fn mount(
        &self,
        access: &Access,
        repo: &Reference,
        digest: &Digest,
        candidates: &[&str],
    ) -> Result<Option<Start>> {
        let mut from = None;
        for candidate in candidates.iter().filter(|c| **c != repo.repository) {
            let other = Reference { repository: (*candidate).to_owned(), ..repo.clone() };
            // A candidate that may not be read is none.
            if self.blob_exists(&other, digest).await.unwrap_or(false) {
                from = Some(*candidate);
                break;
            }
        }
        let no_anonymous = &self.0.no_anonymous_mount;
        let refuses = || no_anonymous.lock().is_ok_and(|set| set.contains(&repo.registry));
        if from.is_none() && refuses() {
            return Ok(None);
        }
        let mut url = self.url(repo, "blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &digest.to_string());
        let mut access = access.clone();
        if let Some(from) = from {
            url.query_pairs_mut().append_pair("from", from);
            access = access.and_pull(from);
        }
        // A mount that fails is no failure: the blob is sent, and that tells what is really wrong.
        let again = if from.is_some() { Again::Yes } else { Again::No };
        match self.post(&access, &url, again).await {
            Ok(start) => Ok(Some(start)),
            Err(Error::Refused(refusal)) => {
                let unheard_of = from.is_none() && !matches!(refusal.status, 401 | 403 | 429);
                if let (true, Ok(mut set)) = (unheard_of, no_anonymous.lock()) {
                    set.insert(repo.registry.clone());
                }
                Ok(None)
            }
            Err(_) => Ok(None),
        }
    }

    async fn start(&self, access: &Access, repo: &Reference) -> Result<Session> {
        let url = self.url(repo, "blobs/uploads/")?;
        match self.post(access, &url, Again::Yes).await? {
            Start::Session(session) => Ok(session),
            Start::Mounted => Err(Error::answer(&url, "it says 201 to the start of an upload")),
        }
    }

    async fn post(&self, access: &Access, url: &Url, again: Again) -> Result<Start> {
        let make = || self.0.http.to(url).post(url.clone()).header(CONTENT_LENGTH, 0);
        let answer = self.send(access, url, again, make).await?;
        match answer.status() {
            StatusCode::CREATED => Ok(Start::Mounted),
            StatusCode::ACCEPTED => {
                Ok(Start::Session(Session { location: location(url, &answer)?, offset: 0 }))
            }
            _ => Err(refused("POST", url, answer).await),
        }
    }
}

/// One blob on its way.
struct Upload<'a> {
    client: &'a Client,
    access: Access,
    repo: &'a Reference,
    descriptor: &'a Descriptor,
    blob: &'a Blob,
    task: report::TaskId,
    sent: Arc<AtomicU64>,
    /// How far the progress that was reported goes.
    shown: Arc<AtomicU64>,
}

impl Upload<'_> {
    async fn run(&self, mut session: Session) -> Result<()> {
        let mut tries = 0;
        loop {
            let (error, headers) = match self.put(&session).await {
                Ok(()) => return Ok(()),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Again(error, headers)) => (error, headers),
            };
            tries += 1;
            if tries >= http::TRIES {
                return Err(error);
            }
            tokio::time::sleep(http::pause(tries - 1, headers.as_ref(), SystemTime::now())).await;
            // Perhaps only the answer was lost.
            if self.client.blob_exists_as(&self.access, self.repo, &self.descriptor.digest).await? {
                return Ok(());
            }
            session = match self.ask(&session).await {
                Some(session) => session,
                None => self.client.start(&self.access, self.repo).await?,
            };
        }
    }

    /// How much the registry has; `None` where it does not say, or nothing.
    async fn ask(&self, session: &Session) -> Option<Session> {
        let url = &session.location;
        let answer = self
            .client
            .send(&self.access, url, Again::Yes, || self.client.0.http.to(url).get(url.clone()))
            .await
            .ok()?;
        if !matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::ACCEPTED | StatusCode::OK) {
            return None;
        }
        let offset = received(text(answer.headers(), RANGE.as_str())?)?;
        let location = location(url, &answer).unwrap_or_else(|_| url.clone());
        (offset <= self.descriptor.size).then_some(Session { location, offset })
    }

    async fn put(&self, session: &Session) -> Result<(), Fault> {
        let mut url = session.location.clone();
        url.query_pairs_mut().append_pair("digest", &self.descriptor.digest.to_string());
        let Session { offset, .. } = *session;
        let size = self.descriptor.size;
        let make = || {
            let put = self.client.0.uploads.to(&url).put(url.clone());
            let put =
                put.header(CONTENT_TYPE, "application/octet-stream").header(CONTENT_LENGTH, size - offset);
            let put = match (offset, size - offset) {
                (0, _) | (_, 0) => put,
                _ => put.header(CONTENT_RANGE, format!("{offset}-{}", size - 1)),
            };
            if size == offset { put } else { put.body(self.body(offset)) }
        };
        let request = self.client.send(&self.access, &url, Again::No, make);
        let answer = match self.unless_stalled(&url, request).await {
            Ok(answer) => answer,
            Err(error @ Error::Unreachable { .. }) => return Err(Fault::Again(error, None)),
            Err(error) => return Err(Fault::Final(error)),
        };
        let status = answer.status();
        if matches!(status, StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK) {
            return Ok(());
        }
        // Of the 4xx, an upload that is forgotten (404) or came out of step (416) is worth a new start.
        let again = http::is_transient(status) || matches!(status.as_u16(), 404 | 416);
        let headers = answer.headers().clone();
        let error = refused("PUT", &url, answer).await;
        Err(if again { Fault::Again(error, Some(headers)) } else { Fault::Final(error) })
    }

    /// The blob from `offset` on, counted as it goes.
    fn body(&self, offset: u64) -> reqwest::Body {
        let total = Arc::new(self.client.clone());
        let (sent, shown, task) = (Arc::clone(&self.sent), Arc::clone(&self.shown), self.task);
        let mut at = offset;
        let stream = blob::stream(self.blob.clone(), offset).inspect_ok(move |chunk| {
            let length = chunk.len() as u64;
            at += length;
            sent.fetch_add(length, Ordering::Relaxed);
            total.0.sent.fetch_add(length, Ordering::Relaxed);
            let news = at.saturating_sub(shown.fetch_max(at, Ordering::Relaxed)).min(length);
            total.reporter().report(Event::Advanced { task, bytes: news });
        });
        reqwest::Body::wrap_stream(stream.boxed())
    }

    /// `request`, given up when nothing moves for [`STALL`].
    async fn unless_stalled(
        &self,
        url: &Url,
        request: impl Future<Output = Result<Response>>,
    ) -> Result<Response> {
        tokio::pin!(request);
        loop {
            let before = self.sent.load(Ordering::Relaxed);
            if let Ok(answer) = tokio::time::timeout(STALL, &mut request).await {
                return answer;
            }
            if self.sent.load(Ordering::Relaxed) == before {
                let reason = format!("no byte moved for {} seconds", STALL.as_secs());
                return Err(Error::Unreachable { url: http::redact(url), reason });
            }
        }
    }
}

/// `Location`, absolute or relative.
fn location(url: &Url, answer: &Response) -> Result<Url> {
    let text = text(answer.headers(), LOCATION.as_str());
    let text = text.ok_or_else(|| Error::answer(url, "an upload without a Location"))?;
    endpoint::resolve(answer.url(), text)
}

/// How many bytes `Range: 0-END` says are there. `0-0` is what registries say of nothing; to take one byte
/// for nothing costs a byte sent again.
fn received(range: &str) -> Option<u64> {
    let range = range.trim();
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let (start, end) = range.split_once('-')?;
    match (start.trim(), end.trim().parse::<u64>().ok()?) {
        ("0", 0) => None,
        ("0", end) => end.checked_add(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::received;

    #[test]
    fn how_much_is_there() {
        for (range, bytes) in [
            ("0-0", None),
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("5-99", None),
            ("0-", None),
            ("0-18446744073709551615", None),
            ("", None),
        ] {
            assert_eq!(received(range), bytes, "{range}");
        }
    }
}
