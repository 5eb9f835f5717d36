//! What `plan` and `release` begin with: the images as they would be released, and from where to where.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Instant;

use clap::builder::NonEmptyStringValueParser;
use perijove_build::lock::debs::Archive;
use perijove_build::locks::{self, Locks};
use perijove_build::{Builder, Built, Config};
use perijove_oci::{Platform, Reference};
use perijove_release::branch::Branch;
use perijove_release::compare::{Content, Layer, Snapshot, compare};
use perijove_release::observe;
use perijove_release::plan::{self, Candidate, DIRTY, Decision, Kinship, Why};
use perijove_release::record::{self, Planned};
use perijove_release::run::{Image, Release, Step};

use super::error::CliError;
use super::{Global, lock, repository};
use crate::ui::Ui;
use crate::{git, settings};

/// Flags that `plan` and `release` share.
#[derive(clap::Args)]
pub struct What {
    /// The images; all of them where none is named
    pub images: Vec<String>,
    /// Where the images go, as REGISTRY/NAMESPACE; perijove.toml says it otherwise (may be given several times)
    #[arg(long, value_name = "REGISTRY", env = "PERIJOVE_REGISTRIES", value_delimiter = ',')]
    pub registry: Vec<String>,
    /// The branch of this release; pipelines and git say it otherwise
    #[arg(long, env = "PERIJOVE_BRANCH", value_parser = NonEmptyStringValueParser::new())]
    pub branch: Option<String>,
    /// The commit for the images' annotations; git says it otherwise
    #[arg(long, env = "PERIJOVE_REVISION", value_parser = NonEmptyStringValueParser::new())]
    pub revision: Option<String>,
    /// The number of a pull request
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub pull_request: Option<u64>,
}

/// Built images on their way.
pub struct Prepared {
    pub builder: Builder,
    pub builts: Vec<Built>,
    pub images: Vec<Image>,
    pub branch: Option<String>,
    pub kind: Branch,
    /// Why this branch releases nothing, where it does not.
    pub refusal: Option<CliError>,
    pub build_seconds: f64,
    /// What people should look at.
    pub warnings: Vec<String>,
}

/// Reads the settings and builds the images. Nothing that others see is done; `may_release` says whether the branch
/// has to be one that releases, which is asked before anything is built.
pub async fn prepare(
    arguments: &What,
    may_release: bool,
    global: &Global,
    ui: &Ui,
) -> Result<Prepared, CliError> {
    let config = repository(global, ui)?;
    let names = config.select(&arguments.images)?;
    let registries = match arguments.registry.is_empty() {
        true => config.repository.registries.clone(),
        false => arguments.registry.clone(),
    };
    if registries.is_empty() && may_release {
        return Err(CliError::usage(
            "no registry to release to",
            "set `registries` in perijove.toml, or name one with --registry",
        ));
    }
    let for_others = arguments.pull_request.is_some() || !may_release;
    let branch = settings::branch(&config.root, arguments.branch.clone(), for_others);
    let default = config.repository.default_branch.as_deref();
    let kind = Branch::of(branch.as_deref(), default, listed(&config, branch.as_deref()));
    let refusal = refusal(&config, &kind, branch.as_deref())?;
    let refusal = match (refusal, may_release) {
        (Some(refusal), true) => return Err(refusal),
        (other, _) => other,
    };
    let mut warnings = Vec::new();
    let commit = arguments.revision.clone().or_else(|| settings::commit(&config.root, &ui.reporter()));
    if commit.as_ref().is_some_and(|commit| commit.ends_with(DIRTY)) {
        warnings.push(
            "the working tree has changes that no commit has: the images name their commit with -dirty"
                .to_owned(),
        );
    }
    let start = Instant::now();
    let look = lock::Look::at(&config, &names);
    let mut builder = settings::builder(config, None, commit, &ui.reporter())?;
    builder.follow_bases = true;
    let (mut builts, mut images) = (Vec::new(), Vec::new());
    for name in &names {
        let repos = repositories(&registries, name)?;
        let version = Locks::read(&builder.config, name)?.version(&builder.config, name)?;
        // What nodes have: the newest build of this version, else of its series, else of any.
        let aliases = perijove_tags::aliases(&format!("{version}-0"), []).map_err(|refusal| {
            CliError::usage(format!("image {name}: its version makes no tag: {refusal}"), &refusal.hint())
        })?;
        let previous =
            |repo: &Reference| aliases.iter().skip(1).map(|a| repo.with_tag(a)).collect::<Vec<_>>();
        let previous: Vec<Reference> = repos.iter().take(1).flat_map(previous).collect();
        let built = builder.build(name, &builder.config.repository.platforms, &previous).await?;
        let (candidate, content) = (candidate(&builder, &built)?, built.content.clone());
        images.push(Image { candidate, content, repos });
        builts.push(built);
    }
    warnings.extend(look.warnings().await);
    let build_seconds = start.elapsed().as_secs_f64();
    Ok(Prepared { builder, builts, images, branch, kind, refusal, build_seconds, warnings })
}

