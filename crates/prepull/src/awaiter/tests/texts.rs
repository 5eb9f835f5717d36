//! What people and scripts read.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::super::index::Kind;
use super::super::{Changes, Outcome, Reason, Report};
use super::scene::*;

fn troubled() -> Scene {
    let mut scene = Scene::of(5);
    let down = waiting(
        "ImagePullBackOff",
        "Back-off pulling image \"r.example/base:1\": ErrImagePull: rpc error: code = Unavailable desc = dial tcp 192.0.2.1:443: i/o timeout",
    );
    scene.pods(
        &[
            warm("pull", "n1"),
            taken("pull", "n2", &[running(), not_found()]),
            taken("pull", "n3", &[down, not_found()]),
            bound("pull", "n4"),
            taken("pull", "n5", &[creating(), creating()]),
        ],
        0,
    );
    let took = "Successfully pulled image \"r.example/base:1\" in 2.5s (4s including waiting). Image size: 123456789 bytes.";
    scene.sees(Kind::Events, &event("pull-n1", "Pulled", took), 1);
    scene
}

fn report(scene: &Scene, now: u64, outcome: Outcome) -> Report {
    Report {
        outcome,
        verdict: scene.judged(now),
        asked: ("app=puller".to_owned(), "hub".to_owned()),
        took: Duration::from_millis(now * 1000 + 120),
        requests: 4,
        deleted: vec!["pull".to_owned()],
        warnings: Vec::new(),
    }
}

#[test]
fn the_matrix_is_for_people() {
    insta::assert_snapshot!(report(&troubled(), 61, Outcome::Failed).text(), @r#"
    [1] r.example/base:1
    [2] r.example/gpu:2

    node  [1]       [2]       state
    n1    warm      warm      warm
    n2    starting  FAILED    failed
    n3    retrying  FAILED    failed
    n4    waiting   waiting   excluded
    n5    pulling   waiting   pulling

    r.example/gpu:2 on n2, n3: ImageMissing: the registry has no such image (failed to pull and unpack image "r.example/gpu:2": failed to resolve reference "r.example/gpu:2": r.example/gpu:2: not found)
    QuorumLost: too many nodes failed
    r.example/base:1 on n3: RegistryUnreachable: the registry does not answer (dial tcp 192.0.2.1:443: i/o timeout)
    pulling: n5
    left out: n4: Silent: the node does not answer (its kubelet has said nothing of the pod that it was given)

    failed: 1 of 4 nodes warm, 1 pulling, 2 failed, 1 left out, 4 needed, after 61.1 s
    "#);
}

#[test]
fn json_is_for_scripts() {
    let value = report(&troubled(), 61, Outcome::Failed).json();
    assert_eq!(value["result"], "failed");
    assert_eq!((&value["api_requests"], &value["deleted"]), (&json!(4), &json!(["pull"])));
    assert_eq!(
        value["nodes"][0],
        json!({"name": "n1", "state": "warm", "reason": null, "images": [
            {"image": "r.example/base:1", "state": "warm", "message": null, "size_bytes": 123_456_789, "pull_seconds": 2.5},
            {"image": "r.example/gpu:2", "state": "warm", "message": null},
        ]})
    );
    assert_eq!(value["nodes"][1]["images"][1]["reason"], "ImageMissing");
    assert_eq!(value["nodes"][3]["state"], "excluded");
}

#[test]
fn a_termination_message_is_cut_at_a_line() {
    let report = report(&troubled(), 61, Outcome::Failed);
    let whole = report.brief(4096);
    assert!(whole.starts_with("failed: 1 of 4 nodes warm") && !whole.contains("more"), "{whole}");
    for limit in [120, 300, 400, 500] {
        let cut = report.brief(limit);
        assert!(cut.len() <= limit, "{limit}: {}", cut.len());
        let mut lines: Vec<&str> = cut.lines().collect();
        assert!(lines.pop().is_some_and(|last| last.starts_with("… and ")), "{cut}");
        assert!(lines.iter().all(|line| whole.lines().any(|one| one == *line)), "{cut}");
    }
    let mut many = Scene::of(300);
    let pods: Vec<_> =
        (0..300).map(|n| bound("pull", &format!("a-node-with-a-long-name-{n:03}.example"))).collect();
    many.pods(&pods, 0);
    let report = self::report(&many, 61, Outcome::Failed);
    assert!(report.brief(4096).len() < 600 && report.brief(4096).contains("and 295 more"));
    // The matrix of many nodes is not a wall of equal lines.
    let mut well = Scene::of(300);
    well.pods(&(0..300).map(|n| warm("pull", &format!("n{n:03}"))).collect::<Vec<_>>(), 0);
    let text = self::report(&well, 61, Outcome::Warm).text();
    assert!(text.lines().count() < 10 && text.contains("… and 300 more nodes"), "{text}");
}

#[test]
fn progress_is_a_line_a_change() {
    let mut changes = Changes::default();
    let scene = troubled();
    insta::assert_snapshot!(changes.lines(&scene.judged(0)).join("\n"), @r#"
    n1: r.example/base:1: warm, 123.5 MB in 2.5 s
    n1: r.example/gpu:2: warm
    n1: warm
    n2: r.example/gpu:2: failed: ImageMissing: the registry has no such image (failed to pull and unpack image "r.example/gpu:2": failed to resolve reference "r.example/gpu:2": r.example/gpu:2: not found)
    n2: failed
    n3: r.example/base:1: retrying: RegistryUnreachable: the registry does not answer (dial tcp 192.0.2.1:443: i/o timeout)
    n3: r.example/gpu:2: failed: ImageMissing: the registry has no such image (failed to pull and unpack image "r.example/gpu:2": failed to resolve reference "r.example/gpu:2": r.example/gpu:2: not found)
    n3: failed
    n5: r.example/base:1: pulling
    "#);
    assert_eq!(changes.lines(&scene.judged(0)), Vec::<String>::new());
    let later = changes.lines(&scene.judged(61));
    assert!(later[0].starts_with("QuorumLost") && later[1].starts_with("n4: left out: Silent"), "{later:?}");
}

/// `docs/operations.md` says what to do for everything that can be printed, in the words that are printed.
#[test]
fn the_documentation_has_every_reason() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter_map(|(word, rest)| Some((word, rest.split_once(" | ")?.0)))
        .collect();
    for reason in Reason::ALL {
        let found: Vec<&str> =
            rows.iter().filter(|(word, _)| *word == reason.word()).map(|(_, text)| *text).collect();
        assert_eq!(found, [reason.text()], "{}", reason.word());
    }
    let known = |word: &str| Reason::ALL.iter().any(|reason| reason.word() == word);
    let unknown: Vec<&str> = rows.iter().map(|(word, _)| *word).filter(|word| !known(word)).collect();
    assert_eq!(unknown, Vec::<&str>::new(), "rows of what is never printed");
}
