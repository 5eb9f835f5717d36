//! What Dockerfiles stand on, and what they do there.

use super::*;
use crate::Nothing;
use crate::finding::{apply, position};
use crate::successor::Successors;

fn scene(proxy_apart: bool) -> Scene {
    let successors = Successors {
        registry: Some("registry.example/team".to_owned()),
        singleuser: Some("quay.io/jupyter/base-notebook".to_owned()),
        proxy_apart,
    };
    Scene { successors, proxy_apart, hub_used: true, ..Scene::default() }
}

/// `line:column rule image`, a line each.
fn found(text: &str, proxy_apart: bool) -> Vec<String> {
    let mut found = read("Dockerfile", text, &scene(proxy_apart), &Nothing).unwrap();
    found.sort_by_key(|finding| (finding.span.start, finding.rule));
    let shown = found.iter().map(|finding| {
        let (line, column) = position(text, finding.span.start);
        format!("{line}:{column} {} {}", finding.rule.id(), finding.image.as_deref().unwrap_or("-"))
    });
    shown.collect()
}

#[test]
fn stages_and_arguments() {
    for (text, says) in [
        ("FROM jupyterhub/jupyterhub:5.2.1\n", vec!["1:6 retired-image jupyterhub/jupyterhub:5.2.1"]),
        (
            "from --platform=linux/amd64 docker.io/library/jupyterhub/jupyterhub:5.2.1 as hub\nFROM hub\nRUN pip install x\n",
            vec![
                "1:29 retired-image docker.io/library/jupyterhub/jupyterhub:5.2.1",
                "3:5 unlocked-install -",
            ],
        ),
        (
            "ARG BASE=jupyterhub/jupyterhub\nFROM ${BASE}:5.2.1\n",
            vec!["1:10 retired-image jupyterhub/jupyterhub:5.2.1"],
        ),
        (
            "ARG V=5.2.1\nFROM jupyterhub/jupyterhub:$V\n",
            vec!["2:6 retired-image jupyterhub/jupyterhub:5.2.1"],
        ),
        ("ARG V\nFROM jupyterhub/jupyterhub:$V\n", vec!["2:6 retired-image jupyterhub/jupyterhub:$V"]),
        (
            "FROM ${B:-jupyterhub/singleuser}\n",
            vec!["1:11 retired-image jupyterhub/singleuser", "1:11 moving-tag jupyterhub/singleuser"],
        ),
        (
            "ARG I=jupyterhub/jupyterhub\nARG T=latest\nFROM \"${I}:${T}\"\n",
            vec![
                "1:7 retired-image jupyterhub/jupyterhub:latest",
                "1:7 moving-tag jupyterhub/jupyterhub:latest",
            ],
        ),
        (
            "# escape=`\nFROM `\n  jupyterhub/singleuser:5.2.1\n",
            vec!["3:3 retired-image jupyterhub/singleuser:5.2.1"],
        ),
        (
            "FROM scratch\nCOPY --from=jupyterhub/jupyterhub:5.2.1 /usr/local /x\n",
            vec!["2:13 retired-image jupyterhub/jupyterhub:5.2.1"],
        ),
        (
            "FROM scratch\nRUN --mount=type=bind,from=jupyterhub/singleuser:5.2.1 ls\n",
            vec!["2:28 retired-image jupyterhub/singleuser:5.2.1"],
        ),
        (
            "FROM jupyterhub/jupyterhub:5.2.1\nRUN <<EOF\npip install x\nEOF\n",
            vec!["1:6 retired-image jupyterhub/jupyterhub:5.2.1", "3:1 unlocked-install -"],
        ),
        (
            "FROM jupyterhub/jupyterhub:5.2.1\nRUN python3 <<EOF\npip install x\nEOF\n",
            vec!["1:6 retired-image jupyterhub/jupyterhub:5.2.1"],
        ),
        (
            "FROM jupyterhub/jupyterhub-onbuild:0.8.1\n",
            vec![
                "1:6 retired-image jupyterhub/jupyterhub-onbuild:0.8.1",
                "1:6 onbuild-copy jupyterhub/jupyterhub-onbuild:0.8.1",
            ],
        ),
        (
            "FROM jupyterhub/jupyterhub:5.2.1\nONBUILD COPY jupyterhub_config.py /srv/jupyterhub/\n",
            vec!["1:6 retired-image jupyterhub/jupyterhub:5.2.1", "2:1 onbuild-copy -"],
        ),
        (
            "FROM jupyterhub/jupyterhub:5.2.1\nRUN pip install --require-hashes -r lock.txt\n",
            vec!["1:6 retired-image jupyterhub/jupyterhub:5.2.1"],
        ),
        // Others
        ("FROM quay.io/jupyterhub/k8s-hub:4.0.0\nRUN pip install x\n", vec![]),
        ("FROM jupyterhub/jupyterhub-demo\n", vec![]),
        ("FROM ${BASE}\n", vec![]),
        ("#FROM jupyterhub/singleuser\nFROM scratch\n", vec![]),
        ("FROM scratch AS jupyterhub/singleuser\n", vec![]),
    ] {
        assert_eq!(found(text, true), says, "{text}");
    }
}

