//! Who owns which file: no two parts of an image may own one with different content, and none may have files
//! below what another has as a file or a link. Pure.

use std::collections::BTreeMap;

use crate::layer::contents::Listed;
use crate::{Error, Result};

/// Files that several parts own with different content, harmlessly. Path prefix or whole path, and why.
const SHARED: &[(&str, &str)] = &[
    ("usr/share/doc/", "copyright files of packages built from one source"),
    ("var/lib/dpkg/status.d/", "one entry a package, whatever its architecture"),
];

/// Refuses two parts that own one path with different content, or one below the other; those that `may_replace`
/// (the image's own files) win over all others.
pub fn check<'a>(
    pieces: impl Iterator<Item = &'a Listed>,
    may_replace: impl Fn(&Listed) -> bool,
) -> Result<()> {
    let mut owners: BTreeMap<&str, (&Listed, &str)> = BTreeMap::new();
    for listed in pieces.filter(|listed| !may_replace(listed)) {
        for owned in &listed.owned {
            let Some((first, what)) = owners.insert(&owned.path, (listed, &owned.what)) else { continue };
            let harmless =
                what == owned.what || SHARED.iter().any(|(prefix, _)| owned.path.starts_with(prefix));
            if !harmless {
                return Err(Error::Refused {
                    reason: format!(
                        "/{} belongs to {} and to {}, with different content",
                        owned.path, first.part, listed.part
                    ),
                    hint: HINT.to_owned(),
                });
            }
        }
    }
    for (path, (listed, _)) in &owners {
        let above = path.match_indices('/').find_map(|(at, _)| Some((&path[..at], owners.get(&path[..at])?)));
        if let Some((above, (other, what))) = above {
            let kind = if what.starts_with("link:") { "a link" } else { "a file" };
            return Err(Error::Refused {
                reason: format!(
                    "/{above} is {kind} of {}, and {} has /{path} below it",
                    other.part, listed.part
                ),
                hint: HINT.to_owned(),
            });
        }
    }
    Ok(())
}

const HINT: &str = "leave one of the two packages out, or pin versions that do not clash";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Class;
    use crate::layer::piece::Owned;

    fn listed(part: &str, files: &[(&str, &str)]) -> Listed {
        let owned = files.iter().map(|(path, what)| Owned {
            path: (*path).to_owned(),
            what: (*what).to_owned(),
            class: Class::Code,
        });
        Listed {
            id: part.to_owned(),
            part: part.to_owned(),
            class: Class::Code,
            pieces: BTreeMap::new(),
            owned: owned.collect(),
            folders: Vec::new(),
        }
    }

    #[test]
    fn nothing_lies_below_a_file_or_a_link_of_another() {
        for (case, above, below, clash) in [
            ("below a file", ("usr/lib/x", "file:1"), "usr/lib/x/y", Some("/usr/lib/x is a file of a 1")),
            ("far below a link", ("lib", "link:usr/lib"), "lib/x/y/z", Some("/lib is a link of a 1")),
            ("below a hard link", ("usr/x", "hard:usr/y"), "usr/x/z", Some("/usr/x is a file of a 1")),
            ("beside it", ("usr/lib/x", "file:1"), "usr/lib/xy", None),
            ("beside it, a longer name", ("usr/lib/x", "file:1"), "usr/lib/x-1/y", None),
        ] {
            let (above, below) = (listed("a 1", &[above]), listed("b 2", &[(below, "file:2")]));
            for pieces in [[&above, &below], [&below, &above]] {
                let result = check(pieces.into_iter(), |_| false);
                let said = result.as_ref().map_err(ToString::to_string).err();
                let path = &below.owned[0].path;
                let expected = clash.map(|clash| format!("{clash}, and b 2 has /{path} below it"));
                assert_eq!(said, expected, "{case}");
                assert!(result.err().is_none_or(|error| error.hint().is_some()), "{case}");
            }
            assert!(
                check([&above, &below].into_iter(), |one| one.part == "a 1").is_ok(),
                "{case}: own files"
            );
        }
    }

    #[test]
    fn one_file_has_one_owner() {
        for (case, path, one, other, clash) in [
            ("the same content", "usr/bin/x", "file:1", "file:1", false),
            ("other content", "usr/bin/x", "file:1", "file:2", true),
            ("a link and a file", "usr/bin/x", "link:y", "file:2", true),
            ("a table of harmless ones", "usr/share/doc/x/copyright", "file:1", "file:2", false),
        ] {
            let pieces = [listed("a 1", &[(path, one)]), listed("b 2", &[(path, other)])];
            let result = check(pieces.iter(), |_| false);
            assert_eq!(result.is_err(), clash, "{case}");
            if let Err(error) = result {
                let text = format!("/{path} belongs to a 1 and to b 2, with different content");
                assert_eq!(error.to_string(), text, "{case}");
            }
            assert!(
                check(pieces.iter(), |listed| listed.part == "b 2").is_ok(),
                "{case}: the image's own files"
            );
        }
    }
}
