//! The tag verbs: on a list, and on live repositories.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use std::sync::Arc;

use perijove_oci::client::Client;
use perijove_oci::content::ImageContent;
use perijove_oci::report::Silent;
use perijove_oci::{Descriptor, Manifest, Reference, media};
use perijove_testkit::program::{Program, Ran};
use perijove_testkit::registry::Registry;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

fn perijove(arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    Program::new(PERIJOVE, folder.path(), folder.path()).args(arguments.iter().copied()).run()
}

/// An image that is like no other with another mark.
fn image(mark: &str) -> ImageContent {
    let config = Descriptor::of(media::CONFIG, b"{}");
    let annotations = [("mark".to_owned(), mark.to_owned())].into();
    let bytes = serde_json::to_vec(&Manifest::image(config, Vec::new(), annotations)).unwrap();
    let mut content = ImageContent::new(Descriptor::of(media::MANIFEST, &bytes), bytes.into());
    content.add_bytes(media::CONFIG, &b"{}"[..]);
    content
}

/// Pushes `5.3.0-0=a 5.3.0=a`: tags with marks of their images.
fn push(repo: &str, text: &str) {
    let repo: Reference = repo.parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Client::new(Arc::new(Silent)).unwrap();
        for (tag, mark) in text.split_whitespace().map(|pair| pair.split_once('=').unwrap()) {
            client.push_image(&repo, &image(mark), &[tag.to_owned()], &[], 1).await.unwrap();
        }
    });
}

#[test]
fn the_rule_on_a_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tags"), "5.3.0-0\n5.3.0\n\n5.3\r\n5\nlatest\nmain\n4.1.5-2\n")
        .unwrap();
    let run = |arguments: &[&str]| {
        let program = Program::new(PERIJOVE, folder.path(), folder.path());
        let ran = program.args(arguments.iter().copied()).args(["--existing", "tags"]).run();
        (ran.code, ran.stdout, ran.stderr)
    };
    for (arguments, code, stdout, stderr) in [
        (&["tags", "next", "5.3.0"][..], 0, "5.3.0-1\n", ""),
        (&["tags", "next", "6.0.0"], 0, "6.0.0-0\n", ""),
        (&["tags", "next", "6.0.0rc1"], 0, "6.0.0rc1-0\n", ""),
        (&["tags", "next", "--strict", "6.0.0rc1"], 1, "", "6.0.0rc1: "),
        (&["tags", "next", "5.3"], 0, "5.3-0\n", ""),
        (&["tags", "next", "--strict", "5.3"], 1, "", "5.3: "),
        (&["tags", "next", "5.3.0-1"], 1, "", "5.3.0-1: ends in a build number"),
        (&["tags", "aliases", "5.3.0-1"], 0, "5.3.0\n5.3\n5\nlatest\n", ""),
        (&["tags", "aliases", "4.1.6-0"], 0, "4.1.6\n4.1\n4\n", ""),
        (&["tags", "aliases", "4.1.4-0"], 0, "4.1.4\n", ""),
        (&["tags", "aliases", "main"], 1, "", "main: not MAJOR.MINOR.PATCH"),
    ] {
        let (found, out, err) = run(arguments);
        assert_eq!((found, out.as_str()), (Some(code), stdout), "{arguments:?}: {err}");
        assert!(err.contains(stderr), "{arguments:?}: {err}");
    }
    assert_eq!(perijove(&["tags", "next", "5.3.0"]).code, Some(2), "existing tags have to be named");
    assert_eq!(perijove(&["tags", "next", "5.3.0", "--existing", "nowhere"]).code, Some(2));
}

#[test]
fn the_rule_on_a_live_repository() {
    let registry = Registry::start(PERIJOVE);
    let repo = format!("{}/team/hub", registry.address);
    let all: Vec<String> = (0..1200).map(|n| format!("5.3.0-{n}=a")).collect();
    push(&repo, &all.join(" "));
    let next = |repos: &[&str]| {
        let mut arguments = vec!["tags", "next", "5.3.0", "--format", "json"];
        repos.iter().for_each(|repo| arguments.extend(["--repo", repo]));
        perijove(&arguments).json()["tag"].as_str().unwrap().to_owned()
    };
    assert_eq!(next(&[&repo]), "5.3.0-1200", "more tags than a page has");
    let other = format!("{}/team/other", registry.address);
    assert_eq!(next(&[&other]), "5.3.0-0", "a repository that is not there has no tags");
    push(&other, "5.3.0-5000=a");
    assert_eq!(next(&[&repo, &other]), "5.3.0-5001", "several count as one");
}

#[test]
fn verify_finds_and_repairs() {
    let (one, two) = (Registry::start(PERIJOVE), Registry::start(PERIJOVE));
    let repos = [format!("{}/team/hub", one.address), format!("{}/mirror/hub", two.address)];
    let whole = "4.1.6-0=a 4.1.6=a 4.1=a 4=a 5.3.0-0=b 5.3.0-1=c 5.3.0=c 5.3=c 5=c latest=c";
    push(&repos[0], &whole.replace("latest=c", "latest=a").replace(" 5.3=c", "").replace("5=c", "5=b"));
    push(&repos[1], &whole.replace(" 5.3.0-1=c", "").replace("=c", "=b"));
    let verify = |more: &[&str]| {
        let mut arguments = vec!["tags", "verify", repos[0].as_str(), repos[1].as_str()];
        arguments.extend(more);
        let ran = perijove(&arguments);
        let text = ran.stdout.replace(&repos[0], "ONE").replace(&repos[1], "TWO");
        // Repositories are listed by their names, and ports differ.
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        (ran.code, lines.join("\n"))
    };
    let (code, text) = verify(&[]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!("verify", text);
    assert_eq!(verify(&[]).1, text, "a look changes nothing");
    let (code, text) = verify(&["--repair"]);
    assert_eq!(code, Some(0), "{text}");
    insta::assert_snapshot!("repair", text);
    assert_eq!(verify(&[]), (Some(0), String::new()));
    // What only people can settle: one release, two digests.
    push(&repos[0], "6.0.0-0=x 6.0.0=x 6.0=x 6=x latest=x");
    push(&repos[1], "6.0.0-0=y 6.0.0=y 6.0=y 6=y latest=y");
    let (code, text) = verify(&["--repair"]);
    assert_eq!(code, Some(1), "{text}");
    insta::assert_snapshot!("differs", text);
}
