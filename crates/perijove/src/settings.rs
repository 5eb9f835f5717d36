//! What flags, environment and `perijove.toml` say, settled once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use perijove_build::layer::Compression;
use perijove_build::layer::write::LayerCache;
use perijove_build::materialise::Origins;
use perijove_build::{Builder, Config, Fetcher};
use perijove_oci::Reporter;
use perijove_oci::client::Client;

use crate::cli::error::CliError;

/// Perijove's cache: `$XDG_CACHE_HOME/perijove`, `~/.cache/perijove`, else below the temporary folder.
pub fn cache_folder() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("perijove")
}

/// `SOURCE_DATE_EPOCH` in seconds (reproducible-builds.org specification), where it is set.
pub fn source_date_epoch() -> Result<Option<u64>, CliError> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Err(_) => Ok(None),
        Ok(text) => text.trim().parse().map(Some).map_err(|_| {
            CliError::usage(
                format!("SOURCE_DATE_EPOCH is `{text}`"),
                "set it to a number of seconds since 1970, or unset it",
            )
        }),
    }
}

/// Where an image repository's packages come from.
pub fn origins(config: &Config, reporter: &Arc<dyn Reporter>) -> Result<Origins, CliError> {
    let fetcher = Fetcher::new(&cache_folder(), Arc::clone(reporter))?;
    Ok(Origins::new(fetcher, config.repository.mirrors.clone(), &config.root))
}

/// A builder for the image repository around `folder`.
pub fn builder(
    config: Config,
    compression: Option<Compression>,
    revision: Option<String>,
    reporter: &Arc<dyn Reporter>,
) -> Result<Builder, CliError> {
    let compression = compression.unwrap_or(config.repository.compression);
    Ok(Builder {
        origins: origins(&config, reporter)?,
        cache: LayerCache::new(&cache_folder(), compression),
        client: Client::new(Arc::clone(reporter)).map_err(perijove_build::Error::from)?,
        epoch: source_date_epoch()?,
        revision: revision.or_else(|| git_revision(&config.root)),
        config,
    })
}

/// The commit that is checked out, when nothing but its files lies in the work tree.
fn git_revision(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let clean = git(&["status", "--porcelain", "--", "."])?.is_empty();
    if clean { git(&["rev-parse", "HEAD"]) } else { None }
}
