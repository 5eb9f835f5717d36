//! What can go wrong between a registry or an image layout and us, and what to do about it.
//!
//! No variant holds a credential: URLs come without user, password and query, and a server's own words are
//! cut short and stripped of control characters.

use std::path::PathBuf;

use serde::Deserialize;

use crate::digest::Digest;

/// The result of this crate's I/O.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors, named after what the user meets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// No answer came: connection refused, cut or timed out, certificate not trusted.
    #[error("{url}: {reason}")]
    Unreachable {
        /// The address, without credentials.
        url: String,
        /// The innermost cause.
        reason: String,
    },
    /// The registry answered that it will not.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The registry answered something that no registry may answer.
    #[error("{url}: {reason}")]
    Answer {
        /// The address, without credentials.
        url: String,
        /// What was wrong with the answer.
        reason: String,
    },
    /// Bytes came, but not those of the digest.
    #[error("{what}: expected {expected}, got {found}")]
    Digest {
        /// Address or file.
        what: String,
        /// The digest that was asked for or announced.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The registry has no such image.
    #[error("{what}: not found in the registry")]
    NotFound {
        /// The reference.
        what: String,
    },
    /// The registry has the image, but not all that the image lists.
    #[error("{what}: an image in the registry lists this blob, but it is gone")]
    Lost {
        /// Repository and digest.
        what: String,
    },
    /// The image exists, but not for this platform.
    #[error("{what}: no image for {wanted} (there is: {offered})")]
    Platform {
        /// The reference.
        what: String,
        /// The platform that was asked for.
        wanted: String,
        /// The platforms of the index.
        offered: String,
    },
    /// Credentials could not be read: an auth file or a credential helper.
    #[error("{place}: {reason}")]
    Credentials {
        /// The file or the helper.
        place: String,
        /// What happened; never the credential.
        reason: String,
    },
    /// An image layout, archive or image content is not what it must be.
    #[error("{place}: {reason}")]
    Content {
        /// File, digest or reference.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up HTTPS: {0}")]
    Setup(String),
}

/// A registry's refusal (distribution-spec 1.1, Error Codes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `GET`, `PUT`…
    pub method: String,
    /// The address, without credentials.
    pub url: String,
    /// The HTTP status.
    pub status: u16,
    /// The specification's code, such as `DENIED`, where the answer has one.
    pub code: Option<String>,
    /// The server's own words, at most [`MAX_MESSAGE`] characters.
    pub message: String,
}

/// The most characters of a server's words that are kept.
pub const MAX_MESSAGE: usize = 300;

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: the registry answered {}", self.method, self.url, self.status)?;
        match (&self.code, self.message.as_str()) {
            (None, "") => Ok(()),
            (None, message) => write!(f, ": {message}"),
            (Some(code), "") => write!(f, " {code}"),
            (Some(code), message) => write!(f, " {code}: {message}"),
        }
    }
}

impl Refusal {
    /// Reads the OCI error body, `{"errors":[{"code","message"}]}`; of anything else but a web page the
    /// first words are kept.
    pub fn read(method: &str, url: String, status: u16, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Body {
            errors: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let (code, message) =
            match serde_json::from_slice::<Body>(body).ok().and_then(|b| b.errors.into_iter().next()) {
                Some(entry) => (
                    Some(bounded(&entry.code, 60)).filter(|c| !c.is_empty()),
                    bounded(&entry.message, MAX_MESSAGE),
                ),
                None if body.trim_ascii_start().starts_with(b"<") => (None, "a web page".to_owned()),
                None => (None, bounded(&String::from_utf8_lossy(body), MAX_MESSAGE)),
            };
        Refusal { method: method.to_owned(), url, status, code, message }
    }
}

/// At most `limit` characters on one line, without control characters.
pub(crate) fn bounded(text: &str, limit: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.trim();
    if clean.chars().count() <= limit {
        return clean.to_owned();
    }
    clean.chars().take(limit).chain(['…']).collect()
}

impl Error {
    /// For `map_err` on file operations.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }

