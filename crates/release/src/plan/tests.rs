//! Tables of what is there, and what is decided.

mod races;

use super::*;

fn digest(mark: &str) -> Digest {
    Digest::sha256(mark.as_bytes())
}

/// `hub 5.3.0 key commit`.
fn candidate(text: &str) -> Candidate {
    let words: Vec<&str> = text.split(' ').collect();
    Candidate {
        image: words[0].to_owned(),
        version: words[1].to_owned(),
        digest: digest(&format!("{} {}", words[2], words[3])),
        key: digest(words[2]),
        revision: Some(words[3].to_owned()).filter(|w| w != "none"),
        base: words.get(4).map(|word| (*word).to_owned()),
    }
}

/// Tags, and after each `|` one of the newest builds with its key, commit and base.
fn state(text: &str) -> State {
    let mut parts = text.split('|');
    let tags = parts.next().unwrap_or_default();
    let builds = parts.map(|build| {
        let words: Vec<&str> = build.split_whitespace().collect();
        let (tag, key, commit) = (words[0], words[1], words[2]);
        Build {
            tag: tag.to_owned(),
            digest: digest(&format!("{key} {commit}")),
            key: Some(digest(key)),
            revision: Some(commit.to_owned()),
            base: words.get(3).map(|word| (*word).to_owned()),
        }
    });
    State { tags: tags.split_whitespace().map(str::to_owned).collect(), builds: builds.collect() }
}

fn shown(candidates: &[&str], states: &[(&str, &[&str])], moves_latest: bool) -> Vec<String> {
    let candidates: Vec<Candidate> = candidates.iter().map(|text| candidate(text)).collect();
    let states = states.iter().map(|(image, all)| {
        ((*image).to_owned(), all.iter().map(|text| state(text)).collect::<Vec<State>>())
    });
    let observed = Observed { states: states.collect(), ..Observed::default() };
    let decisions = plan(&candidates, &observed, Branch { moves_latest }).unwrap();
    let shown = decisions.iter().map(|d| {
        format!("{} {}{} {}", d.image, if d.released { "=" } else { "+" }, d.tag, d.aliases.join(","))
    });
    shown.collect()
}

#[test]
fn a_commit_is_released_once() {
    use Kinship::{After, Apart, Before, Unknown};
    for (case, hub, states, kinship, expected) in [
        (
            "the same commit by a newer Perijove",
            "hub 5.3.0 new c1",
            &["5.3.0-1|5.3.0-1 old c1"][..],
            After,
            (Why::SameCommit, "5.3.0-1"),
        ),
        (
            "in one of two registries",
            "hub 5.3.0 new c1",
            &["", "5.3.0-1|5.3.0-1 old c1"],
            After,
            (Why::SameCommit, "5.3.0-1"),
        ),
        (
            "but its base moved",
            "hub 5.3.0 new c1 b2",
            &["5.3.0-1|5.3.0-1 old c1 b1"],
            After,
            (Why::Changed, "5.3.0-2"),
        ),
        (
            "its base is where it was",
            "hub 5.3.0 new c1 b1",
            &["5.3.0-1|5.3.0-1 old c1 b1"],
            After,
            (Why::SameCommit, "5.3.0-1"),
        ),
        (
            "what it stood on was not written down",
            "hub 5.3.0 new c1 b1",
            &["5.3.0-1|5.3.0-1 old c1"],
            After,
            (Why::SameCommit, "5.3.0-1"),
        ),
        (
            "a newer build above that of the commit",
            "hub 5.3.0 old c1",
            &["5.3.0-0 5.3.0-1|5.3.0-1 new c2|5.3.0-0 old c1"],
            Unknown,
            (Why::SameCommit, "5.3.0-1"),
        ),
        (
            "a changed tree is not its commit",
            "hub 5.3.0 new c1-dirty",
            &["5.3.0-1|5.3.0-1 old c1-dirty"],
            After,
            (Why::Changed, "5.3.0-2"),
        ),
        (
            "nor is the commit a changed tree",
            "hub 5.3.0 new c1",
            &["5.3.0-1|5.3.0-1 old c1-dirty"],
            After,
            (Why::Changed, "5.3.0-2"),
        ),
        (
            "no commit is not the same commit",
            "hub 5.3.0 new none",
            &["5.3.0-1|5.3.0-1 old c1"],
            Before,
            (Why::Changed, "5.3.0-2"),
        ),
        (
            "the next commit",
            "hub 5.3.0 new c2",
            &["5.3.0-1|5.3.0-1 old c1"],
            After,
            (Why::Changed, "5.3.0-2"),
        ),
        (
            "an old pipeline that was run again",
            "hub 5.3.0 new c0",
            &["5.3.0-1|5.3.0-1 old c1"],
            Before,
            (Why::Older, "5.3.0-1"),
        ),
        (
            "a branch that was force-pushed",
            "hub 5.3.0 new c2",
            &["5.3.0-1|5.3.0-1 old c1"],
            Apart,
            (Why::Changed, "5.3.0-2"),
        ),
        (
            "a shallow clone",
            "hub 5.3.0 new c2",
            &["5.3.0-1|5.3.0-1 old c1"],
            Unknown,
            (Why::Changed, "5.3.0-2"),
        ),
        (
            "another version is another line",
            "hub 5.3.1 new c0",
            &["5.3.0-1|5.3.0-1 old c1"],
            Before,
            (Why::Changed, "5.3.1-0"),
        ),
    ] {
        let states = BTreeMap::from([("hub".to_owned(), states.iter().map(|s| state(s)).collect())]);
        let candidates = [candidate(hub)];
        let kinships = commits_to_compare(&candidates, &states).into_iter().map(|c| (c, kinship)).collect();
        let decided = plan(
            &candidates,
            &Observed { states, kinships, ..Observed::default() },
            Branch { moves_latest: true },
        );
        let decision = decided.unwrap().remove(0);
        assert_eq!((decision.why, decision.tag.as_str()), expected, "{case}");
    }
}

