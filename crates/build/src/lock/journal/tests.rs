//! Deaths at every change of the disk, and what is there afterwards.

use super::*;

struct Repository(tempfile::TempDir);

type Files = Vec<(&'static str, Option<&'static [u8]>)>;

/// Before and after: a lock that changes, one that stays, one that appears, wheels that come and go.
fn old() -> Files {
    vec![
        ("images/hub/debs.lock", Some(b"1")),
        ("images/hub/requirements.txt", Some(b"1")),
        ("images/hub/package-lock.json", Some(b"same")),
        ("images/hub/wheels/a-1.whl", Some(b"a1")),
        ("images/hub/wheels/a-2.whl", None),
        ("images/lab/requirements.txt", None),
    ]
}

fn new() -> Files {
    vec![
        ("images/hub/debs.lock", Some(b"2")),
        ("images/hub/requirements.txt", Some(b"22")),
        ("images/hub/package-lock.json", Some(b"same")),
        ("images/hub/wheels/a-1.whl", None),
        ("images/hub/wheels/a-2.whl", Some(b"a2")),
        ("images/lab/requirements.txt", Some(b"2")),
    ]
}

fn rewrites(files: &Files) -> Vec<Rewrite> {
    files
        .iter()
        .map(|(place, bytes)| Rewrite { place: place.into(), bytes: bytes.map(<[u8]>::to_vec) })
        .collect()
}

