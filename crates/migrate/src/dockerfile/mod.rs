//! Dockerfiles: stages, what each stands on with build arguments put in, and what they do on a retired image.

mod expand;
pub mod pip;
mod stages;

use std::ops::Range;

use parse_dockerfile::{Command, Instruction};

use crate::finding::{Edit, Finding};
use crate::image::{self, Found, Retired, Version};
use crate::rules::Rule;
use crate::scene::{self, BUILT_ON, Obstacle, Scene, Use, Write};
use crate::shell;
use crate::{Error, Tree};
pub use expand::{Arguments, Expanded, assignments, expand};
pub use stages::{Base, Dockerfile, Stage, masked};

/// The findings of the Dockerfile at `path`.
pub fn read(path: &str, text: &str, scene: &Scene, tree: &dyn Tree) -> Result<Vec<Finding>, Error> {
    let text = &*masked(text);
    let file = Dockerfile::parse(text)?;
    let mut found = Vec::new();
    for (number, stage) in file.stages.iter().enumerate() {
        if let Base::Image(value) = &stage.base {
            found.extend(from(&file, number, stage, value, text, scene));
        }
        let retired = file.retired(number);
        for instruction in &stage.instructions {
            found.extend(copied(&file, instruction, scene));
            if let Some(image) = retired {
                found.extend(habits(path, &file, image, instruction, scene, tree));
            }
        }
    }
    Ok(found)
}

/// What a FROM names.
fn from(
    file: &Dockerfile<'_>,
    number: usize,
    stage: &Stage<'_>,
    value: &Expanded,
    text: &str,
    scene: &Scene,
) -> Vec<Finding> {
    let Some(found) = image::whole(&value.value) else { return Vec::new() };
    let obstacle = (found.image.is_hub() && !file.only_adds(number)).then_some(BUILT_ON);
    let used = use_of(value, &found, stage.from.image.span.clone(), obstacle);
    let mut all = scene::findings(scene, &used);
    if found.image == Retired::Onbuild {
        let line = "COPY jupyterhub_config.py /srv/jupyterhub/jupyterhub_config.py";
        let mut edits = all.first().map(|first| first.edits.clone()).unwrap_or_default();
        // Its own COPY may have been put in before, by a hand.
        if !edits.is_empty() {
            let end = text[stage.from.image.span.end..].find('\n').map(|at| at + stage.from.image.span.end);
            let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
            edits.push(match end {
                Some(end) => Edit::new(end + 1..end + 1, format!("{line}{newline}")),
                None => Edit::new(text.len()..text.len(), format!("{newline}{line}{newline}")),
            });
            if let Some(first) = all.first_mut() {
                first.edits.clone_from(&edits);
            }
        }
        all.push(Finding {
            rule: Rule::OnbuildCopy,
            span: used.span.clone(),
            image: Some(used.shown.clone()),
            retired: Some(Retired::Onbuild),
            instead: format!("say it where it happens: {line}"),
            edits,
        });
    }
    if found.image.is_hub() && !scene.proxy_apart {
        all.push(scene::proxy_in_hub(used.span.clone(), Some(used.shown)));
    }
    all
}

fn use_of(value: &Expanded, found: &Found, fallback: Range<usize>, obstacle: Option<Obstacle>) -> Use {
    let text = &value.value;
    let tag = found.tag.clone().map(|tag| &text[tag]);
    let version = image::version(tag, found.digest);
    let name = value.place(found.name.clone());
    let whole = value.place(found.span.clone());
    // A tag that stands elsewhere may stay there only if it stays what it is.
    let stays = found.image.is_hub() && matches!(&version, Version::Exact(v) if Some(v.as_str()) == tag);
    let tag_place = found.tag.clone().and_then(|tag| value.place(tag));
    let write = match (&whole, &name, tag_place) {
        (Some(whole), ..) => Some(Write::Whole(whole.clone())),
        (None, Some(name), Some(tag)) if stays => {
            Some(Write::Apart { registry: None, name: name.clone(), tag })
        }
        _ => None,
    };
    let span = whole.or(name).unwrap_or(fallback);
    Use {
        image: found.image,
        shown: text[found.span.clone()].to_owned(),
        version: Some(version),
        span,
        write,
        obstacle,
    }
}

