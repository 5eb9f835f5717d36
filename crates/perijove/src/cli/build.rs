//! `perijove build`: locks → images, to files or to a registry.

use std::path::PathBuf;
use std::time::Instant;

use perijove_build::layer::Compression;
use perijove_build::{Built, locks};
use perijove_oci::{Platform, Reference};
use serde_json::json;

use super::error::CliError;
use super::reference::ReferenceParser;
use super::temporary::temporary;
use super::{Global, Outcome, lock, repository};
use crate::settings;
use crate::ui::{Ui, bytes, seconds};

/// Flags of `build`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The images; all of them where none is named
    images: Vec<String>,
    /// Platforms to build, separated by commas; all of perijove.toml where none is named
    #[arg(long, value_delimiter = ',', value_name = "PLATFORM")]
    platform: Vec<Platform>,
    /// Where the image goes: oci:DIR, oci-archive:FILE or docker-archive:FILE (may be given several times)
    #[arg(long, value_name = "OUTPUT")]
    output: Vec<Output>,
    /// Push to REPOSITORY[:TAG]; without a tag to the moving tag `unreleased`. With several images, REPOSITORY/NAME
    #[arg(long, value_name = "REPOSITORY", value_parser = ReferenceParser)]
    push: Option<Reference>,
    /// An image whose layers may be used again, besides what lies in the pushed repository
    #[arg(long, value_name = "REFERENCE", value_parser = ReferenceParser)]
    previous: Vec<Reference>,
    /// Compression of the layers; perijove.toml says it otherwise
    #[arg(long, value_enum)]
    compression: Option<CompressionFlag>,
    /// Run the builder of images from a Dockerfile even where nothing changed here: what it fetches may have
    #[arg(long)]
    rebuild: bool,
    /// The commit for the images' annotations; git says it otherwise
    #[arg(long, env = "PERIJOVE_REVISION", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    revision: Option<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum CompressionFlag {
    Gzip,
    Zstd,
}

#[derive(Clone)]
enum Output {
    Layout(PathBuf),
    OciArchive(PathBuf),
    DockerArchive(PathBuf),
}

impl std::str::FromStr for Output {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("oci", path)) if !path.is_empty() => Ok(Output::Layout(path.into())),
            Some(("oci-archive", path)) if !path.is_empty() => Ok(Output::OciArchive(path.into())),
            Some(("docker-archive", path)) if !path.is_empty() => Ok(Output::DockerArchive(path.into())),
            _ => Err(format!("`{text}` is not oci:DIR, oci-archive:FILE or docker-archive:FILE")),
        }
    }
}

/// The tag of a push that names none: it moves, and no rule reads it.
pub const UNRELEASED: &str = "unreleased";

pub async fn run(arguments: Arguments, global: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    let start = Instant::now();
    let config = repository(global, ui)?;
    let images = config.select(&arguments.images)?;
    let platforms = locks::platforms(&config, &arguments.platform)?;
    let several = images.len() > 1;
    if several
        && !arguments.output.is_empty()
        && arguments.output.iter().any(|o| !matches!(o, Output::Layout(_)))
    {
        return Err(CliError::usage(
            format!("an archive holds one image, and {} are to be built", images.len()),
            "name one image, or use --output oci:DIR",
        ));
    }
    let compression = arguments.compression.map(|flag| match flag {
        CompressionFlag::Gzip => Compression::Gzip,
        CompressionFlag::Zstd => Compression::Zstd,
    });
    let look = lock::Look::at(&config, &images);
    let mut builder = settings::builder(config, compression, arguments.revision.clone(), &ui.reporter())?;
    builder.rebuild = arguments.rebuild;
    let mut results = Vec::new();
    let mut pushed = 0;
    for name in &images {
        let target = arguments.push.as_ref().map(|repo| {
            let mut target = repo.clone();
            if several {
                target.repository = format!("{}/{name}", repo.repository);
            }
            target.with_tag(&repo.tag.clone().unwrap_or_else(|| UNRELEASED.to_owned()))
        });
        let mut previous: Vec<Reference> = target.iter().cloned().collect();
        previous.extend(arguments.previous.iter().cloned());
        let built = builder.build(name, &platforms, &previous).await?;
        for output in &arguments.output {
            write(&builder.client, output, &built, &platforms, several).await?;
        }
        if let Some(target) = &target {
            let siblings = siblings(&images, name, arguments.push.as_ref(), several);
            let tag = target.tag.clone().into_iter().collect::<Vec<_>>();
            let report = builder
                .client
                .push_image(target, &built.content, &tag, &siblings, perijove_oci::push::PARALLEL)
                .await?;
            pushed += report.pushed_bytes;
            ui.status(&format!("pushed {target} ({})", bytes(report.pushed_bytes)));
        }
        results.push(built);
    }
    for warning in look.warnings().await {
        ui.warning(&warning);
    }
    let fetched = builder.origins.fetcher().fetched_bytes() + builder.client.received_bytes();
    let took = start.elapsed().as_secs_f64();
    let text: Vec<String> = results.iter().map(describe).collect();
    ui.status(&format!("fetched {}, pushed {}, {}", bytes(fetched), bytes(pushed), seconds(took)));
    ui.result(
        &text.join("\n"),
        &json!({ "images": results, "fetched_bytes": fetched, "pushed_bytes": pushed, "seconds": took }),
    )?;
    Ok(Outcome::Done)
}

/// Repositories of the same push that may hold blobs already.
fn siblings(images: &[String], name: &str, repo: Option<&Reference>, several: bool) -> Vec<String> {
    let Some(repo) = repo.filter(|_| several) else { return Vec::new() };
    images.iter().filter(|i| *i != name).map(|i| format!("{}/{i}", repo.repository)).collect()
}

async fn write(
    client: &perijove_oci::client::Client,
    output: &Output,
    built: &Built,
    platforms: &[Platform],
    several: bool,
) -> Result<(), CliError> {
    let state = temporary()?;
    let content = client.localize(built.content.clone(), state.path(), perijove_oci::push::PARALLEL).await?;
    let tag = if several { format!("{}-{}", built.name, built.version) } else { built.version.clone() };
    let name = format!("localhost/{}:{}", built.name, tag_text(&built.version));
    let output = output.clone();
    let platform = platforms.iter().find(|p| **p == Platform::host()).or(platforms.first()).cloned();
    perijove_build::blocking(move || {
        match &output {
            Output::Layout(dir) => perijove_oci::layout::write_layout(dir, &content, Some(&tag))?,
            Output::OciArchive(file) => perijove_oci::archive::write_oci_archive(file, &content, Some(&tag))?,
            Output::DockerArchive(file) => {
                let platform = platform.unwrap_or_else(Platform::host);
                perijove_oci::archive::write_docker_archive(file, &content, &platform, &[name])?;
            }
        }
        Ok(())
    })
    .await?;
    Ok(())
}

/// A version as a tag: what tags cannot hold (`+` of local versions) becomes `-`.
fn tag_text(version: &str) -> String {
    version.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

fn describe(built: &Built) -> String {
    let mut lines = vec![format!("{} {} {}", built.name, built.version, built.digest)];
    for platform in &built.platforms {
        let size = platform.layers.iter().map(|l| l.size_bytes).sum();
        lines.push(format!(
            "  {} {} {} layers {}",
            platform.platform,
            platform.digest,
            platform.layers.len(),
            bytes(size)
        ));
    }
    lines.join("\n")
}
