//! Credentials and tokens: what is asked for, what is sent where, and that no secret gets out.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use perijove_oci::auth::Keyring;
use perijove_oci::client::{How, Settings};
use perijove_oci::report::Silent;
use perijove_oci::{Blob, Client, Descriptor, Error, media};

use crate::fake::{Answer, Fake, Request};
use crate::support::{anonymous, noise, repo, with_auth};

const MANIFEST: &str = r#"{"schemaVersion":2,"config":{},"layers":[]}"#;
/// `robot:hunter2`
const BASIC: &str = "Basic cm9ib3Q6aHVudGVyMg==";

fn manifest() -> Answer {
    Answer::new(200).header("content-type", media::MANIFEST).body(MANIFEST)
}

/// An auth file for `address`, and the folder that holds it.
fn auth_file(address: &str, entry: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    std::fs::write(&path, format!(r#"{{"auths":{{"{address}":{entry}}}}}"#)).unwrap();
    (folder, path)
}

const PASSWORD: &str = r#"{"username":"robot","password":"hunter2"}"#;

/// A token server that gives `t1`, `t2`… and a registry that takes only the tokens `accepts` says.
fn with_tokens(
    accepts: impl Fn(&Request, &str, usize) -> bool + Send + Sync + 'static,
    answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> (Fake, Arc<Fake>) {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let issuer = Arc::new(Fake::start(move |_, _| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        Answer::new(200).body(format!(r#"{{"token":"t{n}","expires_in":300}}"#))
    }));
    let realm = format!("http://{}/token", issuer.address);
    let registry = Fake::start(move |request, before| {
        let token = request.header("authorization").and_then(|v| v.strip_prefix("Bearer ")).unwrap_or("");
        if accepts(request, token, before) {
            return answer(request);
        }
        let challenge =
            format!(r#"Bearer realm="{realm}",service="test registry",scope="repository:a:pull""#);
        Answer::new(401).header("www-authenticate", challenge)
    });
    (registry, issuer)
}

#[tokio::test]
async fn a_token_is_fetched_once_and_renewed_when_refused() {
    // The first token holds for the tag `old` only.
    let (registry, issuer) = with_tokens(
        |request, token, _| token == "t2" || (token == "t1" && request.target.ends_with("/old")),
        |_| manifest(),
    );
    let (_folder, path) = auth_file(&registry.address, PASSWORD);
    let client = with_auth(&path);
    let repo = repo(&registry.address, "a");
    for tag in ["old", "old", "new", "new"] {
        assert!(client.manifest(&repo.with_tag(tag)).await.unwrap().is_some());
    }
    assert_eq!(issuer.lines(), ["GET /token?service=test+registry&scope=repository%3Aa%3Apull"; 2]);
    assert!(issuer.log().iter().all(|r| r.header("authorization") == Some(BASIC)));
    let sent: Vec<_> = registry.log().iter().map(|r| r.header("authorization").map(str::to_owned)).collect();
    let sent: Vec<_> = sent.iter().map(|h| h.as_deref().unwrap_or("-")).collect();
    assert_eq!(sent, ["-", "Bearer t1", "Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"]);
}

#[tokio::test]
async fn a_token_that_expires_during_an_upload_is_renewed() {
    let (registry, _issuer) = with_tokens(
        |request, token, _| match request.method.as_str() {
            "PUT" => token == "t2",
            _ => !token.is_empty(),
        },
        |request| match request.method.as_str() {
            "POST" => Answer::new(202).header("location", "/up/1"),
            "PUT" => Answer::new(201),
            _ => Answer::new(404),
        },
    );
    let bytes = noise("auth", 500_000);
    let descriptor = Descriptor::of("x", &bytes);
    let client = anonymous();
    let repo = repo(&registry.address, "a");
    let sent = client.push_blob(&repo, &descriptor, &Blob::Bytes(bytes.clone().into()), &[]).await.unwrap();
    assert_eq!(sent.how, How::Uploaded);
    let last = registry.log().pop().unwrap();
    assert!(last.method == "PUT" && last.body == bytes);
}

#[tokio::test]
async fn a_mount_asks_for_both_repositories() {
    let (registry, issuer) = with_tokens(
        |_, token, _| !token.is_empty(),
        |request| match request.line() {
            line if line.starts_with("HEAD /v2/other/") => Answer::new(200),
            line if line.contains("from=other") => Answer::new(201),
            _ => Answer::new(404),
        },
    );
    let descriptor = Descriptor::of("x", b"blob");
    let blob = Blob::Remote(repo(&registry.address, "other"));
    let sent = anonymous().push_blob(&repo(&registry.address, "a"), &descriptor, &blob, &[]).await.unwrap();
    assert_eq!(sent.how, How::Mounted);
    let scopes: Vec<_> =
        issuer.lines().iter().map(|l| l.replace("GET /token?service=test+registry&", "")).collect();
    // The registry's own scope names `a`, so it is added where it is not covered.
    assert_eq!(scopes[0], "scope=repository%3Aa%3Apull%2Cpush");
    assert!(
        scopes.contains(&"scope=repository%3Aa%3Apull%2Cpush&scope=repository%3Aother%3Apull".to_owned())
    );
}

#[tokio::test]
async fn identity_tokens_go_by_post_and_not_along_with_redirects() {
    let (registry, issuer) = with_tokens(|_, token, _| token == "t1", |_| manifest());
    let (_folder, path) =
        auth_file(&registry.address, r#"{"auth":"bm9uZTpub25l","identitytoken":"hunter2"}"#);
    let reference = repo(&registry.address, "a");
    assert!(with_auth(&path).manifest(&reference).await.unwrap().is_some());
    let asked = issuer.log().pop().unwrap();
    assert_eq!(asked.line(), "POST /token");
    let form = String::from_utf8(asked.body).unwrap();
    assert!(form.contains("grant_type=refresh_token") && form.ends_with("refresh_token=hunter2"), "{form}");

    let elsewhere = Fake::start(|_, _| Answer::new(200).body(r#"{"token":"t"}"#));
    let target = format!("http://{}/steal", elsewhere.address);
    let lured = Fake::start(move |request, _| match request.target.as_str() {
        "/token" => Answer::new(307).header("location", &target),
        _ => {
            let host = request.header("host").unwrap();
            Answer::new(401).header("www-authenticate", format!(r#"Bearer realm="http://{host}/token""#))
        }
    });
    let (_folder, path) = auth_file(&lured.address, r#"{"identitytoken":"hunter2"}"#);
    let error = with_auth(&path).manifest(&repo(&lured.address, "a")).await.unwrap_err();
    assert!(error.status() == Some(307) || matches!(error, Error::Answer { .. }), "{error}");
    assert!(elsewhere.lines().is_empty());
}

#[tokio::test]
async fn credentials_stay_with_their_registry() {
    let storage = Fake::start(|_, _| manifest());
    let target = format!("http://{}/bucket", storage.address);
    let registry = Fake::start(move |request, _| match request.header("authorization") {
        None => Answer::new(401).header("www-authenticate", r#"Basic realm="r""#),
        Some(BASIC) if request.method == "POST" => Answer::new(202).header("location", &target),
        Some(BASIC) if request.method == "HEAD" => Answer::new(404),
        Some(BASIC) => Answer::new(307).header("location", &target),
        Some(_) => Answer::new(403),
    });
    let (_folder, path) = auth_file(&registry.address, PASSWORD);
    let client = with_auth(&path);
    let repo = repo(&registry.address, "a");
    assert!(client.manifest(&repo).await.unwrap().is_some());
    let bytes = noise("x", 10);
    let descriptor = Descriptor::of("x", &bytes);
    client.push_blob(&repo, &descriptor, &Blob::Bytes(bytes.into()), &[]).await.unwrap();
    let log = storage.log();
    assert_eq!(log.iter().map(|r| r.method.as_str()).collect::<Vec<_>>(), ["GET", "PUT"]);
    assert!(log.iter().all(|r| r.header("authorization").is_none()));
}

#[tokio::test]
async fn no_secret_in_any_error() {
    // Whoever is told a secret repeats it in every way there is.
    let repeats = Fake::start(|request, _| {
        let told = request.header("authorization").unwrap_or("").to_owned();
        match request.target.as_str() {
            target if target.starts_with("/token") => Answer::new(401)
                .body(format!(r#"{{"errors":[{{"code":"NO","message":"bad {told} hunter2"}}]}}"#)),
            target if target.starts_with("/v2/basic/") => {
                Answer::new(401).header("www-authenticate", r#"Basic realm="r""#)
            }
            _ => {
                let host = request.header("host").unwrap();
                Answer::new(401).header(
                    "www-authenticate",
                    format!(r#"Bearer realm="http://u:hunter2@{host}/token?k=hunter2""#),
                )
            }
        }
    });
    for entry in [PASSWORD, r#"{"identitytoken":"hunter2"}"#, r#"{"registrytoken":"hunter2"}"#] {
        let (_folder, path) = auth_file(&repeats.address, entry);
        for name in ["basic", "bearer"] {
            let client = with_auth(&path);
            let error = client.manifest(&repo(&repeats.address, name)).await.unwrap_err();
            let text = format!("{error} {error:?} {:?} {client:?}", error.hint());
            assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{entry} {name}: {text}");
            assert_eq!(error.status(), Some(401), "{text}");
            assert!(error.hint().unwrap().contains("log in"));
        }
    }
}

#[tokio::test]
async fn credential_helpers_are_run() {
    let registry = Fake::start(|request, _| match request.header("authorization") {
        Some(BASIC) => manifest(),
        _ => Answer::new(401).header("www-authenticate", r#"Basic realm="r""#),
    });
    let folder = tempfile::tempdir().unwrap();
    // Written by another process, so that no thread of this one can hold it open while it is started.
    let script = "#!/bin/sh\nread server\necho \"$1 $server\" >> \"$(dirname \"$0\")/asked\"\n\
                  echo '{\"ServerURL\":\"x\",\"Username\":\"robot\",\"Secret\":\"hunter2\"}'\n";
    let path = folder.path().join("docker-credential-site");
    let made = Command::new("sh")
        .args(["-c", r#"printf '%s' "$1" > "$2" && chmod 755 "$2""#, "sh", script])
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::write(folder.path().join("config.json"), r#"{"credsStore":"site"}"#).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let keyring = Keyring::from_environment(|name| match name {
        "DOCKER_CONFIG" => Some(folder.path().into()),
        "PATH" => Some(path.clone().into()),
        _ => None,
    });
    let client = Client::with(Settings { keyring, ..Settings::default() }, Arc::new(Silent)).unwrap();
    let repo = repo(&registry.address, "a");
    for _ in 0..2 {
        assert!(client.manifest(&repo).await.unwrap().is_some());
    }
    let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap();
    assert_eq!(asked, format!("get {}\n", registry.address), "once, and the server's name on its input");
}
