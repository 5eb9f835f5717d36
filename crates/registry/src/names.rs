//! Checked names: repositories, tags and upload sessions.
//!
//! Every path of the store is made of these types and of digests only, so that no text of a client reaches
//! the file system unchecked (distribution-spec 1.1, "Pulling manifests", gives the grammars).

use std::fmt;
use std::str::FromStr;

use perijove_oci::digest::hex;
use perijove_oci::reference::{is_repository, is_tag};

/// Why a text is not the name it should be; holds the text, cut to 160 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a repository name.
    #[error(
        "`{0}` is not a repository name: lower-case letters, digits and single separators, at most 255 bytes"
    )]
    Repository(String),
    /// Not a tag.
    #[error(
        "`{0}` is not a tag: at most 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`"
    )]
    Tag(String),
    /// Not an upload session of this registry.
    #[error("`{0}` is not an upload session")]
    Upload(String),
}

fn excerpt(text: &str) -> String {
    text.chars().take(160).collect()
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $check:expr, $error:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The checked text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                if $check(text) { Ok(Self(text.into())) } else { Err($error(excerpt(text))) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_name! {
    /// A repository name: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/…)*`. No component begins with a dot or an
    /// underscore, so none can leave its folder or meet the store's own `_…` folders.
    RepositoryName, is_repository, NameError::Repository
}

checked_name! {
    /// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
    Tag, is_tag, NameError::Tag
}

checked_name! {
    /// An upload session: a random (version 4) UUID.
    UploadId, is_uuid, NameError::Upload
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

impl UploadId {
    /// A new random session.
    pub fn random() -> Self {
        let mut bytes: [u8; 16] = rand::random();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = hex(&bytes);
        let text = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-");
        UploadId(text.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_random_session_is_a_session() {
        let id = UploadId::random();
        assert_eq!(id.as_str().parse::<UploadId>().unwrap(), id);
        assert_eq!(id.as_str().as_bytes()[14], b'4');
    }

    proptest! {
        #[test]
        fn no_checked_name_leaves_its_folder(text in r"[a-z0-9._/\\\-]{0,40}") {
            if let Ok(name) = text.parse::<RepositoryName>() {
                for part in name.as_str().split('/') {
                    prop_assert!(!part.is_empty() && !part.starts_with(['.', '_']) && part != "..");
                }
                prop_assert!(!name.as_str().contains('\\'));
            }
            if let Ok(tag) = text.parse::<Tag>() {
                prop_assert!(!tag.as_str().contains(['/', '\\']) && !tag.as_str().starts_with('.'));
            }
        }
    }
}
