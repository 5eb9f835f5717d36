//! Where a registry's API is, and what its `Location` and `Link` answers point at.

use reqwest::Url;

use crate::error::{Error, Result};

/// Docker Hub's name in references is not its API's host.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Whether `registry` (host and optional port) is this machine: `localhost`, `127.0.0.0/8` or `[::1]`.
pub fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.is_empty() => host,
        _ => registry,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The root of the registry's API, `…/v2/`.
///
/// Plain HTTP for this machine and for the registries in `insecure` (`host` or `host:port`), HTTPS for all
/// others. There is no falling back from one to the other: who cuts a TLS connection must not be sent
/// credentials in the clear.
pub fn base(registry: &str, insecure: &[String]) -> Result<Url> {
    let host = if registry == DOCKER_HUB.0 { DOCKER_HUB.1 } else { registry };
    let name = registry.rsplit_once(':').map_or(registry, |(name, _)| name);
    let plain = is_loopback(registry) || insecure.iter().any(|i| i == registry || i == name);
    let scheme = if plain { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{host}/v2/"))
        .map_err(|e| Error::content(&registry, format!("not the address of a registry: {e}")))
}

/// What `text`, a `Location` or `Link` target in an answer from `base`, points at.
///
/// A TLS proxy in front of a registry that does not know of it makes it answer `http://` with its own host:
/// that is read as HTTPS. Any other way from HTTPS to HTTP is an error.
pub fn resolve(base: &Url, text: &str) -> Result<Url> {
    let mut url =
        base.join(text).map_err(|e| Error::answer(base, format!("it points at a malformed URL: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::answer(base, format!("it points at a {} URL", url.scheme())));
    }
    let downgrades = base.scheme() == "https" && url.scheme() == "http";
    if downgrades && (url.host_str() != base.host_str() || url.set_scheme("https").is_err()) {
        return Err(Error::answer(base, "it points from HTTPS at plain HTTP"));
    }
    Ok(url)
}

/// Whether credentials for `a` may go to `b`: same scheme, host and port.
pub fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host_str() == b.host_str()
        && a.port_or_known_default() == b.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_only_where_it_is_named() {
        let insecure = ["plain.example:5000".to_owned(), "any-port.example".to_owned()];
        for (registry, url) in [
            ("127.0.0.1:5000", "http://127.0.0.1:5000/v2/"),
            ("127.8.9.1", "http://127.8.9.1/v2/"),
            ("localhost:80", "http://localhost/v2/"),
            ("[::1]:5000", "http://[::1]:5000/v2/"),
            ("quay.io", "https://quay.io/v2/"),
            ("plain.example:5000", "http://plain.example:5000/v2/"),
            ("plain.example:5001", "https://plain.example:5001/v2/"),
            ("any-port.example:81", "http://any-port.example:81/v2/"),
            ("localhost.example", "https://localhost.example/v2/"),
            ("127.0.0.1.example", "https://127.0.0.1.example/v2/"),
            ("128.0.0.1:5000", "https://128.0.0.1:5000/v2/"),
            ("docker.io", "https://registry-1.docker.io/v2/"),
        ] {
            assert_eq!(base(registry, &insecure).unwrap().as_str(), url);
        }
    }

    #[test]
    fn locations() {
        let base = Url::parse("https://r.example/v2/a/blobs/uploads/").unwrap();
        for (text, url) in [
            ("/v2/a/blobs/uploads/1?_state=x", Some("https://r.example/v2/a/blobs/uploads/1?_state=x")),
            ("1", Some("https://r.example/v2/a/blobs/uploads/1")),
            ("http://r.example/v2/1", Some("https://r.example/v2/1")),
            ("https://other.example/v2/1", Some("https://other.example/v2/1")),
            ("http://other.example/v2/1", None),
            ("file:///etc/passwd", None),
            ("https://", None),
        ] {
            assert_eq!(resolve(&base, text).ok().as_ref().map(Url::as_str), url, "{text}");
        }
        assert!(!same_origin(&base, &Url::parse("https://r.example:444/").unwrap()));
        assert!(same_origin(&base, &Url::parse("https://r.example:443/").unwrap()));
    }
}
