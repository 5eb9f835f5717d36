//! Deleting at a registry that does as ghcr.io does: 405 to the distribution-spec's DELETE, and versions of packages
//! behind an interface of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use perijove_oci::auth::Keyring;
use perijove_oci::client::{Client, Deleted, Packages, Settings};
use perijove_oci::report::Silent;
use perijove_oci::{Digest, Error, media};
use perijove_testkit::web::{Answer, Asked, Server};
use serde_json::json;

use crate::support::repo;

/// Versions by number: bytes and tags. `None` once the package is gone.
type Package = Arc<Mutex<Option<BTreeMap<u64, (Vec<u8>, Vec<String>)>>>>;

fn index(children: &[&[u8]]) -> Vec<u8> {
    let entry = |bytes: &&[u8]| json!({ "mediaType": media::MANIFEST, "digest": Digest::sha256(bytes), "size": bytes.len() });
    let manifests: Vec<_> = children.iter().map(entry).collect();
    serde_json::to_vec(&json!({ "schemaVersion": 2, "mediaType": media::INDEX, "manifests": manifests }))
        .unwrap()
}

fn manifest(name: &str) -> Vec<u8> {
    serde_json::to_vec(
        &json!({ "schemaVersion": 2, "mediaType": media::MANIFEST, "annotations": { "name": name } }),
    )
    .unwrap()
}

fn answer(package: &Package, asked: &Asked, owner: &str) -> Answer {
    let mut package = package.lock().unwrap();
    let base = format!("/api/{owner}/packages/container/staging%2Fhub");
    if let Some(reference) = asked.path.strip_prefix("/v2/team/staging/hub/manifests/") {
        if asked.method == "DELETE" {
            return Answer::status(405);
        }
        let all = package.iter().flatten().map(|(_, version)| version);
        let mut found = all.filter(|(bytes, tags)| {
            Digest::sha256(bytes).to_string() == reference || tags.iter().any(|tag| tag == reference)
        });
        return found.next().map_or(Answer::status(404), |(bytes, _)| {
            let kind =
                if bytes.windows(9).any(|w| w == b"manifests") { media::INDEX } else { media::MANIFEST };
            Answer::ok(kind, bytes.clone())
        });
    }
    let Some(rest) = asked.path.strip_prefix(&base) else { return Answer::status(404) };
    if asked.authorization.as_deref() != Some("Bearer secret") {
        return Answer::status(401);
    }
    let Some(versions) = package.as_mut() else { return Answer::status(404) };
    match (asked.method.as_str(), rest.strip_prefix("/versions")) {
        ("GET", Some(query)) => {
            let page: usize = query.rsplit_once("page=").unwrap().1.parse().unwrap();
            let all = versions.iter().skip((page - 1) * 100).take(100).map(|(id, (bytes, tags))| {
                json!({ "id": id, "name": Digest::sha256(bytes), "metadata": { "container": { "tags": tags } } })
            });
            Answer::ok("application/json", serde_json::to_vec(&all.collect::<Vec<_>>()).unwrap())
        }
        ("DELETE", Some(id)) => {
            let id: u64 = id[1..].parse().unwrap();
            let tagged = |version: &&(Vec<u8>, Vec<String>)| !version.1.is_empty();
            if versions.values().filter(tagged).count() == 1 && tagged(&&versions[&id]) {
                let said = br#"{"message":"You cannot delete the last tagged version of a package. You must delete the package instead."}"#;
                return Answer { status: 400, ..Answer::ok("application/json", said.to_vec()) };
            }
            versions.remove(&id);
            Answer::status(204)
        }
        ("DELETE", None) => {
            *package = None;
            Answer::status(204)
        }
        _ => Answer::status(400),
    }
}

struct Ghcr {
    package: Package,
    client: Client,
    repo: perijove_oci::Reference,
    auth: tempfile::NamedTempFile,
    server: Server,
}

/// A client with the credentials of this file.
fn client(address: &str, auth: &Path) -> Client {
    let settings = Settings {
        keyring: Keyring::of_file(auth),
        packages: Some(Packages {
            registry: address.to_owned(),
            api: format!("http://{address}/api/").parse().unwrap(),
        }),
        ..Settings::default()
    };
    Client::with(settings, Arc::new(Silent)).unwrap()
}

