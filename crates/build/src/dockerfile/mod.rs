//! Images from a Dockerfile: an existing builder makes the layers, the rest goes the way of every image.
//!
//! `settings` and `context` check and name the inputs, `ground` is the base, `bases` reads FROM; `tool` chooses the builder, `order` is
//! its command line, `workshop` runs it, `kept` keeps what it made; `opened` reads images of others. One platform after the other: the builder, its output as an image
//! layout, layers of the base put back as the base has them; then index, annotations and SBOM as for all images.

mod bases;
mod context;
mod ground;
mod kept;
pub(crate) mod opened;
mod order;
mod settings;
mod tool;
mod workshop;

use std::collections::BTreeMap;

use perijove_oci::{Digest, Event, Platform, Reference, layout, media};

pub(crate) use settings::conflict;
pub use tool::Tool;

use crate::blocking;
use crate::built::{Built, BuiltPlatform, built_layer};
use crate::config::{Base, Image};
use crate::entry::EPOCH;
use crate::image::{self, Facts, PlacedLayer};
use crate::locks::Locks;
use crate::part::Part;
use crate::pending::{Pending, json};
use crate::{Builder, Error, Result, sbom};
use context::{Context, Inputs};
use ground::Ground;
use kept::Kept;
use opened::Opened;
use order::{Order, Step};
use workshop::Workshop;

/// Annotation of a manifest: the key of the inputs that a builder made it of.
pub const KEY: &str = "io.perijove.dockerfile.key";

/// One platform's work.
struct Task<'a> {
    name: &'a str,
    platform: &'a Platform,
    context: &'a Context,
    ground: Option<&'a Ground>,
    arguments: BTreeMap<String, String>,
    epoch: u64,
    key: Digest,
}

impl Builder {
    /// Builds `name` from `dockerfile`, which its folder has.
    pub(crate) async fn build_dockerfile(
        &self,
        name: &str,
        dockerfile: &str,
        platforms: &[Platform],
        previous: &[Reference],
    ) -> Result<Built> {
        let version = Locks::read(&self.config, name)?.version(&self.config, name)?;
        let (config, image, path) = (self.config.clone(), name.to_owned(), dockerfile.to_owned());
        let context = blocking(move || Context::read(&config, &image, &path)).await?;
        let (grounds, mut base) = self.grounds(name, platforms, previous).await?;
        if base.is_none() && self.follow_bases {
            base = self.moving_base(&context).await?;
        }
        let ground = grounds.first().and_then(Option::as_ref);
        let facts = Facts { base, ..self.facts(name, &version, ground.map(|g| &g.image.parsed))? };
        let mut tasks = Vec::new();
        for (platform, ground) in platforms.iter().zip(&grounds) {
            let ground = ground.as_ref();
            tasks.push(self.task(name, dockerfile, platform, &context, ground, &facts)?);
        }
        let mut made = Vec::new();
        for task in &tasks {
            made.push(self.known(task, previous).await?);
        }
        // Other machines' platforms first: what this machine cannot run fails before long work is done.
        let mut missing: Vec<usize> = (0..tasks.len()).filter(|&at| made[at].is_none()).collect();
        missing.sort_by_key(|&at| *tasks[at].platform == Platform::host());
        if !missing.is_empty() {
            let tool = Tool::choose(self.config.repository.builder).await?;
            let cache = self.origins.fetcher().cache().to_owned();
            let workshop = blocking(move || Workshop::open(&cache)).await?;
            for at in missing {
                made[at] = Some(self.make(&tasks[at], tool, &workshop).await?);
            }
        }
        let made = tasks.iter().zip(made).filter_map(|(task, image)| Some((task, image?)));
        self.describe(name, version, &facts, made.collect()).await
    }

