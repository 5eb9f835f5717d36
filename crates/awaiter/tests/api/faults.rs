//! What API servers do, and how often they are asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::objects::*;
use super::server::{Asked, Reply, Server, status};

pub const ALL: [&str; 3] = ["n1", "n2", "n3"];

/// As Kubernetes 1.34 and later: lists are streamed. Gives whether it was such a request.
pub fn streams(asked: &Asked, reply: &mut Reply, pods: &[Value]) -> bool {
    if !asked.is_streamed_list() {
        return false;
    }
    match asked.resource.as_str() {
        "daemonsets" => _ = reply.event("ADDED", &daemonset(3, "5")),
        "pods" => pods.iter().for_each(|pod| _ = reply.event("ADDED", pod)),
        _ => {}
    }
    reply.end_of_list("10");
    true
}

/// What is asked at the end.
pub fn ends(asked: &Asked, reply: &mut Reply) -> bool {
    if asked.method != "GET" {
        reply.answer(200, &json!({"kind": "Status", "status": "Success"}));
    }
    asked.method != "GET"
}

#[test]
fn a_run_is_a_request_a_kind() {
    let server = Server::start(|asked, reply| {
        if ends(asked, reply) {
            return;
        }
        let pods = ALL.map(|node| creating(node, "7"));
        assert!(streams(asked, reply, &pods));
        if asked.resource == "pods" {
            ALL.iter().for_each(|node| _ = reply.event("MODIFIED", &warm(node, "11")));
        }
        reply.hang();
    });
    let ran = server.run(&["--clean-up", "--event-on", "job/hook/0c9f"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        server.counts(),
        ["DELETE daemonsets", "POST events", "STREAM daemonsets", "STREAM events", "STREAM pods"]
    );
    let result = ran.json();
    assert_eq!((&result["result"], &result["api_requests"]), (&json!("warm"), &json!(5)));
    assert_eq!((result["deleted"].clone(), ran.left), (json!(["pull"]), String::new()));
    let sent = |method: &str| server.asked().into_iter().find(|a| a.method == method).unwrap();
    let delete: Value = serde_json::from_slice(&sent("DELETE").body).unwrap();
    assert_eq!(
        (&delete["propagationPolicy"], &delete["preconditions"]["uid"]),
        (&json!("Background"), &json!("u-pull"))
    );
    let event: Value = serde_json::from_slice(&sent("POST").body).unwrap();
    assert_eq!((&event["reason"], &event["type"]), (&json!("PrePulled"), &json!("Normal")));
    assert_eq!(
        event["involvedObject"],
        json!({"apiVersion": "batch/v1", "kind": "Job", "name": "hook", "namespace": "hub", "uid": "0c9f"})
    );
}

/// As Kubernetes 1.20 to 1.33: a list and a watch, and with nodes and the end still no more than ten.
#[test]
fn an_old_server_is_asked_ten_times_at_most() {
    let server = Server::start(|asked, reply| {
        if ends(asked, reply) {
            return;
        }
        let (resource, from) = (asked.resource.as_str(), asked.from());
        if asked.is_streamed_list() {
            return reply.status(
                422,
                "Invalid",
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
            );
        }
        let ready = json!({"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        match (resource, asked.is_watch()) {
            ("daemonsets", false) => reply.answer(200, &list("DaemonSet", &[daemonset(3, "5")], "10")),
            ("pods", false) => reply.answer(200, &list("Pod", &ALL.map(|node| creating(node, "7")), "10")),
            ("nodes", false) => reply.answer(200, &list("Node", &[ready], "10")),
            ("events", true) => assert_eq!(from, ""),
            (_, true) => assert_eq!(from, "10"),
            other => panic!("{other:?}"),
        }
        if resource == "pods" && asked.is_watch() {
            ALL.iter().for_each(|node| _ = reply.event("MODIFIED", &warm(node, "11")));
        }
        if asked.is_watch() {
            reply.piece(b"\n");
            reply.hang();
        }
    });
    let ran = server.run(&["--clean-up", "--nodes", "--event-on", "job/hook"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["api_requests"], 10, "{:?}", server.counts());
}

/// Cut in the middle, the watch goes on after the last version; nothing is listed again and nothing is missed.
#[test]
fn a_broken_watch_goes_on_where_it_was() {
    let server = Server::start(|asked, reply| {
        if streams(asked, reply, &ALL.map(|node| creating(node, "7"))) {
            if asked.resource == "pods" {
                reply.event("MODIFIED", &warm("n1", "21"));
                // Half an event.
                reply.piece(b"{\"type\":\"MODIFIED\",\"object\":{\"meta");
                return;
            }
        } else if asked.resource == "pods" {
            match asked.before {
                1 => {
                    assert_eq!(asked.from(), "21");
                    reply.event("MODIFIED", &warm("n2", "22"));
                    reply.event("BOOKMARK", &json!({"metadata": {"resourceVersion": "30"}}));
                    return reply.end();
                }
                _ => {
                    assert_eq!(asked.from(), "30");
                    reply.event("MODIFIED", &warm("n3", "31"));
                }
            }
        }
        reply.hang();
    });
    let ran = server.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        server.counts(),
        ["STREAM daemonsets", "STREAM events", "STREAM pods", "WATCH pods", "WATCH pods"]
    );
}

/// 410, as an answer and as an event: all is listed again, and what went away meanwhile is known to be gone.
#[test]
fn after_410_everything_is_listed_again() {
    let server = Server::start(|asked, reply| {
        if asked.resource != "pods" {
            assert!(streams(asked, reply, &[]));
            return reply.hang();
        }
        match asked.before {
            0 => {
                streams(asked, reply, &["n1", "n2", "old"].map(|node| creating(node, "7")));
                reply.event("ERROR", &status(410, "Expired", "too old resource version: 7 (99)"));
            }
            1 => {
                assert!(asked.is_streamed_list());
                streams(asked, reply, &["n1", "n2"].map(|node| creating(node, "7")));
                reply.end();
            }
            2 => reply.status(410, "Gone", "too old"),
            _ => {
                assert!(asked.is_streamed_list());
                streams(asked, reply, &ALL.map(|node| warm(node, "100")));
                reply.hang();
            }
        }
    });
    let ran = server.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let nodes = ran.json()["nodes"].as_array().unwrap().len();
    assert_eq!(nodes, 3, "{ran:?}");
}

/// Everything that a server can do wrong for a while, and a run that ends well all the same.
#[test]
fn what_passes_is_outlasted() {
    let server = Server::start(|asked, reply| match (asked.resource.as_str(), asked.before) {
        ("daemonsets", 0) => reply.status(500, "InternalError", "etcd is away"),
        ("daemonsets", 1) => reply.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nnot json at\n"),
        ("daemonsets", 2) => {}
        ("daemonsets", 3) => reply.raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("pods", 0) => {
            let head = "HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
            reply.raw(head.as_bytes());
        }
        ("pods", 1) => _ = reply.event("SURPRISE", &json!({})),
        _ => {
            streams(asked, reply, &ALL.map(|node| warm(node, "7")));
            reply.hang();
        }
    });
    let ran = server.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for words in ["500 etcd is away", "the answer cannot be read", "answers again"] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
}

#[test]
fn a_server_that_never_answers_is_a_deadline() {
    let server = Server::start(|_, reply| reply.hang());
    for (words, code) in
        [(vec!["--deadline", "1s"], 3), (vec!["--deadline", "1s", "--on-deadline", "warn"], 0)]
    {
        let start = Instant::now();
        let ran = server.run(&words);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(start.elapsed().as_secs() < 10);
        let result = ran.json();
        assert_eq!(
            (&result["result"], &result["findings"][0]["reason"]),
            (&json!("deadline"), &json!("ApiUnreachable"))
        );
        assert!(ran.left.starts_with("deadline: "), "{}", ran.left);
        assert_eq!(ran.stderr.contains("warning: the deadline has passed"), code == 0, "{}", ran.stderr);
    }
}

/// It follows another, which was killed: the deadline is the pullers', by the server's clock.
#[test]
fn an_awaiter_that_follows_another_has_what_is_left() {
    let server = Server::start(|asked, reply| {
        let mut set = daemonset(3, "5");
        set["metadata"]["creationTimestamp"] = json!("2026-11-23T12:00:05Z");
        if asked.resource == "daemonsets" {
            reply.event("ADDED", &set);
            reply.end_of_list("5");
        } else {
            streams(asked, reply, &ALL.map(|node| creating(node, "7")));
        }
        reply.hang();
    });
    let start = Instant::now();
    let ran = server.run(&["--deadline", "605s", "--since-creation"]);
    assert_eq!((ran.code, ran.json()["nodes"].as_array().unwrap().len()), (Some(3), 3), "{ran:?}");
    assert!(ran.stderr.contains("the pullers were made 595 s ago, and 10 s are left"), "{}", ran.stderr);
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn missing_rights_are_named() {
    let server = Server::start(|asked, reply| match asked.resource.as_str() {
        "pods" => reply.status(
            403,
            "Forbidden",
            "pods is forbidden: User \"system:serviceaccount:hub:hook\" cannot watch resource \"pods\"",
        ),
        _ => {
            streams(asked, reply, &[]);
            reply.hang();
        }
    });
    let ran = server.run(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    let expected = "may not watch pods in the namespace hub: pods is forbidden: User \"system:serviceaccount:hub:hook\" cannot watch resource \"pods\"";
    assert!(
        ran.stderr.contains(&format!("error: {expected}\nhint: add `watch` on `pods` to the Role")),
        "{}",
        ran.stderr
    );
    assert!(ran.left.starts_with(&format!("failed: {expected}\n")), "{}", ran.left);
    let server = Server::start(|_, reply| reply.status(401, "Unauthorized", "Unauthorized"));
    let ran = server.run(&[]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("hint: the token or certificate is missing, expired or of another cluster"),
        "{}",
        ran.stderr
    );
}

/// A role that comes a moment later than its pod, as helm makes them.
#[test]
fn rights_that_come_a_moment_later_are_waited_for() {
    let server = Server::start(|asked, reply| match (asked.resource.as_str(), asked.before) {
        ("daemonsets", 0) => reply.status(403, "Forbidden", "not yet"),
        _ => {
            streams(asked, reply, &ALL.map(|node| warm(node, "7")));
            reply.hang();
        }
    });
    assert_eq!(server.run(&[]).code, Some(0));
}

/// An API server that was away before it was ever heard knows nobody's rights when it comes back, for a while.
#[test]
fn rights_are_waited_for_after_an_outage() {
    let begun = std::time::Instant::now();
    let server = Server::start(move |asked, reply| match (asked.before, begun.elapsed().as_secs()) {
        (0, _) => {}
        (_, ..6) => reply.status(403, "Forbidden", "RBAC: role.rbac.authorization.k8s.io \"hook\" not found"),
        _ => {
            streams(asked, reply, &ALL.map(|node| warm(node, "7")));
            reply.hang();
        }
    });
    assert_eq!(server.run(&[]).code, Some(0));
}

#[test]
fn wrong_words_are_told() {
    let server =
        Server::start(|_, reply| reply.status(400, "BadRequest", "unable to parse requirement: found 'b'"));
    let ran = server.run(&["--selector", "a b"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let ran = server.run(&[]);
    assert!(ran.code == Some(2) && ran.stderr.contains("unable to parse requirement"), "{ran:?}");
    for words in
        [["--quorum", "0%"], ["--deadline", "soon"], ["--event-on", "node/n1"], ["--namespace", "Hub/x"]]
    {
        assert_eq!(server.run(&words).code, Some(2), "{words:?}");
    }
}

/// Told to end, it says so and leaves nothing behind.
#[test]
fn told_to_end_it_cleans_up() {
    let server = Server::start(|asked, reply| {
        if !ends(asked, reply) {
            streams(asked, reply, &ALL.map(|node| creating(node, "7")));
            reply.hang();
        }
    });
    let running = server.start_awaiter(&["--clean-up"]);
    running.wait("pods are asked for", || server.asked().iter().any(|a| a.resource == "pods"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    let killed = std::process::Command::new("kill").arg(running.child.id().to_string()).status().unwrap();
    assert!(killed.success());
    let ran = running.end();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.json()["findings"][0]["reason"], "Interrupted");
    assert!(server.counts().contains(&"DELETE daemonsets".to_owned()), "{:?}", server.counts());
}

/// A failure is told where helm and kubectl show it, and the DaemonSets go whatever happens.
#[test]
fn a_failure_is_told_and_cleaned_up() {
    let deleted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&deleted);
    let server = Server::start(move |asked, reply| {
        match asked.method.as_str() {
            "DELETE" if !seen.swap(true, Ordering::Relaxed) => {
                return reply.status(503, "ServiceUnavailable", "later");
            }
            "POST" => return reply.status(403, "Forbidden", "cannot create resource \"events\""),
            _ => {}
        }
        if !ends(asked, reply) {
            let message = "rpc error: code = NotFound desc = r.example/base:1: not found";
            streams(asked, reply, &ALL.map(|node| failing(node, message, "7")));
            reply.hang();
        }
    });
    let ran = server.run(&["--clean-up", "--event-on", "job/hook"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let result = ran.json();
    assert_eq!((&result["result"], &result["deleted"]), (&json!("failed"), &json!(["pull"])));
    assert!(ran.left.contains("r.example/base:1 on n1, n2, n3: ImageMissing"), "{}", ran.left);
    assert!(
        ran.stderr.contains("warning: the event was not written: may not create events"),
        "{}",
        ran.stderr
    );
    assert!(deleted.load(Ordering::Relaxed));
}
