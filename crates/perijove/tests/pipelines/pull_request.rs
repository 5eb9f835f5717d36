//! The pull request pipeline: staged images and a comment; for forks an artifact and a summary; nothing left when it is
//! closed.

use perijove_testkit::has;
use perijove_testkit::packages::Wheel;
use perijove_testkit::workflow::github::Event;

use crate::scene::Scene;

fn scene() -> Scene {
    let wheels =
        [Wheel::new("app", "6.0.0", 100), Wheel::new("extra", "1.0", 50), Wheel::new("extra", "2.0", 50)];
    let scene = Scene::new("app\n", &wheels);
    scene.github.run("release.yml", &Event::Push("main".to_owned())).succeeded();
    scene
}

fn propose(scene: &Scene, inputs: &str) {
    scene.checkout.write("images/app/requirements.in", inputs);
    scene.lock();
    scene.commit("Add a package");
}

#[test]
fn own_branches_are_staged_and_commented() {
    if !has("own_branches_are_staged_and_commented", "uv") {
        return;
    }
    let scene = scene();
    scene.start("add", "main");
    propose(&scene, "app\nextra<2\n");
    scene.github.push(scene.checkout.path(), "add");
    let number = scene.github.open("main", "add");
    let released = scene.tags("team/app");
    let run = scene.github.run("pull-request.yml", &Event::PullRequest(number, "opened")).succeeded();
    assert_eq!((run.job("build").len(), run.job("comment").len(), run.job("fork").len()), (1, 1, 0));
    assert_eq!(scene.tags("staging/app").into_keys().collect::<Vec<_>>(), ["6.0.0-1.pr1"]);
    let comments = || scene.github.pull(number)["comments"].as_array().unwrap().clone();
    let comment = comments()[0]["body"].as_str().unwrap().to_owned();
    assert!(comment.contains("`extra`") && comment.contains("1.0"), "{comment}");
    // New commits: the same comment, and the staged tag moves on.
    propose(&scene, "app\nextra>=2\n");
    scene.github.push(scene.checkout.path(), "add");
    scene.github.run("pull-request.yml", &Event::PullRequest(number, "synchronize")).succeeded();
    assert_eq!(comments().len(), 1);
    assert!(comments()[0]["body"].as_str().unwrap().contains("2.0"));
    assert_eq!(scene.tags("team/app"), released, "nothing is public");
    let staged = scene.tags("staging/app")["6.0.0-1.pr1"].clone();
    scene.github.merge(number);
    let run = scene.github.run("pull-request.yml", &Event::PullRequest(number, "closed")).succeeded();
    assert_eq!((run.job("build").len(), run.job("comment").len(), run.job("close").len()), (0, 0, 1));
    assert!(scene.tags("staging/app").is_empty());
    scene.github.run("release.yml", &Event::Push("main".to_owned())).succeeded();
    assert_eq!(scene.tags("team/app").len(), released.len() + 1, "{staged}");
}

#[test]
fn forks_get_an_artifact_and_no_secret() {
    if !has("forks_get_an_artifact_and_no_secret", "uv") {
        return;
    }
    let scene = scene();
    scene.start("theirs", "main");
    propose(&scene, "app\nextra\n");
    let number = scene.github.open_from_fork("main", scene.checkout.path());
    let released = scene.tags("team/app");
    let run = scene.github.run("pull-request.yml", &Event::PullRequest(number, "opened")).succeeded();
    assert_eq!((run.job("build").len(), run.job("comment").len(), run.job("fork").len()), (0, 0, 1));
    assert!(run.artifacts["images"].join("app-6.0.0-1.pr1.tar").exists());
    assert!(run.job("fork")[0].summary.contains("`extra`"), "{}", run.job("fork")[0].summary);
    assert!(scene.github.pull(number)["comments"].as_array().unwrap().is_empty());
    assert_eq!(scene.tags("team/app"), released);
    let closed = scene.github.run("pull-request.yml", &Event::PullRequest(number, "closed")).succeeded();
    assert!(closed.jobs.iter().all(|job| job.result == "skipped"), "there is nothing to remove");
}

#[test]
fn a_lock_behind_its_input_is_named() {
    if !has("a_lock_behind_its_input_is_named", "uv") {
        return;
    }
    let scene = scene();
    scene.start("behind", "main");
    scene.checkout.write("images/app/requirements.in", "app\nextra\n");
    scene.commit("Forget the lock");
    scene.github.push(scene.checkout.path(), "behind");
    let number = scene.github.open("main", "behind");
    let run = scene.github.run("pull-request.yml", &Event::PullRequest(number, "opened"));
    let job = run.job("build")[0];
    assert_eq!(job.result, "failure");
    assert!(
        job.log.contains("images/app/requirements.txt") && job.log.contains("perijove lock"),
        "{}",
        job.log
    );
    assert!(scene.github.pull(number)["comments"].as_array().unwrap().is_empty());
}

#[test]
fn a_failed_check_is_commented_and_nothing_is_pushed() {
    if !has("a_failed_check_is_commented_and_nothing_is_pushed", "uv") {
        return;
    }
    let scene = scene();
    scene.start("bad", "main");
    let toml = std::fs::read_to_string(scene.checkout.join("perijove.toml")).unwrap();
    scene
        .checkout
        .write("perijove.toml", &format!("{toml}\n[[image.app.test]]\nrun = [\"/is/not/there\"]\n"));
    propose(&scene, "app\nextra\n");
    scene.github.push(scene.checkout.path(), "bad");
    let released = scene.tags("team/app");
    let number = scene.github.open("main", "bad");
    let run = scene.github.run("pull-request.yml", &Event::PullRequest(number, "opened"));
    assert_eq!(run.job("build")[0].result, "failure");
    assert_eq!(run.job("comment")[0].result, "success", "{}", run.job("comment")[0].log);
    let comment = scene.github.pull(number)["comments"][0]["body"].as_str().unwrap().to_owned();
    assert!(comment.contains("**failed**"), "{comment}");
    assert!(scene.tags("staging/app").is_empty());
    // Merged all the same: it does not get out, and the record says why.
    scene.github.merge(number);
    let run = scene.github.run("release.yml", &Event::Push("main".to_owned()));
    assert_eq!(run.job("release")[0].result, "failure");
    assert!(run.job("release")[0].summary.contains("**failed**"), "{}", run.job("release")[0].summary);
    assert!(run.artifacts["release"].join("record.json").exists());
    assert_eq!(scene.tags("team/app"), released);
}
