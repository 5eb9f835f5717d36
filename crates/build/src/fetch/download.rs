//! The download cache: a file is named after its digest, is complete or absent, and is checked again when it is used.
//! A connection cut half-way is resumed with a range request.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use futures_util::StreamExt;
use perijove_oci::{Digest, Digester, Event, http, report};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::io::AsyncWriteExt;

use super::{Fetcher, fetch_error};
use crate::{Error, Result, blocking};

/// No package is larger than this (4 GiB).
const MAX_FILE: u64 = 4 << 30;

/// Answers that are about a rest of a file: of no use when it is another rest than the one asked for.
const RESTS: [StatusCode; 2] = [StatusCode::PARTIAL_CONTENT, StatusCode::RANGE_NOT_SATISFIABLE];

/// Whether the answer goes on where `have` bytes end (RFC 9110, section 14.4).
fn continues(response: &Response, have: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let start = range.and_then(|range| range.trim().strip_prefix("bytes ")?.split_once('-'));
    response.status() == StatusCode::PARTIAL_CONTENT
        && start.and_then(|(start, _)| start.trim().parse().ok()) == Some(have)
}

impl Fetcher {
    /// Where the file with `digest` lies in the download cache, whether or not it is there.
    pub fn cached(&self, digest: &Digest) -> PathBuf {
        self.cache.join("downloads").join(digest.algorithm().name()).join(digest.hex())
    }

    /// The file with `digest` from the download cache, read and checked: a power cut may have emptied it, a disk
    /// changed it. What is damaged is removed, to be fetched again.
    pub async fn kept(&self, digest: &Digest) -> Result<Option<PathBuf>> {
        let (path, digest) = (self.cached(digest), digest.clone());
        blocking(move || {
            let Ok(mut file) = std::fs::File::open(&path) else { return Ok(None) };
            let mut digester = Digester::new(digest.algorithm());
            let mut buffer = vec![0; 256 << 10];
            loop {
                match file.read(&mut buffer).map_err(Error::io(&path))? {
                    0 => break,
                    n => digester.update(&buffer[..n]),
                }
            }
            if digester.finish() == digest {
                return Ok(Some(path));
            }
            std::fs::remove_file(&path).map_err(Error::io(&path))?;
            Ok(None)
        })
        .await
    }

    /// The locked file with `digest`: from the cache, else from `url`, checked against the digest and, where
    /// known, the size. `name` is what messages call it.
    pub async fn file(&self, url: &Url, name: &str, digest: &Digest, size: Option<u64>) -> Result<PathBuf> {
        match self.kept(digest).await? {
            Some(path) => Ok(path),
            None => self.fetch(url, name, digest, size).await,
        }
    }

    /// The same where the cache is known not to have it.
    pub async fn fetch(&self, url: &Url, name: &str, digest: &Digest, size: Option<u64>) -> Result<PathBuf> {
        let path = self.cached(digest);
        let folder = path.parent().unwrap_or(&self.cache).to_owned();
        tokio::fs::create_dir_all(&folder).await.map_err(Error::io(&folder))?;
        let task = report::task();
        self.reporter.report(Event::Started { task, what: format!("fetch {name}"), total_bytes: size });
        let result = self.download(url, name, digest, size, task, &folder).await;
        self.reporter.report(Event::Finished { task });
        let temporary = result?;
        // Renaming over the same content by another process is harmless: the name is the digest.
        temporary.persist(&path).map_err(|e| Error::Io { path: path.clone(), source: e.error })?;
        Ok(path)
    }

    async fn download(
        &self,
        url: &Url,
        name: &str,
        digest: &Digest,
        size: Option<u64>,
        task: report::TaskId,
        folder: &Path,
    ) -> Result<tempfile::NamedTempFile> {
        let temporary =
            tempfile::Builder::new().prefix(".part-").tempfile_in(folder).map_err(Error::io(folder))?;
        let path = temporary.path().to_owned();
        let mut file = tokio::fs::File::from_std(temporary.reopen().map_err(Error::io(&path))?);
        let mut digester = Digester::new(digest.algorithm());
        let (mut have, mut tries) = (0u64, 0u32);
        let limit = size.unwrap_or(MAX_FILE);
        loop {
            let answer = http::send(|| {
                let get = self.request(Method::GET, url);
                if have > 0 { get.header(RANGE, format!("bytes={have}-")) } else { get }
            })
            .await;
            let resumed = have > 0 && answer.as_ref().is_ok_and(|response| continues(response, have));
            if have > 0 && !resumed {
                // From the first byte: the server sends it again, or has no such rest.
                file = tokio::fs::File::from_std(temporary.reopen().map_err(Error::io(&path))?);
                file.set_len(0).await.map_err(Error::io(&path))?;
                digester = Digester::new(digest.algorithm());
                have = 0;
                if answer.as_ref().is_ok_and(|response| RESTS.contains(&response.status())) {
                    continue;
                }
            }
            let response = self.checked(url, answer)?;
            let whole = response.content_length().map(|rest| have + rest);
            let mut stream = response.bytes_stream();
            let cut = loop {
                match stream.next().await {
                    None => break None,
                    Some(Err(error)) => break Some(http::cause(&error)),
                    Some(Ok(chunk)) => {
                        have += chunk.len() as u64;
                        self.fetched.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                        self.reporter.report(Event::Advanced { task, bytes: chunk.len() as u64 });
                        if have > limit {
                            return Err(fetch_error(
                                url,
                                &format!("more bytes than the {limit} that were expected"),
                                "the mirror serves something else under this name; check the index setting",
                            ));
                        }
                        digester.update(&chunk);
                        file.write_all(&chunk).await.map_err(Error::io(&path))?;
                    }
                }
            };
            match cut {
                None if whole.is_none_or(|whole| have >= whole) => break,
                _ if tries >= http::TRIES => {
                    let reason = cut.unwrap_or_else(|| "the connection ended early".to_owned());
                    return Err(fetch_error(
                        url,
                        &reason,
                        "the network or the mirror is failing; try again later",
                    ));
                }
                _ => tokio::time::sleep(http::pause(tries, None, SystemTime::now())).await,
            }
            tries += 1;
        }
        file.flush().await.map_err(Error::io(&path))?;
        let found = digester.finish();
        if found != *digest {
            return Err(Error::Hash { what: name.to_owned(), expected: digest.clone(), found });
        }
        Ok(temporary)
    }
}
