//! What the closure leaves out: packages that only maintainer scripts need.
//!
//! An image is unpacked without running them, and what they would have done and an image needs is written as
//! data elsewhere. Everything else that a package depends on comes along. Considered and not left out:
//! `gcc-N-base` (a few kilobytes, and the copyright files of libgcc and libstdc++ lie in it), `tar` (only
//! `dpkg` asks for it), `libc-bin` and `base-passwd` (nobody asks for them without using them).

/// For whose dependencies an exclusion counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Whoever asks.
    Always,
    /// Only when one of these asks: others run it.
    OnlyFor(&'static [&'static str]),
    /// Whoever asks but these, which do not work without it.
    ExceptFor(&'static [&'static str]),
}

/// One exclusion with its reason.
#[derive(Clone, Copy, Debug)]
pub struct Exclusion {
    /// Package name.
    pub name: &'static str,
    /// For whom.
    pub scope: Scope,
    /// Why an image does without.
    pub why: &'static str,
}

/// Left out unless `debs.in` names them. Sorted by name.
pub const EXCLUSIONS: &[Exclusion] = &[
    Exclusion {
        name: "adduser",
        scope: Scope::Always,
        why: "makes users at installation; an image's users are data",
    },
    Exclusion { name: "cdebconf", scope: Scope::Always, why: "as debconf" },
    Exclusion {
        name: "debconf",
        scope: Scope::Always,
        why: "asks questions at installation; nobody answers",
    },
    Exclusion {
        name: "debianutils",
        scope: Scope::OnlyFor(&["bash", "dash"]),
        why: "shells want its add-shell when they are installed",
    },
    Exclusion {
        name: "dpkg",
        scope: Scope::Always,
        why: "installs packages; an image is not changed in place",
    },
    Exclusion { name: "emacsen-common", scope: Scope::Always, why: "registers add-ons at installation" },
    Exclusion {
        name: "init-system-helpers",
        scope: Scope::Always,
        why: "registers services; a container has no init system",
    },
    Exclusion {
        name: "install-info",
        scope: Scope::Always,
        why: "rebuilds the index of manuals at installation",
    },
    Exclusion { name: "lsb-base", scope: Scope::Always, why: "helps init scripts; a container runs none" },
    Exclusion {
        name: "mawk",
        scope: Scope::OnlyFor(&["base-files"]),
        why: "base-files wants an awk when it is installed; an image that runs awk names one",
    },
    Exclusion {
        name: "openssl",
        scope: Scope::OnlyFor(&["ca-certificates"]),
        why: "makes the hash links at installation; the bundle is data",
    },
    Exclusion {
        name: "perl-base",
        scope: Scope::ExceptFor(&["perl"]),
        why: "the language of maintainer scripts; a program in Perl depends on perl",
    },
    Exclusion { name: "ucf", scope: Scope::Always, why: "merges configuration files at upgrades" },
    Exclusion {
        name: "usr-is-merged",
        scope: Scope::Always,
        why: "checks the root at installation; images have a merged /usr",
    },
    Exclusion {
        name: "usrmerge",
        scope: Scope::Always,
        why: "converts the root at installation; images have a merged /usr",
    },
];

/// The default exclusion of `name` when `asker` depends on it.
pub fn default_exclusion(name: &str, asker: &str) -> Option<&'static Exclusion> {
    let at = EXCLUSIONS.binary_search_by(|e| e.name.cmp(name)).ok()?;
    let exclusion = &EXCLUSIONS[at];
    let counts = match exclusion.scope {
        Scope::Always => true,
        Scope::OnlyFor(askers) => askers.contains(&asker),
        Scope::ExceptFor(askers) => !askers.contains(&asker),
    };
    counts.then_some(exclusion)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_sorted_and_has_reasons() {
        assert!(EXCLUSIONS.is_sorted_by(|a, b| a.name < b.name));
        assert!(EXCLUSIONS.iter().all(|e| !e.why.is_empty()));
    }

    #[test]
    fn counts_for_the_right_asker() {
        for (name, asker, excluded) in [
            ("dpkg", "python3-minimal", true),
            ("openssl", "ca-certificates", true),
            ("openssl", "easy-rsa", false),
            ("perl-base", "debconf", true),
            ("perl-base", "perl", false),
            ("libc6", "python3", false),
        ] {
            assert_eq!(default_exclusion(name, asker).is_some(), excluded, "{name} for {asker}");
        }
    }
}
