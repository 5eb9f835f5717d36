//! What is temporary: its order, its end, the Job's command line; and who switches what.

use serde_json::{Value, json};

use crate::scene::{Scene, component, hook_job, hook_sets, of_kind, pod};

const VALUES: &str = "
scheduling: {podPriority: {enabled: true}}
imagePullSecret: {create: true, registry: r.example.org, username: u, password: p}
singleuser:
  image: {name: a/cpu, tag: '1', pullSecrets: [image-pull-secret, own]}
  profileList: [{}, {kubespawner_override: {image: 'a/gpu:1', init_containers: [], node_selector: {pool: gpu}}}]
";

fn annotation<'o>(object: &'o Value, key: &str) -> &'o str {
    object["metadata"]["annotations"][key].as_str().unwrap_or("")
}

#[test]
fn everything_of_the_hook_goes_and_comes_in_order() {
    let Some(scene) = Scene::new("everything_of_the_hook_goes_and_comes_in_order") else { return };
    let objects = scene.render(&[VALUES], &["--set", "perijove.hook.countNodes=true"]);
    let mut order: Vec<(i64, i64, &str)> = Vec::new();
    for object in &objects {
        let temporary = component(object).starts_with("hook-");
        assert_eq!(annotation(object, "helm.sh/hook") == "pre-install,pre-upgrade", temporary, "{object}");
        if !temporary {
            continue;
        }
        assert_eq!(
            annotation(object, "helm.sh/hook-delete-policy"),
            "before-hook-creation,hook-succeeded,hook-failed"
        );
        assert_eq!(annotation(object, "argocd.argoproj.io/hook"), "PreSync");
        assert_eq!(
            annotation(object, "argocd.argoproj.io/hook-delete-policy"),
            "BeforeHookCreation,HookSucceeded,HookFailed"
        );
        assert_eq!(object["metadata"]["labels"]["hub.jupyter.org/deletable"], "true");
        let number = |key| annotation(object, key).parse::<i64>().unwrap();
        order.push((
            number("helm.sh/hook-weight"),
            number("argocd.argoproj.io/sync-wave"),
            object["kind"].as_str().unwrap(),
        ));
    }
    order.sort_unstable();
    let kinds: Vec<&str> = order.iter().map(|(_, _, kind)| *kind).collect();
    let expected = [
        "PriorityClass",
        "Secret",
        "ServiceAccount",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
        "NetworkPolicy",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "DaemonSet",
        "DaemonSet",
        "Job",
    ];
    assert_eq!(kinds, expected);
    let waves: Vec<i64> = order.iter().map(|(_, wave, _)| *wave).collect();
    assert!(waves.is_sorted(), "{waves:?}");
    assert_eq!(
        waves[11..],
        [-1, -1, -1],
        "Argo CD waits for a whole wave: the awaiter has to be in that of the pullers"
    );
}