/// `<registry>/<image name>` for each registry.
pub fn repositories(registries: &[String], image: &str) -> Result<Vec<Reference>, CliError> {
    let one = |registry: &String| {
        format!("{}/{image}", registry.trim_end_matches('/')).parse::<Reference>().map_err(|e| {
            CliError::usage(
                e.to_string(),
                "a registry is a host with an optional port and a namespace: quay.io/example",
            )
        })
    };
    registries.iter().map(one).collect()
}

fn listed(config: &Config, branch: Option<&str>) -> bool {
    let fits = |pattern: &String| {
        globset::Glob::new(pattern)
            .is_ok_and(|glob| branch.is_some_and(|b| glob.compile_matcher().is_match(b)))
    };
    config.repository.release_branches.iter().any(fits)
}

/// Why this branch releases nothing, if so: it is not one that does, or the locks are of another series.
fn refusal(config: &Config, kind: &Branch, branch: Option<&str>) -> Result<Option<CliError>, CliError> {
    let default = config.repository.default_branch.as_deref().unwrap_or("main");
    let series = match kind {
        Branch::Default | Branch::Listed => return Ok(None),
        Branch::Other => {
            let (message, hint) = match branch {
                None => (
                    "which branch this is is not known, so whether it releases is not either".to_owned(),
                    format!("name it: --branch {default}"),
                ),
                Some(branch) => (
                    format!("the branch `{branch}` releases nothing"),
                    format!(
                        "{default} and version branches (5.x, 4.1.x) do: name another with --branch, or list \
                         this one under `release-branches` in perijove.toml"
                    ),
                ),
            };
            return Ok(Some(CliError::failed(message, &hint)));
        }
        Branch::Version(series) => series,
    };
    let mut versions = Vec::new();
    for name in config.select(&[])? {
        if config.repository.branch_image.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let version = Locks::read(config, &name)?.version(config, &name)?;
        if series.has(&version) {
            return Ok(None);
        }
        versions.push(format!("{name} {version}"));
    }
    Ok(Some(CliError::failed(
        format!(
            "the branch `{}` releases {series}, and the locks have {}",
            branch.unwrap_or_default(),
            versions.join(", ")
        ),
        "is this the right branch? name another with --branch, or lock a version of this series",
    )))
}

/// What the plan needs to know of a built image.
pub fn candidate(builder: &Builder, built: &Built) -> Result<Candidate, CliError> {
    // Only what a Dockerfile's FROM names may move while the commit stays.
    let moves = builder.config.image(&built.name)?;
    let moves = moves.dockerfile.is_some() && moves.base.is_none();
    let annotations = built.content.links(&built.digest)?.annotations;
    let base = annotations.get("org.opencontainers.image.base.digest").filter(|_| moves);
    Ok(Candidate {
        image: built.name.clone(),
        version: built.version.clone(),
        digest: built.digest.clone(),
        key: built.key.clone(),
        revision: builder.revision.clone(),
        base: base.cloned(),
    })
}

