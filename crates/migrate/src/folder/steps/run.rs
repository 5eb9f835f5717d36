//! The commands of RUN: what installers are asked for, and folders that are made.

use super::Reader;
use crate::Entry;
use crate::dockerfile::pip;
use crate::shell;

impl Reader<'_, '_> {
    pub(super) fn command(&mut self, command: &shell::Command, offset: usize) {
        let at = command.span.start + offset;
        let words: Option<Vec<String>> = command.words.iter().map(|word| self.text(word)).collect();
        let (Some(words), false) = (words, command.complex) else {
            return self.leave(at, "shell that is more than a plain command");
        };
        // `DEBIAN_FRONTEND=noninteractive apt-get …`, `sudo …`
        let words = shell::itself(&words);
        if let Some(pip) = pip::read(&words) {
            return self.pip(pip, at);
        }
        let name = words.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word));
        let rest: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        match name {
            "apt-get" | "apt" => self.apt(&rest, at),
            "mkdir" => {
                let (flags, folders): (Vec<&str>, Vec<&str>) =
                    rest.iter().partition(|word| word.starts_with('-'));
                let plain = ["-p", "-v", "-pv", "-vp", "--parents", "--verbose"];
                if flags.iter().any(|flag| !plain.contains(flag)) {
                    return self.leave(at, "a folder with a mode of its own: make it in rootfs");
                }
                for folder in folders {
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
        let mut plain = Vec::new();
        let mut all = rest.iter();
        while let Some(word) = all.next() {
            match *word {
                "-t" | "--target-release" | "--default-release" => {
                    return self.leave(at, "from another release of Debian: debs.in has one");
                }
                word if word.starts_with("--target-release=") || word.starts_with("--default-release=") => {
                    return self.leave(at, "from another release of Debian: debs.in has one");
                }
                "-o" | "--option" | "-c" | "--config-file" => drop(all.next()),
                word if word.starts_with('-') => {}
                word => plain.push(word),
            }
        }
        let mut words = plain.into_iter();
        match words.next() {
            Some("install") => {}
            Some(
                "update" | "upgrade" | "dist-upgrade" | "clean" | "autoclean" | "autoremove" | "purge"
                | "remove",
            )
            | None => return,
            Some(_) => return self.leave(at, "an apt command that an image from locks has no place for"),
        }
        for name in words {
            let plain =
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
            if plain && name.len() > 1 {
                self.out.debs.push(name.to_owned());
            } else {
                self.leave(at, &format!("`{name}` is not the plain name of a Debian package"));
            }
        }
    }
}

/// What a Dockerfile sweeps away behind its installers.
fn is_litter(path: &str) -> bool {
    ["/var/lib/apt/lists", "/var/cache", "/tmp", "/root/.cache", "/home/jovyan/.cache", "/root/.npm"]
        .iter()
        .any(|start| path.starts_with(start))
}
