//! Pushing blobs over connections that break, to registries of all habits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use perijove_oci::client::{How, Sent};
use perijove_oci::{Blob, Descriptor};

use crate::fake::{Answer, Fake, Request};
use crate::support::{Recorder, anonymous, noise, repo};

const SIZE: usize = 4_000_000;
const CUT: usize = 1_500_000;

fn blob() -> (Blob, Descriptor) {
    let bytes = noise("upload", SIZE);
    let descriptor = Descriptor::of("x", &bytes);
    (Blob::Bytes(bytes.into()), descriptor)
}

/// The habits that all registries here share: no blob is there, an upload starts at `/up/1`.
fn common(request: &Request) -> Answer {
    match request.method.as_str() {
        "HEAD" => Answer::new(404),
        "POST" => Answer::new(202).header("location", "/up/1?_state=s"),
        _ => Answer::new(500),
    }
}

fn puts(fake: &Fake) -> Vec<Request> {
    fake.log().into_iter().filter(|r| r.method == "PUT").collect()
}

#[tokio::test]
async fn a_cut_upload_goes_on_where_it_ended() {
    let fake = Fake::start(|request, before| match (request.method.as_str(), before) {
        ("PUT", 0) if request.target.starts_with("/up/1") => Answer::cut_request_after(CUT),
        ("GET", _) => Answer::new(204).header("location", "/up/2").header("range", format!("0-{}", CUT - 1)),
        ("PUT", _) => Answer::new(201),
        _ => common(request),
    });
    let (blob, descriptor) = blob();
    let recorder = Arc::new(Recorder::default());
    let client = recorder.client();
    let sent = client.push_blob(&repo(&fake.address, "a"), &descriptor, &blob, &[]).await.unwrap();
    assert_eq!(sent.how, How::Uploaded);
    recorder.assert_one_task("push a", SIZE as u64);
    assert!(sent.bytes_sent >= SIZE as u64 && sent.bytes_sent == client.sent_bytes(), "{sent:?}");
    let puts = puts(&fake);
    assert_eq!(puts.len(), 2);
    assert!(puts[0].target.contains("_state=s&digest=sha256%3A"), "{}", puts[0].target);
    assert!(puts[1].target.starts_with("/up/2?digest=sha256%3A"), "{}", puts[1].target);
    assert_eq!(puts[1].header("content-range"), Some(format!("{CUT}-{}", SIZE - 1).as_str()));
    assert!([puts[0].body.as_slice(), &puts[1].body].concat() == noise("upload", SIZE));
}

#[tokio::test]
async fn an_upload_that_the_registry_forgot_starts_again() {
    let fake = Fake::start(|request, before| match (request.method.as_str(), before) {
        ("PUT", 0) => Answer::cut_request_after(CUT),
        ("PUT", _) => Answer::new(201),
        ("GET", _) => Answer::new(404),
        _ => common(request),
    });
    let (blob, descriptor) = blob();
    anonymous().push_blob(&repo(&fake.address, "a"), &descriptor, &blob, &[]).await.unwrap();
    assert!(puts(&fake)[1].body == noise("upload", SIZE));
    assert_eq!(fake.lines().iter().filter(|l| l.starts_with("POST")).count(), 2);
}

#[tokio::test]
async fn a_lost_answer_is_not_a_lost_blob() {
    let fake = Fake::start(|request, before| match (request.method.as_str(), before) {
        ("PUT", _) => Answer::cut_request_after(SIZE),
        ("HEAD", 1) => Answer::new(200),
        _ => common(request),
    });
    let (blob, descriptor) = blob();
    let sent = anonymous().push_blob(&repo(&fake.address, "a"), &descriptor, &blob, &[]).await.unwrap();
    assert_eq!(sent, Sent { how: How::Uploaded, bytes_sent: SIZE as u64 });
    assert_eq!(puts(&fake).len(), 1);
}