#[test]
fn what_nodes_have_is_the_greatest_build_below() {
    for (tag, names, expected) in [
        ("5.3.0-1", "5.3.0-0 5.3.0 5.3.1-0 latest", Some("5.3.0-0")),
        ("4.1.6-0", "5.3.0-0 4.1.5-2 4.1.5-10 4.1.5", Some("4.1.5-10")),
        ("4.1.6-0", "5.3.0-0", None),
        ("5.3.0-next.1-1", "5.3.0-0 5.3.0-next.1-0 junk", Some("5.3.0-next.1-0")),
    ] {
        assert_eq!(previous(tag, names.split(' ')), expected, "{tag}");
    }
}

#[test]
fn plans() {
    let hub = "hub 5.3.0 new c2";
    for (case, candidates, states, latest, expected) in [
        ("the first", &[hub][..], &[][..], true, &["hub +5.3.0-0 5.3.0,5.3,5,latest"][..]),
        (
            "the next",
            &[hub],
            &[("hub", &["5.3.0-0 5.3.0 5.3 5 latest|5.3.0-0 old c1"][..])],
            true,
            &["hub +5.3.0-1 5.3.0,5.3,5,latest"],
        ),
        (
            "nothing changed",
            &[hub],
            &[("hub", &["5.3.0-0 5.3.0 5.3 5 latest|5.3.0-0 new c1"])],
            true,
            &["hub =5.3.0-0 5.3.0,5.3,5,latest"],
        ),
        (
            "one number for all images and registries",
            &[hub, "lab 4.5.0 new c2"],
            &[("hub", &["5.3.0-3|5.3.0-3 old c1", "5.3.0-5"]), ("lab", &["4.5.0-1|4.5.0-1 old c1"])],
            true,
            &["hub +5.3.0-6 5.3.0,5.3,5,latest", "lab +4.5.0-6 4.5.0,4.5,4,latest"],
        ),
        (
            "an image that did not change keeps its build",
            &[hub, "lab 4.5.0 old c2"],
            &[("hub", &["5.3.0-3|5.3.0-3 old c1"]), ("lab", &["4.5.0-7|4.5.0-7 old c1"])],
            true,
            &["hub +5.3.0-4 5.3.0,5.3,5,latest", "lab =4.5.0-7 4.5.0,4.5,4,latest"],
        ),
        (
            "a release that was cut off goes on under its number",
            &[hub, "lab 4.5.0 new c2"],
            &[("hub", &["5.3.0-3|5.3.0-3 new c2"]), ("lab", &["4.5.0-1|4.5.0-1 old c1"])],
            true,
            &["hub =5.3.0-3 5.3.0,5.3,5,latest", "lab +4.5.0-3 4.5.0,4.5,4,latest"],
        ),
        (
            "a number that another release took for one image is left by all",
            &[hub, "lab 4.5.0 new c2"],
            &[("hub", &["5.3.0-0|5.3.0-0 new c2"]), ("lab", &["4.5.0-0|4.5.0-0 theirs c9"])],
            true,
            &["hub +5.3.0-1 5.3.0,5.3,5,latest", "lab +4.5.0-1 4.5.0,4.5,4,latest"],
        ),
        (
            "so it is where that was cut off behind the first claim of the second number",
            &[hub, "lab 4.5.0 new c2"],
            &[
                ("hub", &["5.3.0-0 5.3.0-1|5.3.0-1 new c2|5.3.0-0 new c2"]),
                ("lab", &["4.5.0-0|4.5.0-0 theirs c9"]),
            ],
            true,
            &["hub =5.3.0-1 5.3.0,5.3,5,latest", "lab +4.5.0-1 4.5.0,4.5,4,latest"],
        ),
        (
            "a number that another release took in one of two registries",
            &[hub, "lab 4.5.0 new c2"],
            &[
                ("hub", &["5.3.0-0|5.3.0-0 new c2", "5.3.0-0|5.3.0-0 theirs c9"]),
                ("lab", &["4.5.0-0|4.5.0-0 new c2", ""]),
            ],
            true,
            &["hub +5.3.0-1 5.3.0,5.3,5,latest", "lab +4.5.0-1 4.5.0,4.5,4,latest"],
        ),
        (
            "so it is where a third release came over it",
            &[hub],
            &[("hub", &["5.3.0-0|5.3.0-0 new c2", "5.3.0-0 5.3.0-1|5.3.0-1 other c8|5.3.0-0 theirs c9"])],
            true,
            &["hub +5.3.0-2 5.3.0,5.3,5,latest"],
        ),
        (
            "so it is where a tag of the second number was overwritten",
            &[hub, "lab 4.5.0 new c2"],
            &[
                ("hub", &["5.3.0-0 5.3.0-1|5.3.0-1 theirs c9|5.3.0-0 new c2"]),
                ("lab", &["4.5.0-0 4.5.0-1|4.5.0-1 new c2|4.5.0-0 theirs c8"]),
            ],
            true,
            &["hub +5.3.0-2 5.3.0,5.3,5,latest", "lab +4.5.0-2 4.5.0,4.5,4,latest"],
        ),
        (
            "one that was whole before others came is not released again",
            &[hub, "lab 4.5.0 new c2"],
            &[
                ("hub", &["5.3.0-0 5.3.0-1|5.3.0-1 theirs c9|5.3.0-0 new c2"]),
                ("lab", &["4.5.0-0 4.5.0-1|4.5.0-1 new c2|4.5.0-0 new c2"]),
            ],
            true,
            &["hub =5.3.0-1 5.3.0,5.3,5,latest", "lab =4.5.0-1 4.5.0,4.5,4,latest"],
        ),
        (
            "a base that moved makes a release of its own, after one that was whole",
            &["hub 5.3.0 new c2", "lab 4.5.0 new c2 b2"],
            &[("hub", &["5.3.0-0|5.3.0-0 new c2"]), ("lab", &["4.5.0-0|4.5.0-0 old c2 b1"])],
            true,
            &["hub =5.3.0-0 5.3.0,5.3,5,latest", "lab +4.5.0-1 4.5.0,4.5,4,latest"],
        ),
        (
            "back to what was before the newest build is a release",
            &["hub 5.3.0 old c3"],
            &[("hub", &["5.3.0-0 5.3.0-1|5.3.0-1 new c2"])],
            true,
            &["hub +5.3.0-2 5.3.0,5.3,5,latest"],
        ),
        (
            "a backport takes no newer alias",
            &["hub 4.1.6 new c2"],
            &[("hub", &["5.3.0-0 5.3.0 5.3 5 latest 4.1.5-0"])],
            true,
            &["hub +4.1.6-0 4.1.6,4.1,4"],
        ),
        (
            "another branch than the default never takes latest",
            &["hub 4.1.6 new c2"],
            &[("hub", &[])],
            false,
            &["hub +4.1.6-0 4.1.6,4.1,4"],
        ),
    ] {
        assert_eq!(shown(candidates, states, latest), expected, "{case}");
    }
}

#[test]
fn the_newest_builds_come_first() {
    let tags = ["5.3.0-2", "5.3.0-10", "5.3.0", "5.3.0-9", "5.3.1-0", "main", "5.3.0-10"];
    assert_eq!(newest_builds("5.3.0", tags, 2), ["5.3.0-10", "5.3.0-9"]);
}
