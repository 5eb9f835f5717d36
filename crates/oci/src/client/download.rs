//! Fetching blobs: into memory when they are small, else into files, going on where a connection was cut.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode, Url};
use tokio::io::AsyncWriteExt;

use super::Client;
use super::request::{Again, refused, text};
use crate::auth::Access;
use crate::digest::{Digest, Digester};
use crate::error::{Error, Result};
use crate::http;
use crate::manifest::Descriptor;
use crate::reference::Reference;
use crate::report::{self, Event};

/// A connection that brought this much was worth it: the count of tries starts again.
const PROGRESS: u64 = 1 << 20;

impl Client {
    /// A blob of at most `limit` bytes, checked. Fails where the repository has none.
    pub async fn blob_bytes(&self, repo: &Reference, blob: &Descriptor, limit: u64) -> Result<Bytes> {
        let url = self.url(repo, &format!("blobs/{}", blob.digest))?;
        if blob.size > limit {
            return Err(Error::answer(
                &url,
                format!("the blob is said to have {} bytes, {limit} are allowed", blob.size),
            ));
        }
        let access = Access::pull(&repo.registry, &repo.repository);
        let size = usize::try_from(blob.size).unwrap_or(usize::MAX);
        let document = self.document(&access, &url, "*/*", size).await?;
        let bytes = document.ok_or_else(|| missing(repo, &blob.digest))?.bytes;
        let found = Digest::of(blob.digest.algorithm(), &bytes);
        if found != blob.digest {
            return Err(Error::Digest { what: http::redact(&url), expected: blob.digest.clone(), found });
        }
        Ok(bytes)
    }

    /// `length` bytes of a blob from `offset` on; the caller knows their digest. `None` where the registry does
    /// not give parts of blobs (distribution-spec, "Pulling blobs": it SHOULD).
    pub async fn blob_range(
        &self,
        repo: &Reference,
        blob: &Descriptor,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>> {
        let url = self.url(repo, &format!("blobs/{}", blob.digest))?;
        let access = Access::pull(&repo.registry, &repo.repository);
        let Some(last) = (length as u64).checked_sub(1).map(|last| offset + last) else {
            return Ok(Some(Bytes::new()));
        };
        let range = format!("bytes={offset}-{last}");
        let mut tries = 0;
        loop {
            let get = || self.0.http.to(&url).get(url.clone()).header(RANGE, &range);
            let answer = self.send(&access, &url, Again::Yes, get).await?;
            match answer.status() {
                StatusCode::PARTIAL_CONTENT if starts_at(&answer, offset) => {}
                StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                    return Ok(None);
                }
                StatusCode::NOT_FOUND => return Err(missing(repo, &blob.digest)),
                _ => return Err(refused("GET", &url, answer).await),
            }
            tries += 1;
            match self.body(answer, length).await {
                Ok(bytes) => return Ok(bytes.filter(|bytes| bytes.len() == length)),
                Err(error) if tries >= http::TRIES => return Err(Error::transport(&url, &error)),
                Err(_) => tokio::time::sleep(http::pause(tries - 1, None, SystemTime::now())).await,
            }
        }
    }

