//! Manifests and tags that are read often, kept in a bounded amount of memory.
//!
//! A reader that missed reads the disk and then fills the cache; a writer that comes between must win. So
//! every change counts up `generation`, and a reader's entry is taken only when nothing changed since it missed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perijove_oci::Digest;

use super::manifests::StoredManifest;
use crate::names::{RepositoryName, Tag};

/// What a name's entry costs besides its manifest's bytes, roughly.
const ENTRY_BYTES: usize = 512;

/// A reference within a repository, as it is asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    Tag(Tag),
    Digest(Digest),
}

type Names = HashMap<Name, Arc<StoredManifest>>;

/// See the module.
pub(super) struct Cache {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    generation: u64,
    repositories: HashMap<RepositoryName, Names>,
    /// Oldest first; may hold names that are gone.
    order: VecDeque<(RepositoryName, Name)>,
    living: usize,
    bytes: usize,
}

/// A miss, to be filled.
pub(super) struct Miss(u64);

impl Cache {
    pub(super) fn new(limit: usize) -> Self {
        Cache { limit, inner: Mutex::default() }
    }

    pub(super) fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Arc<StoredManifest>, Miss> {
        self.inner().get(repository, &Name::Tag(tag.clone()))
    }

    pub(super) fn digest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Arc<StoredManifest>, Miss> {
        self.inner().get(repository, &Name::Digest(digest.clone()))
    }

    pub(super) fn fill_tag(
        &self,
        miss: &Miss,
        repository: &RepositoryName,
        tag: &Tag,
        found: &Arc<StoredManifest>,
    ) {
        self.fill(miss, repository, Name::Tag(tag.clone()), found);
    }

    pub(super) fn fill_digest(&self, miss: &Miss, repository: &RepositoryName, found: &Arc<StoredManifest>) {
        self.fill(miss, repository, Name::Digest(found.digest.clone()), found);
    }

    /// To be called after a tag's file changed and before its lock is given back.
    pub(super) fn forget_tag(&self, repository: &RepositoryName, tag: &Tag) {
        self.inner().forget(repository, &Name::Tag(tag.clone()));
    }

    /// To be called after a manifest's file changed and before its lock is given back; its tags are forgotten, too.
    pub(super) fn forget_digest(&self, repository: &RepositoryName, digest: &Digest) {
        let mut inner = self.inner();
        inner.generation += 1;
        let names = inner.repositories.get(repository).into_iter().flatten();
        let gone: Vec<Name> =
            names.filter(|(_, found)| found.digest == *digest).map(|(name, _)| name.clone()).collect();
        for name in gone {
            inner.remove(repository, &name);
        }
    }

    fn fill(&self, miss: &Miss, repository: &RepositoryName, name: Name, found: &Arc<StoredManifest>) {
        let cost = cost(found);
        // One large manifest must not push out all the others.
        if cost > self.limit / 8 {
            return;
        }
        let mut inner = self.inner();
        if inner.generation != miss.0 {
            return;
        }
        inner.remove(repository, &name);
        while inner.bytes + cost > self.limit {
            let Some((repository, name)) = inner.order.pop_front() else { break };
            inner.remove(&repository, &name);
        }
        inner.bytes += cost;
        inner.living += 1;
        inner.order.push_back((repository.clone(), name.clone()));
        inner.repositories.entry(repository.clone()).or_default().insert(name, found.clone());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn get(&self, repository: &RepositoryName, name: &Name) -> Result<Arc<StoredManifest>, Miss> {
        self.repositories
            .get(repository)
            .and_then(|names| names.get(name))
            .cloned()
            .ok_or(Miss(self.generation))
    }

    fn forget(&mut self, repository: &RepositoryName, name: &Name) {
        self.generation += 1;
        self.remove(repository, name);
    }

    fn remove(&mut self, repository: &RepositoryName, name: &Name) {
        let Some(names) = self.repositories.get_mut(repository) else { return };
        if let Some(gone) = names.remove(name) {
            self.bytes -= cost(&gone);
            self.living -= 1;
            if names.is_empty() {
                self.repositories.remove(repository);
            }
            // Entries that were forgotten pile up in `order` only as far as twice the living ones.
            if self.order.len() > 2 * self.living + 64 {
                let Inner { order, repositories, .. } = self;
                order.retain(|(repository, name)| {
                    repositories.get(repository).is_some_and(|names| names.contains_key(name))
                });
            }
        }
    }
}

fn cost(manifest: &StoredManifest) -> usize {
    manifest.bytes.len() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(bytes: &str) -> Arc<StoredManifest> {
        Arc::new(StoredManifest {
            media_type: "a/b".to_owned(),
            digest: Digest::sha256(bytes.as_bytes()),
            bytes: bytes.to_owned().into(),
        })
    }

    fn miss(found: Result<Arc<StoredManifest>, Miss>) -> Miss {
        found.err().unwrap()
    }

    #[test]
    fn a_change_between_miss_and_fill_wins() {
        let cache = Cache::new(1 << 20);
        let (repository, tag) = ("r".parse().unwrap(), "t".parse().unwrap());
        let early = miss(cache.tag(&repository, &tag));
        cache.forget_tag(&repository, &tag);
        cache.fill_tag(&early, &repository, &tag, &manifest("old"));
        let late = miss(cache.tag(&repository, &tag));
        cache.fill_tag(&late, &repository, &tag, &manifest("new"));
        assert_eq!(cache.tag(&repository, &tag).ok().unwrap().bytes, "new");
        cache.forget_tag(&repository, &tag);
        assert!(cache.tag(&repository, &tag).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let cache = Cache::new(64 << 10);
        let repository: RepositoryName = "r".parse().unwrap();
        for n in 0..1000 {
            let tag = format!("t{n}").parse().unwrap();
            let found = miss(cache.tag(&repository, &tag));
            cache.fill_tag(&found, &repository, &tag, &manifest(&"x".repeat(n)));
            assert!(cache.inner().bytes <= 64 << 10);
        }
        let newest = "t999".parse().unwrap();
        assert!(cache.tag(&repository, &newest).is_ok());
        assert!(cache.tag(&repository, &"t1".parse().unwrap()).is_err());
        let living = cache.inner().repositories[&repository].len();
        assert!(living > 10 && cache.inner().order.len() <= 2 * living + 64);
        let large = "large".parse().unwrap();
        let found = miss(cache.tag(&repository, &large));
        cache.fill_tag(&found, &repository, &large, &manifest(&"x".repeat(20_000)));
        assert!(cache.tag(&repository, &large).is_err() && cache.tag(&repository, &newest).is_ok());
    }
}
