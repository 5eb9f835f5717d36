//! Which HTTP client a URL goes by: this machine is reached directly, whatever proxy the environment names.
//!
//! `HTTP_PROXY` is set for the world outside; a registry on loopback is another machine's to the proxy.

use reqwest::{ClientBuilder, Url};

use super::endpoint::is_loopback;
use crate::error::{Error, Result};
use crate::http;

/// Two clients that differ in nothing but the proxy.
#[derive(Clone)]
pub(crate) struct Route {
    outside: reqwest::Client,
    here: reqwest::Client,
}

impl Route {
    /// The shared settings, changed by `with`.
    pub fn new(with: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Self> {
        let build = |b: ClientBuilder| b.build().map_err(|e| Error::Setup(crate::http::cause(&e)));
        // Where a request comes from is nobody's business: the address may hold a signature.
        let base = || with(http::builder().referer(false));
        Ok(Route { outside: build(base())?, here: build(base().no_proxy())? })
    }

    /// The client for `url`.
    pub fn to(&self, url: &Url) -> &reqwest::Client {
        if url.host_str().is_some_and(is_loopback) { &self.here } else { &self.outside }
    }
}
