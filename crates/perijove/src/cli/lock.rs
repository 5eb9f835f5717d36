//! `perijove lock`: inputs → locks.

use perijove_build::Config;
use perijove_build::lock::image;
use perijove_build::lock::wheels::Upgrade;

use super::error::CliError;
use super::{Global, Outcome, repository};
use crate::settings;
use crate::ui::Ui;

/// Flags of `lock`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The images; all of them where none is named
    images: Vec<String>,
    /// Move every package to its newest version
    #[arg(long, short = 'U')]
    upgrade: bool,
    /// Move this package to its newest version (may be given several times)
    #[arg(long, short = 'P', value_name = "NAME", conflicts_with = "upgrade")]
    upgrade_package: Vec<String>,
    /// Write nothing; exit 1 when a lock is behind its input
    #[arg(long, conflicts_with_all = ["upgrade", "upgrade_package"])]
    check: bool,
}

pub async fn run(arguments: Arguments, global: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    let config = repository(global, ui)?;
    let images = config.select(&arguments.images)?;
    if arguments.check {
        let behind = image::check(&config, &images)?;
        let lines: Vec<String> = behind.iter().map(|b| format!("{}: {}", b.lock, b.reason)).collect();
        let json = serde_json::json!({
            "behind": behind.iter().map(|b| serde_json::json!({ "lock": b.lock, "reason": b.reason })).collect::<Vec<_>>(),
        });
        ui.result(&lines.join("\n"), &json)?;
        if behind.is_empty() {
            ui.status("every lock is up to date with its input");
            return Ok(Outcome::Done);
        }
        ui.status("run `perijove lock`");
        return Ok(Outcome::Found);
    }
    let upgrade = match (arguments.upgrade, arguments.upgrade_package) {
        (true, _) => Upgrade::All,
        (false, names) if !names.is_empty() => Upgrade::Packages(names),
        _ => Upgrade::Nothing,
    };
    let origins = settings::origins(&config, &ui.reporter())?;
    let changes = image::lock(&config, &images, &origins, &upgrade, jiff::Timestamp::now()).await?;
    let mut lines = Vec::new();
    for lock in changes.iter().filter(|l| l.rewritten) {
        lines.push(match lock.removed {
            true => format!("{}: removed", lock.lock),
            false => format!("{}: {} changed", lock.lock, packages(lock.changes.len())),
        });
        lines.extend(lock.changes.iter().map(|change| format!("  {change}")));
    }
    if lines.is_empty() {
        ui.status("nothing to change: every lock is what it would be");
    }
    let json = serde_json::json!({
        "locks": changes.iter().map(|lock| serde_json::json!({
            "image": lock.image,
            "lock": lock.lock,
            "rewritten": lock.rewritten,
            "removed": lock.removed,
            "changes": lock.changes.iter().map(|c| serde_json::json!({ "name": c.name, "old": c.old, "new": c.new })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    ui.result(&lines.join("\n"), &json)?;
    Ok(Outcome::Done)
}

fn packages(count: usize) -> String {
    if count == 1 { "1 package".to_owned() } else { format!("{count} packages") }
}

/// A look at which locks are behind their inputs, beside a build: what is built is what the locks say, which may not
/// be what somebody has just written. Takes no time of its own; images whose inputs cannot be read are left out.
pub struct Look(tokio::task::JoinHandle<Vec<image::Behind>>);

impl Look {
    /// Begins.
    pub fn at(config: &Config, images: &[String]) -> Self {
        let (config, images) = (config.clone(), images.to_vec());
        let one = move |name: String| image::check(&config, &[name]).unwrap_or_default();
        Look(tokio::task::spawn_blocking(move || images.into_iter().flat_map(one).collect()))
    }

    /// What is to be said, when the build is done.
    pub async fn warnings(self) -> Vec<String> {
        let behind = self.0.await.unwrap_or_default();
        let said = |b: &image::Behind| {
            format!(
                "{} is behind its input, and is what was built: {} (run `perijove lock`)",
                b.lock, b.reason
            )
        };
        behind.iter().map(said).collect()
    }
}