    /// Fetches a blob into the file `path`, which holds the whole blob, checked, or is not there. The folder
    /// has to exist. Gives the number of bytes received, those of cut connections included.
    pub async fn blob_to_file(&self, repo: &Reference, blob: &Descriptor, path: &Path) -> Result<u64> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new()
            .prefix(".part-")
            .permissions(permissions())
            .tempfile_in(folder)
            .map_err(Error::io(folder))?;
        let task = report::task();
        let what = format!("pull {} {}", repo.repository, blob.digest.short());
        self.reporter().report(Event::Started { task, what, total_bytes: Some(blob.size) });
        let result = self.download(repo, blob, &temporary, task).await;
        self.reporter().report(Event::Finished { task });
        let received = result?;
        temporary.persist(path).map_err(|e| Error::Io { path: path.to_owned(), source: e.error })?;
        Ok(received)
    }

    async fn download(
        &self,
        repo: &Reference,
        blob: &Descriptor,
        temporary: &tempfile::NamedTempFile,
        task: report::TaskId,
    ) -> Result<u64> {
        let path = temporary.path();
        let url = self.url(repo, &format!("blobs/{}", blob.digest))?;
        let access = Access::pull(&repo.registry, &repo.repository);
        let mut part = Part::new(blob, path, temporary.reopen().map_err(Error::io(path))?);
        let (mut received, mut shown, mut tries) = (0, 0, 0);
        while part.have < blob.size || tries == 0 {
            let have = part.have;
            let answer = self
                .send(&access, &url, Again::Yes, || {
                    let get = self.0.http.to(&url).get(url.clone());
                    if have > 0 { get.header(RANGE, format!("bytes={have}-")) } else { get }
                })
                .await?;
            match answer.status() {
                StatusCode::OK => part.restart().await?,
                StatusCode::PARTIAL_CONTENT if starts_at(&answer, have) => {}
                // A server that cannot go on from here has to start again.
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE
                    if have > 0 && tries < http::TRIES =>
                {
                    part.restart().await?;
                    tries += 1;
                    continue;
                }
                StatusCode::NOT_FOUND => return Err(missing(repo, &blob.digest)),
                _ => return Err(refused("GET", &url, answer).await),
            }
            let before = part.have;
            let mut stream = answer.bytes_stream();
            let cut = loop {
                match stream.next().await {
                    None => break "the connection ended early".to_owned(),
                    Some(Err(cut)) => break http::cause(&cut),
                    Some(Ok(chunk)) => {
                        received += chunk.len() as u64;
                        self.0.received.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                        part.take(&url, &chunk).await?;
                        // Bytes that come a second time are no news.
                        let news = part.have.saturating_sub(shown);
                        shown += news;
                        self.reporter().report(Event::Advanced { task, bytes: news });
                    }
                }
            };
            if part.have - before >= PROGRESS {
                tries = 0;
            }
            tries += 1;
            if part.have < blob.size {
                if tries >= http::TRIES {
                    return Err(Error::Unreachable { url: http::redact(&url), reason: cut });
                }
                tokio::time::sleep(http::pause(tries - 1, None, SystemTime::now())).await;
            }
        }
        part.finish(&url).await?;
        Ok(received)
    }
}

/// The first bytes of a blob, in its temporary file.
struct Part<'a> {
    blob: &'a Descriptor,
    path: &'a Path,
    file: tokio::fs::File,
    digester: Digester,
    have: u64,
}

impl<'a> Part<'a> {
    fn new(blob: &'a Descriptor, path: &'a Path, file: std::fs::File) -> Self {
        let mut file = tokio::fs::File::from_std(file);
        file.set_max_buf_size(1 << 20);
        Part { blob, path, file, digester: Digester::new(blob.digest.algorithm()), have: 0 }
    }

    async fn restart(&mut self) -> Result<()> {
        if self.have > 0 {
            use tokio::io::AsyncSeekExt;
            self.file.rewind().await.map_err(Error::io(self.path))?;
            self.file.set_len(0).await.map_err(Error::io(self.path))?;
            self.digester = Digester::new(self.blob.digest.algorithm());
            self.have = 0;
        }
        Ok(())
    }

    async fn take(&mut self, url: &Url, chunk: &[u8]) -> Result<()> {
        self.have += chunk.len() as u64;
        if self.have > self.blob.size {
            return Err(Error::answer(url, format!("more bytes than the blob's {}", self.blob.size)));
        }
        self.digester.update(chunk);
        self.file.write_all(chunk).await.map_err(Error::io(self.path))
    }

    async fn finish(mut self, url: &Url) -> Result<()> {
        self.file.flush().await.map_err(Error::io(self.path))?;
        let found = self.digester.finish();
        if found != self.blob.digest {
            return Err(Error::Digest { what: http::redact(url), expected: self.blob.digest.clone(), found });
        }
        Ok(())
    }
}

/// `Content-Range: bytes START-END/TOTAL` (RFC 9110, section 14.4).
fn starts_at(answer: &Response, offset: u64) -> bool {
    let range = text(answer.headers(), CONTENT_RANGE.as_str()).and_then(|v| v.trim().strip_prefix("bytes "));
    range.and_then(|r| r.split_once('-')).and_then(|(start, _)| start.trim().parse().ok()) == Some(offset)
}

fn missing(repo: &Reference, digest: &Digest) -> Error {
    Error::NotFound { what: format!("{}@{digest}", repo.name()) }
}

/// What an ordinary new file has; temporary files are made for their owner alone.
pub(crate) fn permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}