    pub(crate) fn content(place: &dyn std::fmt::Display, reason: impl Into<String>) -> Error {
        Error::Content { place: place.to_string(), reason: reason.into() }
    }

    pub(crate) fn answer(url: &reqwest::Url, reason: impl Into<String>) -> Error {
        Error::Answer { url: crate::http::redact(url), reason: reason.into() }
    }

    /// reqwest's own text repeats the URL with its query, so only the innermost cause is kept.
    pub(crate) fn transport(url: &reqwest::Url, error: &reqwest::Error) -> Error {
        if error.is_redirect() {
            return Error::answer(url, "the server redirects in a loop");
        }
        Error::Unreachable { url: crate::http::redact(url), reason: crate::http::cause(error) }
    }

    /// The HTTP status of the registry's answer, where there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Refused(refusal) => Some(refusal.status),
            Error::NotFound { .. } | Error::Lost { .. } => Some(404),
            _ => None,
        }
    }

    /// What to do next, where it is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Refused(refusal) => match refusal.status {
                401 => {
                    "log in first (podman login, docker login, or REGISTRY_AUTH_FILE); a repository that does not exist may answer so too"
                }
                403 => {
                    "these credentials may not do this here: ask for write access, or check the repository's name"
                }
                404 => "check the repository's name; some registries want it to be created first",
                405 if refusal.method == "DELETE" => {
                    "deletion is switched off in this registry: switch it on, or delete the tags in its own interface"
                }
                405 => "this registry is read-only, or something else listens at this address",
                409 | 412 => "the tag exists already and may not be overwritten",
                413 => "the registry or a proxy before it limits the size of requests",
                429 => "the registry limits requests: log in, or wait",
                507 => "the registry's disk is full",
                500.. => "the registry is failing: look at its log, or try again later",
                _ => return None,
            },
            Error::Unreachable { .. } => {
                "is the registry up, and are name, port, proxy and certificates right? plain HTTP is used on loopback and for hosts in PERIJOVE_INSECURE_REGISTRIES only"
            }
            Error::Answer { .. } => {
                "is this the address of a registry, and not of a web site or a log-in page before it?"
            }
            Error::Digest { .. } => {
                "something between here and the content's maker changed it: do not use it, and try again"
            }
            Error::NotFound { .. } => "check name, tag and digest",
            Error::Lost { .. } => {
                "somebody deleted it: push from a machine that still has it, or delete the image there, so that it is made anew"
            }
            Error::Credentials { .. } => {
                "mend the file or the helper, or point REGISTRY_AUTH_FILE at another file"
            }
            Error::Setup(_) => "check SSL_CERT_FILE and the proxy variables",
            Error::Io { source, .. } => return io_hint(source).map(str::to_owned),
            Error::Platform { .. } | Error::Content { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// What to do where the operating system refused to read or write, where that is known.
pub fn io_hint(error: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Some("free some disk space and run it again; nothing was left half-written")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Some("run it as somebody who may write there, or name another place")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_error_body() {
        let read = |body: &[u8]| Refusal::read("PUT", "http://h/v2/".to_owned(), 403, body).to_string();
        let start = "PUT http://h/v2/: the registry answered 403";
        for (body, text) in [
            (&br#"{"errors":[{"code":"DENIED","message":"no\nway"}]}"#[..], " DENIED: no way"),
            (br#"{"errors":[{"code":"DENIED"}]}"#, " DENIED"),
            (br#"{"errors":[]}"#, r#": {"errors":[]}"#),
            (b"  <html><body>Log in</body></html>", ": a web page"),
            (b"go away\x1b[31m", ": go away [31m"),
            (b"", ""),
        ] {
            assert_eq!(read(body), format!("{start}{text}"));
        }
        assert!(read(&[b'x'; 5000]).len() < 400);
    }
}
