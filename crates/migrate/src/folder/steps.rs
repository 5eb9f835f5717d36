//! The instructions of a Dockerfile's last stage, and of the stages it stands on, as what an image folder can say.

use std::collections::BTreeMap;

use parse_dockerfile::{Command, CopyInstruction, Instruction, Source};

use super::Left;
use crate::dockerfile::{Arguments, Base, Dockerfile, Expanded, assignments, expand, pip, shell_texts};
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

/// Folders of the retired images that the successor does not have.
const GONE: [&str; 3] = ["/opt/conda", "/srv/venv", "/opt/venv"];

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
            Instruction::Add(add) => {
                let at = add.add.span.start;
                let sources: Vec<&str> = add.src.iter().filter_map(path_of).collect();
                let plain = sources.len() == add.src.len()
                    && add.options.is_empty()
                    && !sources
                        .iter()
                        .any(|s| s.contains("://") || s.contains(".tar") || s.ends_with(".tgz"));
                if plain {
                    self.copies(&sources, &add.dest.value, at);
                } else {
                    self.leave(at, "fetches or unpacks something");
                }
            }
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

    fn command(&mut self, command: &shell::Command, offset: usize) {
        let at = command.span.start + offset;
        let words: Option<Vec<String>> = command.words.iter().map(|word| self.text(word)).collect();
        let (Some(words), false) = (words, command.complex) else {
            return self.leave(at, "shell that is more than a plain command");
        };
        // `DEBIAN_FRONTEND=noninteractive apt-get …`, `sudo …`
        let leads = |word: &&String| *word == "sudo" || (word.contains('=') && !word.starts_with('-'));
        let skip = words.iter().take_while(leads).count();
        let words = &words[skip..];
        if let Some(pip) = pip::read(words) {
            return self.pip(pip, at);
        }
        let name = words.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word));
        let rest: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        match name {
            "apt-get" | "apt" => self.apt(&rest, at),
            "mkdir" => {
                for folder in rest.iter().filter(|word| !word.starts_with('-')) {
                    let folder = self.absolute(folder);
                    self.out.directories.push(folder);
                }
            }
            "npm" if rest.contains(&"configurable-http-proxy") => {
                self.leave(at, "the proxy has an image of its own");
            }
            "true" | ":" | "export" | "hash" => {}
            "rm" if rest.iter().all(|w| w.starts_with('-') || is_litter(w)) => {}
            "pip" | "pip3" if rest.first() == Some(&"cache") => {}
            "conda" | "mamba" if rest.first() == Some(&"clean") => {}
            "conda" | "mamba" => {
                self.leave(at, "conda's packages: name those of the Python index in requirements.in");
            }
            _ => self.leave(at, "nothing runs while an image is built from locks"),
        }
    }

    fn pip(&mut self, pip: pip::Pip, at: usize) {
        self.out.python.extend(pip.names);
        if !pip.others.is_empty() {
            self.leave(at, &format!("not names in an index: {}", pip.others.join(" ")));
        }
        for file in pip.files {
            // COPY put it where pip reads it.
            let source = self.out.files.get(&self.absolute(&file)).cloned().unwrap_or_else(|| file.clone());
            let Entry::File(Some(text)) = self.tree.look(self.path, &source) else {
                self.leave(at, &format!("{file} does not lie beside the Dockerfile"));
                continue;
            };
            for line in text.replace("\\\n", " ").replace("\\\r\n", " ").lines() {
                let line = line.split(" #").next().unwrap_or(line).trim();
                let line = line.split(" --hash").next().unwrap_or(line).trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                if pip::is_requirement(line) {
                    self.out.python.push(line.to_owned());
                } else {
                    self.leave(at, &format!("{file}: `{line}` is not a name in an index"));
                }
            }
            let place = self.absolute(&file);
            self.out.files.remove(&place);
        }
    }

    fn apt(&mut self, rest: &[&str], at: usize) {
        let mut words = rest.iter().filter(|word| !word.starts_with('-'));
        match words.next() {
            Some(&"install") => {}
            Some(
                &("update" | "upgrade" | "dist-upgrade" | "clean" | "autoclean" | "autoremove" | "purge"
                | "remove"),
            )
            | None => return,
            Some(_) => return self.leave(at, "an apt command that an image from locks has no place for"),
        }
        for name in words {
            let plain =
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
            if plain && name.len() > 1 {
                self.out.debs.push((*name).to_owned());
            } else {
                self.leave(at, &format!("`{name}` is not the plain name of a Debian package"));
            }
        }
    }

    fn copy(&mut self, copy: &CopyInstruction<'_>) {
        let at = copy.copy.span.start;
        let sources: Vec<&str> = copy.src.iter().filter_map(path_of).collect();
        if sources.len() != copy.src.len() {
            return self.leave(at, "a here-document: write it below rootfs");
        }
        for flag in &copy.options {
            match &*flag.name.value {
                "link" => {}
                // What a site reads, its user may read; what it writes lies in its home or the workdir.
                "chown" => self.leave(at, "files of rootfs belong to root"),
                "from" => return self.leave(at, "comes out of another image or stage"),
                other => {
                    return self.leave(at, &format!("--{other} has no place in rootfs: set it on the file"));
                }
            }
        }
        self.copies(&sources, &copy.dest.value, at);
    }

    fn copies(&mut self, sources: &[&str], dest: &str, at: usize) {
        let Some(dest) = self.text(dest) else { return self.leave(at, "a variable in it is not known here") };
        let into = dest.ends_with('/') || dest == "." || sources.len() > 1;
        for source in sources {
            let Some(source) = self.text(source) else {
                self.leave(at, "a variable in it is not known here");
                continue;
            };
            let source =
                source.trim_start_matches("./").trim_start_matches('/').trim_end_matches('/').to_owned();
            if source.is_empty() || source == "." || source.contains(['*', '?', '[']) || has_dots(&source) {
                self.leave(at, "copies whatever lies there: put the files that count into rootfs");
                continue;
            }
            let target = self.absolute(dest.trim_end_matches('/'));
            let (target, fine) = match self.tree.look(self.path, &source) {
                Entry::Nothing => (target, false),
                Entry::File(_) if into => {
                    let name = source.rsplit('/').next().unwrap_or(&source);
                    (format!("{}/{name}", target.trim_end_matches('/')), true)
                }
                Entry::File(_) | Entry::Folder => (target, true),
            };
            if !fine {
                self.leave(at, &format!("{source} does not lie beside the Dockerfile"));
            } else if GONE.iter().any(|gone| target.starts_with(gone)) {
                self.leave(at, "the image has no such folder: its Python lies in /usr and /usr/local");
            } else if has_dots(&target) {
                self.leave(at, "a path that leads up again");
            } else if self.in_the_way(&target, &source) {
                self.leave(at, "a file and a folder of one name: say in rootfs which it is");
            } else {
                self.out.files.insert(target, source);
            }
        }
    }

    /// Whether a file would lie where another file needs a folder.
    fn in_the_way(&self, target: &str, source: &str) -> bool {
        let is_file = |source: &str| matches!(self.tree.look(self.path, source), Entry::File(_));
        let above = |a: &str, b: &str| b.strip_prefix(a).is_some_and(|rest| rest.starts_with('/'));
        let new_is_file = is_file(source);
        self.out.files.iter().any(|(other, from)| {
            (above(other, target) && is_file(from)) || (above(target, other) && new_is_file)
        })
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

fn path_of<'a>(source: &'a Source<'_>) -> Option<&'a str> {
    match source {
        Source::Path(path) => Some(&*path.value),
        _ => None,
    }
}

fn has_dots(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

fn is_port(text: &str) -> bool {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    number.parse::<u16>().is_ok() && matches!(protocol, "tcp" | "udp" | "sctp")
}

/// What a Dockerfile sweeps away behind its installers.
fn is_litter(path: &str) -> bool {
    ["/var/lib/apt/lists", "/var/cache", "/tmp", "/root/.cache", "/home/jovyan/.cache", "/root/.npm"]
        .iter()
        .any(|start| path.starts_with(start))
}
