//! Comparing a lock: with what it should be for, and with the one before.

use std::collections::{BTreeMap, BTreeSet};

use perijove_oci::Platform;

use super::input::DebsIn;
use super::text::DebsLock;
use crate::lock::change::Change;

/// Why `lock` does not fit `input`, `codename` and `platforms`; `None` when it does. Looks at nothing else, so it
/// works offline.
pub fn check(input: &DebsIn, codename: &str, platforms: &[Platform], lock: &DebsLock) -> Option<String> {
    if lock.codename != codename {
        return Some(format!("it is for {}, the base is {codename}", lock.codename));
    }
    let (locked, asked): (BTreeSet<_>, BTreeSet<_>) =
        (lock.platforms.iter().collect(), platforms.iter().collect());
    if locked != asked {
        let shown =
            |set: BTreeSet<&Platform>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Some(format!("it is for {}, the platforms are {}", shown(locked), shown(asked)));
    }
    if lock.input != input.digest() {
        let names: BTreeSet<&str> = lock.packages.iter().map(|deb| deb.name.as_str()).collect();
        let place = &input.place;
        return Some(match input.packages.iter().find(|(name, _)| !names.contains(name.as_str())) {
            Some((name, wanted)) => format!("{place}:{} names {name}, which is not locked", wanted.line),
            None => format!("{place} was changed after it was made"),
        });
    }
    None
}

/// What `new` changes, sorted by name. Versions that differ between platforms are listed, the lowest line first.
pub fn summary(old: Option<&DebsLock>, new: &DebsLock) -> Vec<Change> {
    let versions = |lock: &DebsLock| {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for deb in &lock.packages {
            let known = all.entry(deb.name.clone()).or_default();
            if !known.contains(&deb.version) {
                known.push(deb.version.clone());
            }
        }
        all.into_iter().map(|(name, versions)| (name, versions.join(", "))).collect::<BTreeMap<_, _>>()
    };
    let (old, new) = (old.map(versions).unwrap_or_default(), versions(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |name: &String| Change {
        name: name.clone(),
        old: old.get(name).cloned(),
        new: new.get(name).cloned(),
    };
    names.into_iter().map(change).filter(|change| change.old != change.new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use perijove_oci::Digest;

    fn lock(input: &DebsIn, debs: &[(&str, &str)]) -> DebsLock {
        let digest = Digest::sha256(b"");
        let mut text = format!(
            "version 1\ninput {}\ncodename trixie\nplatforms linux/amd64 linux/arm64\n\
             suite trixie 2026-09-12T07:55:41Z {digest}\n",
            input.digest()
        );
        for (name, version) in debs {
            for architecture in ["amd64", "arm64"] {
                text.push_str(&format!(
                    "deb {name} {version} {architecture} 1 {digest} debian pool/{name}.deb\n"
                ));
            }
        }
        DebsLock::parse(&text, "debs.lock").unwrap()
    }

    #[test]
    fn says_why_a_lock_does_not_fit() {
        let parse = |text: &str| DebsIn::parse(text, "debs.in").unwrap();
        let input = parse("a\nb\n");
        let lock = lock(&input, &[("a", "1"), ("b", "2")]);
        let both: Vec<Platform> = ["linux/arm64", "linux/amd64"].iter().map(|p| p.parse().unwrap()).collect();
        assert_eq!(check(&input, "trixie", &both, &lock), None);
        assert_eq!(check(&parse("# again\nb\na\n"), "trixie", &both, &lock), None);
        for (text, codename, platforms, says) in [
            ("a\nb\n", "bookworm", &both[..], "it is for trixie, the base is bookworm"),
            (
                "a\nb\n",
                "trixie",
                &both[..1],
                "it is for linux/amd64, linux/arm64, the platforms are linux/arm64",
            ),
            ("a\nb\nc\n", "trixie", &both[..], "debs.in:3 names c, which is not locked"),
            ("a\n", "trixie", &both[..], "debs.in was changed after it was made"),
        ] {
            assert_eq!(check(&parse(text), codename, platforms, &lock).as_deref(), Some(says));
        }
    }

    #[test]
    fn lists_what_changed() {
        let input = DebsIn::default();
        let old = lock(&input, &[("a", "1"), ("b", "1"), ("c", "1")]);
        let new = lock(&input, &[("a", "1"), ("b", "2"), ("d", "1")]);
        let shown: Vec<String> = summary(Some(&old), &new)
            .into_iter()
            .map(|c| {
                format!("{} {} {}", c.name, c.old.unwrap_or("-".to_owned()), c.new.unwrap_or("-".to_owned()))
            })
            .collect();
        assert_eq!(shown, ["b 1 2", "c 1 -", "d - 1"]);
        assert_eq!(summary(None, &new).len(), 3);
        assert_eq!(summary(Some(&new), &new), []);
    }
}
