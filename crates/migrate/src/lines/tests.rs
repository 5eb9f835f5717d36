//! What the words around a reference say.

use super::*;
use crate::rules::Rule;

fn rules(text: &str, mode: Mode) -> Vec<&'static str> {
    let scene = Scene { proxy_apart: true, ..Scene::default() };
    read(text, 0, mode, &scene).iter().map(|finding| finding.rule.id()).collect()
}

#[test]
fn the_words_before_decide() {
    let image = vec!["retired-image"];
    let moving = vec!["retired-image", "moving-tag"];
    for (text, mode, found) in [
        ("docker pull jupyterhub/singleuser\n", Mode::Shell, moving.clone()),
        ("sudo docker pull jupyterhub/jupyterhub:5.2.1", Mode::Shell, image.clone()),
        (
            "docker run -d \\\n  --name hub \\\n  jupyterhub/jupyterhub jupyterhub",
            Mode::Shell,
            moving.clone(),
        ),
        ("\tdocker pull jupyterhub/jupyterhub", Mode::Shell, moving.clone()),
        ("export HUB_IMAGE=jupyterhub/jupyterhub", Mode::Shell, moving.clone()),
        ("docker build --build-arg BASE=jupyterhub/jupyterhub .", Mode::Shell, moving.clone()),
        ("kubectl set image deploy/hub hub=jupyterhub/jupyterhub:5.2.1", Mode::Shell, image.clone()),
        (
            "cat <<EOF > compose.yml\nservices:\n  hub:\n    image: jupyterhub/jupyterhub:latest\nEOF\n",
            Mode::Shell,
            moving.clone(),
        ),
        ("docker build -t jupyterhub/singleuser:5 singleuser", Mode::Shell, vec![]),
        ("docker build --tag jupyterhub/jupyterhub .", Mode::Shell, vec![]),
        ("docker build --tag=jupyterhub/jupyterhub:5 .", Mode::Shell, vec![]),
        ("docker push jupyterhub/singleuser:5", Mode::Shell, vec![]),
        ("# docker pull jupyterhub/singleuser", Mode::Shell, vec![]),
        ("true # docker pull jupyterhub/singleuser", Mode::Shell, vec![]),
        ("helm upgrade hub jupyterhub/jupyterhub --version 4.0.0", Mode::Shell, vec![]),
        (
            "helm upgrade h c --set singleuser.image.name=jupyterhub/singleuser,singleuser.image.tag=5",
            Mode::Shell,
            image.clone(),
        ),
        ("x = 'jupyterhub/singleuser:' + version", Mode::Literals, image.clone()),
        ("helm upgrade --install \\\n  hub jupyterhub/jupyterhub", Mode::Shell, vec![]),
        ("HELM_CHART=jupyterhub/jupyterhub", Mode::Shell, vec![]),
        ("gh repo clone jupyterhub/jupyterhub", Mode::Shell, vec![]),
        ("git clone https://github.com/jupyterhub/jupyterhub", Mode::Shell, vec![]),
        ("echo jupyterhub/singleuser:5", Mode::Shell, vec![]),
        ("docker pull x && helm install hub jupyterhub/jupyterhub", Mode::Shell, vec![]),
        (
            "docker run x jupyterhub/singleuser:5.2.1 sh -c 'pip install y'",
            Mode::Shell,
            vec!["retired-image", "unlocked-install"],
        ),
        ("c.DockerSpawner.image = 'jupyterhub/singleuser:5.2.1'", Mode::Literals, image.clone()),
        ("c.DockerSpawner.image = f\"jupyterhub/singleuser:{version}\"", Mode::Literals, image.clone()),
        ("x = os.environ.get('HUB_IMAGE', 'jupyterhub/jupyterhub')", Mode::Literals, moving.clone()),
        ("# c.DockerSpawner.image = 'jupyterhub/singleuser:5.2.1'", Mode::Literals, vec![]),
        (
            "\"\"\"Defaults to `jupyterhub/singleuser:5`, or jupyterhub/jupyterhub\"\"\"",
            Mode::Literals,
            vec![],
        ),
        ("repo = 'jupyterhub/jupyterhub'", Mode::Literals, vec![]),
        ("image = \"jupyterhub/jupyterhub:5.2.1\"", Mode::Literals, image.clone()),
        ("  image: \"jupyterhub/jupyterhub:{{ .Values.tag }}\"", Mode::Template, image.clone()),
        ("  repository: jupyterhub/singleuser", Mode::Template, image.clone()),
        ("FROM --platform={{ p }} jupyterhub/jupyterhub", Mode::Template, moving),
    ] {
        assert_eq!(rules(text, mode), found, "{text}");
    }
}

