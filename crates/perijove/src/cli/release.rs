//! `perijove release`: plan → build → test → claim → push → alias → verify.

use std::path::{Path, PathBuf};
use std::time::Instant;

use perijove_build::Built;
use perijove_release::markdown;
use perijove_release::plan::{Decision, Why};
use perijove_release::record::{Checked, Planned, Record, Released, Repository, Times, Verdict};
use perijove_release::run::{Attempt, RACES, Step};
use perijove_runtime::check;
use perijove_runtime::{Engine, Spec, Wanted};
use serde_json::json;

use super::error::CliError;
use super::plan::describe;
use super::prepared::{self, Prepared, prepare};
use super::temporary::temporary;
use super::{Global, Outcome, pull_request, test};
use crate::staged::staged;
use crate::ui::{Ui, seconds};

/// Flags of `release`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub common: prepared::What,
    /// Say what would be done, and do nothing that others see
    #[arg(long)]
    pub dry_run: bool,
    /// Remove what was pushed for the pull request
    #[arg(long, requires = "pull_request")]
    pub close: bool,
    /// Where a pull request's images go, as REGISTRY/NAMESPACE; perijove.toml says it otherwise
    #[arg(long, value_name = "REGISTRY", env = "PERIJOVE_STAGING")]
    pub staging: Option<String>,
    /// Write a pull request's images to this folder, as IMAGE-TAG.tar (oci-archive)
    #[arg(long, value_name = "DIR", requires = "pull_request")]
    pub output: Option<PathBuf>,
    /// Write the release record to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Write release notes to this file, in markdown
    #[arg(long, value_name = "FILE")]
    pub notes: Option<PathBuf>,
    /// What runs the checks: auto, docker, podman, runc or builtin
    #[arg(long, default_value = "auto", env = "PERIJOVE_RUNTIME")]
    pub runtime: Wanted,
}

impl Arguments {
    /// Whether somebody reads which tags are there: a person who tries what would be done, or a pipeline that was cut
    /// off before it had its record.
    fn wants_tags(&self) -> bool {
        let is_set = |name| std::env::var_os(name).is_some_and(|path| !path.is_empty());
        self.dry_run || self.record.is_some() || self.notes.is_some() || OUTPUTS.into_iter().any(is_set)
    }
}

/// Files of GitHub's that a release appends to (GitHub, "Workflow commands").
const OUTPUTS: [&str; 2] = ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"];

