//! From parts to pieces in the cache: fetches what is missing, and unpacks it on all cores.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use perijove_oci::{Algorithm, Digest, Digester, Event, report};
use tokio::sync::OnceCell;

use crate::config::Mirrors;
use crate::entry::{EPOCH, Entry, Kind, Sink};
use crate::fetch::Fetcher;
use crate::layer::PartInfo;
use crate::layer::write::LayerCache;
use crate::lock::debs::{ArchiveSettings, Archives, LockedDeb};
use crate::lock::index::{Index, IndexSettings};
use crate::lock::npm::Npm;
use crate::part::{Part, PartKind, Source};
use crate::unpack;
use crate::{Error, Result, blocking};

/// Where the CA bundle lies, relative to the root.
pub const CA_BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// The folder of npm packages' commands, relative to the root.
pub const COMMANDS: &str = "usr/local/bin";

/// How many packages are fetched at a time.
const ABREAST: usize = 8;

/// Where packages come from: asked of apt, uv and npm when the first of a kind is wanted.
pub struct Origins {
    fetcher: Fetcher,
    mirrors: Mirrors,
    archives: OnceCell<(Archives, Fetcher)>,
    indexes: std::sync::Mutex<BTreeMap<PathBuf, Arc<Index>>>,
    registries: tokio::sync::Mutex<BTreeMap<(PathBuf, String), (reqwest::Url, Fetcher)>>,
}

impl Origins {
    /// Asks nothing yet.
    pub fn new(fetcher: Fetcher, mirrors: Mirrors) -> Self {
        Origins {
            fetcher,
            mirrors,
            archives: OnceCell::new(),
            indexes: Default::default(),
            registries: Default::default(),
        }
    }

    /// What fetches.
    pub fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// The overrides.
    pub fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    /// The Debian archives, and what fetches from them (apt may have a proxy of its own).
    pub async fn archives(&self) -> Result<&(Archives, Fetcher)> {
        self.archives
            .get_or_try_init(|| async {
                let settings = ArchiveSettings {
                    mirror: self.mirrors.debian.clone(),
                    security_mirror: self.mirrors.debian_security.clone(),
                }
                .or_environment(variable);
                let archives = Archives::discover(&settings).await?;
                let fetcher = archives.fetcher(&self.fetcher)?;
                Ok((archives, fetcher))
            })
            .await
    }

    /// The Python index as uv sees it from an image's folder.
    pub fn index(&self, folder: &Path) -> Arc<Index> {
        let mut indexes = self.indexes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let make = || {
            let mut settings = IndexSettings::new(folder);
            settings.url = variable("PERIJOVE_PYTHON_INDEX").or_else(|| self.mirrors.python.clone());
            Arc::new(Index::new(self.fetcher.clone(), settings))
        };
        indexes.entry(folder.to_owned()).or_insert_with(make).clone()
    }

    /// npm as it is set up in `folder`.
    pub fn npm(&self, folder: &Path) -> Npm {
        let mut npm = Npm::new(folder);
        npm.registry = variable("PERIJOVE_NPM_REGISTRY").or_else(|| self.mirrors.npm.clone());
        npm
    }

    async fn deb(&self, deb: &LockedDeb) -> Result<PathBuf> {
        if let Some(kept) = self.fetcher.kept(&deb.digest).await? {
            return Ok(kept);
        }
        let (archives, fetcher) = self.archives().await?;
        fetcher.fetch(&archives.url(deb), base_name(&deb.path), &deb.digest, Some(deb.size)).await
    }