#[test]
fn what_dockerfiles_are_given_is_left_to_a_person() {
    let successors = crate::Successors { registry: Some("registry.example/t".into()), ..Default::default() };
    let scene = Scene { successors, proxy_apart: true, hub_used: true, ..Scene::default() };
    for (text, written) in [
        ("HUB_IMAGE=jupyterhub/jupyterhub:5.2.1", true),
        ("export E2E_BASE_IMAGE=\"jupyterhub/jupyterhub:5.2.1\"", false),
        ("docker build --build-arg X=jupyterhub/jupyterhub:5.2.1 .", false),
        ("docker pull jupyterhub/jupyterhub:5.2.1", true),
        ("docker run -d jupyterhub/jupyterhub:5.2.1 jupyterhub", true),
        ("docker run -it jupyterhub/jupyterhub:5.2.1 bash", false),
        ("docker run --rm --entrypoint bash jupyterhub/jupyterhub:5.2.1", false),
        ("docker run --entrypoint=/bin/sh \\\n jupyterhub/jupyterhub:5.2.1 -c x", false),
        ("docker run --entrypoint jupyterhub jupyterhub/jupyterhub:5.2.1", true),
        ("docker run --health-cmd 'curl x' jupyterhub/jupyterhub:5.2.1", false),
        ("docker run -d jupyterhub/jupyterhub:5.2.1 jupyterhub/start", false),
        ("$(DOCKER) run --rm jupyterhub/jupyterhub:5.2.1 bash", false),
        ("$(DOCKER) pull jupyterhub/jupyterhub:5.2.1", true),
        ("kubectl run x --image=jupyterhub/jupyterhub:5.2.1 -- bash", false),
        ("kubectl debug x --image=jupyterhub/jupyterhub:5.2.1 -- bash", false),
        ("singularity exec docker://jupyterhub/jupyterhub:5.2.1 bash", false),
        ("apptainer shell docker://jupyterhub/jupyterhub:5.2.1", false),
        ("singularity pull docker://jupyterhub/jupyterhub:5.2.1", true),
        ("docker tag jupyterhub/jupyterhub:5.2.1 hub:latest", false),
        ("skopeo copy docker://jupyterhub/jupyterhub:5.2.1 docker://mirror/hub:5", false),
        ("IMAGES=(\n  jupyterhub/jupyterhub:5.2.1\n)", false),
        ("HUB_IMAGE=jupyterhub/jupyterhub:5.2.1\ndocker run $HUB_IMAGE jupyterhub -f x", true),
        ("HUB_IMAGE=jupyterhub/jupyterhub:5.2.1\ndocker run \"${HUB_IMAGE}\" bash", false),
        ("HUB_IMAGE=jupyterhub/jupyterhub:5.2.1\nx:\n\tdocker run $(HUB_IMAGE) bash", false),
        ("HUB_IMAGE=jupyterhub/jupyterhub:5.2.1\ndocker build --build-arg B=$HUB_IMAGE .", false),
        ("HUB_IMAGE=jupyterhub/jupyterhub:5.2.1\ndocker run $HUB_IMAGE_OLD bash", true),
        ("id=$(docker create jupyterhub/jupyterhub:5.2.1)\ndocker cp $id:/x .", false),
        ("docker pull jupyterhub/jupyterhub:5.2.1\ndocker exec hub pip install x", false),
        ("docker run -d jupyterhub/jupyterhub:5.2.1\nexec jupyterhub", true),
        ("cat <<EOF\n  image: jupyterhub/jupyterhub:5.2.1\n  command: sh -c x\nEOF", false),
    ] {
        let found = read(text, 0, Mode::Shell, &scene);
        assert_eq!(!found[0].edits.is_empty(), written, "{text}");
    }
}