pub async fn run(arguments: Arguments, global: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    if let Some(number) = arguments.common.pull_request {
        return pull_request::run(&arguments, number, global, ui).await;
    }
    let start = Instant::now();
    let prepared = prepare(&arguments.common, true, global, ui).await?;
    let kinship = |theirs: &str| prepared.kinship(theirs);
    let observe = |step: &Step| ui.status(&step.to_string());
    let release = prepared.release(&kinship, &observe);
    let mut record = empty(&prepared, None);
    // One HEAD a repository is enough to know that all is there, not for saying under which tags.
    if !arguments.wants_tags() && release.is_done().await? {
        let there = prepared.images.iter().map(|image| release.greatest_alias(image));
        let there = prepared.builts.iter().zip(there);
        let there: Vec<String> =
            there.map(|(built, alias)| format!("{}:{alias} as {}", built.name, built.digest)).collect();
        ui.status(&format!("nothing to release: all repositories have {}", there.join(", ")));
        record.seconds = start.elapsed().as_secs_f64();
        return report(&record, &arguments, ui);
    }
    let mut decisions = timed(&mut record.times.plan_seconds, release.plan()).await?;
    record.warnings = prepared.all_warnings(&decisions);
    for warning in &record.warnings {
        ui.warning(warning);
    }
    if arguments.dry_run {
        let planned = prepared.compare(&decisions).await?;
        let steps: Vec<String> = release.steps(&decisions).await?.iter().map(ToString::to_string).collect();
        let text: Vec<String> = planned.iter().map(describe).chain(steps.iter().cloned()).collect();
        ui.report(
            &text.join("\n"),
            &format!("```\n{}\n```", steps.join("\n")),
            &json!({ "images": planned, "steps": steps, "warnings": record.warnings }),
        )?;
        return Ok(Outcome::Done);
    }
    let mut tests =
        Tests { prepared: &prepared, wanted: arguments.runtime, engine: None, tested: Vec::new() };
    let (mut done, mut seen) = (None, Vec::new());
    for _ in 0..RACES {
        record.checks.extend(timed(&mut record.times.test_seconds, tests.run(&decisions, ui)).await?);
        if record.checks.iter().any(|check| check.result == Verdict::Failed) {
            record.seconds = start.elapsed().as_secs_f64();
            files(&record, &markdown::summary(&record), &arguments)?;
            let names: Vec<&str> = failed(&record.checks);
            return Err(CliError::failed(
                format!("{}: a check failed, so nothing is public", names.join(", ")),
                "run `perijove test` to see it again",
            ));
        }
        // Read before the release, for afterwards the build before it is another.
        let planned = prepared.compare(&decisions).await?;
        match release.attempt(&decisions).await? {
            Attempt::Done(repositories, times) => {
                let Times { push_seconds, claim_seconds, verify_seconds, .. } = times;
                record.times = Times { push_seconds, claim_seconds, verify_seconds, ..record.times };
                done = Some((planned, repositories));
                break;
            }
            Attempt::Lost => {}
            Attempt::Overwritten { tag, error, .. } if seen.contains(&tag) => {
                return Err(error.into());
            }
            Attempt::Overwritten { tag, ours, .. } => {
                if ours {
                    record.overwritten.push(tag.clone());
                }
                seen.push(tag);
            }
        }
        decisions = timed(&mut record.times.plan_seconds, release.plan()).await?;
    }
    let (planned, repositories) = done.ok_or(perijove_release::Error::Races { number: RACES })?;
    record.nothing_to_release = decisions.iter().all(|decision| decision.released);
    record.images = planned.into_iter().zip(repositories).map(|(p, r)| released(p, r)).collect();
    record.pushed_bytes = prepared.builder.client.sent_bytes();
    record.seconds = start.elapsed().as_secs_f64();
    let word = if record.nothing_to_release { "nothing to release" } else { "released" };
    ui.status(&format!("{word} in {}", seconds(record.seconds)));
    report(&record, &arguments, ui)
}

/// A record of nothing so far.
pub fn empty(prepared: &Prepared, pull_request: Option<u64>) -> Record {
    Record {
        commit: prepared.builder.revision.clone(),
        branch: prepared.branch.clone(),
        pull_request,
        nothing_to_release: true,
        images: Vec::new(),
        overwritten: Vec::new(),
        checks: Vec::new(),
        warnings: prepared.warnings.clone(),
        pushed_bytes: 0,
        seconds: 0.0,
        times: Times { build_seconds: prepared.build_seconds, ..Times::default() },
    }
}

/// One image of the record.
pub fn released(planned: Planned, repositories: Vec<Repository>) -> Released {
    Released { already_there: planned.decision.released, planned, repositories, archive: None }
}

/// Adds the time of `work` to `seconds`.
pub async fn timed<T>(seconds: &mut f64, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let result = work.await;
    *seconds += start.elapsed().as_secs_f64();
    result
}

/// Names of the images with a failed check.
pub fn failed(checks: &[Checked]) -> Vec<&str> {
    let failed = checks.iter().filter(|check| check.result == Verdict::Failed);
    let mut names: Vec<&str> = failed.map(|check| check.image.as_str()).collect();
    names.dedup();
    names
}

/// The images' own checks, each image's once.
pub struct Tests<'a> {
    pub prepared: &'a Prepared,
    pub wanted: Wanted,
    /// Chosen once, and only where there is something to check: runtimes are tried before they are taken.
    pub engine: Option<Engine>,
    pub tested: Vec<String>,
}