    /// The registry of an npm package, and what fetches from it with npm's credentials: asked once for each scope in an
    /// image's folder.
    async fn registry(&self, folder: &Path, name: &str) -> Result<(reqwest::Url, Fetcher)> {
        let scope = name.split_once('/').map_or(String::new(), |(scope, _)| scope.to_owned());
        let scope = (folder.to_owned(), scope);
        let mut known = self.registries.lock().await;
        if let Some(place) = known.get(&scope) {
            return Ok(place.clone());
        }
        let npm = self.npm(folder);
        let url = npm.registry_of(name).await?;
        let fetcher = match npm.authorization(&url).await? {
            Some(header) => self.fetcher.authorised(&url, header),
            None => self.fetcher.clone(),
        };
        known.insert(scope, (url.clone(), fetcher.clone()));
        Ok((url, fetcher))
    }

    /// The part's package as a checked file, for parts that have one.
    async fn package(&self, part: &Part) -> Result<Option<PathBuf>> {
        Ok(Some(match &part.source {
            Source::Deb(deb) | Source::CaBundle(deb) => self.deb(deb).await?,
            Source::Wheel { wheel, folder, .. } => self.index(folder).wheel(wheel, folder).await?,
            Source::Npm { package, folder, .. } => {
                if let Some(kept) = self.fetcher.kept(&package.integrity).await? {
                    kept
                } else {
                    let (registry, fetcher) = self.registry(folder, &package.name).await?;
                    let url = package.tarball(&registry)?;
                    let name = format!("{}-{}.tgz", package.name, package.version);
                    fetcher.fetch(&url, &name, &package.integrity, None).await?
                }
            }
            Source::Files { .. } | Source::Data(_) => return Ok(None),
        }))
    }
}

/// A variable of the environment; an empty one is as good as none.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Brings all `parts` into the cache and gives what is known of each, in their order.
pub async fn materialise(origins: &Origins, cache: &LayerCache, parts: &[Part]) -> Result<Vec<PartInfo>> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let unpackers = Arc::new(tokio::sync::Semaphore::new(cores));
    let work = parts.iter().enumerate().map(|(at, part)| {
        let unpackers = Arc::clone(&unpackers);
        async move {
            if let Some(info) = cache.part(part) {
                return Ok((at, info));
            }
            let package = origins.package(part).await?;
            let _turn = unpackers.acquire().await;
            let (cache, part) = (cache.clone(), part.clone());
            let reporter = Arc::clone(origins.fetcher().reporter());
            blocking(move || {
                let task = report::task();
                reporter.report(Event::Started {
                    task,
                    what: format!("unpack {}", part.name),
                    total_bytes: None,
                });
                let info = cache.write(&part, |sink| {
                    let mut sink = Filter::new(&part, sink)?;
                    unpack_part(&part, package.as_deref(), &mut sink)
                });
                reporter.report(Event::Finished { task });
                Ok((at, info?))
            })
            .await
        }
    });
    // As they come: in their order, a large part would keep those behind it waiting, and a core idle.
    let infos: BTreeMap<usize, PartInfo> =
        stream::iter(work).buffer_unordered(ABREAST.max(cores)).try_collect().await?;
    Ok(infos.into_values().collect())
}

fn unpack_part(part: &Part, package: Option<&Path>, sink: &mut dyn Sink) -> Result<()> {
    let missing = || Error::Refused { reason: format!("{} has no file", part.purl), hint: String::new() };
    match &part.source {
        Source::Deb(deb) => {
            unpack::deb(package.ok_or_else(missing)?, base_name(&deb.path), sink)?;
        }
        Source::CaBundle(deb) => {
            let bundle = unpack::ca_bundle(package.ok_or_else(missing)?, base_name(&deb.path))?;
            for (at, _) in CA_BUNDLE.match_indices('/') {
                sink.entry(plain(&CA_BUNDLE[..at], Kind::Directory, 0o755), &mut io::empty())?;
            }
            let file = plain(CA_BUNDLE, Kind::File { size: bundle.len() as u64 }, 0o644);
            sink.entry(file, &mut &bundle[..])?;
        }
        Source::Wheel { wheel, options, .. } => {
            unpack::wheel(package.ok_or_else(missing)?, &wheel.filename, options, sink)?;
        }
        Source::Npm { package: locked, prefix, linked, .. } => {
            let folder = format!("{prefix}/{}", locked.path);
            let name = format!("{}-{}.tgz", locked.name, locked.version);
            let options = unpack::NpmOptions { folder: folder.clone() };
            let json = unpack::npm(package.ok_or_else(missing)?, &name, &options, sink)?;
            if *linked {
                for link in unpack::npm_bin_links(&json, &folder, COMMANDS) {
                    sink.entry(link, &mut io::empty())?;
                }
            }
        }
        Source::Files { folder, declared, .. } => unpack::files(folder, &mut Declared { declared, sink })?,
        Source::Data(entries) => {
            for (entry, content) in entries {
                sink.entry(entry.clone(), &mut &content[..])?;
            }
        }
    }
    Ok(())
}