/// What `COPY --from=` and `RUN --mount=from=` name.
fn copied(file: &Dockerfile<'_>, instruction: &Instruction<'_>, scene: &Scene) -> Vec<Finding> {
    let flags: &[parse_dockerfile::Flag<'_>] = match instruction {
        Instruction::Copy(copy) => &copy.options,
        Instruction::Add(add) => &add.options,
        Instruction::Run(run) => &run.options,
        _ => return Vec::new(),
    };
    let mut all = Vec::new();
    for value in flags.iter().filter_map(|flag| flag.value.as_ref()) {
        if file.stages.iter().any(|stage| stage.name.as_deref() == Some(&*value.value)) {
            continue;
        }
        let offset = (value.span.len() == value.value.len()).then_some(value.span.start);
        let value_text = expand(&value.value, offset, &file.global);
        for found in image::find(&value_text.value) {
            let before = &value_text.value[..found.span.start];
            if !before.is_empty() && !before.ends_with("from=") {
                continue;
            }
            let obstacle = Some("files are taken out of it, which lie elsewhere in the successor");
            all.extend(scene::findings(scene, &use_of(&value_text, &found, value.span.clone(), obstacle)));
        }
    }
    all
}

/// The habits in one instruction of a stage that stands on `image`.
fn habits(
    path: &str,
    file: &Dockerfile<'_>,
    image: Retired,
    instruction: &Instruction<'_>,
    scene: &Scene,
    tree: &dyn Tree,
) -> Vec<Finding> {
    let mut all = Vec::new();
    if let Instruction::Onbuild(onbuild) = instruction {
        let copies = matches!(&*onbuild.instruction, Instruction::Copy(_) | Instruction::Add(_));
        if copies && image.is_hub() {
            all.push(Finding {
                rule: Rule::OnbuildCopy,
                span: onbuild.onbuild.span.clone(),
                image: None,
                retired: None,
                instead: "copy it in the image that has it, or put it into images/NAME/rootfs".to_owned(),
                edits: Vec::new(),
            });
        }
    }
    if let Instruction::Run(run) = instruction {
        for (text, offset) in shell_texts(run) {
            for command in shell::commands(text, file.escape) {
                let Some(pip) = pip::read(&command.words) else { continue };
                let hashed = |name: &String| matches!(tree.look(path, name), crate::Entry::File(Some(text)) if text.contains("--hash="));
                let locked = pip.hashes
                    || (pip.names.is_empty() && pip.others.is_empty() && pip.files.iter().all(hashed));
                if !locked {
                    all.push(scene::unlocked(command.span.start + offset..command.span.end + offset));
                }
            }
        }
    }
    if image.is_hub() && !scene.proxy_apart {
        let span = match instruction {
            Instruction::Run(run) => run.run.span.start..end_of(&run.arguments),
            Instruction::Cmd(cmd) => cmd.cmd.span.start..end_of(&cmd.arguments),
            Instruction::Entrypoint(entry) => entry.entrypoint.span.start..end_of(&entry.arguments),
            _ => return all,
        };
        let word = "configurable-http-proxy";
        if let Some(at) = file.text.get(span.clone()).and_then(|text| text.find(word)) {
            let start = span.start + at;
            all.push(scene::proxy_in_hub(start..start + word.len(), None));
        }
    }
    all
}

/// The shell texts of a RUN, each with its offset in the file.
pub fn shell_texts<'a>(run: &'a parse_dockerfile::RunInstruction<'_>) -> Vec<(&'a str, usize)> {
    match &run.arguments {
        Command::Shell(shell) if shell.value.trim().is_empty() => {
            run.here_docs.iter().map(|doc| (&*doc.value, doc.span.start)).collect()
        }
        Command::Shell(shell) if run.here_docs.is_empty() => vec![(shell.value, shell.span.start)],
        _ => Vec::new(),
    }
}

fn end_of(command: &Command<'_>) -> usize {
    match command {
        Command::Exec(exec) => exec.span.end,
        Command::Shell(shell) => shell.span.end,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
