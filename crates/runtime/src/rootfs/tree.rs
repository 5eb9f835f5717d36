//! A folder that strangers' names are created in: every path is resolved inside the root by the kernel
//! (openat2 with `RESOLVE_IN_ROOT`), so a symbolic link, whoever made it, never leads out.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Longest path, in bytes, and most components of an entry's name.
const PATH_LIMIT: usize = 4095;
const DEPTH_LIMIT: usize = 256;

/// A path of a layer, checked: relative, without `..`, `.` and empty components, within the limits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryPath(Vec<Vec<u8>>);

impl EntryPath {
    /// Checks an entry's name. `./` stands for the root and gives no components.
    ///
    /// # Errors
    /// Says why the name is refused.
    pub fn new(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > PATH_LIMIT {
            return Err(format!("the path is longer than {PATH_LIMIT} bytes"));
        }
        if bytes.first() == Some(&b'/') {
            return Err("the path is absolute".to_owned());
        }
        let mut parts = Vec::new();
        for part in bytes.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err("the path has `..` in it".to_owned()),
                _ if part.contains(&0) => return Err("the path has a zero byte in it".to_owned()),
                _ => parts.push(part.to_vec()),
            }
        }
        if parts.len() > DEPTH_LIMIT {
            return Err(format!("the path is deeper than {DEPTH_LIMIT} folders"));
        }
        Ok(EntryPath(parts))
    }

    /// Parent and last component; none for the root itself.
    pub fn split(&self) -> Option<(&[Vec<u8>], &[u8])> {
        self.0.split_last().map(|(name, parent)| (parent, name.as_slice()))
    }

    /// The components.
    pub fn into_parts(self) -> Vec<Vec<u8>> {
        self.0
    }

    /// The components joined by `/`; `.` for the root.
    pub fn to_bytes(&self) -> Vec<u8> {
        join(&self.0)
    }
}

/// `parts` joined by `/`; `.` when there are none.
pub fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    if parts.is_empty() { b".".to_vec() } else { parts.join(&b'/') }
}

/// The root folder, with the last parent kept open: entries of one folder come together.
pub struct Tree {
    root: OwnedFd,
    last: Option<(Vec<Vec<u8>>, OwnedFd)>,
}

impl Tree {
    /// Opens an existing folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Tree { root, last: None })
    }

    /// Opens `path` (below the root, links followed inside it) with `flags`.
    pub fn open_in(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        loop {
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            match fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                // A rename elsewhere on the machine can make the kernel unsure; it asks to try again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// The folder `parts`, kept for the next call. With `create`, missing folders are made (mode 0700,
    /// and reported through `made`); without, a missing one is `None`.
    pub fn folder(
        &mut self,
        parts: &[Vec<u8>],
        create: bool,
        mut made: impl FnMut(&[Vec<u8>]),
    ) -> Result<Option<&OwnedFd>, Errno> {
        if self.last.as_ref().is_none_or(|(have, _)| have != parts) {
            let mut found = self.open_in(&join(parts), OFlags::RDONLY | OFlags::DIRECTORY);
            if found.as_ref().err() == Some(&Errno::NOENT) {
                if !create {
                    return Ok(None);
                }
                for depth in 1..=parts.len() {
                    let above = self.open_in(&join(&parts[..depth - 1]), OFlags::PATH | OFlags::DIRECTORY)?;
                    match fs::mkdirat(&above, &parts[depth - 1][..], Mode::RWXU) {
                        Ok(()) => made(&parts[..depth]),
                        Err(Errno::EXIST) => {}
                        Err(e) => return Err(e),
                    }
                }
                found = self.open_in(&join(parts), OFlags::RDONLY | OFlags::DIRECTORY);
            }
            self.last = Some((parts.to_vec(), found?));
        }
        Ok(self.last.as_ref().map(|(_, fd)| fd))
    }

    /// Forgets the folder that was kept: something was removed, so its path may mean another one now.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

/// What `name` in `folder` is, not following a link; none when there is nothing.
pub fn kind(folder: impl AsFd, name: &[u8]) -> Result<Option<FileType>, Errno> {
    match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Removes `name` in `folder` and all below it, following no link. Gives whether there was something.
pub fn remove(folder: impl AsFd, name: &[u8]) -> Result<bool, Errno> {
    let folder = folder.as_fd();
    match kind(folder, name)? {
        None => Ok(false),
        Some(FileType::Directory) => {
            let inner = open_folder(folder, name)?;
            for child in children(&inner)? {
                remove(&inner, &child)?;
            }
            fs::unlinkat(folder, name, AtFlags::REMOVEDIR).map(|()| true)
        }
        Some(_) => fs::unlinkat(folder, name, AtFlags::empty()).map(|()| true),
    }
}

/// Opens a folder that is no link.
pub fn open_folder(folder: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(folder, name, flags, Mode::empty())
}

/// The names in a folder, without `.` and `..`.
pub fn children(folder: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let bytes = |text: &[u8]| EntryPath::new(text).map(|p| p.to_bytes());
        assert_eq!(bytes(b"./usr//bin/./x/").unwrap(), b"usr/bin/x");
        assert_eq!(bytes(b"./").unwrap(), b".");
        assert_eq!(bytes(b"...").unwrap(), b"...");
        for bad in
            [&b"/etc/passwd"[..], b"..", b"a/../b", b"a/..", b"a\0b", &[b'a'; 5000], &b"a/".repeat(300)]
        {
            assert!(bytes(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_checked_name_stays_below(bytes in proptest::collection::vec(proptest::sample::select(b"./a\\b".to_vec()), 0..40)) {
            if let Ok(path) = EntryPath::new(&bytes) {
                let out = path.to_bytes();
                proptest::prop_assert!(!out.starts_with(b"/"));
                proptest::prop_assert!(out.split(|b| *b == b'/').all(|p| p != b".."));
            }
        }
    }
}