/// Passes on what the image wants of a part.
struct Filter<'a> {
    without: globset::GlobSet,
    folders: bool,
    sink: &'a mut dyn Sink,
}

/// Folders that Debian's packages and the effects own: other parts that lie below must not change their modes.
const OWNED_FOLDERS: [&str; 4] = ["root", "run", "tmp", "var/tmp"];

impl<'a> Filter<'a> {
    fn new(part: &Part, sink: &'a mut dyn Sink) -> Result<Self> {
        let mut globs = globset::GlobSetBuilder::new();
        for pattern in &part.without {
            let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build().map_err(|e| {
                Error::Input {
                    place: format!("{}: leave-out of {}", crate::config::FILE, part.name),
                    reason: e.to_string(),
                    hint: "a pattern is a path in the image with *, ** and ?".to_owned(),
                }
            })?;
            globs.add(glob);
        }
        let without =
            globs.build().map_err(|e| Error::Refused { reason: e.to_string(), hint: String::new() })?;
        Ok(Filter { without, folders: matches!(part.kind, PartKind::Effects | PartKind::Deb), sink })
    }
}

impl Sink for Filter<'_> {
    fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<()> {
        let known_folder =
            !self.folders && entry.kind == Kind::Directory && OWNED_FOLDERS.contains(&entry.path.as_str());
        if known_folder || self.without.is_match(&entry.path) {
            return Ok(());
        }
        self.sink.entry(entry, content)
    }
}

/// Passes on everything, folders with the owner and mode that the image says.
struct Declared<'a> {
    declared: &'a [Entry],
    sink: &'a mut dyn Sink,
}

impl Sink for Declared<'_> {
    fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<()> {
        // The last word counts, as in the folders that the image makes.
        let mut said = self.declared.iter().rev();
        let said = said.find(|said| entry.kind == Kind::Directory && said.path == entry.path).cloned();
        self.sink.entry(said.unwrap_or(entry), content)
    }
}

fn plain(path: &str, kind: Kind, mode: u32) -> Entry {
    Entry { path: path.to_owned(), kind, mode, uid: 0, gid: 0, mtime: EPOCH }
}

/// Digest of a folder of plain files as they would lie in an image, and the paths of all that are not folders.
pub fn survey(folder: &Path, declared: &[Entry]) -> Result<(Digest, Vec<String>)> {
    struct Surveyor(Digester, Vec<String>);
    impl Sink for Surveyor {
        fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<()> {
            self.0.update(format!("{entry:?}\n").as_bytes());
            if entry.kind != Kind::Directory {
                self.1.push(entry.path.clone());
            }
            let mut buffer = [0; 16 << 10];
            loop {
                match content.read(&mut buffer).map_err(Error::io(&entry.path))? {
                    0 => return Ok(()),
                    n => self.0.update(&buffer[..n]),
                }
            }
        }
    }
    let mut surveyor = Surveyor(Digester::new(Algorithm::Sha256), Vec::new());
    unpack::files(folder, &mut Declared { declared, sink: &mut surveyor })?;
    Ok((surveyor.0.finish(), surveyor.1))
}
