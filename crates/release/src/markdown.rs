//! What people read of plans and records in pull requests, job summaries and release notes: pure functions.
//!
//! Names, versions and messages come from locks, which a stranger's pull request may have written: each stands in a
//! code span, on one line, without what could end that.

use std::fmt::Write as _;

use crate::plan::{Decision, Why};
use crate::record::{Checked, Plan, Planned, Record, Released, Verdict};
use crate::referee::Referee;
use crate::units::{bytes, seconds};

/// By this line a pipeline finds the comment that it wrote before.
pub const MARKER: &str = "<!-- perijove -->";

/// The most packages that a table lists; the rest is counted.
const MOST: usize = 100;

/// What a merge would release: `perijove plan --format markdown`.
pub fn plan(plan: &Plan) -> String {
    let mut text = format!("{MARKER}\n## Perijove plan\n\n");
    if plan.images.iter().all(|image| !image.decision.why.is_new()) {
        text.push_str("Nothing to release.\n\n");
    }
    table(&mut text, plan.images.iter());
    warnings(&mut text, &plan.warnings);
    for image in plan.images.iter().filter(|image| image.decision.why.is_new()) {
        details(&mut text, image);
    }
    let _ = writeln!(text, "Built in {}.", seconds(plan.build_seconds));
    text
}

/// What was built and tested for a pull request, and where it is.
pub fn pull_request(record: &Record) -> String {
    let mut text = format!("{MARKER}\n## Perijove: images of this pull request\n\n");
    if record.images.iter().all(|image| image.already_there) {
        text.push_str("No image changes.\n\n");
    }
    table(&mut text, record.images.iter().map(|image| &image.planned));
    warnings(&mut text, &record.warnings);
    for image in record.images.iter().filter(|image| !image.already_there) {
        details(&mut text, &image.planned);
        places(&mut text, image);
    }
    checks(&mut text, &record.checks);
    let (build, test) = (record.times.build_seconds, record.times.test_seconds);
    let _ = writeln!(text, "Built in {}, tested in {}.", seconds(build), seconds(test));
    text
}

/// The summary of a release's job.
pub fn summary(record: &Record) -> String {
    let mut text = String::from("## Perijove release\n\n");
    if record.nothing_to_release {
        text.push_str("Nothing to release.\n\n");
    }
    if !record.images.is_empty() {
        table(&mut text, record.images.iter().map(|image| &image.planned));
    }
    warnings(&mut text, &record.warnings);
    for tag in &record.overwritten {
        let _ = write!(
            text,
            "{} was overwritten by another release; this one took the next number.\n\n",
            code(tag)
        );
    }
    for image in record.images.iter().filter(|image| !image.already_there) {
        details(&mut text, &image.planned);
        repositories(&mut text, image);
    }
    checks(&mut text, &record.checks);
    let _ = writeln!(text, "{} pushed, {} in all.", bytes(record.pushed_bytes), seconds(record.seconds));
    text
}

/// Release notes: what changed for those who run the images.
pub fn notes(record: &Record) -> String {
    let mut text = String::new();
    let mut new = record.images.iter().filter(|image| !image.already_there).peekable();
    if new.peek().is_none() {
        text.push_str("No image changed.\n");
    }
    for image in new {
        details(&mut text, &image.planned);
        repositories(&mut text, image);
    }
    let count = |wanted| record.checks.iter().filter(|check| check.result == wanted).count();
    let (passed, untested) = (count(Verdict::Passed), count(Verdict::Untested));
    if passed + untested > 0 {
        let _ = writeln!(text, "Checks before the release: {passed} passed, {untested} untested.");
    }
    if let Some(commit) = &record.commit {
        let _ = writeln!(text, "Commit {}.", code(commit));
    }
    text
}

fn table<'a>(text: &mut String, images: impl Iterator<Item = &'a Planned>) {
    text.push_str("| image | tag | aliases | packages | nodes pull | size |\n|---|---|---|---|---|---|\n");
    for Planned { decision, change, .. } in images {
        let Decision { image, tag, aliases, why, .. } = decision;
        let (tag, aliases) = match why {
            Why::Changed => (code(tag), codes(aliases)),
            Why::Unchanged => (format!("{}, unchanged", code(tag)), String::new()),
            Why::SameCommit => (format!("{}, this commit is released", code(tag)), String::new()),
            Why::Older => (format!("{}, of a later commit", code(tag)), String::new()),
        };
        let security = change.packages.iter().filter(|package| package.security).count();
        let packages = match (change.packages.len(), security) {
            (all, 0) => all.to_string(),
            (all, security) => format!("{all}, {security} security"),
        };
        // One number where all platforms agree on how it reads.
        let each = |number: fn(&crate::compare::PlatformChange) -> u64| {
            let mut all: Vec<String> = change.platforms.iter().map(|p| bytes(number(p))).collect();
            all.dedup();
            all.join(", ")
        };
        let (pull, size) = (each(|p| p.pull_bytes), each(|p| p.size_bytes));
        let _ = writeln!(text, "| {} | {tag} | {aliases} | {packages} | {pull} | {size} |", code(image));
    }
    text.push('\n');
}

