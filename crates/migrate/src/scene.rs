//! What is known of all files together, and how a use of a retired image becomes findings.

use std::ops::Range;

use crate::around::{self, Voice};
use crate::finding::{Edit, Finding};
use crate::image::{Retired, Version};
use crate::rules::Rule;
use crate::successor::Successors;

/// What the readers of files are told.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// What the site says of its images.
    pub successors: Successors,
    /// Whether a proxy runs apart from every hub.
    pub proxy_apart: bool,
    /// Whether a retired hub image is used.
    pub hub_used: bool,
    /// What the files say of each other.
    pub(crate) voices: Vec<Voice>,
}

impl Scene {
    /// What counts for the file at `path`.
    pub(crate) fn at(&self, path: &str, text: &str) -> Scene {
        Scene {
            proxy_apart: self.proxy_apart || around::proxy_apart(path, text, &self.voices),
            hub_used: self.hub_used || around::hub_used(path, &self.voices),
            successors: self.successors.clone(),
            voices: Vec::new(),
        }
    }
}

/// Why an edit is left to a person.
pub type Obstacle = &'static str;

/// The obstacle of a hub whose proxy would be missing.
pub const NO_PROXY: Obstacle = "nothing in its folder tree runs a proxy apart from the hub, and the successor has none inside; --proxy-apart says that one runs";
/// The obstacle of what a Dockerfile stands on.
pub const BUILT_ON: Obstacle =
    "a Dockerfile is built on it, whose steps need the shell and pip that the successor lacks";
/// The obstacle of a command that the hub image cannot run.
pub const NEEDS_SHELL: Obstacle = "what is run there needs a shell or programs that the successor lacks";

/// The obstacle of an image that a job's steps run in.
pub const STEPS: Obstacle = "a job's steps run in it and need a shell, which the successor lacks";

/// Where a retired image is named.
#[derive(Clone, Debug)]
pub struct Use {
    /// Which.
    pub image: Retired,
    /// The reference, variables put in.
    pub shown: String,
    /// What its tag says; none where the tag stands somewhere that is not read.
    pub version: Option<Version>,
    /// The place of the finding.
    pub span: Range<usize>,
    /// The places of name and tag, where both can be replaced.
    pub write: Option<Write>,
    /// Why a person has to do it.
    pub obstacle: Option<Obstacle>,
}

/// Where the successor's name and tag go.
#[derive(Clone, Debug)]
pub enum Write {
    /// Name, tag and digest in one piece.
    Whole(Range<usize>),
    /// The name in one place, the tag (without `:`) in another, the registry perhaps in a third.
    Apart {
        /// Where a registry stands by itself.
        registry: Option<Range<usize>>,
        /// The name.
        name: Range<usize>,
        /// The tag.
        tag: Range<usize>,
        /// Whether the tag's text there says what type it is: YAML without quotes.
        typed: bool,
    },
}

/// The findings of one use: the image, and its tag where that moves.
pub fn findings(scene: &Scene, used: &Use) -> Vec<Finding> {
    let version = used.version.clone().unwrap_or(Version::Variable);
    let successor = scene.successors.of(used.image, &version);
    let no_proxy = (used.image.is_hub() && !scene.proxy_apart).then_some(NO_PROXY);
    let obstacle = used.obstacle.or(no_proxy);
    let edits = match (&successor.sure, &used.write, obstacle) {
        (Some((name, tag)), Some(write), None) => write_edits(write, name, tag),
        _ => Vec::new(),
    };
    let mut instead = match used.image {
        Retired::Singleuser => {
            format!("use {}, or the lab image of the site's own repository", successor.shown)
        }
        Retired::Onbuild => {
            format!(
                "use {}, made by `perijove init`, and COPY jupyterhub_config.py in sight",
                successor.shown
            )
        }
        Retired::Hub => {
            format!("use {}, made by `perijove init`, and the proxy image beside it", successor.shown)
        }
    };
    let exact = matches!(version, Version::Exact(_));
    match used.image {
        Retired::Singleuser if scene.successors.singleuser.is_none() => {
            instead.push_str(" (--fix writes what --singleuser names)");
        }
        Retired::Hub | Retired::Onbuild
            if scene.successors.registry.is_none() && exact && used.obstacle.is_none() =>
        {
            instead.push_str(" (--fix writes it below what --registry names)");
        }
        _ => {}
    }
    if let (Some(obstacle), Some(_)) = (obstacle, &successor.sure) {
        instead.push_str(&format!(" (by hand: {obstacle})"));
    }
    let new = |rule, instead, edits| Finding {
        rule,
        span: used.span.clone(),
        image: Some(used.shown.clone()),
        retired: Some(used.image),
        instead,
        edits,
    };
    let mut all = vec![new(Rule::RetiredImage, instead, edits.clone())];
    if used.version == Some(Version::Moving) {
        let instead =
            "name MAJOR.MINOR.PATCH, or MAJOR.MINOR.PATCH-BUILDNUMBER, which never moves".to_owned();
        all.push(new(Rule::MovingTag, instead, edits));
    }
    all
}

