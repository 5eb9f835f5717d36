//! `requirements.in` → `requirements.txt`: uv resolves, the index names the wheels, and what has no wheel is
//! built once.

use std::path::{Path, PathBuf};

use super::compile::{Question, Upgrade};
use super::input::Input;
use super::merge::{Entry, Merged, render};
use super::resolve::Resolver;
use super::tags::Tags;
use super::target::PythonTarget;
use crate::lock::index::Index;
use crate::lock::index::locate::WHEELS;
use crate::lock::requirements::RequirementsLock;
use crate::{Error, Result};

/// What to lock.
pub struct Request<'a> {
    /// The `requirements.in`, in the image's folder.
    pub input: &'a Path,
    /// The Python and the platforms.
    pub target: &'a PythonTarget,
    /// The present lock, if there is one.
    pub old: Option<&'a RequirementsLock>,
    /// Which pins may move.
    pub upgrade: &'a Upgrade,
}

/// A new lock.
pub struct Locked {
    /// The text of `requirements.txt`.
    pub text: String,
    /// Wheels that were built, to be written beside it: path in the image's folder, bytes.
    pub wheels: Vec<(PathBuf, Vec<u8>)>,
}

/// Locks. Nothing is written: give the text and the wheels to [`crate::lock::journal::commit`] together.
pub async fn lock(index: &Index, request: &Request<'_>) -> Result<Locked> {
    let input = Input::read(request.input)?;
    let Request { target, old, upgrade, .. } = *request;
    if target.platforms.is_empty() {
        return Err(Error::Refused {
            reason: "there is no platform to lock for".to_owned(),
            hint: "name some in perijove.toml: platforms = [\"linux/amd64\", \"linux/arm64\"]".to_owned(),
        });
    }
    let tags: Vec<Tags> = target.platforms.iter().map(|p| Tags::new(target, p)).collect::<Result<_>>()?;
    let folder = request.input.parent().unwrap_or(Path::new(""));
    let question = Question { input: request.input, target, old, upgrade };
    let resolver = Resolver { index, target, tags, question, input: &input, folder };
    let (mut entries, mut built) = (Vec::new(), Vec::new());
    for found in resolver.resolve().await? {
        let mut wheels = found.wheels;
        if let Some(made) = found.built {
            built.push((Path::new(WHEELS).join(&made.wheel.filename), made.bytes));
            wheels.push(made.wheel);
        }
        let changed = changed(old, &found.merged);
        entries.push(Entry { merged: found.merged, changed, wheels });
    }
    Ok(Locked { text: render(target, &input.digest(target), &entries)?, wheels: built })
}

/// The old lock's count, and one more when the version is new to a name that it had.
fn changed(old: Option<&RequirementsLock>, merged: &Merged) -> u32 {
    let Some(old) = old else { return 0 };
    let mut pins = old.pins.iter().filter(|pin| pin.name == merged.name).peekable();
    let known = pins.peek().is_some();
    let same = pins.any(|pin| pin.version == merged.version);
    old.changes(&merged.name) + u32::from(known && !same)
}
