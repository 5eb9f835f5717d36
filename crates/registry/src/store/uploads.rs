//! Upload sessions: bytes on the disk as they come, a digest computed on the way.
//!
//! A session is a file in the repository's `_uploads`, made with its first byte; what memory adds (the digest
//! so far) can be had again by reading the file. So a session goes on after the registry was started anew.
//! One request at a time uses a session: it holds the [`Lease`].

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use perijove_oci::{Algorithm, Digest, Digester};

use super::layout::remove;
use super::{Store, StoreError};
use crate::names::{RepositoryName, UploadId};

/// After so many bytes the disk is told to begin writing them, so that little is left to sync at the end.
const WRITE_OUT: u64 = 8 << 20;

type Key = (RepositoryName, UploadId);

/// The sessions that memory knows.
pub(super) struct Sessions {
    limit: usize,
    open: Arc<Mutex<HashMap<Key, Slot>>>,
}

struct Slot {
    used: Instant,
    /// Nothing while a request holds the lease.
    session: Option<Box<Session>>,
}

struct Session {
    path: PathBuf,
    received: u64,
    /// Of these the disk was told to begin writing so many.
    written_out: u64,
    file: Option<File>,
    /// The digest of what was received; nothing when it must be computed from the file.
    digest: Option<RunningDigest>,
}

/// The digest of what a session received so far.
pub struct RunningDigest {
    algorithm: Algorithm,
    digester: Digester,
}

impl RunningDigest {
    fn new(algorithm: Algorithm) -> Self {
        RunningDigest { algorithm, digester: Digester::new(algorithm) }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digester.update(bytes);
    }
}

impl Sessions {
    pub(super) fn new(limit: usize) -> Self {
        Sessions { limit, open: Arc::default() }
    }

    /// Whether a request is using the session, or it was used within `grace`.
    pub(super) fn is_live(&self, key: &Key, grace: std::time::Duration) -> bool {
        lock(&self.open).get(key).is_some_and(|slot| slot.session.is_none() || slot.used.elapsed() < grace)
    }

    /// Forgets a session that nobody is using and removes its file; false when somebody is using it.
    pub(super) fn remove_idle(&self, key: &Key, path: &Path) -> std::io::Result<bool> {
        // Under the lock, so that nobody takes the session up between the two.
        let mut open = lock(&self.open);
        if open.get(key).is_some_and(|slot| slot.session.is_none()) {
            return Ok(false);
        }
        open.remove(key);
        remove(path)
    }
}

fn lock(open: &Mutex<HashMap<Key, Slot>>) -> MutexGuard<'_, HashMap<Key, Slot>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to use a session; given back when it is dropped.
pub struct Lease {
    key: Key,
    session: Option<Box<Session>>,
    open: Arc<Mutex<HashMap<Key, Slot>>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        match self.session.take() {
            Some(mut session) => {
                // Idle sessions hold no descriptor: there may be thousands.
                session.file = None;
                open.insert(self.key.clone(), Slot { used: Instant::now(), session: Some(session) });
            }
            None => {
                open.remove(&self.key);
            }
        }
    }
}

impl Lease {
    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.session.as_ref().map_or(0, |session| session.received)
    }

    /// Takes the digest so far, to go on with it while other bytes are written. Whoever has it feeds it exactly
    /// what is appended and gives it back; when it is not given back, the file is read again at the end.
    pub fn take_digest(&mut self) -> Option<RunningDigest> {
        self.session.as_mut()?.digest.take()
    }

    /// Gives the digest back.
    pub fn put_digest(&mut self, digest: Option<RunningDigest>) {
        if let Some(session) = &mut self.session {
            session.digest = digest;
        }
    }
}

impl Store {
    /// Begins an upload; `algorithm` is the one that its digest will probably have.
    pub fn begin_upload(&self, repository: &RepositoryName, algorithm: Algorithm) -> UploadId {
        let key = (repository.clone(), UploadId::random());
        let path = self.layout.upload(repository, &key.1);
        let digest = Some(RunningDigest::new(algorithm));
        let session = Box::new(Session { path, received: 0, written_out: 0, file: None, digest });
        let mut open = lock(&self.sessions.open);
        if open.len() >= self.sessions.limit {
            // What was received stays on the disk: even the session that gives way can go on.
            let idle = open.iter().filter(|(_, slot)| slot.session.is_some());
            if let Some(oldest) = idle.min_by_key(|(_, slot)| slot.used).map(|(key, _)| key.clone()) {
                open.remove(&oldest);
            }
        }
        open.insert(key.clone(), Slot { used: Instant::now(), session: Some(session) });
        key.1
    }

