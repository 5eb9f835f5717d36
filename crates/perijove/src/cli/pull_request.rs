//! `perijove release --pull-request N`: images to try, where no alias moves and nothing of a release is touched.

use std::path::Path;
use std::time::Instant;

use perijove_build::Built;
use perijove_oci::Reference;
use perijove_oci::client::Client;
use perijove_release::plan::Decision;
use perijove_release::record::{Planned, Record, Repository};
use perijove_release::run::Step;
use perijove_release::{markdown, pull_request};
use serde_json::json;

use super::error::CliError;
use super::plan::{as_pull_request, describe};
use super::prepared::{self, Prepared, prepare};
use super::release::{Arguments, Tests, empty, failed, files, released, timed};
use super::temporary::temporary;
use super::{Global, Outcome, repository};
use crate::ui::{Ui, bytes, seconds};

pub async fn run(arguments: &Arguments, number: u64, global: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    let config = repository(global, ui)?;
    let set = |text: &String| !text.is_empty();
    let staging = arguments.staging.clone().or(config.repository.staging.clone()).filter(set);
    if arguments.close {
        let images = config.select(&arguments.common.images)?;
        return match arguments.dry_run {
            true => would_close(&images, staging.as_deref(), number, ui).await,
            false => close(&images, staging.as_deref(), number, ui).await,
        };
    }
    if staging.is_none() && arguments.output.is_none() {
        return Err(CliError::usage(
            "a pull request's images have nowhere to go: no staging registry and no folder",
            "set `staging` in perijove.toml (or --staging REGISTRY), or keep them as files with --output DIR",
        ));
    }
    let start = Instant::now();
    // A pipeline of a stranger's fork has no credentials: with a folder to write to, nothing is pushed.
    let staging = staging.filter(|_| arguments.staging.is_some() || arguments.output.is_none());
    let prepared = prepare(&arguments.common, false, global, ui).await?;
    let kinship = |theirs: &str| prepared.kinship(theirs);
    let observe = |_: &Step| {};
    let mut record = empty(&prepared, Some(number));
    let release = prepared.release(&kinship, &observe);
    let mut decisions = timed(&mut record.times.plan_seconds, release.plan()).await?;
    let planned = prepared.compare(&decisions).await?;
    as_pull_request(&mut decisions, number);
    record.images = planned.into_iter().map(|planned| released(planned, Vec::new())).collect();
    for (image, decision) in record.images.iter_mut().zip(&decisions) {
        image.planned.decision = decision.clone();
    }
    record.nothing_to_release = decisions.iter().all(|decision| decision.released);
    if arguments.dry_run {
        return would_push(&record, staging.as_deref(), arguments.output.as_deref(), ui);
    }
    let mut tests =
        Tests { prepared: &prepared, wanted: arguments.runtime, engine: None, tested: Vec::new() };
    record.checks = timed(&mut record.times.test_seconds, tests.run(&decisions, ui)).await?;
    let failed = failed(&record.checks).join(", ");
    if failed.is_empty() {
        for (at, (built, decision)) in prepared.builts.iter().zip(&decisions).enumerate() {
            if decision.released {
                continue;
            }
            if let Some(staging) = &staging {
                let pushing = push(&prepared, staging, built, decision, number, ui);
                let pushed = timed(&mut record.times.push_seconds, pushing).await?;
                record.images[at].repositories.push(pushed);
            }
            if let Some(folder) = &arguments.output {
                record.images[at].archive =
                    Some(archive(&prepared.builder.client, folder, built, decision).await?);
            }
        }
    }
    record.pushed_bytes = prepared.builder.client.sent_bytes();
    record.seconds = start.elapsed().as_secs_f64();
    report(&record, &failed, arguments, ui)
}

/// `--dry-run`: what would be pushed and written. Neither is, and no record, output or summary.
fn would_push(
    record: &Record,
    staging: Option<&str>,
    folder: Option<&Path>,
    ui: &Ui,
) -> Result<Outcome, CliError> {
    let mut steps = Vec::new();
    for decision in record.images.iter().map(|image| &image.planned.decision).filter(|d| !d.released) {
        let Decision { image, tag, .. } = decision;
        if let Some(staging) = staging {
            steps.push(format!("push {}:{tag}", staging_repository(staging, image)?.name()));
        }
        let file = |folder: &Path| folder.join(archive_name(image, tag)).display().to_string();
        steps.extend(folder.map(|folder| format!("write {}", file(folder))));
    }
    let planned: Vec<&Planned> = record.images.iter().map(|image| &image.planned).collect();
    let text = planned.iter().map(|planned| describe(planned)).chain(steps.iter().cloned());
    ui.report(
        &text.collect::<Vec<_>>().join("\n"),
        &format!("```\n{}\n```", steps.join("\n")),
        &json!({ "images": planned, "steps": steps, "warnings": record.warnings }),
    )?;
    Ok(Outcome::Done)
}