impl Repository {
    fn with(files: &Files) -> Self {
        let repository = Repository(tempfile::tempdir().unwrap());
        commit(repository.root(), &rewrites(files)).unwrap();
        repository
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn holds(&self, files: &Files) -> bool {
        rewrites(files).iter().all(|rewrite| rewrite.is_there(self.root()))
    }

    /// Fails when anything but the guard is left of a commit.
    fn assert_settled(&self) {
        let names = |folder: PathBuf| -> Vec<_> {
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect()
        };
        assert_eq!(names(self.root().join(".perijove/locks")), ["guard"]);
        let hidden = names(self.root().join("images/hub"));
        assert!(!hidden.iter().any(|n| n.to_string_lossy().starts_with('.')), "{hidden:?}");
    }
}

/// Lets `steps` changes happen and dies at the next.
fn dies_after(mut steps: usize) -> impl FnMut() -> std::io::Result<()> {
    move || match steps.checked_sub(1) {
        Some(fewer) => {
            steps = fewer;
            Ok(())
        }
        None => Err(std::io::Error::other("dead")),
    }
}

#[test]
fn a_commit_changes_what_differs_and_says_so() {
    let repository = Repository::with(&old());
    let changed = commit(repository.root(), &rewrites(&new())).unwrap();
    assert_eq!(changed.len(), 5, "{changed:?}");
    assert!(!changed.contains(&"images/hub/package-lock.json".into()));
    assert!(repository.holds(&new()));
    repository.assert_settled();
    assert_eq!(commit(repository.root(), &rewrites(&new())).unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn a_death_at_any_change_leaves_all_old_or_all_new() {
    let (mut lived_at, mut old_ones, mut new_ones) = (None, 0, 0);
    for steps in 0..100 {
        let repository = Repository::with(&old());
        if commit_by(repository.root(), &rewrites(&new()), &mut dies_after(steps)).is_ok() {
            lived_at = Some(steps);
            break;
        }
        let finished = settle(repository.root()).unwrap();
        let counts = repository.holds(&new());
        assert!(counts || repository.holds(&old()), "a mixture after {steps} steps");
        *(if counts { &mut new_ones } else { &mut old_ones }) += 1;
        assert!(finished.is_empty() || counts);
        // And the next one goes through.
        commit(repository.root(), &rewrites(&new())).unwrap();
        assert!(repository.holds(&new()));
        repository.assert_settled();
    }
    // 4 files staged, the journal written and renamed; 5 moves, the journal and the staging folder removed.
    assert_eq!((lived_at, old_ones, new_ones), (Some(13), 6, 7));
}

#[test]
fn a_second_death_while_the_first_is_made_good() {
    for first in [3, 6, 9, 12] {
        for second in 0..8 {
            let repository = Repository::with(&old());
            commit_by(repository.root(), &rewrites(&new()), &mut dies_after(first)).unwrap_err();
            let counts = State::of(repository.root()).journal().exists() || repository.holds(&new());
            let again = finish(&State::of(repository.root()), &mut dies_after(second));
            assert!(again.is_ok() || counts);
            settle(repository.root()).unwrap();
            let expected = if counts { new() } else { old() };
            assert!(repository.holds(&expected), "{first} {second}");
        }
    }
}

#[test]
fn who_reads_finds_it_finished() {
    let repository = Repository::with(&old());
    commit_by(repository.root(), &rewrites(&new()), &mut dies_after(8)).unwrap_err();
    assert!(!repository.holds(&new()) && !repository.holds(&old()), "the middle");
    let reading = reading(repository.root()).unwrap();
    assert!(repository.holds(&new()));
    // Another writer waits for the reader.
    let writer = {
        let root = repository.root().to_owned();
        std::thread::spawn(move || commit(&root, &rewrites(&old())).unwrap())
    };
    std::thread::yield_now();
    assert!(!writer.is_finished() && repository.holds(&new()));
    drop(reading);
    writer.join().unwrap();
    assert!(repository.holds(&old()));
}

#[test]
fn two_writers_come_one_after_the_other() {
    let repository = Repository::with(&old());
    for _ in 0..5 {
        let writers = [old(), new(), old(), new()].map(|files| {
            let root = repository.root().to_owned();
            std::thread::spawn(move || commit(&root, &rewrites(&files)).unwrap())
        });
        for writer in writers {
            writer.join().unwrap();
        }
        assert!(repository.holds(&old()) || repository.holds(&new()));
    }
    repository.assert_settled();
}

#[test]
fn one_place_that_cannot_be_written_leaves_everything_as_it_was() {
    for bad in ["images/hub", "images/hub/debs.lock/below"] {
        let repository = Repository::with(&old());
        let mut files = new();
        files.push((bad, Some(b"x")));
        commit(repository.root(), &rewrites(&files)).unwrap_err();
        assert!(repository.holds(&old()), "{bad}");
        repository.assert_settled();
    }
}

#[test]
fn nobody_reads_a_repository_that_was_never_written_to_differently() {
    let folder = tempfile::tempdir().unwrap();
    let _reading = reading(folder.path()).unwrap();
    assert_eq!(settle(folder.path()).unwrap(), Vec::<PathBuf>::new());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "reading writes nothing");
}

#[test]
fn a_journal_that_came_with_the_repository_reaches_no_further() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x"), "theirs").unwrap();
    for (name, place) in [
        ("up", "../x".to_owned()),
        ("absolute", outside.path().join("x").display().to_string()),
        ("through a link", "link/x".to_owned()),
        ("the root", String::new()),
    ] {
        let repository = Repository::with(&old());
        std::os::unix::fs::symlink(outside.path(), repository.root().join("link")).unwrap();
        let state = repository.root().join(".perijove/locks");
        std::fs::create_dir(state.join("staged")).unwrap();
        std::fs::write(state.join("staged/0"), "hostile").unwrap();
        let journal = serde_json::json!({ "moves": [{ "place": place, "remove": false }] });
        std::fs::write(state.join("journal.json"), journal.to_string()).unwrap();
        let error = settle(repository.root()).unwrap_err();
        assert!(error.to_string().contains("outside of the repository"), "{name}: {error}");
        assert!(error.hint().unwrap().contains("perijove lock"));
        assert_eq!(std::fs::read(outside.path().join("x")).unwrap(), b"theirs");
    }
}

/// A journal that nobody can finish would be in the way of every later command.
#[test]
fn a_place_behind_a_link_is_refused_before_anything_counts() {
    let outside = tempfile::tempdir().unwrap();
    let repository = Repository::with(&old());
    std::os::unix::fs::symlink(outside.path(), repository.root().join("images/proxy")).unwrap();
    let mut all = rewrites(&new());
    all.push(Rewrite { place: "images/proxy/debs.lock".into(), bytes: Some(b"1".to_vec()) });
    let error = commit(repository.root(), &all).unwrap_err();
    assert!(
        error.to_string().contains("images/proxy/debs.lock: this lies outside of the repository"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("link"));
    assert!(rewrites(&old()).iter().all(|file| file.is_there(repository.root())));
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    commit(repository.root(), &rewrites(&new())).unwrap();
    assert!(rewrites(&new()).iter().all(|file| file.is_there(repository.root())));
}

#[test]
fn folders_of_killed_work_go_and_those_in_use_stay() {
    let repository = Repository::with(&old());
    let dead = repository.root().join(".perijove/lock-dead");
    std::fs::create_dir_all(dead.join("images")).unwrap();
    let first = Workspace::new(repository.root()).unwrap();
    assert!(!dead.exists());
    let second = Workspace::new(repository.root()).unwrap();
    assert!(first.path().exists() && second.path().exists());
    let gone = first.path().to_owned();
    drop((first, second));
    assert!(!gone.exists());
}
