//! References in text that no parser takes apart: shell scripts, Makefiles, literals of Python, templates of YAML.
//!
//! What stands before a reference on its line decides: `docker pull X` is an image, `helm install X` a chart and
//! `git clone X` a repository.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::finding::Finding;
use crate::image::{self, Found, Version};
use crate::scene::{self, BUILT_ON, NEEDS_SHELL, Obstacle, Scene, Use, Write};

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

/// Programs that take image references.
const TOOLS: [&str; 22] = [
    "docker",
    "podman",
    "nerdctl",
    "buildah",
    "kubectl",
    "oc",
    "crictl",
    "ctr",
    "skopeo",
    "crane",
    "regctl",
    "singularity",
    "apptainer",
    "docker-compose",
    "kind",
    "k3d",
    "minikube",
    "microk8s",
    "img",
    "kaniko",
    "trivy",
    "enroot",
];
/// Programs whose arguments are charts, repositories or words.
const OTHERS: [&str; 6] = ["helm", "git", "gh", "echo", "printf", "helmfile"];
/// Words before a command's own name.
const LEADERS: [&str; 9] = ["sudo", "exec", "time", "nohup", "env", "then", "do", "else", "if"];

/// What stands before a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    /// A key, variable or flag whose name says image.
    Named,
    /// A line of a Dockerfile.
    From,
    /// A container is started.
    Run,
    /// An argument of a build.
    Build,
    /// Another word of a program that takes images.
    Tool,
    /// Something else.
    Unknown,
    /// No image at all.
    Other,
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
        let context = if mode == Mode::Literals { named(before) } else { context(before) };
        let quoted = is_quoted(text, &found.span);
        let counts = match (mode, context) {
            (_, Context::Other) => false,
            (Mode::Literals, Context::Unknown) => quoted && !found.is_ambiguous(),
            (Mode::Literals, _) => quoted,
            (_, Context::Unknown) => !found.is_ambiguous(),
            _ => true,
        };
        if !counts {
            continue;
        }
        all.extend(uses(text, offset, &found, context, &line, mode, scene));
    }
    all
}

fn uses(
    text: &str,
    offset: usize,
    found: &Found,
    context: Context,
    line: &Range<usize>,
    mode: Mode,
    scene: &Scene,
) -> Vec<Finding> {
    let at = |span: &Range<usize>| span.start + offset..span.end + offset;
    let after = &text[found.span.end..line.end];
    let shown = text[found.span.clone()].to_owned();
    let tag = found.tag.clone().map(|tag| &text[tag]);
    // `repository: X` in a template has its tag on another line.
    let apart = mode == Mode::Template
        && found.tag.is_none()
        && ["repository", "name"]
            .iter()
            .any(|key| key_before(&text[line.start..found.span.start]) == Some(*key));
    let runs = context == Context::Run;
    let used = Use {
        image: found.image,
        shown: shown.clone(),
        version: (!apart).then(|| image::version(tag, found.digest)),
        span: at(&found.span),
        write: Some(Write::Whole(at(&found.span))),
        obstacle: obstacle(found, context, &text[line.start..found.span.start], after, apart),
    };
    let mut all = scene::findings(scene, &used);
    if runs && found.image.is_hub() && !scene.proxy_apart {
        all.push(scene::proxy_in_hub(at(&found.span), Some(shown)));
    }
    if runs && let Some(pip) = pip_install(after) {
        let start = found.span.end + pip.start;
        all.push(scene::unlocked(at(&(start..start + pip.len()))));
    }
    all
}

fn obstacle(found: &Found, context: Context, before: &str, after: &str, apart: bool) -> Option<Obstacle> {
    if apart {
        return Some("its tag stands in another line");
    }
    if !found.image.is_hub() {
        return None;
    }
    match context {
        Context::Build | Context::From => Some(BUILT_ON),
        // `BASE_IMAGE=`: what a Dockerfile is given.
        Context::Named if key_of(before).to_ascii_lowercase().contains("base") => Some(BUILT_ON),
        Context::Run => {
            let command = after.trim_start_matches(['"', '\'']).trim_start();
            let fine = command.is_empty()
                || command.starts_with("jupyterhub")
                || command.starts_with([')', ';', '&', '|', '#']);
            (!fine).then_some(NEEDS_SHELL)
        }
        _ => None,
    }
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

/// Whether a name that says image stands right before.
fn named(before: &str) -> Context {
    static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?i)(?:image|base|container|from)[\w.-]*["'\]]?\s*(?:[:=]|,)\s*(?:[fr]?["'])?(?:\$\{\w+:[-=])?$"#).ok()
    });
    if NAMED.as_ref().is_some_and(|named| named.is_match(before)) { Context::Named } else { Context::Unknown }
}

