//! What is an image in YAML, and what only looks like one.

use super::*;
use crate::finding::apply;
use crate::successor::Successors;

pub(super) fn scene() -> Scene {
    let successors = Successors {
        registry: Some("registry.example/team".to_owned()),
        singleuser: Some("quay.io/jupyter/base-notebook".to_owned()),
        proxy_apart: true,
    };
    Scene { successors, proxy_apart: true, hub_used: true, ..Scene::default() }
}

pub(super) fn rules(path: &str, text: &str) -> Vec<&'static str> {
    read(path, text, &scene()).unwrap().iter().map(|finding| finding.rule.id()).collect()
}

#[test]
fn keys_say_what_is_an_image() {
    let image = vec!["retired-image"];
    let moving = vec!["retired-image", "moving-tag"];
    for (case, path, text, found) in [
        ("compose", "compose.yml", "services:\n  hub:\n    image: jupyterhub/jupyterhub\n", moving.clone()),
        (
            "anchor",
            "compose.yml",
            "x-hub: &hub jupyterhub/jupyterhub:5.2.1\nservices: {hub: {image: *hub}}\n",
            image.clone(),
        ),
        (
            "bare anchor",
            "compose.yml",
            "x-hub: &hub jupyterhub/jupyterhub\nservices: {hub: {image: *hub}}\n",
            moving.clone(),
        ),
        (
            "map of arguments",
            "compose.yml",
            "services: {hub: {build: {args: {BASE_IMAGE: 'jupyterhub/jupyterhub:5.2.1'}}}}\n",
            image.clone(),
        ),
        (
            "list of arguments",
            "compose.yml",
            "services:\n  hub:\n    build:\n      args:\n      - BASE=jupyterhub/jupyterhub\n",
            moving.clone(),
        ),
        (
            "default",
            "compose.yml",
            "services: {hub: {image: \"${HUB_IMAGE:-jupyterhub/jupyterhub:5.2.1}\"}}\n",
            image.clone(),
        ),
        (
            "environment",
            "compose.yml",
            "services: {h: {environment: {DOCKER_NOTEBOOK_IMAGE: jupyterhub/singleuser:5.2.1}}}\n",
            image.clone(),
        ),
        (
            "pods",
            "d.yaml",
            "kind: Pod\nspec:\n  initContainers:\n  - image: docker.io/jupyterhub/singleuser:5.2.1\n  containers:\n  - image: jupyterhub/jupyterhub:5.2.1\n",
            vec!["retired-image"; 2],
        ),
        ("documents", "d.yaml", "a: 1\n---\nimage: jupyterhub/singleuser\n", moving.clone()),
        (
            "variable of a pod",
            "d.yaml",
            "env:\n- name: HUB_IMAGE\n  value: jupyterhub/jupyterhub\n",
            moving.clone(),
        ),
        (
            "values",
            "values.yaml",
            "singleuser:\n  image:\n    name: jupyterhub/singleuser\n    tag: 1.2\n",
            moving.clone(),
        ),
        (
            "registry apart",
            "values.yaml",
            "image: {registry: quay.io, repository: jupyterhub/jupyterhub, tag: 5.2.1}\n",
            image.clone(),
        ),
        (
            "profiles",
            "values.yaml",
            "profileList:\n- kubespawner_override:\n    image: jupyterhub/singleuser:5.2.1\n",
            image.clone(),
        ),
        (
            "code in values",
            "values.yaml",
            "hub:\n  extraConfig:\n    a: |\n      c.KubeSpawner.image = 'jupyterhub/singleuser:5.2.1'\n",
            image.clone(),
        ),
        (
            "workflow",
            ".github/workflows/a.yml",
            "on: push\njobs:\n  t:\n    container: jupyterhub/jupyterhub\n    services: {h: {image: 'jupyterhub/jupyterhub:5.2.1'}}\n    steps:\n    - uses: docker://jupyterhub/singleuser:5.2.1\n    - run: |\n        docker pull jupyterhub/singleuser:5.2.1\n",
            vec!["retired-image", "moving-tag", "retired-image", "retired-image", "retired-image"],
        ),
        (
            "checkout",
            ".github/workflows/a.yml",
            "on: push\njobs:\n  t:\n    if: github.repository == 'jupyterhub/jupyterhub'\n    steps:\n    - uses: actions/checkout@v4\n      with: {repository: jupyterhub/jupyterhub, path: x}\n",
            vec![],
        ),
        (
            "another registry",
            "values.yaml",
            "image: {registry: registry.example, repository: jupyterhub/jupyterhub, tag: 5.2.1}\n",
            vec![],
        ),
        ("a mirror", "values.yaml", "image: registry.example/jupyterhub/singleuser:5.2.1\n", vec![]),
        (
            "others",
            "values.yaml",
            "hub: {image: {name: quay.io/jupyterhub/k8s-hub, tag: '4.0.0'}}\ndemo: {image: jupyterhub/jupyterhub-demo}\n",
            vec![],
        ),
        (
            "a chart",
            "Chart.yaml",
            "dependencies:\n- name: jupyterhub\n  repository: https://hub.jupyter.org/helm-chart/\n  alias: jupyterhub/jupyterhub\n",
            vec![],
        ),
        (
            "a repository",
            "a.yaml",
            "repos:\n- repo: https://github.com/jupyterhub/jupyterhub\n- name: jupyterhub/jupyterhub\n",
            vec![],
        ),
        ("words", "a.yaml", "description: see jupyterhub/singleuser:5\n", vec![]),
        (
            "kustomized already",
            "kustomization.yaml",
            "images:\n- name: jupyterhub/jupyterhub\n  newName: registry.example/hub\n  newTag: 5.2.1\n",
            vec![],
        ),
        (
            "kustomization",
            "kustomization.yaml",
            "images:\n- name: jupyterhub/jupyterhub\n  newTag: 5.2.1\n",
            image.clone(),
        ),
        (
            "what is built",
            "compose.yml",
            "services: {h: {build: ., image: 'jupyterhub/jupyterhub:5.2.1'}, i: {build: {tags: ['jupyterhub/jupyterhub:5.2.1']}}}\n",
            vec![],
        ),
        (
            "what is published",
            ".github/workflows/a.yml",
            "on: push\njobs:\n  t:\n    steps:\n    - uses: docker/metadata-action@v5\n      with: {images: 'jupyterhub/jupyterhub:5.2.1'}\n    - uses: docker/build-push-action@v6\n      with:\n        tags: |\n          jupyterhub/jupyterhub:5.2.1\n          jupyterhub/singleuser:5.2.1\n",
            vec![],
        ),
        (
            "a tag beside it",
            "values.yaml",
            "hub: {image: jupyterhub/singleuser, tag: 5.2.1}\nlab: {labImageName: jupyterhub/singleuser, labImageTag: 5.2.1}\n",
            vec!["retired-image"; 2],
        ),
        (
            "pieces of variables",
            "compose.yml",
            "services: {h: {image: '${R:-docker.io}/jupyterhub/jupyterhub:5.2.1'}, j: {image: '${I:-jupyterhub/singleuser}:${T:-5}'}}\n",
            vec!["retired-image"; 2],
        ),
        (
            "a block of arguments",
            ".github/workflows/a.yml",
            "on: push\njobs:\n  build:\n    steps:\n    - with:\n        build-args: |\n          BASE_IMAGE=jupyterhub/jupyterhub:5.2.1\n",
            image.clone(),
        ),
        ("labels", "compose.yml", "services: {h: {labels: ['x=jupyterhub/jupyterhub:5.2.1']}}\n", vec![]),
        (
            "defaults without a colon",
            "compose.yml",
            "services: {h: {image: '${I-jupyterhub/jupyterhub:5.2.1}'}, j: {image: '${I:-${J:-jupyterhub/singleuser:5.2.1}}'}}\n",
            vec!["retired-image"; 2],
        ),
        (
            "pip beside an alias",
            "compose.yml",
            "x: &i jupyterhub/singleuser:5.2.1\nservices: {h: {image: *i, command: [pip, install, x]}}\n",
            vec!["retired-image", "unlocked-install"],
        ),
        (
            "pip beside pieces",
            "values.yaml",
            "hub:\n  image: {repository: jupyterhub/singleuser, tag: 5.2.1}\n  args: [sh, -c, pip install x]\n",
            vec!["retired-image", "unlocked-install"],
        ),
        (
            "the proxy beside pieces",
            "values.yaml",
            "hub:\n  image: {repository: jupyterhub/jupyterhub, tag: 5.2.1}\n  args: [sh, -c, configurable-http-proxy & jupyterhub]\n",
            vec!["retired-image", "proxy-in-hub"],
        ),
        (
            "a job's steps",
            ".github/workflows/a.yml",
            "on: push\njobs:\n  t:\n    container: {image: 'jupyterhub/singleuser:5.2.1'}\n    steps:\n    - run: |\n        echo\n        pip install x\n    - run: pip install --require-hashes -r x\n  u:\n    steps: [{run: pip install x}]\n",
            vec!["unlocked-install", "retired-image"],
        ),
        (
            "pip",
            "compose.yml",
            "services:\n  hub:\n    image: jupyterhub/jupyterhub:5.2.1\n    command: >\n      bash -c \"pip install dockerspawner\"\n",
            vec!["retired-image", "unlocked-install"],
        ),
    ] {
        assert_eq!(rules(path, text), found, "{case}");
    }
}

