//! Against Debian's docker-registry: push, pull, mount, copy, tags, referrers, users.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use perijove_oci::client::How;
use perijove_oci::push::PARALLEL;
use perijove_oci::{Blob, Descriptor, Digest, Error, layout, media};

use crate::cutter;
use crate::support::{self, anonymous, image, noise, with_auth};
use perijove_testkit::peer::Peer;
use perijove_testkit::registry::delete_blob;

fn tags(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[tokio::test]
async fn a_whole_image_there_and_back() {
    let Some(registry) = Peer::start("a_whole_image_there_and_back") else { return };
    let (client, repo, image) = (anonymous(), support::repo(&registry.address, "team/app"), image("one"));

    let report = client.push_image(&repo, &image, &tags(&["1", "1.0"]), &[], PARALLEL).await.unwrap();
    assert_eq!(report.digest, image.root.digest);
    assert_eq!((report.uploaded.len(), report.existed.len()), (image.blobs.len(), 0));
    assert_eq!(report.manifests.len(), image.manifests.len());
    let blobs: u64 = image.blobs.values().map(|(d, _)| d.size).sum();
    assert!(report.pushed_bytes > blobs && report.pushed_bytes == client.sent_bytes());

    let again = client.push_image(&repo, &image, &tags(&["1", "1.0"]), &[], PARALLEL).await.unwrap();
    assert_eq!(again.pushed_bytes, 0, "nothing changed, nothing is sent: {again:?}");
    let tagged = client.push_image(&repo, &image, &tags(&["1", "new"]), &[], PARALLEL).await.unwrap();
    assert_eq!(tagged.tags, ["new"]);
    let mut found = client.tags(&repo).await.unwrap();
    found.retain(|t| !t.starts_with("sha256-"));
    found.sort();
    assert_eq!(found, ["1", "1.0", "new"]);

    let folder = tempfile::tempdir().unwrap();
    let pulled =
        client.pull(&repo.with_tag("1.0"), None, folder.path(), Some("1.0"), PARALLEL).await.unwrap();
    assert_eq!(pulled.root.digest, image.root.digest);
    let read = layout::read_layout(folder.path(), Some("1.0")).unwrap();
    assert_eq!(read.root.digest, image.root.digest);
    // A second pull takes what is intact and fetches what is not.
    let before = client.received_bytes();
    let (broken, _) = image.blobs.values().max_by_key(|(d, _)| d.size).unwrap();
    let path = folder.path().join("blobs/sha256").join(broken.digest.hex());
    std::fs::write(&path, vec![0; broken.size as usize]).unwrap();
    client.pull(&repo.with_tag("1"), None, folder.path(), Some("1"), PARALLEL).await.unwrap();
    let manifests: u64 = read.manifests.values().map(|(_, b)| b.len() as u64).sum();
    assert_eq!(client.received_bytes() - before, broken.size + manifests);
    assert_eq!(Digest::sha256(&std::fs::read(&path).unwrap()), broken.digest);

    let platform = "linux/arm64".parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let one = client.pull(&repo.with_tag("1"), Some(&platform), folder.path(), None, PARALLEL).await.unwrap();
    assert_eq!(one.root.digest, image.image_for(&platform).unwrap());
    assert_eq!(one.manifests.len(), 1);
    let riscv = "linux/riscv64".parse().unwrap();
    let error =
        client.pull(&repo.with_tag("1"), Some(&riscv), folder.path(), None, PARALLEL).await.unwrap_err();
    assert!(error.to_string().contains("there is: linux/amd64, linux/arm64"), "{error}");
    let missing = client.pull(&repo.with_tag("none"), None, folder.path(), None, PARALLEL).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_small_change_moves_little() {
    let Some(registry) = Peer::start("a_small_change_moves_little") else { return };
    let (client, repo) = (anonymous(), support::repo(&registry.address, "app"));
    let (one, two) = (image("one"), image("two"));
    let first = client.push_image(&repo, &one, &tags(&["1"]), &[], PARALLEL).await.unwrap();
    let second = client.push_image(&repo, &two, &tags(&["2"]), &[], PARALLEL).await.unwrap();
    // The shared layer and the empty configuration are there.
    assert_eq!(second.existed.len(), 2);
    assert!(second.pushed_bytes < first.pushed_bytes);

    // Another repository mounts all blobs; another registry gets them from this one.
    let copy = client.remote_image(&repo.with_tag("2"), None).await.unwrap();
    let other = support::repo(&registry.address, "other/app");
    let mounted = client.push_image(&other, &copy, &tags(&["2"]), &[], PARALLEL).await.unwrap();
    assert_eq!((mounted.mounted.len(), mounted.uploaded.len()), (copy.blobs.len(), 0));
    let manifests: u64 = copy.manifests.values().map(|(_, b)| b.len() as u64).sum();
    assert_eq!(mounted.pushed_bytes, manifests);
    let (blob, place) = two.blobs.values().next().unwrap();
    let named = support::repo(&registry.address, "third");
    let sent = client.push_blob(&named, blob, place, &tags(&["nowhere", "app"])).await.unwrap();
    assert_eq!(sent.how, How::Mounted);

    let Some(elsewhere) = Peer::start("a_small_change_moves_little") else { return };
    let there = support::repo(&elsewhere.address, "app");
    let report = client.push_image(&there, &copy, &tags(&["2"]), &[], PARALLEL).await.unwrap();
    assert_eq!(report.uploaded.len(), copy.blobs.len());
    assert_eq!(client.head(&there.with_tag("2")).await.unwrap().unwrap().digest, two.root.digest);
}

#[tokio::test]
async fn blobs_that_were_deleted_go_up_again() {
    let Some(registry) = Peer::start("blobs_that_were_deleted_go_up_again") else { return };
    let (client, repo, image) = (anonymous(), support::repo(&registry.address, "app"), image("one"));
    client.push_image(&repo, &image, &tags(&["1"]), &[], PARALLEL).await.unwrap();
    let sbom = image.links(&image.referrers[0]).unwrap().layers[0].digest.clone();
    let config = image.links(&image.image_for(&"linux/arm64".parse().unwrap()).unwrap()).unwrap().config;
    let layer = image.blobs.values().max_by_key(|(d, _)| d.size).unwrap().0.digest.clone();
    // The manifests stay, and the tag of the first push points where it shall point.
    for (lost, tag) in [(layer, "1"), (config.unwrap().digest, "2"), (sbom, "1")] {
        delete_blob(&registry.address, "app", &lost.to_string());
        assert!(!client.blob_exists(&repo, &lost).await.unwrap());
        let report = client.push_image(&repo, &image, &tags(&[tag]), &[], PARALLEL).await.unwrap();
        assert_eq!((report.uploaded, report.manifests.len()), (vec![lost], usize::from(tag == "2")));
        let folder = tempfile::tempdir().unwrap();
        client.pull(&repo.with_tag(tag), None, folder.path(), None, PARALLEL).await.unwrap();
    }
    // What is nowhere else cannot go up again, and that is said.
    let remote = client.remote_image(&repo.with_tag("1"), None).await.unwrap();
    let lost = remote.blobs.keys().next().unwrap();
    delete_blob(&registry.address, "app", &lost.to_string());
    let error = client.push_image(&repo, &remote, &tags(&["3"]), &[], PARALLEL).await.unwrap_err();
    assert!(matches!(error, Error::Lost { .. }) && error.to_string().contains(lost.hex()), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(client.head(&repo.with_tag("3")).await.unwrap(), None, "no tag for what cannot be pulled");
}

#[tokio::test]
async fn a_wire_that_is_cut_half_way() {
    let Some(registry) = Peer::start("a_wire_that_is_cut_half_way") else { return };
    let bytes = noise("wire", 6_000_000);
    let descriptor = Descriptor::of("x", &bytes);
    let blob = Blob::Bytes(bytes.clone().into());
    let client = anonymous();
    let cut = Arc::new(AtomicBool::new(false));
    let wired = support::repo(&cutter::wire(&registry.address, 2_000_000, &cut), "app");
    let sent = client.push_blob(&wired, &descriptor, &blob, &[]).await.unwrap();
    assert!(cut.swap(false, Ordering::SeqCst), "the upload was cut");
    assert!(sent.how == How::Uploaded && sent.bytes_sent > descriptor.size, "{sent:?}");
    assert!(client.blob_exists(&support::repo(&registry.address, "app"), &descriptor.digest).await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blob");
    let received = client.blob_to_file(&wired, &descriptor, &path).await.unwrap();
    assert!(cut.load(Ordering::SeqCst), "the download was cut");
    assert_eq!(received, descriptor.size, "and went on where it ended");
    assert!(std::fs::read(&path).unwrap() == bytes);
}

#[tokio::test]
async fn referrers_without_the_api() {
    let Some(registry) = Peer::start("referrers_without_the_api") else { return };
    let (client, repo, image) = (anonymous(), support::repo(&registry.address, "app"), image("one"));
    client.push_image(&repo, &image, &tags(&["1"]), &[], PARALLEL).await.unwrap();
    let subject = image.image_for(&"linux/amd64".parse().unwrap()).unwrap();
    let found = client.referrers(&repo, &subject, Some(media::CYCLONEDX)).await.unwrap();
    assert_eq!(
        found.iter().map(|d| &d.digest).collect::<Vec<_>>(),
        image.referrers.iter().collect::<Vec<_>>()
    );
    assert!(client.referrers(&repo, &subject, Some("other")).await.unwrap().is_empty());
    assert!(client.referrers(&repo, &image.root.digest, None).await.unwrap().is_empty());
    assert!(client.tags(&repo).await.unwrap().contains(&format!("sha256-{}", subject.hex())));
}

#[tokio::test]
async fn users_of_htpasswd() {
    let test = "users_of_htpasswd";
    // The hash of `correct horse`.
    let line = "robot:$2y$05$Z7NOPQKvagzrPpUskE.9R.DfNn9KM8doJALFvwW9bYI0DTnyQiEGy\n";
    let registry = Peer::start_with(test, |folder| {
        let path = folder.join("htpasswd");
        std::fs::write(&path, line).unwrap();
        format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", path.display())
    });
    let Some(registry) = registry else { return };
    let (repo, image) = (support::repo(&registry.address, "app"), image("one"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.json");
    let login = |password: &str| {
        let entry = format!(
            r#"{{"auths":{{"{}":{{"username":"robot","password":"{password}"}}}}}}"#,
            registry.address
        );
        std::fs::write(&file, entry).unwrap();
        with_auth(&file)
    };
    for client in [anonymous(), login("wrong horse")] {
        let error = client.push_image(&repo, &image, &tags(&["1"]), &[], PARALLEL).await.unwrap_err();
        assert_eq!(error.status(), Some(401));
        assert!(!format!("{error} {error:?}").contains("horse"));
    }
    let client = login("correct horse");
    client.push_image(&repo, &image, &tags(&["1"]), &[], PARALLEL).await.unwrap();
    assert_eq!(client.head(&repo.with_tag("1")).await.unwrap().unwrap().digest, image.root.digest);
}
