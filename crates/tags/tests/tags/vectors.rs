//! Every row of the conformance vectors. Ours are beside this file; those of the upstream test suites lie outside
//! the repository, in the folder that `PERIJOVE_SHARED` names (`../shared` without).

use std::fs;
use std::path::{Path, PathBuf};

use perijove_tags::{aliases, next_build, release};

#[test]
fn our_vectors() {
    check(include_str!("tags-ours.tsv"), 24);
}

#[test]
fn upstream_vectors() {
    if let Some(text) = shared("upstream_vectors", "tags-upstream.tsv") {
        check(&text, 32);
    }
}

/// The copies in this crate are those of the conformance folder.
#[test]
fn copies_are_true() {
    for (name, copy) in
        [("RULE.md", include_str!("../../RULE.md")), ("tags-ours.tsv", include_str!("tags-ours.tsv"))]
    {
        if let Some(text) = shared("copies_are_true", name) {
            assert!(text == copy, "{name} differs from its copy");
        }
    }
}

/// A conformance file; without it the test is skipped, but not in CI.
fn shared(test: &str, name: &str) -> Option<String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("PERIJOVE_SHARED").map_or(workspace.join("../shared"), PathBuf::from);
    match fs::read_to_string(folder.join("conformance").join(name)) {
        Ok(text) => Some(text),
        Err(error) => {
            let why = format!("{name}: {error}; set PERIJOVE_SHARED to the folder that holds conformance/");
            perijove_testkit::skip(test, &why);
            None
        }
    }
}

fn check(table: &str, rows: usize) {
    let lines: Vec<_> = table.lines().filter(|line| !line.starts_with('#')).skip(1).collect();
    assert_eq!(lines.len(), rows, "a row was lost, or the number here is old");
    for line in lines {
        let [id, rule, new, existing, expected, _note] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not six fields: {line}");
        };
        let existing = existing.split(',').filter(|tag| !tag.is_empty());
        let found = match rule {
            "aliases" => aliases(new, existing).map(|names| names.join(",")),
            "next-build" => next_build(new, existing, false),
            "release" => release(new, existing).map(|names| names.join(",")),
            _ => panic!("{id}: no rule {rule}"),
        };
        let found = found.unwrap_or_else(|refusal| format!("!{refusal}"));
        // After `;` the vectors give a hint, which is not part of the reason.
        let expected = expected.split(';').next().unwrap();
        assert_eq!(found, expected, "{id}: {line}");
    }
}
