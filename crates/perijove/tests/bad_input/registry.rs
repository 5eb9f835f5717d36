//! Registries that are down or say no, and pushes that are interrupted.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use perijove_oci::client::Client;
use perijove_oci::report::Silent;
use perijove_oci::{Descriptor, Digest, ImageConfig, ImageContent, Manifest, Reference, RootFs, media};
use perijove_testkit::front::{Front, Say};
use perijove_testkit::registry::Registry;
use perijove_testkit::repository::APP;
use perijove_testkit::web::{Answer, Server};

use crate::gate::gate;
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

/// Moments that are tried: requests of a push, spread over all of it.
const MOMENTS: usize = 10;

/// The push is cut where the registry holds back an answer, so that every run is cut for certain.
#[test]
fn an_interrupt_of_a_push_at_any_moment() {
    let push = |scene: &Scene, address: &str| {
        scene.perijove(&["build", "--format", "json", "--push", &format!("{address}/app:1.0")])
    };
    let (alone, registry) = (Scene::new(), Registry::start(crate::PERIJOVE));
    let front = Front::counting(&registry.address);
    let expected = push(&alone, &front.address).run().json()["images"][0]["digest"].clone();
    let requests = front.requests().len();
    let (_, index) = get(&registry.address, "/v2/app/manifests/1.0");
    assert!(requests > MOMENTS, "{requests} requests");
    for moment in 0..MOMENTS {
        // Both the first request and the last are among them.
        let number = 1 + moment * (requests - 1) / (MOMENTS - 1);
        let (scene, registry) = (Scene::new(), Registry::start(crate::PERIJOVE));
        let (hold, held) = gate(number);
        // Every other time the registry does what it was asked to, though nobody waits for it any more.
        let cut = moment % 2 == 1;
        let front = Front::of(&registry.address, move |_| if hold() && cut { Say::Cut } else { Say::Pass });
        let pushing = push(&scene, &front.address).start();
        held.wait();
        pushing.interrupt();
        let ran = pushing.end();
        drop(held);
        assert_eq!(ran.code, Some(1), "request {number}: {ran:?}");
        assert!(ran.stderr.contains("interrupted"), "{}", ran.stderr);
        scene.assert_nothing_half_written();
        // The tag is there with the whole image, or not at all.
        match get(&registry.address, "/v2/app/manifests/1.0") {
            (200, there) => assert_eq!(there, index, "request {number}"),
            (status, _) => assert_eq!(status, 404, "request {number}"),
        }
        assert_eq!(push(&scene, &registry.address).run().json()["images"][0]["digest"], expected);
        assert_eq!(get(&registry.address, "/v2/app/manifests/1.0").1, index);
    }
}

/// A base whose manifest and configuration disagree: none of its layers is dropped in silence.
#[test]
fn a_base_whose_configuration_names_other_layers() {
    let registry = Registry::start(crate::PERIJOVE);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = Client::new(Arc::new(Silent)).unwrap();
    for (named, said) in
        [(1, Some("2 layers, but its configuration names 1")), (3, Some("names 3")), (2, None)]
    {
        let repo: Reference = format!("{}/base", registry.address).parse().unwrap();
        let root = Descriptor::of(media::MANIFEST, b"");
        let mut content = ImageContent::new(root, Vec::new().into());
        content.manifests.clear();
        // Bytes of layers are nobody's business here.
        let layers = ["one", "two"].map(|text| content.add_bytes(media::LAYER, text));
        let config = ImageConfig {
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            rootfs: RootFs {
                diff_ids: ["one", "two", "three"][..named]
                    .iter()
                    .map(|t| Digest::sha256(t.as_bytes()))
                    .collect(),
                ..RootFs::default()
            },
            ..ImageConfig::default()
        };
        let config = content.add_bytes(media::CONFIG, serde_json::to_vec(&config).unwrap());
        let manifest = Manifest::image(config, layers.to_vec(), Default::default());
        content.root = content.add_manifest(media::MANIFEST, serde_json::to_vec(&manifest).unwrap());
        runtime.block_on(client.push_image(&repo, &content, &[], &[], 1)).unwrap();
        let scene = Scene::new();
        let base = format!("base = {{ image = \"{}\" }}", repo.with_digest(&content.root.digest));
        let toml = APP.replace("base = { debian = \"trixie\" }", &base);
        scene.repository.write("perijove.toml", &toml.replace(", \"linux/arm64\"", ""));
        let ran = scene.build();
        match said {
            Some(said) => {
                assert_eq!(ran.code, Some(1), "{}", ran.stderr);
                assert!(
                    ran.stderr.contains(said) && ran.stderr.contains("error: the base 127."),
                    "{}",
                    ran.stderr
                );
                assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
                scene.assert_nothing_half_written();
            }
            None => assert_eq!(ran.code, Some(0), "{}", ran.stderr),
        }
    }
}
