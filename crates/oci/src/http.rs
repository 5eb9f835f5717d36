//! The HTTP client that every part of Perijove shares: trust, time limits, and what is worth another try.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};

/// How often a request is tried before it fails.
pub const TRIES: u32 = 5;

/// How long a server may say nothing before the request is tried again, where nobody says otherwise.
pub const SILENCE: Duration = Duration::from_secs(60);

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(20);

static SILENCE_ALLOWED: OnceLock<Duration> = OnceLock::new();

/// Lets servers say nothing for `limit` instead of [`SILENCE`]. For the program's start: the first word counts, and
/// only for clients that are made later.
pub fn allow_silence(limit: Duration) {
    let _ = SILENCE_ALLOWED.set(limit);
}

fn silence() -> Duration {
    SILENCE_ALLOWED.get().copied().unwrap_or(SILENCE)
}

/// A client that trusts the system's roots, or the bundled ones (Mozilla's) where the system has none.
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's roots; proxies come from the environment.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    builder().build()
}

/// As [`client`], but everything goes through `proxy`, or through none; the environment's proxies do not count.
pub fn client_through(proxy: Option<&Url>) -> Result<reqwest::Client, reqwest::Error> {
    let builder = builder().no_proxy();
    match proxy {
        Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy.clone())?).build(),
        None => builder.build(),
    }
}

/// The same, for clients that need other time limits or redirects.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("perijove/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .read_timeout(silence())
        .pool_max_idle_per_host(16);
    #[cfg(feature = "static")]
    let builder = builder.dns_resolver(Arc::new(crate::dns::Resolver::default()));
    match tls() {
        Some(config) => builder.tls_backend_preconfigured(config),
        None => builder,
    }
}

/// The trust of all clients. The roots are read once: that takes longer than many a command.
fn tls() -> Option<rustls::ClientConfig> {
    static CONFIG: OnceLock<Option<rustls::ClientConfig>> = OnceLock::new();
    let make = || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Some(config.ok()?.with_root_certificates(roots).with_no_client_auth())
    };
    CONFIG.get_or_init(make).clone()
}

/// Whether a status is worth another try: 408, 429 and every 5xx but 501 (RFC 9110, section 15).
pub fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429)
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// How long to wait before try number `tries` + 1 (the first try is 0): what `Retry-After` says (seconds or
/// an HTTP date; RFC 9110, section 10.2.3), else 0.2 s doubled each time; never above a minute.
pub fn pause(tries: u32, headers: Option<&HeaderMap>, now: SystemTime) -> Duration {
    let asked = headers.and_then(|h| h.get(RETRY_AFTER)).and_then(|v| v.to_str().ok()).and_then(|text| {
        text.trim().parse::<u64>().ok().map(Duration::from_secs).or_else(|| {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            SystemTime::from(at).duration_since(now).ok()
        })
    });
    asked.unwrap_or(Duration::from_millis(200 << tries.min(8))).min(Duration::from_secs(60))
}

/// The URL without user, password and query, for messages.
pub fn redact(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

/// Why a request failed: the innermost cause, for reqwest's own text repeats the URL with its credentials.
pub fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    match (error.is_timeout(), error.is_connect()) {
        (true, true) => format!("no connection within {} s", CONNECT.as_secs()),
        (true, false) => format!("the server sent nothing for {} s", silence().as_secs()),
        (false, _) => inner.to_string(),
    }
}

/// Sends what `make` makes until it succeeds, fails for good, or was tried [`TRIES`] times. Gives the last
/// answer, whatever its status, or the last transport error.
pub async fn send(mut make: impl FnMut() -> reqwest::RequestBuilder) -> Result<Response, reqwest::Error> {
    let mut tries = 0;
    loop {
        let answer = make().send().await;
        tries += 1;
        let headers = match &answer {
            Ok(response) if !is_transient(response.status()) || tries >= TRIES => return answer,
            Ok(response) => Some(response.headers().clone()),
            Err(error) if error.is_builder() || error.is_redirect() || tries >= TRIES => return answer,
            Err(_) => None,
        };
        tokio::time::sleep(pause(tries - 1, headers.as_ref(), SystemTime::now())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_as_asked_and_never_long() {
        let now = SystemTime::now();
        let header = |v: &str| HeaderMap::from_iter([(RETRY_AFTER, v.parse().unwrap())]);
        assert_eq!(pause(0, None, now), Duration::from_millis(200));
        assert_eq!(pause(3, None, now), Duration::from_millis(1600));
        assert_eq!(pause(0, Some(&header("7")), now), Duration::from_secs(7));
        assert_eq!(pause(0, Some(&header("86400")), now), Duration::from_secs(60));
        assert_eq!(pause(1, Some(&header("soon")), now), Duration::from_millis(400));
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 5);
        assert_eq!(pause(0, Some(&header("Sun, 06 Nov 1994 08:49:37 GMT")), at), Duration::from_secs(5));
    }

    #[test]
    fn messages_hold_no_secrets() {
        let url = Url::parse("https://user:secret@example.org/simple/?token=x").unwrap();
        assert_eq!(redact(&url), "https://example.org/simple/");
    }
}
