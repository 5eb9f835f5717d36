//! `noop`: next to nothing, and gone when told.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_perijove-awaiter");

#[test]
fn installs_itself_and_sleeps_until_told_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noop");
    let install = || Command::new(PROGRAM).args(["noop", "--install"]).arg(&path).status().unwrap();
    assert!(install().success());
    // Again, over the one that is there, as when a pod's init container runs twice.
    assert!(install().success());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(PROGRAM).unwrap());
    for signal in ["TERM", "INT"] {
        let mut sleeping = Command::new(&path).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert!(sleeping.try_wait().unwrap().is_none(), "it sleeps");
        let told = Command::new("kill").args(["-s", signal, &sleeping.id().to_string()]).status().unwrap();
        assert!(told.success());
        assert_eq!(sleeping.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn wrong_words_and_places_are_told() {
    let run = |words: &[&str]| Command::new(PROGRAM).arg("noop").args(words).output().unwrap();
    assert_eq!(run(&["--forever"]).status.code(), Some(2));
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("no/such/folder/noop");
    let output = run(&["--install", nowhere.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no/such/folder/noop"), "{output:?}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}
