//! Which names and link targets an image gets. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use crate::entry::Kind;

use super::bounds::MAX_ENTRIES;

/// Longest path, in bytes, and longest component of one: Linux's PATH_MAX (with its NUL) and NAME_MAX.
const MAX_PATH: usize = 4095;
const MAX_COMPONENT: usize = 255;

/// A name as an archive writes it, as a path of the image: without `./` in front, doubled or trailing `/`.
/// `None` for the root itself (`./`).
///
/// Refuses what could leave the root (absolute, `..`) and what no honest package has: names that are not
/// UTF-8, control characters (newlines break every line-based list of files), too long ones.
pub(super) fn clean(raw: &[u8]) -> Result<Option<String>, String> {
    let shown = || show(raw);
    let text = std::str::from_utf8(raw).map_err(|_| format!("{}: the name is not UTF-8", shown()))?;
    if text.starts_with('/') {
        return Err(format!("{}: the name is absolute", shown()));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{}: the name holds a control character", shown()));
    }
    let mut path = String::with_capacity(text.len());
    for component in text.split('/') {
        match component {
            "" | "." => {}
            ".." => return Err(format!("{}: the name leaves its folder with ..", shown())),
            _ if component.len() > MAX_COMPONENT => {
                return Err(format!("{}: a name of more than {MAX_COMPONENT} bytes", shown()));
            }
            _ => {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(component);
            }
        }
    }
    if path.len() > MAX_PATH {
        return Err(format!("{}: a path of more than {MAX_PATH} bytes", shown()));
    }
    Ok((!path.is_empty()).then_some(path))
}

