//! Snapshots of all that people read.

use perijove_oci::Digest;

use super::*;
use crate::compare::{Change, Kind, LayerChange, Package, PlatformChange};
use crate::record::{Repository, Times};

fn digest(mark: &str) -> Digest {
    Digest::sha256(mark.as_bytes())
}

fn platform(name: &str, moving: u64, kept: u64) -> PlatformChange {
    let layer = |mark: &str, size_bytes, moves| LayerChange {
        digest: digest(mark),
        size_bytes,
        label: mark.to_owned(),
        moves,
    };
    PlatformChange {
        platform: name.to_owned(),
        digest: digest(name),
        size_bytes: moving + kept,
        pull_bytes: moving,
        layers: vec![layer("kept", kept, false), layer("moves", moving, true)],
    }
}

fn package(kind: Kind, name: &str, old: &str, new: &str, security: bool) -> Package {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Package { kind, name: name.to_owned(), old: some(old), new: some(new), security }
}

fn hub() -> Planned {
    let decision = Decision {
        image: "hub".to_owned(),
        tag: "5.3.0-1".to_owned(),
        aliases: ["5.3.0", "5.3", "5", "latest"].map(str::to_owned).to_vec(),
        digest: digest("hub"),
        released: false,
        why: Why::Changed,
        previous: Some("5.3.0-0".to_owned()),
        previous_revision: None,
    };
    let packages = vec![
        package(Kind::Deb, "libssl3t64", "3.5.1-1", "3.5.1-1+deb13u1", true),
        package(Kind::Python, "certifi", "2026.1.1", "2026.2.2", false),
        package(Kind::Python, "new", "", "1.0", false),
        package(Kind::Npm, "@scope/gone", "7.1.0, 8.1.0", "", false),
    ];
    let platforms = vec![
        platform("linux/amd64", 12_300_000, 180_000_000),
        platform("linux/arm64", 12_310_000, 175_000_000),
    ];
    Planned { version: "5.3.0".to_owned(), decision, change: Change { packages, platforms } }
}

fn other(image: &str, why: Why) -> Planned {
    let mut planned = hub();
    planned.decision = Decision {
        image: image.to_owned(),
        released: true,
        why,
        tag: "4.5.0-3".to_owned(),
        ..planned.decision
    };
    planned.change.packages.clear();
    for platform in &mut planned.change.platforms {
        platform.pull_bytes = 0;
        platform.layers.iter_mut().for_each(|layer| layer.moves = false);
    }
    planned
}

fn checks() -> Vec<Checked> {
    let check = |platform: &str, check: &str, result, reason: Option<&str>| Checked {
        image: "hub".to_owned(),
        platform: platform.to_owned(),
        check: check.to_owned(),
        result,
        reason: reason.map(str::to_owned),
        seconds: 1.25,
    };
    vec![
        check("linux/amd64", "run jupyterhub --version", Verdict::Passed, None),
        check(
            "linux/arm64",
            "run jupyterhub --version",
            Verdict::Untested,
            Some("this machine is linux/amd64"),
        ),
    ]
}

fn record() -> Record {
    let repository = |name: &str, referee| Repository {
        repository: format!("{name}/team/hub"),
        referee: Some(referee),
        pushed_bytes: 12_400_000,
    };
    let hub = Released {
        planned: hub(),
        already_there: false,
        repositories: vec![
            repository("one.test", Referee::Registry),
            repository("two.test", Referee::Checked),
        ],
        archive: None,
    };
    let lab = Released {
        planned: other("lab", Why::Unchanged),
        already_there: true,
        repositories: vec![],
        archive: None,
    };
    Record {
        commit: Some("0123456789abcdef".to_owned()),
        branch: Some("main".to_owned()),
        pull_request: None,
        nothing_to_release: false,
        images: vec![hub, lab],
        overwritten: vec!["two.test/team/hub:5.3.0-0".to_owned()],
        checks: checks(),
        warnings: vec!["hub: 5.3.0-0 was released from elsewhere".to_owned()],
        pushed_bytes: 24_800_000,
        seconds: 42.0,
        times: Times { build_seconds: 10.0, test_seconds: 20.0, ..Times::default() },
    }
}

#[test]
fn a_plan() {
    let images =
        vec![hub(), other("lab", Why::Unchanged), other("proxy", Why::SameCommit), other("demo", Why::Older)];
    let mut value = Plan { commit: None, branch: None, images, warnings: vec![], build_seconds: 3.0 };
    insta::assert_snapshot!("plan", plan(&value));
    value.images.remove(0);
    insta::assert_snapshot!("plan_of_nothing", plan(&value));
    let mut first = hub();
    first.decision.previous = None;
    value.images = vec![first];
    insta::assert_snapshot!("plan_of_the_first", plan(&value));
}

#[test]
fn a_pull_request() {
    let mut record = Record { pull_request: Some(7), overwritten: vec![], warnings: vec![], ..record() };
    record.images[0].repositories.truncate(1);
    record.images[0].planned.decision.tag = "5.3.0-1.pr7".to_owned();
    record.images[0].archive = Some("hub-5.3.0-1.pr7.tar".to_owned());
    record.checks[0].result = Verdict::Failed;
    record.checks[0].reason = Some("it ended with code 1".to_owned());
    insta::assert_snapshot!("pull_request", pull_request(&record));
}

#[test]
fn a_release() {
    let record = record();
    insta::assert_snapshot!("summary", summary(&record));
    insta::assert_snapshot!("notes", notes(&record));
    insta::assert_snapshot!("outputs", record.outputs().replace("},", "},\n"));
    let done =
        Record { nothing_to_release: true, images: vec![], checks: vec![], overwritten: vec![], ..record };
    insta::assert_snapshot!("summary_of_nothing", summary(&done));
    assert_eq!(notes(&done), "No image changed.\nCommit `0123456789abcdef`.\n");
    assert!(done.outputs().starts_with("released=false\ntags=\nrecord={"));
}

#[test]
fn long_lists_are_cut() {
    let mut image = hub();
    image.change.packages =
        (0..MOST + 5).map(|n| package(Kind::Npm, &format!("p{n:03}"), "1", "2", false)).collect();
    let mut text = String::new();
    details(&mut text, &image);
    assert!(text.contains("p099") && !text.contains("p100") && text.contains("And 5 more."), "{text}");
}

/// What a stranger wrote into a lock stays text.
#[test]
fn names_cannot_break_out() {
    for (text, shown) in [
        ("a`b|c", "`a'b¦c`"),
        ("x\n## heading", "`x ## heading`"),
        ("--> <img src=x>", "`--› ‹img src=x›`"),
        ("", ""),
    ] {
        assert_eq!(code(text), shown);
    }
    assert_eq!(code(&"x".repeat(500)).chars().count(), LONGEST + 3);
    assert_eq!(plain("@everyone", 400), "＠everyone");
}
