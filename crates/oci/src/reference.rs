//! Image references: `[registry/]repository[:tag][@digest]`.
//!
//! Grammar: distribution-spec 1.1, "Pulling manifests" for names and tags; what Docker's reference grammar
//! adds is the default registry `docker.io` and its `library/` namespace.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

/// A checked reference. `registry` is a host with an optional port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// `quay.io`, `127.0.0.1:5000`.
    pub registry: String,
    /// `jupyterhub/hub`: lower-case path components.
    pub repository: String,
    /// The tag, where one is given.
    pub tag: Option<String>,
    /// The digest, where one is given.
    pub digest: Option<Digest>,
}

/// Why a text is not a reference.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not an image reference: {reason}")]
pub struct ReferenceError {
    /// The text as given, without a password.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Whether `tag` is a tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}` (distribution-spec 1.1).
pub fn is_tag(tag: &str) -> bool {
    let bytes = tag.as_bytes();
    (1..=128).contains(&bytes.len())
        && (bytes[0].is_ascii_alphanumeric() || bytes[0] == b'_')
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
}

/// Whether `name` is a repository name:
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/…)*` (distribution-spec 1.1), at most 255 bytes.
pub fn is_repository(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && name.split('/').all(is_component)
}

fn is_component(part: &str) -> bool {
    let bytes = part.as_bytes();
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alnum(*first) || !alnum(*last) {
        return false;
    }
    // Between two letters or digits: one dot, one or two underscores, or any number of dashes.
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes[at..].iter().position(|b| alnum(*b)).map_or(bytes.len(), |n| at + n);
        let separator = &part[at..end];
        let fine = matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
        if !fine {
            return false;
        }
        at = end + 1;
    }
    true
}

impl Reference {
    /// The reference with `tag` in place of its own tag and digest.
    pub fn with_tag(&self, tag: &str) -> Self {
        Reference { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// The reference with `digest` in place of its own tag and digest.
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Reference { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }

    /// What the registry is asked for: the digest, else the tag, else `latest`.
    pub fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// `registry/repository`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// The text with `***` in place of what stands before the `@` of a host (`user:password@host/…`). A digest's `@` is
/// the last one and has an algorithm behind it.
fn redacted(text: &str) -> Cow<'_, str> {
    let scheme = text.find("://").map_or(0, |at| at + 3);
    let rest = &text[scheme..];
    let is_digest = |at: usize| ["sha256:", "sha512:"].iter().any(|name| rest[at + 1..].starts_with(name));
    let of_host = |at: usize| rest[at + 1..].contains(['/', '@']) || rest[..at].contains(':');
    match rest.rmatch_indices('@').map(|(at, _)| at).find(|at| !is_digest(*at) && of_host(*at)) {
        Some(at) => Cow::Owned(format!("{}***{}", &text[..scheme], &rest[at..])),
        None => Cow::Borrowed(text),
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let shown = redacted(text);
        let error = |reason: &str| ReferenceError { text: shown.to_string(), reason: reason.to_owned() };
        if shown != text {
            return Err(error(
                "a user and password do not belong into it: `docker login` or `podman login` keeps them, or \
                 REGISTRY_AUTH_FILE names a file with them",
            ));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse::<Digest>().map_err(|e| error(&e.to_string()))?))
            }
            None => (text, None),
        };
        let (rest, tag) = match rest.rsplit_once(':') {
            Some((rest, tag)) if !tag.contains('/') => (rest, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if let Some(tag) = &tag
            && !is_tag(tag)
        {
            return Err(error("the tag must match [A-Za-z0-9_][A-Za-z0-9._-]{0,127}"));
        }
        let (registry, repository) = match rest.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path.to_owned()),
            Some(_) => ("docker.io", rest.to_owned()),
            None => ("docker.io", format!("library/{rest}")),
        };
        let host_ok = registry.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
        if !host_ok || registry.is_empty() {
            return Err(error("the registry must be a host with an optional port"));
        }
        if !is_repository(&repository) {
            return Err(error(
                "the repository must be lower-case letters, digits and single separators . _ - /",
            ));
        }
        Ok(Reference { registry: registry.to_owned(), repository, tag, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_as_written() {
        let r: Reference = "127.0.0.1:5000/jupyterhub/hub:5.3.0-1".parse().unwrap();
        assert_eq!((r.registry.as_str(), r.repository.as_str()), ("127.0.0.1:5000", "jupyterhub/hub"));
        assert_eq!(r.tag.as_deref(), Some("5.3.0-1"));
        assert_eq!(r.to_string(), "127.0.0.1:5000/jupyterhub/hub:5.3.0-1");
        assert_eq!("python".parse::<Reference>().unwrap().to_string(), "docker.io/library/python");
        assert_eq!("a/b".parse::<Reference>().unwrap().registry, "docker.io");
        assert_eq!("localhost/b".parse::<Reference>().unwrap().registry, "localhost");
    }

    #[test]
    fn names_follow_the_specification() {
        for good in ["a", "a/b", "a.b", "a_b", "a__b", "a---b", "a1/b2.c", "conformance/repo1"] {
            assert!(is_repository(good), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "A", "a..b", "a___b", "a._b", "-a", "a-", "a//b", "a b", "../a", "é"]
        {
            assert!(!is_repository(bad), "{bad}");
        }
        assert!("UPPER/x".parse::<Reference>().is_err());
        assert!("x:-bad".parse::<Reference>().is_err());
        assert!("x@sha256:00".parse::<Reference>().is_err());
    }

    #[test]
    fn credentials_are_refused_and_not_repeated() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, shown) in [
            ("user:secret@host.test/a/b:1".to_owned(), "***@host.test/a/b:1".to_owned()),
            ("user:se@cret@host.test:5000/a".to_owned(), "***@host.test:5000/a".to_owned()),
            ("user:se/cret@host.test/a".to_owned(), "***@host.test/a".to_owned()),
            ("https://user:secret@host.test/a".to_owned(), "https://***@host.test/a".to_owned()),
            ("user:secret@host.test".to_owned(), "***@host.test".to_owned()),
            (format!("user:secret@host.test/a@{digest}"), format!("***@host.test/a@{digest}")),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert_eq!(error.text, shown);
            let message = error.to_string();
            assert!(!message.contains("cret") && message.contains("docker login"), "{message}");
        }
        assert!(format!("host.test/a:1@{digest}").parse::<Reference>().is_ok());
        let digest = "a@latest".parse::<Reference>().unwrap_err().to_string();
        assert!(digest.contains("`a@latest`") && !digest.contains("login"), "{digest}");
    }
}