/// Checks the target of the symbolic link at `path` (already clean). An absolute target is one inside the
/// image. A relative one may not climb over the root: the kernel would stop it there, other readers of a
/// layer might not.
pub(super) fn check_symlink(path: &str, target: &[u8]) -> Result<String, String> {
    let refused = |why: &str| Err(format!("{path}: the link's target {} {why}", show(target)));
    let Ok(text) = std::str::from_utf8(target) else { return refused("is not UTF-8") };
    if text.is_empty() {
        return refused("is empty");
    }
    if text.chars().any(char::is_control) {
        return refused("holds a control character");
    }
    if text.len() > MAX_PATH {
        return refused("is too long");
    }
    let mut depth = if text.starts_with('/') { 0 } else { path.matches('/').count() };
    for component in text.split('/') {
        match component {
            "" | "." => {}
            ".." if depth == 0 => return refused("leaves the root"),
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    Ok(text.to_owned())
}

/// The folders above `path`, outermost first.
pub(super) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// A name for a message: escaped, and cut when it is long.
pub(super) fn show(raw: &[u8]) -> String {
    const MOST: usize = 120;
    let escaped = String::from_utf8_lossy(raw).escape_debug().to_string();
    match escaped.char_indices().nth(MOST) {
        None => escaped,
        Some((cut, _)) => format!("{}…", &escaped[..cut]),
    }
}

/// What lies at a path that came already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Directory,
    File,
    Symlink,
}

/// The paths of one archive so far, to refuse a second file at one path and a path below a file or link.
#[derive(Default)]
pub(super) struct Names {
    seen: HashMap<String, Seen>,
}

impl Names {
    /// What lies at the path.
    pub(super) fn get(&self, path: &str) -> Option<Seen> {
        self.seen.get(path).copied()
    }

    /// Notes an entry. Gives false for a folder that came before (which is no fault).
    pub(super) fn add(&mut self, path: &str, kind: &Kind) -> Result<bool, String> {
        if self.seen.len() >= MAX_ENTRIES {
            return Err(format!("{path}: more than {MAX_ENTRIES} entries"));
        }
        for folder in ancestors(path) {
            match self.seen.get(folder) {
                Some(Seen::Symlink) => {
                    return Err(format!("{path}: written through the symbolic link {folder}"));
                }
                Some(Seen::File) => return Err(format!("{path}: {folder} is a file, not a folder")),
                Some(Seen::Directory) | None => {}
            }
        }
        let new = match kind {
            Kind::Directory => Seen::Directory,
            Kind::File { .. } => Seen::File,
            Kind::Symlink { .. } => Seen::Symlink,
            Kind::Hardlink { target } => match self.seen.get(target.as_str()) {
                Some(Seen::File) => Seen::File,
                _ => {
                    return Err(format!(
                        "{path}: a hard link to {}, which is no earlier file of this archive",
                        show(target.as_bytes())
                    ));
                }
            },
        };
        match self.seen.entry(path.to_owned()) {
            Slot::Vacant(slot) => {
                slot.insert(new);
                Ok(true)
            }
            Slot::Occupied(old) if *old.get() == Seen::Directory && new == Seen::Directory => Ok(false),
            Slot::Occupied(_) => Err(format!("{path}: it is in the archive twice")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_become_paths_of_the_image() {
        for (raw, path) in [
            ("./", None),
            (".", None),
            ("", None),
            ("./usr/bin/tini", Some("usr/bin/tini")),
            ("usr//bin/./x/", Some("usr/bin/x")),
            ("a..b/...", Some("a..b/...")),
            (
                "usr/share/ca-certificates/Főtanúsítvány.crt",
                Some("usr/share/ca-certificates/Főtanúsítvány.crt"),
            ),
            (r"lib/systemd/system-getty\x2d1.slice", Some(r"lib/systemd/system-getty\x2d1.slice")),
        ] {
            assert_eq!(clean(raw.as_bytes()), Ok(path.map(str::to_owned)), "{raw}");
        }
    }

    #[test]
    fn hostile_names_are_refused_with_the_reason() {
        let long = format!("{}/x", "d/".repeat(2100));
        let component = "n".repeat(256);
        for (raw, reason) in [
            (&b"/etc/passwd"[..], "absolute"),
            (b"../etc/passwd", ".."),
            (b"usr/../../etc", ".."),
            (b"usr/..", ".."),
            (b"a\nb", "control"),
            (b"a\0b", "control"),
            (b"a\x1b[2Jb", "control"),
            ("a\u{85}b".as_bytes(), "control"),
            (b"caf\xe9", "UTF-8"),
            (long.as_bytes(), "path of more than"),
            (component.as_bytes(), "name of more than"),
        ] {
            let error = clean(raw).unwrap_err();
            assert!(error.contains(reason), "{error}");
            assert!(!error.chars().any(char::is_control), "{error:?}");
        }
    }

    #[test]
    fn links_stay_inside() {
        assert!(check_symlink("usr/lib/x", b"../../etc").is_ok());
        assert!(check_symlink("usr/lib/x", b"/etc/../usr").is_ok());
        assert!(check_symlink("usr/lib/x", b"a/../../..").is_ok());
        for (path, target) in [
            ("usr/lib/x", &b"../../../etc"[..]),
            ("x", b".."),
            ("usr/lib/x", b"/.."),
            ("usr/lib/x", b"/a/../../etc"),
            ("usr/lib/x", b""),
            ("usr/lib/x", b"a\nb"),
            ("usr/lib/x", b"\xff"),
        ] {
            assert!(check_symlink(path, target).is_err(), "{path} -> {target:?}");
        }
    }

    #[test]
    fn an_archive_has_one_thing_at_a_path() {
        let file = Kind::File { size: 0 };
        let link = Kind::Symlink { target: "/etc".into() };
        let mut names = Names::default();
        assert_eq!(names.add("d", &Kind::Directory), Ok(true));
        assert_eq!(names.add("d", &Kind::Directory), Ok(false));
        assert_eq!(names.add("d/f", &file), Ok(true));
        assert!(names.add("d/f", &file).unwrap_err().contains("twice"));
        assert!(names.add("d", &file).unwrap_err().contains("twice"));
        assert!(names.add("d/f/x", &file).unwrap_err().contains("is a file"));
        assert_eq!(names.add("l", &link), Ok(true));
        assert!(names.add("l/deep/passwd", &file).unwrap_err().contains("through the symbolic link l"));
        assert!(names.add("h", &Kind::Hardlink { target: "none".into() }).unwrap_err().contains("hard link"));
        assert!(names.add("h", &Kind::Hardlink { target: "d".into() }).unwrap_err().contains("hard link"));
        assert!(names.add("h", &Kind::Hardlink { target: "l".into() }).unwrap_err().contains("hard link"));
        assert_eq!(names.add("h", &Kind::Hardlink { target: "d/f".into() }), Ok(true));
        assert_eq!(names.add("h2", &Kind::Hardlink { target: "h".into() }), Ok(true));
    }

    proptest! {
        #[test]
        fn a_cleaned_name_is_always_a_path_inside_the_image(raw in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(Some(path)) = clean(&raw) {
                prop_assert!(!path.starts_with('/') && !path.ends_with('/') && !path.is_empty());
                prop_assert!(path.split('/').all(|c| !matches!(c, "" | "." | "..")));
                prop_assert_eq!(clean(path.as_bytes()), Ok(Some(path.clone())), "not a fixed point");
            }
        }

        #[test]
        fn any_link_target_gets_an_answer(path in "[a-z/.]{1,20}", target in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = check_symlink(&path, &target);
        }
    }
}
