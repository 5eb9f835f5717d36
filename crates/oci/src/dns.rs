//! Host names for a program without shared libraries. The C library's own look-up loads modules of the machine's C
//! library, which a static program may not survive.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;

/// Asks the name servers of `/etc/resolv.conf`, after `/etc/hosts`. Where that file is missing or wrong, names are
/// an error and addresses work; reqwest's own resolver would ask a public server instead.
#[derive(Default)]
pub(crate) struct Resolver {
    /// Made with the first name: most commands need none.
    inner: Arc<OnceCell<TokioResolver>>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let resolver = inner.get_or_try_init(|| async { system() }).await?;
            let found = resolver.lookup_ip(name.as_str()).await?;
            let all: Vec<SocketAddr> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(all.into_iter()) as Addrs)
        })
    }
}

fn system() -> Result<TokioResolver, Box<dyn std::error::Error + Send + Sync>> {
    let mut builder = TokioResolver::builder_tokio().map_err(|e| format!("/etc/resolv.conf: {e}"))?;
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    Ok(builder.build()?)
}
