//! Reads an OCI image layout and the files in its layers, without any of the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file, link or hard link of an image.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Content of a regular file.
    pub content: Vec<u8>,
    /// Target of a link.
    pub link: Option<String>,
}

/// The folder of a layout.
pub struct Layout(pub PathBuf);

impl Layout {
    /// The bytes of a blob, by `sha256:…`.
    pub fn blob(&self, digest: &str) -> Vec<u8> {
        std::fs::read(self.0.join("blobs").join(digest.replace(':', "/"))).unwrap()
    }

    /// A manifest, index or configuration.
    pub fn json(&self, digest: &str) -> Value {
        serde_json::from_slice(&self.blob(digest)).unwrap()
    }

    /// All that is not a folder in the image with this manifest, upper layers over lower ones.
    pub fn files(&self, manifest: &str) -> BTreeMap<String, Node> {
        let manifest = self.json(manifest);
        let mut files = BTreeMap::new();
        for layer in manifest["layers"].as_array().unwrap() {
            let blob = self.blob(layer["digest"].as_str().unwrap());
            let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(&blob[..]));
            let mut seen = BTreeSet::new();
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                assert!(seen.insert(path.trim_end_matches('/').to_owned()), "{path}: twice in one layer");
                if entry.header().entry_type().is_dir() {
                    continue;
                }
                let path = entry.path().unwrap().to_str().unwrap().to_owned();
                assert!(!path.contains("/.wh."), "{path}: a whiteout in an image made of parts");
                let link = entry.link_name().unwrap().map(|l| l.display().to_string());
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                files.insert(path, Node { content, link });
            }
        }
        files
    }

    /// What the only layer of the artifact of this type holds that refers to `subject`.
    pub fn attached(&self, subject: &str, artifact_type: &str) -> Value {
        for path in files_below(&self.0.join("blobs")) {
            let bytes = std::fs::read(&path).unwrap();
            let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { continue };
            if value["subject"]["digest"] == subject && value["artifactType"] == artifact_type {
                return self.json(value["layers"][0]["digest"].as_str().unwrap());
            }
        }
        panic!("nothing refers to {subject}")
    }
}

/// The files below a folder, sorted; none where there is no folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|e| !e.file_type().is_dir())
        .map(walkdir::DirEntry::into_path)
        .collect();
    all.sort();
    all
}
