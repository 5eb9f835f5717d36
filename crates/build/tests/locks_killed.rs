//! Locks are all old or all new after `kill -9` at any moment.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail at once, and say what they met")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use perijove_build::lock::journal::{self, Rewrite};

const PLACES: [&str; 4] =
    ["images/hub/debs.lock", "images/hub/requirements.txt", "images/lab/requirements.txt", "images/a/b.lock"];

/// All locks of one generation; a wheel is there in every second one.
fn generation(number: usize) -> Vec<Rewrite> {
    let text = |place: &str| format!("{place} of {number}\n").repeat(2000).into_bytes();
    let locks = PLACES.iter().map(|place| Rewrite { place: place.into(), bytes: Some(text(place)) });
    let wheel = Rewrite {
        place: "images/hub/wheels/x.whl".into(),
        bytes: number.is_multiple_of(2).then(|| vec![1; 5000]),
    };
    locks.chain([wheel]).collect()
}

/// The number that a lock was written with.
fn written_by(root: &Path) -> usize {
    let text = std::fs::read_to_string(root.join(PLACES[0])).unwrap();
    text.split_ascii_whitespace().nth(2).unwrap().parse().unwrap()
}

/// The program that is killed: this test, run alone by the one below in the folder that it works in.
#[test]
#[ignore = "writes until it is killed"]
fn writer() {
    let root = Path::new(".");
    if !root.join("a-folder-to-write-in").exists() {
        return;
    }
    for number in written_by(root) + 1.. {
        journal::commit(root, &generation(number)).unwrap();
    }
}

#[test]
fn killed_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    journal::commit(root, &generation(0)).unwrap();
    std::fs::write(root.join("a-folder-to-write-in"), "").unwrap();
    let (mut last, mut finished) = (0, 0);
    for moment in 0..60 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--ignored"])
            .current_dir(root)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Until it writes, and then another moment each time.
        while std::fs::read_to_string(root.join(PLACES[3])).unwrap().lines().next()
            == Some(&format!("{} of {last}", PLACES[3]))
        {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(moment * 331));
        child.kill().unwrap();
        child.wait().unwrap();
        finished += usize::from(!journal::settle(root).unwrap().is_empty());
        let _reading = journal::reading(root).unwrap();
        let now = written_by(root);
        assert!(now > last);
        let mixture: Vec<_> = generation(now).into_iter().filter(|file| !file.is_there(root)).collect();
        assert!(
            mixture.is_empty(),
            "not of {now}: {:?}",
            mixture.iter().map(|f| &f.place).collect::<Vec<_>>()
        );
        last = now;
    }
    eprintln!("{finished} of 60 were killed between journal and end");
}
