//! The closure on small archives: one behaviour a case, then the rules that hold for every archive.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::lock::debs::relation;
use crate::lock::debs::universe::Source;

/// An archive of one line a package: `name version[ field: value]…`, fields split by `;`, suites by `[name]`.
fn archive(text: &str) -> Vec<(String, String)> {
    let mut suites: Vec<(String, String)> = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        if let Some(suite) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            suites.push((suite.to_owned(), String::new()));
            continue;
        }
        if suites.is_empty() {
            suites.push(("trixie".to_owned(), String::new()));
        }
        let mut fields = line.split(';').map(str::trim);
        let (name, version) = fields.next().unwrap().split_once(' ').unwrap();
        let out = &mut suites.last_mut().unwrap().1;
        let fields: Vec<&str> = fields.collect();
        let architecture =
            if fields.iter().any(|f| f.starts_with("Architecture")) { "" } else { "Architecture: amd64\n" };
        out.push_str(&format!(
            "Package: {name}\nVersion: {version}\n{architecture}{}\n\n",
            fields.join("\n")
        ));
    }
    suites
}

fn solve(packages: &str, input: &str, kept: &[(&str, &str)]) -> Result<Vec<String>> {
    let suites = archive(packages);
    let source = |(suite, text)| Source { suite, automatic: !str::ends_with(suite, "-backports"), text };
    let universe =
        Universe::new(suites.iter().map(|(s, t)| source((s.as_str(), t.as_str()))).collect()).unwrap();
    let input = DebsIn::parse(input, "debs.in").unwrap();
    let kept: BTreeMap<&str, &str> = kept.iter().copied().collect();
    let chosen = closure(&Question { universe: &universe, input: &input, architecture: "amd64", kept })?;
    Ok(chosen
        .into_iter()
        .map(|id| format!("{} {}", universe.package(id).name, universe.package(id).version))
        .collect())
}

#[test]
fn finds_the_closure() {
    for (case, packages, input, expected) in [
        ("depends and pre-depends", "a 1; Depends: b\nb 1; Pre-Depends: c\nc 1\nd 1", "a", "a 1, b 1, c 1"),
        ("a circle", "a 1; Depends: b\nb 1; Depends: a", "a", "a 1, b 1"),
        ("recommends do not count", "a 1; Recommends: b\nb 1", "a", "a 1"),
        ("the first alternative", "a 1; Depends: b | c\nb 1\nc 1", "a", "a 1, b 1"),
        ("the second, if the first is not there", "a 1; Depends: x | c\nc 1", "a", "a 1, c 1"),
        ("the second, if the first is too old", "a 1; Depends: b (>= 2) | c\nb 1\nc 1", "a", "a 1, c 1"),
        (
            "an alternative that is there anyway",
            "a 1; Depends: b | c, d\nb 1\nc 1\nd 1; Depends: c",
            "a",
            "a 1, c 1, d 1",
        ),
        ("a provider", "a 1; Depends: v\np 1; Provides: v", "a", "a 1, p 1"),
        (
            "the provider of highest priority",
            "a 1; Depends: v\np 1; Provides: v\nq 1; Provides: v; Priority: required",
            "a",
            "a 1, q 1",
        ),
        (
            "a chosen provider for a real name",
            "a 1; Depends: b, p\nb 1\np 1; Provides: b",
            "a\np",
            "a 1, p 1",
        ),
        (
            "a versioned provision",
            "a 1; Depends: v (>= 2)\np 1; Provides: v (= 2)\no 1; Provides: v\nn 1; Provides: v (= 1)",
            "a",
            "a 1, p 1",
        ),
        ("a virtual name in debs.in", "p 1; Provides: v", "v", "p 1"),
        (
            "a provider whose newer version provides nothing",
            "p 1; Provides: v\np 2\nq 1; Provides: v",
            "v",
            "q 1",
        ),
        ("multi-arch any", "a 1; Depends: p:any\np 1; Multi-Arch: allowed", "a", "a 1, p 1"),
        ("all and foreign architectures", "a 1; Architecture: arm64\na 0; Architecture: all", "a", "a 0"),
        ("highest over suites", "[trixie]\na 1\n[trixie-security]\na 2\n[trixie-updates]\na 1.5", "a", "a 2"),
        ("backports are not automatic", "[trixie]\na 1\n[trixie-backports]\na 2", "a", "a 1"),
        (
            "backports on request",
            "[trixie]\na 1; Depends: b\nb 1\n[trixie-backports]\na 2; Depends: b\nb 2",
            "a/trixie-backports",
            "a 2, b 1",
        ),
        (
            "what a backport needs",
            "[trixie]\na 1\nb 1\nc 1; Depends: b\n[trixie-backports]\na 2; Depends: b (>= 2)\nb 2",
            "a/trixie-backports\nc",
            "a 2, b 2, c 1",
        ),
        (
            "a default exclusion",
            "a 1; Depends: debconf (>= 0.5) | debconf-2.0\ndebconf 1; Provides: debconf-2.0\ncdebconf 1; Provides: debconf-2.0",
            "a",
            "a 1",
        ),
        (
            "the virtual name of an exclusion",
            "a 1; Depends: debconf-2.0\ndebconf 1; Provides: debconf-2.0\nz 1; Provides: debconf-2.0",
            "a",
            "a 1",
        ),
        (
            "an exclusion that is named",
            "a 1; Depends: debconf\ndebconf 1; Depends: perl-base\nperl-base 1",
            "a\ndebconf",
            "a 1, debconf 1",
        ),
        (
            "an exclusion that a user works with",
            "a 1; Depends: perl\nperl 1; Depends: perl-base\nperl-base 1",
            "a",
            "a 1, perl 1, perl-base 1",
        ),
        ("an exclusion of the user", "a 1; Depends: b, c\nb 1; Depends: d\nc 1\nd 1", "a\n-b", "a 1, c 1"),
        ("an unknown exclusion", "a 1", "a\n-nothing", "a 1"),
        ("a package that conflicts with what it provides", "a 1; Provides: v; Conflicts: v", "a", "a 1"),
        ("breaks of an older version", "a 1; Breaks: b (<< 1)\nb 1", "a\nb", "a 1, b 1"),
        (
            "a choice of version that breaks nothing",
            "[trixie]\na 1\nb 1; Breaks: a (>= 2)\n[trixie-security]\na 2",
            "a\nb",
            "a 1, b 1",
        ),
    ] {
        let found = solve(packages, input, &[]).unwrap_or_else(|e| panic!("{case}: {e}"));
        assert_eq!(found.join(", "), expected, "{case}");
    }
}

