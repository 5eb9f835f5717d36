//! `perijove test`: an image's own checks, run against exactly what `build` makes.

use std::time::Duration;

use perijove_build::{Builder, Built};
use perijove_oci::Platform;
use perijove_runtime::check::{self, Check, CheckResult, Verdict};
use perijove_runtime::{Engine, ImageSource, Settings, Spec, Wanted};
use serde_json::json;

use super::error::CliError;
use super::temporary::temporary;
use super::{Global, Outcome, lock, repository};
use crate::settings;
use crate::ui::{Ui, seconds};

/// Flags of `test`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The images; all of them where none is named
    images: Vec<String>,
    /// What runs the containers: auto, docker, podman, runc or builtin
    #[arg(long, default_value = "auto", env = "PERIJOVE_RUNTIME")]
    runtime: Wanted,
}

pub async fn run(arguments: Arguments, global: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    let config = repository(global, ui)?;
    let images = config.select(&arguments.images)?;
    let look = lock::Look::at(&config, &images);
    let builder = settings::builder(config, None, None, &ui.reporter())?;
    let engine = engine(arguments.runtime, ui).await?;
    let (mut lines, mut results, mut failed) = (Vec::new(), Vec::new(), false);
    for name in &images {
        let host = Platform::host();
        let platforms = builder.config.repository.platforms.clone();
        let built = builder.build(name, &platforms, &[]).await?;
        let layout = temporary()?;
        let source = layout_of(&builder, &built, layout.path()).await?;
        for platform in &platforms {
            for result in checks(&builder, &engine, &built, &source, platform, &Spec::default()).await? {
                failed |= matches!(result.verdict, Verdict::Failed(_));
                lines.push(line(name, platform, &result));
                results.push(as_json(name, platform, &result));
            }
            if *platform == host && builder.config.image(name)?.test.is_empty() {
                lines.push(format!("{name} {platform}: no checks in perijove.toml"));
            }
        }
    }
    for warning in look.warnings().await {
        ui.warning(&warning);
    }
    ui.result(&lines.join("\n"), &json!({ "checks": results, "runtime": engine.runtime.name() }))?;
    Ok(if failed { Outcome::Found } else { Outcome::Done })
}

/// The runtime that is asked for, or the first that works here.
pub async fn engine(wanted: Wanted, ui: &Ui) -> Result<Engine, CliError> {
    Ok(Engine::choose(wanted, Settings::new(settings::cache_folder()?.join("run"), ui.reporter())).await?)
}

/// The built image as a layout on disk, for a runtime.
pub async fn layout_of(
    builder: &Builder,
    built: &Built,
    folder: &std::path::Path,
) -> Result<ImageSource, CliError> {
    let blobs = folder.join("blobs");
    let content =
        builder.client.localize(built.content.clone(), &blobs, perijove_oci::push::PARALLEL).await?;
    let (dir, digest) = (folder.to_owned(), built.digest.clone());
    perijove_build::blocking(move || {
        perijove_oci::layout::write_layout(&dir, &content, None).map_err(Into::into)
    })
    .await?;
    Ok(ImageSource { layout: folder.to_owned(), manifest: digest, registry_reference: None })
}

/// Runs the checks of `perijove.toml` on one platform of a built image, in containers of `base`.
pub async fn checks(
    builder: &Builder,
    engine: &Engine,
    built: &Built,
    source: &ImageSource,
    platform: &Platform,
    base: &Spec,
) -> Result<Vec<CheckResult>, CliError> {
    let mut results = Vec::new();
    for check in &builder.config.image(&built.name)?.test {
        let check = settle(&built.name, check, &built.version)?;
        results.push(check::run(engine, source, platform, &check, base).await?);
    }
    Ok(results)
}

/// A check as it stands in `perijove.toml` → one that can be run.
fn settle(image: &str, check: &perijove_build::config::Check, version: &str) -> Result<Check, CliError> {
    let within = Duration::from_secs(check.within_seconds.unwrap_or(60));
    let wrong = |message: &str| {
        CliError::usage(
            format!("perijove.toml: image.{image}.test: {message}"),
            "a check has `run` and perhaps `expect`, or `serve` and `get`",
        )
    };
    match (check.run.is_empty(), check.serve.is_empty(), &check.get) {
        (false, true, None) => Ok(Check::Run {
            run: check.run.clone(),
            expect: check.expect.as_ref().map(|text| text.replace("{version}", version)),
            within,
        }),
        (true, false, Some(get)) => Ok(Check::Serve {
            serve: check.serve.clone(),
            get: get.parse().map_err(|e| wrong(&format!("get `{get}`: {e}")))?,
            within,
        }),
        _ => Err(wrong("neither a command nor a service")),
    }
}

/// `hub linux/amd64: passed  run jupyterhub --version (0.5 s)`, with the last output when it failed.
pub fn line(image: &str, platform: &Platform, result: &CheckResult) -> String {
    let (word, reason) = match &result.verdict {
        Verdict::Passed => ("passed", String::new()),
        Verdict::Failed(reason) => ("failed", format!(": {reason}")),
        Verdict::Untested(reason) => ("untested", format!(": {reason}")),
    };
    let mut text =
        format!("{image} {platform}: {word}  {} ({}){reason}", result.name, seconds(result.seconds));
    if matches!(result.verdict, Verdict::Failed(_)) {
        for line in &result.output {
            text.push_str(&format!("\n    {line}"));
        }
    }
    text
}

/// A check's result for scripts.
pub fn as_json(image: &str, platform: &Platform, result: &CheckResult) -> serde_json::Value {
    let (state, reason) = match &result.verdict {
        Verdict::Passed => ("passed", None),
        Verdict::Failed(reason) => ("failed", Some(reason)),
        Verdict::Untested(reason) => ("untested", Some(reason)),
    };
    json!({
        "image": image, "platform": platform.to_string(), "check": result.name,
        "result": state, "reason": reason, "seconds": result.seconds,
    })
}
