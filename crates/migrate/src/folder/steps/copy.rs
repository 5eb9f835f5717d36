//! What COPY and ADD bring: files and folders beside the Dockerfile, at their places in the image.

use parse_dockerfile::{AddInstruction, CopyInstruction, Source};

use super::Reader;
use crate::Entry;

/// Folders of the retired images that the successor does not have.
const GONE: [&str; 3] = ["/opt/conda", "/srv/venv", "/opt/venv"];

/// Folders that the retired images have, where a file is copied to.
const THERE: [&str; 9] = [
    "/srv/jupyterhub",
    "/home/jovyan",
    "/usr/local/bin",
    "/usr/local/etc/jupyter",
    "/usr/local/share/jupyter",
    "/usr/bin",
    "/etc/jupyter",
    "/opt",
    "/tmp",
];

impl Reader<'_, '_> {
    pub(super) fn add(&mut self, add: &AddInstruction<'_>) {
        let at = add.add.span.start;
        let sources: Vec<&str> = add.src.iter().filter_map(path_of).collect();
        let plain = sources.len() == add.src.len()
            && add.options.is_empty()
            && !sources.iter().any(|s| s.contains("://") || s.contains(".tar") || s.ends_with(".tgz"));
        if plain {
            self.copies(&sources, &add.dest.value, at);
        } else {
            self.leave(at, "fetches or unpacks something");
        }
    }

    pub(super) fn copy(&mut self, copy: &CopyInstruction<'_>) {
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
                Entry::File(_) if into || self.is_folder(&target) => {
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

    /// Whether a folder is there before: of the retired images, or made by the steps so far.
    fn is_folder(&self, target: &str) -> bool {
        let holds = |below: &str| {
            below == target || below.strip_prefix(target).is_some_and(|rest| rest.starts_with('/'))
        };
        let copied = |(other, from): (&String, &String)| {
            holds(other) && (other != target || self.tree.look(self.path, from) == Entry::Folder)
        };
        THERE.iter().any(|there| holds(there))
            || self.out.workdir.as_deref().is_some_and(holds)
            || self.out.directories.iter().any(|made| holds(made))
            || self.out.files.iter().any(copied)
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
