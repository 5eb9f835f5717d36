//! Made wheels and Debian packages, and a server that has them as a package index and a Debian mirror do, and npm
//! packages as a registry does.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use perijove_oci::Digest;
use sha2::Digest as _;
use zip::write::SimpleFileOptions;

use crate::npm::Npm;
use crate::web::{Answer, Asked, Server};

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: &str, length: usize) -> Vec<u8> {
    let hash: [u8; 32] = sha2::Sha256::digest(seed).into();
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(hash.iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte))).fill(&mut bytes);
    bytes
}

/// A made wheel.
#[derive(Clone, Debug)]
pub struct Wheel {
    /// Normalised project name.
    pub project: String,
    /// Its version.
    pub version: String,
    /// `NAME-VERSION-TAG.whl`.
    pub filename: String,
    /// The file.
    pub bytes: Vec<u8>,
    /// How often the lock says it has changed.
    pub changed: u32,
}

impl Wheel {
    /// A pure wheel with `size` bytes of data that differ with the version, a command, and a sound RECORD.
    pub fn new(project: &str, version: &str, size: usize) -> Self {
        Wheel::tagged(project, version, "py3-none-any", size)
    }

    /// The same for a tag.
    pub fn tagged(project: &str, version: &str, tag: &str, size: usize) -> Self {
        Self::made(project, version, tag, size, &[])
    }

    /// A small pure wheel that has `files` (paths in site-packages) besides its own.
    pub fn with_files(project: &str, version: &str, files: &[(&str, &[u8])]) -> Self {
        Self::made(project, version, "py3-none-any", 100, files)
    }

    fn made(project: &str, version: &str, tag: &str, size: usize, more: &[(&str, &[u8])]) -> Self {
        let module = project.replace('-', "_");
        let info = format!("{module}-{version}.dist-info");
        let platforms: String = tag
            .rsplit_once('-')
            .map(|(python, platforms)| platforms.split('.').map(|p| format!("Tag: {python}-{p}\n")).collect())
            .unwrap();
        let mut files: Vec<(String, Vec<u8>)> = vec![
            (format!("{module}/__init__.py"), format!("__version__ = '{version}'\n").into_bytes()),
            (format!("{module}/data.bin"), noise(&format!("{project} {version} {tag}"), size)),
            (format!("{module}-{version}.data/data/share/{module}/readme"), b"read me\n".to_vec()),
            (
                format!("{info}/METADATA"),
                format!("Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n").into_bytes(),
            ),
            (
                format!("{info}/WHEEL"),
                format!("Wheel-Version: 1.0\nGenerator: made\nRoot-Is-Purelib: true\n{platforms}")
                    .into_bytes(),
            ),
            (
                format!("{info}/entry_points.txt"),
                format!("[console_scripts]\n{project} = {module}:main\n").into_bytes(),
            ),
        ];
        files.extend(more.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())));
        let record = files.iter().map(|(path, content)| {
            let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(content));
            format!("{path},sha256={hash},{}\n", content.len())
        });
        let record: String = record.chain([format!("{info}/RECORD,,\n")]).collect();
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().unix_permissions(0o644);
        for (path, content) in files.iter().chain([&(format!("{info}/RECORD"), record.into_bytes())]) {
            zip.start_file(path, options).unwrap();
            zip.write_all(content).unwrap();
        }
        Wheel {
            project: project.to_owned(),
            version: version.to_owned(),
            filename: format!("{module}-{version}-{tag}.whl"),
            bytes: zip.finish().unwrap().into_inner(),
            changed: 0,
        }
    }

    /// The same wheel, which the lock says has changed so often.
    pub fn changed(self, changed: u32) -> Self {
        Wheel { changed, ..self }
    }

    /// Where an index's page has it.
    pub fn path(&self) -> String {
        format!("/files/{}", self.filename)
    }
}

/// A made Debian package.
#[derive(Clone, Debug)]
pub struct Deb {
    /// Package name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64`, `arm64`, `all`.
    pub architecture: String,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Deb {
    /// A package with `size` bytes of data, a configuration file that its md5sums leave out, and a link.
    pub fn new(name: &str, version: &str, architecture: &str, size: usize) -> Self {
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: Nobody <nobody@example.org>\nDescription: made\n"
        );
        let data = noise(&format!("{name} {version} {architecture}"), size);
        let share = format!("usr/share/{name}/data.bin");
        // md5 of nothing real: scanners take the file as a list, and so does the image.
        let md5sums = format!("{}  {share}\n", "0".repeat(32));
        let mut tar = tar::Builder::new(Vec::new());
        for folder in ["etc", "usr", "usr/share"] {
            entry(&mut tar, &format!("./{folder}/"), tar::EntryType::Directory, b"", "");
        }
        entry(&mut tar, &format!("./etc/{name}.conf"), tar::EntryType::Regular, b"key = value\n", "");
        entry(&mut tar, &format!("./usr/share/{name}/"), tar::EntryType::Directory, b"", "");
        entry(&mut tar, &format!("./{share}"), tar::EntryType::Regular, &data, "");
        entry(&mut tar, &format!("./usr/share/{name}/link"), tar::EntryType::Symlink, b"", "data.bin");
        let data = tar.into_inner().unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        entry(&mut tar, "./control", tar::EntryType::Regular, control.as_bytes(), "");
        entry(&mut tar, "./md5sums", tar::EntryType::Regular, md5sums.as_bytes(), "");
        let control = tar.into_inner().unwrap();
        let mut bytes = b"!<arch>\n".to_vec();
        for (member, content) in [
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar.gz", gzip(&control)),
            ("data.tar.gz", gzip(&data)),
        ] {
            bytes.extend(
                format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len())
                    .bytes(),
            );
            bytes.extend(&content);
            if content.len() % 2 == 1 {
                bytes.push(b'\n');
            }
        }
        Deb {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: architecture.to_owned(),
            bytes,
        }
    }

    /// Path below the mirror's address.
    pub fn path(&self) -> String {
        format!("pool/main/{}_{}_{}.deb", self.name, self.version, self.architecture)
    }
}