#[test]
fn a_hub_told_to_start_its_proxy() {
    let text =
        "c.ConfigurableHTTPProxy.command = ['configurable-http-proxy']\n# c.JupyterHub.proxy_cmd = 1\n";
    let used = Scene { hub_used: true, ..Scene::default() };
    let found = hub_configuration(text, &used);
    assert_eq!((found.len(), found[0].rule), (1, Rule::ProxyInHub));
    assert!(hub_configuration(text, &Scene::default()).is_empty());
}

#[test]
fn templates_and_literals_that_run_something_are_left() {
    let successors = crate::Successors { registry: Some("registry.example/t".into()), ..Default::default() };
    let scene = Scene { successors, proxy_apart: true, hub_used: true, ..Scene::default() };
    for (text, mode, written) in [
        ("image: jupyterhub/jupyterhub:5.2.1\n{{ x }}\n", Mode::Template, true),
        ("image: jupyterhub/jupyterhub:5.2.1\ncommand: [sh, -c, {{ x }}]\n", Mode::Template, false),
        ("image = \"jupyterhub/jupyterhub:5.2.1\"\n", Mode::Literals, true),
        ("image = \"jupyterhub/jupyterhub:5.2.1\"\ncommand = [\"bash\"]\n", Mode::Literals, false),
        ("run(\"jupyterhub/jupyterhub:5.2.1\", x)\n", Mode::Literals, false),
    ] {
        let found = read(text, 0, mode, &scene);
        assert_eq!(!found[0].edits.is_empty(), written, "{text}");
    }
    // The names of what is built.
    for text in
        ["tags = [\"jupyterhub/jupyterhub:5.2.1\"]", "tags = [\n  \"x\",\n  \"jupyterhub/singleuser:5\"]"]
    {
        assert!(read(text, 0, Mode::Literals, &scene).is_empty(), "{text}");
    }
    for text in ["docker tag x jupyterhub/jupyterhub:5.2.1", "docker image tag x jupyterhub/jupyterhub:5.2.1"]
    {
        assert!(read(text, 0, Mode::Shell, &scene).is_empty(), "{text}");
    }
}

#[test]
fn a_tag_in_another_place_is_left_with_its_name() {
    let successors =
        crate::Successors { singleuser: Some("registry.example/lab:4.10".into()), ..Default::default() };
    let scene = Scene { successors, ..Scene::default() };
    for (text, mode, written) in [
        ("LAB_IMAGE=jupyterhub/singleuser:5\n", Mode::Shell, true),
        ("LAB_IMAGE=jupyterhub/singleuser\nLAB_TAG=5\n", Mode::Shell, false),
        ("LAB_IMAGE=jupyterhub/singleuser\n", Mode::Shell, false),
        ("LAB_IMAGE=jupyterhub/singleuser\ndocker pull $LAB_IMAGE\n", Mode::Shell, true),
        ("image_name = \"jupyterhub/singleuser\"\nimage_tag = \"5\"\n", Mode::Literals, false),
        ("c.DockerSpawner.image = 'jupyterhub/singleuser'\n", Mode::Literals, true),
        ("c.DockerSpawner.image = 'jupyterhub/singleuser:' + v\n", Mode::Literals, false),
        ("docker pull \"jupyterhub/singleuser\":$V\n", Mode::Shell, false),
        ("d = {\"Base\": \"jupyterhub/singleuser:5.2.1\"}\n", Mode::Literals, true),
    ] {
        let found = read(text, 0, mode, &scene);
        assert_eq!(!found[0].edits.is_empty(), written, "{text}");
    }
}
