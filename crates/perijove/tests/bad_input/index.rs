//! Indexes and mirrors that are down, slow, or answer something else; connections that are cut.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use perijove_testkit::has;
use perijove_testkit::web::Answer;

use crate::scene::Scene;

#[test]
fn no_index_there() {
    let scene = Scene::new();
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let program =
        scene.program().env("PERIJOVE_PYTHON_INDEX", &format!("http://me:secret@{address}/simple/"));
    let ran = program.run();
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("is the server up") && !ran.stderr.contains("secret"), "{}", ran.stderr);
    scene.assert_nothing_half_written();
}

#[test]
fn an_index_that_answers_something_else() {
    for (name, answer) in [
        ("a login page", Answer::ok("text/html", "<html><form><input type=password></form></html>")),
        ("401", Answer::status(401)),
        ("500", Answer::status(500)),
    ] {
        let scene = Scene::new();
        scene.packages.instead(
            move |asked, plain| {
                if asked.path.starts_with("/simple/large") { answer.clone() } else { plain }
            },
        );
        match name {
            "a login page" => assert_refusal!(scene, @r#"
            exit 1
            error: http://[server]/simple/large/: it answered a web page that lists no files; is it a login page?
            hint: is this the package index? check uv.toml, the UV_ variables, or PERIJOVE_PYTHON_INDEX
            "#),
            "401" => assert_refusal!(scene, @r#"
            exit 1
            error: http://[server]/simple/large/: the server answered 401 Unauthorized
            hint: the server wants other credentials: check those of uv, npm or apt
            "#),
            _ => assert_refusal!(scene, @r#"
            exit 1
            error: http://[server]/simple/large/: the server answered 500 Internal Server Error
            hint: try again later, or use a mirror
            "#),
        }
    }
}

#[test]
fn waits_as_long_as_the_server_asks() {
    let scene = Scene::new();
    let asked_at = Arc::<Mutex<Vec<Instant>>>::default();
    let times = Arc::clone(&asked_at);
    scene.packages.instead(move |asked, plain| {
        if !asked.path.starts_with("/files/large") {
            return plain;
        }
        let mut times = times.lock().unwrap();
        times.push(Instant::now());
        if times.len() > 1 {
            return plain;
        }
        Answer { headers: vec![("Retry-After", "1".to_owned())], ..Answer::status(429) }
    });
    assert_eq!(scene.build().code, Some(0));
    let times = asked_at.lock().unwrap().clone();
    assert_eq!(times.len(), 2);
    assert!(times[1] - times[0] >= Duration::from_secs(1), "it came back too early");
}

#[test]
fn a_server_that_always_says_later() {
    let scene = Scene::new();
    scene.packages.instead(|asked, plain| {
        if !asked.path.starts_with("/files/large") {
            return plain;
        }
        Answer { headers: vec![("Retry-After", "0".to_owned())], ..Answer::status(429) }
    });
    assert_refusal!(scene, @r#"
    exit 1
    error: http://[server]/files/large-1.0-py3-none-any.whl: the server answered 429 Too Many Requests
    hint: the server limits requests: wait, or use a mirror
    "#);
    let tries = scene.packages.requests().iter().filter(|p| p.starts_with("/files/large")).count();
    assert_eq!(tries, 5);
}

/// The first `times` answers with the large wheel end after 150,000 bytes: cut, or with a server that says nothing
/// more. Gives where the requests began.
fn cut_short(scene: &Scene, times: usize, stall: bool) -> Arc<Mutex<Vec<Option<usize>>>> {
    let ranges = Arc::<Mutex<Vec<Option<usize>>>>::default();
    let seen = Arc::clone(&ranges);
    scene.packages.instead(move |asked, mut plain| {
        if asked.path.starts_with("/files/large") {
            let mut seen = seen.lock().unwrap();
            seen.push(asked.from);
            if seen.len() <= times {
                (plain.cut, plain.stall) = (Some(150_000), stall);
            }
        }
        plain
    });
    ranges
}

#[test]
fn a_cut_connection_goes_on_where_it_was() {
    let scene = Scene::new();
    let ranges = cut_short(&scene, 2, false);
    let result = scene.program().args(["--format", "json"]).run().json();
    assert_eq!(*ranges.lock().unwrap(), [None, Some(150_000), Some(300_000)]);
    // No byte came twice: packages, their two index pages, nothing else.
    let packages: usize = scene.wheels.iter().map(|w| w.bytes.len()).sum();
    let fetched = usize::try_from(result["fetched_bytes"].as_u64().unwrap()).unwrap();
    assert!((packages..packages + 20_000).contains(&fetched), "{fetched} bytes for {packages}");
}

#[test]
fn a_stalled_download_is_given_up_and_goes_on_where_it_was() {
    let scene = Scene::new();
    let ranges = cut_short(&scene, 1, true);
    let ran = scene.program().env("PERIJOVE_HTTP_TIMEOUT", "1").run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(*ranges.lock().unwrap(), [None, Some(150_000)]);
}

#[test]
fn a_server_that_never_answers() {
    let scene = Scene::new();
    scene.packages.instead(|asked, mut plain| {
        if asked.path.starts_with("/files/large") {
            (plain.cut, plain.stall) = (Some(0), true);
        }
        plain
    });
    let ran = scene.program().env("PERIJOVE_HTTP_TIMEOUT", "1").run();
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("large-1.0-py3-none-any.whl: the server sent nothing for 1 s"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("hint: the network or the mirror is failing"), "{}", ran.stderr);
    scene.assert_nothing_half_written();
}

#[test]
fn a_slow_index_is_waited_for() {
    let scene = Scene::new();
    scene.packages.instead(|asked, plain| {
        if asked.path.starts_with("/simple/large") {
            std::thread::sleep(Duration::from_secs(3));
        }
        plain
    });
    let ran = scene.build();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

/// An answer in place of a package's, what is said, and what to do.
type Fault = (&'static str, fn(Answer) -> Answer, &'static str, &'static str);

const FAULTS: &[Fault] = &[
    (
        "other bytes",
        |plain| flipped(plain),
        "the bytes have digest",
        "`perijove lock --upgrade-package NAME`",
    ),
    (
        "a web page",
        |_| Answer::ok("text/html", "<html>log in</html>"),
        "the bytes have digest",
        "something on the way",
    ),
    (
        "401",
        |_| Answer::status(401),
        "the server answered 401 Unauthorized",
        "credentials: check those of uv, npm or apt",
    ),
    ("429", |_| later(429), "the server answered 429 Too Many Requests", "wait, or use a mirror"),
    (
        "503",
        |_| later(503),
        "the server answered 503 Service Unavailable",
        "try again later, or use a mirror",
    ),
];

fn flipped(mut plain: Answer) -> Answer {
    plain.body[300] ^= 1;
    plain
}

/// At once, so that the test does not wait.
fn later(status: u16) -> Answer {
    Answer { headers: vec![("Retry-After", "0".to_owned())], ..Answer::status(status) }
}

/// Debian's packages, wheels and npm's tarballs come on the same way, and none of it takes less care.
#[test]
fn every_kind_of_package_is_fetched_with_the_same_care() {
    let test = "every_kind_of_package_is_fetched_with_the_same_care";
    for (kind, name, part) in [
        ("deb", "base_1_all.deb", "/pool/main/base_"),
        ("wheel", "large-1.0-py3-none-any.whl", "/files/large"),
        ("npm", "module-1.0.0.tgz", "/npm/module/-/"),
    ] {
        if kind == "npm" && !has(test, "npm") {
            continue;
        }
        let scene = Scene::of_every_kind();
        for (fault, answer, said, hint) in FAULTS {
            scene.packages.instead(
                move |asked, plain| {
                    if asked.path.contains(part) { answer(plain) } else { plain }
                },
            );
            let ran = scene.build();
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{kind}, {fault}: {}", ran.stderr);
            let (error, advice) = ran.stderr.split_once("hint: ").unwrap_or((&ran.stderr, ""));
            assert!(error.contains(name) && error.contains(said), "{kind}, {fault}: {}", ran.stderr);
            assert!(advice.contains(hint), "{kind}, {fault}: {}", ran.stderr);
            scene.assert_nothing_half_written();
        }
        // Cut once, it goes on where it was, and the image is whole.
        let ranges = Arc::<Mutex<Vec<Option<usize>>>>::default();
        let seen = Arc::clone(&ranges);
        scene.packages.instead(move |asked, mut plain| {
            if asked.path.contains(part) {
                let mut seen = seen.lock().unwrap();
                seen.push(asked.from);
                plain.cut = (seen.len() == 1).then_some(4_000);
            }
            plain
        });
        assert_eq!(scene.build().code, Some(0), "{kind}");
        assert_eq!(*ranges.lock().unwrap(), [None, Some(4_000)], "{kind}");
    }
}
