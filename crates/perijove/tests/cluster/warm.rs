//! `perijove warm`: the images on the nodes, in waves, and nothing left behind.

use std::path::Path;

use perijove_testkit::cluster::{Cluster, PodSecurity, TestImage, Version, alone, shared};
use perijove_testkit::program::Ran;
use serde_json::Value;

use super::own::{image, nodes, perijove};

/// Runs `perijove warm` in a namespace, with results as JSON.
fn warm(cluster: &Cluster, folder: &Path, namespace: &str, own: &str, arguments: &[&str]) -> Ran {
    let program =
        perijove(cluster, folder).args(["--format", "json", "warm", "-n", namespace, "--puller-image", own]);
    program.args(arguments.iter().copied()).run()
}

/// The result, also of a run whose answer is no.
fn report(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.stdout, ran.stderr))
}

/// DaemonSets of a namespace.
fn left(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let sets = cluster.get(&["daemonsets", "-n", namespace]);
    let items = sets["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|set| set["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn plan<'a>(report: &'a Value, node: &str) -> &'a Value {
    report["plan"]["nodes"].as_array().unwrap().iter().find(|plan| plan["name"] == node).unwrap()
}

#[test]
fn says_what_is_missing_brings_it_and_leaves_nothing() {
    for version in [Version::Newest, Version::Oldest] {
        let test = "says_what_is_missing_brings_it_and_leaves_nothing";
        let Some(cluster) = shared(test, version) else { return };
        let Some(own) = image(test, &cluster) else { return };
        let namespace = cluster.namespace("warm-all", PodSecurity::Restricted);
        let folder = tempfile::tempdir().unwrap();
        // Nothing of it can be run: no shell, no program at all.
        let lab = cluster.push(&TestImage::data("warm").with_ballast(3_000_000, 7), "warm-lab", "1");
        let arguments = ["--image", &lab];

        let ran = warm(&cluster, folder.path(), namespace.name(), &own, &["--image", &lab, "--dry-run"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let before = report(&ran);
        let missing = before["nodes"][0]["missing_bytes"].as_u64().unwrap();
        assert!((3_000_000..4_000_000).contains(&missing), "{before}");
        assert_eq!(before["nodes"][0]["disk"], "fits", "{before}");
        assert!(left(&cluster, namespace.name()).is_empty(), "--dry-run makes nothing");

        let ran = warm(&cluster, folder.path(), namespace.name(), &own, &arguments);
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
        assert_eq!(nodes(&report(&ran)), ["n1 warm", "n2 warm", "n3 warm"]);
        assert!(left(&cluster, namespace.name()).is_empty());
        for node in cluster.nodes() {
            assert!(node.images().iter().any(|name| name.contains("warm-lab")), "{version:?}");
        }

        // Kubelets tell what they have within a minute or so: then nothing is missing.
        let is_known = || {
            let ran = warm(&cluster, folder.path(), namespace.name(), &own, &["--image", &lab, "--dry-run"]);
            let said = report(&ran);
            (said["missing_bytes"] == 0).then_some(())
        };
        cluster.wait("kubelets to tell of the image", is_known);
    }
}

#[test]
fn a_hubs_values_go_where_its_pods_go_wave_by_wave() {
    let test = "a_hubs_values_go_where_its_pods_go_wave_by_wave";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(own) = image(test, &cluster) else { return };
    let namespace = cluster.namespace("warm-values", PodSecurity::Restricted);
    let folder = tempfile::tempdir().unwrap();
    cluster.kubectl(&["label", "node", "n3", "warm-values=gpu"]).text();
    let user = cluster.push(&TestImage::data("user").with_ballast(200_000, 1), "warm-user", "1");
    let gpu = cluster.push(&TestImage::data("gpu").with_ballast(200_000, 2), "warm-gpu", "1");
    let (name, tag) = user.rsplit_once(':').unwrap();
    let values = format!(
        "singleuser:\n  cloudMetadata: {{blockWithIptables: false}}\n  image: {{name: '{name}', tag: '{tag}'}}\n  profileList:\n  - display_name: CPU\n  - display_name: GPU\n    kubespawner_override: {{image: '{gpu}', node_selector: {{warm-values: gpu}}}}\nprePuller: {{pause: {{image: {{name: '{name}', tag: '{tag}'}}}}}}\n"
    );
    std::fs::write(folder.path().join("values.yaml"), values).unwrap();
    let ran =
        warm(&cluster, folder.path(), namespace.name(), &own, &["-f", "values.yaml", "--wave", "1,100%"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let report = report(&ran);
    assert_eq!(report["waves_planned"], 2);
    assert_eq!(report["waves"][0]["nodes"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(nodes(&report), ["n1 warm", "n2 warm", "n3 warm"]);
    assert_eq!(plan(&report, "n1")["images"].as_array().unwrap().len(), 1);
    assert_eq!(plan(&report, "n3")["images"].as_array().unwrap().len(), 2);
    let has_gpu = |number: u8| cluster.node(number).images().iter().any(|name| name.contains("warm-gpu"));
    assert!(has_gpu(3) && !has_gpu(1) && !has_gpu(2), "a GPU image goes to GPU nodes only");
    assert!(left(&cluster, namespace.name()).is_empty());
}

#[test]
fn says_why_not_in_time_and_cleans_up() {
    let test = "says_why_not_in_time_and_cleans_up";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(own) = image(test, &cluster) else { return };
    let namespace = cluster.namespace("warm-not", PodSecurity::Restricted);
    let folder = tempfile::tempdir().unwrap();
    let lab = cluster.push(&TestImage::data("not"), "warm-not", "1");
    let missing = format!("{}/warm-not:2", cluster.registry());
    // arguments, exit code, what is said
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--image", &missing, "--wave", "1,100%"], 1, "ImageMissing"),
        (&["--image", "127.0.0.1:9/x:1", "--deadline", "6s"], 3, "RegistryUnreachable"),
        (&["--image", &lab, "--nodes", "pool=none"], 1, "no node that images go to has the labels pool=none"),
        (&["--image", &lab, "--nodes", "a b"], 2, "--nodes: "),
        (&["--image", "no image"], 2, "--image: "),
        (&["--image", &lab, "--wave", "1,2"], 2, "the last wave is 100%"),
        (&[], 2, "--values <FILE>"),
        (&["--image", &lab, "-f", "values.yaml"], 2, "cannot be used with"),
        (&["-f", "none.yaml"], 2, "none.yaml"),
    ];
    for (arguments, code, says) in cases {
        let ran = warm(&cluster, folder.path(), namespace.name(), &own, arguments);
        assert_eq!(ran.code, Some(*code), "{arguments:?}: {}\n{}", ran.stdout, ran.stderr);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert!(left(&cluster, namespace.name()).is_empty(), "{arguments:?}");
    }
    let ran = warm(&cluster, folder.path(), "warm-nowhere", &own, &["--image", &lab]);
    assert!(
        ran.code == Some(1) && ran.stderr.contains("namespaces \"warm-nowhere\" not found"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_interrupted_run_cleans_up_and_a_killed_one_is_cleaned_up_after() {
    let test = "an_interrupted_run_cleans_up_and_a_killed_one_is_cleaned_up_after";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(own) = image(test, &cluster) else { return };
    let namespace = cluster.namespace("warm-killed", PodSecurity::Restricted);
    let folder = tempfile::tempdir().unwrap();
    let lab = cluster.push(&TestImage::data("killed"), "warm-killed", "1");
    let begun = || {
        let program = perijove(&cluster, folder.path()).args([
            "warm",
            "-n",
            namespace.name(),
            "--puller-image",
            &own,
            "--image",
            "127.0.0.1:9/x:1",
        ]);
        let running = program.start();
        cluster.wait("a puller", || (!left(&cluster, namespace.name()).is_empty()).then_some(()));
        running
    };
    let interrupted = begun();
    interrupted.interrupt();
    let ran = interrupted.end();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(left(&cluster, namespace.name()).is_empty());
    begun().kill();
    let sets = left(&cluster, namespace.name());
    assert_eq!(sets.len(), 1, "nobody cleans up after kill -9");
    // While it may still be under way, nobody touches it.
    let run = || warm(&cluster, folder.path(), namespace.name(), &own, &["--image", &lab]);
    let ran = run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("another run is under way"), "{}", ran.stderr);
    assert_eq!(left(&cluster, namespace.name()), sets);
    let over = "perijove.jupyter.org/expires=1";
    cluster.kubectl(&["annotate", "--overwrite", "daemonset", &sets[0], over, "-n", namespace.name()]).text();
    let ran = run();
    assert!(ran.stderr.contains("which a run that was killed has left behind"), "{}", ran.stderr);
    assert!(left(&cluster, namespace.name()).is_empty());
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let test = "two_runs_at_once_do_not_meet";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(own) = image(test, &cluster) else { return };
    let namespace = cluster.namespace("warm-two", PodSecurity::Restricted);
    let folder = tempfile::tempdir().unwrap();
    let lab = cluster.push(&TestImage::data("two").with_ballast(1_000_000, 3), "warm-two", "1");
    let codes: Vec<Option<i32>> = std::thread::scope(|scope| {
        let run = || warm(&cluster, folder.path(), namespace.name(), &own, &["--image", &lab]).code;
        let both = [scope.spawn(run), scope.spawn(run)];
        both.map(|one| one.join().unwrap()).into()
    });
    assert_eq!(codes, [Some(0), Some(0)]);
    assert!(left(&cluster, namespace.name()).is_empty());
}

#[test]
fn a_cordoned_node_is_named_and_left_out() {
    let test = "a_cordoned_node_is_named_and_left_out";
    let Some(cluster) = alone(test, Version::Newest) else { return };
    let Some(own) = image(test, &cluster) else { return };
    let namespace = cluster.namespace("warm-cordoned", PodSecurity::Restricted);
    let folder = tempfile::tempdir().unwrap();
    let lab = cluster.push(&TestImage::data("cordoned"), "warm-cordoned", "1");
    cluster.kubectl(&["cordon", "n2"]).text();
    let ran = warm(&cluster, folder.path(), namespace.name(), &own, &["--image", &lab]);
    cluster.kubectl(&["uncordon", "n2"]).text();
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(nodes(&report(&ran)), ["n1 warm", "n2 excluded Cordoned", "n3 warm"]);
}

#[test]
fn an_account_that_may_not_list_nodes_warms_all_the_same() {
    let test = "an_account_that_may_not_list_nodes_warms_all_the_same";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(own) = image(test, &cluster) else { return };
    let namespace = cluster.namespace("warm-least", PodSecurity::Restricted);
    let folder = tempfile::tempdir().unwrap();
    let lab = cluster.push(&TestImage::data("least"), "warm-least", "1");
    let name = namespace.name();
    cluster.kubectl(&["create", "serviceaccount", "least", "-n", name]).text();
    let run = |arguments: &[&str]| {
        let token = cluster.kubectl(&["create", "token", "least", "-n", name]).text();
        let mut config: Value =
            serde_json::from_slice(&std::fs::read(cluster.kubeconfig()).unwrap()).unwrap();
        config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
        std::fs::write(folder.path().join("least"), config.to_string()).unwrap();
        let program = perijove(&cluster, folder.path()).env("KUBECONFIG", "least");
        program
            .args(["--format", "json", "warm", "-n", name, "--puller-image", &own])
            .args(arguments.iter().copied())
            .run()
    };
    let ran = run(&["--image", &lab]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("may not list daemonsets.apps in the namespace warm-least"),
        "{}",
        ran.stderr
    );
    let verbs = "--verb=get,list,watch,create,delete";
    cluster
        .kubectl(&["create", "role", "least", verbs, "--resource=daemonsets.apps,pods,events", "-n", name])
        .text();
    let account = format!("--serviceaccount={name}:least");
    cluster.kubectl(&["create", "rolebinding", "least", "--role=least", &account, "-n", name]).text();
    let ran = run(&["--image", &lab]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("what nodes are missing is not known beforehand"), "{}", ran.stderr);
    assert_eq!(nodes(&report(&ran)), ["n1 warm", "n2 warm", "n3 warm"]);
    let ran = run(&["--image", &lab, "--nodes", "a=b"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("may not list nodes"), "{}", ran.stderr);
}

#[test]
fn a_namespace_that_is_going_away_is_no_matter_of_rights() {
    let test = "a_namespace_that_is_going_away_is_no_matter_of_rights";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(own) = image(test, &cluster) else { return };
    let folder = tempfile::tempdir().unwrap();
    let name = "warm-going";
    cluster.kubectl(&["create", "namespace", name]).text();
    // It holds the namespace until it is let go.
    cluster.kubectl(&["create", "configmap", "held", "-n", name]).text();
    let hold = |finalizers: &str| {
        let patch = format!("{{\"metadata\": {{\"finalizers\": {finalizers}}}}}");
        cluster.kubectl(&["patch", "configmap", "held", "-n", name, "--type=merge", "-p", &patch]).text();
    };
    hold("[\"example.org/hold\"]");
    cluster.kubectl(&["delete", "namespace", name, "--wait=false"]).text();
    let ran = warm(&cluster, folder.path(), name, &own, &["--image", "127.0.0.1:9/x:1"]);
    hold("null");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for words in ["because it is being terminated", "hint: wait until", "--namespace"] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("Role"), "{}", ran.stderr);
}
