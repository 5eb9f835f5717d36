//! The invariants of RULE.md over random repositories: few numbers and many spellings, so that tags collide.

use std::collections::BTreeMap;

use perijove_tags::{Tag, aliases};
use proptest::prelude::*;
use proptest::sample::select;

use crate::invariants;

const NUMBERS: &[&str] = &["0", "1", "01", "2", "10"];
const FINAL: &[&str] = &["", "", "", ".post1", "-post-", "-r0"];
const NOT_FINAL: &[&str] = &[
    "rc1",
    "RC1",
    "-rc.1",
    "rc01",
    "b2",
    ".dev0",
    "rc1.dev0",
    ".post1.dev0",
    "-1.dev0",
    "-next.1",
    "-0-slim",
    "-1.pr7",
];
const BUILDS: &[&str] = &["", "-0", "-1", "-01", "-2", "-10", "-9007199254740993", "-18446744073709551616"];
const UNKNOWN: &[&str] = &[
    "latest",
    "1",
    "1.1",
    "main",
    "sha-1234567",
    "2024-01-15",
    "9.9.9.9-0",
    "9.9.9-0-1",
    "9.9-0",
    "vv9.9.9",
    "4.x",
    "",
    "9.9.9+x",
    "9.9.9_x",
    "99999999999999999999.0.0-0",
    "9.9.9rc99999999999999999999",
];

fn version(endings: &'static [&'static str]) -> impl Strategy<Value = String> {
    let number = || select(NUMBERS);
    (select(&["", "", "", "v", "V"][..]), number(), number(), number(), select(endings))
        .prop_map(|(v, major, minor, patch, ending)| format!("{v}{major}.{minor}.{patch}{ending}"))
}

fn tag(endings: &'static [&'static str]) -> impl Strategy<Value = String> {
    (version(endings), select(BUILDS)).prop_map(|(version, build)| version + build)
}

fn any_version() -> impl Strategy<Value = String> {
    prop_oneof![3 => version(FINAL), 2 => version(NOT_FINAL)]
}

fn any_tag() -> impl Strategy<Value = String> {
    prop_oneof![3 => tag(FINAL), 2 => tag(NOT_FINAL)]
}

fn unknown() -> impl Strategy<Value = String> {
    select(UNKNOWN).prop_map(str::to_owned)
}

/// Mostly tags, some junk.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![12 => any_tag(), 1 => unknown(), 1 => ".{0,12}", 1 => "[v0-9.rcdevpost_-]{1,24}"]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(any_text(), 0..24)
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// A repository: tag name to the tag whose image it points at.
type Repository = BTreeMap<String, String>;

/// Pushes in order, each time with all names that are there; the refused are skipped.
fn push_all(tags: &[String]) -> Repository {
    let mut repository = Repository::new();
    for tag in tags {
        let names: Vec<_> = repository.keys().cloned().collect();
        for name in aliases(tag, strs(&names)).unwrap_or_default() {
            repository.insert(name, tag.clone());
        }
    }
    repository
}

/// What I2 promises, said without an order: each tag is itself, each alias is the greatest of its set.
fn promised(tags: &[String]) -> Repository {
    let tags: Vec<_> = tags.iter().filter_map(|text| Tag::parse(text).ok()).collect();
    let mut greatest: BTreeMap<String, Tag> = BTreeMap::new();
    for tag in &tags {
        let itself = tag.build().map(|_| tag.text().to_owned());
        for name in tag.candidates().into_iter().chain(itself) {
            let there = greatest.entry(name).or_insert(*tag);
            if *tag > *there {
                *there = *tag;
            }
        }
    }
    greatest.into_iter().map(|(name, tag)| (name, tag.text().to_owned())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn i1_i3_i4_i5_i8_aliases(new in any_text(), existing in texts()) {
        invariants::of_aliases(&new, &strs(&existing));
    }

    #[test]
    fn i2_every_order_ends_in_the_same_repository(
        (tags, shuffled) in texts().prop_flat_map(|tags| (Just(tags.clone()), Just(tags).prop_shuffle()))
    ) {
        let repository = push_all(&tags);
        prop_assert_eq!(&repository, &promised(&tags));
        prop_assert_eq!(&repository, &push_all(&shuffled));
    }

    #[test]
    fn i4_unknown_texts_doubles_and_order_do_not_matter(
        new in any_tag(),
        (existing, more) in (texts(), prop::collection::vec(unknown(), 0..6)).prop_flat_map(|(existing, junk)| {
            let more = [existing.clone(), junk, existing.iter().step_by(2).cloned().collect()].concat();
            (Just(existing), Just(more).prop_shuffle())
        })
    ) {
        prop_assert_eq!(aliases(&new, strs(&existing)), aliases(&new, strs(&more)));
    }

    #[test]
    fn i6_a_release_is_the_newest_of_its_version(
        version in prop_oneof![8 => any_version(), 1 => any_text()],
        existing in texts(),
    ) {
        invariants::of_release(&version, &strs(&existing));
    }

    #[test]
    fn i7_what_is_not_final_takes_its_own_name_only(new in tag(NOT_FINAL), existing in texts()) {
        let tag = Tag::parse(&new).unwrap();
        if let Ok(names) = aliases(&new, strs(&existing)) {
            prop_assert!(names == [new.as_str()] || names == [new.as_str(), tag.version()], "{:?}", names);
        }
    }

    #[test]
    fn i7_what_is_not_final_neither_takes_nor_blocks_a_finals_alias(
        new in tag(FINAL),
        existing in texts(),
        others in prop::collection::vec(tag(NOT_FINAL), 0..12),
    ) {
        let finals: Vec<_> =
            existing.iter().filter(|text| Tag::parse(text).is_ok_and(|tag| tag.is_final())).cloned().collect();
        let expected = aliases(&new, strs(&finals));
        prop_assert_eq!(&aliases(&new, strs(&[finals, others.clone()].concat())), &expected);
        prop_assert_eq!(&aliases(&new, strs(&[existing, others].concat())), &expected);
    }

    #[test]
    fn the_order_is_total_for_pep440_tags_and_partial_for_all(a in any_tag(), b in any_tag(), c in any_tag()) {
        let [a, b, c] = [&a, &b, &c].map(|text| Tag::parse(text).unwrap());
        prop_assert_eq!(a.partial_cmp(&b), b.partial_cmp(&a).map(std::cmp::Ordering::reverse));
        prop_assert_eq!(a == b, a.partial_cmp(&b) == Some(std::cmp::Ordering::Equal));
        prop_assert!(!(a <= b && b <= c) || a <= c);
        if a.is_final() && b.is_final() {
            prop_assert!(a.partial_cmp(&b).is_some());
        }
    }
}