    fn task<'a>(
        &self,
        name: &'a str,
        dockerfile: &str,
        platform: &'a Platform,
        context: &'a Context,
        ground: Option<&'a Ground>,
        facts: &Facts,
    ) -> Result<Task<'a>> {
        let epoch = facts.created.parse::<jiff::Timestamp>();
        let epoch = epoch.map_or(EPOCH, |time| u64::try_from(time.as_second()).unwrap_or(0));
        let mut arguments = BTreeMap::from([
            ("SOURCE_DATE_EPOCH".to_owned(), epoch.to_string()),
            ("VERSION".to_owned(), facts.version.clone()),
        ]);
        arguments.extend(ground.map(|ground| ("BASE_IMAGE".to_owned(), ground.name.clone())));
        let key = Inputs {
            platform: platform.to_string(),
            dockerfile,
            context: &context.digest,
            arguments: &arguments,
            base: match (ground, &facts.base) {
                (Some(ground), _) => Some(Digest::sha256(&ground.image.config)),
                (None, Some((_, moving))) => moving.parse().ok(),
                (None, None) => None,
            }
            .as_ref(),
            compression: self.cache.compression().extension(),
        }
        .key()?;
        Ok(Task { name, platform, context, ground, arguments, epoch, key })
    }

    /// What the tag in the Dockerfile's FROM names now. Where its registry does not say, a warning: the image is
    /// then known by its other inputs alone.
    async fn moving_base(&self, context: &Context) -> Result<Option<(String, String)>> {
        let text = std::fs::read_to_string(&context.dockerfile).map_err(Error::io(&context.dockerfile))?;
        let Some(reference) = bases::moving(&text) else { return Ok(None) };
        match self.client.head(&reference).await {
            Ok(found) => Ok(found.map(|found| (reference.to_string(), found.digest.to_string()))),
            Err(error) => {
                let warning =
                    format!("{}: whether FROM {reference} moved is not known: {error}", context.shown);
                self.client.reporter().report(Event::Warning(warning));
                Ok(None)
            }
        }
    }

    /// What was made of the same inputs before: what is public counts more than what lies here.
    async fn known(&self, task: &Task<'_>, previous: &[Reference]) -> Result<Option<Opened>> {
        if self.rebuild {
            return Ok(None);
        }
        let base = task.ground.map(|ground| &ground.image);
        let found = Opened::previous(&self.client, previous, task.platform, (KEY, &task.key)).await?;
        if let Some(found) = found {
            return Ok(Some(found.on(base)));
        }
        let (kept, key, base) = (self.kept(task), task.key.clone(), base.cloned());
        blocking(move || Ok(kept.read(&key, base.as_ref()))).await
    }

    fn kept(&self, task: &Task<'_>) -> Kept {
        let slot = format!("{} {} {}", self.config.root.display(), task.name, task.platform);
        Kept::new(self.origins.fetcher().cache(), &slot)
    }

    /// Has the builder make it.
    async fn make(&self, task: &Task<'_>, tool: Tool, workshop: &Workshop) -> Result<Opened> {
        let order = Order {
            folder: task.context.folder.clone(),
            dockerfile: task.context.dockerfile.clone(),
            platform: task.platform.to_string(),
            arguments: task.arguments.clone().into_iter().collect(),
            epoch: task.epoch,
            compression: self.cache.compression(),
            parent: task.ground.filter(|ground| ground.ours).map(|ground| ground.name.clone()),
            plain_http: task.ground.is_some_and(|ground| ground.plain_http),
            // chroot needs no OCI runtime, which often does not work inside of what a pipeline runs in.
            isolation: std::env::var_os("BUILDAH_ISOLATION").is_none().then_some("chroot"),
            work: workshop.room(&task.platform.to_string().replace('/', "-"))?,
        };
        if let Some(ground) = task.ground.filter(|ground| ground.ours) {
            self.hand_over(ground, &order, tool, task.platform).await?;
        }
        let root = rustix::process::geteuid().is_root();
        for step in order.steps(tool, root) {
            self.step(task, tool, workshop, &step).await?;
        }
        if let Some(step) = order.finish(tool, root)? {
            self.step(task, tool, workshop, &step).await?;
        }
        let result = order.result();
        let content = blocking(move || Ok(layout::read_layout(&result, None)?)).await?;
        let made = Opened::of(&task.context.shown, &content, task.platform, &self.client).await?;
        let (os, architecture) = (&made.parsed.os, &made.parsed.architecture);
        if (os, architecture) != (&task.platform.os, &task.platform.architecture) {
            return Err(Error::Refused {
                reason: format!(
                    "{} made an image for {os}/{architecture} where one for {} was asked for",
                    task.context.shown, task.platform
                ),
                hint: "let its last FROM follow the platform: no --platform= there".to_owned(),
            });
        }
        let (kept, key) = (self.kept(task), task.key.clone());
        let base = task.ground.map(|ground| ground.image.clone());
        blocking(move || kept.write(&key, made, base.as_ref())).await
    }

    async fn step(&self, task: &Task<'_>, tool: Tool, workshop: &Workshop, step: &Step) -> Result<()> {
        let prefix = format!("{} {}", task.name, task.platform);
        let reporter = self.origins.fetcher().reporter();
        let failed = |reason: String, hint: String| Error::Program {
            program: tool.name().to_owned(),
            reason: format!("{} for {}: {reason}", task.context.shown, task.platform),
            hint,
        };
        let (status, last) = workshop
            .run(step, &prefix, reporter.as_ref())
            .await
            .map_err(|e| failed(e.to_string(), "is it installed and on PATH?".to_owned()))?;
        if status.success() {
            return Ok(());
        }
        let host = Platform::host();
        if *task.platform != host && last.to_lowercase().contains("exec format error") {
            return Err(failed(
                format!("this machine ({host}) cannot run programs of {}\n{last}", task.platform),
                format!(
                    "build what it can with --platform {host}, or let it run the others: QEMU's user emulation \
                     with binfmt (Debian: qemu-user-static)"
                ),
            ));
        }
        Err(failed(format!("{status}\n{last}"), tool.hint(&last).to_owned()))
    }

    /// Manifests, SBOMs and the index.
    async fn describe(
        &self,
        name: &str,
        version: String,
        facts: &Facts,
        made: Vec<(&Task<'_>, Opened)>,
    ) -> Result<Built> {
        let (mut manifests, mut built, mut pending) = (Vec::new(), Vec::new(), Pending::default());
        let mut keys = Vec::new();
        for (task, image) in made {
            keys.push(task.key.to_string());
            let (empty, lists) = task.ground.map_or((&[][..], &[][..]), |g| (&g.image.empty, &g.image.lists));
            let config = pending.blob(media::CONFIG, image.config.to_vec());
            let (layers, contents): (Vec<PlacedLayer>, Vec<_>) = image.placed(lists).into_iter().unzip();
            let blobs = layers.iter().map(|layer| layer.descriptor.clone()).zip(contents);
            pending.blobs.extend(blobs);
            let mut manifest = image::manifest(config, &layers, empty, facts);
            manifest.annotations.insert(KEY.to_owned(), task.key.to_string());
            let mut descriptor = pending.manifest(media::MANIFEST, json(&manifest)?);
            let digest = descriptor.digest.clone();
            let parts = self.parts_below(name, task.platform).await?;
            let sbom = sbom::partial(facts, &digest, &parts.iter().collect::<Vec<_>>());
            pending.describe(&descriptor, sbom, lists, facts)?;
            descriptor.platform = Some(task.platform.clone());
            manifests.push(descriptor);
            let layers = layers.iter().map(built_layer).collect();
            built.push(BuiltPlatform { platform: task.platform.clone(), digest, layers });
        }
        let key = Digest::sha256(keys.join(" ").as_bytes());
        let content = pending.into_image(manifests, &key, facts)?;
        let digest = content.root.digest.clone();
        Ok(Built { name: name.to_owned(), version, digest, key, platforms: built, content })
    }

    /// The parts of the nearest parent that is made of locks: what is known to lie below the Dockerfile's layers.
    async fn parts_below(&self, name: &str, platform: &Platform) -> Result<Vec<Part>> {
        let mut at = name;
        loop {
            match self.config.image(at)? {
                Image { dockerfile: None, .. } => break,
                Image { base: Some(Base::Parent(parent)), .. } => at = parent,
                Image { .. } => return Ok(Vec::new()),
            }
        }
        Ok(self.parts(at, platform).await?.all().cloned().collect())
    }
}