fn details(text: &mut String, image: &Planned) {
    let Planned { decision, change, .. } = image;
    let _ = write!(text, "### {} {}\n\n", code(&decision.image), code(&decision.tag));
    match &decision.previous {
        Some(previous) => {
            let _ = write!(text, "After {}", code(previous));
            let _ = match change.packages.len() {
                0 => write!(text, "; no package changed.\n\n"),
                1 => write!(text, "; one package changed:\n\n"),
                number => write!(text, "; {number} packages changed:\n\n"),
            };
            packages(text, image);
        }
        None => text.push_str("The first of its line.\n\n"),
    }
    text.push_str("| platform | layers that move | nodes pull | size |\n|---|---|---|---|\n");
    for platform in &change.platforms {
        let (moving, all) = platform.moving();
        let _ = writeln!(
            text,
            "| {} | {moving} of {all} | {} | {} |",
            code(&platform.platform),
            bytes(platform.pull_bytes),
            bytes(platform.size_bytes)
        );
    }
    text.push('\n');
}

fn packages(text: &mut String, image: &Planned) {
    let all = &image.change.packages;
    if all.is_empty() {
        return;
    }
    text.push_str("| package | kind | old | new | |\n|---|---|---|---|---|\n");
    for package in all.iter().take(MOST) {
        let version = |version: &Option<String>| version.as_deref().map(code).unwrap_or_default();
        let mark = match (&package.old, &package.new, package.security) {
            (_, _, true) => "security",
            (None, _, _) => "added",
            (_, None, _) => "removed",
            _ => "",
        };
        let (old, new) = (version(&package.old), version(&package.new));
        let _ =
            writeln!(text, "| {} | {} | {old} | {new} | {mark} |", code(&package.name), package.kind.name());
    }
    text.push('\n');
    if all.len() > MOST {
        let _ = write!(text, "And {} more.\n\n", all.len() - MOST);
    }
}

/// Where a pull request's image is, and how to have it.
fn places(text: &mut String, image: &Released) {
    let Decision { image: name, tag, .. } = &image.planned.decision;
    for repository in &image.repositories {
        let _ = write!(text, "```\ndocker pull {}:{tag}\n```\n\n", repository.repository);
    }
    if let Some(archive) = &image.archive {
        let _ = write!(
            text,
            "In the pipeline's artifact {}:\n\n```\npodman load --input {archive}\n\
             skopeo copy oci-archive:{archive} docker-daemon:{name}:{tag}\n```\n\n",
            code(archive)
        );
    }
}

fn repositories(text: &mut String, image: &Released) {
    let Decision { tag, aliases, digest, .. } = &image.planned.decision;
    for repository in &image.repositories {
        let referee = match repository.referee {
            Some(Referee::Registry) => "the registry lets nobody overwrite it",
            Some(Referee::Checked) => "checked before and after; the registry would let others overwrite it",
            None => continue,
        };
        let reference = code(&format!("{}:{tag}", repository.repository));
        let _ = writeln!(text, "- {reference}, also {}: {referee}", codes(aliases));
    }
    let _ = write!(text, "- {}\n\n", code(&digest.to_string()));
}

fn checks(text: &mut String, checks: &[Checked]) {
    if checks.is_empty() {
        return;
    }
    text.push_str("| check | image | platform | | time |\n|---|---|---|---|---|\n");
    for check in checks {
        let result = match (check.result, check.reason.as_deref()) {
            (Verdict::Passed, _) => "passed".to_owned(),
            (Verdict::Failed, reason) => format!("**failed** {}", reason.map(code).unwrap_or_default()),
            (Verdict::Untested, reason) => format!("untested {}", reason.map(code).unwrap_or_default()),
        };
        let Checked { image, platform, check, seconds: time, .. } = check;
        let (check, image, platform) = (code(check), code(image), code(platform));
        let _ = writeln!(text, "| {check} | {image} | {platform} | {} | {} |", result.trim(), seconds(*time));
    }
    text.push('\n');
}

fn warnings(text: &mut String, warnings: &[String]) {
    for warning in warnings {
        let _ = write!(text, "> [!WARNING]\n> {}\n\n", plain(warning, 400));
    }
}

fn codes(all: &[String]) -> String {
    all.iter().map(|one| code(one)).collect::<Vec<_>>().join(" ")
}

/// The longest text in a code span.
const LONGEST: usize = 120;

fn code(text: &str) -> String {
    match plain(text, LONGEST) {
        text if text.is_empty() => text,
        text => format!("`{text}`"),
    }
}

/// One line, bounded, with nothing in it that means something in a table, a code span or a comment.
fn plain(text: &str, longest: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let harmless = words.chars().map(|c| match c {
        '|' => '¦',
        '`' => '\'',
        '<' => '‹',
        '>' => '›',
        '@' if longest != LONGEST => '＠',
        c if c.is_control() => ' ',
        c => c,
    });
    let mut text: String = harmless.clone().take(longest).collect();
    if harmless.count() > longest {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