    /// Takes hold of a session.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`] when there is none, [`StoreError::UploadBusy`] when another request has it.
    pub fn lease_upload(&self, repository: &RepositoryName, id: &UploadId) -> Result<Lease, StoreError> {
        let key = (repository.clone(), id.clone());
        let mut open = lock(&self.sessions.open);
        let session = match open.get_mut(&key) {
            Some(slot) => slot.session.take().ok_or(StoreError::UploadBusy)?,
            None => {
                // Begun before this process, or gone from memory: the file says all.
                let path = self.layout.upload(repository, id);
                let received = std::fs::metadata(&path).map_err(|_| StoreError::NoUpload)?.len();
                open.insert(key.clone(), Slot { used: Instant::now(), session: None });
                Box::new(Session { path, received, written_out: received, file: None, digest: None })
            }
        };
        Ok(Lease { key, session: Some(session), open: self.sessions.open.clone() })
    }

    /// Appends to a session. When that fails, the session and what it received are gone: the space is wanted.
    ///
    /// # Errors
    /// [`StoreError::Full`], or another refusal of the system.
    pub fn append_upload(&self, lease: &mut Lease, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(session) = &mut lease.session else { return Err(StoreError::NoUpload) };
        let appended = append(self, session, bytes);
        if appended.is_err() {
            self.discard(lease);
        }
        appended
    }

    /// Ends a session: its bytes become the blob `digest` of the repository, synced.
    ///
    /// # Errors
    /// [`StoreError::Digest`] when the content is another; the session is gone then.
    pub fn finish_upload(&self, mut lease: Lease, digest: &Digest) -> Result<(), StoreError> {
        let finished = self.finish(&mut lease, digest);
        self.discard(&mut lease);
        finished
    }

    fn finish(&self, lease: &mut Lease, digest: &Digest) -> Result<(), StoreError> {
        let repository = lease.key.0.clone();
        let Some(session) = &mut lease.session else { return Err(StoreError::NoUpload) };
        if session.received == 0 && session.file.is_none() {
            append(self, session, &[])?;
        }
        let path = session.path.clone();
        let running = session.digest.take().filter(|running| running.algorithm == digest.algorithm());
        let actual = match running {
            Some(running) => running.digester.finish(),
            None => digest_of_file(&path, digest.algorithm()).map_err(StoreError::file("read", &path))?,
        };
        if actual != *digest {
            return Err(StoreError::Digest { expected: digest.clone(), actual });
        }
        let target = self.layout.content(digest);
        let known = std::fs::metadata(&target).is_ok_and(|there| there.len() == session.received);
        let sync = |file: Option<File>| {
            let file = file.map_or_else(|| File::open(&path), Ok);
            file.and_then(|file| file.sync_data()).map_err(StoreError::file("sync", &path))
        };
        if !known {
            sync(session.file.take())?;
        }
        let _promise = self.promising();
        // What was known may have been collected between the look and the promise.
        let gone = known && !target.exists();
        if gone {
            sync(session.file.take())?;
        }
        if gone || !known {
            let rename = || std::fs::rename(&path, &target);
            self.durable.with_folder(&target, rename).map_err(StoreError::file("write", &target))?;
            // Nothing is left to remove.
            lease.session = None;
        }
        self.link(&repository, digest)
    }

    /// Ends a session and removes what it received.
    pub fn cancel_upload(&self, mut lease: Lease) {
        self.discard(&mut lease);
    }

    fn discard(&self, lease: &mut Lease) {
        if let Some(session) = lease.session.take() {
            // A file that stays behind is removed by the collector.
            let _removed = remove(&session.path);
        }
    }
}

fn append(store: &Store, session: &mut Session, bytes: &[u8]) -> Result<(), StoreError> {
    let path = &session.path;
    let file = match &mut session.file {
        Some(file) => file,
        none => {
            let open = || File::options().create(true).append(true).open(path);
            let file = store.durable.with_folder(path, open).map_err(StoreError::file("create", path))?;
            none.insert(file)
        }
    };
    file.write_all(bytes).map_err(StoreError::file("write", path))?;
    if let Some(digest) = &mut session.digest {
        digest.update(bytes);
    }
    session.received += bytes.len() as u64;
    let pending = session.received - session.written_out;
    if let Some(length) = std::num::NonZeroU64::new(pending).filter(|length| length.get() >= WRITE_OUT) {
        // "Not needed soon" makes Linux begin to write what is dirty, without waiting; what is being written
        // stays in memory. It is a hint: the sync at the end decides.
        let _hint =
            rustix::fs::fadvise(&*file, session.written_out, Some(length), rustix::fs::Advice::DontNeed);
        session.written_out = session.received;
    }
    Ok(())
}

fn digest_of_file(path: &Path, algorithm: Algorithm) -> std::io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut digester = Digester::new(algorithm);
    let mut window = vec![0; 256 << 10];
    loop {
        match file.read(&mut window)? {
            0 => return Ok(digester.finish()),
            n => digester.update(&window[..n]),
        }
    }
}
