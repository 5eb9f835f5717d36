//! The findings as text and as JSON.

use std::path::Path;

use perijove_migrate::{position, source_line};
use serde_json::json;

use super::{CliError, Found, Planned};
use crate::ui::Ui;

/// Prints; gives how many findings are left open.
pub fn result(found: &Found, written: bool, ui: &Ui) -> Result<usize, CliError> {
    let (mut blocks, mut findings) = (Vec::new(), Vec::new());
    let (mut fixed, mut sure) = (0, 0);
    for page in &found.pages {
        for (finding, ends) in page.reading.findings.iter().zip(&page.ended) {
            let (line, column) = position(&page.source.text, finding.span.start);
            let source = source_line(&page.source.text, finding.span.start);
            let (file, rule, why) = (&page.source.path, finding.rule.id(), finding.rule.why(finding.retired));
            let done = *ends && written;
            fixed += usize::from(done);
            sure += usize::from(*ends);
            let mut block = format!("{file}:{line}:{column}: {rule}{}\n", if done { ", fixed" } else { "" });
            block.push_str(&format!("    {source}\n  why: {why}\n  instead: {}", finding.instead));
            blocks.push(block);
            findings.push(json!({
                "file": file, "line": line, "column": column, "rule": rule, "source": source,
                "image": finding.image, "why": why, "instead": finding.instead, "fixed": done,
            }));
        }
    }
    let folders: Vec<_> = found.folders.iter().map(|planned| folder(planned, written)).collect();
    blocks.extend(folders.iter().map(|(text, _)| text.clone()));
    let problems: Vec<_> = found
        .problems
        .iter()
        .map(|problem| json!({ "file": problem.file, "message": problem.message }))
        .collect();
    ui.result(
        &blocks.join("\n\n"),
        &json!({
            "findings": findings, "files_read": found.pages.len(), "fixed": fixed,
            "folders": folders.into_iter().map(|(_, json)| json).collect::<Vec<_>>(), "problems": problems,
        }),
    )?;
    let words = match (written, sure) {
        (true, _) => format!(", {fixed} fixed"),
        (false, 0) => String::new(),
        (false, _) => format!("; --fix writes {sure} of the changes"),
    };
    ui.status(&format!("{} files read, {} findings{words}", found.pages.len(), findings.len()));
    Ok(findings.len() - fixed)
}

/// An image folder: what became of it, what to do next, what was left.
fn folder(planned: &Planned, written: bool) -> (String, serde_json::Value) {
    let (name, from) = (&planned.folder.name, &planned.from);
    let place = Path::new("images").join(name).display().to_string();
    let next = format!(
        "run `perijove lock {name}`, `perijove build {name}`, `perijove test {name}`, then remove {from}"
    );
    let state = match (planned.folder.there, written) {
        (true, _) => "there",
        (false, true) => "written",
        (false, false) => "planned",
    };
    let mut text = match state {
        "there" => format!("{place}: replaces {from}: {next}"),
        "written" => format!("{place}: written from {from}: {next}"),
        _ => format!("{place}: --fix writes it from {from}"),
    };
    for left in &planned.folder.left {
        text.push_str(&format!("\n  left: {from}:{}: {}\n    {}", left.line, left.why, left.source));
    }
    let left: Vec<_> = planned
        .folder
        .left
        .iter()
        .map(|left| json!({ "line": left.line, "source": left.source, "why": left.why }))
        .collect();
    let files: Vec<&String> = planned.folder.files.keys().collect();
    (
        text,
        json!({ "image": name, "folder": place, "from": from, "state": state, "files": files, "left": left }),
    )
}
