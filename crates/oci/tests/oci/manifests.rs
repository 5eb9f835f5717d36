//! Manifests, tags and referrers of registries that answer well, badly, or not what was asked.

use std::time::{Duration, Instant};

use bytes::Bytes;
use perijove_oci::{Descriptor, Digest, Error, media};

use crate::fake::{Answer, Fake};
use crate::support::{anonymous, repo};

const MANIFEST: &str = r#"{"schemaVersion":2,"config":{"mediaType":"c","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;

fn manifest() -> Answer {
    Answer::new(200).header("content-type", media::MANIFEST).body(MANIFEST)
}

#[tokio::test]
async fn another_manifest_than_the_digest_is_refused() {
    let fake = Fake::start(|request, _| match request.target.as_str() {
        "/v2/a/manifests/announced" => manifest().header("docker-content-digest", Digest::sha256(b"else")),
        "/v2/a/manifests/fine" => {
            manifest().header("docker-content-digest", Digest::sha256(MANIFEST.as_bytes()))
        }
        "/v2/a/manifests/gone" => Answer::new(404).body("<html>"),
        _ => manifest(),
    });
    let (client, repo) = (anonymous(), repo(&fake.address, "a"));
    let announced = client.manifest(&repo.with_tag("announced")).await;
    assert!(matches!(announced, Err(Error::Digest { .. })), "{announced:?}");
    let asked = client.manifest(&repo.with_digest(&Digest::sha256(b"else"))).await;
    assert!(matches!(asked, Err(Error::Digest { .. })), "{asked:?}");
    assert_eq!(client.manifest(&repo.with_tag("gone")).await.unwrap(), None);
    let fine = client.manifest(&repo.with_tag("fine")).await.unwrap().unwrap();
    assert_eq!(fine.descriptor, Descriptor::of(media::MANIFEST, MANIFEST.as_bytes()));
    let sha512 = Digest::of(perijove_oci::Algorithm::Sha512, MANIFEST.as_bytes());
    let by_sha512 = client.manifest(&repo.with_digest(&sha512)).await.unwrap().unwrap();
    assert_eq!(by_sha512.descriptor.digest, sha512);
    // HEAD without the digest header falls back to the bytes.
    assert_eq!(client.head(&repo.with_tag("other")).await.unwrap().unwrap(), fine.descriptor);
    assert_eq!(client.head(&repo.with_tag("fine")).await.unwrap().unwrap(), fine.descriptor);
}

#[tokio::test]
async fn what_is_no_registry_is_named() {
    let fake = Fake::start(|request, _| match request.target.as_str() {
        "/v2/endless/manifests/latest" | "/v2/endless/tags/list?n=1000" => Answer::endless(),
        "/v2/loop/manifests/latest" => Answer::new(307).header("location", "/v2/loop/manifests/latest"),
        "/v2/broken/manifests/latest" => manifest().header("docker-content-digest", "sha256:nonsense"),
        "/v2/huge/manifests/latest" => {
            Answer::new(200).header("content-type", media::MANIFEST).body(vec![b' '; 9 << 20])
        }
        _ => Answer::new(200).header("content-type", "text/html; charset=utf-8").body("<html>Log in</html>"),
    });
    let client = anonymous();
    for (name, words) in [
        ("html", "this is no manifest, it came as text/html"),
        ("endless", "the answer is larger than 8388608 bytes"),
        ("huge", "the answer is larger than 8388608 bytes"),
        ("loop", "redirects in a loop"),
        ("broken", "Docker-Content-Digest is wrong"),
    ] {
        let error = client.manifest(&repo(&fake.address, name)).await.unwrap_err();
        assert!(
            matches!(&error, Error::Answer { reason, .. } if reason.contains(words)),
            "{name}: {error:?}"
        );
        assert!(error.hint().is_some());
    }
    for name in ["html", "endless"] {
        assert!(matches!(client.tags(&repo(&fake.address, name)).await, Err(Error::Answer { .. })), "{name}");
    }
}

