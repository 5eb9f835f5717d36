//! A pod's token lives for an hour or less, and its file is written anew before it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::faults::{ALL, streams};
use super::objects::*;
use super::server::{Asked, Server};

/// The watch goes on where it was with the new one, although the old one is refused meanwhile. (The file is read again
/// once a minute: this takes as long.)
#[test]
fn a_token_that_rotates_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first").unwrap();
    let (rotated, path) = (AtomicBool::new(false), file.clone());
    let refused = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&refused);
    let server = Server::start(move |asked, reply| {
        let valid = if rotated.load(Ordering::Relaxed) { "second" } else { "first" };
        if asked.token != valid {
            seen.store(true, Ordering::Relaxed);
            return reply.status(401, "Unauthorized", "Unauthorized");
        }
        if streams(asked, reply, &ALL.map(|node| creating(node, "7"))) {
            if asked.resource == "pods" {
                std::fs::write(&path, "second").unwrap();
                rotated.store(true, Ordering::Relaxed);
                return reply.end();
            }
        } else if asked.resource == "pods" {
            assert_eq!((asked.from(), asked.token.as_str()), ("10", "second"));
            ALL.iter().for_each(|node| _ = reply.event("MODIFIED", &warm(node, "11")));
        }
        reply.hang();
    });
    let ran = server.start_awaiter_as(&json!({"tokenFile": file}), &["--deadline", "3m"]).end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(refused.load(Ordering::Relaxed) && !ran.stderr.contains("error:"), "{}", ran.stderr);
    // What was listed was not listed again; others may have been refused their first list.
    let of_pods = |asked: &Asked| asked.resource == "pods" && asked.is_streamed_list();
    assert_eq!(server.asked().into_iter().filter(of_pods).count(), 1, "{:?}", server.counts());
}
