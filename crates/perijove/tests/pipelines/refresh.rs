//! The scheduled refresh: every branch that releases, one pull request each, brought up to date and closed.

use perijove_testkit::has;
use perijove_testkit::packages::Wheel;
use perijove_testkit::workflow::github::{Event, GitHub};
use serde_json::Value;

use crate::scene::Scene;

fn open(github: &GitHub) -> Vec<(u64, String)> {
    let open = |pull: &Value| pull["state"] == "open";
    let one = |pull: Value| (pull["number"].as_u64().unwrap(), pull["base"].as_str().unwrap().to_owned());
    github.pulls().into_iter().filter(open).map(one).collect()
}

#[test]
fn each_branch_has_one_pull_request() {
    if !has("each_branch_has_one_pull_request", "uv") {
        return;
    }
    let scene = Scene::new("app\n", &[Wheel::new("app", "5.0.0", 100), Wheel::new("app", "6.0.0", 100)]);
    scene.checkout.write("images/app/requirements.in", "app<6\n");
    scene.lock();
    scene.commit("Hold 5");
    for branch in ["5.x", "feature", "x.5"] {
        scene.github.push(scene.checkout.path(), branch);
    }
    let github = &scene.github;
    let run = github.run("refresh.yml", &Event::Schedule).succeeded();
    let names: Vec<&str> = run.job("refresh").iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["Lock and test main", "Lock and test 5.x"]);
    assert!(open(github).is_empty(), "nothing is new");
    // 5.x has something new, main has not.
    scene.packages.wheels(&[Wheel::new("app", "5.0.1", 100)]);
    github.run("refresh.yml", &Event::Schedule).succeeded();
    assert_eq!(open(github), [(1, "5.x".to_owned())]);
    let text = github.pull(1)["body"].as_str().unwrap().to_owned();
    assert!(text.contains("5.0.1-0") && !text.contains("dirty"), "{text}");
    let head = github.git(&["rev-parse", "refs/heads/refresh/5.x"]);
    assert_eq!(github.git(&["diff", "--name-only", "5.x", "refresh/5.x"]), "images/app/requirements.txt");
    // The same again is the same commit, and no second pull request.
    github.run("refresh.yml", &Event::Schedule).succeeded();
    assert_eq!((open(github).len(), github.git(&["rev-parse", "refs/heads/refresh/5.x"])), (1, head.clone()));
    // Something newer: the same pull request.
    scene.packages.wheels(&[Wheel::new("app", "5.0.2", 100)]);
    github.run("refresh.yml", &Event::Schedule).succeeded();
    assert_eq!(open(github), [(1, "5.x".to_owned())]);
    assert!(github.pull(1)["body"].as_str().unwrap().contains("5.0.2-0"));
    assert_ne!(github.git(&["rev-parse", "refs/heads/refresh/5.x"]), head);
    // Somebody has done it by hand meanwhile: it is closed.
    scene.lock();
    scene.start("by-hand", "refresh/5.x");
    scene.github.push(scene.checkout.path(), "5.x");
    github.run("refresh.yml", &Event::Schedule).succeeded();
    assert!(open(github).is_empty());
}

/// The commit that was released is not the newest one: the plan knows both, and has nothing to warn of.
#[test]
fn a_refresh_behind_a_commit_of_words_warns_of_nothing() {
    if !has("a_refresh_behind_a_commit_of_words_warns_of_nothing", "uv") {
        return;
    }
    let scene =
        Scene::new("app\nbelow\n", &[Wheel::new("app", "5.0.0", 100), Wheel::new("below", "1.0", 100)]);
    let github = &scene.github;
    github.run("release.yml", &Event::Push("main".to_owned())).succeeded();
    scene.start("words", "main");
    scene.checkout.write("README.md", "Words\n");
    scene.commit("Say something");
    github.push(scene.checkout.path(), "main");
    scene.packages.wheels(&[Wheel::new("below", "1.1", 100)]);
    github.run("refresh.yml", &Event::Schedule).succeeded();
    let text = github.pull(1)["body"].as_str().unwrap().to_owned();
    assert!(text.contains("5.0.0-1") && !text.contains("[!WARNING]"), "{text}");
}

#[test]
fn a_branch_that_fails_leaves_the_others() {
    if !has("a_branch_that_fails_leaves_the_others", "uv") {
        return;
    }
    let scene = Scene::new("app\n", &[Wheel::new("app", "6.0.0", 100)]);
    scene.checkout.write("images/app/requirements.in", "app\nnowhere\n");
    scene.commit("Ask for what is not there");
    scene.github.push(scene.checkout.path(), "5.x");
    scene.packages.wheels(&[Wheel::new("app", "6.0.1", 100)]);
    let run = scene.github.run("refresh.yml", &Event::Schedule);
    let results: Vec<(&str, &str)> = run.jobs.iter().map(|job| (job.name.as_str(), job.result)).collect();
    assert_eq!(
        results,
        [
            ("Find the branches", "success"),
            ("Lock and test main", "success"),
            ("Lock and test 5.x", "failure"),
            ("Propose main", "success"),
            ("Propose 5.x", "success"),
        ]
    );
    assert_eq!(open(&scene.github), [(1, "main".to_owned())]);
}

/// A default branch may have any name that git allows, also one that reads as a version branch or as a pattern.
#[test]
fn default_branches_of_any_name_are_refreshed_and_released() {
    if !has("default_branches_of_any_name_are_refreshed_and_released", "uv") {
        return;
    }
    for branch in ["team/main", "5.x", "we+\"you\""] {
        let scene = Scene::on(branch, "app\n", &[Wheel::new("app", "5.0.0", 100)]);
        let github = &scene.github;
        github.run("release.yml", &Event::Push(branch.to_owned())).succeeded();
        assert!(scene.tags("team/app").contains_key("latest"), "{branch}");
        scene.packages.wheels(&[Wheel::new("app", "5.0.1", 100)]);
        let run = github.run("refresh.yml", &Event::Schedule).succeeded();
        assert_eq!(run.job("refresh").len(), 1, "{branch}");
        assert_eq!(open(github), [(1, branch.to_owned())]);
        assert!(github.pull(1)["body"].as_str().unwrap().contains("5.0.1-0"), "{branch}");
        github.merge(1);
        github.run("release.yml", &Event::Push(branch.to_owned())).succeeded();
        assert!(scene.tags("team/app").contains_key("5.0.1-0"), "{branch}");
    }
}
