//! Where Debian's archives are, for this machine.
//!
//! The addresses come from settings, or from apt; no host name stands in the code or in a lock, so that a site's
//! mirrors and proxies hold.

use url::Url;

use super::apt;
use super::auth;
use super::text::{Archive, LockedDeb};
use crate::{Error, Fetcher, Result};

/// What the user says about the archives. An address that is not said is asked of apt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// `mirror`: address of the main archive, the folder that has `dists` and `pool`.
    pub mirror: Option<String>,
    /// `security-mirror`: address of the security archive.
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

/// The addresses of the archives, and the proxy on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archives {
    debian: Url,
    security: Url,
    proxy: Option<Url>,
}

impl Archives {
    /// Archives at these addresses, reached directly.
    pub fn at(debian: Url, security: Url) -> Self {
        Archives { debian, security, proxy: None }
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
                    place: format!("setting `{name}`"),
                    reason: "not an http or https address".to_owned(),
                    hint: "give the address of the folder that has `dists` and `pool`".to_owned(),
                }),
            }
        };
        let debian = set("mirror", &settings.mirror)?;
        let security = set("security-mirror", &settings.security_mirror)?;
        if let (Some(debian), Some(security)) = (&debian, &security) {
            return Ok(Archives::at(debian.clone(), security.clone()));
        }
        let (targets, proxy) = apt::ask().await?;
        let known = |archive: Archive| {
            let unknown = |reason: String| Error::Program {
                program: "apt".to_owned(),
                reason,
                hint: apt::HINT.to_owned(),
            };
            let site = apt::site(&targets, archive).ok_or_else(|| {
                unknown(format!("its sources have no archive `{}` of Debian", archive.name()))
            })?;
            let url =
                apt::address(site).map_err(|e| unknown(format!("archive `{}`: {e}", archive.name())))?;
            Ok::<_, Error>(auth::with_credentials(url, std::path::Path::new("/")))
        };
        let or_known = |url: Option<Url>, archive| url.map_or_else(|| known(archive), Ok);
        Ok(Archives {
            debian: or_known(debian, Archive::Debian)?,
            security: or_known(security, Archive::Security)?,
            proxy,
        })
    }

    /// Where the file of a locked package is.
    pub fn url(&self, deb: &LockedDeb) -> Url {
        self.below(deb.archive, &deb.path)
    }

    /// A fetcher that reaches the archives as apt would: through its proxy, if it has one.
    pub fn fetcher(&self, fetcher: &Fetcher) -> Result<Fetcher> {
        self.proxy.as_ref().map_or_else(|| Ok(fetcher.clone()), |proxy| fetcher.through(proxy))
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
}
