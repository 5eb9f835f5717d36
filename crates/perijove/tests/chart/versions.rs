//! Every supported Kubernetes: what is rendered for the oldest and the newest, whole, and what differs between others.

use similar::{ChangeTag, TextDiff};

use crate::scene::{Scene, chart};

const VALUES: &str = "
singleuser:
  image: {name: quay.io/team/lab, tag: '2026.1'}
  cloudMetadata: {blockWithIptables: false}
  nodeSelector: {pool: users}
";

fn rendered(scene: &Scene, version: &str) -> String {
    let mut command = scene.helm();
    command.args(["template", "hub"]).arg(chart()).args(["-n", "jupyter", "--kube-version", version, "-f"]);
    let output = command.arg(scene.file("values.yaml", VALUES)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Lines of `a` and `b` that differ.
fn between(a: &str, b: &str) -> String {
    let diff = TextDiff::from_lines(a, b);
    let changes = diff.iter_all_changes().filter(|change| change.tag() != ChangeTag::Equal);
    changes.map(|change| format!("{} {}\n", change.tag(), change.value().trim())).collect()
}

#[test]
fn the_oldest_and_the_newest() {
    let Some(scene) = Scene::new("the_oldest_and_the_newest") else { return };
    for version in ["1.20.0", "1.36.3"] {
        insta::assert_snapshot!(format!("kubernetes_{version}"), rendered(&scene, version));
    }
}

#[test]
fn what_changes_between_them() {
    let Some(scene) = Scene::new("what_changes_between_them") else { return };
    let old = rendered(&scene, "1.20.0");
    insta::assert_snapshot!(between(&old, &rendered(&scene, "1.24.0")), @r"
    - rollingUpdate: {maxUnavailable: 100%}
    + rollingUpdate: {maxSurge: 100%, maxUnavailable: 0}
    - apiVersion: policy/v1beta1
    + apiVersion: policy/v1
    ");
    insta::assert_snapshot!(between(&rendered(&scene, "1.24.0"), &rendered(&scene, "1.29.0")), @r"
    - backoffLimit: 0
    + backoffLimit: 2
    + podFailurePolicy:
    + rules:
    + - action: FailJob
    + onExitCodes: {operator: In, values: [1, 2, 3]}
    ");
    assert_eq!(between(&rendered(&scene, "1.29.0"), &rendered(&scene, "1.33.0")), "");
    assert_eq!(between(&rendered(&scene, "1.35.0"), &rendered(&scene, "1.36.3")), "");
}

#[test]
fn older_ones_are_refused() {
    let Some(scene) = Scene::new("older_ones_are_refused") else { return };
    let said = scene.try_render(&[], &["--kube-version", "1.19.16"]).unwrap_err();
    assert!(said.contains("kubeVersion") && said.contains("1.20"), "{said}");
}
