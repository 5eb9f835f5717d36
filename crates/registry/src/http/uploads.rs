//! Uploads: begun, mounted, appended to, closed, asked about, cancelled (distribution-spec 1.1, "Pushing blobs").

use http::header::{CONTENT_RANGE, HeaderName, HeaderValue, LOCATION, RANGE};
use http::{HeaderMap, StatusCode};
use perijove_oci::{Algorithm, Digest};
use std::time::Duration;
use tokio::task::JoinHandle;

use super::answer::{Answer, CONTENT_DIGEST, status, text};
use super::errors::{ApiError, Kind};
use super::limits::{Cut, Incomings, cut_short};
use super::query::Query;
use super::range;
use super::{App, blocking, lost};
use crate::auth::{Action, Identity};
use crate::names::{RepositoryName, UploadId};
use crate::settings::Mount;
use crate::store::{Lease, StoreError};

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// So many bytes go to the disk at once, while the next are received.
const BATCH: usize = 1 << 20;

/// How long a request waits for the one before it to let go of a session: a client that resumes after a cut
/// connection may be faster than the registry's notice of the cut.
const BUSY_TRIES: u32 = 40;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// POST: mounts a blob, takes a whole one, or begins a session.
pub(crate) async fn post(
    app: &App,
    who: &Identity,
    repository: RepositoryName,
    query: &Query,
    body: &mut Incomings,
) -> Answer {
    if let Some(digest) = query.get("mount") {
        let digest: Digest = digest.parse()?;
        if mount(app, who, &repository, &digest, query.get("from")).await? {
            return created(&repository, &digest);
        }
    }
    let named: Option<Digest> = query.get("digest").map(str::parse).transpose()?;
    let algorithm = match (&named, query.get("digest-algorithm")) {
        (Some(digest), _) => digest.algorithm(),
        (None, None | Some("sha256")) => Algorithm::Sha256,
        (None, Some("sha512")) => Algorithm::Sha512,
        (None, Some(other)) => {
            let message = format!("digest algorithm `{other}` is not supported: use sha256 or sha512");
            return Err(ApiError::new(Kind::DigestInvalid, message));
        }
    };
    let id = app.store.begin_upload(&repository, algorithm);
    let Some(digest) = named else { return progress(StatusCode::ACCEPTED, &repository, &id, 0) };
    let lease = app.store.lease_upload(&repository, &id)?;
    finish(app, lease, repository, digest, body).await
}

