//! Which file beside a Dockerfile lies at a path of the image, as its COPYs and mounts say.

use parse_dockerfile::{Instruction, RunInstruction, Source};

/// Where a stage's files come from.
#[derive(Clone, Debug, Default)]
pub struct Files {
    workdir: String,
    /// Path in the image, path beside the Dockerfile; the latest last.
    copied: Vec<(String, String)>,
}

impl Files {
    /// Takes in one instruction.
    pub fn instruction(&mut self, instruction: &Instruction<'_>) {
        let (sources, dest, flags) = match instruction {
            Instruction::Workdir(workdir) => {
                self.workdir = self.absolute(workdir.arguments.value.trim());
                return;
            }
            Instruction::Copy(copy) => (&copy.src, &copy.dest, &copy.options),
            Instruction::Add(add) => (&add.src, &add.dest, &add.options),
            _ => return,
        };
        if flags.iter().any(|flag| flag.name.value == "from") {
            return;
        }
        let into = dest.value.ends_with('/') || &*dest.value == "." || sources.len() > 1;
        let place = self.absolute(&dest.value);
        for source in sources {
            let Source::Path(source) = source else { continue };
            let source = beside(&source.value);
            // A file under its own name, and a folder's content.
            let name = source.rsplit('/').next().unwrap_or(&source);
            let below = format!("{}/{name}", place.trim_end_matches('/'));
            if !into {
                self.copied.push((place.clone(), source.clone()));
            }
            self.copied.push((below, source.clone()));
            if into {
                self.copied.push((place.clone(), source));
            }
        }
    }

    /// The paths beside the Dockerfile that may lie at `path` while `run` goes on; the likeliest first.
    pub fn sources(&self, path: &str, run: &RunInstruction<'_>) -> Vec<String> {
        let place = self.absolute(path);
        let mounts: Vec<(String, String)> = run.options.iter().filter_map(|flag| self.mount(flag)).collect();
        let mut all = Vec::new();
        for (target, source) in mounts.iter().chain(self.copied.iter().rev()) {
            let Some(rest) = place.strip_prefix(target.as_str()) else { continue };
            match (rest, rest.strip_prefix('/')) {
                ("", _) => all.push(source.clone()),
                (_, Some(rest)) if source.is_empty() => all.push(rest.to_owned()),
                (_, Some(rest)) => all.push(format!("{source}/{rest}")),
                _ => {}
            }
        }
        if !path.starts_with('/') {
            all.push(path.to_owned());
        }
        all
    }

    /// `--mount=type=bind,source=…,target=…`.
    fn mount(&self, flag: &parse_dockerfile::Flag<'_>) -> Option<(String, String)> {
        let value = flag.value.as_ref().filter(|_| flag.name.value == "mount")?;
        let said = |names: &[&str]| {
            let mut pairs = value.value.split(',').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| names.contains(name)).map(|(_, value)| value)
        };
        let bind = said(&["type"]).is_none_or(|kind| kind == "bind");
        let target = said(&["target", "dst", "destination"]).filter(|_| bind && said(&["from"]).is_none())?;
        let target = self.absolute(target).trim_end_matches('/').to_owned();
        Some((target, beside(said(&["source", "src"]).unwrap_or(""))))
    }

    fn absolute(&self, path: &str) -> String {
        let path = path.trim_start_matches("./");
        let whole = match path {
            "." | "" => self.workdir.clone(),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("{}/{path}", self.workdir.trim_end_matches('/')),
        };
        if whole.len() > 1 { whole.trim_end_matches('/').to_owned() } else { whole }
    }
}

fn beside(source: &str) -> String {
    let plain = source.trim_start_matches("./").trim_start_matches('/').trim_end_matches('/');
    if plain == "." { String::new() } else { plain.to_owned() }
}
