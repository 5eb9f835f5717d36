//! Tokens and credentials that expire while a release runs, and clocks that are wrong about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use perijove_testkit::front::{Front, Say};
use perijove_testkit::has;
use perijove_testkit::web::Answer;

use crate::luck::{registry, undisturbed};
use crate::scene::{Site, repository};

/// A registry that gives tokens, each good for some requests.
fn with_tokens(address: &str, uses: usize) -> Front {
    let used = AtomicUsize::new(0);
    let realm = Arc::new(std::sync::OnceLock::<String>::new());
    let known = Arc::clone(&realm);
    let front = Front::of(address, move |asked| {
        let count = used.load(Ordering::SeqCst);
        let token = format!("Bearer t{}", count / uses);
        if asked.path.starts_with("/token") {
            let body = serde_json::json!({ "token": token.trim_start_matches("Bearer "), "expires_in": 300, "issued_at": "2026-01-01T00:00:00Z" });
            return Say::Answer(Answer::ok("application/json", body.to_string()));
        }
        if asked.authorization.as_ref() == Some(&token) {
            used.fetch_add(1, Ordering::SeqCst);
            return Say::Pass;
        }
        let wanted = format!("Bearer realm=\"http://{}/token\",service=\"test\"", known.get().unwrap());
        Say::Answer(Answer { headers: vec![("WWW-Authenticate", wanted)], ..Answer::status(401) })
    });
    realm.set(front.address.clone()).unwrap();
    front
}

#[test]
fn tokens_that_expire_half_way_are_renewed() {
    let (one, two) = (registry(), registry());
    let fronts = [&one.address, &two.address].map(|address| with_tokens(address, 7));
    let site = Site::of(&[&fronts[0].address, &fronts[1].address]);
    let ran = site.release(&repository("5.3.0", "4.5.0", "one"), "c1");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(Site::of(&[&one.address, &two.address]).text(), undisturbed());
}

#[test]
fn credentials_that_expire_half_way_end_it_and_the_next_run_finishes() {
    let expected = undisturbed();
    for good in [3, 12, 25] {
        let (one, two) = (registry(), registry());
        let (count, renewed) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
        let fresh = Arc::clone(&renewed);
        let front = Front::of(&two.address, move |_| {
            if fresh.load(Ordering::SeqCst) || count.fetch_add(1, Ordering::SeqCst) < good {
                return Say::Pass;
            }
            let wanted = vec![("WWW-Authenticate", "Basic realm=\"here\"".to_owned())];
            Say::Answer(Answer { headers: wanted, ..Answer::status(401) })
        });
        let site = Site::of(&[&one.address, &front.address]);
        let repository = repository("5.3.0", "4.5.0", "one");
        let ran = site.release(&repository, "c1");
        assert_eq!(ran.code, Some(1), "{good}: {}", ran.stderr);
        assert!(ran.stderr.contains("401") && ran.stderr.contains("hint: log in"), "{good}: {}", ran.stderr);
        renewed.store(true, Ordering::SeqCst);
        assert_eq!(site.release(&repository, "c1").code, Some(0));
        assert_eq!(site.text(), expected, "{good}");
    }
}

/// Years off, in both directions: neither tokens nor images care.
#[test]
fn a_clock_that_is_wrong() {
    if !has("a_clock_that_is_wrong", "faketime") {
        return;
    }
    let expected = undisturbed();
    for time in ["2001-09-09 01:46:40", "2037-12-31 23:59:59"] {
        let (one, two) = (registry(), registry());
        let fronts = [&one.address, &two.address].map(|address| with_tokens(address, 7));
        let site = Site::of(&[&fronts[0].address, &fronts[1].address]);
        let repository = repository("5.3.0", "4.5.0", "one");
        let ran = site.program(&repository, "c1", "main").under(&["faketime", time]).run();
        assert_eq!(ran.code, Some(0), "{time}: {}", ran.stderr);
        assert_eq!(Site::of(&[&one.address, &two.address]).text(), expected, "{time}");
    }
}
