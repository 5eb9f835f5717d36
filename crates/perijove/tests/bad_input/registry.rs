//! Registries that are down or say no, and pushes that are interrupted.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use perijove_testkit::registry::Registry;
use perijove_testkit::web::{Answer, Server};

use crate::scene::Scene;

#[test]
fn a_registry_that_says_no() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let at_once =
        |status| Answer { headers: vec![("Retry-After", "0".to_owned())], ..Answer::status(status) };
    let login = Answer {
        headers: vec![("WWW-Authenticate", "Basic realm=\"here\"".to_owned())],
        ..Answer::status(401)
    };
    for (name, answer, message, hint) in [
        ("down", None, "Connection refused", "is the registry up"),
        ("401", Some(login), "401", "login"),
        ("429", Some(at_once(429)), "429", "limits"),
        ("503", Some(at_once(503)), "503", "again"),
        ("a web page", Some(Answer::ok("text/html", "<html>Welcome</html>")), "text/html", "registry"),
    ] {
        let scene = Scene::new();
        let server = answer.map(|answer| Server::start(move |_| answer.clone()));
        let address = server.as_ref().map_or(&free, |server| &server.address);
        let ran = scene.perijove(&["build", "--push", &format!("{address}/app:1.0")]).run();
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{name}: {}", ran.stderr);
        let (error, advice) = ran.stderr.split_once("hint: ").unwrap_or((&ran.stderr, ""));
        assert!(error.contains(message), "{name}: {}", ran.stderr);
        assert!(advice.contains(hint), "{name}: {}", ran.stderr);
        scene.assert_nothing_half_written();
    }
}

/// Status and body of a GET.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let accept = "application/vnd.oci.image.index.v1+json";
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn an_interrupt_of_a_push_at_any_moment() {
    let push = |scene: &Scene, registry: &Registry| {
        scene.perijove(&["build", "--format", "json", "--push", &format!("{}/app:1.0", registry.address)])
    };
    let (alone, registry) = (Scene::new(), Registry::start(crate::PERIJOVE));
    let start = Instant::now();
    let expected = push(&alone, &registry).run().json()["images"][0]["digest"].clone();
    let took = start.elapsed();
    let (_, index) = get(&registry.address, "/v2/app/manifests/1.0");
    let mut ends = 0;
    for moment in 1..9 {
        let (scene, registry) = (Scene::new(), Registry::start(crate::PERIJOVE));
        let pushing = push(&scene, &registry).start();
        std::thread::sleep(took * moment / 8);
        pushing.interrupt();
        let ran = pushing.end();
        assert!(matches!(ran.code, None | Some(0 | 1)), "{ran:?}");
        if ran.code == Some(1) {
            ends += 1;
            assert!(ran.stderr.contains("interrupted"), "{}", ran.stderr);
            scene.assert_nothing_half_written();
        }
        // The tag is there with the whole image, or not at all.
        match get(&registry.address, "/v2/app/manifests/1.0") {
            (200, there) => assert_eq!(there, index, "moment {moment}"),
            (status, _) => assert_eq!(status, 404, "moment {moment}"),
        }
        assert_eq!(push(&scene, &registry).run().json()["images"][0]["digest"], expected);
        assert_eq!(get(&registry.address, "/v2/app/manifests/1.0").1, index);
    }
    eprintln!("{ends} of 8 were ended half-way");
}
