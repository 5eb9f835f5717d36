//! A sink that keeps everything and holds the stream to its promises.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use perijove_build::entry::{Entry, Kind, Sink};
use perijove_build::{Error, Result};

/// All entries in the order they came, with their content.
#[derive(Default)]
pub struct Collect {
    pub entries: Vec<(Entry, Vec<u8>)>,
}

impl Sink for Collect {
    fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<()> {
        let path = entry.path.clone();
        assert!(!path.is_empty() && path.split('/').all(|c| !matches!(c, "" | "." | "..")), "{path:?}");
        assert!(!path.chars().any(char::is_control), "{path:?}");
        assert!(entry.mode <= 0o7777, "{path}");
        assert!(self.get(&path).is_none(), "{path} came twice");
        if let Some((parent, _)) = path.rsplit_once('/') {
            let parent = self.get(parent).unwrap_or_else(|| panic!("{path} came before its folder"));
            assert_eq!(parent.0.kind, Kind::Directory, "{path} lies in something else");
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(Error::io("the sink"))?;
        let size = if let Kind::File { size } = entry.kind { size } else { 0 };
        assert_eq!(bytes.len() as u64, size, "{path}");
        if let Kind::Hardlink { target } = &entry.kind {
            assert!(matches!(
                self.get(target),
                Some((Entry { kind: Kind::File { .. } | Kind::Hardlink { .. }, .. }, _))
            ));
        }
        self.entries.push((entry, bytes));
        Ok(())
    }
}

impl Collect {
    pub fn get(&self, path: &str) -> Option<&(Entry, Vec<u8>)> {
        self.entries.iter().find(|(e, _)| e.path == path)
    }

    pub fn text(&self, path: &str) -> &str {
        let (_, content) = self.get(path).unwrap_or_else(|| panic!("{path} is missing"));
        std::str::from_utf8(content).unwrap()
    }

    pub fn mode(&self, path: &str) -> u32 {
        self.get(path).unwrap_or_else(|| panic!("{path} is missing")).0.mode
    }

    pub fn paths(&self) -> Vec<&str> {
        self.entries.iter().map(|(e, _)| e.path.as_str()).collect()
    }

    /// One line an entry: what `find -printf` could say of it.
    pub fn listing(&self) -> BTreeMap<String, String> {
        let mut lines = BTreeMap::new();
        for (entry, content) in &self.entries {
            let what = match &entry.kind {
                Kind::Directory => "folder".to_owned(),
                Kind::File { .. } => format!("file {}", sha256(content)),
                Kind::Symlink { target } => format!("link {target}"),
                Kind::Hardlink { target } => {
                    let (_, content) = self.get(target).unwrap();
                    format!("file {}", sha256(content))
                }
            };
            lines.insert(entry.path.clone(), what);
        }
        lines
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes the archive to a file and gives it to `unpack`.
pub fn on_disk<T>(
    bytes: &[u8],
    unpack: impl FnOnce(&Path, &mut dyn Sink) -> Result<T>,
) -> (Result<T>, Collect) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    std::fs::write(&path, bytes).unwrap();
    let mut sink = Collect::default();
    let result = unpack(&path, &mut sink);
    (result, sink)
}

/// The reason of an archive's error; panics on success and on any other error.
pub fn reason<T>(result: Result<T>) -> String {
    match result {
        Err(Error::Archive { archive, reason }) => {
            assert!(!archive.is_empty() && !reason.chars().any(char::is_control), "{reason:?}");
            reason
        }
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it was accepted"),
    }
}
