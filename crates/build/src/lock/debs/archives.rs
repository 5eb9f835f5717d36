//! Where Debian's archives are, for this machine.
//!
//! The addresses come from settings, or from apt; no host name stands in the code or in a lock, so that a site's
//! mirrors and proxies hold.

use url::Url;

use super::apt;
use super::auth;
use super::distributions;
use super::proxy::Route;
use super::text::{Archive, LockedDeb};
use crate::{Error, Fetcher, Result};

/// What the user says about the archives. An address that is not said is asked of apt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// `debian` in `[repository.mirrors]`: address of the main archive, the folder that has `dists` and `pool`.
    pub mirror: Option<String>,
    /// `debian-security`: address of the security archive.
    pub security_mirror: Option<String>,
}

impl ArchiveSettings {
    /// These settings, with what is not said taken from the environment: PERIJOVE_DEBIAN_MIRROR and
    /// PERIJOVE_DEBIAN_SECURITY_MIRROR. `variable` looks one up.
    pub fn or_environment(self, variable: impl Fn(&str) -> Option<String>) -> Self {
        let say = |name| variable(name).filter(|v: &String| !v.is_empty());
        ArchiveSettings {
            mirror: say("PERIJOVE_DEBIAN_MIRROR").or(self.mirror),
            security_mirror: say("PERIJOVE_DEBIAN_SECURITY_MIRROR").or(self.security_mirror),
        }
    }
}

/// The addresses of the archives, and the way to each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archives {
    debian: Url,
    security: Url,
    /// By apt's settings, for the hosts that they are about.
    routes: Vec<(Url, Route)>,
}

impl Archives {
    /// Archives at these addresses, reached as the environment says.
    pub fn at(debian: Url, security: Url) -> Self {
        Archives { debian, security, routes: Vec::new() }
    }

    /// What `settings` say; what they leave open, apt is asked for.
    ///
    /// # Errors
    /// [`Error::Input`] when a setting is no http or https address; [`Error::Program`] when apt is needed and is not
    /// there, or does not know.
    pub async fn discover(settings: &ArchiveSettings) -> Result<Self> {
        let set = |name: &str, value: &Option<String>| -> Result<Option<Url>> {
            let Some(value) = value else { return Ok(None) };
            match apt::address(value) {
                Ok(url) => Ok(Some(url)),
                Err(_) => Err(Error::Input {
                    place: format!("setting `{name}` of [repository.mirrors]"),
                    reason: "not an http or https address".to_owned(),
                    hint: "give the address of the folder that has `dists` and `pool`".to_owned(),
                }),
            }
        };
        let debian = set("debian", &settings.mirror)?;
        let security = set("debian-security", &settings.security_mirror)?;
        if let (Some(debian), Some(security)) = (&debian, &security) {
            return Ok(Archives::at(debian.clone(), security.clone()));
        }
        let (targets, proxies) = apt::ask().await?;
        let description = std::fs::read_to_string(distributions::FILE).unwrap_or_default();
        let known = |archive: Archive| {
            let unknown = |reason: String| Error::Program {
                program: "apt".to_owned(),
                reason,
                hint: apt::HINT.to_owned(),
            };
            let described = || distributions::site(&description, archive);
            let site = apt::site(&targets, archive).or_else(described).ok_or_else(|| {
                unknown(format!("its sources have no archive `{}` of Debian", archive.name()))
            })?;
            let url =
                apt::address(site).map_err(|e| unknown(format!("archive `{}`: {e}", archive.name())))?;
            Ok::<_, Error>(auth::with_credentials(url, std::path::Path::new("/")))
        };
        let or_known = |url: Option<Url>, archive| url.map_or_else(|| known(archive), Ok);
        let mut archives =
            Archives::at(or_known(debian, Archive::Debian)?, or_known(security, Archive::Security)?);
        for url in [&archives.debian, &archives.security] {
            let route = proxies.route(url).map_err(|name| Error::Program {
                program: "apt".to_owned(),
                reason: format!("its setting {name} is no address of a proxy"),
                hint: "correct it in /etc/apt/apt.conf.d: http://HOST:PORT, or DIRECT".to_owned(),
            })?;
            archives.routes.push((url.clone(), route));
        }
        Ok(archives)
    }

    /// Where the file of a locked package is.
    pub fn url(&self, deb: &LockedDeb) -> Url {
        self.below(deb.archive, &deb.path)
    }

    /// A fetcher that reaches the archives as apt would: by its proxies, where it has some.
    ///
    /// # Errors
    /// [`Error::Fetch`] when a proxy cannot be used.
    pub fn fetcher(&self, fetcher: &Fetcher) -> Result<Fetcher> {
        self.routes.iter().try_fold(fetcher.clone(), |fetcher, (url, route)| match route {
            Route::Environment => Ok(fetcher),
            Route::Direct => fetcher.routed(url, None),
            Route::Through(proxy) => fetcher.routed(url, Some(proxy)),
        })
    }

    /// The address of `path`, of components that are taken as they are, below `archive`.
    pub(super) fn below(&self, archive: Archive, path: &str) -> Url {
        let mut url = match archive {
            Archive::Debian => self.debian.clone(),
            Archive::Security => self.security.clone(),
        };
        // Only an address without a path has no segments, and those are not let in.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn settings_win_and_need_no_apt() {
        let settings =
            ArchiveSettings { mirror: Some("http://file.test/debian/".to_owned()), security_mirror: None };
        let environment =
            |name: &str| (name == "PERIJOVE_DEBIAN_SECURITY_MIRROR").then(|| "https://env.test/s".to_owned());
        let archives = Archives::discover(&settings.or_environment(environment)).await.unwrap();
        assert_eq!(
            archives.below(Archive::Debian, "pool/main/a/a++/a_1:2~b_all.deb").as_str(),
            "http://file.test/debian/pool/main/a/a++/a_1:2~b_all.deb"
        );
        assert_eq!(archives.below(Archive::Security, "dists/x").as_str(), "https://env.test/s/dists/x");
        let bad = ArchiveSettings { mirror: Some("ftp://x.test/".to_owned()), ..ArchiveSettings::default() };
        assert!(Archives::discover(&bad).await.unwrap_err().is_usage());
    }

    /// A server that answers each request with its own name and the request's first line.
    fn server(name: &'static str) -> Url {
        use std::io::{BufRead, BufReader, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                lines.map_while(std::io::Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                let body = format!("{name}: {first}");
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            }
        });
        Url::parse(&format!("http://{address}/")).unwrap()
    }

    #[tokio::test]
    async fn each_archive_is_reached_by_its_own_route() {
        let (proxy, direct) = (server("proxy"), server("direct"));
        let mut archives = Archives::at(Url::parse("http://deb.test/debian").unwrap(), direct.clone());
        archives.routes =
            vec![(archives.debian.clone(), Route::Through(proxy)), (direct.clone(), Route::Direct)];
        let cache = tempfile::tempdir().unwrap();
        let reporter = std::sync::Arc::new(perijove_oci::report::Silent);
        let fetcher = archives.fetcher(&Fetcher::new(cache.path(), reporter).unwrap()).unwrap();
        let body = async |archive| {
            let url = archives.below(archive, "dists/trixie/InRelease");
            String::from_utf8(fetcher.document(&url, "*/*", 1000).await.unwrap().0).unwrap()
        };
        assert_eq!(
            body(Archive::Debian).await,
            "proxy: GET http://deb.test/debian/dists/trixie/InRelease HTTP/1.1"
        );
        assert_eq!(body(Archive::Security).await, "direct: GET /dists/trixie/InRelease HTTP/1.1");
    }
}
