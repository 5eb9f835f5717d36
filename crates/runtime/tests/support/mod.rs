//! Made images for the tests: an OCI layout with a static busybox and what a test adds.

// Each test file uses some of it; its helpers run only in tests.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stderr)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use perijove_oci::{Config, Descriptor, Digest, ImageConfig, Manifest, Platform, RootFs, media};
use perijove_runtime::ImageSource;
pub use perijove_testkit::{has, is_root, skip};

/// One entry of a made layer.
pub enum Entry<'a> {
    Dir(&'a str, u32),
    File(&'a str, u32, &'a [u8]),
    Symlink(&'a str, &'a str),
    Hardlink(&'a str, &'a str),
    Device(&'a str),
    /// Owned by this user and group.
    Owned(u64, &'a str, u32, &'a [u8]),
}

/// A tar of `entries`, names taken as they are.
pub fn tar_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mtime(1_600_000_000);
        header.set_uid(0);
        header.set_gid(0);
        let (name, mode, kind, link, data): (&str, u32, tar::EntryType, &str, &[u8]) = match entry {
            Entry::Dir(n, m) => (n, *m, tar::EntryType::Directory, "", b""),
            Entry::File(n, m, d) => (n, *m, tar::EntryType::Regular, "", d),
            Entry::Symlink(n, l) => (n, 0o777, tar::EntryType::Symlink, l, b""),
            Entry::Hardlink(n, l) => (n, 0o644, tar::EntryType::Link, l, b""),
            Entry::Device(n) => (n, 0o666, tar::EntryType::Char, "", b""),
            Entry::Owned(id, n, m, d) => {
                header.set_uid(*id);
                header.set_gid(*id);
                (n, *m, tar::EntryType::Regular, "", d)
            }
        };
        header.set_mode(mode);
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        // Raw, for names that the crate would refuse to write.
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        tar.extend(header.as_bytes());
        tar.extend(data);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.extend([0; 1024]);
    tar
}

/// gzip in two members, cut in the middle.
pub fn gzip(tar: &[u8]) -> Vec<u8> {
    let (a, b) = tar.split_at(tar.len() / 2);
    let mut out = Vec::new();
    for part in [a, b] {
        let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
    }
    out
}

/// zstd in two frames.
pub fn zstd(tar: &[u8]) -> Vec<u8> {
    let (a, b) = tar.split_at(tar.len() / 3);
    [zstd::encode_all(a, 1).unwrap(), zstd::encode_all(b, 1).unwrap()].concat()
}

/// An image layout in a folder of its own.
pub struct Layout {
    pub folder: PathBuf,
    pub digest: Digest,
}

/// A layer: its blob as it is, the digest of its tar, its media type.
pub struct Layer {
    pub blob: Vec<u8>,
    pub diff_id: Digest,
    pub media_type: &'static str,
}

impl Layer {
    pub fn gzip(tar: &[u8]) -> Layer {
        Layer { blob: gzip(tar), diff_id: Digest::sha256(tar), media_type: media::LAYER_GZIP }
    }
    pub fn zstd(tar: &[u8]) -> Layer {
        Layer { blob: zstd(tar), diff_id: Digest::sha256(tar), media_type: media::LAYER_ZSTD }
    }
    pub fn plain(tar: &[u8]) -> Layer {
        Layer { blob: tar.to_vec(), diff_id: Digest::sha256(tar), media_type: media::LAYER }
    }
}

impl Layout {
    /// Writes a layout of `layers` for this machine's platform.
    pub fn write(folder: &Path, layers: &[Layer], config: Config) -> Layout {
        Self::write_for(folder, layers, config, &Platform::host())
    }

    pub fn write_for(folder: &Path, layers: &[Layer], config: Config, platform: &Platform) -> Layout {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        let put = |bytes: &[u8]| fs::write(blobs.join(Digest::sha256(bytes).hex()), bytes).unwrap();
        let image = ImageConfig {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            config,
            rootfs: RootFs {
                kind: "layers".to_owned(),
                diff_ids: layers.iter().map(|l| l.diff_id.clone()).collect(),
            },
            ..ImageConfig::default()
        };
        let config = serde_json::to_vec(&image).unwrap();
        put(&config);
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::MANIFEST.to_owned()),
            artifact_type: None,
            config: Descriptor::of(media::CONFIG, &config),
            layers: layers.iter().map(|l| Descriptor::of(l.media_type, &l.blob)).collect(),
            subject: None,
            annotations: Default::default(),
        };
        layers.iter().for_each(|l| put(&l.blob));
        let manifest = serde_json::to_vec(&manifest).unwrap();
        put(&manifest);
        let descriptor = Descriptor::of(media::MANIFEST, &manifest);
        let index = perijove_oci::Index::new(vec![descriptor], Default::default());
        fs::write(folder.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Layout { folder: folder.to_owned(), digest: Digest::sha256(&manifest) }
    }

    pub fn source(&self) -> ImageSource {
        ImageSource { layout: self.folder.clone(), manifest: self.digest.clone(), registry_reference: None }
    }
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nhub:x:1000:1000:Hub:/home/hub:/bin/sh\n";
const GROUP: &str = "root:x:0:\nhub:x:1000:\nstaff:x:50:hub\n";

