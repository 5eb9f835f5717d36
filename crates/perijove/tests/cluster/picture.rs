//! `perijove warm` on a terminal: bars while nodes pull, the matrix at the end. `PERIJOVE_UPDATE_PICTURE=1` renews
//! docs/warm.svg from it, the picture in docs/pre-pulling.md.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use perijove_testkit::cluster::fault::Place;
use perijove_testkit::cluster::{Fault, PodSecurity, TestImage, Version, alone};
use perijove_testkit::has;

use super::own;
use super::screen::{Screen, picture};

/// Of the terminal.
const COLUMNS: usize = 112;

/// How many bars a screen has, by the signs that they are made of, and how many of them are partly done.
fn bars(screen: &Screen) -> (usize, usize) {
    let text = screen.text();
    let with = |signs: &[char]| text.iter().filter(|line| line.contains(signs)).count();
    let all = with(&['█', '░']);
    (all, with(&['█']) + with(&['░']) - all)
}

#[test]
fn bars_while_nodes_pull_and_the_matrix_at_the_end() {
    let test = "bars_while_nodes_pull_and_the_matrix_at_the_end";
    if !has(test, "script") {
        return;
    }
    let Some(cluster) = alone(test, Version::Newest) else { return };
    let Some(own) = own::image(test, &cluster) else { return };
    let namespace = cluster.namespace("warm-picture", PodSecurity::Restricted);
    let image = |name: &str, bytes, seed| {
        cluster.push(&TestImage::data(name).with_ballast(bytes, seed), &format!("team/{name}"), "2026.1")
    };
    let lab = image("lab", 2_400_000, 71);
    let r = image("r", 1_600_000, 72);
    let place = Place { node: 1, namespace: namespace.name(), awaiter: "" };
    let slow = Fault::SlowRegistry.apply(&cluster, &place);

    let perijove = env!("CARGO_BIN_EXE_perijove");
    let line = format!("perijove warm --namespace {} --image {lab} --image {r}", namespace.name());
    let run =
        format!("stty cols {COLUMNS} rows 40; exec '{perijove}' {}", line.strip_prefix("perijove ").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("script");
    command.args(["-qefc", &run, "/dev/null"]).env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
    command
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("HOME", folder.path())
        .env("PERIJOVE_PULLER_IMAGE", own);
    command.env_remove("XDG_CACHE_HOME").env_remove("CI").env_remove("NO_COLOR");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut bytes = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
    let ended = child.wait().unwrap();
    drop(slow);

    // Whatever moves up or clears a line begins the next drawing: before it there is a whole one.
    let text = String::from_utf8(bytes).unwrap();
    let begins = |piece: &str| {
        let end = piece.trim_start_matches('[').trim_start_matches(|c: char| c.is_ascii_digit());
        end.starts_with(['A', 'K'])
    };
    let mut screen = Screen::new(COLUMNS);
    screen.draw(&format!("$ {line}\r\n"));
    let mut fullest = screen.clone();
    for (number, piece) in text.split('\x1b').enumerate() {
        if begins(piece) && bars(&screen) >= bars(&fullest) {
            fullest = screen.clone();
        }
        screen.draw(&if number == 0 { piece.to_owned() } else { format!("\x1b{piece}") });
    }
    let end = screen.text();
    assert!(ended.success(), "{}", end.join("\n"));
    assert_eq!(bars(&fullest).0, 3, "{:#?}", fullest.text());
    assert_eq!(bars(&screen).0, 0, "{end:#?}");
    let warm =
        |node: &str| end.iter().any(|line| line.starts_with(node) && line.matches("warm").count() == 3);
    assert!(["n1", "n2", "n3"].into_iter().all(warm), "{end:#?}");
    if std::env::var_os("PERIJOVE_UPDATE_PICTURE").is_some() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/warm.svg");
        let result = end.iter().position(|line| line.starts_with("[1] ")).unwrap();
        let drawn = picture(&[("while nodes pull", &fullest, 0), ("at the end", &screen, result)]);
        std::fs::write(file, drawn).unwrap();
    }
}