fn context(before: &str) -> Context {
    static FROM: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?i)(?:^|\n)\s*FROM\s+(?:--[^\n]*\s)?$").ok());
    if FROM.as_ref().is_some_and(|from| from.is_match(before)) {
        return Context::From;
    }
    let command = before.rsplit(['\n', ';', '|', '&', '(', '`']).next().unwrap_or(before);
    // A continued line is one command.
    let command = if before.contains("\\\n") || before.contains("\\\r\n") {
        before.rsplit([';', '|', '&', '(', '`']).next().unwrap_or(before)
    } else {
        command
    };
    let mut words = command
        .split_whitespace()
        .map(|word| word.trim_start_matches(['@', '-', '"', '\'', '[']).trim_end_matches(['"', '\'', ',']))
        .filter(|word| !word.is_empty() && *word != "\\")
        .skip_while(|word| LEADERS.contains(word) || (word.contains('=') && !word.starts_with('-')));
    // Keys of YAML (`run:`) stand before the command.
    let mut program = words.next();
    while program.is_some_and(|word| word.ends_with(':')) {
        program = words.next();
    }
    let name = program.map(|word| word.rsplit('/').next().unwrap_or(word));
    let rest: Vec<&str> = words.collect();
    match name {
        Some(name) if OTHERS.contains(&name) => Context::Other,
        Some(name) if TOOLS.contains(&name) || name.starts_with('$') => {
            // What a build is to be called, and what is published, is not used here.
            let called = rest.last().is_some_and(|word| matches!(*word, "t" | "t=" | "tag" | "tag="));
            if called || rest.first() == Some(&"push") {
                Context::Other
            } else if rest.iter().any(|word| matches!(*word, "build" | "bud" | "buildx")) {
                Context::Build
            } else if rest.iter().any(|word| matches!(*word, "run" | "create")) {
                Context::Run
            } else {
                Context::Tool
            }
        }
        _ => named(before),
    }
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

