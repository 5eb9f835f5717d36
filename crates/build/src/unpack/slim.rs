//! What of a Debian package an image gets, and where. Data and pure functions.

use std::borrow::Cow;

/// A folder of Debian packages that an image does without.
#[derive(Debug)]
pub struct Slim {
    /// The folder, from the root.
    pub under: &'static str,
    /// What of it stays.
    pub keep: Keep,
    /// Why an image does without the rest.
    pub why: &'static str,
}

/// What stays of a folder that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// What the licences want to go with every copy: `usr/share/doc/PACKAGE/copyright` and notices, and the
    /// links by which a package points at another one's folder (policy 12.3, 12.5).
    Licences,
}

/// The folders left out. Local documentation of the distribution; nothing that a program opens.
pub const SLIM: &[Slim] = &[
    Slim { under: "usr/share/bug", keep: Keep::Nothing, why: "scripts for reportbug(1)" },
    Slim { under: "usr/share/doc", keep: Keep::Licences, why: "documentation and changelogs" },
    Slim { under: "usr/share/doc-base", keep: Keep::Nothing, why: "index of the documentation left out" },
    Slim { under: "usr/share/gtk-doc", keep: Keep::Nothing, why: "documentation" },
    Slim { under: "usr/share/info", keep: Keep::Nothing, why: "documentation for info(1)" },
    Slim { under: "usr/share/linda", keep: Keep::Nothing, why: "notes for a checker of packages" },
    Slim { under: "usr/share/lintian", keep: Keep::Nothing, why: "notes for a checker of packages" },
    Slim {
        under: "usr/share/locale",
        keep: Keep::Nothing,
        why: "translated messages of programs; images run in C.UTF-8, which lies in usr/lib/locale",
    },
    Slim { under: "usr/share/man", keep: Keep::Nothing, why: "documentation for man(1)" },
];

/// Folders of the root that an installed Debian has as links, and where they lead. A package may still
/// have files below the old name; they are moved, as dpkg would by following the link. The links
/// themselves are written once, by [`super::debian_effects`].
///
/// Merged /usr: Debian's Technical Committee, bug 978636; base-files since trixie. `var/run` and
/// `var/lock`: policy 9.3.2 and the postinst of base-files.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("lib32", "usr/lib32"),
    ("lib64", "usr/lib64"),
    ("libo32", "usr/libo32"),
    ("libx32", "usr/libx32"),
    ("sbin", "usr/sbin"),
    ("var/lock", "run/lock"),
    ("var/run", "run"),
];

/// Where `path` really lies in an installed system.
pub(super) fn place(path: &str) -> Cow<'_, str> {
    for (from, to) in ALIASES {
        if let Some(rest) = below(path, from) {
            return Cow::Owned(format!("{to}{rest}"));
        }
    }
    Cow::Borrowed(path)
}

/// Where the link at `path` leads, if `path` is one of the [`ALIASES`] itself.
pub(super) fn alias(path: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(from, _)| *from == path).map(|(_, to)| *to)
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Keep,
    Drop,
    /// A folder that is kept only when something in it is.
    Hold,
}

/// Judges a path after [`place`].
pub(super) fn fate(path: &str, is_folder: bool) -> Fate {
    let Some((rule, rest)) = SLIM.iter().find_map(|r| below(path, r.under).map(|rest| (r, rest))) else {
        return Fate::Keep;
    };
    match rule.keep {
        Keep::Licences if is_folder => Fate::Hold,
        Keep::Licences if is_licence(rest) => Fate::Keep,
        _ => Fate::Drop,
    }
}

/// `/PACKAGE` (only links and files get here) or `/PACKAGE/…/copyright`, and the other names that
/// licences are shipped under.
fn is_licence(rest: &str) -> bool {
    let name = rest.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    rest.matches('/').count() == 1
        || ["copyright", "notice", "license", "licence", "copying"].iter().any(|l| name.starts_with(l))
}

/// The rest of `path` when it is `folder` or lies in it.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_moved() {
        for (from, to) in [
            ("bin/sh", "usr/bin/sh"),
            ("lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"),
            ("libexec/x", "libexec/x"),
            ("usr/bin/x", "usr/bin/x"),
            ("var/run/x.pid", "run/x.pid"),
            ("var/runs", "var/runs"),
            ("sbin", "usr/sbin"),
        ] {
            assert_eq!(place(from), to);
        }
        assert_eq!((alias("lib"), alias("lib/x"), alias("usr")), (Some("usr/lib"), None, None));
    }

    #[test]
    fn documentation_goes_and_licences_stay() {
        for (path, is_folder, expected) in [
            ("usr/share/doc/tini/changelog.gz", false, Fate::Drop),
            ("usr/share/doc/tini/copyright", false, Fate::Keep),
            ("usr/share/doc/x/NOTICE.txt.gz", false, Fate::Keep),
            ("usr/share/doc/libssl3/examples/LICENSE", false, Fate::Keep),
            ("usr/share/doc/python3.13-minimal", false, Fate::Keep),
            ("usr/share/doc/tini", true, Fate::Hold),
            ("usr/share/doc", true, Fate::Hold),
            ("usr/share/documents", true, Fate::Keep),
            ("usr/share/man", true, Fate::Drop),
            ("usr/share/man/man1/tini.1.gz", false, Fate::Drop),
            ("usr/share/locale/de/LC_MESSAGES/x.mo", false, Fate::Drop),
            ("usr/lib/locale/C.utf8/LC_CTYPE", false, Fate::Keep),
            ("usr/bin/tini", false, Fate::Keep),
        ] {
            assert_eq!(fate(path, is_folder), expected, "{path}");
        }
    }

    #[test]
    fn every_rule_says_why() {
        for rule in SLIM {
            assert!(!rule.why.is_empty() && rule.under.starts_with("usr/share/"), "{rule:?}");
        }
    }
}
