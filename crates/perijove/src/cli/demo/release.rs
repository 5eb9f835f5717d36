//! The demo image's release: `perijove release` of one image to one repository, which nobody else writes to. What
//! containers have to do with it is the caller's.

use std::sync::Mutex;

use perijove_build::{Builder, Built};
use perijove_oci::{Digest, Platform, Reference, push};
use perijove_release::plan::Branch;
use perijove_release::run::{Attempt, Image, RACES, Release};

use super::IMAGE;
use crate::cli::error::CliError;
use crate::cli::prepared;
use crate::ui::{Ui, bytes};

/// What is to be public, in the registry by its digest.
pub struct Candidate<'a> {
    /// The image as its locks have it.
    pub built: &'a Built,
    /// What the registry has of it: of a build that is public already, that one's digest.
    pub digest: Digest,
    /// Whether no build of its version is the same.
    pub is_new: bool,
}

/// Builds, pushes by digest, has `prove` look at exactly that digest, and only then makes it public under its tags:
/// once, whatever else the repository has. A start that was cut off is finished by the next.
///
/// # Errors
/// Those of the build, of the registry and of `prove`; nothing is public then that was not before.
pub async fn release<T>(
    builder: &Builder,
    platform: &Platform,
    repo: &Reference,
    prove: impl AsyncFnOnce(Candidate<'_>) -> Result<T, CliError>,
    ui: &Ui,
) -> Result<T, CliError> {
    let latest = repo.with_tag("latest");
    let built = builder.build(IMAGE, std::slice::from_ref(platform), std::slice::from_ref(&latest)).await?;
    let candidate = prepared::candidate(builder, &built)?;
    let images = [Image { candidate, content: built.content.clone(), repos: vec![repo.clone()] }];
    let release = Release {
        client: &builder.client,
        images: &images,
        branch: Branch { moves_latest: true },
        kinship: &|_| None,
        observe: &|_| {},
        refused: Mutex::default(),
        claimed: Mutex::default(),
    };
    let mut decisions = release.plan().await?;
    let found =
        decisions.first().filter(|decision| decision.released).map(|decision| decision.digest.clone());
    let is_new = found.is_none();
    if is_new {
        let report = builder.client.push_image(repo, &built.content, &[], &[], push::PARALLEL).await?;
        ui.status(&format!("built {} {}, pushed {}", built.name, built.version, bytes(report.pushed_bytes)));
    } else {
        ui.status("nothing changed since the last release");
    }
    let digest = found.unwrap_or_else(|| built.digest.clone());
    let proven = prove(Candidate { built: &built, digest, is_new }).await?;
    for _ in 0..RACES {
        match release.attempt(&decisions).await? {
            Attempt::Done(..) => {
                for decision in decisions.iter().filter(|_| is_new) {
                    let tags: Vec<&str> =
                        std::iter::once(&decision.tag).chain(&decision.aliases).map(String::as_str).collect();
                    ui.status(&format!("released {} as {}", repo.repository, tags.join(", ")));
                }
                return Ok(proven);
            }
            Attempt::Overwritten { error, .. } => return Err(error.into()),
            Attempt::Lost => decisions = release.plan().await?,
        }
    }
    Err(perijove_release::Error::Races { number: RACES }.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    use perijove_build::layer::Compression;
    use perijove_build::layer::write::LayerCache;
    use perijove_build::materialise::Origins;
    use perijove_build::{Config, Fetcher};
    use perijove_oci::Reporter;
    use perijove_oci::client::Client;

    use super::*;
    use crate::cli::Format;
    use crate::cli::demo::Registry;
    use crate::ui::Color;

    /// An embedded registry, and what fills it.
    struct Scene {
        folder: tempfile::TempDir,
        registry: Registry,
        repo: Reference,
        ui: Ui,
    }

    impl Scene {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let ui = Ui::new(Format::Text, true, 0, Color::Never);
            let registry = Registry::start(&folder.path().join("registry"), &ui).await.unwrap();
            let repo = registry.repository(IMAGE).unwrap();
            Scene { folder, registry, repo, ui }
        }

        /// A builder of the demo image in this version, with this one file.
        fn builder(&self, version: &str, content: &str) -> Builder {
            let root = self.folder.path().join("repository");
            let files = root.join("images/demo/rootfs");
            std::fs::create_dir_all(&files).unwrap();
            std::fs::write(files.join("content"), content).unwrap();
            let toml = format!(
                "[image.demo]\nversion = \"{version}\"\nbase = \"scratch\"\nfiles = \"rootfs\"\ncommand = [\"/x\"]\n"
            );
            builder(
                Config::parse(&root, &toml).unwrap(),
                &self.folder.path().join("cache"),
                &self.ui.reporter(),
            )
        }

        /// One start; gives the digest that would run, and whether it was proven as a new one.
        async fn start(&self, version: &str, content: &str) -> (Digest, bool) {
            let builder = self.builder(version, content);
            let prove = async |candidate: Candidate<'_>| {
                let found = builder.client.head(&self.repo.with_digest(&candidate.digest)).await?;
                assert!(found.is_some(), "what is proven is in the registry");
                Ok((candidate.digest, candidate.is_new))
            };
            release(&builder, &Platform::host(), &self.repo, prove, &self.ui).await.unwrap()
        }

        /// What each tag names.
        async fn tags(&self) -> BTreeMap<String, Digest> {
            let client = self.builder("1.0.0", "").client;
            let mut all = BTreeMap::new();
            for tag in client.tags(&self.repo).await.unwrap() {
                let digest = client.head(&self.repo.with_tag(&tag)).await.unwrap().unwrap().digest;
                all.insert(tag, digest);
            }
            all
        }

        /// Points `tags` at the image without any rule, as a start does that is killed then.
        async fn leave(&self, version: &str, content: &str, tags: &[&str]) -> Digest {
            let builder = self.builder(version, content);
            let built = builder.build(IMAGE, &[Platform::host()], &[]).await.unwrap();
            let tags: Vec<String> = tags.iter().map(|&tag| tag.to_owned()).collect();
            builder.client.push_image(&self.repo, &built.content, &tags, &[], 1).await.unwrap();
            built.digest
        }
    }

    fn builder(config: Config, cache: &Path, reporter: &Arc<dyn Reporter>) -> Builder {
        let fetcher = Fetcher::new(cache, Arc::clone(reporter)).unwrap();
        Builder {
            origins: Origins::new(fetcher, config.repository.mirrors.clone()),
            cache: LayerCache::new(cache, Compression::Gzip),
            client: Client::new(Arc::clone(reporter)).unwrap(),
            epoch: None,
            revision: None,
            rebuild: false,
            follow_bases: false,
            config,
        }
    }

    fn named(tags: &BTreeMap<String, Digest>, digest: &Digest) -> Vec<String> {
        tags.iter().filter(|(_, named)| *named == digest).map(|(tag, _)| tag.clone()).collect()
    }

    #[tokio::test]
    async fn another_start_releases_nothing() {
        // The lock's version, and what the registry has of others: a newer release keeps `latest`, and a pre-release
        // never takes it.
        for (version, newer, tags) in [
            ("1.2.3", None, &["1", "1.2", "1.2.3", "1.2.3-0", "latest"][..]),
            ("1.2.3", Some("2.0.0"), &["1", "1.2", "1.2.3", "1.2.3-0"]),
            ("1.2.3", Some("1.2.4"), &["1.2.3", "1.2.3-0"]),
            ("1.3.0rc1", Some("1.2.3"), &["1.3.0rc1", "1.3.0rc1-0"]),
        ] {
            let scene = Scene::new().await;
            if let Some(newer) = newer {
                scene.start(newer, "newer").await;
            }
            let (first, is_new) = scene.start(version, "content").await;
            assert!(is_new, "{version} beside {newer:?}");
            let after = scene.tags().await;
            assert_eq!(named(&after, &first), tags, "{version} beside {newer:?}");
            for _ in 0..2 {
                assert_eq!(
                    scene.start(version, "content").await,
                    (first.clone(), false),
                    "{version} {newer:?}"
                );
                assert_eq!(scene.tags().await, after);
            }
            let (second, is_new) = scene.start(version, "changed").await;
            assert!(is_new && second != first);
            assert_eq!(scene.tags().await.get(&format!("{version}-1")), Some(&second));
            scene.registry.stop().await;
        }
    }

    #[tokio::test]
    async fn what_a_killed_start_left_is_finished() {
        let whole = ["1", "1.2", "1.2.3", "1.2.3-0", "latest"];
        for left in [&[][..], &["1.2.3-0"], &["1.2.3-0", "1.2.3", "1"], &["1", "1.2"], &whole] {
            let scene = Scene::new().await;
            let digest = scene.leave("1.2.3", "content", left).await;
            let claimed = left.contains(&"1.2.3-0");
            assert_eq!(scene.start("1.2.3", "content").await, (digest.clone(), !claimed), "{left:?}");
            assert_eq!(named(&scene.tags().await, &digest), whole, "{left:?}");
            scene.registry.stop().await;
        }
    }

    #[tokio::test]
    async fn what_is_not_proven_is_not_public() {
        let scene = Scene::new().await;
        let builder = scene.builder("1.2.3", "content");
        let refuse = async |_: Candidate<'_>| Err::<(), _>(CliError::failed("a check failed", ""));
        let refused = release(&builder, &Platform::host(), &scene.repo, refuse, &scene.ui).await;
        assert_eq!(refused.unwrap_err().message, "a check failed");
        assert_eq!(scene.tags().await, BTreeMap::new());
        scene.registry.stop().await;
    }
}
