//! What an image from a Dockerfile is made of: its folder, as a builder sees it, and the key of the result.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use perijove_oci::{Algorithm, Digest, Digester};
use serde::Serialize;
use walkdir::WalkDir;

use crate::config::{self, Config};
use crate::{Error, Result};

/// The build context: the image's folder with its Dockerfile.
#[derive(Clone, Debug)]
pub struct Context {
    /// The folder.
    pub folder: PathBuf,
    /// The Dockerfile's path.
    pub dockerfile: PathBuf,
    /// The same as messages name it: `images/hub/Dockerfile`.
    pub shown: String,
    /// Digest of all that a builder may read.
    pub digest: Digest,
}

impl Context {
    /// Reads the folder of `name`, whose Dockerfile is `dockerfile` in it. Blocks.
    pub fn read(config: &Config, name: &str, dockerfile: &str) -> Result<Self> {
        let folder = config.folder(name);
        let wrong = |reason: &str, hint: &str| Error::Input {
            place: format!("{}: image.{name}", config::FILE),
            reason: format!("dockerfile = \"{dockerfile}\": {reason}"),
            hint: hint.to_owned(),
        };
        let inside = Path::new(dockerfile).components().all(|c| matches!(c, Component::Normal(_)));
        if !inside || dockerfile.is_empty() {
            return Err(wrong(
                "not a path in the image's folder",
                "the folder is all that a builder gets to see: move the Dockerfile there",
            ));
        }
        let path = folder.join(dockerfile);
        let shown = path.strip_prefix(&config.root).unwrap_or(&path).display().to_string();
        if !path.is_file() {
            return Err(wrong(&format!("there is no file {shown}"), "write it, or name another"));
        }
        Ok(Context { digest: survey(&folder)?, dockerfile: path, shown, folder })
    }
}

/// Digest of a folder's names, kinds, modes and contents. Neither times nor owners count: builders replace both.
/// What `.dockerignore` leaves out counts, which at worst builds once too often.
fn survey(folder: &Path) -> Result<Digest> {
    let mut digester = Digester::new(Algorithm::Sha256);
    for found in WalkDir::new(folder).min_depth(1).follow_links(false).sort_by_file_name() {
        let found = found.map_err(|e| Error::io(e.path().unwrap_or(folder).to_owned())(e.into()))?;
        let path = found.path();
        let metadata = std::fs::symlink_metadata(path).map_err(Error::io(path))?;
        // Every field ends where the next can begin only there: no two folders make the same bytes.
        let name = path.strip_prefix(folder).unwrap_or(path).as_os_str().as_bytes();
        let size = if metadata.is_file() { metadata.len() } else { 0 };
        digester.update(format!("{:o} {size} {} ", metadata.mode(), name.len()).as_bytes());
        digester.update(name);
        if metadata.is_symlink() {
            let target = std::fs::read_link(path).map_err(Error::io(path))?;
            digester.update(format!(" {} ", target.as_os_str().len()).as_bytes());
            digester.update(target.as_os_str().as_bytes());
        } else if metadata.is_file() {
            let mut file = File::open(path).map_err(Error::io(path))?;
            let mut buffer = vec![0; 64 << 10];
            let mut read = 0;
            loop {
                let n = file.read(&mut buffer).map_err(Error::io(path))?;
                if n == 0 {
                    break;
                }
                read += n as u64;
                digester.update(&buffer[..n]);
            }
            if read != size {
                return Err(Error::Refused {
                    reason: format!("{} changed while it was read", path.display()),
                    hint: "run it again when nothing writes there".to_owned(),
                });
            }
        }
    }
    Ok(digester.finish())
}

/// All that decides what a builder makes for one platform, as far as the repository knows: not what the
/// Dockerfile fetches. The builder itself does not count, for either's result is the image.
#[derive(Serialize)]
pub struct Inputs<'a> {
    /// `linux/amd64`.
    pub platform: String,
    /// The Dockerfile's path in the folder.
    pub dockerfile: &'a str,
    /// Digest of the folder.
    pub context: &'a Digest,
    /// Build arguments, by name.
    pub arguments: &'a BTreeMap<String, String>,
    /// Digest of the base's configuration, which names its layers: a commit that changes nothing else changes
    /// the base's manifest, not this.
    pub base: Option<&'a Digest>,
    /// How layers are compressed.
    pub compression: &'static str,
}

/// Changed when equal inputs no longer make an equal image.
const FORMAT: u32 = 1;

impl Inputs<'_> {
    /// Names what is made of them.
    pub fn key(&self) -> Result<Digest> {
        let text = serde_json::to_vec(&(FORMAT, self));
        let text = text.map_err(|e| Error::Io { path: self.dockerfile.into(), source: e.into() })?;
        Ok(Digest::sha256(&text))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn whatever_a_builder_can_see_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut seen = Vec::new();
        let mut look = |what: &str| {
            let digest = survey(folder.path()).unwrap();
            assert!(!seen.contains(&digest), "{what} makes no difference");
            assert_eq!(digest, survey(folder.path()).unwrap(), "{what}");
            seen.push(digest);
        };
        look("nothing");
        std::fs::write(path("a"), "1").unwrap();
        look("a file");
        std::fs::write(path("a"), "2").unwrap();
        look("its content");
        std::fs::set_permissions(path("a"), std::fs::Permissions::from_mode(0o600)).unwrap();
        look("its mode");
        std::fs::rename(path("a"), path("b")).unwrap();
        look("its name");
        symlink("/nowhere", path("c")).unwrap();
        look("a link");
        std::fs::remove_file(path("c")).unwrap();
        symlink("/elsewhere", path("c")).unwrap();
        look("its target");
        std::fs::create_dir(path("d")).unwrap();
        look("an empty folder");
    }

    #[test]
    fn times_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("a")).unwrap();
        let before = survey(folder.path()).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(survey(folder.path()).unwrap(), before);
    }

    #[test]
    fn a_dockerfile_lies_in_its_folder() {
        let root = tempfile::tempdir().unwrap();
        let text = "[image.app]\nversion = \"1\"\ndockerfile = \"Dockerfile\"\n";
        let config = Config::parse(root.path(), text).unwrap();
        for (dockerfile, reason) in [
            ("../Dockerfile", "not a path in the image's folder"),
            ("/Dockerfile", "not a path in the image's folder"),
            ("", "not a path in the image's folder"),
            ("Dockerfile", "there is no file images/app/Dockerfile"),
        ] {
            let error = Context::read(&config, "app", dockerfile).unwrap_err();
            assert!(error.is_usage() && error.to_string().ends_with(reason), "{error}");
        }
    }
}