fn ghcr(owner: &'static str, images: &[(Vec<u8>, Vec<String>)]) -> Ghcr {
    let versions = images.iter().cloned().enumerate().map(|(id, version)| (id as u64, version)).collect();
    let package: Package = Arc::new(Mutex::new(Some(versions)));
    let served = Arc::clone(&package);
    let server = Server::start(move |asked| answer(&served, asked, owner));
    let auth = tempfile::NamedTempFile::new().unwrap();
    // `robot:secret`
    let entry = json!({ "auths": { &server.address: { "auth": "cm9ib3Q6c2VjcmV0" } } });
    std::fs::write(auth.path(), serde_json::to_vec(&entry).unwrap()).unwrap();
    let client = client(&server.address, auth.path());
    Ghcr { package, client, repo: repo(&server.address, "team/staging/hub"), auth, server }
}

impl Ghcr {
    /// The versions that are left.
    fn left(&self) -> Vec<u64> {
        self.package.lock().unwrap().iter().flatten().map(|(id, _)| *id).collect()
    }

    async fn delete(&self, tags: &[&str]) -> Result<Vec<Deleted>, Error> {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self.client.delete_tags(&self.repo, &tags).await
    }
}

/// Two images of two platforms each that share one, and the list of referrers of the first with its one entry.
fn images() -> Vec<(Vec<u8>, Vec<String>)> {
    let (amd, arm, other) = (manifest("amd64"), manifest("arm64"), manifest("other arm64"));
    let (seven, eight) = (index(&[&amd, &arm]), index(&[&amd, &other]));
    let sbom = manifest("sbom");
    let list = index(&[&sbom]);
    let fallback = Digest::sha256(&seven).to_string().replace(':', "-");
    vec![
        (amd, vec![]),
        (arm, vec![]),
        (other, vec![]),
        (seven, vec!["1.0.0-0.pr7".to_owned()]),
        (eight, vec!["1.0.0-0.pr8".to_owned()]),
        (sbom, vec![]),
        (list, vec![fallback]),
    ]
}

#[tokio::test]
async fn a_version_goes_with_what_only_it_needs() {
    for owner in ["orgs/team", "users/team"] {
        let ghcr = ghcr(owner, &images());
        assert_eq!(ghcr.delete(&["1.0.0-0.pr7"]).await.unwrap(), [Deleted::Manifest]);
        // The other image has its index and both of its platforms.
        assert_eq!(ghcr.left(), [0, 2, 4], "{owner}");
        assert_eq!(ghcr.delete(&["1.0.0-0.pr7"]).await.unwrap(), [Deleted::Absent]);
        // The last tagged version takes the package along.
        assert_eq!(ghcr.delete(&["1.0.0-0.pr8"]).await.unwrap(), [Deleted::Manifest]);
        assert!(ghcr.package.lock().unwrap().is_none());
        assert_eq!(ghcr.delete(&["1.0.0-0.pr8"]).await.unwrap(), [Deleted::Absent]);
    }
}

#[tokio::test]
async fn a_version_with_another_tag_stays() {
    let mut all = images();
    all[3].1.push("5.3.0-1".to_owned());
    let ghcr = ghcr("orgs/team", &all);
    assert_eq!(ghcr.delete(&["1.0.0-0.pr7"]).await.unwrap(), [Deleted::Shared]);
    assert_eq!(ghcr.left().len(), all.len());
    let both = ["1.0.0-0.pr7", "5.3.0-1"];
    assert_eq!(ghcr.delete(&both).await.unwrap(), [Deleted::Manifest, Deleted::Absent]);
    assert_eq!(ghcr.left(), [0, 2, 4]);
}

#[tokio::test]
async fn long_lists_come_in_pages_and_refusals_are_named() {
    let mut all = images();
    let more = (0..250).map(|n| (manifest(&format!("{n}")), vec![]));
    all.splice(0..0, more);
    let mut ghcr = ghcr("orgs/team", &all);
    assert_eq!(ghcr.delete(&["1.0.0-0.pr7"]).await.unwrap(), [Deleted::Manifest]);
    assert_eq!(ghcr.left().len(), 253);
    std::fs::write(ghcr.auth.path(), "{}").unwrap();
    ghcr.client = client(&ghcr.repo.registry, ghcr.auth.path());
    let error = ghcr.delete(&["1.0.0-0.pr8"]).await.unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
    assert_eq!(ghcr.left().len(), 253);
}

#[tokio::test]
async fn the_versions_are_listed_once_for_all_tags() {
    let ghcr = ghcr("orgs/team", &images());
    let tags = ["1.0.0-0.pr7", "1.0.0-1.pr7", "1.0.0-0.pr8"];
    let how = ghcr.delete(&tags).await.unwrap();
    assert_eq!(how, [Deleted::Manifest, Deleted::Absent, Deleted::Manifest]);
    assert!(ghcr.package.lock().unwrap().is_none(), "{:?}", ghcr.left());
    let asked = ghcr.server.requests();
    assert_eq!(asked.iter().filter(|path| path.contains("/versions?")).count(), 1, "{asked:?}");
}