impl Prepared {
    /// The release that they are for; `observe` is told of each step.
    pub fn release<'a>(
        &'a self,
        kinship: &'a (dyn Fn(&str) -> Option<Kinship> + Sync),
        observe: &'a (dyn Fn(&Step) + Sync),
    ) -> Release<'a> {
        let branch = plan::Branch { moves_latest: self.kind.moves_latest() };
        Release {
            client: &self.builder.client,
            images: &self.images,
            branch,
            kinship,
            observe,
            refused: Mutex::default(),
            claimed: Mutex::default(),
        }
    }

    /// How this commit stands to another.
    pub fn kinship(&self, theirs: &str) -> Option<Kinship> {
        git::kinship(&self.builder.config.root, self.builder.revision.as_deref()?, theirs)
    }

    /// All warnings, those about the commits of the newest builds included.
    pub fn all_warnings(&self, decisions: &[Decision]) -> Vec<String> {
        let commit = self.builder.revision.as_deref();
        let of_commits = record::warnings(decisions, commit, |theirs| self.kinship(theirs));
        self.warnings.iter().cloned().chain(of_commits).collect()
    }

    /// Each decision with what it changes for those who have the build before it.
    pub async fn compare(&self, decisions: &[Decision]) -> Result<Vec<Planned>, CliError> {
        let mut all = Vec::new();
        for ((image, built), decision) in self.images.iter().zip(&self.builts).zip(decisions) {
            let new = snapshot(built);
            let platforms: Vec<Platform> = built.platforms.iter().map(|p| p.platform.clone()).collect();
            let mut old = None;
            // A build that is there already is what it was: all of it is kept.
            let same = decision.digest == built.digest && decision.released;
            if let Some(tag) = decision.previous.as_ref().filter(|_| !same) {
                for repo in &image.repos {
                    old = observe::snapshot(&self.builder.client, &repo.with_tag(tag), &platforms).await?;
                    if old.is_some() {
                        break;
                    }
                }
            }
            let security = security(&self.builder.config, &built.name)?;
            let change = match (decision.why, old) {
                (Why::Changed, old) => compare(old.as_ref(), &new, &security),
                (_, Some(there)) => compare(Some(&there), &there, &security),
                (_, None) => compare(Some(&new), &new, &security),
            };
            all.push(Planned { version: built.version.clone(), decision: decision.clone(), change });
        }
        Ok(all)
    }
}

fn snapshot(built: &Built) -> Snapshot {
    let platforms = built.platforms.iter().map(|platform| {
        let layer = |layer: &perijove_build::built::BuiltLayer| Layer {
            digest: layer.digest.clone(),
            size_bytes: layer.size_bytes,
            label: layer.label.clone(),
        };
        let content = Content {
            digest: platform.digest.clone(),
            layers: platform.layers.iter().map(layer).collect(),
            packages: platform.layers.iter().flat_map(|layer| layer.parts.iter().cloned()).collect(),
        };
        (platform.platform.to_string(), content)
    });
    Snapshot { platforms: platforms.collect() }
}

/// Name and version of each Debian package from the security archive, of an image and what it stands on.
fn security(config: &Config, image: &str) -> Result<BTreeSet<(String, String)>, CliError> {
    let mut all = BTreeSet::new();
    for (name, _) in locks::lineage(config, image)? {
        let packages = Locks::read(config, name)?.debs.into_iter().flat_map(|lock| lock.packages);
        let from_security = packages.filter(|deb| deb.archive == Archive::Security);
        all.extend(from_security.map(|deb| (deb.name, deb.version)));
    }
    Ok(all)
}
