//! References in text that no parser takes apart: shell scripts, Makefiles, literals of Python, templates of YAML.
//!
//! What stands before a reference on its line decides: `docker pull X` is an image, `helm install X` a chart and
//! `git clone X` a repository.

mod context;
mod obstacle;

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::finding::Finding;
use crate::image;
use crate::scene::{self, Scene, Use, Write};
use context::{Context, named};
use obstacle::Place;

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Commands, a line each.
    Shell,
    /// A reference is a whole literal in quotes.
    Literals,
    /// YAML or a Dockerfile that another program has yet to fill in.
    Template,
}

/// The findings of `text`, which stands at `offset` of its file.
pub fn read(text: &str, offset: usize, mode: Mode, scene: &Scene) -> Vec<Finding> {
    let mut all = Vec::new();
    for found in image::find(text) {
        let line = logical_line(text, found.span.start);
        let before = &text[line.start..found.span.start];
        if is_comment(before, mode) {
            continue;
        }
        let context = if mode == Mode::Literals { named(before) } else { context::context(before) };
        let quoted = is_quoted(text, &found.span) || (found.parted && before.ends_with(['"', '\'']));
        let counts = match (mode, context) {
            (_, Context::Other) => false,
            (Mode::Literals, Context::Unknown) => quoted && !found.is_ambiguous(),
            (Mode::Literals, _) => quoted,
            (_, Context::Unknown) => !found.is_ambiguous(),
            _ => true,
        };
        if !counts || (mode != Mode::Shell && context::in_tags(&text[..found.span.start])) {
            continue;
        }
        all.extend(uses(&Place { text, found: &found, line, context, mode }, offset, scene));
    }
    all
}

fn uses(place: &Place<'_>, offset: usize, scene: &Scene) -> Vec<Finding> {
    let (text, found) = (place.text, place.found);
    let at = |span: &Range<usize>| span.start + offset..span.end + offset;
    let shown = text[found.span.clone()].to_owned();
    let runs = place.context == Context::Run;
    let used = Use {
        image: found.image,
        shown: shown.clone(),
        version: (!place.is_apart()).then(|| found.version(text)),
        span: at(&found.span),
        write: (!found.parted).then(|| Write::Whole(at(&found.span))),
        obstacle: place.obstacle(scene),
    };
    let mut all = scene::findings(scene, &used);
    if runs && found.image.is_hub() && !scene.proxy_apart {
        all.push(scene::proxy_in_hub(at(&found.span), Some(shown)));
    }
    if runs && let Some(pip) = pip_install(place.after()) {
        let start = found.span.end + pip.start;
        all.push(scene::unlocked(at(&(start..start + pip.len()))));
    }
    all
}

/// Where `pip install` without hashes stands.
pub fn pip_install(text: &str) -> Option<Range<usize>> {
    static PIP: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\bpip[0-9.]*\s+install\b").ok());
    let found = PIP.as_ref()?.find(text)?;
    (!text.contains("--require-hashes")).then(|| found.range())
}

/// The line around `at`, joined with those it is continued on.
fn logical_line(text: &str, at: usize) -> Range<usize> {
    let mut start = at;
    while let Some(line_end) = text[..start].rfind('\n') {
        let before = text[..line_end].trim_end_matches('\r');
        if !before.ends_with('\\') {
            start = line_end + 1;
            break;
        }
        start = line_end;
    }
    if text[..start].rfind('\n').is_none() {
        start = 0;
    }
    let mut end = at;
    loop {
        match text[end..].find('\n') {
            None => return start..text.len(),
            Some(length) => {
                let line_end = end + length;
                if !text[..line_end].trim_end_matches('\r').ends_with('\\') {
                    return start..line_end;
                }
                end = line_end + 1;
            }
        }
    }
}

fn is_comment(before: &str, mode: Mode) -> bool {
    let line = before.rsplit('\n').next().unwrap_or(before);
    let start = line.trim_start();
    if start.starts_with('#') || (mode != Mode::Shell && (start.starts_with("//") || start.contains("{{/*")))
    {
        return true;
    }
    // `code  # comment`, unless the mark stands in quotes.
    line.match_indices('#').any(|(at, _)| {
        let left = &line[..at];
        let open = |quote| left.matches(quote).count() % 2 == 1;
        left.ends_with([' ', '\t']) && !open('"') && !open('\'')
    })
}

fn is_quoted(text: &str, span: &Range<usize>) -> bool {
    ['"', '\'']
        .iter()
        .any(|&quote| text[..span.start].ends_with(quote) && text[span.end..].starts_with(quote))
}

/// The last word before a `=` or `:`.
fn key_of(before: &str) -> &str {
    let key = before.trim_end_matches(['"', '\'', ' ', '=', ':']);
    key.rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').next().unwrap_or(key)
}

/// The key of `key: ` at the end of a text.
fn key_before(before: &str) -> Option<&str> {
    let key = before.trim_end_matches(['"', '\'', ' ']).strip_suffix(':')?;
    Some(key.rsplit([' ', '\n', '{', ',', '"']).next().unwrap_or(key))
}

/// The hub's configuration: a proxy that the hub is told to start, where the hub's image is a retired one.
pub fn hub_configuration(text: &str, scene: &Scene) -> Vec<Finding> {
    static STARTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?m)^[ \t]*(c\.(?:ConfigurableHTTPProxy\.(?:should_start[ \t]*=[ \t]*True|command[ \t]*=)|JupyterHub\.proxy_cmd[ \t]*=)[^\n\r]*)").ok()
    });
    let Some(starts) = STARTS.as_ref().filter(|_| scene.hub_used && !scene.proxy_apart) else {
        return Vec::new();
    };
    let lines = starts.captures_iter(text).filter_map(|found| found.get(1));
    lines.map(|line| scene::proxy_in_hub(line.range(), None)).collect()
}

#[cfg(test)]
mod tests;
