//! `perijove images`: what it prints, and what it says to files that are no values.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use std::path::Path;

use perijove_testkit::program::{Program, Ran};

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

const VALUES: &str = "\
imagePullSecrets: [registry]
hub:
  extraConfig:
    10-hook: |
      c.KubeSpawner.modify_pod_hook = change
singleuser:
  image: {name: quay.io/team/lab, tag: '2026.1'}
  nodeSelector: {pool: users}
  initContainers:
  - {name: seed, image: quay.io/team/seed}
  profileList:
  - display_name: CPU
  - display_name: GPU
    slug: gpu
    kubespawner_override:
      image: quay.io/team/gpu:7
      node_selector: {pool: gpu}
      extra_resource_limits: {nvidia.com/gpu: '1'}
    profile_options:
      image:
        choices:
          torch: {kubespawner_override: {image: 'quay.io/team/torch:7'}}
          none: {}
        unlisted_choice: {enabled: true, kubespawner_override: {image: '{value}'}}
";

fn run(folder: &Path, arguments: &[&str]) -> Ran {
    Program::new(PERIJOVE, folder, folder).args(["--color", "never"]).args(arguments.iter().copied()).run()
}

fn shown(ran: &Ran) -> String {
    format!("exit code {}\n{}---\n{}", ran.code.unwrap_or(-1), ran.stdout, ran.stderr)
}

#[test]
fn a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("values.yaml"), VALUES).unwrap();
    insta::assert_snapshot!(shown(&run(folder.path(), &["images", "-f", "values.yaml"])));
}

#[test]
fn by_the_nodes_they_land_on() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("values.yaml"), VALUES).unwrap();
    let ran = run(folder.path(), &["-q", "images", "--groups", "--z2jh-version", "3.3", "-f", "values.yaml"]);
    insta::assert_snapshot!(shown(&ran));
}

#[test]
fn json_has_what_scripts_rely_on() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("a.yaml"),
        format!("x: 1\nwrapper:\n  {}", VALUES.replace('\n', "\n  ")),
    )
    .unwrap();
    std::fs::write(folder.path().join("b.yaml"), "wrapper: {singleuser: {image: {tag: '2026.2'}}}\n")
        .unwrap();
    let ran = run(folder.path(), &["-q", "--format", "json", "images", "-f", "a.yaml", "--values", "b.yaml"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let set: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let image = |name: &str| {
        let images = set["images"].as_array().unwrap();
        images
            .iter()
            .find(|image| image["image"] == name)
            .unwrap_or_else(|| panic!("no {name}: {set:#}"))
            .clone()
    };
    let lab = image("quay.io/team/lab:2026.2");
    assert_eq!(lab["sources"], serde_json::json!(["wrapper.singleuser.image"]));
    assert_eq!(lab["node_selector"], serde_json::json!({"pool": "users"}));
    assert_eq!(lab["tolerations"].as_array().unwrap().len(), 2);
    assert_eq!(lab["pull_policy"], serde_json::Value::Null);
    assert_eq!(lab["pull_secrets"], serde_json::json!(["registry"]));
    let torch = image("quay.io/team/torch:7");
    assert_eq!(torch["places"], serde_json::json!([{"file": "a.yaml", "line": 24}]));
    let group = &set["groups"][usize::try_from(torch["groups"][0].as_u64().unwrap()).unwrap()];
    assert_eq!(group["node_selector"], serde_json::json!({"pool": "gpu"}));
    assert_eq!(group["extended_resources"], serde_json::json!(["nvidia.com/gpu"]));
    assert!(group["images"].as_array().unwrap().contains(&torch["image"]));
    let unknown: Vec<&str> =
        set["unknown"].as_array().unwrap().iter().map(|u| u["source"].as_str().unwrap()).collect();
    assert_eq!(
        unknown,
        [
            "wrapper.hub.extraConfig.10-hook",
            "wrapper.singleuser.profileList[1].profile_options.image.unlisted_choice"
        ]
    );
}

/// One flag for each, one for all, or Helm's commas: the same.
#[test]
fn several_files_in_every_spelling() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), "singleuser: {image: {name: q/a, tag: '1'}}\n").unwrap();
    std::fs::write(folder.path().join("b.yaml"), "singleuser: {image: {tag: '2'}}\n").unwrap();
    std::fs::write(folder.path().join("c.yaml"), "singleuser: {image: {tag: '3'}}\n").unwrap();
    let spellings: [&[&str]; 5] = [
        &["-f", "a.yaml", "-f", "b.yaml", "--values", "c.yaml"],
        &["-f", "a.yaml", "b.yaml", "c.yaml"],
        &["-f", "a.yaml,b.yaml", "-f", "c.yaml"],
        &["--values=a.yaml,b.yaml,c.yaml"],
        &["-f", "a.yaml", "b.yaml", "--z2jh-version", "4.3", "-f", "c.yaml"],
    ];
    for spelling in spellings {
        let ran = run(folder.path(), &[&["-q", "images"], spelling].concat());
        let images: Vec<&str> = ran.stdout.lines().collect();
        assert_eq!((ran.code, images[0]), (Some(0), "q/a:3"), "{spelling:?}: {}", ran.stderr);
    }
}

