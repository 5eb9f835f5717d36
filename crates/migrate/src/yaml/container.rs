//! What a container is told to run, and whether the hub's successor, which has no shell, can.

use super::place::{Path, texts};
use super::tree::Node;
use crate::scene::{NEEDS_SHELL, Obstacle};
use crate::shell;

/// Keys that say what a container runs; the first that is there names the program.
pub const COMMANDS: [&str; 4] = ["entrypoint", "entryPoint", "command", "args"];

/// What is run is said somewhere else.
const ELSEWHERE: Obstacle = "what is run there is said in another place: see that it needs no shell";

/// Programs that the hub image has.
const HAS: [&str; 5] =
    ["jupyterhub", "/usr/local/bin/jupyterhub", "python3", "/usr/bin/python3", "jupyterhub-singleuser"];
/// Words for which it takes more than it has.
const LACKS: [&str; 13] =
    ["sh", "bash", "pip", "pip3", "apt", "apt-get", "npm", "node", "conda", "mamba", "curl", "wget", "nc"];
/// Keys of a job, whose steps run in its image.
const STEPS: [&str; 7] = ["script", "before_script", "after_script", "steps", "commands", "run", "source"];

/// Why the container that `map` describes cannot do without a shell, as far as its keys say.
pub fn obstacle(map: &Node) -> Option<Obstacle> {
    if STEPS.iter().any(|key| map.get(key).is_some()) {
        return Some(crate::scene::STEPS);
    }
    let said: Vec<&Node> = COMMANDS.iter().filter_map(|key| map.get(key)).collect();
    // Compose's `extends` brings commands of another service or file.
    if map.get("extends").is_some() {
        return Some(ELSEWHERE);
    }
    let mut all: Vec<Option<Obstacle>> = said.first().map(|node| program(node)).into_iter().collect();
    all.extend(said.iter().map(|node| lacking(node)));
    // GitHub's services, and Docker's flags.
    let options = map.get("options").and_then(Node::text).unwrap_or("");
    let flagged = options.contains("--health-cmd") || options.contains("--entrypoint");
    all.push(flagged.then_some(NEEDS_SHELL));
    hooks(map, &mut all);
    all.into_iter().flatten().next()
}

/// Health checks, probes and hooks.
fn hooks(map: &Node, all: &mut Vec<Option<Obstacle>>) {
    let Node::Map(entries, _) = map else { return };
    for (key, value) in entries {
        match (key.text().unwrap_or(""), value) {
            // Another container inside of this one's keys.
            (_, inner) if inner.get("image").is_some() => {}
            ("healthcheck", check) => {
                if let Some(test) = check.get("test") {
                    all.push(health(test));
                }
                all.extend(matches!(check, Node::Alias(_)).then_some(Some(ELSEWHERE)));
            }
            ("healthCheck", check) => all.extend(check.get("command").map(health)),
            ("exec", exec) => {
                all.push(exec.get("command").map_or(Some(ELSEWHERE), program));
                all.push(lacking(exec));
            }
            ("post_start" | "pre_stop", Node::List(items, _)) => {
                all.extend(items.iter().filter_map(|item| item.get("command")).map(program));
            }
            (
                "livenessProbe" | "readinessProbe" | "startupProbe" | "lifecycle" | "post_start" | "pre_stop",
                Node::Alias(_),
            ) => all.push(Some(ELSEWHERE)),
            (_, inner @ Node::Map(..)) => hooks(inner, all),
            (_, Node::List(items, _)) => {
                let others = items.iter().filter(|item| item.get("image").is_none());
                others.for_each(|item| hooks(item, all));
            }
            _ => {}
        }
    }
}

/// Compose's `test`, ECS's `command`: a text is given to a shell.
fn health(test: &Node) -> Option<Obstacle> {
    let Node::List(items, _) = test else {
        return (test.text() != Some("NONE")).then_some(NEEDS_SHELL);
    };
    match items.first().and_then(Node::text) {
        Some("NONE") => None,
        Some("CMD") => match items.get(1).and_then(Node::text) {
            Some(word) if HAS.contains(&word) => lacking(test),
            _ => Some(NEEDS_SHELL),
        },
        _ => Some(NEEDS_SHELL),
    }
}

