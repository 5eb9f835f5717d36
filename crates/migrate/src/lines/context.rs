//! What stands before a reference on its line: a program that takes images, a key, or something else.

use std::sync::LazyLock;

use regex::Regex;

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
pub enum Context {
    /// A key, variable or flag whose name says image.
    Named,
    /// A line of a Dockerfile.
    From,
    /// A container is started.
    Run,
    /// An argument of a build.
    Build,
    /// It is given another name, under which others know it.
    Copy,
    /// Another word of a program that takes images.
    Tool,
    /// Something else.
    Unknown,
    /// No image at all.
    Other,
}

/// Whether a name that says image stands right before.
pub fn named(before: &str) -> Context {
    static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?i)(?:image|base|container|from)[\w.-]*["'\]]?\s*(?:[:=]|,)\s*(?:[fr]?["'])?(?:\$\{\w+:[-=])?$"#).ok()
    });
    if NAMED.as_ref().is_some_and(|named| named.is_match(before)) { Context::Named } else { Context::Unknown }
}

/// What the words before a reference say.
pub fn context(before: &str) -> Context {
    static FROM: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?i)(?:^|\n)\s*FROM\s+(?:--[^\n]*\s)?$").ok());
    if FROM.as_ref().is_some_and(|from| from.is_match(before)) {
        return Context::From;
    }
    // A Makefile's `$(DOCKER)` is one word.
    static VARIABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$[({](\w+)[)}]").ok());
    let before = VARIABLE.as_ref().map_or(before.into(), |variable| variable.replace_all(before, "$$$1"));
    let before = &*before;
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
        // `helm install x --set singleuser.image.name=…`
        Some("helm" | "helmfile") if before.ends_with('=') && named(before) == Context::Named => {
            Context::Named
        }
        Some(name) if OTHERS.contains(&name) => Context::Other,
        Some(name) if TOOLS.contains(&name) || name.starts_with('$') => {
            // What a build is to be called, what is published, and a new name are not used here.
            let called = rest.last().is_some_and(|word| matches!(*word, "t" | "t=" | "tag" | "tag="));
            let says = |words: &[&str]| rest.iter().take(2).any(|word| words.contains(word));
            let objects = rest.iter().take_while(|word| matches!(**word, "image" | "artifact")).count();
            let renames = rest.get(objects).is_some_and(|word| matches!(*word, "tag" | "copy" | "cp"));
            let target = renames && rest[objects + 1..].iter().any(|word| !word.ends_with("://"));
            if target || (called && !renames) || rest.first() == Some(&"push") {
                Context::Other
            } else if renames {
                Context::Copy
            } else if rest.iter().any(|word| matches!(*word, "build" | "bud" | "buildx")) {
                Context::Build
            } else if says(&["run", "create", "debug", "exec", "shell"]) || rest.contains(&"run") {
                Context::Run
            } else {
                Context::Tool
            }
        }
        _ => named(before),
    }
}

/// Whether a reference stands in a list of the names that a build is given: `tags = ["…"]` of a bake file.
pub fn in_tags(before: &str) -> bool {
    static TAGS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"\btags"?\s*[:=]\s*\[[^\]\[]*$"#).ok());
    TAGS.as_ref().is_some_and(|tags| tags.is_match(before))
}