impl Tests<'_> {
    /// Checks what gets a new build, and was not checked yet. After a lost race another image may have to.
    pub async fn run(&mut self, decisions: &[Decision], ui: &Ui) -> Result<Vec<Checked>, CliError> {
        let mut all = Vec::new();
        let prepared = self.prepared;
        for (built, decision) in prepared.builts.iter().zip(decisions) {
            if self.tested.contains(&built.name) {
                continue;
            }
            if decision.released {
                ui.status(&match decision.why {
                    Why::SameCommit => format!("{}: this commit was released already", decision.image),
                    Why::Older => format!(
                        "{}: {} is of a later commit: nothing is released over it",
                        decision.image, decision.tag
                    ),
                    Why::Unchanged | Why::Changed => {
                        format!("{}: nothing changed since {}", decision.image, decision.tag)
                    }
                });
                continue;
            }
            self.tested.push(built.name.clone());
            if prepared.builder.config.image(&built.name)?.test.is_empty() {
                ui.status(&format!("{}: no checks in perijove.toml", built.name));
                continue;
            }
            let engine = match &self.engine {
                Some(engine) => engine,
                None => self.engine.insert(test::engine(self.wanted, ui).await?),
            };
            all.extend(checks(prepared, engine, built, ui).await?);
        }
        Ok(all)
    }
}

/// Runs an image's checks against exactly what will be tagged.
async fn checks(
    prepared: &Prepared,
    engine: &Engine,
    built: &Built,
    ui: &Ui,
) -> Result<Vec<Checked>, CliError> {
    let layout = temporary()?;
    let builder = &prepared.builder;
    let source = test::layout_of(builder, built, layout.path()).await?;
    let mut all = Vec::new();
    for platform in built.platforms.iter().map(|p| &p.platform) {
        for result in test::checks(builder, engine, built, &source, platform, &Spec::default()).await? {
            ui.status(&test::line(&built.name, platform, &result));
            let (verdict, reason) = match result.verdict {
                check::Verdict::Passed => (Verdict::Passed, None),
                check::Verdict::Failed(reason) => (Verdict::Failed, Some(reason)),
                check::Verdict::Untested(reason) => (Verdict::Untested, Some(reason)),
            };
            all.push(Checked {
                image: built.name.clone(),
                platform: platform.to_string(),
                check: result.name,
                result: verdict,
                reason,
                seconds: result.seconds,
            });
        }
    }
    Ok(all)
}

fn report(record: &Record, arguments: &Arguments, ui: &Ui) -> Result<Outcome, CliError> {
    let mut lines = Vec::new();
    for Released { planned, repositories, .. } in &record.images {
        lines.push(describe(planned));
        for repository in repositories {
            let referee = match repository.referee {
                Some(perijove_release::referee::Referee::Registry) => "the registry lets nobody overwrite it",
                _ => "checked before and after; the registry would let others overwrite it",
            };
            lines.push(format!("  {}: {referee}", repository.repository));
        }
    }
    let summary = markdown::summary(record);
    files(record, &summary, arguments)?;
    ui.report(&lines.join("\n"), &summary, &json!(record))?;
    Ok(Outcome::Done)
}

/// Writes what pipelines want: the record, the notes, GitHub's outputs and job summary.
pub fn files(record: &Record, summary: &str, arguments: &Arguments) -> Result<(), CliError> {
    if let Some(path) = &arguments.record {
        whole(path, &format!("{}\n", json!(record)))?;
    }
    if let Some(path) = &arguments.notes {
        whole(path, &markdown::notes(record))?;
    }
    OUTPUTS
        .into_iter()
        .zip([record.outputs().as_str(), summary])
        .try_for_each(|(name, text)| append(name, text))
}

/// Puts a file in place, whole or not at all.
fn whole(path: &Path, text: &str) -> Result<(), CliError> {
    let written = staged(path, text).and_then(|file| file.persist(path).map_err(|e| e.error));
    written.map(drop).map_err(|e| {
        CliError::failed(
            format!("{}: {e}", path.display()),
            "is the folder there, and writable? what was released stays released: run it again",
        )
    })
}

/// Appends to the file that a variable names, where it names one.
fn append(variable: &str, text: &str) -> Result<(), CliError> {
    use std::io::Write;
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else { return Ok(()) };
    let mut file = std::fs::OpenOptions::new();
    file.append(true).create(true).open(&path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(
        |e| {
            CliError::failed(
                format!("{variable}: {}: {e}", Path::new(&path).display()),
                "unset it, or mend it",
            )
        },
    )
}