fn entry(tar: &mut tar::Builder<Vec<u8>>, path: &str, kind: tar::EntryType, content: &[u8], link: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o644 });
    header.set_mtime(1_700_000_000);
    if !link.is_empty() {
        header.set_link_name(link).unwrap();
    }
    // `append_data` would strip the leading `./` that real packages have.
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Answers instead of the package server, or nothing to let it answer.
type Instead = Box<dyn Fn(&Asked, Answer) -> Answer + Send + Sync>;

#[derive(Default)]
struct Held {
    wheels: Vec<Wheel>,
    debs: BTreeMap<String, Vec<u8>>,
    npm: BTreeMap<String, Vec<u8>>,
}

/// The package server: `/simple/NAME/` and `/files/FILE` of an index, `/debian/pool/…` of a mirror, the tarballs of
/// an npm registry below `/npm/`.
pub struct Packages {
    server: Server,
    held: Arc<Mutex<Held>>,
    instead: Arc<Mutex<Option<Arc<Instead>>>>,
}

impl Packages {
    /// Has nothing yet.
    #[allow(clippy::new_without_default, reason = "it starts a server")]
    pub fn serve() -> Self {
        let held = Arc::<Mutex<Held>>::default();
        let instead = Arc::<Mutex<Option<Arc<Instead>>>>::default();
        let (have, change) = (Arc::clone(&held), Arc::clone(&instead));
        let server = Server::start(move |asked| {
            let mut answer = plain(&have.lock().unwrap(), asked);
            if let Some(from) = asked.from.filter(|from| answer.status == 200 && *from < answer.body.len()) {
                answer = answer.rest(from);
            }
            let change = change.lock().unwrap().clone();
            change.map_or_else(|| answer.clone(), |change| change(asked, answer.clone()))
        });
        Packages { server, held, instead }
    }

    /// Has these wheels, too.
    pub fn wheels<'a>(&self, wheels: impl IntoIterator<Item = &'a Wheel>) {
        self.held.lock().unwrap().wheels.extend(wheels.into_iter().cloned());
    }

    /// Has these Debian packages, too.
    pub fn debs<'a>(&self, debs: impl IntoIterator<Item = &'a Deb>) {
        self.held.lock().unwrap().debs.extend(debs.into_iter().map(|d| (d.path(), d.bytes.clone())));
    }

    /// Has these npm packages, too.
    pub fn npm<'a>(&self, packages: impl IntoIterator<Item = &'a Npm>) {
        self.held.lock().unwrap().npm.extend(packages.into_iter().map(|p| (p.path(), p.bytes.clone())));
    }

    /// From now on `change` has the last word on every answer.
    pub fn instead(&self, change: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static) {
        *self.instead.lock().unwrap() = Some(Arc::new(Box::new(change)));
    }

    /// Answers as a good server again.
    pub fn as_before(&self) {
        *self.instead.lock().unwrap() = None;
    }

    /// The paths asked for since the last call, sorted.
    pub fn requests(&self) -> Vec<String> {
        self.server.paths()
    }

    /// The variables that name this server as index and as mirror.
    pub fn environment(&self) -> Vec<(String, String)> {
        let address = &self.server.address;
        [
            ("PERIJOVE_PYTHON_INDEX", format!("http://{address}/simple/")),
            ("PERIJOVE_DEBIAN_MIRROR", format!("http://{address}/debian")),
            ("PERIJOVE_DEBIAN_SECURITY_MIRROR", format!("http://{address}/debian-security")),
            ("PERIJOVE_NPM_REGISTRY", format!("http://{address}/npm/")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

fn plain(held: &Held, asked: &Asked) -> Answer {
    if let Some(path) = asked.path.strip_prefix("/debian/") {
        let deb = held.debs.get(path);
        return deb.map_or(Answer::status(404), |b| Answer::ok("application/octet-stream", b.clone()));
    }
    if asked.path.starts_with("/npm/") {
        let tarball = held.npm.get(&asked.path);
        return tarball.map_or(Answer::status(404), |b| Answer::ok("application/octet-stream", b.clone()));
    }
    if let Some(name) = asked.path.strip_prefix("/files/") {
        let wheel = held.wheels.iter().find(|w| w.filename == name);
        return wheel
            .map_or(Answer::status(404), |w| Answer::ok("application/octet-stream", w.bytes.clone()));
    }
    let project = asked.path.trim_start_matches("/simple/").trim_end_matches('/');
    let files: Vec<serde_json::Value> = held
        .wheels
        .iter()
        .filter(|w| w.project == project)
        .map(|w| {
            serde_json::json!({
                "filename": w.filename, "url": format!("../..{}", w.path()), "size": w.bytes.len(),
                "hashes": { "sha256": Digest::sha256(&w.bytes).hex() },
            })
        })
        .collect();
    if files.is_empty() {
        return Answer::status(404);
    }
    let page = serde_json::json!({ "meta": { "api-version": "1.1" }, "name": project, "files": files });
    Answer::ok("application/vnd.pypi.simple.v1+json", page.to_string())
}