#[tokio::test]
async fn tries_again_what_may_pass() {
    let fake = Fake::start(|request, before| match (request.target.as_str(), before) {
        ("/v2/busy/manifests/latest", 0) => Answer::new(429).header("retry-after", 1),
        ("/v2/flaky/manifests/latest", 0 | 1) => Answer::new(503),
        ("/v2/cut/manifests/latest", 0) => manifest().cut_after(20),
        ("/v2/down/manifests/latest", _) => Answer::new(503).body(vec![b'x'; 100_000]),
        ("/v2/denied/manifests/latest", _) => {
            Answer::new(403).body(r#"{"errors":[{"code":"DENIED","message":"not for you"}]}"#)
        }
        _ => manifest(),
    });
    let client = anonymous();
    let start = Instant::now();
    assert!(client.manifest(&repo(&fake.address, "busy")).await.unwrap().is_some());
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(client.manifest(&repo(&fake.address, "flaky")).await.unwrap().is_some());
    assert!(client.manifest(&repo(&fake.address, "cut")).await.unwrap().is_some());
    let error = client.manifest(&repo(&fake.address, "down")).await.unwrap_err();
    assert!(error.status() == Some(503) && error.to_string().len() < 450, "{error}");
    let error = client.manifest(&repo(&fake.address, "denied")).await.unwrap_err();
    assert!(error.to_string().ends_with("the registry answered 403 DENIED: not for you"), "{error}");
    assert_eq!(fake.lines().iter().filter(|l| l.contains("denied")).count(), 1);
    let closed = repo("127.0.0.1:1", "a");
    assert!(matches!(client.manifest(&closed).await, Err(Error::Unreachable { .. })));
}

#[tokio::test]
async fn tags_over_many_pages() {
    let fake = Fake::start(|request, _| {
        let link = |to: &str| Answer::new(200).header("link", format!("<{to}>; rel=\"next\""));
        let host = request.header("host").unwrap();
        match request.target.as_str() {
            "/v2/a/tags/list?n=1000" => {
                link("/v2/a/tags/list?n=2&last=b").body(r#"{"name":"a","tags":["a","b"]}"#)
            }
            "/v2/a/tags/list?n=2&last=b" => {
                link(&format!("http://{host}/v2/a/tags/list?n=2&last=d")).body(r#"{"tags":["c","d"]}"#)
            }
            "/v2/a/tags/list?n=2&last=d" => Answer::new(200).body(r#"{"tags":null}"#),
            "/v2/loop/tags/list?n=1000" => link("/v2/loop/tags/list?n=1000").body(r#"{"tags":["a"]}"#),
            "/v2/round/tags/list?n=1000" => link("?last=x").body(r#"{"tags":["a"]}"#),
            "/v2/round/tags/list?last=x" => link("?n=1000").body(r#"{"tags":["b"]}"#),
            _ => Answer::new(404),
        }
    });
    let client = anonymous();
    assert_eq!(client.tags(&repo(&fake.address, "a")).await.unwrap(), ["a", "b", "c", "d"]);
    assert!(client.tags(&repo(&fake.address, "none")).await.unwrap().is_empty());
    for name in ["loop", "round"] {
        let error = client.tags(&repo(&fake.address, name)).await.unwrap_err();
        assert!(error.to_string().contains("in a loop"), "{error}");
    }
}

#[tokio::test]
async fn several_tags_in_one_request() {
    let fake = Fake::start(|request, _| {
        let digest = Digest::sha256(MANIFEST.as_bytes());
        let created = Answer::new(201).header("docker-content-digest", &digest);
        match request.target.split(['/', '?']).nth(2) {
            // `all` takes the tags along, `some` only one of them, `old` knows nothing of it.
            Some("all") => created.header("oci-tag", "x").header("oci-tag", "y").header("oci-tag", "z"),
            Some("some") => created.header("oci-tag", "y"),
            Some("wrong") => Answer::new(201).header("docker-content-digest", Digest::sha256(b"else")),
            Some("taken") => {
                Answer::new(409).body(r#"{"errors":[{"code":"DENIED","message":"tag exists"}]}"#)
            }
            _ => created,
        }
    });
    let client = anonymous();
    let descriptor = Descriptor::of(media::MANIFEST, MANIFEST.as_bytes());
    let put = async |name: &str, tags: &[&str]| {
        let tags: Vec<String> = tags.iter().map(|t| (*t).to_owned()).collect();
        let bytes = Bytes::from_static(MANIFEST.as_bytes());
        client.put_manifest(&repo(&fake.address, name), &descriptor, bytes, &tags).await
    };
    let length = MANIFEST.len() as u64;
    for (name, tags, requests) in [
        ("all", &["x", "y", "z"][..], 1),
        ("some", &["x", "y", "z"], 3),
        ("old", &["x", "y"], 3),
        ("old", &["x"], 1),
        ("old", &[], 1),
    ] {
        assert_eq!(put(name, tags).await.unwrap(), requests * length, "{name} {tags:?}");
    }
    let first = fake.lines()[0].clone();
    assert_eq!(first, format!("PUT /v2/all/manifests/{}?tag=x&tag=y&tag=z", descriptor.digest));
    assert!(matches!(put("wrong", &["x"]).await, Err(Error::Digest { .. })));
    let taken = put("taken", &["x"]).await.unwrap_err();
    assert_eq!(taken.status(), Some(409));
    assert!(taken.hint().unwrap().contains("may not be overwritten"));
    let before = fake.lines().len();
    assert!(put("old", &["not a tag"]).await.is_err());
    assert_eq!(fake.lines().len(), before);
}

#[tokio::test]
async fn referrers_by_the_api() {
    let subject = Digest::sha256(b"subject");
    let one = |kind: &str| {
        format!(
            r#"{{"mediaType":"m","digest":"{}","size":1,"artifactType":"{kind}"}}"#,
            Digest::sha256(kind.as_bytes())
        )
    };
    let page = move |kinds: &[&str]| {
        let list: Vec<String> = kinds.iter().map(|k| one(k)).collect();
        let body = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, list.join(","));
        Answer::new(200).header("content-type", media::INDEX).body(body)
    };
    let target = format!("/v2/a/referrers/{subject}");
    let next = format!("<{target}?page=2>; rel=next");
    let fake = Fake::start(move |request, _| match request.target.strip_prefix(&target) {
        Some("?page=2") => page(&["z"]),
        Some(_) => page(&["x", "y"]).header("link", &next),
        None => Answer::new(200).header("content-type", "text/html").body("<html>"),
    });
    let client = anonymous();
    let kinds = async |kind: Option<&str>| {
        let found = client.referrers(&repo(&fake.address, "a"), &subject, kind).await.unwrap();
        found.into_iter().filter_map(|d| d.artifact_type).collect::<Vec<_>>()
    };
    assert_eq!(kinds(None).await, ["x", "y", "z"]);
    // This registry does not filter.
    assert_eq!(kinds(Some("y")).await, ["y"]);
}
