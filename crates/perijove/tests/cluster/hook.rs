//! The hook with a real helm: warm nodes before an upgrade, an upgrade that fails in time and says why, one that is cut
//! off, one whose awaiter never runs; the same by hand; and nothing of it left.

use perijove_testkit::cluster::fault::Place;
use perijove_testkit::cluster::{Fault, TestImage, Version, alone, shared};

use super::hub::{Hub, said, worked};

/// Settings of the chart's own: a finished Job goes soon.
const SOON: &str = "hook: {deadline: 2m, ttlSeconds: 3}";

fn an_upgrade_ends_with_warm_nodes(test: &str, version: Version) {
    let Some(cluster) = shared(test, version) else { return };
    let Some(hub) = Hub::new(test, &cluster) else { return };
    // Nothing in it can be run.
    let first = cluster.push(&TestImage::data("first").with_ballast(500_000, 11), "hook-first", "1");
    let second = cluster.push(&TestImage::data("second").with_ballast(500_000, 12), "hook-second", "1");
    for image in [&first, &second] {
        worked(&hub.upgraded(image, SOON));
        for node in cluster.nodes() {
            assert!(node.images().contains(image), "{image} on each node when helm returns");
        }
        hub.wait_for_nothing_left();
    }
    worked(&hub.helm(&["uninstall", "warm", "--wait"]).output().unwrap());
    let left = hub.namespace.get(&["daemonsets,jobs,roles,rolebindings"]);
    assert_eq!(left["items"].as_array().map(Vec::len), Some(0), "{left}");
}

#[test]
fn an_upgrade_ends_with_warm_nodes_on_the_newest() {
    an_upgrade_ends_with_warm_nodes("an_upgrade_ends_with_warm_nodes_on_the_newest", Version::Newest);
}

/// No image volumes there: our program is handed into the images.
#[test]
fn an_upgrade_ends_with_warm_nodes_on_the_oldest() {
    an_upgrade_ends_with_warm_nodes("an_upgrade_ends_with_warm_nodes_on_the_oldest", Version::Oldest);
}

#[test]
fn an_upgrade_fails_in_time_with_the_reason() {
    let test = "an_upgrade_fails_in_time_with_the_reason";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(hub) = Hub::new(test, &cluster) else { return };
    let output = hub.upgraded(&format!("{}/hook-missing:1", cluster.registry()), SOON);
    assert!(!output.status.success());
    assert!(said(&output).contains("ImageMissing"), "{}", said(&output));
    hub.wait_for_nothing_left();
    let events = hub.namespace.get(&["events"]).to_string();
    assert!(events.contains("PrePullFailed"), "{events}");
}

/// As the kernel does when memory is short: another awaiter goes on, and the upgrade with it.
fn an_upgrade_outlives_its_awaiter(test: &str, version: Version) {
    let Some(cluster) = alone(test, version) else { return };
    let Some(hub) = Hub::new(test, &cluster) else { return };
    let awaiter = "app.kubernetes.io/component=hook-image-awaiter";
    let place = Place { node: 1, namespace: hub.namespace.name(), awaiter };
    let slow = Fault::SlowRegistry.apply(&cluster, &place);
    let image = slow.image.clone().unwrap();
    let upgrade = hub.upgrade(&image, "hook: {deadline: 3m, ttlSeconds: 3}");
    cluster.wait("the awaiter", || {
        let pods = hub.namespace.get(&["pods", "-l", awaiter]);
        (pods["items"][0]["status"]["phase"] == "Running").then_some(())
    });
    Fault::AwaiterKilled.apply(&cluster, &place);
    let pods = |phase: &str| {
        let found =
            hub.namespace.get(&["pods", "-l", awaiter, "--field-selector", &format!("status.phase={phase}")]);
        found["items"].as_array().map_or(0, Vec::len)
    };
    cluster.wait("the killed one to be known", || (pods("Failed") == 1).then_some(()));
    worked(&upgrade.wait_with_output().unwrap());
    for node in cluster.nodes() {
        assert!(node.images().contains(&image), "{image} on each node when helm returns");
    }
    hub.wait_for_nothing_left();
}

