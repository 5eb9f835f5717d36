//! Fetching: index documents into memory, locked files into the download cache. Every byte that arrives is counted.

mod download;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use futures_util::StreamExt;
use perijove_oci::{Reporter, http};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};

use crate::{Error, Result};

/// Fetches over one HTTP client and counts the bytes.
#[derive(Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    /// Clients for addresses that are reached in another way: scheme, host, client.
    routes: Vec<(String, String, reqwest::Client)>,
    /// What is sent to addresses below another: that one, and `Authorization`.
    credentials: Vec<(Url, HeaderValue)>,
    cache: PathBuf,
    fetched: Arc<AtomicU64>,
    reporter: Arc<dyn Reporter>,
}

impl Fetcher {
    /// `cache` is Perijove's cache folder; it is made when the first file arrives.
    pub fn new(cache: &Path, reporter: Arc<dyn Reporter>) -> Result<Self> {
        let client = http::client().map_err(|e| no_client(&e))?;
        Ok(Fetcher {
            client,
            routes: Vec::new(),
            credentials: Vec::new(),
            cache: cache.to_owned(),
            fetched: Arc::default(),
            reporter,
        })
    }

    /// The same cache and counters, but what has the scheme and host of `url` is reached by `proxy`, or by none
    /// whatever the environment says.
    pub fn routed(&self, url: &Url, proxy: Option<&Url>) -> Result<Self> {
        let client = http::client_through(proxy).map_err(|e| no_client(&e))?;
        let mut routed = self.clone();
        routed.routes.push((url.scheme().to_owned(), url.host_str().unwrap_or_default().to_owned(), client));
        Ok(routed)
    }

    /// The same cache and counters, but requests below `url` say who asks. A redirect to another host does not.
    pub fn authorised(&self, url: &Url, authorization: HeaderValue) -> Self {
        let mut authorised = self.clone();
        authorised.credentials.push((url.clone(), authorization));
        authorised
    }

    fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        let request = self.client(url).request(method, url.clone());
        match self.credentials.iter().find(|(place, _)| is_below(url, place)) {
            Some((_, authorization)) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    fn client(&self, url: &Url) -> &reqwest::Client {
        let is_for = |scheme: &str, host: &str| url.scheme() == scheme && url.host_str() == Some(host);
        self.routes.iter().find(|(s, h, _)| is_for(s, h)).map_or(&self.client, |(_, _, client)| client)
    }

    /// Body bytes received so far, by all clones.
    pub fn fetched_bytes(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Where Perijove keeps what can be had again.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Where events go.
    pub fn reporter(&self) -> &Arc<dyn Reporter> {
        &self.reporter
    }

    /// A whole document of at most `limit` bytes, with the media type it came as.
    pub async fn document(&self, url: &Url, accept: &str, limit: u64) -> Result<(Vec<u8>, String)> {
        let page = self.page(url, accept, limit).await?;
        page.map(|p| (p.bytes, p.kind))
            .ok_or_else(|| fetch_error(url, "the server answered 404 Not Found", GONE))
    }

    /// As [`Fetcher::document`], with the address that answered after redirects; `None` where the server has
    /// no such page (404, 410). It may come compressed: pages of large projects have megabytes.
    pub async fn page(&self, url: &Url, accept: &str, limit: u64) -> Result<Option<Page>> {
        let mut tries = 0;
        loop {
            let answer = http::send(|| {
                let get = self.request(Method::GET, url).header(ACCEPT, accept);
                get.header(ACCEPT_ENCODING, "gzip")
            })
            .await;
            if answer.as_ref().is_ok_and(|r| matches!(r.status(), StatusCode::NOT_FOUND | StatusCode::GONE)) {
                return Ok(None);
            }
            let response = self.checked(url, answer)?;
            let kind =
                response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
            let at = response.url().clone();
            let encoding = response.headers().get(CONTENT_ENCODING).cloned();
            let body = self.body(response, limit).await;
            match body.and_then(|bytes| decoded(bytes, encoding.as_ref(), limit)) {
                Ok(bytes) => return Ok(Some(Page { bytes, kind, url: at })),
                Err(reason) if reason.permanent || tries >= http::TRIES => {
                    return Err(fetch_error(url, &reason.text, "try again later"));
                }
                Err(_) => tokio::time::sleep(http::pause(tries, None, SystemTime::now())).await,
            }
            tries += 1;
        }
    }

    /// The length in bytes of the file at `url`, where the server tells it without sending the file.
    pub async fn length(&self, url: &Url) -> Option<u64> {
        let response = http::send(|| self.request(Method::HEAD, url)).await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        // A HEAD has no body, so the header itself is read (RFC 9110, section 9.3.2).
        response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    async fn body(&self, response: Response, limit: u64) -> Result<Vec<u8>, Cut> {
        let mut bytes = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|e| Cut { text: http::cause(&e), permanent: false })?;
            self.fetched.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            if (bytes.len() + chunk.len()) as u64 > limit {
                return Err(Cut {
                    text: format!("the answer is larger than {limit} bytes"),
                    permanent: true,
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn checked(&self, url: &Url, answer: Result<Response, reqwest::Error>) -> Result<Response> {
        let response = answer.map_err(|e| {
            fetch_error(
                url,
                &http::cause(&e),
                "is the server up, and are proxy and certificates set as for uv, npm and apt?",
            )
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let hint = match status.as_u16() {
            401 | 403 | 407 => "the server wants other credentials: check those of uv, npm or apt",
            404 | 410 => GONE,
            429 => "the server limits requests: wait, or use a mirror",
            _ => "try again later, or use a mirror",
        };
        Err(fetch_error(url, &format!("the server answered {status}"), hint))
    }
}

const GONE: &str = "no such file there: is the lock newer than the mirror, or the package withdrawn?";

/// A document as it came.
pub struct Page {
    /// The body.
    pub bytes: Vec<u8>,
    /// `Content-Type`, as sent.
    pub kind: String,
    /// The address that answered, to which relative links in the document belong.
    pub url: Url,
}

struct Cut {
    text: String,
    permanent: bool,
}

/// Whether `url` lies in the folder `place`.
fn is_below(url: &Url, place: &Url) -> bool {
    let folder = format!("{}/", place.path().trim_end_matches('/'));
    url.origin() == place.origin() && url.path().starts_with(&folder)
}

/// The body without its content coding (RFC 9110, section 8.4.1.3), at most `limit` bytes.
fn decoded(bytes: Vec<u8>, encoding: Option<&HeaderValue>, limit: u64) -> Result<Vec<u8>, Cut> {
    let is_gzip = encoding.is_some_and(|name| matches!(name.as_bytes(), b"gzip" | b"x-gzip"));
    if !is_gzip {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(&bytes[..]).take(limit + 1).read_to_end(&mut plain);
    match read {
        Err(error) => Err(Cut { text: format!("its gzip coding is broken: {error}"), permanent: false }),
        Ok(length) if length as u64 > limit => {
            Err(Cut { text: format!("the answer is larger than {limit} bytes"), permanent: true })
        }
        Ok(_) => Ok(plain),
    }
}

fn fetch_error(url: &Url, reason: &str, hint: &str) -> Error {
    Error::Fetch { url: http::redact(url), reason: reason.to_owned(), hint: hint.to_owned() }
}

fn no_client(error: &reqwest::Error) -> Error {
    Error::Refused {
        reason: format!("cannot set up HTTPS: {error}"),
        hint: "check SSL_CERT_FILE and the proxy variables".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn credentials_are_for_one_place() {
        for (url, place, below) in [
            ("https://a.test/npm/x", "https://a.test/npm/", true),
            ("https://a.test/npm/x", "https://a.test/npm", true),
            ("https://a.test/npmx", "https://a.test/npm", false),
            ("https://a.test:8443/npm/x", "https://a.test/npm/", false),
            ("http://a.test/npm/x", "https://a.test/npm/", false),
            ("https://b.test/x", "https://a.test/", false),
            ("https://a.test/x", "https://a.test", true),
        ] {
            assert_eq!(is_below(&url.parse().unwrap(), &place.parse().unwrap()), below, "{url} {place}");
        }
    }

    #[test]
    fn a_coded_page_is_read_within_its_limit() {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        coder.write_all(&[b'x'; 1000]).unwrap();
        let coded = coder.finish().unwrap();
        let gzip = HeaderValue::from_static("gzip");
        let decode =
            |bytes: &[u8], coding, limit| decoded(bytes.to_vec(), coding, limit).map_err(|c| c.permanent);
        assert_eq!(decode(&coded, Some(&gzip), 1000), Ok(vec![b'x'; 1000]));
        assert_eq!(decode(&coded, Some(&gzip), 999), Err(true), "a bomb");
        assert_eq!(decode(&coded[..20], Some(&gzip), 1000), Err(false), "cut");
        assert_eq!(decode(&coded, None, 1000), Ok(coded.clone()));
    }
}
