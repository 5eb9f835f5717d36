//! Fetching a suite: InRelease, checked against the keyring and the clock, then its Packages indexes, checked
//! against InRelease. The only file here that talks to an archive.

use std::io::BufReader;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use perijove_oci::Digest;
use perijove_oci::http;

use super::archives::Archives;
use super::distil::{self, IndexCache};
use super::openpgp::Keyring;
use super::platform;
use super::release::{IndexFile, Packing, Release};
use super::text::{Archive, LockedSuite};
use crate::{Error, Fetcher, Result, blocking};

/// No InRelease file is larger than this: 8 MiB (the largest is 0.3 MiB).
const MAX_INRELEASE: u64 = 8 << 20;

/// The part of the archive that packages are taken from: what Debian itself calls free and supports.
const COMPONENT: &str = "main";

/// A suite whose Release file is trusted.
pub struct Suite {
    /// Name, date and digest for the lock.
    pub locked: LockedSuite,
    release: Release,
    archive: Archive,
}

/// The text of one index, distilled.
pub struct Offer {
    /// Which of the suites it is of.
    pub suite: usize,
    /// Debian architecture.
    pub architecture: &'static str,
    /// Its packages.
    pub text: String,
}

impl Suite {
    /// Whether packages are taken from it unasked.
    pub fn is_automatic(&self) -> bool {
        self.release.automatic
    }

    /// Which archive it is in.
    pub fn archive(&self) -> Archive {
        self.archive
    }
}

/// Where and with what to fetch.
pub struct Source<'a> {
    /// Reaches the archives.
    pub fetcher: &'a Fetcher,
    /// Where they are.
    pub archives: &'a Archives,
    /// Who may sign.
    pub keyring: &'a Keyring,
    /// The time that expiry is judged by.
    pub now: Timestamp,
}

impl Source<'_> {
    /// The suite `name`. `newest_seen` is the date that the previous lock has for it.
    pub async fn suite(&self, name: &str, newest_seen: Option<Timestamp>) -> Result<Suite> {
        let archive = Archive::of_suite(name);
        let url = self.archives.below(archive, &format!("dists/{name}/InRelease"));
        let (bytes, _) = self.fetcher.document(&url, "*/*", MAX_INRELEASE).await?;
        let refuse = |reason: String, hint: &str| Error::Fetch {
            url: http::redact(&url),
            reason: format!("refused: {reason}"),
            hint: hint.to_owned(),
        };
        let keyring = self.keyring.place().display();
        let trust = format!(
            "somebody on the way changed it, or {keyring} does not have its key: update debian-archive-keyring, or use another mirror"
        );
        let digest = Digest::sha256(&bytes);
        let text = String::from_utf8(bytes).map_err(|_| refuse("it is not text".to_owned(), &trust))?;
        let signed = self.keyring.verify(&text, self.now).map_err(|reason| refuse(reason, &trust))?;
        let release = Release::parse(&signed)
            .map_err(|reason| refuse(reason, "use another mirror, or try again later"))?;
        release.check(name, self.now, newest_seen).map_err(|reason| {
            refuse(reason, "check this machine's clock, use another mirror, or try again later")
        })?;
        let locked = LockedSuite { name: name.to_owned(), date: release.date, inrelease: digest };
        Ok(Suite { locked, release, archive })
    }

    /// The distilled indexes of `suites` for `architectures`, from the cache where they are there.
    pub async fn offers(&self, suites: &[Suite], architectures: &[&'static str]) -> Result<Vec<Offer>> {
        let mut wanted = Vec::new();
        for (number, suite) in suites.iter().enumerate() {
            for architecture in architectures {
                let Some(own) = suite.release.packages(COMPONENT, architecture) else {
                    return Err(Error::Refused {
                        reason: format!("{} has no packages for {architecture}", suite.locked.name),
                        hint: "take the platform out of `platforms`, or choose another base".to_owned(),
                    });
                };
                let apart =
                    suite.release.packages(COMPONENT, platform::ALL).filter(|_| suite.release.all_apart);
                for (file, packing) in std::iter::once(own).chain(apart) {
                    wanted.push(self.offer(suite, number, architecture, file, packing));
                }
            }
        }
        try_join_all(wanted).await
    }

    async fn offer(
        &self,
        suite: &Suite,
        number: usize,
        architecture: &'static str,
        file: &IndexFile,
        packing: Packing,
    ) -> Result<Offer> {
        let folder = self.fetcher.cache().to_owned();
        let digest = file.digest.clone();
        let cached = blocking(move || Ok(IndexCache::new(&folder).get(&digest))).await?;
        let text = match cached {
            Some(text) => text,
            None => self.download(suite, file, packing).await?,
        };
        Ok(Offer { suite: number, architecture, text })
    }

    async fn download(&self, suite: &Suite, file: &IndexFile, packing: Packing) -> Result<String> {
        let name = format!("{} {}", suite.locked.name, file.path);
        let folder = format!("dists/{}", suite.locked.name);
        let plain = self.archives.below(suite.archive, &format!("{folder}/{}", file.path));
        let parent = file.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let by_hash = format!("{folder}/{parent}/by-hash/SHA256/{}", file.digest.hex());
        let by_hash = suite.release.by_hash.then(|| self.archives.below(suite.archive, &by_hash));
        let mut got = None;
        if let Some(url) = by_hash {
            // A mirror may say that it has them by hash and not have them.
            got = self.fetcher.file(&url, &name, &file.digest, Some(file.size)).await.ok();
        }
        let path = match got {
            Some(path) => path,
            None => self.fetcher.file(&plain, &name, &file.digest, Some(file.size)).await.map_err(|error| match error {
                Error::Hash { expected, found, .. } => Error::Fetch {
                    url: http::redact(&plain),
                    reason: format!("refused: its digest is {found}, the signed Release file says {expected}"),
                    hint: "the mirror is being updated, or somebody on the way changed it: try again, or use another mirror".to_owned(),
                },
                other => other,
            })?,
        };
        let (cache, digest) = (IndexCache::new(self.fetcher.cache()), file.digest.clone());
        let url = http::redact(&plain);
        blocking(move || {
            let packed = std::fs::File::open(&path).map_err(Error::io(&path))?;
            let text =
                distil::distil(BufReader::with_capacity(1 << 18, packed), packing).map_err(|reason| {
                    Error::Fetch {
                        url,
                        reason: format!("refused: {reason}"),
                        hint: "use another mirror, or try again later".to_owned(),
                    }
                })?;
            cache.put(&digest, &text)?;
            Ok(text)
        })
        .await
    }
}
