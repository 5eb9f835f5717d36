//! The chart under Argo CD: its own engine (`tests/cluster/argo`) syncs what helm renders, with hooks and waves. Warm
//! nodes before anything else changes, a sync that fails and changes nothing, and nothing left.

use std::process::{Output, Stdio};

use perijove_testkit::cluster::programs::{self, helm};
use perijove_testkit::cluster::{TestImage, Version, shared};
use perijove_testkit::skip;

use super::hub::{Hub, chart, worked};

/// Renders the chart with users' image `image`, and syncs that.
fn sync(hub: &Hub<'_>, image: &str) -> Output {
    let values = hub.values(image, "hook: {deadline: 2m}");
    let mut rendered = hub.helm(&["template", "warm", "--kube-version", hub.cluster.version().number()]);
    let rendered = rendered.arg(chart()).arg("-f").arg(values).output().unwrap();
    worked(&rendered);
    let mut argo = hub.program(&programs::argo_sync());
    let mut argo = argo.args([hub.namespace.name(), "warm"]).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut argo.stdin.take().unwrap(), &rendered.stdout).unwrap();
    argo.wait_with_output().unwrap()
}

/// What users' image the continuous pullers are to keep.
fn kept(hub: &Hub<'_>) -> String {
    let sets =
        hub.namespace.get(&["daemonsets", "-l", "app.kubernetes.io/component=continuous-image-puller"]);
    sets["items"][0]["spec"]["template"]["spec"]["volumes"][0]["image"]["reference"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_sync_warms_the_nodes_first_and_a_failed_one_changes_nothing() {
    let test = "a_sync_warms_the_nodes_first_and_a_failed_one_changes_nothing";
    if !helm().is_file() || !programs::argo_sync().is_file() {
        return skip(test, "helm and argo-sync are not built: make tools-kube");
    }
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(hub) = Hub::new("argo", &cluster) else { return };
    let image = cluster.push(&TestImage::data("argo").with_ballast(200_000, 16), "hook-argo", "1");
    // Again, with nothing changed: the hooks have the names that they had.
    for _ in 0..2 {
        let output = sync(&hub, &image);
        worked(&output);
        for node in cluster.nodes() {
            assert!(node.images().contains(&image));
        }
        assert_eq!(kept(&hub), image);
        let synced = String::from_utf8_lossy(&output.stdout);
        assert!(synced.contains("PreSync Job/") && synced.contains("PreSync DaemonSet/"), "{synced}");
        hub.wait_for_nothing_left();
    }

    let output = sync(&hub, &format!("{image}-not"));
    let synced = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{synced}");
    assert!(
        synced.lines().any(|line| line.starts_with("PreSync Job/") && line.contains("Failed")),
        "{synced}"
    );
    // What would have come after it was not applied.
    assert_eq!(kept(&hub), image);
    hub.wait_for_nothing_left();
}