#[test]
fn keeps_what_it_can() {
    let packages = "[trixie]\na 1; Depends: b\nb 1\nb 2\nv1 1; Provides: v\nv2 1; Provides: v\nw 1; Depends: v\n\
                    c 1; Depends: b (>= 2)\nd 1; Depends: x | y\nx 1\ny 1\n\
                    e 1; Depends: x | b, z\nz 1; Depends: b\n[trixie-backports]\nb 3";
    for (case, input, kept, expected) in [
        ("a version that is still offered", "a", &[("b", "1")][..], "a 1, b 1"),
        ("a version that is gone", "a", &[("b", "0.9")], "a 1, b 2"),
        ("a version that does not do", "a\nc", &[("b", "1")], "a 1, b 2, c 1"),
        ("a provider", "w", &[("v2", "1")], "v2 1, w 1"),
        ("no provider", "w", &[], "v1 1, w 1"),
        ("an alternative", "d", &[("y", "1")], "d 1, y 1"),
        ("nothing that is not needed", "a", &[("c", "1"), ("b", "2")], "a 1, b 2"),
        ("what an alternative names", "d", &[("d", "1"), ("x", "1"), ("y", "1")], "d 1, x 1, y 1"),
        (
            "an answer that a search would not find",
            "e",
            &[("b", "2"), ("e", "1"), ("z", "1")],
            "b 2, e 1, z 1",
        ),
        ("no version of another suite", "b/trixie-backports", &[("b", "1")], "b 3"),
    ] {
        assert_eq!(solve(packages, input, kept).unwrap().join(", "), expected, "{case}");
    }
}

#[test]
fn says_why_there_is_no_closure() {
    for (packages, input, says, hint) in [
        (
            "python3 1\npython3-all 1",
            "\npyhton3",
            "debs.in:2: no package `pyhton3` for amd64 in trixie",
            "did you mean python3?",
        ),
        ("a 1; Architecture: arm64", "a", "debs.in:1: no package `a` for amd64", ""),
        (
            "p 1; Provides: v\nq 1; Provides: v",
            "v",
            "debs.in:1: `v` is a virtual package",
            "name one that provides it: p, q",
        ),
        (
            "[trixie]\na 1\n[trixie-backports]\nb 1",
            "a/trixie-backports",
            "debs.in:1: trixie-backports has no package `a`",
            "it is in a 1 (trixie)",
        ),
        (
            "a 1; Depends: b\nb 1; Depends: c (>= 2) | d\nc 1",
            "a",
            "b (debs.in → a → b) needs `c (>= 2) | d` for amd64: there is c 1 (trixie)",
            "-NAME",
        ),
        ("a 1; Depends: p:any\np 1", "a", "a (debs.in → a) needs `p:any`", ""),
        (
            "a 1; Depends: b\nb 1; Conflicts: c\nc 1",
            "a\nc",
            "b (debs.in → a → b) excludes `c`, but c (debs.in → c) is needed too",
            "take one of them",
        ),
        ("a 1; Breaks: v\np 1; Provides: v", "a\np", "a (debs.in → a) excludes `v`, but p", ""),
        (
            "a 1; Breaks: b (<< 2)\nb 1",
            "a\nb",
            "no version of `b` fits: a excludes `b (<< 2)`; there is b 1 (trixie)",
            "",
        ),
        (
            "a 1; Breaks: c (<< 2)\nb 1; Depends: c\nc 1",
            "a\nb",
            "b (debs.in → b) needs `c` for amd64: there is c 1 (trixie), and a excludes `c (<< 2)`",
            "",
        ),
        ("a 1; Depends: c (>= 2)\nb 1; Depends: c (<< 2)\nc 1\nc 2", "a\nb", "needs `c", ""),
        (
            "a 1; Depends: b [amd64]\nb 1",
            "a",
            "the index is broken: a 1: Depends: `b [amd64]` is not a relation",
            "",
        ),
    ] {
        let error = solve(packages, input, &[]).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
    }
}

