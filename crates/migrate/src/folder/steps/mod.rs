//! The instructions of a Dockerfile's last stage, and of the stages it stands on, as what an image folder can say.
//!
//! `run` reads the commands of RUN, `copy` what COPY and ADD bring.

mod copy;
mod run;

use std::collections::BTreeMap;

use parse_dockerfile::{Command, Instruction};

use super::Left;
use crate::dockerfile::{Arguments, Base, Dockerfile, Expanded, assignments, expand, shell_texts};
use crate::finding::{position, source_line};
use crate::image::Retired;
use crate::shell;
use crate::{Entry, Tree};

/// What an image folder says.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    /// Python requirements, as written.
    pub python: Vec<String>,
    /// Debian packages.
    pub debs: Vec<String>,
    /// Path in the image → path beside the Dockerfile.
    pub files: BTreeMap<String, String>,
    /// Folders that are made.
    pub directories: Vec<String>,
    /// Variables.
    pub env: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Ports.
    pub ports: Vec<String>,
    /// `uid:gid`.
    pub user: Option<String>,
    /// The working folder.
    pub workdir: Option<String>,
    /// The fixed part of the command.
    pub entrypoint: Option<Vec<String>>,
    /// The command.
    pub command: Option<Vec<String>>,
    /// What it cannot say.
    pub left: Vec<Left>,
}

struct Reader<'a, 'f> {
    path: &'a str,
    file: &'a Dockerfile<'f>,
    tree: &'a dyn Tree,
    known: Arguments,
    out: Steps,
}

/// Reads stage `last`.
pub fn read(path: &str, file: &Dockerfile<'_>, last: usize, image: Retired, tree: &dyn Tree) -> Steps {
    let mut chain = vec![last];
    while let Base::Stage(below) = &file.stages[chain[chain.len() - 1]].base {
        chain.push(*below);
    }
    let mut known = Arguments::new();
    let literal = |text: &str| Expanded::literal(text, None);
    known.insert("PATH".to_owned(), literal("/usr/local/bin:/usr/bin:/bin"));
    known.insert("HOME".to_owned(), literal("/home/jovyan"));
    known.insert("NB_UID".to_owned(), literal("1000"));
    known.insert("NB_GID".to_owned(), literal("1000"));
    known.insert("NB_USER".to_owned(), literal("jovyan"));
    let mut reader = Reader { path, file, tree, known, out: Steps::default() };
    if image == Retired::Onbuild {
        reader.config();
    }
    for stage in chain.into_iter().rev() {
        for instruction in &file.stages[stage].instructions {
            reader.instruction(instruction);
        }
    }
    reader.out
}

impl Reader<'_, '_> {
    fn leave(&mut self, at: usize, why: &str) {
        let line = position(self.file.text, at).0;
        self.out.left.push(Left { line, source: source_line(self.file.text, at), why: why.to_owned() });
    }

    /// A text with variables put in; none where one is not known.
    fn text(&self, text: &str) -> Option<String> {
        Some(expand(text, None, &self.known).value).filter(|value| !value.contains('$'))
    }

    /// What ONBUILD did.
    fn config(&mut self) {
        let name = "jupyterhub_config.py";
        match self.tree.look(self.path, name) {
            Entry::File(_) => {
                self.out.files.insert(format!("/srv/jupyterhub/{name}"), name.to_owned());
            }
            _ => self.leave(
                self.file.stages[0].from.from.span.start,
                "ONBUILD copies jupyterhub_config.py, which does not lie beside the Dockerfile: put it into \
                 rootfs/srv/jupyterhub",
            ),
        }
    }