#[test]
fn an_upgrade_outlives_its_awaiter_on_the_newest() {
    an_upgrade_outlives_its_awaiter("an_upgrade_outlives_its_awaiter_on_the_newest", Version::Newest);
}

#[test]
fn an_upgrade_outlives_its_awaiter_on_the_oldest() {
    an_upgrade_outlives_its_awaiter("an_upgrade_outlives_its_awaiter_on_the_oldest", Version::Oldest);
}

#[test]
fn an_upgrade_that_is_cut_off_and_repeated_leaves_nothing() {
    let test = "an_upgrade_that_is_cut_off_and_repeated_leaves_nothing";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(hub) = Hub::new(test, &cluster) else { return };
    let image = cluster.push(&TestImage::data("cut").with_ballast(200_000, 13), "hook-cut", "1");
    cut_off(&hub, "127.0.0.1:9/nowhere:1", "hook: {deadline: 20s, ttlSeconds: 3}");
    worked(&hub.upgraded(&image, SOON));
    hub.wait_for_nothing_left();
}

/// Kills an upgrade as soon as there is an awaiter.
fn cut_off(hub: &Hub<'_>, image: &str, settings: &str) {
    let mut cut = hub.upgrade(image, settings);
    hub.cluster.wait("the awaiter's Job", || {
        hub.temporary().iter().any(|one| one.starts_with("Job/")).then_some(())
    });
    cut.kill().unwrap();
    cut.wait().unwrap();
    // Helm itself calls the release pending until it is told otherwise.
    worked(&hub.helm(&["uninstall", "warm", "--no-hooks"]).output().unwrap());
}

/// The commands of docs/pre-pulling.md as they stand there, which end either way.
#[test]
fn by_hand_it_ends_well_and_badly() {
    let test = "by_hand_it_ends_well_and_badly";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(hub) = Hub::new(test, &cluster) else { return };
    let image = cluster.push(&TestImage::data("hand").with_ballast(200_000, 14), "hook-hand", "1");
    for (image, well) in [(format!("{image}-not"), false), (image, true)] {
        hub.values(&image, "hook: {deadline: 2m}");
        let output = hub.documented("> pullers.yaml").output().unwrap();
        assert_eq!(output.status.success(), well, "{}", said(&output));
        assert_eq!(said(&output).contains("ImageMissing"), !well, "{}", said(&output));
        cluster.wait("the pullers to be deleted", || {
            (!hub.temporary().iter().any(|one| one.starts_with("DaemonSet/"))).then_some(())
        });
        for node in cluster.nodes() {
            assert_eq!(node.images().contains(&image), well);
        }
    }
}

/// Nobody is there to delete the pullers: docs/pre-pulling.md has the line that does.
#[test]
fn what_an_awaiter_that_never_ran_leaves_goes_with_one_line() {
    let test = "what_an_awaiter_that_never_ran_leaves_goes_with_one_line";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(hub) = Hub::new(test, &cluster) else { return };
    let image = cluster.push(&TestImage::data("never").with_ballast(200_000, 15), "hook-never", "1");
    let hub = hub.with_own(format!("{}/hook-no-awaiter:1", cluster.registry()));
    cut_off(&hub, &image, "hook: {deadline: 2m}");
    let kinds = ["DaemonSet/", "Job/", "Pod/", "Role/", "RoleBinding/", "ServiceAccount/"];
    let left = || hub.temporary().iter().any(|one| kinds.iter().any(|kind| one.starts_with(kind)));
    assert!(left());
    worked(&hub.documented("kubectl delete daemonsets,").output().unwrap());
    cluster.wait("what it left to go", || (!left()).then_some(()));
}
