//! Dockerfiles: stages, what each stands on with build arguments put in, and what they do on a retired image.

mod expand;
mod files;
mod habits;
mod heredoc;
pub mod pip;
mod stages;

use std::ops::Range;

use parse_dockerfile::Instruction;

use crate::finding::{Edit, Finding};
use crate::image::{self, Found, Retired, Version};
use crate::rules::Rule;
use crate::scene::{self, BUILT_ON, Obstacle, Scene, Use, Write};
use crate::{Error, Tree};
pub use expand::{Arguments, Expanded, assignments, expand};
use habits::Habits;
pub use habits::shell_texts;
pub use heredoc::Masked;
pub use stages::{Base, Dockerfile, Stage};

/// What continues a line is said in the text itself.
pub fn masked(text: &str) -> Masked<'_> {
    heredoc::masked(text, stages::escape(text))
}

/// The findings of the Dockerfile at `path`.
pub fn read(path: &str, text: &str, scene: &Scene, tree: &dyn Tree) -> Result<Vec<Finding>, Error> {
    let masked = masked(text);
    let file = Dockerfile::parse(&masked)?;
    let mut found = Vec::new();
    let mut of_stages = Vec::new();
    for (number, stage) in file.stages.iter().enumerate() {
        let start = found.len();
        if let Base::Image(value) = &stage.base {
            found.extend(from(&file, number, stage, value, text, scene));
        }
        of_stages.push(start..found.len());
        for instruction in &stage.instructions {
            found.extend(copied(&file, instruction, scene));
        }
    }
    shared(&file, &of_stages, &mut found);
    found.extend(Habits::new(path, &file, scene, tree).read());
    Ok(found)
}

/// An ARG that several stages stand on is written where all of them allow it: else one stage's edit would change
/// what another stands on.
fn shared(file: &Dockerfile<'_>, of_stages: &[Range<usize>], found: &mut [Finding]) {
    // One that is given up may have been what another relied on.
    for _ in 0..=of_stages.len() {
        let mut given_up = Vec::new();
        for (number, range) in of_stages.iter().enumerate() {
            let others = || file.stages.iter().zip(of_stages).enumerate().filter(|(at, _)| *at != number);
            let refused = |edit: &Edit| {
                others().any(|(_, (stage, theirs))| match &stage.base {
                    Base::Image(value) if edit.start < edit.end && value.touches(&(edit.start..edit.end)) => {
                        !found[theirs.clone()].iter().any(|finding| finding.edits.contains(edit))
                    }
                    _ => false,
                })
            };
            if found[range.clone()].iter().flat_map(|finding| &finding.edits).any(refused) {
                given_up.push(range.clone());
            }
        }
        if given_up.is_empty() {
            return;
        }
        for finding in given_up.into_iter().flatten() {
            let finding = &mut found[finding];
            if !finding.edits.is_empty() {
                finding.edits.clear();
                scene::by_hand(finding, SHARED);
            }
        }
    }
}

/// The obstacle of an ARG that another stage needs as it is.
const SHARED: Obstacle = "another stage stands on the same ARG, which cannot take the successor";

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
    // docker-stacks' images have what theirs had; the site's own may be as bare as its hub.
    let alike = !found.image.is_hub() && scene.successors.is_stacks();
    let obstacle = (!alike && !file.only_adds(number)).then_some(BUILT_ON);
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
    let version = found.version(text);
    let name = value.place(found.name.clone());
    let whole = value.place(found.span.clone());
    // A tag that stands elsewhere may stay there only if it stays what it is.
    let stays = found.image.is_hub() && matches!(&version, Version::Exact(v) if Some(v.as_str()) == tag);
    let tag_place = found.tag.clone().and_then(|tag| value.place(tag));
    let write = match (&whole, &name, tag_place) {
        (Some(whole), ..) => Some(Write::Whole(whole.clone())),
        (None, Some(name), Some(tag)) if stays => {
            Some(Write::Apart { registry: None, name: name.clone(), tag, typed: false })
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
        let names = |stage: &Stage<'_>| {
            stage.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(&value.value))
        };
        if file.stages.iter().any(names) {
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

#[cfg(test)]
mod tests;