#[test]
fn what_is_sure_is_written_and_nothing_else_moves() {
    for (text, fixed) in [
        (
            "services:\r\n  hub:\r\n    image: 'jupyterhub/jupyterhub:5.2.1' # ours\r\n",
            "services:\r\n  hub:\r\n    image: 'registry.example/team/hub:5.2.1' # ours\r\n",
        ),
        ("x: &a docker.io/jupyterhub/jupyterhub:5.2.1-3\n", "x: &a registry.example/team/hub:5.2.1\n"),
        (
            "image: {name: jupyterhub/singleuser, tag: \"5.2.1\"}\n",
            "image: {name: quay.io/jupyter/base-notebook, tag: \"hub-5.2.1\"}\n",
        ),
        (
            "image:\n  registry: docker.io\n  repository: jupyterhub/jupyterhub\n  tag: 5.2.1\n",
            "image:\n  registry: registry.example\n  repository: team/hub\n  tag: 5.2.1\n",
        ),
        (
            "a: |\n  docker pull jupyterhub/singleuser:5.2.1\n",
            "a: |\n  docker pull quay.io/jupyter/base-notebook:hub-5.2.1\n",
        ),
        ("image: ${I:-jupyterhub/jupyterhub:5.2.1}\n", "image: ${I:-registry.example/team/hub:5.2.1}\n"),
        // Not sure
        ("image: jupyterhub/jupyterhub:5\n", ""),
        ("image: jupyterhub/jupyterhub:${V}\n", ""),
        ("build: {args: {BASE_IMAGE: jupyterhub/jupyterhub:5.2.1}}\n", ""),
        ("image: jupyterhub/jupyterhub:5.2.1\ncommand: [sh, -c, 'jupyterhub']\n", ""),
    ] {
        let (out, _) = apply(text, &read("a.yml", text, &scene()).unwrap());
        assert_eq!(out, if fixed.is_empty() { text } else { fixed });
        assert_eq!(apply(&out, &read("a.yml", &out, &scene()).unwrap()).0, out, "a second time");
    }
}
