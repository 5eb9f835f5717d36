//! Downloads over a wire that fails: resumed where they were cut, or begun again.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use perijove_build::Fetcher;
use perijove_oci::Digest;
use perijove_oci::report::Silent;
use perijove_testkit::web::{Answer, Server};

/// What the server says when it is asked for the rest of a file whose first answer was cut.
#[tokio::test]
async fn a_cut_download_is_finished_whatever_the_server_makes_of_ranges() {
    let content: Vec<u8> = (0..40_000u32).map(|n| (n % 251) as u8).collect();
    type Rest = fn(Answer, usize) -> Answer;
    let cases: [(&str, Rest, &[Option<usize>]); 4] = [
        ("the rest", |whole, from| whole.rest(from), &[None, Some(10_000)]),
        ("no ranges", |whole, _| whole, &[None, Some(10_000)]),
        ("416", |_, _| Answer::status(416), &[None, Some(10_000), None]),
        ("another rest", |whole, from| whole.rest(from + 1), &[None, Some(10_000), None]),
    ];
    for (case, rest, wanted) in cases {
        let (whole, count) = (Answer::ok("application/octet-stream", content.clone()), AtomicUsize::new(0));
        let asked = Arc::<std::sync::Mutex<Vec<Option<usize>>>>::default();
        let notes = asked.clone();
        let server = Server::start(move |question| {
            notes.lock().unwrap().push(question.from);
            match (count.fetch_add(1, Ordering::Relaxed), question.from) {
                (0, _) => Answer { cut: Some(10_000), ..whole.clone() },
                (_, Some(from)) => rest(whole.clone(), from),
                (_, None) => whole.clone(),
            }
        });
        let cache = tempfile::tempdir().unwrap();
        let fetcher = Fetcher::new(cache.path(), Arc::new(Silent)).unwrap();
        let url = format!("http://{}/file", server.address).parse().unwrap();
        let size = Some(content.len() as u64);
        let path = fetcher.file(&url, "file", &Digest::sha256(&content), size).await.unwrap();
        assert!(std::fs::read(path).unwrap() == content, "{case}");
        assert_eq!(*asked.lock().unwrap(), wanted, "{case}");
    }
}
