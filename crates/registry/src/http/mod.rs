//! HTTP in front of the store: who asks, what endpoint, which call of the store.
//!
//! A request goes `router` → `auth` → one of the endpoints' files → the store, on a blocking thread. Every
//! refusal is an [`ApiError`]; `errors.rs` alone knows statuses and codes.

mod answer;
mod blobs;
mod body;
mod errors;
mod limits;
mod lists;
mod login;
mod manifests;
mod page;
mod query;
mod range;
mod router;
mod sendfile;
mod steady;
mod uploads;

use std::sync::Arc;

use http::header::{ALLOW, EXPECT, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::task::JoinError;

use self::answer::{Answer, json};
pub(crate) use self::body::Body;
use self::errors::{ApiError, Kind};
use self::limits::Incomings;
pub(crate) use self::limits::{Activity, IdleStream};
use self::login::Logins;
use self::query::Query;
use self::router::{Route, RouteError, route};
pub(crate) use self::sendfile::{FileStream, Outbox};
pub(crate) use self::steady::Steady;
use crate::auth::{Access, Action, Identity};
use crate::names::NameError;
use crate::settings::{Limits, Mount, Report};
use crate::store::{Store, StoreError};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// What all requests share.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

/// See [`App`].
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) limits: Limits,
    mount: Mount,
    access: Option<Access>,
    logins: Logins,
    report: Option<Report>,
}

impl std::ops::Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    pub(crate) fn new(
        store: Arc<Store>,
        limits: Limits,
        mount: Mount,
        access: Option<Access>,
        report: Option<Report>,
    ) -> Self {
        App(Arc::new(Shared { store, limits, mount, access, logins: Logins::new(), report }))
    }

    /// Answers a request; failures are answers, too. Files go by the outbox where the connection has one.
    pub(crate) async fn answer(&self, request: Request<Incoming>, outbox: Option<&Outbox>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let mut body = Incomings::new(body, self.limits.idle_time, head.headers.contains_key(EXPECT));
        let mut response = match self.dispatch(&head, &mut body, outbox).await {
            Ok(response) => response,
            Err(error) => {
                if let Some(cause) = error.cause() {
                    self.tell(&format!("{} {}: {cause}", head.method, head.uri.path()));
                }
                body.drain().await;
                error.into_response()
            }
        };
        response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        response
    }

    /// Tells the operator.
    pub(crate) fn tell(&self, line: &str) {
        if let Some(report) = &self.report {
            report(line);
        }
    }

    /// Whether the client may do this.
    pub(crate) fn allows(&self, who: &Identity, repository: &str, action: Action) -> bool {
        self.access.as_ref().is_none_or(|access| access.allows(who, repository, action))
    }

    async fn identify(&self, head: &http::request::Parts) -> Result<Identity, ApiError> {
        match &self.access {
            None => Ok(Identity::Anonymous),
            Some(access) => self.logins.identify(access, &head.headers).await,
        }
    }

    fn authorize(&self, who: &Identity, repository: &str, action: Action) -> Result<(), ApiError> {
        match who {
            _ if self.allows(who, repository, action) => Ok(()),
            Identity::Anonymous => Err(ApiError::new(Kind::Unauthorized, "log in first")),
            Identity::User(user) => {
                let what = if action == Action::Read { "read" } else { "write" };
                Err(ApiError::new(Kind::Denied, format!("`{user}` may not {what} `{repository}`")))
            }
        }
    }

    /// `/v2/` and the catalog: not about one repository; a login is needed where nobody may go without.
    fn authorize_entry(&self, who: &Identity) -> Result<(), ApiError> {
        let open = self.access.as_ref().is_none_or(Access::admits_anonymous);
        if open || *who != Identity::Anonymous {
            Ok(())
        } else {
            Err(ApiError::new(Kind::Unauthorized, "log in first"))
        }
    }

    async fn dispatch(
        &self,
        head: &http::request::Parts,
        body: &mut Incomings,
        outbox: Option<&Outbox>,
    ) -> Answer {
        let (method, headers) = (&head.method, &head.headers);
        let size = |name: &HeaderName, value: &HeaderValue| name.as_str().len() + value.len() + 4;
        let bytes =
            head.uri.path().len() + headers.iter().map(|(name, value)| size(name, value)).sum::<usize>();
        if bytes + head.uri.query().map_or(0, str::len) > self.limits.header_bytes {
            return Err(ApiError::new(Kind::HeadersTooLarge, "the request's line and headers are too large"));
        }
        let reads = method == Method::GET || method == Method::HEAD;
        let who = self.identify(head).await?;
        let route = route(head.uri.path()).map_err(|error| refuse(error, head))?;
        let query = Query::read(head.uri.query())
            .ok_or_else(|| ApiError::new(Kind::QueryInvalid, "the query is not percent-encoded UTF-8"))?;
        let action = if reads { Action::Read } else { Action::Write };
        match &route {
            Route::Support | Route::Catalog => self.authorize_entry(&who)?,
            // Nobody but a push looks at an upload.
            Route::Uploads(name) | Route::Upload(name, _) => {
                self.authorize(&who, name.as_str(), Action::Write)?;
            }
            Route::Tags(name)
            | Route::Referrers(name, _)
            | Route::Manifest(name, _)
            | Route::Blob(name, _) => {
                self.authorize(&who, name.as_str(), action)?;
            }
        }
        match (route, method) {
            (Route::Support, &Method::GET | &Method::HEAD) => {
                json("application/json", &serde_json::json!({}))
            }
            (Route::Catalog, &Method::GET) => lists::catalog(self, &who, &query).await,
            (Route::Tags(name), &Method::GET) => lists::tags(self, name, &query).await,
            (Route::Referrers(name, subject), &Method::GET) => {
                lists::referrers(self, name, subject, &query).await
            }
            (Route::Manifest(name, reference), &Method::GET) => {
                manifests::get(self, name, reference, headers, true).await
            }
            (Route::Manifest(name, reference), &Method::HEAD) => {
                manifests::get(self, name, reference, headers, false).await
            }
            (Route::Manifest(name, reference), &Method::PUT) => {
                manifests::put(self, name, reference, &query, headers, body).await
            }
            (Route::Manifest(name, reference), &Method::DELETE) => {
                manifests::delete(self, name, reference).await
            }
            (Route::Blob(name, digest), &Method::GET) => {
                blobs::get(self, name, digest, headers, outbox).await
            }
            (Route::Blob(name, digest), &Method::HEAD) => blobs::head(self, name, digest).await,
            (Route::Blob(name, digest), &Method::DELETE) => blobs::delete(self, name, digest).await,
            (Route::Uploads(name), &Method::POST) => uploads::post(self, &who, name, &query, body).await,
            (Route::Upload(name, id), &Method::PATCH) => uploads::patch(self, name, id, headers, body).await,
            (Route::Upload(name, id), &Method::PUT) => {
                uploads::put(self, name, id, &query, headers, body).await
            }
            (Route::Upload(name, id), &Method::GET) => uploads::get(self, name, id).await,
            (Route::Upload(name, id), &Method::DELETE) => uploads::delete(self, name, id).await,
            (route, _) => Err(not_allowed(&route)),
        }
    }
}

