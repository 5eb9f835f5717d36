//! Small images for the nodes to pull, made of a file or two and pushed by plain HTTP, without the code under test.

use std::fmt::Display;
use std::io::Write;

use perijove_oci::Digest;
use serde_json::json;

use super::programs;
use crate::packages::noise;
use crate::requests::To;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image of one layer.
#[derive(Clone, Debug)]
pub struct TestImage {
    files: Vec<(String, Vec<u8>)>,
    links: Vec<(&'static str, &'static str)>,
    entrypoint: Vec<String>,
    user: String,
    architecture: &'static str,
    readable: bool,
}

/// This machine's architecture, as images call it.
fn own_architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

impl TestImage {
    /// With one file, in which nothing can be executed; the text makes it another image.
    pub fn data(text: &str) -> Self {
        TestImage {
            files: vec![("srv/data.txt".to_owned(), text.as_bytes().to_vec())],
            links: Vec::new(),
            entrypoint: Vec::new(),
            user: String::new(),
            architecture: own_architecture(),
            readable: true,
        }
    }

    /// One static program that does nothing until it is told to end, as a user without a name; no shell.
    pub fn pause() -> Self {
        let program = std::fs::read(programs::folder("pause").join("pause")).unwrap();
        let mut image = TestImage::data("");
        image.files = vec![("pause".to_owned(), program)];
        image.entrypoint = vec!["/pause".to_owned()];
        image.user = "65534:65534".to_owned();
        image
    }

    /// One static program of the caller's, as `/NAME`.
    pub fn program(name: &str, program: Vec<u8>) -> Self {
        let mut image = TestImage::pause();
        image.files = vec![(name.to_owned(), program)];
        image.entrypoint = vec![format!("/{name}")];
        image
    }

    /// Debian's static busybox, with the commands that tests use.
    pub fn shell() -> Self {
        let busybox = programs::on_path("busybox").unwrap();
        let mut image = TestImage::data("");
        image.files = vec![("bin/busybox".to_owned(), std::fs::read(busybox).unwrap())];
        let commands =
            ["bin/sh", "bin/sleep", "bin/cat", "bin/ls", "bin/id", "bin/true", "bin/false", "bin/echo"];
        image.links = commands.map(|link| (link, "busybox")).into();
        image.entrypoint = vec!["/bin/sh".to_owned()];
        image
    }

    /// With a file more, of so many bytes that do not compress; another `seed` makes others.
    pub fn with_ballast(mut self, bytes: usize, seed: impl Display) -> Self {
        self.files.push(("srv/ballast".to_owned(), noise(&seed.to_string(), bytes)));
        self
    }

    /// For an architecture that this machine is not.
    pub fn of_another_architecture() -> Self {
        let mut image = TestImage::pause();
        image.architecture = if own_architecture() == "amd64" { "arm64" } else { "amd64" };
        image
    }

    /// Its layer has the right digest, and is no archive.
    pub fn unreadable() -> Self {
        TestImage { readable: false, ..TestImage::data("unreadable") }
    }

    /// Pushes it to `name:tag` of the registry at `address`; gives the digest that the tag points at.
    pub fn push(&self, address: &str, login: Option<(&str, &str)>, name: &str, tag: &str) -> String {
        let to = To { address, login, name };
        let archive = self.archive();
        let layer = if self.readable { gzip(&archive) } else { b"no archive".to_vec() };
        let config = json!({
            "architecture": self.architecture,
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "User": self.user},
            "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(&archive)]},
        });
        let config = config.to_string().into_bytes();
        let descriptor = |media: &str, bytes: &[u8]| json!({"mediaType": media, "digest": Digest::sha256(bytes), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": [descriptor(LAYER, &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        to.blob(&layer);
        to.blob(&config);
        if self.architecture == own_architecture() {
            to.send(201, "PUT", &format!("manifests/{tag}"), MANIFEST, &manifest);
            return Digest::sha256(&manifest).to_string();
        }
        // Nodes look at the architecture in an index only; a manifest alone they take as it comes.
        to.send(201, "PUT", &format!("manifests/{}", Digest::sha256(&manifest)), MANIFEST, &manifest);
        let mut of_platform = descriptor(MANIFEST, &manifest);
        of_platform["platform"] = json!({"os": "linux", "architecture": self.architecture});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [of_platform]});
        let index = index.to_string().into_bytes();
        to.send(201, "PUT", &format!("manifests/{tag}"), INDEX, &index);
        Digest::sha256(&index).to_string()
    }

    fn archive(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in &self.files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(if self.entrypoint.is_empty() { 0o644 } else { 0o755 });
            archive.append_data(&mut header, name, &content[..]).unwrap();
        }
        for (name, target) in &self.links {
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            header.set_mode(0o777);
            header.set_entry_type(tar::EntryType::Symlink);
            archive.append_link(&mut header, name, target).unwrap();
        }
        archive.into_inner().unwrap()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