/// Static busybox with its programs as links, `/etc/passwd` with the user `hub`, and more layers.
/// None where the machine has no static busybox.
pub fn busybox(folder: &Path, config: Config, more: &[Layer]) -> Option<Layout> {
    let program = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find_map(|p| fs::read(p).ok())
        .filter(|b| is_static(b))?;
    let mut entries = vec![
        Entry::Dir("bin/", 0o755),
        Entry::File("bin/busybox", 0o755, &program),
        Entry::Dir("etc/", 0o755),
        Entry::File("etc/passwd", 0o644, PASSWD.as_bytes()),
        Entry::File("etc/group", 0o644, GROUP.as_bytes()),
        Entry::Dir("srv/", 0o755),
        Entry::File("srv/index.html", 0o644, b"hello\n"),
        Entry::Dir("home/", 0o755),
        Entry::Owned(1000, "home/hub-file", 0o644, b"mine\n"),
    ];
    let names: Vec<String> = [
        "sh", "id", "ls", "cat", "env", "sleep", "ps", "httpd", "nc", "kill", "touch", "pwd", "mount",
        "hostname", "ip", "rm", "mkdir", "mv", "echo", "grep", "setsid", "stat", "true", "false", "umask",
        "tty", "wget", "dd",
    ]
    .iter()
    .map(|n| format!("bin/{n}"))
    .collect();
    for name in &names {
        entries.push(Entry::Symlink(name, "busybox"));
    }
    let mut layers = vec![Layer::gzip(&tar_of(&entries))];
    layers.extend(more.iter().map(|l| Layer {
        blob: l.blob.clone(),
        diff_id: l.diff_id.clone(),
        media_type: l.media_type,
    }));
    Some(Layout::write(folder, &layers, config))
}

/// Whether an ELF program has no interpreter (`PT_INTERP`, elf(5)).
fn is_static(elf: &[u8]) -> bool {
    elf.starts_with(b"\x7fELF") && !elf[..elf.len().min(4096)].windows(8).any(|w| w == b"/ld-linu")
}

/// Who runs the test program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever runs the tests.
    Me,
    /// An ordinary user without account, by setpriv; only root can become one.
    Ordinary,
}

/// A runtime and who uses it.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub who: Who,
    pub runtime: &'static str,
}

/// The built-in runtime as everybody that the tests can be.
pub fn builtin() -> Vec<Way> {
    let all = if is_root() { vec![Who::Me, Who::Ordinary] } else { vec![Who::Me] };
    all.into_iter().map(|who| Way { who, runtime: "builtin" }).collect()
}

/// The same, and runc where it is installed and the tests are root's.
pub fn ways(test: &str) -> Vec<Way> {
    let mut ways = builtin();
    let test = format!("{test} by runc");
    if !is_root() {
        skip(&test, "needs root");
    } else if has(&test, "runc") {
        ways.push(Way { who: Who::Me, runtime: "runc" });
    }
    ways
}

/// A folder that other users can reach, with the test program in it.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub program: PathBuf,
}

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::Builder::new().prefix("perijove-test-").tempdir().unwrap();
        open_to_all(folder.path());
        // A copy: the build folder may be closed to other users. By a program of its own: a file that this
        // one had open for writing could be inherited by another test's child, and then not be executed.
        let program = folder.path().join("perijove-run");
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_perijove-run")).arg(&program).status();
        assert!(copied.unwrap().success());
        Place { folder, program }
    }

    pub fn cache(&self, who: Who) -> PathBuf {
        let cache = self.folder.path().join(format!("cache-{who:?}"));
        fs::create_dir_all(&cache).unwrap();
        if who == Who::Ordinary {
            std::os::unix::fs::chown(&cache, Some(4321), Some(4321)).unwrap();
        }
        cache
    }

    /// The test program with `arguments` before, and `command` after the image.
    pub fn command(&self, way: Way, layout: &Layout, arguments: &[&str], command: &[&str]) -> Command {
        let mut run = match way.who {
            Who::Me => Command::new(&self.program),
            Who::Ordinary => {
                let mut run = Command::new("setpriv");
                run.args(["--reuid=4321", "--regid=4321", "--clear-groups", "--"]).arg(&self.program);
                run
            }
        };
        run.args(["--runtime", way.runtime])
            .args(arguments)
            .arg(self.cache(way.who))
            .arg(&layout.folder)
            .arg(layout.digest.to_string())
            .args(command);
        run
    }

    pub fn run(&self, way: Way, layout: &Layout, arguments: &[&str], command: &[&str]) -> Output {
        let output = self.command(way, layout, arguments, command).output().unwrap();
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with(&format!("note: container runtime: {} (", way.runtime)), "{stderr}");
        output
    }
}

pub fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
