//! Why a reference in a line is left to a person: the hub's successor has no shell, and what runs in it may stand in
//! another line.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::context::{Context, context};
use super::{Mode, key_before, key_of, logical_line};
use crate::image::Found;
use crate::scene::{BUILT_ON, NEEDS_SHELL, Obstacle, Scene};

/// A reference in a text.
pub struct Place<'a> {
    /// All of the text.
    pub text: &'a str,
    /// The reference.
    pub found: &'a Found,
    /// Its line, joined with those it is continued on.
    pub line: Range<usize>,
    /// What stands before it.
    pub context: Context,
    /// How the text is read.
    pub mode: Mode,
}

impl<'a> Place<'a> {
    /// What stands before the reference on its line.
    pub fn before(&self) -> &'a str {
        &self.text[self.line.start..self.found.span.start]
    }

    /// What stands behind it.
    pub fn after(&self) -> &'a str {
        &self.text[self.found.span.end..self.line.end]
    }

    /// Whether its tag stands in another place: `repository: X`, or `X_TAG=` beside `X=`.
    pub fn is_apart(&self) -> bool {
        if self.found.tag.is_some() || self.found.digest {
            return false;
        }
        static TAG: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r#"(?i)(?:tag|version)["']?\s*[:?]?[:=]"#).ok());
        let before = self.before().trim_end_matches(['"', '\'', ' ']);
        let key = key_before(self.before());
        let piece = key.is_some_and(|key| ["repository", "name"].contains(&key));
        let assigned = key.is_some() || before.ends_with('=');
        let tagged = TAG.as_ref().is_some_and(|tag| tag.is_match(self.text));
        (piece && self.mode == Mode::Template) || (assigned && tagged) || self.found.parted
    }

    /// Whether it is given to a variable that other files use, perhaps with a tag behind it.
    fn is_used_elsewhere(&self) -> bool {
        let tagless = self.found.tag.is_none() && !self.found.digest;
        let assigned = self.before().trim_end_matches(['"', '\'']).ends_with('=');
        tagless && assigned && self.mode == Mode::Shell && !self.text.contains('$')
    }

    /// Why a person has to do it.
    pub fn obstacle(&self, scene: &Scene) -> Option<Obstacle> {
        if self.is_apart() || self.is_used_elsewhere() {
            return Some("its tag may stand in another place");
        }
        let hub = self.found.image.is_hub();
        let base = key_of(self.before()).to_ascii_lowercase().contains("base");
        match self.context {
            // `BASE_IMAGE=`: what a Dockerfile is given.
            Context::Build | Context::From if hub || !scene.successors.is_stacks() => Some(BUILT_ON),
            Context::Named
                if base && (hub || (self.mode == Mode::Shell && !scene.successors.is_stacks())) =>
            {
                Some(BUILT_ON)
            }
            _ if !hub => None,
            _ if self.mode == Mode::Shell && enters(self.text) => Some(NEEDS_SHELL),
            Context::Run => (!runs_fine(self.before(), self.after())).then_some(NEEDS_SHELL),
            Context::Copy => Some("others know it by the name that it is given there"),
            Context::Unknown => Some("see what is done with it there: the successor has no shell"),
            Context::Named => self.named(),
            _ => None,
        }
    }

    /// A variable or key: what is run there stands elsewhere in the text.
    fn named(&self) -> Option<Obstacle> {
        let before = self.before().trim_end_matches(['"', '\'']);
        if self.mode == Mode::Shell
            && let Some(assigned) = before.strip_suffix('=')
        {
            return used_badly(self.text, key_of(assigned)).then_some(NEEDS_SHELL);
        }
        static LACKS: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"\b(?:sh|bash|pip3?|apt|apt-get|npm|conda|mamba|curl|wget)\b").ok());
        LACKS.as_ref().is_none_or(|lacks| lacks.is_match(self.text)).then_some(NEEDS_SHELL)
    }
}

/// Whether a script runs something else in a container that runs: `docker exec hub pip install x`.
fn enters(text: &str) -> bool {
    static ENTERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?m)^[^#\n]*\w[ \t]+exec\b[^\n]*\b(?:sh|bash|pip3?|apt|apt-get|npm|conda|curl|wget)\b")
            .ok()
    });
    ENTERS.as_ref().is_none_or(|enters| enters.is_match(text))
}

/// Whether the hub image can do what a `docker run` asks: its flags stand before the image, its command behind.
fn runs_fine(before: &str, after: &str) -> bool {
    static FLAGS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"--(?:health-cmd|entrypoint)(?:=|\s+)["']?([^\s"']*)|\s(?:shell|create)\s"#).ok()
    });
    let flags = FLAGS.as_ref().is_none_or(|flags| {
        flags
            .captures_iter(before)
            .any(|found| found.get(1).is_none_or(|program| program.as_str() != "jupyterhub"))
    });
    let command = after.trim_start_matches(['"', '\'', '}']).trim_start();
    let fine = command.is_empty()
        || command.starts_with([')', ';', '&', '|', '#', '\n', '`'])
        || command.strip_prefix("jupyterhub").is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(|c: char| !c.is_alphanumeric() && c != '/')
        });
    fine && !flags
}

/// Whether a script runs something else in the image that a variable names, or builds on it.
fn used_badly(text: &str, name: &str) -> bool {
    text.match_indices('$').any(|(at, _)| {
        let rest = text[at + 1..].trim_start_matches(['{', '(']);
        let Some(rest) = rest.strip_prefix(name).filter(|_| !name.is_empty()) else { return false };
        if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return false;
        }
        let line = logical_line(text, at);
        let (before, after) = (&text[line.start..at], &text[text.len() - rest.len()..line.end]);
        match context(before) {
            Context::Run => !runs_fine(before, after.trim_start_matches([')', '}'])),
            Context::Build | Context::Copy => true,
            _ => false,
        }
    })
}
