//! A small image for two platforms, and clients.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use perijove_oci::auth::Keyring;
use perijove_oci::client::{Client, Settings};
use perijove_oci::report::{Event, Reporter, Silent};
use perijove_oci::{
    Config, Descriptor, Digest, ImageConfig, ImageContent, Index, Manifest, Platform, Reference, RootFs,
    media,
};

/// A client that knows no credentials.
pub fn anonymous() -> Client {
    Client::with(Settings::default(), Arc::new(Silent)).unwrap()
}

/// Keeps what it is told.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<Event>>);

impl Reporter for Recorder {
    fn report(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Recorder {
    /// A client that reports to it.
    pub fn client(self: &Arc<Self>) -> Client {
        Client::with(Settings::default(), Arc::clone(self) as Arc<dyn Reporter>).unwrap()
    }

    /// Asserts that one task started, advanced by all of its bytes and no more, and finished.
    pub fn assert_one_task(&self, verb: &str, size: u64) {
        let events = self.0.lock().unwrap().clone();
        let (first, last) = (events.first().unwrap(), events.last().unwrap());
        let Event::Started { task, what, total_bytes } = first else { panic!("{first:?}") };
        assert!(what.starts_with(verb) && *total_bytes == Some(size), "{what} {total_bytes:?}");
        assert_eq!(*last, Event::Finished { task: *task });
        let done = events
            .iter()
            .map(|e| if let Event::Advanced { bytes, .. } = e { *bytes } else { 0 })
            .sum::<u64>();
        assert_eq!(done, size);
    }
}

/// A client with this auth file.
pub fn with_auth(file: &Path) -> Client {
    let settings = Settings { keyring: Keyring::of_file(file), ..Settings::default() };
    Client::with(settings, Arc::new(Silent)).unwrap()
}

/// `registry/repository` as a reference.
pub fn repo(registry: &str, repository: &str) -> Reference {
    format!("{registry}/{repository}").parse().unwrap()
}

/// A tar layer with one file, of this media type, and its diff id.
fn layer(name: &str, text: &[u8], media_type: &str) -> (Vec<u8>, Digest) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, text).unwrap();
    let tar = tar.into_inner().unwrap();
    let diff_id = Digest::sha256(&tar);
    let bytes = match media_type {
        media::LAYER_GZIP => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&tar).unwrap();
            gzip.finish().unwrap()
        }
        media::LAYER_ZSTD => zstd::encode_all(tar.as_slice(), 1).unwrap(),
        _ => tar,
    };
    (bytes, diff_id)
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: &str, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut block = Digest::sha256(seed.as_bytes());
    while bytes.len() < length {
        bytes.extend_from_slice(block.hex().as_bytes());
        block = Digest::sha256(block.hex().as_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// An index of two images (amd64, arm64) that share a layer, and an SBOM that refers to the first.
pub fn image(seed: &str) -> ImageContent {
    image_of(seed, media::LAYER_GZIP)
}

/// The same with layers of this media type.
pub fn image_of(seed: &str, layers: &str) -> ImageContent {
    let placeholder = Descriptor::of(media::INDEX, b"");
    let mut image = ImageContent::new(placeholder.clone(), bytes::Bytes::new());
    image.manifests.clear();
    let (shared, shared_id) = layer("shared", &noise("shared", 200_000), layers);
    let shared = image.add_bytes(layers, shared);
    let mut children = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let (own, own_id) = layer("etc/own", &noise(&format!("{seed} {architecture}"), 50_000), layers);
        let own = image.add_bytes(layers, own);
        let config = ImageConfig {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            config: Config { cmd: Some(vec!["/bin/true".to_owned()]), ..Config::default() },
            rootfs: RootFs { diff_ids: vec![shared_id.clone(), own_id], ..RootFs::default() },
            ..ImageConfig::default()
        };
        let config = image.add_bytes(media::CONFIG, serde_json::to_vec(&config).unwrap());
        let manifest = Manifest::image(config, vec![shared.clone(), own], Default::default());
        let mut child = image.add_manifest(media::MANIFEST, serde_json::to_vec(&manifest).unwrap());
        child.platform =
            Some(Platform { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: None });
        children.push(child);
    }
    let subject = children[0].clone();
    let index = Index::new(children, Default::default());
    image.root = image.add_manifest(media::INDEX, serde_json::to_vec(&index).unwrap());
    let empty = image.add_bytes(media::EMPTY, "{}");
    let sbom =
        image.add_bytes(media::CYCLONEDX, format!(r#"{{"bomFormat":"CycloneDX","serialNumber":"{seed}"}}"#));
    let mut referrer = Manifest::image(empty, vec![sbom], Default::default());
    referrer.artifact_type = Some(media::CYCLONEDX.to_owned());
    referrer.subject = Some(Descriptor::new(&subject.media_type, subject.digest, subject.size));
    let referrer = image.add_manifest(media::MANIFEST, serde_json::to_vec(&referrer).unwrap());
    image.referrers.push(referrer.digest);
    image.check().unwrap();
    image
}