/// Says of a finding why it is left to a person.
pub fn by_hand(finding: &mut Finding, obstacle: Obstacle) {
    finding.instead.push_str(&format!(" (by hand: {obstacle})"));
}

fn write_edits(write: &Write, name: &str, tag: &str) -> Vec<Edit> {
    match write {
        Write::Whole(span) => vec![Edit::new(span.clone(), format!("{name}{tag}"))],
        // A digest does not go where a tag stood.
        Write::Apart { .. } if !tag.starts_with(':') => Vec::new(),
        Write::Apart { registry: None, name: at, tag: tag_at, typed } => {
            vec![Edit::new(at.clone(), name), Edit::new(tag_at.clone(), tag_text(&tag[1..], *typed))]
        }
        Write::Apart { registry: Some(registry), name: at, tag: tag_at, typed } => match name.split_once('/')
        {
            Some((host, path)) if host.contains(['.', ':']) => vec![
                Edit::new(registry.clone(), host),
                Edit::new(at.clone(), path),
                Edit::new(tag_at.clone(), tag_text(&tag[1..], *typed)),
            ],
            _ => Vec::new(),
        },
    }
}

/// A tag as YAML reads it back: 4.10 without quotes is the number 4.1, `on` is a truth, 2024-01-15 a day.
fn tag_text(tag: &str, typed: bool) -> String {
    let words = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"];
    let lower = tag.to_ascii_lowercase();
    let word = tag.starts_with(|c: char| c.is_ascii_alphabetic()) && !words.contains(&lower.as_str());
    let version = tag.matches('.').count() > 1 && tag.starts_with(|c: char| c.is_ascii_digit());
    if typed && !word && !version { format!("\"{tag}\"") } else { tag.to_owned() }
}

/// The finding of a hub that starts its own proxy.
pub fn proxy_in_hub(span: Range<usize>, image: Option<String>) -> Finding {
    Finding {
        rule: Rule::ProxyInHub,
        span,
        image,
        retired: None,
        instead: "run configurable-http-proxy from the proxy image beside the hub, and set \
                  c.ConfigurableHTTPProxy.should_start = False and its api_url (docs/migrating.md)"
            .to_owned(),
        edits: Vec::new(),
    }
}

/// The finding of a pip without locks.
pub fn unlocked(span: Range<usize>) -> Finding {
    Finding {
        rule: Rule::UnlockedInstall,
        span,
        image: None,
        retired: None,
        instead: "put the names into images/NAME/requirements.in and run `perijove lock`, or pip install \
                  --require-hashes -r a lock"
            .to_owned(),
        edits: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_stay_texts() {
        for (tag, text) in [
            ("4.10", "\"4.10\""),
            ("4", "\"4\""),
            ("2024-01-15", "\"2024-01-15\""),
            ("1e3", "\"1e3\""),
            ("on", "\"on\""),
            ("5.2.1", "5.2.1"),
            ("4.6.6-1", "4.6.6-1"),
            ("hub-5.2.1", "hub-5.2.1"),
            ("latest", "latest"),
        ] {
            assert_eq!(tag_text(tag, true), text);
            assert_eq!(tag_text(tag, false), tag);
        }
    }
}
