//! `perijove init`: a working image repository with pipelines, in a folder that has none.

use std::path::{Path, PathBuf};

use perijove_build::lock::image;
use perijove_build::lock::journal::{self, Rewrite, Workspace};
use perijove_build::lock::wheels::Upgrade;
use perijove_build::{Config, config};
use perijove_init::facts::{Facts, Git};
use perijove_init::place::{self, Placement};
use perijove_init::templates::{self, Wanted};

use super::error::CliError;
use super::{Global, Outcome};
use crate::settings;
use crate::ui::Ui;

/// Flags of `init`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder; made where there is none
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Where the images go, as REGISTRY/NAMESPACE; ghcr.io/OWNER where `origin` is at GitHub (may be given several times)
    #[arg(long, value_name = "REGISTRY", env = "PERIJOVE_REGISTRIES", value_delimiter = ',')]
    registry: Vec<String>,
    /// Write no locks, which takes the network; `perijove lock` does it later
    #[arg(long)]
    no_lock: bool,
    /// Write the pipelines alone, as for a repository that has its images
    #[arg(long)]
    pipelines: bool,
    /// Replace files that are there and differ
    #[arg(long)]
    force: bool,
}

pub async fn run(arguments: Arguments, global: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    let folder = global.directory.join(&arguments.folder);
    let folder = std::path::absolute(&folder).map_err(CliError::io(folder.display()))?;
    let made = Made::folder(&folder).map_err(CliError::io(folder.display()))?;
    let git = Git::ask(&folder);
    let registries: Vec<String> = arguments.registry.into_iter().filter(|r| !r.is_empty()).collect();
    let mut facts = Facts::new(&git, &registries, &folder)?;
    let wanted = if arguments.pipelines { Wanted::Pipelines } else { Wanted::All };
    // What an interrupted run began comes first: else its files would be in the way.
    journal::settle(&folder)?;
    // What is there knows better than git, which may be on another branch.
    let there = Config::find(&folder).ok().filter(|config| config.root == folder);
    if let Some(branch) = there.and_then(|config| config.repository.default_branch) {
        facts.default_branch = branch;
    }
    let mut placement = place::decide(&folder, templates::files(&facts, wanted), arguments.force)?;
    if wanted == Wanted::All && !arguments.no_lock {
        let locks = locks(&folder, &placement, ui).await?;
        placement.write.extend(locks);
    }
    let written = place::write(&folder, &placement.write)?;
    made.keep();
    say(&written, &placement, wanted, &facts, &git, &folder, ui);
    let shown = |paths: &[PathBuf]| paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
    let json = serde_json::json!({
        "folder": folder.display().to_string(),
        "written": shown(&written),
        "replaced": shown(&placement.replaced),
        "registries": facts.registries,
        "source": facts.source,
        "default_branch": facts.default_branch,
    });
    ui.result(&shown(&written).join("\n"), &json)?;
    Ok(Outcome::Done)
}

/// The locks that the repository lacks. They are made in a copy, so that nothing is there before all of it is.
async fn locks(folder: &Path, placement: &Placement, ui: &Ui) -> Result<Vec<Rewrite>, CliError> {
    let workspace = Workspace::new(folder)?;
    let root = workspace.path();
    for place in &placement.same {
        copy(&folder.join(place), &root.join(place)).map_err(CliError::io(root.join(place).display()))?;
    }
    for file in &placement.write {
        let target = root.join(&file.place);
        let bytes = file.bytes.as_deref().unwrap_or_default();
        std::fs::create_dir_all(target.parent().unwrap_or(root))
            .and_then(|()| std::fs::write(&target, bytes))
            .map_err(CliError::io(target.display()))?;
    }
    let settings = root.join(config::FILE);
    let text = std::fs::read_to_string(&settings).map_err(CliError::io(settings.display()))?;
    let config = Config::parse(root, &text)?;
    let images = config.select(&[])?;
    let there = |name: &String| {
        let lock = |file: &str| Path::new("images").join(name).join(file);
        ["debs.lock", "requirements.txt"].map(lock).into_iter().all(|lock| folder.join(lock).exists())
    };
    if images.iter().all(there) {
        return Ok(Vec::new());
    }
    ui.status("locking: Debian packages and Python wheels of every platform");
    let origins = settings::origins(&config, &ui.reporter())?;
    image::lock(&config, &images, &origins, &Upgrade::Nothing, jiff::Timestamp::now()).await?;
    // What is in the images' folders now and was not before: locks, and wheels that were built for them.
    let mut locks = Vec::new();
    let images = root.join("images");
    for path in files(&images).map_err(CliError::io(images.display()))? {
        let place = path.strip_prefix(root).unwrap_or(&path).to_owned();
        let written = placement.write.iter().any(|file| file.place == place);
        if !written && !folder.join(&place).exists() {
            let bytes = std::fs::read(&path).map_err(CliError::io(path.display()))?;
            locks.push(Rewrite { place, bytes: Some(bytes) });
        }
    }
    Ok(locks)
}

/// Every file below `folder`, sorted.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let next = if entry.file_type()?.is_dir() { &mut folders } else { &mut found };
            next.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::copy(from, to).map(drop)
}

fn say(
    written: &[PathBuf],
    placement: &Placement,
    wanted: Wanted,
    facts: &Facts,
    git: &Git,
    folder: &Path,
    ui: &Ui,
) {
    if written.is_empty() {
        ui.status("nothing to do: every file is there");
        return;
    }
    for place in &placement.replaced {
        ui.status(&format!("replaced {}", place.display()));
    }
    if !facts.github {
        ui.warning(
            "the pipelines are for GitHub Actions, and no `origin` at GitHub is set: elsewhere, run what their steps run",
        );
    }
    if git.top.as_ref().is_some_and(|top| std::fs::canonicalize(folder).is_ok_and(|folder| folder != *top)) {
        ui.warning("GitHub reads .github/ at the top of a git repository only: move it there");
    }
    if wanted == Wanted::Pipelines {
        return;
    }
    if facts.registries.is_empty() {
        ui.warning("no registry is known: set `registries` in perijove.toml before the first release");
    }
    ui.status("next: look at perijove.toml, run `perijove test`, commit, push (docs/releasing.md)");
}

/// Takes back the folders that a failed run has made.
struct Made {
    folders: Vec<PathBuf>,
}

impl Made {
    /// Makes `folder` and those above it.
    fn folder(folder: &Path) -> std::io::Result<Self> {
        let state = folder.join(".perijove");
        let new = |path: &&Path| !path.exists();
        let folders = state.ancestors().take_while(new).map(Path::to_owned).collect();
        let made = Made { folders };
        std::fs::create_dir_all(folder)?;
        Ok(made)
    }

    fn keep(mut self) {
        self.folders.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Perijove's own folder goes with what is in it, the others only when they are empty.
            let _ = match folder.ends_with(".perijove") {
                // What is journalled is finished by the next run.
                true if folder.join("locks/journal.json").exists() => Ok(()),
                true => std::fs::remove_dir_all(folder),
                false => std::fs::remove_dir(folder),
            };
        }
    }
}
