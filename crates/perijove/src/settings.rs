//! What flags, environment and `perijove.toml` say, settled once.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use perijove_build::dockerfile::Tool;
use perijove_build::layer::Compression;
use perijove_build::layer::write::LayerCache;
use perijove_build::materialise::Origins;
use perijove_build::{Builder, Config, Fetcher};
use perijove_oci::client::Client;
use perijove_oci::{Event, Reporter};
use perijove_release::plan::DIRTY;

use crate::cli::error::CliError;

/// Perijove's cache: `$XDG_CACHE_HOME/perijove`, `~/.cache/perijove`, else one of the user's own below the temporary
/// folder.
pub fn cache_folder() -> Result<PathBuf, CliError> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    match absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache"))) {
        Some(caches) => Ok(caches.join("perijove")),
        None => own_folder(&std::env::temp_dir()),
    }
}

/// A folder in `temporary` that nobody else can write to: what lies in the cache becomes part of images, and every
/// user of the machine may make names there.
fn own_folder(temporary: &Path) -> Result<PathBuf, CliError> {
    let user = rustix::process::geteuid().as_raw();
    let folder = temporary.join(format!("perijove-{user}"));
    let failed = |reason: String| {
        let message = format!("{}: {reason}", folder.display());
        CliError::failed(message, "set HOME or XDG_CACHE_HOME to a folder of your own")
    };
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error.to_string())),
        _ => match std::fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0 => Ok(folder),
            Ok(_) => Err(failed("this is no folder that you alone can write to".to_owned())),
            Err(error) => Err(failed(error.to_string())),
        },
    }
}

/// `SOURCE_DATE_EPOCH` in seconds (reproducible-builds.org specification), where it is set. A time that no date can be
/// written for would end as 1970 in the image.
pub fn source_date_epoch() -> Result<Option<u64>, CliError> {
    let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = text.trim().parse::<u64>().ok();
    let is_date =
        |seconds: &u64| i64::try_from(*seconds).is_ok_and(|s| jiff::Timestamp::from_second(s).is_ok());
    match seconds.filter(is_date) {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(CliError::usage(
            format!("SOURCE_DATE_EPOCH is `{text}`"),
            "set it to a number of seconds since 1970, before the year 9999, or unset it",
        )),
    }
}

/// `PERIJOVE_HTTP_TIMEOUT`: seconds that a server may say nothing, where it is set.
pub fn http_timeout() -> Result<Option<Duration>, CliError> {
    let text = std::env::var("PERIJOVE_HTTP_TIMEOUT").unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    match text.trim().parse() {
        Ok(seconds @ 1..=86_400) => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(CliError::usage(
            format!("PERIJOVE_HTTP_TIMEOUT is `{text}`"),
            "set it to a number of seconds, 1 to 86400, or unset it",
        )),
    }
}

/// `PERIJOVE_BUILDER`: what builds images from a Dockerfile.
fn tool() -> Result<Option<Tool>, CliError> {
    match std::env::var("PERIJOVE_BUILDER") {
        Ok(text) if !text.is_empty() => text.parse().map(Some).map_err(|reason: String| {
            CliError::usage(format!("PERIJOVE_BUILDER: {reason}"), "set it to one of them, or unset it")
        }),
        _ => Ok(None),
    }
}

/// Where an image repository's packages come from.
pub fn origins(config: &Config, reporter: &Arc<dyn Reporter>) -> Result<Origins, CliError> {
    let fetcher = Fetcher::new(&cache_folder()?, Arc::clone(reporter))?;
    Ok(Origins::new(fetcher, config.repository.mirrors.clone()))
}

/// A builder for the image repository around `folder`.
pub fn builder(
    mut config: Config,
    compression: Option<Compression>,
    revision: Option<String>,
    reporter: &Arc<dyn Reporter>,
) -> Result<Builder, CliError> {
    let compression = compression.unwrap_or(config.repository.compression);
    if let Some(tool) = tool()? {
        config.repository.builder = Some(tool);
    }
    Ok(Builder {
        origins: origins(&config, reporter)?,
        cache: LayerCache::new(&cache_folder()?, compression),
        client: Client::new(Arc::clone(reporter)).map_err(perijove_build::Error::from)?,
        epoch: source_date_epoch()?,
        revision: revision.or_else(|| git_revision(&config.root, reporter)),
        rebuild: false,
        follow_bases: false,
        config,
    })
}

