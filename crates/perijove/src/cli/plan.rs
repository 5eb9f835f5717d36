//! `perijove plan`: what a release of these locks would do, and what that means for nodes.

use perijove_release::markdown;
use perijove_release::plan::{Decision, Why};
use perijove_release::pull_request;
use perijove_release::record::{Plan, Planned};
use serde_json::json;

use super::error::CliError;
use super::prepared::{self, prepare};
use super::{Global, Outcome};
use crate::ui::{Ui, bytes};

pub async fn run(arguments: prepared::What, global: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    let prepared = prepare(&arguments, false, global, ui).await?;
    let kinship = |theirs: &str| prepared.kinship(theirs);
    let observe = |_: &_| {};
    let mut decisions = prepared.release(&kinship, &observe).plan().await?;
    let mut warnings = prepared.all_warnings(&decisions);
    match (arguments.pull_request, &prepared.refusal) {
        (Some(number), _) => as_pull_request(&mut decisions, number),
        (None, Some(refusal)) => warnings.push(refusal.message.clone()),
        (None, None) => {}
    }
    for warning in &warnings {
        ui.warning(warning);
    }
    let images = prepared.compare(&decisions).await?;
    let plan = Plan {
        commit: prepared.builder.revision.clone(),
        branch: prepared.branch.clone(),
        images,
        warnings,
        build_seconds: prepared.build_seconds,
    };
    let text: Vec<String> = plan.images.iter().map(describe).collect();
    ui.report(&text.join("\n"), &markdown::plan(&plan), &json!(plan))?;
    Ok(Outcome::Done)
}

/// A pull request's images have tags of their own and no aliases.
pub fn as_pull_request(decisions: &mut [Decision], number: u64) {
    for decision in decisions.iter_mut().filter(|decision| !decision.released) {
        decision.tag = pull_request::tag(&decision.tag, number);
        decision.aliases.clear();
    }
}

/// An image of a plan in lines.
pub fn describe(image: &Planned) -> String {
    let Planned { decision, change, .. } = image;
    let Decision { image: name, tag, aliases, why, previous, .. } = decision;
    let mut lines = vec![match why {
        Why::Changed => {
            let after =
                previous.as_ref().map_or("the first of its line".to_owned(), |p| format!("after {p}"));
            format!("{name} {tag} {}({after})", aliases.iter().map(|a| format!("{a} ")).collect::<String>())
        }
        Why::Unchanged => format!("{name}: nothing changed since {tag}"),
        Why::SameCommit => format!("{name}: this commit is released, as {tag} or before it"),
        Why::Older => format!("{name}: {tag} is of a later commit; nothing older is released over it"),
    }];
    if why.is_new() {
        if previous.is_some() {
            for package in &change.packages {
                let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".to_owned());
                let (old, new) = (version(&package.old), version(&package.new));
                let mark = if package.security { ", security" } else { "" };
                lines.push(format!("  {} {}: {old} → {new}{mark}", package.kind.name(), package.name));
            }
        }
        for platform in &change.platforms {
            let (moving, all) = platform.moving();
            lines.push(format!(
                "  {}: {moving} of {all} layers move, a node pulls {} of {}",
                platform.platform,
                bytes(platform.pull_bytes),
                bytes(platform.size_bytes)
            ));
        }
    }
    lines.join("\n")
}
