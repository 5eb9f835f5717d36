//! An image's own checks, through the built-in runtime.

// Helpers of tests, too.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use perijove_oci::report::Silent;
use perijove_oci::{Config, Platform};
use perijove_runtime::check::{Check, CheckResult, Verdict, run};
use perijove_runtime::{Engine, Mount, Runtime, Settings, Spec, Wanted};
use support::*;

async fn engine(place: &Place, runtime: Runtime) -> Engine {
    let mut settings = Settings::new(place.cache(Who::Me), Arc::new(Silent));
    settings.program.clone_from(&place.program);
    Engine::choose(Wanted::This(runtime), settings).await.unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split('|').map(ToOwned::to_owned).collect()
}

fn command(text: &str, expect: Option<&str>, seconds: f64) -> Check {
    Check::Run {
        run: words(text),
        expect: expect.map(ToOwned::to_owned),
        within: Duration::from_secs_f64(seconds),
    }
}

fn serve(text: &str, get: &str, seconds: f64) -> Check {
    Check::Serve { serve: words(text), get: get.parse().unwrap(), within: Duration::from_secs_f64(seconds) }
}

fn image(test: &str, folder: &Path) -> Option<Layout> {
    let layout = busybox(folder, Config::default(), &[]);
    if layout.is_none() {
        skip(test, "no static busybox (Debian: busybox-static)");
    }
    layout
}

fn failed(result: &CheckResult) -> &str {
    match &result.verdict {
        Verdict::Failed(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn commands() {
    let place = Place::new();
    let Some(layout) = image("commands", &place.folder.path().join("image")) else { return };
    let engine = engine(&place, Runtime::Builtin).await;
    let go = async |check: Check| {
        run(&engine, &layout.source(), &Platform::host(), &check, &Spec::default()).await.unwrap()
    };
    let result = go(command("echo|version 5.3.1", Some("5.3.1"), 30.0)).await;
    assert_eq!((result.verdict, result.output), (Verdict::Passed, vec!["version 5.3.1".to_owned()]));
    assert_eq!(go(command("sh|-c|echo 5.3.1 >&2", Some("5.3.1"), 30.0)).await.verdict, Verdict::Passed);
    let result = go(command("echo|version 5.3.0", Some("5.3.1"), 30.0)).await;
    assert_eq!(failed(&result), "its output does not hold `5.3.1`");
    assert_eq!(failed(&go(command("sh|-c|exit 7", None, 30.0)).await), "it ended with exit code 7");
    assert_eq!(failed(&go(command("sleep|60", None, 0.5)).await), "it did not end within 0.5 seconds");
    assert!(failed(&go(command("no-such-thing", None, 30.0)).await).contains("no program `no-such-thing`"));
}

#[tokio::test]
async fn services_answer_though_the_port_is_taken_outside() {
    let place = Place::new();
    let Some(layout) = image("services", &place.folder.path().join("image")) else { return };
    services(&layout, engine(&place, Runtime::Builtin).await).await;
    let test = "services by runc";
    if !is_root() {
        skip(test, "needs root");
    } else if has(test, "runc") {
        services(&layout, engine(&place, Runtime::Runc).await).await;
    }
}

async fn services(layout: &Layout, engine: Engine) {
    let go = async |check: Check| {
        run(&engine, &layout.source(), &Platform::host(), &check, &Spec::default()).await.unwrap()
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let httpd = format!("httpd|-f|-p|127.0.0.1:{port}|-h|/srv");
    let url = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    // Twice side by side: each has a network of its own.
    let (a, b) = tokio::join!(
        go(serve(&httpd, &url("index.html"), 60.0)),
        go(serve(&httpd, &url("index.html"), 60.0))
    );
    assert_eq!((a.verdict, b.verdict), (Verdict::Passed, Verdict::Passed));
    assert!(failed(&go(serve(&httpd, &url("missing"), 1.0)).await).ends_with("the answer is 404"));
    let result = go(serve("sh|-c|echo starting; sleep 60", &url(""), 1.0)).await;
    assert!(failed(&result).contains("Connection refused"), "{result:?}");
    assert_eq!(result.output, ["starting"]);
    let result = go(serve("sh|-c|echo cannot; exit 1", &url(""), 60.0)).await;
    assert!(failed(&result).starts_with("it ended with exit code 1 before"), "{result:?}");
    assert_eq!(result.output, ["cannot"]);
}

#[tokio::test]
async fn what_all_containers_get_checks_get_too() {
    let place = Place::new();
    let Some(layout) = image("what_all_containers_get", &place.folder.path().join("image")) else { return };
    let kept = place.cache(Who::Me).join("kept");
    std::fs::create_dir_all(&kept).unwrap();
    let base = Spec {
        env: vec![("KEEP".to_owned(), "/kept/here".to_owned())],
        mounts: vec![Mount { source: kept.clone(), target: "/kept".to_owned(), read_only: false }],
        ..Spec::default()
    };
    let engine = engine(&place, Runtime::Builtin).await;
    let check = command("sh|-c|echo made > $KEEP", None, 30.0);
    let result = run(&engine, &layout.source(), &Platform::host(), &check, &base).await.unwrap();
    assert_eq!(result.verdict, Verdict::Passed, "{:?}", result.output);
    assert_eq!(std::fs::read_to_string(kept.join("here")).unwrap(), "made\n");
}

#[tokio::test]
async fn a_check_that_is_dropped_can_be_waited_for() {
    let test = "a_check_that_is_dropped_can_be_waited_for";
    let place = Place::new();
    let Some(layout) = image(test, &place.folder.path().join("image")) else { return };
    let mut runtimes = vec![Runtime::Builtin];
    if is_root() && std::process::Command::new("runc").arg("--version").output().is_ok() {
        runtimes.push(Runtime::Runc);
    } else {
        skip(&format!("{test} by runc"), "needs root and runc");
    }
    for runtime in runtimes {
        let engine = engine(&place, runtime).await;
        // A time that no other process of this machine sleeps for.
        let script = format!("sleep 6{}", std::process::id());
        let running = || processes(&script);
        let check = serve(&format!("sh|-c|{script}; true"), "http://127.0.0.1:1/", 600.0);
        let source = layout.source();
        let platform = Platform::host();
        let base = Spec::default();
        tokio::select! {
            result = run(&engine, &source, &platform, &check, &base) => panic!("{result:?}"),
            () = async { while running() == 0 { tokio::time::sleep(Duration::from_millis(10)).await } } => {}
        }
        engine.idle().await;
        assert_eq!(running(), 0, "{runtime:?}");
    }
}

/// How many processes of this machine have `words` as their command line.
fn processes(words: &str) -> usize {
    let is = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").trim() == words
    };
    std::fs::read_dir("/proc").unwrap().flatten().map(is).filter(|is| *is).count()
}

#[tokio::test]
async fn another_architecture_is_untested() {
    let place = Place::new();
    let platform: Platform = "linux/riscv64".parse().unwrap();
    let layout = Layout::write_for(&place.folder.path().join("image"), &[], Config::default(), &platform);
    let engine = engine(&place, Runtime::Builtin).await;
    let check = command("true", None, 5.0);
    let result = run(&engine, &layout.source(), &platform, &check, &Spec::default()).await.unwrap();
    assert!(matches!(&result.verdict, Verdict::Untested(why) if why.contains("linux/riscv64")), "{result:?}");
}