#[test]
fn the_proxy_in_the_hub() {
    let text = "FROM jupyterhub/jupyterhub:5.2.1\nRUN npm install -g configurable-http-proxy\nCMD [\"configurable-http-proxy\"]\n";
    let says = [
        "1:6 retired-image jupyterhub/jupyterhub:5.2.1",
        "1:6 proxy-in-hub jupyterhub/jupyterhub:5.2.1",
        "2:20 proxy-in-hub -",
        "3:7 proxy-in-hub -",
    ];
    assert_eq!(found(text, false), says);
    assert_eq!(found(text, true), says[..1]);
}

#[test]
fn what_is_sure_is_written() {
    for (text, fixed) in [
        ("FROM jupyterhub/jupyterhub:5.2.1 AS hub # x\n", ""),
        (
            "FROM jupyterhub/jupyterhub:5.2.1 AS hub\r\nCOPY a /b\r\n",
            "FROM registry.example/team/hub:5.2.1 AS hub\r\nCOPY a /b\r\n",
        ),
        (
            "ARG BASE=quay.io/jupyterhub/jupyterhub\nFROM ${BASE}:5.2.1\n",
            "ARG BASE=registry.example/team/hub\nFROM ${BASE}:5.2.1\n",
        ),
        ("ARG V=5.2.1\nFROM jupyterhub/jupyterhub:$V\n", "ARG V=5.2.1\nFROM registry.example/team/hub:$V\n"),
        (
            "FROM jupyterhub/jupyterhub-onbuild:5.2.1",
            "FROM registry.example/team/hub:5.2.1\nCOPY jupyterhub_config.py /srv/jupyterhub/jupyterhub_config.py\n",
        ),
        (
            "FROM jupyterhub/jupyterhub-onbuild:5.2.1\r\nENV A=b\r\n",
            "FROM registry.example/team/hub:5.2.1\r\nCOPY jupyterhub_config.py /srv/jupyterhub/jupyterhub_config.py\r\nENV A=b\r\n",
        ),
        (
            "FROM jupyterhub/singleuser:5.2.1\nRUN pip install --require-hashes -r x\n",
            "FROM quay.io/jupyter/base-notebook:hub-5.2.1\nRUN pip install --require-hashes -r x\n",
        ),
        // Needs a shell, or a version
        ("FROM jupyterhub/jupyterhub:5.2.1\nRUN true\n", ""),
        ("FROM jupyterhub/jupyterhub:5.2.1\nCMD jupyterhub\n", ""),
        ("FROM jupyterhub/jupyterhub:5.2.1 AS a\nFROM b\nCOPY --from=a /x /y\n", ""),
        ("FROM jupyterhub/jupyterhub:5.2.1 AS a\nFROM a\nRUN true\n", ""),
        ("FROM jupyterhub/jupyterhub\n", ""),
        ("ARG V=5.2.1\nFROM jupyterhub/singleuser:$V\n", ""),
        ("FROM jupyterhub/jupyterhub:5.2.1-4\nUSER root\n", ""),
    ] {
        let Ok(found) = read("Dockerfile", text, &scene(true), &Nothing) else {
            assert_eq!(fixed, "", "{text}");
            continue;
        };
        let (out, _) = apply(text, &found);
        assert_eq!(out, if fixed.is_empty() { text } else { fixed });
        assert_eq!(apply(&out, &read("Dockerfile", &out, &scene(true), &Nothing).unwrap()).0, out);
    }
}

