//! `perijove release`: plan → build → test → claim → push → alias → verify.

use std::time::Instant;

use perijove_build::Built;
use perijove_oci::Reference;
use perijove_release::plan::{Branch, Candidate, Decision};
use perijove_release::record::Record;
use perijove_release::run::{Image, Release, Step};
use perijove_runtime::check::Verdict;
use perijove_runtime::{Engine, Spec, Wanted};
use serde_json::json;

use super::error::CliError;
use super::{Global, Outcome, repository, test};
use crate::settings;
use crate::ui::{Ui, seconds};

/// Flags of `release`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The images; all of them where none is named
    images: Vec<String>,
    /// Say what would be done, and do nothing that others see
    #[arg(long)]
    dry_run: bool,
    /// Where the images go, as REGISTRY/NAMESPACE; perijove.toml says it otherwise (may be given several times)
    #[arg(long, value_name = "REGISTRY", env = "PERIJOVE_REGISTRIES", value_delimiter = ',')]
    registry: Vec<String>,
    /// The branch of this release; pipelines and git say it otherwise
    #[arg(long, env = "PERIJOVE_BRANCH")]
    branch: Option<String>,
    /// The commit for the images' annotations; git says it otherwise
    #[arg(long, env = "PERIJOVE_REVISION")]
    revision: Option<String>,
    /// What runs the checks: auto, docker, podman, runc or builtin
    #[arg(long, default_value = "auto", env = "PERIJOVE_RUNTIME")]
    runtime: Wanted,
}

pub async fn run(arguments: Arguments, global: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    let start = Instant::now();
    let config = repository(global, ui)?;
    let names = config.select(&arguments.images)?;
    let registries =
        if arguments.registry.is_empty() { config.repository.registries.clone() } else { arguments.registry };
    if registries.is_empty() {
        return Err(CliError::usage(
            "no registry to release to",
            "set `registries` in perijove.toml, or name one with --registry",
        ));
    }
    let branch = settings::branch(&config.root, arguments.branch);
    let moves_latest =
        config.repository.default_branch.is_none() || config.repository.default_branch == branch;
    let builder = settings::builder(config, None, arguments.revision, &ui.reporter())?;
    let mut builts = Vec::new();
    let mut images = Vec::new();
    for name in &names {
        let repos = repositories(&registries, name)?;
        let locks = perijove_build::locks::Locks::read(&builder.config, name)?;
        let version = locks.version(&builder.config, name)?;
        // What nodes have: the newest build of this version, else of any.
        let previous: Vec<Reference> = repos
            .iter()
            .take(1)
            .flat_map(|repo| [repo.with_tag(&version), repo.with_tag("latest")])
            .collect();
        let built = builder.build(name, &builder.config.repository.platforms, &previous).await?;
        images.push(Image {
            candidate: candidate(&built, builder.revision.as_ref()),
            content: built.content.clone(),
            repos,
        });
        builts.push(built);
    }
    let observe = |step: &Step| ui.status(&step.to_string());
    let release = Release {
        client: &builder.client,
        images: &images,
        branch: Branch { moves_latest },
        observe: &observe,
    };
    if release.is_done().await? {
        let digests: Vec<String> =
            images.iter().map(|i| format!("{} {}", i.candidate.image, i.candidate.digest)).collect();
        ui.status(&format!("nothing to release: all repositories have {}", digests.join(", ")));
        ui.result(
            "",
            &json!({ "images": [], "nothing_to_release": true, "seconds": start.elapsed().as_secs_f64() }),
        )?;
        return Ok(Outcome::Done);
    }
    let decisions = release.plan().await?;
    if arguments.dry_run {
        let steps: Vec<String> = release.steps(&decisions).iter().map(ToString::to_string).collect();
        ui.result(&steps.join("\n"), &json!({ "images": decisions, "steps": steps }))?;
        return Ok(Outcome::Done);
    }
    let (mut tested, mut engine) = (Vec::new(), None);
    for (built, decision) in builts.iter().zip(&decisions) {
        if decision.released {
            ui.status(&format!("{}: nothing changed since {}", decision.image, decision.tag));
            continue;
        }
        if builder.config.image(&built.name)?.test.is_empty() {
            ui.status(&format!("{}: no checks in perijove.toml", built.name));
            continue;
        }
        // Chosen once, and only where there is something to check: runtimes are tried before they are taken.
        let engine = match &engine {
            Some(engine) => engine,
            None => engine.insert(test::engine(arguments.runtime, ui).await?),
        };
        if !check(&builder, engine, built, ui, &mut tested).await? {
            return Err(CliError::failed(
                format!("{}: a check failed, so nothing is public", built.name),
                "run `perijove test` to see it again",
            ));
        }
    }
    let record = release.run().await?;
    report(&record, &decisions, &tested, builder.revision.as_ref(), start, ui)
}

/// `<registry>/<image name>` for each registry.
fn repositories(registries: &[String], image: &str) -> Result<Vec<Reference>, CliError> {
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

fn candidate(built: &Built, revision: Option<&String>) -> Candidate {
    Candidate {
        image: built.name.clone(),
        version: built.version.clone(),
        digest: built.digest.clone(),
        key: built.key.clone(),
        revision: revision.cloned(),
    }
}

/// Runs the image's own checks against what will be tagged; whether none failed.
async fn check(
    builder: &perijove_build::Builder,
    engine: &Engine,
    built: &Built,
    ui: &Ui,
    tested: &mut Vec<serde_json::Value>,
) -> Result<bool, CliError> {
    let layout = tempfile::tempdir()?;
    let source = test::layout_of(builder, built, layout.path()).await?;
    let mut fine = true;
    for platform in built.platforms.iter().map(|p| &p.platform) {
        for result in test::checks(builder, engine, built, &source, platform, &Spec::default()).await? {
            fine &= !matches!(result.verdict, Verdict::Failed(_));
            ui.status(&test::line(&built.name, platform, &result));
            tested.push(test::as_json(&built.name, platform, &result));
        }
    }
    Ok(fine)
}

fn report(
    record: &Record,
    decisions: &[Decision],
    tested: &[serde_json::Value],
    revision: Option<&String>,
    start: Instant,
    ui: &Ui,
) -> Result<Outcome, CliError> {
    let took = start.elapsed().as_secs_f64();
    let mut lines = Vec::new();
    for image in &record.images {
        let word = if image.already_there { "was there" } else { "released" };
        lines.push(format!(
            "{} {word}: {} {} ({})",
            image.image,
            image.tag,
            image.aliases.join(" "),
            image.digest
        ));
        for repository in &image.repositories {
            let referee = match repository.referee {
                Some(perijove_release::referee::Referee::Registry) => "the registry lets nobody overwrite it",
                _ => "checked before and after; the registry would let others overwrite it",
            };
            lines.push(format!("  {}: {referee}", repository.repository));
        }
    }
    let changed = decisions.iter().any(|decision| !decision.released);
    ui.status(&format!("{} in {}", if changed { "released" } else { "nothing to release" }, seconds(took)));
    ui.result(
        &lines.join("\n"),
        &json!({
            "revision": revision, "images": record.images, "overwritten": record.overwritten,
            "checks": tested, "seconds": took, "nothing_to_release": !changed,
        }),
    )?;
    Ok(Outcome::Done)
}
