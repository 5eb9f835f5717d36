//! Everything that can be set, with defaults that are right on a developer's machine, and the rule for what
//! may listen where.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::Access;
use crate::create_only::CreateOnly;
use crate::error::Error;

/// What a registry needs to know to serve.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The store's folder; made when it does not exist.
    pub root: PathBuf,
    /// Tags that are created once and never moved.
    pub create_only: CreateOnly,
    /// Certificate chain and key; without them plain HTTP is spoken.
    pub tls: Option<TlsFiles>,
    /// From which repositories a blob may be mounted into another.
    pub mount: Mount,
    /// Who may read and write what; without it everybody may do everything.
    pub access: Option<Access>,
    /// Listen beyond loopback without TLS or without users, because something in front provides them.
    pub behind_proxy: bool,
    /// Sizes, counts and times that are not exceeded.
    pub limits: Limits,
    /// When blobs that nothing refers to are removed; without it never.
    pub collect: Option<Collect>,
    /// Told about failures that a client only sees as a 500.
    pub report: Option<Report>,
}

/// Where a blob that a push names instead of sending it may come from (distribution-spec 1.1, "Mounting a blob from
/// another repository"): always from repositories that the client may read, and there the registry may choose.
/// What is not mounted is answered 202, and the client goes on with an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mount {
    /// From the repository that the client names, and from any when it names none.
    #[default]
    Any,
    /// Only from the repository that the client names.
    Named,
    /// From none: each repository has been sent all that it holds.
    Never,
}

impl Mount {
    /// All of them, by the names that [`FromStr`](std::str::FromStr) takes.
    pub const NAMES: [(&str, Mount); 3] =
        [("any", Mount::Any), ("named", Mount::Named), ("never", Mount::Never)];
}

impl std::str::FromStr for Mount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Mount::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, mount)| *mount).ok_or_else(|| format!("`{text}` is not any, named or never"))
    }
}

/// Takes one line about a failure inside the registry.
pub type Report = Arc<dyn Fn(&str) + Send + Sync>;

/// PEM files for TLS.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificate chain, leaf first.
    pub certificate: PathBuf,
    /// Private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// Sizes in bytes, counts and times that are not exceeded.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A request's line and headers together.
    pub header_bytes: usize,
    /// A manifest (the specification wants at least 4 MB).
    pub manifest_bytes: u64,
    /// A blob.
    pub blob_bytes: u64,
    /// Open connections; more are answered 503.
    pub connections: usize,
    /// Of these from one address, or one IPv6 network of 64 bits; more are answered 503. Without it half, so that
    /// no client alone shuts out the others, or all when a proxy in front is the only client.
    pub client_connections: Option<usize>,
    /// From the end of one request, or from the connection's start, to the end of the next one's headers.
    pub header_time: Duration,
    /// Longest time in which a connection moves no byte while a request or an answer is under way.
    pub idle_time: Duration,
    /// Upload sessions that are open at once; the longest unused is dropped.
    pub upload_sessions: usize,
    /// Memory for manifests that are read often.
    pub cache_bytes: usize,
    /// How long the end waits for requests under way.
    pub shutdown_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header_bytes: 32 << 10,
            manifest_bytes: 8 << 20,
            blob_bytes: 64 << 30,
            connections: 1024,
            client_connections: None,
            header_time: Duration::from_secs(60),
            idle_time: Duration::from_secs(60),
            upload_sessions: 4096,
            cache_bytes: 8 << 20,
            shutdown_time: Duration::from_secs(10),
        }
    }
}

/// When garbage is collected.
#[derive(Clone, Copy, Debug)]
pub struct Collect {
    /// Time from the start to the first run: not at once, for whoever starts a registry wants its answers.
    pub first: Duration,
    /// Time between two runs.
    pub every: Duration,
    /// A blob that nothing refers to stays this long after a push last saw it.
    pub blob_grace: Duration,
    /// An upload session that nobody uses stays this long.
    pub upload_grace: Duration,
}

impl Default for Collect {
    fn default() -> Self {
        Collect {
            first: Duration::from_secs(60),
            every: Duration::from_secs(3600),
            blob_grace: Duration::from_secs(24 * 3600),
            upload_grace: Duration::from_secs(24 * 3600),
        }
    }
}

impl Settings {
    /// Plain HTTP on loopback, port 5000, everybody may do everything, store in `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Settings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5000)),
            root: root.into(),
            create_only: CreateOnly::none(),
            tls: None,
            mount: Mount::Any,
            access: None,
            behind_proxy: false,
            limits: Limits::default(),
            collect: Some(Collect::default()),
            report: None,
        }
    }

    /// Whether the address may be listened on: beyond loopback only with TLS and users, or behind a proxy.
    ///
    /// # Errors
    /// [`Error::Exposed`] names what is missing.
    pub fn check_exposure(&self) -> Result<(), Error> {
        let ip = self.listen.ip();
        let loopback = ip.is_loopback() || ip.to_canonical().is_loopback();
        if loopback || self.behind_proxy {
            return Ok(());
        }
        let missing = match (self.tls.is_some(), self.access.is_some()) {
            (true, true) => return Ok(()),
            (false, false) => "TLS and users",
            (false, true) => "TLS",
            (true, false) => "users",
        };
        Err(Error::Exposed { address: self.listen, missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_open() {
        let tls = TlsFiles { certificate: "c".into(), key: "k".into() };
        let cases = [
            ("127.0.0.1:0", false, false, false, true),
            ("127.8.9.1:0", false, false, false, true),
            ("[::1]:0", false, false, false, true),
            ("[::ffff:127.0.0.1]:0", false, false, false, true),
            ("0.0.0.0:0", false, false, false, false),
            ("[::]:0", true, false, false, false),
            ("[::]:0", false, true, false, false),
            ("192.0.2.1:0", true, true, false, true),
            ("192.0.2.1:0", false, false, true, true),
        ];
        for (listen, with_tls, with_users, behind_proxy, fine) in cases {
            let mut settings = Settings::new("unused");
            settings.listen = listen.parse().unwrap();
            settings.tls = with_tls.then(|| tls.clone());
            settings.access = with_users.then(Access::default);
            settings.behind_proxy = behind_proxy;
            assert_eq!(settings.check_exposure().is_ok(), fine, "{listen} {with_tls} {with_users}");
        }
    }
}
