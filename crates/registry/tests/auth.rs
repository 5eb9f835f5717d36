//! Users, rules, TLS, and where a registry may listen.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::io::Write as _;
use std::sync::Arc;

use perijove_oci::Digest;
use perijove_registry::auth::Access;
use perijove_registry::{Error, Server, Settings, TlsFiles};
use serde_json::json;
use support::{Client, MANIFEST, Registry, image, read_reply};

fn users() -> String {
    // The lowest cost: these passwords guard nothing.
    let line = |name: &str| format!("{name}:{}\n", bcrypt::hash(format!("{name}'s"), 4).unwrap());
    [line("alice"), line("bob")].concat()
}

fn registry(rules: Option<&str>) -> Registry {
    let access = Access::parse(&users(), rules).unwrap();
    Registry::with(|settings| settings.access = Some(access))
}

fn push(client: &Client, repository: &str) -> u16 {
    client.put(&format!("/v2/{repository}/manifests/t"), MANIFEST, &image(b"{}", &[])).status
}

#[test]
fn nobody_without_a_password() {
    let registry = registry(None);
    let anybody = registry.client();
    for path in ["/v2/", "/v2/_catalog", "/v2/a/tags/list", "/v2/a/manifests/t"] {
        let reply = anybody.get(path);
        assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"perijove\", charset=\"UTF-8\""));
        reply.refused(401, "UNAUTHORIZED");
    }
    assert_eq!(push(&anybody, "a"), 401);
    for (user, password) in [("alice", ""), ("alice", "bob's"), ("carol", "carol's"), ("", "")] {
        anybody.login(user, password).get("/v2/").refused(401, "UNAUTHORIZED");
    }
    let alice = anybody.login("alice", "alice's");
    alice.get("/v2/").expect(200);
    assert_eq!(push(&alice, "a"), 201);
    // Remembered or not, a wrong password is wrong.
    anybody.login("alice", "wrong").get("/v2/").refused(401, "UNAUTHORIZED");
    alice.get("/v2/a/manifests/t").expect(200);
}

#[test]
fn rules_by_repository() {
    let registry = registry(Some("alice * write\nbob team/* read\nbob own write\nanonymous public/* read\n"));
    let anybody = registry.client();
    let (alice, bob) = (anybody.login("alice", "alice's"), anybody.login("bob", "bob's"));
    for repository in ["team/hub", "own", "secret", "public/x"] {
        assert_eq!(push(&alice, repository), 201);
    }
    bob.get("/v2/team/hub/manifests/t").expect(200);
    bob.get("/v2/secret/manifests/t").refused(403, "DENIED");
    assert_eq!((push(&bob, "team/hub"), push(&bob, "own")), (403, 201));
    bob.delete("/v2/team/hub/manifests/t").refused(403, "DENIED");
    bob.post("/v2/team/hub/blobs/uploads/", b"").refused(403, "DENIED");
    anybody.get("/v2/public/x/manifests/t").expect(200);
    assert_eq!(push(&anybody, "public/x"), 401);
    anybody.get("/v2/").expect(200);

    let seen = |client: &Client| client.get("/v2/_catalog").expect(200).json()["repositories"].clone();
    assert_eq!(seen(&alice), json!(["own", "public/x", "secret", "team/hub"]));
    assert_eq!(seen(&bob), json!(["own", "public/x", "team/hub"]));
    assert_eq!(seen(&anybody), json!(["public/x"]));
}

#[test]
fn mounting_needs_the_right_to_read() {
    let registry = registry(Some("alice * write\nbob own write\nbob team/* read\n"));
    let anybody = registry.client();
    let (alice, bob) = (anybody.login("alice", "alice's"), anybody.login("bob", "bob's"));
    let secret = alice.push_blob("secret", b"secret");
    for query in [format!("mount={secret}&from=secret"), format!("mount={secret}")] {
        bob.post(&format!("/v2/own/blobs/uploads/?{query}"), b"").expect(202);
    }
    bob.get(&format!("/v2/own/blobs/{secret}")).expect(404);
    let shared = alice.push_blob("team/x", b"shared");
    bob.post(&format!("/v2/own/blobs/uploads/?mount={shared}"), b"").expect(201);
}

#[test]
fn anonymous_reading() {
    let access = Access::parse(&users(), None).unwrap().with_anonymous_read();
    let registry = Registry::with(|settings| settings.access = Some(access));
    let anybody = registry.client();
    assert_eq!(push(&anybody.login("bob", "bob's"), "a"), 201);
    anybody.get("/v2/a/manifests/t").expect(200);
    assert_eq!(push(&anybody, "a"), 401);
    anybody.login("bob", "wrong").get("/v2/a/manifests/t").refused(401, "UNAUTHORIZED");
}

#[test]
fn beyond_loopback_only_with_tls_and_users() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(root.path().join("store"));
    settings.listen = "0.0.0.0:0".parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(Server::bind(settings)).err().unwrap();
    assert!(matches!(error, Error::Exposed { missing: "TLS and users", .. }), "{error}");
    assert!(error.hint().is_some());
    assert!(!root.path().join("store").exists(), "nothing was made");
}

/// A certificate for 127.0.0.1 and its key in files.
fn certificate(folder: &std::path::Path) -> (TlsFiles, rustls::pki_types::CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let files = TlsFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    (files, made.cert.der().clone())
}

#[test]
fn over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (files, certificate) = certificate(folder.path());
    let access = Access::parse(&users(), None).unwrap();
    let registry = Registry::with(|settings| {
        settings.tls = Some(files);
        settings.access = Some(access);
    });
    let client = registry.client().login("alice", "alice's");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let send = |method: &str, path: &str, body: &[u8]| {
        let name = "127.0.0.1".try_into().unwrap();
        let connection = rustls::ClientConnection::new(config.clone(), name).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, client.connect());
        let head = client.head_of(method, path, &[("Content-Length", &body.len().to_string())]);
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        read_reply(&mut stream, false).unwrap()
    };
    let bytes = vec![5; 1_000_000];
    let digest = Digest::sha256(&bytes);
    send("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &bytes).expect(201);
    assert!(send("GET", &format!("/v2/a/blobs/{digest}"), b"").expect(200).body == bytes);
    // Plain HTTP is not spoken there.
    assert!(client.try_send("GET", "/v2/", &[], b"").is_err());
}

#[test]
fn wrong_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = certificate(folder.path());
    let bind = |files: TlsFiles| {
        let mut settings = Settings::new(folder.path().join("store"));
        settings.listen.set_port(0);
        settings.tls = Some(files);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Server::bind(settings)).err().unwrap().to_string()
    };
    let missing = TlsFiles { key: folder.path().join("none.pem"), ..files.clone() };
    assert!(bind(missing).contains("none.pem"));
    let swapped = TlsFiles { certificate: files.key.clone(), key: files.certificate.clone() };
    assert!(bind(swapped).contains("key.pem"));
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let mixed = TlsFiles { key: certificate(&other).0.key, ..files };
    assert!(bind(mixed).contains("cert.pem"));

    let path = folder.path().join("users");
    std::fs::write(&path, "alice:{SHA}x\n").unwrap();
    let error = Access::load(&path, None).unwrap_err().to_string();
    assert!(error.ends_with("users:1: the hash of `alice` is not a bcrypt hash ($2y$…)"), "{error}");
}