#[test]
fn files_that_are_no_values_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let deep = format!("a: {}", "[".repeat(10_000));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    (1..10).for_each(|n| {
        bomb.push_str(&format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", ")));
    });
    for (name, bytes, message) in [
        ("text", "just text".as_bytes(), "error: text:1: text where the values of a chart are a mapping\n"),
        ("list", b"- a\n", "error: list:1: a list where the values of a chart are a mapping\n"),
        ("tabs", b"a:\n\tb: 1\n", "error: tabs:2: not YAML: "),
        ("open", b"a: [1,\n", "error: open:"),
        ("template", b"singleuser:\n  image: {{ .Values.image }}\n", "error: template:"),
        ("bytes", b"a: 1\nb: \xff\n", "error: bytes:2: not UTF-8 text\n"),
        ("deep", deep.as_bytes(), "error: deep:1: "),
        (
            "bomb",
            bomb.as_bytes(),
            "error: bomb:7: more than 2000000 values once its aliases are written out\n",
        ),
        ("python", b"singleuser:\n  profileList: |\n    [{'display_name': 'x'}]\n", "error: python:"),
        (
            "image",
            b"singleuser:\n  image: {name: A, tag: b}\n",
            "error: image:2: singleuser.image: `A:b` is not",
        ),
        (
            "number",
            b"singleuser:\n  image: {name: a, tag: 3.10}\n",
            "error: number:2: singleuser.image.tag: a number",
        ),
    ] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let ran = run(folder.path(), &["images", "-f", name]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{name}: {}", ran.stderr);
        assert!(ran.stderr.starts_with(message) && ran.stderr.contains("\nhint: "), "{name}: {}", ran.stderr);
    }
    let large = std::fs::File::create(folder.path().join("large")).unwrap();
    large.set_len(100_000_000).unwrap();
    for (arguments, message) in [
        (&["images", "-f", "large"][..], "error: large: larger than 16 MB\n"),
        (&["images", "-f", "missing"], "error: missing: "),
        (&["images", "-f", "."], "error: .: "),
        (&["images", "-f", "large", "--z2jh-version", "1.2"], "error: large"),
        (&["images"], "error: the following required arguments"),
    ] {
        let ran = run(folder.path(), arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ran.stderr.starts_with(message), "{arguments:?}: {}", ran.stderr);
    }
    std::fs::write(folder.path().join("fine"), "{}").unwrap();
    let ran = run(folder.path(), &["images", "-f", "fine", "--z2jh-version", "1.2"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("1.2 are not known") && ran.stderr.contains("4.4.0"), "{}", ran.stderr);
}

#[test]
fn what_helm_takes_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("odd"),
        "\u{feff}singleuser: {image: {name: x, tag: '1'}}\r\n---\nsingleuser: {image: {name: q/a, name: q/b}}\n",
    )
    .unwrap();
    let ran = run(folder.path(), &["images", "-f", "odd"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("q/b:1\n"), "{}", ran.stdout);
    for note in ["several documents", "odd:3: name: the key stands twice"] {
        assert!(ran.stderr.contains(note), "{note}: {}", ran.stderr);
    }
}
