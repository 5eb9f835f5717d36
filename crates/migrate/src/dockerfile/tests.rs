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
    Scene { successors, proxy_apart, hub_used: true }
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

#[test]
fn errors_name_the_line() {
    let error = Dockerfile::parse("FROM a\n\nNONSENSE b\n").unwrap_err();
    assert!(matches!(error, Error::Dockerfile { line: 3, .. }), "{error}");
}
