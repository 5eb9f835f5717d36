//! An image repository in a folder of its own, with locks of made packages.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use perijove_oci::Digest;

use crate::npm::Npm;
use crate::packages::{Deb, Wheel};

/// An image of Debian packages, wheels and plain files for two platforms.
pub const APP: &str = r#"
[repository]
platforms = ["linux/amd64", "linux/arm64"]

[image.app]
version = "1.0"
base = { debian = "trixie" }
python = "requirements.txt"
python-version = "3.13"
glibc = "2.41"
files = "rootfs"
user = "1000:1000"
workdir = "/srv/app"
command = ["app"]
"#;

/// The settings of an image of wheels on a base that is not there: locking need not read it.
pub fn python_image(name: &str) -> String {
    let digest = "a".repeat(64);
    format!(
        "[image.{name}]\nversion = \"1.0\"\nbase = {{ image = \"127.0.0.1:9/base@sha256:{digest}\" }}\n\
         python = \"requirements.txt\"\npython-version = \"3.13\"\nglibc = \"2.41\"\n"
    )
}

/// The folder is removed with the value.
pub struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    /// With this `perijove.toml` and nothing else.
    pub fn new(toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let repository = Repository { folder };
        repository.write("perijove.toml", toml);
        repository
    }

    /// For two platforms, with these settings of images.
    pub fn of_images(images: &str) -> Self {
        Repository::new(&format!("[repository]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n{images}"))
    }

    /// [`APP`] with these packages locked and one plain file.
    pub fn app(debs: &[Deb], wheels: &[Wheel]) -> Self {
        let repository = Repository::new(APP);
        repository.lock_debs("app", debs);
        repository.lock_wheels("app", wheels);
        repository.write("images/app/rootfs/etc/app/settings", "plain = true\n");
        repository
    }

    /// Its root.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path below the root.
    pub fn join(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    /// Writes a file and the folders above it.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes `requirements.txt` as `perijove lock` does.
    pub fn lock_wheels(&self, image: &str, wheels: &[Wheel]) {
        let mut wheels: Vec<&Wheel> = wheels.iter().collect();
        wheels.sort_by(|a, b| a.project.cmp(&b.project));
        let mut text = String::new();
        for of_one in wheels.chunk_by(|a, b| a.project == b.project) {
            text.push_str(&format!("{}=={}", of_one[0].project, of_one[0].version));
            for wheel in of_one {
                text.push_str(&format!(" \\\n    --hash={}", Digest::sha256(&wheel.bytes)));
            }
            for wheel in of_one {
                let digest = Digest::sha256(&wheel.bytes);
                let (name, size) = (&wheel.filename, wheel.bytes.len());
                text.push_str(&format!("\n    # wheel: {name} {size} bytes sha256:{}", &digest.hex()[..12]));
            }
            if of_one[0].changed > 0 {
                text.push_str(&format!("\n    # changed: {}", of_one[0].changed));
            }
            text.push('\n');
        }
        self.write(&format!("images/{image}/requirements.txt"), &text);
    }

    /// Writes `package.json` and `package-lock.json`, and has the image use them.
    pub fn lock_npm(&self, image: &str, packages: &[Npm]) {
        let toml = std::fs::read_to_string(self.join("perijove.toml")).unwrap();
        let section = format!("[image.{image}]\n");
        self.write(
            "perijove.toml",
            &toml.replace(&section, &format!("{section}npm = \"package-lock.json\"\n")),
        );
        let asked: serde_json::Map<String, serde_json::Value> =
            packages.iter().map(|p| (p.name.clone(), p.version.clone().into())).collect();
        let mut locked = serde_json::json!({ "": { "name": image, "dependencies": asked } });
        for package in packages {
            locked[format!("node_modules/{}", package.name)] =
                serde_json::json!({ "version": package.version, "integrity": package.integrity() });
        }
        let lock = serde_json::json!({ "name": image, "lockfileVersion": 3, "packages": locked });
        let json = serde_json::json!({ "name": image, "dependencies": asked });
        self.write(&format!("images/{image}/package.json"), &json.to_string());
        self.write(&format!("images/{image}/package-lock.json"), &lock.to_string());
    }

    /// Writes `debs.lock` as `perijove lock` does.
    pub fn lock_debs(&self, image: &str, debs: &[Deb]) {
        let none = Digest::sha256(b"");
        let mut text = format!(
            "version 1\ninput {none}\ncodename trixie\nplatforms linux/amd64 linux/arm64\nsuite trixie 2026-09-12T07:55:41Z {none}\n"
        );
        let mut debs: Vec<&Deb> = debs.iter().collect();
        debs.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
        for deb in debs {
            let Deb { name, version, architecture, bytes } = deb;
            let digest = Digest::sha256(bytes);
            text.push_str(&format!(
                "deb {name} {version} {architecture} {} {digest} debian {}\n",
                bytes.len(),
                deb.path()
            ));
        }
        self.write(&format!("images/{image}/debs.lock"), &text);
    }
}