/// Whether the blob could be mounted: from the repository that the client names, or from any that it may read,
/// as the settings allow.
async fn mount(
    app: &App,
    who: &Identity,
    repository: &RepositoryName,
    digest: &Digest,
    from: Option<&str>,
) -> Result<bool, ApiError> {
    match (app.mount, from) {
        (Mount::Any, _) | (Mount::Named, Some(_)) => {}
        (Mount::Named, None) | (Mount::Never, _) => return Ok(false),
    }
    let (store, app, who) = (app.store.clone(), app.clone(), who.clone());
    let (repository, digest) = (repository.clone(), digest.clone());
    let from = match from.map(str::parse::<RepositoryName>) {
        None => None,
        Some(Ok(from)) => Some(from),
        // Nothing is there to mount: the client goes on with an upload.
        Some(Err(_)) => return Ok(false),
    };
    blocking(move || {
        let candidates = match from {
            Some(from) => vec![from],
            None => store.holders(&digest)?,
        };
        for from in candidates {
            if app.allows(&who, from.as_str(), Action::Read)
                && store.mount_blob(&repository, &digest, &from)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    })
    .await
}

/// PATCH: the next chunk, or a stream without ranges.
pub(crate) async fn patch(
    app: &App,
    repository: RepositoryName,
    id: UploadId,
    headers: &HeaderMap,
    body: &mut Incomings,
) -> Answer {
    let lease = lease(app, &repository, &id).await?;
    in_order(headers, body, lease.received())?;
    let lease = receive(app, lease, body).await?;
    progress(StatusCode::ACCEPTED, &repository, &id, lease.received())
}

/// PUT: the last chunk, or none, and the digest of the whole.
pub(crate) async fn put(
    app: &App,
    repository: RepositoryName,
    id: UploadId,
    query: &Query,
    headers: &HeaderMap,
    body: &mut Incomings,
) -> Answer {
    let digest = query.get("digest");
    let digest = digest.ok_or_else(|| ApiError::new(Kind::DigestInvalid, "the query names no digest"))?;
    let digest: Digest = digest.parse()?;
    let lease = lease(app, &repository, &id).await?;
    in_order(headers, body, lease.received())?;
    finish(app, lease, repository, digest, body).await
}

/// GET: how far the session is.
pub(crate) async fn get(app: &App, repository: RepositoryName, id: UploadId) -> Answer {
    let lease = lease(app, &repository, &id).await?;
    progress(StatusCode::NO_CONTENT, &repository, &id, lease.received())
}

/// DELETE: cancels the session.
pub(crate) async fn delete(app: &App, repository: RepositoryName, id: UploadId) -> Answer {
    let lease = lease(app, &repository, &id).await?;
    let store = app.store.clone();
    blocking(move || {
        store.cancel_upload(lease);
        Ok(status(StatusCode::NO_CONTENT))
    })
    .await
}

async fn lease(app: &App, repository: &RepositoryName, id: &UploadId) -> Result<Lease, ApiError> {
    for _ in 0..BUSY_TRIES {
        match app.store.lease_upload(repository, id) {
            Err(StoreError::UploadBusy) => tokio::time::sleep(BUSY_PAUSE).await,
            other => return Ok(other?),
        }
    }
    Err(StoreError::UploadBusy.into())
}

/// A chunk with a range begins where the last one ended, and is as long as it says.
fn in_order(headers: &HeaderMap, body: &Incomings, received: u64) -> Result<(), ApiError> {
    let Some(value) = headers.get(CONTENT_RANGE) else { return Ok(()) };
    let invalid = |message| ApiError::new(Kind::UploadInvalid, message);
    let range = value.to_str().ok().and_then(range::chunk);
    let (first, last) = range.ok_or_else(|| invalid("Content-Range is not `first-last`"))?;
    if first != received {
        let message = format!("this chunk begins at {first}, but the next byte is {received}");
        let error = ApiError::new(Kind::ChunkOutOfOrder, message);
        return Err(match received {
            0 => error,
            n => error.with_header(RANGE, text(&format!("0-{}", n - 1))?),
        });
    }
    match body.announced() {
        Some(length) if length != last - first + 1 => {
            let message =
                format!("Content-Range holds {} bytes, Content-Length says {length}", last - first + 1);
            Err(ApiError::new(Kind::SizeInvalid, message))
        }
        _ => Ok(()),
    }
}

async fn finish(
    app: &App,
    lease: Lease,
    repository: RepositoryName,
    digest: Digest,
    body: &mut Incomings,
) -> Answer {
    let lease = receive(app, lease, body).await?;
    let store = app.store.clone();
    let digest = blocking(move || store.finish_upload(lease, &digest).map(|()| digest)).await?;
    created(&repository, &digest)
}

/// Appends the body to the session. What came before a cut stays, for the client to go on from.
async fn receive(app: &App, mut lease: Lease, body: &mut Incomings) -> Result<Lease, ApiError> {
    let limit = app.limits.blob_bytes;
    let too_large = || {
        let message = format!("a blob has at most {limit} bytes here");
        ApiError::new(Kind::UploadTooLarge, message)
    };
    let mut received = lease.received();
    if received.saturating_add(body.announced().unwrap_or(0)) > limit {
        return Err(too_large());
    }
    let mut digest = lease.take_digest();
    let mut batch =
        Vec::with_capacity(usize::try_from(body.announced().unwrap_or(0)).map_or(BATCH, |n| n.min(BATCH)));
    let mut writer = Writer { app, state: State::Idle(lease) };
    let ended = loop {
        match body.next().await {
            Ok(Some(piece)) => {
                received += piece.len() as u64;
                if received > limit {
                    break Err(too_large());
                }
                // Here and not beside the write: while the bytes are near, and on another core.
                if let Some(digest) = &mut digest {
                    digest.update(&piece);
                }
                if batch.len() + piece.len() > BATCH {
                    (writer, batch) = writer.write(batch).await?;
                }
                // Copied, so that the connection receives into the same memory again.
                batch.extend_from_slice(&piece);
            }
            Ok(None) => break Ok(()),
            Err(Cut::Broken) => break Err(cut_short()),
            Err(Cut::Idle) => {
                break Err(ApiError::new(Kind::UploadInvalid, "nothing was received for too long"));
            }
        }
    };
    if !batch.is_empty() {
        (writer, _) = writer.write(batch).await?;
    }
    let (mut lease, _) = writer.finish().await?;
    lease.put_digest(digest);
    ended.map(|()| lease)
}

/// Writes a batch on a blocking thread while the next one is received.
struct Writer<'a> {
    app: &'a App,
    state: State,
}

enum State {
    Idle(Lease),
    Writing(JoinHandle<(Lease, Vec<u8>, Result<(), StoreError>)>),
}

impl Writer<'_> {
    /// Begins to write `batch`; gives memory for the next one.
    async fn write(self, batch: Vec<u8>) -> Result<(Self, Vec<u8>), ApiError> {
        let app = self.app;
        let (mut lease, memory) = self.finish().await?;
        let store = app.store.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let written = store.append_upload(&mut lease, &batch);
            (lease, batch, written)
        });
        Ok((Writer { app, state: State::Writing(writing) }, memory))
    }

    /// Waits for what is being written; gives the lease back, and the batch's memory.
    async fn finish(self) -> Result<(Lease, Vec<u8>), ApiError> {
        match self.state {
            State::Idle(lease) => Ok((lease, Vec::new())),
            State::Writing(writing) => {
                let (lease, mut memory, written) = writing.await.map_err(|e| lost(&e))?;
                written?;
                memory.clear();
                Ok((lease, memory))
            }
        }
    }
}

/// 201 with the blob's place.
fn created(repository: &RepositoryName, digest: &Digest) -> Answer {
    let mut response = status(StatusCode::CREATED);
    let headers = response.headers_mut();
    headers.insert(LOCATION, text(&format!("/v2/{repository}/blobs/{digest}"))?);
    headers.insert(CONTENT_DIGEST, text(&digest.to_string())?);
    Ok(response)
}

/// The session's place and how far it is.
fn progress(code: StatusCode, repository: &RepositoryName, id: &UploadId, received: u64) -> Answer {
    let mut response = status(code);
    let headers = response.headers_mut();
    headers.insert(LOCATION, text(&format!("/v2/{repository}/blobs/uploads/{id}"))?);
    headers.insert(UPLOAD_UUID, text(id.as_str())?);
    // An empty session says 0-0 as others do: the form has no word for nothing.
    let range = text(&format!("0-{}", received.saturating_sub(1)))?;
    headers.insert(RANGE, range);
    if code == StatusCode::ACCEPTED {
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(response)
}