fn refuse(error: RouteError, head: &http::request::Parts) -> ApiError {
    match error {
        RouteError::NoEndpoint => ApiError::new(Kind::NoEndpoint, "the registry has no such endpoint"),
        // What cannot be a tag is not there; putting it is a mistake.
        RouteError::Name(error @ NameError::Tag(_)) if head.method != Method::PUT => {
            ApiError::new(Kind::ManifestUnknown, error.to_string())
        }
        RouteError::Name(error) => error.into(),
        RouteError::Digest(error) => error.into(),
    }
}

fn not_allowed(route: &Route) -> ApiError {
    let allowed = match route {
        Route::Support => "GET, HEAD",
        Route::Catalog | Route::Tags(_) | Route::Referrers(..) => "GET",
        Route::Manifest(..) => "GET, HEAD, PUT, DELETE",
        Route::Blob(..) => "GET, HEAD, DELETE",
        Route::Uploads(_) => "POST",
        Route::Upload(..) => "GET, PATCH, PUT, DELETE",
    };
    ApiError::new(Kind::MethodNotAllowed, format!("this endpoint takes {allowed}"))
        .with_header(ALLOW, HeaderValue::from_static(allowed))
}

/// Runs a call of the store where it may block.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ApiError> {
    Ok(tokio::task::spawn_blocking(call).await.map_err(|e| lost(&e))??)
}

/// A blocking call that did not come back: it panicked, or the registry is being stopped.
fn lost(error: &JoinError) -> ApiError {
    ApiError::new(Kind::Internal, "the registry failed inside").with_cause(error.to_string())
}

/// The answer to one connection too many, as it goes over the wire.
pub(crate) fn too_many_connections() -> String {
    let error =
        serde_json::json!({ "errors": [{ "code": "TOOMANYREQUESTS", "message": "too many connections" }] });
    let body = error.to_string();
    format!(
        "HTTP/1.1 {} \r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        StatusCode::SERVICE_UNAVAILABLE.as_u16(),
        body.len()
    )
}