#[tokio::test]
async fn limits_are_waited_for_and_failures_end() {
    let fake = Fake::start(|request, before| match (request.method.as_str(), before) {
        ("POST", 0) => Answer::new(429).header("retry-after", 1),
        ("PUT", 0) => Answer::new(503).header("retry-after", 1),
        ("PUT", _) => Answer::new(201),
        ("GET", _) => Answer::new(404),
        _ => common(request),
    });
    let (blob, descriptor) = blob();
    let start = Instant::now();
    anonymous().push_blob(&repo(&fake.address, "a"), &descriptor, &blob, &[]).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(2), "Retry-After was kept");

    let failing = Fake::start(|request, _| match request.method.as_str() {
        "PUT" => Answer::new(503).body(r#"{"errors":[{"code":"UNAVAILABLE","message":"disk is tired"}]}"#),
        "GET" => Answer::new(404),
        _ => common(request),
    });
    let error =
        anonymous().push_blob(&repo(&failing.address, "a"), &descriptor, &blob, &[]).await.unwrap_err();
    assert_eq!(error.status(), Some(503));
    assert!(error.to_string().ends_with("answered 503 UNAVAILABLE: disk is tired"), "{error}");
    assert_eq!(puts(&failing).len(), 5);

    let full = Fake::start(|request, _| match request.method.as_str() {
        "PUT" => Answer::new(413).body("<html>too large</html>"),
        _ => common(request),
    });
    let error = anonymous().push_blob(&repo(&full.address, "a"), &descriptor, &blob, &[]).await.unwrap_err();
    assert!(error.to_string().contains("413: a web page"), "{error}");
    assert!(error.hint().unwrap().contains("limits the size"));
    assert_eq!(puts(&full).len(), 1, "what cannot succeed is not tried again");
}

#[tokio::test]
async fn locations_may_be_anywhere() {
    let elsewhere = Fake::start(|_, _| Answer::new(201));
    let absolute = format!("http://{}/bucket/1?signature=x", elsewhere.address);
    let fake = Fake::start(move |request, _| {
        match (request.method.as_str(), request.target.contains("/absolute/")) {
            ("POST", true) => Answer::new(202).header("location", &absolute),
            ("POST", false) => Answer::new(202).header("location", "1?x=y"),
            ("PUT", _) => Answer::new(201),
            _ => Answer::new(404),
        }
    });
    let (blob, descriptor) = blob();
    let client = anonymous();
    client.push_blob(&repo(&fake.address, "relative"), &descriptor, &blob, &[]).await.unwrap();
    assert!(puts(&fake)[0].target.starts_with("/v2/relative/blobs/uploads/1?x=y&digest=sha256%3A"));
    client.push_blob(&repo(&fake.address, "absolute"), &descriptor, &blob, &[]).await.unwrap();
    assert!(puts(&elsewhere)[0].target.starts_with("/bucket/1?signature=x&digest="));

    let nowhere = Fake::start(|request, _| match request.method.as_str() {
        "POST" => Answer::new(202),
        _ => Answer::new(404),
    });
    let error = client.push_blob(&repo(&nowhere.address, "a"), &descriptor, &blob, &[]).await.unwrap_err();
    assert!(error.to_string().contains("without a Location"), "{error}");
}

/// In a process of its own, since the environment is the process's.
#[test]
fn a_proxy_is_not_asked_for_this_machine() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "uploads::locations_may_be_anywhere"])
        .envs(["HTTP_PROXY", "http_proxy", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:1")))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn mounts() {
    let (blob, descriptor) = blob();
    let fake = Fake::start(|request, _| {
        let line = request.line();
        match request.method.as_str() {
            "HEAD" if line.contains("/has/") => Answer::new(200),
            "POST" if line.contains("from=has") => Answer::new(201),
            // `plain/` refuses a mount without a repository, as a registry may that never heard of it.
            "POST" if line.contains("/plain/") && line.contains("mount=") => Answer::new(400),
            "POST" if line.contains("/generous/") => Answer::new(201),
            "PUT" => Answer::new(201),
            _ => common(request),
        }
    });
    let client = anonymous();
    let from = ["lacks".to_owned(), "has".to_owned()];
    for (name, from, how) in [
        ("has", &from[..0], How::Existed),
        ("target", &from[..], How::Mounted),
        ("generous", &[], How::Mounted),
        ("plain", &from[..1], How::Uploaded),
        ("plain", &[], How::Uploaded),
    ] {
        let sent = client.push_blob(&repo(&fake.address, name), &descriptor, &blob, from).await.unwrap();
        let bytes_sent = if how == How::Uploaded { SIZE as u64 } else { 0 };
        assert_eq!(sent, Sent { how, bytes_sent }, "{name}");
    }
    let refused =
        fake.lines().iter().filter(|l| l.starts_with("POST /v2/plain/") && l.contains("mount=")).count();
    assert_eq!(refused, 1, "a registry that refused once is not asked again");
}

#[tokio::test]
async fn a_blob_of_another_length_is_not_sent() {
    let fake = Fake::start(|request, _| common(request));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short");
    std::fs::write(&path, "short").unwrap();
    let (_, descriptor) = blob();
    let repo = repo(&fake.address, "a");
    let error = anonymous().push_blob(&repo, &descriptor, &Blob::Files(vec![path]), &[]).await.unwrap_err();
    assert!(error.to_string().contains("4000000 bytes, but there are 5"), "{error}");
    assert!(puts(&fake).is_empty());
}