/// Whether the program at the start of a command is there.
fn program(node: &Node) -> Option<Obstacle> {
    let words: Vec<String> = match node {
        Node::Alias(_) => return Some(ELSEWHERE),
        Node::Map(..) => return Some(ELSEWHERE),
        Node::List(items, _) => {
            let words: Option<Vec<String>> =
                items.iter().map(|item| item.text().map(str::to_owned)).collect();
            match words {
                Some(words) => words,
                None => return Some(ELSEWHERE),
            }
        }
        Node::Scalar(scalar) if ["", "null", "~"].contains(&scalar.value.trim()) => return None,
        Node::Scalar(scalar) => {
            let mut commands = shell::commands(&scalar.value, '\\');
            if commands.len() != 1 || commands[0].complex {
                return Some(NEEDS_SHELL);
            }
            commands.remove(0).words
        }
    };
    let mut words = words.iter().map(String::as_str).peekable();
    // An init passes on to what follows.
    if words.peek().is_some_and(|word| matches!(*word, "tini" | "/usr/bin/tini" | "/sbin/tini" | "/tini")) {
        words.next();
        while words.peek().is_some_and(|word| word.starts_with('-')) {
            words.next();
        }
    }
    match words.next() {
        None => None,
        Some(word) if HAS.contains(&word) => None,
        Some(_) => Some(NEEDS_SHELL),
    }
}

/// Whether a word says shell, installer or fetcher.
fn lacking(node: &Node) -> Option<Obstacle> {
    let lacks =
        |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| LACKS.contains(&word));
    texts(node).iter().any(|scalar| lacks(&scalar.value)).then_some(NEEDS_SHELL)
}

/// The mappings that say what is run where an image is named at `path`: the one around, and the one outside of
/// `image: {…}`.
pub fn around<'a>(path: &Path<'a>) -> Vec<&'a Node> {
    let mut all: Vec<&Node> = path.map().into_iter().collect();
    let above = path.up();
    if super::place::says_image(above.last()) {
        all.extend(above.map());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    #[test]
    fn what_needs_a_shell() {
        for (text, needs) in [
            ("command: jupyterhub -f /x", false),
            ("command: [jupyterhub, -f, /x]", false),
            ("args: [jupyterhub, -f, /x]", false),
            ("entrypoint: [tini, -g, --]\ncommand: jupyterhub", false),
            ("command: [tini, --, jupyterhub]", false),
            ("command: [python3, -m, jupyterhub]", false),
            ("command: []", false),
            ("command:", false),
            ("healthcheck: {disable: true}", false),
            ("healthcheck: {test: [NONE]}", false),
            ("healthcheck: {test: [CMD, python3, -c, 'import x']}", false),
            ("livenessProbe: {httpGet: {path: /hub/health, port: 8081}}", false),
            ("livenessProbe: {exec: {command: [python3, /x.py]}}", false),
            ("sidecar: {image: x, command: [sh, -c, y]}", false),
            ("extraContainers: [{image: x, livenessProbe: {exec: {command: [sh]}}}]", false),
            ("options: --cpus 1", false),
            ("command: bash -c jupyterhub", true),
            ("command: [sh, -c, jupyterhub]", true),
            ("command: jupyterhub && x", true),
            ("command: ${HUB_COMMAND}", true),
            ("command: *x", true),
            ("command: /start.sh", true),
            ("command: [tini, --, /start.sh]", true),
            ("command: [python3, -m, pip, install, x]", true),
            ("entrypoint: /entry.sh\ncommand: jupyterhub", true),
            ("args: [-c, jupyterhub]", true),
            ("command: [/bin/start]\nargs: [jupyterhub]", true),
            ("healthcheck: {test: [CMD, curl, localhost]}", true),
            ("healthcheck: {test: [CMD-SHELL, true]}", true),
            ("healthcheck: {test: curl localhost}", true),
            ("healthcheck: *x", true),
            ("livenessProbe: {exec: {command: [sh, -c, true]}}", true),
            ("readinessProbe: *x", true),
            ("lifecycle: {postStart: {exec: {command: [/bin/bash, -c, x]}}}", true),
            ("post_start: [{command: ./x.sh}]", true),
            ("healthCheck: {command: [CMD-SHELL, 'curl -f x']}", true),
            ("options: --health-cmd true", true),
            ("script: [pytest]", true),
            ("extends: {file: base.yml, service: hub}", true),
        ] {
            let text = if text.contains("*x") { format!("y: &x {{}}\n{text}") } else { text.to_owned() };
            let map = parse(&format!("image: z\n{text}\n")).unwrap().remove(0);
            assert_eq!(obstacle(&map).is_some(), needs, "{text}");
        }
    }
}
