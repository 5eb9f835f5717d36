//! Made npm packages.

use base64::Engine as _;
use sha2::{Digest as _, Sha512};

use crate::packages::noise;

/// A made npm package.
#[derive(Clone, Debug)]
pub struct Npm {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The tarball.
    pub bytes: Vec<u8>,
}

impl Npm {
    /// A package with `size` bytes of data that differ with the version.
    pub fn new(name: &str, version: &str, size: usize) -> Self {
        let json = serde_json::json!({ "name": name, "version": version }).to_string();
        let mut tar =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (path, content) in
            [("package.json", json.into_bytes()), ("data.bin", noise(&format!("{name} {version}"), size))]
        {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("package/{path}"), &content[..]).unwrap();
        }
        let bytes = tar.into_inner().unwrap().finish().unwrap();
        Npm { name: name.to_owned(), version: version.to_owned(), bytes }
    }

    /// Where the package server has it.
    pub fn path(&self) -> String {
        format!("/npm/{0}/-/{0}-{1}.tgz", self.name, self.version)
    }

    /// The tarball's digest as a lock has it (W3C SRI, section 3.5).
    pub fn integrity(&self) -> String {
        let digest = base64::engine::general_purpose::STANDARD.encode(Sha512::digest(&self.bytes));
        format!("sha512-{digest}")
    }
}
