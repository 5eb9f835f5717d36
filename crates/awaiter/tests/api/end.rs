//! What is left in order at the end, whatever the API server does meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::faults::{ALL, ends, streams};
use super::objects::*;
use super::server::{Asked, Reply, Server};

const WORDS: [&str; 5] = ["--clean-up", "--event-on", "job/hook/0c9f", "--adopt", "role/hook"];

/// Warm at once, and from then on away for as long as `is_away` says; whoever asks then is not heard.
fn away_at_the_end(is_away: impl Fn(&Asked, &mut Reply) -> bool + Send + Sync + 'static) -> Server {
    Server::start(move |asked, reply| {
        if asked.method != "GET" && is_away(asked, reply) {
            return;
        }
        if !ends(asked, reply) {
            streams(asked, reply, &ALL.map(|node| warm(node, "7")));
            reply.hang();
        }
    })
}

/// An API server is started again in the moment in which all is warm: nothing stays behind.
#[test]
fn an_api_server_that_restarts_is_waited_for() {
    let first = Arc::new(std::sync::OnceLock::new());
    let server = away_at_the_end(move |asked, reply| {
        let since: Instant = *first.get_or_init(Instant::now);
        match since.elapsed().as_secs() {
            // It is away: the connection ends without a word.
            0..22 => true,
            // It is there again, and does not know yet who may do what.
            22..24 => {
                reply.status(403, "Forbidden", &format!("cannot {} {}", asked.method, asked.resource));
                true
            }
            _ => false,
        }
    });
    let ran = server.run(&WORDS);
    assert_eq!((ran.code, &ran.json()["deleted"][0]), (Some(0), &serde_json::json!("pull")), "{ran:?}");
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    let last = |method: &str| server.asked().into_iter().rfind(|asked| asked.method == method).unwrap();
    assert_eq!(
        [last("DELETE"), last("POST"), last("PATCH")].map(|a| a.resource),
        ["daemonsets", "events", "roles"]
    );
    // Tried again, now and then: nobody is asked by the clock.
    assert!(server.counts().len() < 40, "{:?}", server.counts());
}

/// An event that was taken, and the answer lost on the way, is not written twice.
#[test]
fn an_event_has_a_name_of_its_own() {
    let taken = AtomicBool::new(false);
    let server = away_at_the_end(move |asked, reply| {
        if asked.method != "POST" {
            return false;
        }
        if taken.swap(true, Ordering::Relaxed) {
            reply.status(409, "AlreadyExists", "events \"hook.1\" already exists");
        }
        true
    });
    let ran = server.run(&WORDS);
    assert!(ran.code == Some(0) && !ran.stderr.contains("warning"), "{ran:?}");
    let sent: Vec<Vec<u8>> =
        server.asked().into_iter().filter(|a| a.method == "POST").map(|a| a.body).collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
    let event: serde_json::Value = serde_json::from_slice(&sent[0]).unwrap();
    assert!(event["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("hook.")), "{event}");
}

/// It never comes back: a pod that is told to end does so before the kubelet ends it, and says what may be left.
#[test]
fn the_end_has_an_end() {
    let server = away_at_the_end(|_, _| true);
    let running = server.start_awaiter(&WORDS);
    running.wait("the first deletion", || server.asked().iter().any(|asked| asked.method == "DELETE"));
    let begun = Instant::now();
    let killed = std::process::Command::new("kill").arg(running.child.id().to_string()).status().unwrap();
    assert!(killed.success());
    let ran = running.end();
    // A pod has 30 s.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!((ran.code, ran.json()["result"].as_str()), (Some(0), Some("warm")), "{ran:?}");
    assert!(ran.stderr.contains("the API server did not answer within"), "{}", ran.stderr);
}
