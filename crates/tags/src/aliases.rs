//! Which aliases move to a new tag (RULE.md 8 to 10), and a whole release (13).

use crate::error::{Reason, Refusal};
use crate::next::next_build;
use crate::tag::Tag;

/// The tag names to point at the image that is pushed as `new`: `new` itself, then its aliases, longest first
/// (RULE.md 10). An alias never moves to a smaller version.
///
/// `existing` is every active tag name of the repository, of all target repositories joined, in any order; doubles,
/// junk and `new` itself are allowed.
///
/// # Errors
/// `new` is not a version tag; or it is bare, and a numbered build of its version is there.
pub fn aliases<'e>(new: &str, existing: impl IntoIterator<Item = &'e str>) -> Result<Vec<String>, Refusal> {
    let new = Tag::parse(new)?;
    let mut names = new.candidates();
    let mut newest = new;
    for tag in existing.into_iter().filter_map(|text| Tag::parse(text).ok()).filter(|tag| *tag > new) {
        let taken = first_common(&new, &tag);
        names.truncate(taken);
        if taken == 0 && tag > newest {
            newest = tag;
        }
    }
    if new.build().is_some() {
        names.insert(0, new.text().to_owned());
    } else if newest != new {
        return Err(Refusal::new(new.text(), Reason::AliasOf { newest: newest.text().to_owned() }));
    }
    Ok(names)
}

/// Where in the candidates of `new` the first stands that `tag` has too (RULE.md 8, 9). `tag` has all that follow as
/// well: who shares `5.3` shares `5` and `latest`.
fn first_common(new: &Tag, tag: &Tag) -> usize {
    if new.version() == tag.version() {
        return 0;
    }
    match (new.rank(), tag.rank()) {
        (Some(a), Some(b)) if a.is_final() && b.is_final() => match a.release[..2] == b.release[..2] {
            true => 1,
            false if a.release[0] == b.release[0] => 2,
            false => 3,
        },
        _ => usize::MAX,
    }
}

/// The tag names of the next build of `version`: `{version}-{next_build}`, then its aliases (RULE.md 13).
///
/// # Errors
/// As [`next_build`] without `strict`, and [`aliases`].
pub fn release<'e, E>(version: &str, existing: E) -> Result<Vec<String>, Refusal>
where
    E: IntoIterator<Item = &'e str> + Clone,
{
    let number = next_build(version, existing.clone(), false)?;
    aliases(&format!("{version}-{number}"), existing)
}
