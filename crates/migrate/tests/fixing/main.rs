//! Properties of reading and fixing, on texts put together of what real files are made of.

mod invariants;

use proptest::prelude::*;
use saphyr_parser::{Event, Parser};

/// Names of retired images and of others, with all sorts of tags.
fn reference() -> impl Strategy<Value = String> {
    let names = [
        "jupyterhub/jupyterhub",
        "jupyterhub/jupyterhub-onbuild",
        "quay.io/jupyterhub/singleuser",
        "docker.io/jupyterhub/jupyterhub",
        "jupyterhub/k8s-hub",
        "jupyterhub/jupyterhub-demo",
        "registry.example/jupyterhub/jupyterhub",
    ];
    let tags = ["", ":5.2.1", ":5.3.0-2", ":latest", ":${V}", ":$V", ":{{ .tag }}", ":5", "@sha256:00"];
    (prop::sample::select(names.to_vec()), prop::sample::select(tags.to_vec()))
        .prop_map(|(name, tag)| format!("{name}{tag}"))
}

fn lines(shapes: &'static [&'static str]) -> impl Strategy<Value = String> {
    let line =
        (prop::sample::select(shapes), reference()).prop_map(|(shape, image)| shape.replace('@', &image));
    let end = prop::sample::select(vec!["\n", "\r\n"]);
    (prop::collection::vec(line, 0..14), end, any::<bool>(), any::<bool>()).prop_map(
        |(lines, end, last, mark)| {
            let mut text = lines.join(end);
            text.push_str(if last { end } else { "" });
            if mark { format!("\u{feff}{text}") } else { text }
        },
    )
}

const YAML: &[&str] = &[
    "image: @",
    "a: &x @ # é",
    "b: '@'",
    "c: \"@\"",
    "d: {image: '@', tag: 5.2.1}",
    "image:",
    "  repository: @",
    "  name: @",
    "  tag: \"5.2.1\"",
    "  registry: quay.io",
    "services:",
    "  hub:",
    "    image: @",
    "    command: sh -c 'pip install x'",
    "list:",
    "- @",
    "- image: *x",
    "- BASE_IMAGE=@",
    "run: |",
    "  docker pull @",
    "  docker run @ jupyterhub",
    "---",
    "é: ü",
    "k: ${I:-@}",
    "{{ if }}",
];

const DOCKERFILE: &[&str] = &[
    "# escape=`",
    "ARG BASE=@",
    "ARG V=5.2.1",
    "FROM @",
    "FROM @ AS hub",
    "FROM --platform=linux/amd64 \"@\" # é",
    "FROM ${BASE}",
    "FROM jupyterhub/jupyterhub:${V}",
    "FROM hub",
    "COPY --from=@ /a /b",
    "COPY a ../b",
    "RUN pip install x==1 \\",
    "  y",
    "RUN <<EOF",
    "pip install -r r.txt",
    "EOF",
    "RUN python3 - <<EOF",
    "ENV A=b",
    "CMD [\"jupyterhub\"]",
    "USER 1000",
    "",
];

const SHELL: &[&str] = &[
    "docker pull @",
    "IMAGE=@",
    "docker run -it \\",
    "  @ jupyterhub",
    "# @",
    "helm install x @",
    "echo '@'",
    "é @",
];
const PYTHON: &[&str] =
    &["c.DockerSpawner.image = '@'", "x = f\"@\" # é", "\"\"\"", "image = \"@\"", "y = ['@', '@']"];

/// A document's events, with each scalar's value; edited values are all one.
fn structure(text: &str) -> Option<Vec<String>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut all = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.ok()?;
        all.push(match event {
            Event::Scalar(value, style, anchor, _) => {
                let edited = ["jupyterhub/", "registry.example", "jupyter/", "5.2.1", "quay.io", "team/hub"];
                let value = if edited.iter().any(|word| value.contains(word)) { "?" } else { &value };
                format!("{value:?} {style:?} {anchor}")
            }
            other => format!("{other:?}"),
        });
    }
    Some(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn yaml(text in lines(YAML)) {
        invariants::of("values.yaml", &text);
        let fixed = invariants::fixed("values.yaml", &text);
        if let Some(before) = structure(&text) {
            prop_assert_eq!(structure(&fixed), Some(before));
        }
    }

    #[test]
    fn dockerfiles(text in lines(DOCKERFILE)) {
        invariants::of("hub/Dockerfile", &text);
    }

    #[test]
    fn scripts(text in lines(SHELL)) {
        invariants::of("run.sh", &text);
    }

    #[test]
    fn literals(text in lines(PYTHON)) {
        invariants::of("jupyterhub_config.py", &text);
    }

    #[test]
    fn anything(text in any::<String>()) {
        for path in ["a.yaml", "Dockerfile", "a.sh", "a.py", "a.yaml.j2"] {
            invariants::of(path, &text);
        }
    }
}
