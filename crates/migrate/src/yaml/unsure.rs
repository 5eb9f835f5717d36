//! What `--fix` leaves to a person: each row is a place where the successor may not do, or another place would change.

use super::tests::scene;
use super::*;
use crate::finding::apply;

/// The text after a fix by a site whose lab is an image of its own.
fn fixed(path: &str, text: &str) -> String {
    let mut scene = scene();
    scene.successors.singleuser = Some("registry.example/team/lab:4.10".to_owned());
    apply(text, &read(path, text, &scene).unwrap()).0
}

#[test]
fn images_in_pieces() {
    for (text, new) in [
        ("image: {repository: jupyterhub/singleuser, tag: '5.2.1', digest: 'sha256:00'}\n", ""),
        ("image: {name: 'jupyterhub/singleuser:5.2.1', digest: 'sha256:00'}\n", ""),
        ("image: jupyterhub/singleuser\ntag: 5.2.1\n", ""),
        ("imageName: jupyterhub/singleuser:5.2.1\nimageTag: 5.2.1\n", ""),
        ("labImage: jupyterhub/singleuser\nlab_image_tag: 5.2.1\n", ""),
        ("image: jupyterhub/singleuser\nregistry: quay.io\n", ""),
        ("jupyter_image: jupyterhub/singleuser\nversion: 5.2.1\n", ""),
        ("image: {name: jupyterhub/singleuser, tag: &v '5.2.1'}\nother: {tag: *v}\n", ""),
        ("image: {name: &n jupyterhub/singleuser, tag: '5.2.1'}\nother: {image: {name: *n, tag: 5}}\n", ""),
        ("image: '${LAB:-jupyterhub/singleuser}:${TAG:-5}'\n", ""),
        ("image: 'jupyterhub/singleuser:${TAG:-5}'\n", ""),
        ("parameters: [{name: singleuser.image.name, value: jupyterhub/singleuser}]\n", ""),
        ("env: {LAB_IMAGE_NAME: jupyterhub/singleuser, LAB_IMAGE_TAG: '5'}\n", ""),
        ("values: |\n  image:\n    name: jupyterhub/singleuser\n    tag: '5.2.1'\n", ""),
        ("x: &n jupyterhub/singleuser\nimage: {name: *n, tag: '5.2.1'}\n", ""),
        (
            "a: {image: &i {name: jupyterhub/singleuser, tag: '5.2.1'}}\nb: {image: {<<: *i, tag: '5.3.0'}}\n",
            "",
        ),
        (
            "a: {image: &i {name: jupyterhub/singleuser, tag: '5.2.1'}}\nb: {image: *i}\n",
            "a: {image: &i {name: registry.example/team/lab, tag: '4.10'}}\nb: {image: *i}\n",
        ),
        (
            "image: {name: jupyterhub/singleuser, tag: 5.2.1, digest: ''}\n",
            "image: {name: registry.example/team/lab, tag: \"4.10\", digest: ''}\n",
        ),
        (
            "image: {name: jupyterhub/singleuser, tag: &v !!str 5.2.1}\n",
            "image: {name: registry.example/team/lab, tag: &v !!str \"4.10\"}\n",
        ),
        (
            "hubTag: 4\nlabImage: jupyterhub/singleuser:5.2.1\ntags: [docker]\n",
            "hubTag: 4\nlabImage: registry.example/team/lab:4.10\ntags: [docker]\n",
        ),
    ] {
        assert_eq!(fixed("values.yaml", text), if new.is_empty() { text } else { new });
    }
}

