//! The files of a new repository: templates with `@@name@@` where facts go.

use std::path::PathBuf;

use perijove_build::config;
use perijove_build::lock::journal::Rewrite;

use crate::Facts;

/// Which files are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The whole repository.
    All,
    /// `.github/` alone, for a repository that has images already.
    Pipelines,
}

/// The maintainers' page, where the repository has no page yet, and where it has one.
pub const PAGE: [&str; 2] = ["README.md", "images/README.md"];

/// Where git is told what not to keep.
pub const IGNORED: &str = ".gitignore";

/// The version of uv that pipelines install.
const UV: &str = "0.13.9";

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $path))
    };
}

/// Files that a new repository shares with `images/` of this one, so that packages and layers are the same.
macro_rules! shared {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/", $path))
    };
}

/// Writes the registries' credentials, which come by the environment, into a file that nobody else may read: on no
/// command line, in no log.
const LOGIN: &str = template!("github/login.sh");

const PIPELINES: &[(&str, &str)] = &[
    (".github/actionlint.yaml", template!("github/actionlint.yaml")),
    (".github/workflows/pull-request.yml", template!("github/workflows/pull-request.yml")),
    (".github/workflows/refresh.yml", template!("github/workflows/refresh.yml")),
    (".github/workflows/release.yml", template!("github/workflows/release.yml")),
];

const IMAGES: &[(&str, &str)] = &[
    (config::FILE, template!("perijove.toml")),
    ("images/hub/debs.in", shared!("hub/debs.in")),
    ("images/hub/requirements.in", template!("images/hub/requirements.in")),
    ("images/hub/rootfs/etc/group", shared!("hub/rootfs/etc/group")),
    ("images/hub/rootfs/etc/nsswitch.conf", shared!("hub/rootfs/etc/nsswitch.conf")),
    ("images/hub/rootfs/etc/passwd", shared!("hub/rootfs/etc/passwd")),
    ("images/lab/debs.in", shared!("lab/debs.in")),
    ("images/lab/requirements.in", template!("images/lab/requirements.in")),
    ("images/lab/rootfs/etc/group", shared!("lab/rootfs/etc/group")),
    ("images/lab/rootfs/etc/nsswitch.conf", shared!("lab/rootfs/etc/nsswitch.conf")),
    ("images/lab/rootfs/etc/passwd", shared!("lab/rootfs/etc/passwd")),
    (IGNORED, template!("gitignore")),
    (PAGE[0], template!("README.md")),
];

/// The files, by place.
pub fn files(facts: &Facts, wanted: Wanted) -> Vec<Rewrite> {
    let images = if wanted == Wanted::All { IMAGES } else { &[] };
    let values = values(facts);
    let file = |(place, text): &(&str, &str)| Rewrite {
        place: PathBuf::from(place),
        bytes: Some(render(text, &values).into_bytes()),
    };
    images.iter().chain(PIPELINES).map(file).collect()
}

/// What stands for `@@name@@`. Values of TOML are written by its own writer, so that no character of a name of a
/// branch or a registry means anything in it.
fn values(facts: &Facts) -> Vec<(&'static str, String)> {
    let text = |value: &str| toml::Value::from(value).to_string();
    let list = |values: &[String]| {
        let values: Vec<String> = values.iter().map(|value| text(value)).collect();
        format!("[{}]", values.join(", "))
    };
    let line = |comment: &str, key: &str, value: &Option<String>| match value {
        Some(value) => format!("# {comment}\n{key} = {}\n", text(value)),
        None => String::new(),
    };
    vec![
        ("name", facts.name.clone()),
        ("where", facts.source.as_ref().map_or(String::new(), |source| format!(" ({source}/actions)"))),
        ("registries", list(&facts.registries)),
        (
            "staging",
            line("Where the images of pull requests go, until they are closed.", "staging", &facts.staging),
        ),
        ("platforms", list(&facts.platforms)),
        ("source", line("For the images' annotations", "source", &facts.source)),
        ("branch-toml", text(&facts.default_branch)),
        ("branch-yaml", quoted(&facts.default_branch)),
        ("branch-filter", quoted(&filter(&facts.default_branch))),
        ("branch", facts.default_branch.clone()),
        ("perijove", env!("CARGO_PKG_VERSION").to_owned()),
        ("uv", UV.to_owned()),
        // In the steps' own depth: a YAML block.
        ("login", LOGIN.trim_end().replace('\n', "\n          ")),
    ]
}

/// A YAML scalar between double quotes (YAML 1.2.2, 7.3.1). What git lets into a branch's name has no control
/// characters (git-check-ref-format(1)).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A branch as a pattern that fits it alone (GitHub's documentation, "Filter pattern cheat sheet"). Of the signs that
/// mean something there git lets these two into a name (git-check-ref-format(1)).
fn filter(branch: &str) -> String {
    branch.replace('+', r"\+").replace('!', r"\!")
}

/// One pass, so that a value that looks like a template stays what it is.
fn render(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("@@") {
        text.push_str(before);
        let (name, after) = after.split_once("@@").unwrap_or((after, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        text.push_str(value.map_or("", |(_, value)| value));
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail at once")]

    use std::path::Path;

    use perijove_build::Config;

    use super::*;

    fn facts(branch: &str, registries: &[&str]) -> Facts {
        Facts {
            name: "images".to_owned(),
            registries: registries.iter().map(|&r| r.to_owned()).collect(),
            staging: None,
            platforms: vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
            default_branch: branch.to_owned(),
            source: Some("https://github.com/example/images".to_owned()),
            github: true,
        }
    }

    fn file(files: &[Rewrite], place: &str) -> String {
        let found = files.iter().find(|file| file.place == Path::new(place)).unwrap();
        String::from_utf8(found.bytes.clone().unwrap()).unwrap()
    }

    #[test]
    fn every_name_in_a_template_is_known() {
        let values = values(&facts("main", &[]));
        for (place, text) in IMAGES.iter().chain(PIPELINES) {
            let words: Vec<&str> = text.split("@@").collect();
            assert!(words.len() % 2 == 1, "{place}: a name is not closed");
            for name in words.iter().skip(1).step_by(2) {
                assert!(values.iter().any(|(known, _)| known == name), "{place}: {name}");
            }
        }
    }

    #[test]
    fn the_configuration_is_one() {
        for branch in ["main", "it's/\"odd\"", "a\\b", "@@uv@@"] {
            let text = file(&files(&facts(branch, &["ghcr.io/example"]), Wanted::All), config::FILE);
            let config = Config::parse(Path::new("/r"), &text).unwrap();
            assert_eq!(config.repository.default_branch.as_deref(), Some(branch));
            assert_eq!(config.repository.registries, ["ghcr.io/example"]);
            assert_eq!(config.repository.source.as_deref(), Some("https://github.com/example/images"));
            assert_eq!(config.select(&[]).unwrap(), ["hub", "lab"]);
        }
    }

    #[test]
    fn pipelines_alone_leave_the_images_out() {
        let files = files(&facts("main", &[]), Wanted::Pipelines);
        assert!(files.iter().all(|file| file.place.starts_with(".github")));
        assert!(file(&files, ".github/workflows/release.yml").contains("branches: [\"main\", "));
    }

    #[test]
    fn a_branch_is_no_pattern() {
        for (branch, pattern) in [("main", "main"), ("team/5.x", "team/5.x"), ("!c++", r"\\!c\\+\\+")] {
            let files = files(&facts(branch, &[]), Wanted::Pipelines);
            let text = file(&files, ".github/workflows/release.yml");
            assert!(text.contains(&format!("branches: [\"{pattern}\", ")), "{text}");
        }
    }
}