fn archive_name(image: &str, tag: &str) -> String {
    format!("{image}-{tag}.tar")
}

fn report(record: &Record, failed: &str, arguments: &Arguments, ui: &Ui) -> Result<Outcome, CliError> {
    let mut lines = Vec::new();
    for image in &record.images {
        lines.push(describe(&image.planned));
        let tag = &image.planned.decision.tag;
        lines.extend(image.repositories.iter().map(|r| format!("  {}:{tag}", r.repository)));
        lines.extend(image.archive.iter().map(|archive| format!("  {archive}")));
    }
    let comment = markdown::pull_request(record);
    files(record, &comment, arguments)?;
    ui.report(&lines.join("\n"), &comment, &json!(record))?;
    if failed.is_empty() {
        let (pushed, took) = (bytes(record.pushed_bytes), seconds(record.seconds));
        ui.status(&format!("pushed {pushed} in {took}"));
        return Ok(Outcome::Done);
    }
    ui.status(&format!("{failed}: a check failed, so nothing is pushed"));
    Ok(Outcome::Found)
}

async fn push(
    prepared: &Prepared,
    staging: &str,
    built: &Built,
    decision: &Decision,
    number: u64,
    ui: &Ui,
) -> Result<Repository, CliError> {
    let client = &prepared.builder.client;
    let repo = staging_repository(staging, &built.name)?;
    ui.status(&format!("push {repo}:{}", decision.tag));
    let (pushed, left) = pull_request::push(client, &repo, &built.content, &decision.tag, number).await?;
    if let Some(error) = left {
        ui.warning(&format!("older tags of this pull request stay in {}: {error}", repo.name()));
    }
    Ok(pushed)
}

fn staging_repository(staging: &str, image: &str) -> Result<Reference, CliError> {
    let mut all = prepared::repositories(&[staging.to_owned()], image)?;
    Ok(all.remove(0))
}

/// Writes `DIR/IMAGE-TAG.tar` and gives its name.
async fn archive(
    client: &Client,
    folder: &Path,
    built: &Built,
    decision: &Decision,
) -> Result<String, CliError> {
    std::fs::create_dir_all(folder).map_err(perijove_oci::Error::io(folder))?;
    let name = archive_name(&built.name, &decision.tag);
    let (file, tag) = (folder.join(&name), decision.tag.clone());
    let blobs = temporary()?;
    let content = client.localize(built.content.clone(), blobs.path(), perijove_oci::push::PARALLEL).await?;
    perijove_build::blocking(move || {
        perijove_oci::archive::write_oci_archive(&file, &content, Some(&tag)).map_err(Into::into)
    })
    .await?;
    Ok(name)
}

/// Removes every tag of the pull request. Done again, it finds nothing.
async fn close(images: &[String], staging: Option<&str>, number: u64, ui: &Ui) -> Result<Outcome, CliError> {
    let Some(staging) = staging else {
        ui.status("no staging registry, so nothing to remove");
        ui.result("", &json!({ "pull_request": number, "removed": [], "left": [] }))?;
        return Ok(Outcome::Done);
    };
    let client = Client::new(ui.reporter())?;
    let (mut removed, mut left) = (Vec::new(), Vec::new());
    for image in images {
        let repo = staging_repository(staging, image)?;
        for tag in pull_request::close(&client, &repo, number).await? {
            if tag.removed { removed.push(tag.reference) } else { left.push(tag.reference) }
        }
    }
    if removed.is_empty() && left.is_empty() {
        ui.status(&format!("{staging} has nothing of pull request {number}"));
    }
    let lines = removed.iter().map(|tag| format!("removed {tag}"));
    let lines = lines
        .chain(left.iter().map(|tag| {
            format!("left {tag}: the registry deletes no tags, and its manifest has another one")
        }));
    ui.result(
        &lines.collect::<Vec<_>>().join("\n"),
        &json!({ "pull_request": number, "removed": removed, "left": left }),
    )?;
    Ok(if left.is_empty() { Outcome::Done } else { Outcome::Found })
}

/// `--close --dry-run`: the tags that would be removed.
async fn would_close(
    images: &[String],
    staging: Option<&str>,
    number: u64,
    ui: &Ui,
) -> Result<Outcome, CliError> {
    let client = Client::new(ui.reporter())?;
    let mut steps = Vec::new();
    for image in images {
        let Some(staging) = staging else { continue };
        let repo = staging_repository(staging, image)?;
        let tags = pull_request::there(&client, &repo, number).await?;
        steps.extend(tags.iter().map(|tag| format!("remove {}", repo.with_tag(tag))));
    }
    ui.result(&steps.join("\n"), &json!({ "pull_request": number, "steps": steps }))?;
    Ok(Outcome::Done)
}