#[test]
fn hubs_that_need_a_shell_or_are_named_elsewhere() {
    const HUB: &str = "jupyterhub/jupyterhub:5.2.1";
    for (case, path, text, sure) in [
        ("plain", "compose.yml", "services: {h: {image: @}}", true),
        (
            "alias",
            "compose.yml",
            "x: &h @\nservices: {h: {image: *h}, i: {environment: {HUB_IMAGE: *h}}}",
            true,
        ),
        ("service", ".github/workflows/a.yml", "on: push\njobs: {t: {services: {h: {image: @}}}}", true),
        ("service of a name", "compose.yml", "services: {build: {image: @}}", true),
        ("extends", "compose.yml", "services: {h: {extends: {service: x}, image: @}}", false),
        ("merged", "compose.yml", "x: &h {image: @}\nservices: {h: {<<: *h, ports: [8000]}}", true),
        ("replaced", "compose.yml", "x: &h {image: @}\nservices: {h: {<<: *h, image: y, command: sh}}", true),
        ("check", "compose.yml", "services: {h: {image: @, healthcheck: {test: [CMD, curl, x]}}}", false),
        ("probe", "d.yaml", "containers: [{image: @, livenessProbe: {exec: {command: [sh, -c, x]}}}]", false),
        (
            "hook",
            "d.yaml",
            "containers: [{image: @, lifecycle: {preStop: {exec: {command: [sleep, 5]}}}}]",
            false,
        ),
        (
            "command of pieces",
            "v.yaml",
            "hub: {image: {name: jupyterhub/jupyterhub, tag: 5.2.1}, args: [sh, -c, x]}",
            false,
        ),
        ("name in a map", ".x.yml", "job: {image: {name: @, entrypoint: ['']}, script: [x]}", false),
        ("build argument", "compose.yml", "x: &h @\nservices: {h: {build: {args: {BASE: *h}}}}", false),
        ("arguments", "compose.yml", "x: &a {HUB: @}\nservices: {h: {build: {args: *a}}}", false),
        (
            "merged arguments",
            "compose.yml",
            "x: &a {HUB: @}\nservices: {h: {build: {args: {<<: *a, B: c}}}}",
            false,
        ),
        (
            "merged command",
            "compose.yml",
            "x: &h {image: @}\nservices: {h: {<<: *h, command: bash -c x}}",
            false,
        ),
        (
            "merged list",
            "compose.yml",
            "x: &h {image: @}\nservices: {h: {<<: [*h], command: bash -c x}}",
            false,
        ),
        ("merged build", "compose.yml", "x: &h {image: @}\nservices: {h: {<<: *h, build: .}}", false),
        (
            "alias and command",
            "compose.yml",
            "x: &h @\nservices: {h: {image: *h, command: bash -c x}}",
            false,
        ),
        ("alias of a build", "compose.yml", "x: &h @\nservices: {h: {image: *h, build: .}}", false),
        (
            "matrix",
            ".github/workflows/a.yml",
            "on: push\njobs: {t: {strategy: {matrix: {image: [@]}}, container: '${{ matrix.image }}'}}",
            false,
        ),
        (
            "include",
            ".github/workflows/a.yml",
            "on: push\njobs: {t: {strategy: {matrix: {include: [{image: @}]}}}}",
            false,
        ),
        ("container", ".github/workflows/a.yml", "on: push\njobs: {t: {container: {image: @}}}", false),
        ("variable", ".github/workflows/a.yml", "on: push\nenv: {IMAGE: @}\njobs: {t: {steps: []}}", false),
        (
            "input",
            ".github/workflows/a.yml",
            "on: {workflow_call: {inputs: {image: {default: @}}}}\njobs: {}",
            false,
        ),
        (
            "options",
            ".github/workflows/a.yml",
            "on: push\njobs: {t: {services: {h: {image: @, options: --health-cmd 'curl x'}}}}",
            false,
        ),
        ("GitLab", ".gitlab-ci.yml", "default: {image: @}\nt: {script: [pytest]}", false),
        ("CircleCI", ".circleci/config.yml", "jobs: {t: {docker: [{image: @}], steps: [{run: x}]}}", false),
        ("dev container", ".devcontainer/devcontainer.json", "{\"image\": \"@\"}", false),
        (
            "build configuration",
            "b.yaml",
            "strategy: {dockerStrategy: {from: {kind: DockerImage, name: @}}}",
            false,
        ),
        (
            "task",
            "t.json",
            "{\"image\": \"@\", \"healthCheck\": {\"command\": [\"CMD-SHELL\", \"x\"]}}",
            false,
        ),
    ] {
        let quoted = if text.contains("\"@\"") { HUB.to_owned() } else { format!("'{HUB}'") };
        let text = format!("{}\n", text.replace('@', &quoted));
        let new = text.replace(HUB, "registry.example/team/hub:5.2.1");
        assert_eq!(fixed(path, &text), if sure { new } else { text.clone() }, "{case}");
        let named = read(path, &text, &scene()).unwrap().iter().any(|f| f.rule.id() == "retired-image");
        assert!(named, "{case}: {text}");
    }
}