/// The branch: as told, else what the pipeline says (`GITHUB_REF_NAME`; for a pull request the branch that it is to be
/// merged into, `GITHUB_BASE_REF`), else git's.
pub fn branch(root: &Path, told: Option<String>, pull_request: bool) -> Option<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|name| !name.is_empty());
    let pipeline = || {
        let into = if pull_request { set("GITHUB_BASE_REF") } else { None };
        into.or_else(|| set("GITHUB_REF_NAME"))
    };
    told.or_else(pipeline).or_else(|| {
        let mut git = std::process::Command::new("git");
        git.arg("-C").arg(root).args(["symbolic-ref", "--quiet", "--short", "HEAD"]);
        let output = git.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    })
}

/// The commit that is checked out, when what images are made of is as in it.
fn git_revision(root: &Path, reporter: &Arc<dyn Reporter>) -> Option<String> {
    commit(root, reporter).filter(|commit| !commit.ends_with(DIRTY))
}

/// The commit that is checked out, with `-dirty` behind it when what images are made of is not as in it. One
/// question: git's start is a good part of a build with nothing to do.
pub fn commit(root: &Path, reporter: &Arc<dyn Reporter>) -> Option<String> {
    let mut git = std::process::Command::new("git");
    git.arg("-C").arg(root).args(["status", "--porcelain=v2", "--branch", "--"]);
    let output = git.args([perijove_build::config::FILE, "images"]).output().ok()?;
    if output.status.success() {
        return revision(&String::from_utf8_lossy(&output.stdout));
    }
    // git does not trust a checkout of another user, and its settings could run programs: neither do we. Where
    // there is no checkout there is nothing to say.
    let said = String::from_utf8_lossy(&output.stderr);
    if let Some(line) = said.lines().find(|line| line.contains("dubious ownership")) {
        reporter.report(Event::Warning(format!(
            "the images name no commit, for git says: {line} (give --revision, or see git's safe.directory)"
        )));
    }
    None
}

/// The commit in git's answer (git-status(1), "Porcelain Format Version 2"), marked when it lists a change.
fn revision(status: &str) -> Option<String> {
    let (headers, changes): (Vec<&str>, Vec<&str>) = status.lines().partition(|line| line.starts_with("# "));
    let commit = headers.iter().find_map(|line| line.strip_prefix("# branch.oid "))?;
    let mark = if changes.is_empty() { "" } else { DIRTY };
    (commit != "(initial)").then(|| format!("{commit}{mark}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_cache_of_somebody_without_a_home_is_theirs_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = own_folder(temporary.path()).unwrap();
        assert_eq!(std::fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(own_folder(temporary.path()).unwrap(), folder, "the second time, too");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        let error = own_folder(temporary.path()).unwrap_err();
        assert!(error.message.ends_with("this is no folder that you alone can write to"), "{error:?}");
        std::fs::remove_dir(&folder).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &folder).unwrap();
        assert!(own_folder(temporary.path()).is_err(), "a link leads where its maker likes");
    }

    #[test]
    fn a_changed_tree_is_not_its_commit() {
        let clean = "# branch.oid 1234abcd\n# branch.head main\n";
        for (case, status, expected) in [
            ("clean", clean.to_owned(), Some("1234abcd")),
            (
                "changed",
                format!("{clean}1 .M N... 100644 100644 100644 1 2 images/hub/debs.in\n"),
                Some("1234abcd-dirty"),
            ),
            ("untracked", format!("{clean}? images/hub/new\n"), Some("1234abcd-dirty")),
            ("no commit", "# branch.oid (initial)\n# branch.head main\n".to_owned(), None),
            ("not git's", String::new(), None),
        ] {
            assert_eq!(revision(&status).as_deref(), expected, "{case}");
        }
    }
}
