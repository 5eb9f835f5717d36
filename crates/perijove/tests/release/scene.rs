//! What every test here plays in: an image repository of two images, and registries.

use std::collections::BTreeMap;
use std::sync::Arc;

use perijove_oci::client::Client;
use perijove_oci::content::ImageContent;
use perijove_oci::report::Silent;
use perijove_oci::{Descriptor, Manifest, Reference, media};
use perijove_testkit::program::{Program, Ran};
use perijove_testkit::repository::Repository;
use serde_json::Value;

use crate::PERIJOVE;

/// What the embedded registry lets nobody overwrite.
pub const BUILDS: &[&str] = &["--create-only", r"\d+\.\d+\.\d+.*-\d+"];

/// Two images of plain files.
pub fn repository(hub: &str, lab: &str, content: &str) -> Repository {
    let image = |name: &str, version: &str| {
        format!(
            "[image.{name}]\nversion = \"{version}\"\nbase = {{ debian = \"trixie\" }}\nfiles = \"rootfs\"\ncommand = [\"/bin/{name}\"]\n"
        )
    };
    let toml = format!(
        "[repository]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\ndefault-branch = \"main\"\n\n{}\n{}",
        image("hub", hub),
        image("lab", lab)
    );
    let repository = Repository::new(&toml);
    for image in ["hub", "lab"] {
        repository.lock_debs(image, &[]);
        repository.write(&format!("images/{image}/rootfs/etc/{image}"), &format!("{image} {content}\n"));
    }
    repository
}

pub struct Site {
    pub cache: tempfile::TempDir,
    pub registries: Vec<String>,
}

impl Site {
    pub fn of(addresses: &[&str]) -> Self {
        let registries = addresses.iter().map(|address| format!("{address}/team")).collect();
        Site { cache: tempfile::tempdir().unwrap(), registries }
    }

    pub fn program(&self, repository: &Repository, revision: &str, branch: &str) -> Program {
        let program = Program::new(PERIJOVE, repository.path(), self.cache.path());
        let program =
            program.args(["release", "--format", "json", "--revision", revision, "--branch", branch]);
        program.env("PERIJOVE_REGISTRIES", &self.registries.join(","))
    }

    pub fn release(&self, repository: &Repository, revision: &str) -> Ran {
        self.program(repository, revision, "main").run()
    }

    /// Every tag with its digest, by repository without its registry.
    pub fn tags(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut all = BTreeMap::new();
        for (number, registry) in self.registries.iter().enumerate() {
            for image in ["hub", "lab", "proxy"] {
                let repo: Reference = format!("{registry}/{image}").parse().unwrap();
                let tags = runtime.block_on(async {
                    let client = Client::new(Arc::new(Silent)).unwrap();
                    let mut tags = BTreeMap::new();
                    for tag in client.tags(&repo).await.unwrap() {
                        let found = client.head(&repo.with_tag(&tag)).await.unwrap().unwrap();
                        tags.insert(tag, found.digest.to_string());
                    }
                    tags
                });
                all.insert(format!("{number} {image}"), tags);
            }
        }
        all
    }

    /// The tag that each alias names, of one repository.
    pub fn aliases(&self, repository: &str) -> BTreeMap<String, String> {
        let tags = self.tags().remove(repository).unwrap();
        let builds: BTreeMap<&String, &String> =
            tags.iter().filter(|(tag, _)| tag.contains('-')).map(|(tag, digest)| (digest, tag)).collect();
        tags.iter()
            .filter(|(tag, _)| !tag.contains('-'))
            .map(|(tag, digest)| (tag.clone(), builds.get(digest).map_or("?", |t| t).to_owned()))
            .collect()
    }
}

pub fn shown(aliases: &BTreeMap<String, String>) -> String {
    aliases.iter().map(|(alias, tag)| format!("{alias}={tag}")).collect::<Vec<_>>().join(" ")
}

pub fn images(ran: &Ran) -> Vec<Value> {
    ran.json()["images"].as_array().unwrap().clone()
}

impl Site {
    /// A command line of these words, without commit and branch.
    pub fn perijove(&self, repository: &Repository, words: &[&str]) -> Program {
        let program = Program::new(PERIJOVE, repository.path(), self.cache.path());
        let program = program.args(words.iter().copied());
        program.env("PERIJOVE_REGISTRIES", &self.registries.join(","))
    }

    /// All that is there, a line each, for comparing.
    pub fn text(&self) -> String {
        let lines = self.tags().into_iter().map(|(repository, tags)| {
            let tags: Vec<String> = tags.into_iter().map(|(tag, digest)| format!("{tag}={digest}")).collect();
            format!("{repository}: {}", tags.join(" "))
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Runs git with a name of its own and gives what it says.
pub fn git(folder: &std::path::Path, words: &[&str]) -> String {
    let mut git = std::process::Command::new("git");
    git.arg("-C").arg(folder).args(["-c", "user.name=Test", "-c", "user.email=test@localhost"]).args(words);
    let output = git.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Adds lines to `[repository]`.
pub fn set(repository: &Repository, lines: &str) {
    let toml = std::fs::read_to_string(repository.join("perijove.toml")).unwrap();
    repository
        .write("perijove.toml", &toml.replacen("[repository]\n", &format!("[repository]\n{lines}\n"), 1));
}

/// Another release, that comes between two requests of ours.
pub fn somebody_releases(address: &str, image: &str, tag: &str) {
    let config = Descriptor::of(media::CONFIG, b"{}");
    let bytes = serde_json::to_vec(&Manifest::image(config, Vec::new(), [].into())).unwrap();
    let mut content = ImageContent::new(Descriptor::of(media::MANIFEST, &bytes), bytes.into());
    content.add_bytes(media::CONFIG, &b"{}"[..]);
    let repo: Reference = format!("{address}/team/{image}").parse().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = Client::new(Arc::new(Silent)).unwrap();
        client.push_image(&repo, &content, &[tag.to_owned()], &[], 1).await.unwrap();
    });
}
