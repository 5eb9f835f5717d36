//! Tokens (distribution, "Token Authentication Specification" and "OAuth2 Token Authentication").

use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;

use super::basic;
use super::keyring::Credential;
use crate::client::{Route, endpoint};
use crate::error::{Error, Refusal, Result};
use crate::http;

/// A token, ready to be sent.
#[derive(Clone)]
pub(super) struct Token {
    /// `Bearer …`, marked as sensitive.
    pub header: HeaderValue,
    /// When another one is due.
    pub until: Instant,
}

/// Where and what for a registry wants tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Issuer {
    /// The token server's address.
    pub realm: Url,
    /// The registry's own name for itself.
    pub service: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    expires_in: Option<u64>,
}

/// No token server says more than this.
const MAX_ANSWER: usize = 1 << 20;

impl Issuer {
    /// A realm over plain HTTP is not given the credentials of a registry over HTTPS.
    pub fn new(registry: &Url, realm: &str, service: Option<String>) -> Result<Self> {
        let realm = endpoint::resolve(registry, realm)?;
        Ok(Issuer { realm, service })
    }

    /// A token for `scopes`, as the owner of `credential`.
    pub async fn token(
        &self,
        client: &Route,
        scopes: &[String],
        credential: Option<&Credential>,
    ) -> Result<Token> {
        let request = || match credential {
            Some(Credential::Identity(refresh)) => client
                .to(&self.realm)
                .post(self.realm.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(self.form(scopes, refresh)),
            credential => {
                let request = client.to(&self.realm).get(self.query(scopes));
                match credential {
                    Some(Credential::Password { user, password }) => {
                        request.header(AUTHORIZATION, basic(user, password))
                    }
                    _ => request,
                }
            }
        };
        let answer = http::send(request).await.map_err(|e| Error::transport(&self.realm, &e))?;
        let status = answer.status();
        let body = read(answer).await.map_err(|e| Error::transport(&self.realm, &e))?;
        if !status.is_success() {
            let method = if matches!(credential, Some(Credential::Identity(_))) { "POST" } else { "GET" };
            let mut refusal = Refusal::read(method, http::redact(&self.realm), status.as_u16(), &body);
            // The server was told a secret and may repeat it.
            refusal.message = String::new();
            return Err(Error::Refused(Box::new(refusal)));
        }
        self.read(&body, Instant::now())
    }

    fn read(&self, body: &[u8], now: Instant) -> Result<Token> {
        let wrong = |what: &str| Error::answer(&self.realm, format!("the token server's answer {what}"));
        let answer: Answer = serde_json::from_slice(body).map_err(|_| wrong("is not JSON with a token"))?;
        let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
        if token.is_empty() {
            return Err(wrong("holds no token"));
        }
        let header = bearer(&token).ok_or_else(|| wrong("holds a token that fits no header"))?;
        // Sixty seconds where nothing is said; a tenth is left over for the way and for clocks.
        let lifetime = Duration::from_secs(answer.expires_in.unwrap_or(60).clamp(1, 24 * 3600));
        Ok(Token { header, until: now + lifetime - lifetime / 10 })
    }

    fn query(&self, scopes: &[String]) -> Url {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.service {
                query.append_pair("service", service);
            }
            for scope in scopes {
                query.append_pair("scope", scope);
            }
        }
        url
    }

    fn form(&self, scopes: &[String], refresh: &str) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token");
        form.append_pair("client_id", "perijove");
        if let Some(service) = &self.service {
            form.append_pair("service", service);
        }
        form.append_pair("scope", &scopes.join(" "));
        form.append_pair("refresh_token", refresh);
        form.finish()
    }
}

/// `Bearer token`, marked so that no debug output shows it.
pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

async fn read(mut answer: reqwest::Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            body.clear();
            break;
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        let registry = Url::parse("https://r.example/v2/").unwrap();
        Issuer::new(&registry, "https://auth.example/token?a=b", Some("r.example".to_owned())).unwrap()
    }

    #[test]
    fn asks_as_the_specification_says() {
        let scopes = ["repository:a/b:pull,push".to_owned(), "repository:c:pull".to_owned()];
        assert_eq!(
            issuer().query(&scopes).as_str(),
            "https://auth.example/token?a=b&service=r.example&scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%3Apull"
        );
        assert_eq!(
            issuer().form(&scopes, "s&t"),
            "grant_type=refresh_token&client_id=perijove&service=r.example&scope=repository%3Aa%2Fb%3Apull%2Cpush+repository%3Ac%3Apull&refresh_token=s%26t"
        );
    }

    #[test]
    fn reads_both_names_and_the_lifetime() {
        let now = Instant::now();
        for (body, seconds) in [
            (r#"{"token":"t"}"#, 54),
            (r#"{"access_token":"t","expires_in":300}"#, 270),
            (r#"{"token":"t","access_token":"u","expires_in":100,"issued_at":"2026-01-01T00:00:00Z"}"#, 90),
        ] {
            let token = issuer().read(body.as_bytes(), now).unwrap();
            assert_eq!(token.header, "Bearer t");
            assert!(token.header.is_sensitive());
            assert_eq!(token.until - now, Duration::from_secs(seconds), "{body}");
        }
        for body in ["", "<html>", "{}", r#"{"token":"a\nb"}"#] {
            assert!(matches!(issuer().read(body.as_bytes(), now), Err(Error::Answer { .. })), "{body}");
        }
    }

    #[test]
    fn a_realm_in_the_clear_gets_nothing() {
        let registry = Url::parse("https://r.example/v2/").unwrap();
        assert!(Issuer::new(&registry, "http://auth.example/token", None).is_err());
    }
}
