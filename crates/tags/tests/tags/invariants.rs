//! The invariants of RULE.md that hold for a single call, whatever the texts. The fuzz target goes through these
//! functions too.

use perijove_tags::{Tag, aliases, next_build, release};

/// I1, I3, I4, I5, I8, and what rule 10 says, read literally with sets of names.
pub fn of_aliases(new: &str, existing: &[&str]) {
    let Ok(result) = aliases(new, existing.iter().copied()) else { return };
    let n = Tag::parse(new).unwrap();
    let tags: Vec<_> = existing.iter().filter_map(|text| Tag::parse(text).ok()).collect();
    let s = |alias: &String| tags.iter().filter(|tag| tag.candidates().contains(alias)).collect::<Vec<_>>();

    for alias in &result {
        assert!(s(alias).iter().all(|tag| **tag <= n), "I1: {alias} moves backwards to {new}");
    }

    let mut names = n.candidates();
    names.retain(|alias| alias != new);
    let literal: Vec<_> = names.iter().filter(|a| s(a).iter().all(|tag| **tag <= n)).cloned().collect();
    assert_eq!(result[1..], literal, "rule 10");

    let again = existing.iter().copied().chain(result.iter().map(String::as_str));
    assert_eq!(aliases(new, again).unwrap(), result, "I3");

    let reversed =
        existing.iter().rev().chain(existing).copied().chain(["latest", "9", "9.9", "main", "9.9.9-1-1", ""]);
    assert_eq!(aliases(new, reversed).unwrap(), result, "I4");

    assert_eq!(result[0], new, "I5");
    for (i, name) in result.iter().enumerate() {
        assert!(is_oci(name), "I5: {name}");
        assert!(!result[..i].contains(name), "I5: {name} twice");
    }

    names.insert(0, new.to_owned());
    assert!(names.starts_with(&result), "I8: {result:?} of {names:?}");
}

/// I6, and that the number is new, whatever is there.
pub fn of_release(version: &str, existing: &[&str]) {
    if let Ok(names) = release(version, existing.iter().copied()) {
        assert!(names.iter().any(|name| name == version), "I6: {names:?}");
        assert!(!existing.contains(&names[0].as_str()), "{} is there already", names[0]);
    }
    if let Ok(number) = next_build(version, existing.iter().copied(), false) {
        let tag = format!("{version}-{number}");
        assert!(is_oci(&tag) && !existing.contains(&tag.as_str()), "{tag}");
        assert!(number == "0" || !number.starts_with('0'), "{number}");
        let builds = existing
            .iter()
            .filter(|name| is_oci(name))
            .filter_map(|name| name.strip_prefix(version)?.strip_prefix('-'));
        for build in builds.filter(|build| build.bytes().all(|byte| byte.is_ascii_digit())) {
            let build = build.trim_start_matches('0');
            assert!(
                build.is_empty() || (build.len(), build) < (number.len(), &number),
                "{number} after {build}"
            );
        }
        let after = next_build(version, existing.iter().copied().chain([tag.as_str()]), false);
        if let Ok(after) = after {
            assert!((after.len(), &after) > (number.len(), &number), "{after} after {number}");
        }
    }
}

/// RULE.md 1, written apart from the crate's own.
fn is_oci(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&name.len())
        && name.starts_with(word)
        && name.chars().all(|c| word(c) || ".-".contains(c))
}