/// Rows of `(text, fixed)`, where `fixed` is empty when nothing is sure.
fn fixes(scene: &Scene, rows: &[(&str, &str)]) {
    for (text, fixed) in rows {
        let out = apply(text, &read("Dockerfile", text, scene, &Nothing).unwrap()).0;
        assert_eq!(out, if fixed.is_empty() { *text } else { *fixed });
    }
}

#[test]
fn an_argument_is_written_where_all_its_stages_allow_it() {
    let hub = "jupyterhub/jupyterhub";
    let two =
        |end: &str| format!("ARG BASE={hub}\nFROM ${{BASE}}:5.2.1 AS a\nCOPY x /y\nFROM ${{BASE}}{end}\n");
    let fixed = two(":5.2.1 AS b\nCOPY x /y").replace(hub, "registry.example/team/hub");
    let other = two(":5.3.0 AS b\nCOPY x /y");
    let other_fixed = other.replace(hub, "registry.example/team/hub");
    fixes(
        &scene(true),
        &[
            (&two(":5.2.1 AS b\nCOPY x /y"), &fixed),
            (&other, &other_fixed),
            (&two(":5.2.1 AS b\nRUN pip install z"), ""),
            (&two(":5.2.1\nRUN true"), ""),
            (&two(":latest\nCOPY x /y"), ""),
            (&two("-demo:5\nRUN true"), ""),
            ("ARG O=jupyterhub\nFROM $O/jupyterhub:5.2.1\nFROM $O/x:1\n", ""),
        ],
    );
    let text = two(":5.2.1 AS b\nRUN pip install z");
    let found = read("Dockerfile", &text, &scene(true), &Nothing).unwrap();
    assert!(found.iter().any(|f| f.instead.contains("another stage")), "{found:?}");
}

#[test]
fn a_stage_that_files_are_taken_out_of_stays() {
    let after =
        |from: &str, rest: &str| format!("FROM {from} AS Base\nFROM Base AS b\nFROM scratch\n{rest}\n");
    for (rest, sure) in [
        ("COPY --from=base /x /y", false),
        ("COPY --from=b /x /y", false),
        ("COPY --from=B /x /y", false),
        ("COPY --from=0 /x /y", false),
        ("COPY --from=1 /x /y", false),
        ("ADD --from=base /x /y", false),
        ("RUN --mount=from=base,target=/b true", false),
        ("RUN --mount=type=bind,source=/x,from=b,target=/b true", false),
        ("ONBUILD COPY --from=base /x /y", false),
        ("COPY --from=$STAGE /x /y", false),
        ("COPY --from=busybox /x /y", true),
        ("RUN --mount=type=cache,target=/b true", true),
    ] {
        let text = after("jupyterhub/jupyterhub:5.2.1", rest);
        let fixed = text.replace("jupyterhub/jupyterhub", "registry.example/team/hub");
        fixes(&scene(true), &[(text.as_str(), if sure { fixed.as_str() } else { "" })]);
    }
}

/// What docker-stacks' images have, an image of the site's own may lack.
#[test]
fn a_lab_of_the_sites_own_may_be_bare() {
    let mut own = scene(true);
    own.successors.singleuser = Some("registry.example/team/lab:4.6.6-1".to_owned());
    fixes(
        &own,
        &[
            (
                "FROM jupyterhub/singleuser:5.2.1\nCOPY a /b\n",
                "FROM registry.example/team/lab:4.6.6-1\nCOPY a /b\n",
            ),
            ("FROM jupyterhub/singleuser:5.2.1\nRUN conda install x\n", ""),
            ("FROM jupyterhub/singleuser:5.2.1 AS a\nFROM b\nCOPY --from=a /opt/conda /x\n", ""),
        ],
    );
}