/// A reference as a whole word: what its version is.
pub fn version_of(text: &str, found: &Found) -> Version {
    image::version(found.tag.clone().map(|tag| &text[tag]), found.digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rule;

    fn rules(text: &str, mode: Mode) -> Vec<&'static str> {
        let scene = Scene { proxy_apart: true, ..Scene::default() };
        read(text, 0, mode, &scene).iter().map(|finding| finding.rule.id()).collect()
    }

    #[test]
    fn the_words_before_decide() {
        let image = vec!["retired-image"];
        let moving = vec!["retired-image", "moving-tag"];
        for (text, mode, found) in [
            ("docker pull jupyterhub/singleuser\n", Mode::Shell, moving.clone()),
            ("sudo docker pull jupyterhub/jupyterhub:5.2.1", Mode::Shell, image.clone()),
            (
                "docker run -d \\\n  --name hub \\\n  jupyterhub/jupyterhub jupyterhub",
                Mode::Shell,
                moving.clone(),
            ),
            ("\tdocker pull jupyterhub/jupyterhub", Mode::Shell, moving.clone()),
            ("export HUB_IMAGE=jupyterhub/jupyterhub", Mode::Shell, moving.clone()),
            ("docker build --build-arg BASE=jupyterhub/jupyterhub .", Mode::Shell, moving.clone()),
            ("kubectl set image deploy/hub hub=jupyterhub/jupyterhub:5.2.1", Mode::Shell, image.clone()),
            (
                "cat <<EOF > compose.yml\nservices:\n  hub:\n    image: jupyterhub/jupyterhub:latest\nEOF\n",
                Mode::Shell,
                moving.clone(),
            ),
            ("docker build -t jupyterhub/singleuser:5 singleuser", Mode::Shell, vec![]),
            ("docker build --tag jupyterhub/jupyterhub .", Mode::Shell, vec![]),
            ("docker build --tag=jupyterhub/jupyterhub:5 .", Mode::Shell, vec![]),
            ("docker push jupyterhub/singleuser:5", Mode::Shell, vec![]),
            ("# docker pull jupyterhub/singleuser", Mode::Shell, vec![]),
            ("true # docker pull jupyterhub/singleuser", Mode::Shell, vec![]),
            ("helm upgrade hub jupyterhub/jupyterhub --version 4.0.0", Mode::Shell, vec![]),
            ("helm upgrade --install \\\n  hub jupyterhub/jupyterhub", Mode::Shell, vec![]),
            ("HELM_CHART=jupyterhub/jupyterhub", Mode::Shell, vec![]),
            ("gh repo clone jupyterhub/jupyterhub", Mode::Shell, vec![]),
            ("git clone https://github.com/jupyterhub/jupyterhub", Mode::Shell, vec![]),
            ("echo jupyterhub/singleuser:5", Mode::Shell, vec![]),
            ("docker pull x && helm install hub jupyterhub/jupyterhub", Mode::Shell, vec![]),
            (
                "docker run x jupyterhub/singleuser:5.2.1 sh -c 'pip install y'",
                Mode::Shell,
                vec!["retired-image", "unlocked-install"],
            ),
            ("c.DockerSpawner.image = 'jupyterhub/singleuser:5.2.1'", Mode::Literals, image.clone()),
            ("c.DockerSpawner.image = f\"jupyterhub/singleuser:{version}\"", Mode::Literals, image.clone()),
            ("x = os.environ.get('HUB_IMAGE', 'jupyterhub/jupyterhub')", Mode::Literals, moving.clone()),
            ("# c.DockerSpawner.image = 'jupyterhub/singleuser:5.2.1'", Mode::Literals, vec![]),
            (
                "\"\"\"Defaults to `jupyterhub/singleuser:5`, or jupyterhub/jupyterhub\"\"\"",
                Mode::Literals,
                vec![],
            ),
            ("repo = 'jupyterhub/jupyterhub'", Mode::Literals, vec![]),
            ("image = \"jupyterhub/jupyterhub:5.2.1\"", Mode::Literals, image.clone()),
            ("  image: \"jupyterhub/jupyterhub:{{ .Values.tag }}\"", Mode::Template, image.clone()),
            ("  repository: jupyterhub/singleuser", Mode::Template, image.clone()),
            ("FROM --platform={{ p }} jupyterhub/jupyterhub", Mode::Template, moving),
        ] {
            assert_eq!(rules(text, mode), found, "{text}");
        }
    }

    #[test]
    fn what_dockerfiles_are_given_is_left_to_a_person() {
        let successors =
            crate::Successors { registry: Some("registry.example/t".into()), ..Default::default() };
        let scene = Scene { successors, proxy_apart: true, hub_used: true };
        for (text, written) in [
            ("HUB_IMAGE=jupyterhub/jupyterhub:5.2.1", true),
            ("export E2E_BASE_IMAGE=\"jupyterhub/jupyterhub:5.2.1\"", false),
            ("docker build --build-arg X=jupyterhub/jupyterhub:5.2.1 .", false),
            ("docker pull jupyterhub/jupyterhub:5.2.1", true),
            ("docker run -d jupyterhub/jupyterhub:5.2.1 jupyterhub", true),
            ("docker run -it jupyterhub/jupyterhub:5.2.1 bash", false),
        ] {
            let found = read(text, 0, Mode::Shell, &scene);
            assert_eq!(!found[0].edits.is_empty(), written, "{text}");
        }
    }

    #[test]
    fn a_hub_told_to_start_its_proxy() {
        let text =
            "c.ConfigurableHTTPProxy.command = ['configurable-http-proxy']\n# c.JupyterHub.proxy_cmd = 1\n";
        let used = Scene { hub_used: true, ..Scene::default() };
        let found = hub_configuration(text, &used);
        assert_eq!((found.len(), found[0].rule), (1, Rule::ProxyInHub));
        assert!(hub_configuration(text, &Scene::default()).is_empty());
    }
}
