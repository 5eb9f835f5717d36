//! `helm lint` and `kube-score` find nothing.

use std::process::Command;

use crate::scene::{Scene, chart, deployments, tool};

/// Rules of kube-score that are wrong here, with the reason.
const IGNORED: [(&str, &str); 2] = [
    (
        "container-image-pull-policy",
        "wants Always: pullers have the policy of the pods that they pull for, else Kubernetes' own",
    ),
    ("container-image-tag", "refuses :latest, which users' own images may have"),
];

#[test]
fn helm_lint_finds_nothing() {
    let Some(scene) = Scene::new("helm_lint_finds_nothing") else { return };
    for (name, values) in deployments("helm_lint_finds_nothing") {
        let file = scene.file("values.yaml", &values);
        let output =
            scene.helm().args(["lint", "--strict"]).arg(chart()).arg("-f").arg(file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && !said.contains("[WARNING]"), "{name}: {said}");
    }
}

#[test]
fn kube_score_finds_nothing() {
    let test = "kube_score_finds_nothing";
    let (Some(scene), Some(kube_score)) = (Scene::new(test), tool(test, "kube-score")) else { return };
    for (name, values) in deployments(test) {
        for version in ["1.20", "1.30", "1.36"] {
            let file = scene.file("values.yaml", &values);
            let mut helm = scene.helm();
            helm.args(["template", "hub"])
                .arg(chart())
                .args(["-n", "jupyter", "--kube-version", version, "-f"])
                .arg(file);
            let rendered =
                scene.file("rendered.yaml", &String::from_utf8(helm.output().unwrap().stdout).unwrap());
            let mut score = Command::new(&kube_score);
            score.args(["score", "--output-format", "ci", "--kubernetes-version", &format!("v{version}")]);
            score.args(IGNORED.iter().flat_map(|(rule, _)| ["--ignore-test", rule]));
            let output = score.arg(rendered).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let found: Vec<&str> = said
                .lines()
                .filter(|line| line.starts_with("[CRITICAL]") || line.starts_with("[WARNING]"))
                .collect();
            assert!(said.contains("[OK]"), "{said}");
            assert!(found.is_empty(), "{name}: {}", found.join("\n"));
        }
    }
}