#[test]
fn the_job_says_what_it_waits_for() {
    let Some(scene) = Scene::new("the_job_says_what_it_waits_for") else { return };
    let flags = ["--set", "perijove.hook.deadline=90s,perijove.hook.quorum=2,perijove.hook.onDeadline=warn"];
    let objects = scene.render(&[VALUES], &flags);
    let job = hook_job(&objects);
    let name = job["metadata"]["name"].as_str().unwrap();
    let run = name.rsplit_once('-').unwrap().1;
    let selector = format!(
        "app.kubernetes.io/name=perijove,app.kubernetes.io/instance=hub,app.kubernetes.io/component=hook-image-puller,perijove.jupyter.org/run={run}"
    );
    let expected = format!(
        "await --namespace jupyter --selector {selector} --expect 2 --deadline 90s --quorum 2 --on-deadline warn --event-on job/{name}/$(JOB_UID) \
         --since-creation --clean-up --adopt rolebinding/{name} --adopt role/{name} --adopt serviceaccount/{name}"
    );
    let args = &pod(job).unwrap()["containers"][0]["args"];
    let args: Vec<&str> = args.as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    assert_eq!(args.join(" "), expected);
    assert_eq!(job["spec"]["backoffLimit"], 0);
    assert_eq!(job["spec"]["activeDeadlineSeconds"], 150);
    assert_eq!(job["spec"]["ttlSecondsAfterFinished"], 600);
    assert_eq!(pod(job).unwrap()["restartPolicy"], "Never");
    let token = &pod(job).unwrap()["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(*token, json!({"path": "token", "expirationSeconds": 900}));
    for set in hook_sets(&objects) {
        let labels = &set["spec"]["template"]["metadata"]["labels"];
        assert!(
            selector
                .split(',')
                .all(|part| labels[part.split_once('=').unwrap().0] == part.split_once('=').unwrap().1)
        );
    }
}

#[test]
fn deadlines_have_units() {
    let Some(scene) = Scene::new("deadlines_have_units") else { return };
    for (text, seconds) in [("10m", 600), ("45", 45), ("45s", 45), ("2h", 7200)] {
        let objects = scene.render(&[], &["--set", &format!("perijove.hook.deadline={text}")]);
        assert_eq!(hook_job(&objects)["spec"]["activeDeadlineSeconds"], seconds + 60, "{text}");
    }
}

/// As in Zero to JupyterHub; -1 waits as long as everything else.
#[test]
fn full_nodes_are_waited_for() {
    let Some(scene) = Scene::new("full_nodes_are_waited_for") else { return };
    for (seconds, expected) in [("0", "0s"), ("25", "25s"), ("-1", "600s")] {
        let values = format!("prePuller: {{hook: {{podSchedulingWaitDuration: {seconds}}}}}");
        let objects = scene.render(&[&values], &[]);
        let args = &pod(hook_job(&objects)).unwrap()["containers"][0]["args"];
        let args: Vec<&str> = args.as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let at = args.iter().position(|arg| *arg == "--scheduling-wait").unwrap();
        assert_eq!(args[at + 1], expected);
    }
}

/// The same file switches Zero to JupyterHub's pullers off and leaves ours on.
#[test]
fn pullers_have_switches_of_their_own() {
    let Some(scene) = Scene::new("pullers_have_switches_of_their_own") else { return };
    let count = |values: &[&str], flags: &[&str]| {
        let objects = scene.render(values, flags);
        let kept = of_kind(&objects, "DaemonSet").len() - hook_sets(&objects).len();
        let jobs = of_kind(&objects, "Job");
        let tests = jobs.iter().filter(|job| annotation(job, "helm.sh/hook") == "test").count();
        (hook_sets(&objects).len(), kept, jobs.len() - tests, tests)
    };
    let off = "prePuller: {hook: {enabled: false}, continuous: {enabled: false}}";
    assert_eq!(count(&[VALUES, off], &[]), (2, 2, 1, 1));
    assert_eq!(count(&[VALUES], &["--set", "perijove.hook.enabled=false"]), (0, 2, 0, 1));
    assert_eq!(count(&[VALUES], &["--set", "perijove.continuous.enabled=false"]), (2, 0, 1, 0));
    let both = ["--set", "perijove.hook.enabled=false,perijove.continuous.enabled=false"];
    assert!(scene.render(&[VALUES], &both).is_empty());
}

/// The group with the fewest images first, or the user's order.
#[test]
fn the_order_of_the_groups_is_settable() {
    let Some(scene) = Scene::new("the_order_of_the_groups_is_settable") else { return };
    let sizes = |order: &str| -> Vec<usize> {
        let objects = scene.render(&[VALUES], &["--set", &format!("perijove.order={order}")]);
        hook_sets(&objects)
            .iter()
            .map(|set| pod(set).unwrap()["containers"].as_array().unwrap().len())
            .collect()
    };
    assert_eq!(sizes("values"), [2, 1]);
    assert_eq!(sizes("smallest-first"), [1, 2]);
}

/// Old images go only when the new ones are there; a hook's set never changes under its name.
#[test]
fn updates_keep_old_images_until_the_new_ones_are_there() {
    let Some(scene) = Scene::new("updates_keep_old_images_until_the_new_ones_are_there") else { return };
    let objects = scene.render(&[VALUES], &["--kube-version", "1.30.0"]);
    for set in of_kind(&objects, "DaemonSet") {
        let expected = match component(set) {
            "hook-image-puller" => json!({"type": "OnDelete"}),
            _ => json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}),
        };
        assert_eq!(set["spec"]["updateStrategy"], expected);
        assert_eq!(pod(set).unwrap()["terminationGracePeriodSeconds"], 0);
    }
}

/// The secret that Zero to JupyterHub would make is made here too, under a name of ours: its own may not be there yet.
#[test]
fn credentials_are_there_before_the_pullers() {
    let Some(scene) = Scene::new("credentials_are_there_before_the_pullers") else { return };
    let objects = scene.render(&[VALUES], &[]);
    let secrets: Vec<&Value> =
        of_kind(&objects, "Secret").iter().map(|secret| &secret["metadata"]["name"]).collect();
    assert_eq!(secrets, [&json!("hub-perijove-pull-continuous"), &json!("hub-perijove-pull-hook")]);
    for set in of_kind(&objects, "DaemonSet") {
        let made = if component(set).starts_with("hook") {
            "hub-perijove-pull-hook"
        } else {
            "hub-perijove-pull-continuous"
        };
        assert_eq!(pod(set).unwrap()["imagePullSecrets"], json!([{"name": made}, {"name": "own"}]));
    }
    let classes: Vec<&Value> = of_kind(&objects, "PriorityClass");
    assert!(classes.len() == 2 && classes.iter().all(|class| class["value"] == -5));
}

/// Image volumes: nothing of a user's image is run. Before: a program of ours is handed in.
#[test]
fn users_images_run_nothing_of_their_own() {
    let Some(scene) = Scene::new("users_images_run_nothing_of_their_own") else { return };
    for (flags, volumes) in [
        (&["--kube-version", "1.35.0"][..], true),
        (&["--kube-version", "1.34.9"], false),
        (&["--kube-version", "1.36.0", "--set", "perijove.mode=noop"], false),
        (&["--kube-version", "1.33.0", "--set", "perijove.mode=image-volumes"], true),
        (&["--kube-version", "v1.36.1-gke.100"], true),
    ] {
        let objects = scene.render(&[VALUES], flags);
        for set in of_kind(&objects, "DaemonSet") {
            let pod = pod(set).unwrap();
            assert_eq!(pod["initContainers"].is_null(), volumes);
            for (number, container) in pod["containers"].as_array().unwrap().iter().enumerate() {
                assert_eq!(container["name"], format!("image-{number}"));
                if volumes {
                    assert_eq!(container["image"], "quay.io/jupyterhub/perijove-await:0.1.0");
                    assert_eq!(container["args"], json!(["noop"]));
                    assert_eq!(container["volumeMounts"][0]["mountPath"], "/image");
                } else {
                    assert_eq!(container["command"], json!(["/perijove/noop"]));
                }
            }
        }
    }
}