/// The shapes in which people write `pip install`.
#[test]
fn installs_are_read_in_every_shape() {
    struct Beside;
    impl Tree for Beside {
        fn look(&self, _: &str, below: &str) -> crate::Entry {
            match below {
                "locked.txt" | "reqs/locked.txt" => {
                    crate::Entry::File(Some("a==1 --hash=sha256:00\n".into()))
                }
                "open.txt" => crate::Entry::File(Some("a==1\n".into())),
                _ => crate::Entry::Nothing,
            }
        }
    }
    for (steps, found) in [
        ("RUN PIP_NO_CACHE_DIR=1 pip install x", 1),
        ("RUN sudo pip install x", 1),
        ("RUN if a; then pip install x; fi", 1),
        ("RUN [\"pip\",\"install\",\"x\"]", 1),
        ("RUN [\"/bin/bash\",\"-c\",\"a && pip install x\"]", 1),
        ("RUN bash -c 'pip install x'", 1),
        ("RUN (cd /x; pip install x)", 1),
        ("RUN for p in a b; do pip install $p; done", 1),
        ("RUN bash <<EOF\npip install x\nEOF", 1),
        ("RUN <<EOF\n#!/bin/bash\npip install x\nEOF", 1),
        ("RUN <<EOF\n#!/usr/bin/env python3\npip install x\nEOF", 0),
        ("RUN a && \\\n  cat >x <<EOF\npip install x\nEOF", 0),
        ("RUN cat >x <<A && cat >y <<B\n1\nA\npip install x\nB", 0),
        ("RUN cat x | xargs pip install", 1),
        ("RUN echo pip install x", 0),
        ("RUN pip install --upgrade pip", 0),
        // What is locked is found where it was copied or mounted.
        ("COPY locked.txt /tmp/\nRUN pip install -r /tmp/locked.txt", 0),
        ("COPY open.txt /tmp/\nRUN pip install -r /tmp/open.txt", 1),
        ("COPY locked.txt /tmp/r.txt\nRUN pip install -r /tmp/r.txt", 0),
        ("COPY ./reqs /tmp/reqs/\nRUN pip install -r /tmp/reqs/locked.txt", 0),
        ("WORKDIR /app\nCOPY . .\nRUN pip install -r reqs/locked.txt", 0),
        ("COPY . /app\nRUN pip install -r /app/locked.txt", 0),
        ("RUN --mount=type=bind,source=locked.txt,target=/tmp/r.txt pip install -r /tmp/r.txt", 0),
        ("RUN --mount=type=bind,target=/src pip install -r /src/locked.txt", 0),
        ("RUN --mount=type=bind,source=open.txt,target=/tmp/r.txt pip install -r /tmp/r.txt", 1),
        ("RUN pip install -r locked.txt", 0),
        ("RUN pip install -r /elsewhere/locked.txt", 1),
    ] {
        let text = format!("FROM jupyterhub/singleuser:5.2.1\n{steps}\n");
        let all = read("Dockerfile", &text, &scene(true), &Beside).unwrap();
        let installs = all.iter().filter(|finding| finding.rule == Rule::UnlockedInstall).count();
        assert_eq!(installs, found, "{text}");
        // The stage below has the files too.
        let text = text.replacen("5.2.1\n", "5.2.1 AS a\n", 1).replace("\nRUN pip", "\nFROM A AS b\nRUN pip");
        let all = read("Dockerfile", &text, &scene(true), &Beside).unwrap();
        assert_eq!(all.iter().filter(|f| f.rule == Rule::UnlockedInstall).count(), found, "{text}");
    }
}

#[test]
fn defaults_inside_each_other_name_an_image() {
    let text = "FROM ${BASE:-${HUB:-jupyterhub/jupyterhub:5.2.1}}\n";
    assert_eq!(found(text, true), ["1:21 retired-image jupyterhub/jupyterhub:5.2.1"]);
}

#[test]
fn errors_name_the_line() {
    let error = Dockerfile::parse(&masked("FROM a\n\nNONSENSE b\n")).unwrap_err();
    assert!(matches!(error, Error::Dockerfile { line: 3, .. }), "{error}");
}
