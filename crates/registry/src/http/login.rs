//! Basic credentials: read, checked against bcrypt hashes, remembered for a while.
//!
//! bcrypt is slow on purpose, and a push sends its credentials a hundred times: what was right is remembered,
//! salted and hashed. What was wrong is never remembered, and only a few checks run at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::errors::{ApiError, Kind};
use crate::auth::{Access, Identity};

const REMEMBER: Duration = Duration::from_secs(300);
const REMEMBERED: usize = 1024;
const CHECKS_AT_ONCE: usize = 2;
const WAIT: Duration = Duration::from_secs(10);
/// What an unknown user's password is checked against, so that the time does not tell who exists.
const NOBODY: &str = "$2y$10$abcdefghijklmnopqrstuuS8HlX1YvI2zPpYB5rTvmvZJjR8qAX2q";

/// Who logged in lately.
pub(crate) struct Logins {
    salt: [u8; 32],
    right: Mutex<HashMap<[u8; 32], Instant>>,
    checks: Semaphore,
}

impl Logins {
    pub(crate) fn new() -> Self {
        Logins { salt: rand::random(), right: Mutex::default(), checks: Semaphore::new(CHECKS_AT_ONCE) }
    }

    /// Who sends these headers.
    ///
    /// # Errors
    /// 401 when there are credentials and they are wrong, 429 when too many are being checked.
    pub(crate) async fn identify(&self, access: &Access, headers: &HeaderMap) -> Result<Identity, ApiError> {
        let Some(header) = headers.get(AUTHORIZATION) else { return Ok(Identity::Anonymous) };
        let wrong = || ApiError::new(Kind::Unauthorized, "the user's name or password is wrong");
        let (user, password) = header.to_str().ok().and_then(credentials).ok_or_else(wrong)?;
        let key = self.key(&user, &password);
        if self.remembers(&key) {
            return Ok(Identity::User(user));
        }
        let permit = tokio::time::timeout(WAIT, self.checks.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Err(ApiError::new(Kind::TooManyLogins, "too many passwords are being checked"));
        };
        let hash = access.hash(&user).map(str::to_owned);
        let checked = tokio::task::spawn_blocking(move || {
            let right = bcrypt::verify(password, hash.as_deref().unwrap_or(NOBODY)).unwrap_or(false);
            right && hash.is_some()
        });
        if !checked.await.unwrap_or(false) {
            return Err(wrong());
        }
        self.remember(key);
        Ok(Identity::User(user))
    }

    fn key(&self, user: &str, password: &str) -> [u8; 32] {
        let mut hasher = Sha256::new_with_prefix(self.salt);
        hasher.update((user.len() as u64).to_le_bytes());
        hasher.update(user);
        hasher.update(password);
        hasher.finalize().into()
    }

    fn remembers(&self, key: &[u8; 32]) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.get(key).is_some_and(|since| since.elapsed() < REMEMBER)
    }

    fn remember(&self, key: [u8; 32]) {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.len() >= REMEMBERED {
            right.retain(|_, since| since.elapsed() < REMEMBER);
        }
        if right.len() >= REMEMBERED {
            right.clear();
        }
        right.insert(key, Instant::now());
    }
}

/// User and password of a `Basic` header (RFC 7617).
fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_headers() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(credentials("Basic YTpiOmM="), pair("a", "b:c"));
        assert_eq!(credentials("basic  YTo="), pair("a", ""));
        for bad in ["", "Basic", "Basic !", "Basic YQ==", "Bearer YTpi", "Basic /w=="] {
            assert_eq!(credentials(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_stand_in_hash_can_be_checked() {
        assert!(matches!(bcrypt::verify("x", NOBODY), Ok(false)));
    }

    #[test]
    fn keys_do_not_run_together() {
        let logins = Logins::new();
        assert_ne!(logins.key("ab", "c"), logins.key("a", "bc"));
        assert_ne!(logins.key("a", "b"), Logins::new().key("a", "b"));
    }
}
