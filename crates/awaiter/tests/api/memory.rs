//! What a run takes: 3 nodes below 15 MB, 5,000 nodes below 64 MB, listed by an old server or streamed by a new one.

use serde_json::json;

use super::objects::*;
use super::server::Server;

/// The most memory that the awaiter had, in MB, without the pages of the program itself (which a test's has twelve times
/// as many of as the image's), while it waited for `nodes` nodes of which the last is late.
fn peak(nodes: usize, streamed: bool) -> f64 {
    let (new, done) = (by_node(creating("NODE", "7")), by_node(warm("NODE", "11")));
    let server = Server::start(move |asked, reply| {
        if asked.is_streamed_list() && !streamed {
            return reply.status(422, "Invalid", "sendInitialEvents is forbidden");
        }
        let node = |n: usize| format!("node-{n:05}.compute.example");
        match (asked.resource.as_str(), asked.is_streamed_list(), asked.is_watch()) {
            ("daemonsets", true, _) => _ = reply.event("ADDED", &daemonset(nodes, "5")),
            ("daemonsets", _, false) => {
                return reply.answer(200, &list("DaemonSet", &[daemonset(nodes, "5")], "10"));
            }
            ("pods", true, _) => {
                (0..nodes).for_each(|n| _ = reply.line("ADDED", &new(&node(n))));
            }
            ("pods", _, false) => {
                reply.piece(br#"{"kind":"PodList","metadata":{"resourceVersion":"10"},"items":["#);
                for n in 0..nodes {
                    let comma = if n == 0 { "" } else { "," };
                    reply.piece(format!("{comma}{}", new(&node(n))).as_bytes());
                }
                reply.piece(b"]}");
                return reply.end();
            }
            _ => {}
        }
        if asked.is_streamed_list() {
            reply.end_of_list("10");
        }
        if asked.resource == "pods" {
            (0..nodes - 1).for_each(|n| _ = reply.line("MODIFIED", &done(&node(n))));
        } else if asked.resource == "events" {
            for n in 0..nodes {
                let about = json!({"kind": "Pod", "name": format!("pull-{}", node(n)), "uid": format!("u-{}", node(n))});
                for image in IMAGES {
                    let message = format!(
                        "Successfully pulled image \"{image}\" in 2.5s (4s including waiting). Image size: 123456789 bytes."
                    );
                    reply.event("ADDED", &json!({"involvedObject": about, "reason": "Pulled", "message": message, "metadata": {"resourceVersion": "9"}}));
                }
            }
        }
        reply.hang();
    });
    let mut running = server.start_awaiter(&["--deadline", "10m"]);
    let lines = std::io::BufRead::lines(std::io::BufReader::new(running.child.stderr.take().unwrap()));
    let wanted = format!("{} of {nodes} nodes warm", nodes - 1);
    // Lists and changes are read, and it is judged what they say.
    for line in lines.map_while(Result::ok) {
        if line.starts_with(&wanted) {
            break;
        }
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id())).unwrap();
    let kilobytes = |name: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let kilobytes = kilobytes("VmHWM:") - kilobytes("RssFile:");
    running.child.kill().unwrap();
    running.end();
    eprintln!("{nodes} nodes, streamed {streamed}: {:.1} MB", kilobytes / 1024.0);
    kilobytes / 1024.0
}

#[test]
fn three_nodes_take_little() {
    for streamed in [true, false] {
        assert!(peak(3, streamed) < 15.0);
    }
}

#[test]
fn five_thousand_nodes_take_not_much_more() {
    for streamed in [true, false] {
        assert!(peak(5000, streamed) < 64.0);
    }
}