    fn instruction(&mut self, instruction: &Instruction<'_>) {
        match instruction {
            Instruction::Run(run) => {
                let texts = shell_texts(run);
                if texts.is_empty() {
                    return self.leave(run.run.span.start, "no plain shell commands");
                }
                for (text, offset) in texts {
                    for command in shell::commands(text, self.file.escape) {
                        self.command(&command, offset);
                    }
                }
            }
            Instruction::Copy(copy) => self.copy(copy),
            Instruction::Add(add) => self.add(add),
            Instruction::Env(env) => {
                for (name, value) in assignments(&env.arguments.value, None, &self.known, true) {
                    let Some(value) = value else { continue };
                    if value.value.contains('$') {
                        self.leave(env.env.span.start, "a variable in it is not known here");
                    } else {
                        self.out.env.insert(name.clone(), value.value.clone());
                        self.known.insert(name, value);
                    }
                }
            }
            Instruction::Arg(arg) => {
                for (name, value) in assignments(&arg.arguments.value, None, &self.known, false) {
                    if let Some(value) = value.or_else(|| self.file.global.get(&name).cloned()) {
                        self.known.insert(name, value);
                    }
                }
            }
            Instruction::Label(label) => {
                for (name, value) in assignments(&label.arguments.value, None, &self.known, true) {
                    let name = name.trim_matches('"').to_owned();
                    self.out.labels.extend(value.filter(|v| !v.value.contains('$')).map(|v| (name, v.value)));
                }
            }
            Instruction::Maintainer(maintainer) => {
                let name = maintainer.name.value.trim_matches('"').to_owned();
                self.out.labels.insert("org.opencontainers.image.authors".to_owned(), name);
            }
            Instruction::Expose(expose) => {
                for port in &expose.arguments {
                    match self.text(&port.value) {
                        Some(port) if is_port(&port) => self.out.ports.push(port),
                        _ => self
                            .leave(expose.expose.span.start, "a range of ports, or none that is known here"),
                    }
                }
            }
            Instruction::Workdir(workdir) => {
                match self.text(workdir.arguments.value.trim()).map(|dir| self.absolute(&dir)) {
                    Some(dir) => self.out.workdir = Some(dir),
                    None => self.leave(workdir.workdir.span.start, "a variable in it is not known here"),
                }
            }
            Instruction::User(user) => self.user(user.arguments.value.trim(), user.user.span.start),
            Instruction::Cmd(cmd) => match self.words(&cmd.arguments) {
                Some(words) => self.out.command = Some(words),
                None => self.leave(cmd.cmd.span.start, "the image has no shell to read it with"),
            },
            Instruction::Entrypoint(entry) => match self.words(&entry.arguments) {
                Some(words) => self.out.entrypoint = Some(words),
                None => self.leave(entry.entrypoint.span.start, "the image has no shell to read it with"),
            },
            Instruction::Healthcheck(check) => {
                self.leave(
                    check.healthcheck.span.start,
                    "OCI images have no health check: Compose and Kubernetes say it",
                );
            }
            Instruction::Onbuild(onbuild) => {
                self.leave(onbuild.onbuild.span.start, "OCI images have no ONBUILD");
            }
            Instruction::Volume(volume) => {
                self.leave(volume.volume.span.start, "volumes are said where the image is run");
            }
            Instruction::Stopsignal(signal) => {
                self.leave(signal.stopsignal.span.start, "perijove.toml has no such key");
            }
            // How RUN is read: what is carried over asks no shell.
            _ => {}
        }
    }

    fn user(&mut self, user: &str, at: usize) {
        let Some(user) = self.text(user) else { return self.leave(at, "a variable in it is not known here") };
        match user.as_str() {
            "jovyan" | "1000" | "1000:1000" | "jovyan:jovyan" => self.out.user = None,
            // Most go back to a user behind their RUNs; who does not is told.
            "root" | "0" | "0:0" | "root:root" => self.out.user = Some("0:0".to_owned()),
            other if other.split(':').all(|part| part.parse::<u32>().is_ok()) => {
                self.out.user =
                    Some(if other.contains(':') { other.to_owned() } else { format!("{other}:{other}") });
            }
            _ => self.leave(at, "the image has no such user: say user = \"uid:gid\""),
        }
    }

    /// A command without a shell: its words.
    fn words(&self, command: &Command<'_>) -> Option<Vec<String>> {
        match command {
            Command::Exec(exec) => Some(exec.value.iter().map(|word| word.value.to_string()).collect()),
            Command::Shell(shell) => {
                let mut commands = shell::commands(shell.value, self.file.escape);
                let plain = commands.len() == 1 && !commands[0].complex;
                let words = plain.then(|| commands.remove(0).words)?;
                let set = words.iter().any(|word| {
                    word.contains('$') || word.split_once('=').is_some_and(|(n, _)| !n.starts_with('-'))
                });
                (!set).then_some(words)
            }
            _ => None,
        }
    }

    fn absolute(&self, path: &str) -> String {
        let workdir = self.out.workdir.as_deref().unwrap_or("/srv/jupyterhub");
        let path = path.strip_prefix("./").unwrap_or(path);
        match path {
            "." | "" => workdir.to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("{}/{path}", workdir.trim_end_matches('/')),
        }
    }
}

fn is_port(text: &str) -> bool {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    number.parse::<u16>().is_ok() && matches!(protocol, "tcp" | "udp" | "sctp")
}