/// Random archives of ten names, two suites.
fn packages() -> impl Strategy<Value = Vec<String>> {
    let relation = (0..10u8, prop_oneof![Just(""), Just(" (>= 2)"), Just(" (<< 3)")])
        .prop_map(|(n, limit)| format!("p{n}{limit}"));
    let group = proptest::collection::vec(relation, 1..3).prop_map(|alternatives| alternatives.join(" | "));
    let depends = proptest::collection::vec(group, 0..3).prop_map(|groups| groups.join(", "));
    let provides = proptest::option::of((0..10u8).prop_map(|n| format!("; Provides: p{n} (= 2)")));
    let breaks = proptest::option::weighted(0.1, (0..10u8).prop_map(|n| format!("; Breaks: p{n} (<< 2)")));
    let package =
        (0..10u8, 1..4u8, depends, provides, breaks).prop_map(|(n, version, depends, provides, breaks)| {
            format!(
                "p{n} {version}; Depends: {depends}{}{}",
                provides.unwrap_or_default(),
                breaks.unwrap_or_default()
            )
        });
    proptest::collection::vec(package, 1..25).prop_map(|mut all| {
        // One paragraph for a name and version, as in an archive.
        all.sort();
        all.dedup_by(|a, b| a.split(';').next() == b.split(';').next());
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_closure_is_closed(all in packages(), wanted in proptest::collection::btree_set(0..10u8, 1..4), left_out in 0..10u8) {
        let wanted: Vec<String> = wanted.into_iter().filter(|n| *n != left_out).map(|n| format!("p{n}")).collect();
        let input = format!("{}\n-p{left_out}", wanted.join("\n"));
        if let Ok(chosen) = solve(&all.join("\n"), &input, &[]) {
            let text = archive(&all.join("\n")).remove(0).1;
            let universe = Universe::new(vec![Source { suite: "trixie", automatic: true, text: &text }]).unwrap();
            let id = |shown: &str| {
                let (name, version) = shown.split_once(' ').unwrap();
                *universe.named(name).iter().find(|id| universe.package(**id).version == version).unwrap()
            };
            let ids: Vec<usize> = chosen.iter().map(|shown| id(shown)).collect();
            let left_out = format!("p{left_out}");
            for one in &ids {
                for group in universe.package(*one).depends().unwrap() {
                    let holds = group.iter().any(|relation| {
                        ids.iter().any(|other| universe.satisfies(*other, relation))
                            || relation.name == left_out
                            || universe.named(&left_out).iter().any(|other| {
                                universe.satisfies(*other, &relation::Relation { limit: None, ..*relation })
                            })
                    });
                    prop_assert!(holds, "{:?} of {}", group, universe.package(*one).name);
                }
                for relation in universe.package(*one).conflicts().unwrap() {
                    for other in ids.iter().filter(|other| *other != one) {
                        prop_assert!(!universe.matches(universe.package(*other), &relation));
                    }
                }
            }
            for name in &wanted {
                prop_assert!(ids.iter().any(|id| universe.satisfies(*id, &relation::list(name).unwrap()[0])));
            }
            // Locking again with the answer kept gives the same answer.
            let kept: Vec<(&str, &str)> = chosen.iter().map(|shown| shown.split_once(' ').unwrap()).collect();
            prop_assert_eq!(solve(&all.join("\n"), &input, &kept).unwrap(), chosen);
        }
    }

    #[test]
    fn order_does_not_matter(all in packages(), wanted in proptest::collection::vec(0..10u8, 1..4), turn in 0..25usize) {
        let mut wanted: Vec<String> = wanted.into_iter().map(|n| format!("p{n}")).collect();
        let shown = |result: Result<Vec<String>>| result.map_err(|e| e.to_string().replace(|c: char| c.is_ascii_digit(), ""));
        let one = shown(solve(&all.join("\n"), &wanted.join("\n"), &[]));
        let mut turned = all.clone();
        turned.rotate_left(turn % all.len());
        wanted.reverse();
        let two = shown(solve(&turned.join("\n"), &wanted.join("\n"), &[]));
        prop_assert_eq!(one.is_ok(), two.is_ok());
        if let (Ok(one), Ok(two)) = (one, two) {
            prop_assert_eq!(one, two);
        }
    }
}
