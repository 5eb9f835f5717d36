//! Making a lock: fetch the suites, find the closure for each platform, put the answers together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use perijove_oci::Platform;

use super::archives::Archives;
use super::index::{Offer, Source, Suite};
use super::input::DebsIn;
use super::openpgp::Keyring;
use super::platform;
use super::resolve::{self, Question};
use super::text::{Archive, DebsLock, LockedDeb, LockedSuite, check_path, check_size};
use super::universe::{self, Universe};
use crate::{Error, Fetcher, Result, blocking};

/// What to lock, from where, and how much may move.
#[derive(Clone, Debug)]
pub struct DebsRequest {
    /// What `debs.in` says.
    pub input: DebsIn,
    /// The base: `trixie`.
    pub codename: String,
    /// The platforms, in the order of the settings.
    pub platforms: Vec<Platform>,
    /// The file with the archive's public keys; see [`super::DEFAULT_KEYRING`].
    pub keyring: PathBuf,
    /// Where the archives are.
    pub archives: Archives,
    /// Whether every package moves to the newest version. Otherwise the previous lock's versions are kept
    /// where they are still offered and fit.
    pub upgrade: bool,
    /// Packages that move to the newest version anyway. Names that are not locked mean nothing.
    pub upgrade_packages: Vec<String>,
    /// The time that expiry is judged by.
    pub now: Timestamp,
}

/// Makes a lock. When no package changes, the answer is `previous` itself, whatever the suites' new dates: a lock that
/// says nothing new makes no new image.
///
/// # Errors
/// [`Error::Input`] at the line of `debs.in` that is at fault; [`Error::Fetch`] when an archive does not answer or
/// answers what is not signed, current and whole; [`Error::Refused`] when there is no closure.
pub async fn lock(request: &DebsRequest, fetcher: &Fetcher, previous: Option<&DebsLock>) -> Result<DebsLock> {
    let architectures: BTreeSet<&'static str> =
        request.platforms.iter().map(platform::architecture).collect::<Result<_>>()?;
    let architectures: Vec<&'static str> = architectures.into_iter().collect();
    let path = request.keyring.clone();
    let keyring = blocking(move || Keyring::read(&path)).await?;
    let fetcher = request.archives.fetcher(fetcher)?;
    let source =
        Source { fetcher: &fetcher, archives: &request.archives, keyring: &keyring, now: request.now };
    let (any, pinned) = request.input.suite_names(&request.codename);
    let seen =
        |name: &str| previous.and_then(|lock| lock.suites.iter().find(|s| s.name == name)).map(|s| s.date);
    let suites = try_join_all(any.iter().chain(&pinned).map(|name| source.suite(name, seen(name)))).await?;
    let offers = source.offers(&suites, &architectures).await?;
    let previous = previous.cloned();
    let request = request.clone();
    blocking(move || assemble(&request, &suites, any.len(), &offers, previous)).await
}

/// Puts the closures of all platforms together. The first `any` of the suites give packages unasked, unless
/// they say of themselves that they do not.
fn assemble(
    request: &DebsRequest,
    suites: &[Suite],
    any: usize,
    offers: &[Offer],
    previous: Option<DebsLock>,
) -> Result<DebsLock> {
    let mut packages: Vec<LockedDeb> = Vec::new();
    for platform in &request.platforms {
        let architecture = platform::architecture(platform)?;
        let own = offers.iter().filter(|offer| offer.architecture == architecture);
        let sources: Vec<(universe::Source<'_>, Archive)> = own
            .map(|offer| {
                let suite = &suites[offer.suite];
                let automatic = offer.suite < any && suite.is_automatic();
                (
                    universe::Source { suite: &suite.locked.name, automatic, text: &offer.text },
                    suite.archive(),
                )
            })
            .collect();
        let universe =
            Universe::new(sources.iter().map(|(source, _)| *source).collect()).map_err(|reason| {
                Error::Refused {
                    reason: format!("an index is broken: {reason}"),
                    hint: "use another mirror, or try again later".to_owned(),
                }
            })?;
        let kept = kept(request, platform, previous.as_ref());
        let question = Question { universe: &universe, input: &request.input, architecture, kept };
        for id in resolve::closure(&question)? {
            let package = universe.package(id);
            let deb =
                locked(package, sources[package.source].1, platform).map_err(|reason| Error::Refused {
                    reason: format!(
                        "the index of {} is broken: {} {}: {reason}",
                        universe.source(id).suite,
                        package.name,
                        package.version
                    ),
                    hint: "the mirror is hostile or broken: use another".to_owned(),
                })?;
            let same = |d: &&mut LockedDeb| {
                LockedDeb { platforms: Vec::new(), ..(*d).clone() }
                    == LockedDeb { platforms: Vec::new(), ..deb.clone() }
            };
            match packages.iter_mut().find(same) {
                Some(known) => known.platforms.push(platform.clone()),
                None => packages.push(deb),
            }
        }
    }
    packages.sort_by(|a, b| {
        let key = |d: &LockedDeb| (d.name.clone(), d.architecture.clone(), d.version.clone());
        key(a).cmp(&key(b))
    });
    let mut locked_suites: Vec<LockedSuite> = suites.iter().map(|suite| suite.locked.clone()).collect();
    locked_suites.sort_by(|a, b| a.name.cmp(&b.name));
    let made = DebsLock {
        input: request.input.digest(),
        codename: request.codename.clone(),
        platforms: request.platforms.clone(),
        suites: locked_suites,
        packages,
    };
    Ok(match previous {
        Some(previous) if DebsLock { suites: previous.suites.clone(), ..made.clone() } == previous => {
            previous
        }
        _ => made,
    })
}

/// The versions that the previous lock has for `platform`, without those that shall move.
fn kept<'a>(
    request: &'a DebsRequest,
    platform: &Platform,
    previous: Option<&'a DebsLock>,
) -> BTreeMap<&'a str, &'a str> {
    let debs = previous.filter(|lock| !request.upgrade && lock.codename == request.codename);
    let debs = debs.map(|lock| lock.for_platform(platform)).unwrap_or_default();
    let stays = |deb: &&LockedDeb| !request.upgrade_packages.contains(&deb.name);
    debs.into_iter().filter(stays).map(|deb| (deb.name.as_str(), deb.version.as_str())).collect()
}

/// The line for a chosen package. What the index says of it is checked here, and again when the lock is read.
fn locked(
    package: &universe::Package<'_>,
    archive: Archive,
    platform: &Platform,
) -> Result<LockedDeb, String> {
    let field = |name: &str| package.paragraph.get(name).ok_or(format!("it has no {name}"));
    let digest = format!("sha256:{}", field("SHA256")?);
    Ok(LockedDeb {
        name: package.name.to_owned(),
        version: package.version.to_owned(),
        architecture: package.architecture.to_owned(),
        size: check_size(field("Size")?)?,
        digest: digest.parse().map_err(|e: perijove_oci::digest::DigestError| e.to_string())?,
        archive,
        path: check_path(field("Filename")?)?.to_owned(),
        platforms: vec![platform.clone()],
    })
}
