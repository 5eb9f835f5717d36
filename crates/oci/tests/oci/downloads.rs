//! Fetching blobs over connections that break.

use std::sync::Arc;

use perijove_oci::{Descriptor, Error};

use crate::fake::{Answer, Fake};
use crate::support::{Recorder, anonymous, noise, repo};

const SIZE: usize = 3_000_000;
const CUT: usize = 1_100_000;

fn blob() -> (Vec<u8>, Descriptor) {
    let bytes = noise("blob", SIZE);
    let descriptor = Descriptor::of("x", &bytes);
    (bytes, descriptor)
}

/// What lies in the folder: nothing may be left over.
fn files(folder: &tempfile::TempDir) -> Vec<String> {
    std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_ended() {
    let (bytes, descriptor) = blob();
    let whole = bytes.clone();
    let fake = Fake::start(move |request, before| match (before, request.header("range")) {
        (0, None) => Answer::new(200).body(&whole).cut_after(CUT),
        (_, Some(range)) => {
            let start: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
            let answer = Answer::new(206)
                .header("content-range", format!("bytes {start}-{}/{SIZE}", SIZE - 1))
                .body(&whole[start..]);
            if before == 1 { answer.cut_after(700_000) } else { answer }
        }
        _ => Answer::new(500),
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blob");
    let recorder = Arc::new(Recorder::default());
    let client = recorder.client();
    let received = client.blob_to_file(&repo(&fake.address, "a"), &descriptor, &path).await.unwrap();
    assert_eq!(received, SIZE as u64, "no byte came twice");
    assert_eq!(client.received_bytes(), SIZE as u64);
    assert!(std::fs::read(&path).unwrap() == bytes);
    let ranges: Vec<_> = fake.log().iter().map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some(format!("bytes={CUT}-")), Some(format!("bytes={}-", CUT + 700_000))]);
    assert_eq!(files(&folder), ["blob"]);
    recorder.assert_one_task("pull a", SIZE as u64);
}

#[tokio::test]
async fn a_server_without_ranges_starts_again() {
    let (bytes, descriptor) = blob();
    let whole = bytes.clone();
    // After the cut: first a part that nobody asked for, then the whole.
    let fake = Fake::start(move |_, before| match before {
        0 => Answer::new(200).body(&whole).cut_after(CUT),
        1 => Answer::new(206).header("content-range", format!("bytes 0-9/{SIZE}")).body(&whole[..10]),
        _ => Answer::new(200).body(&whole),
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blob");
    anonymous().blob_to_file(&repo(&fake.address, "a"), &descriptor, &path).await.unwrap();
    assert!(std::fs::read(&path).unwrap() == bytes);
}

#[tokio::test]
async fn wrong_bytes_leave_no_file() {
    let (bytes, descriptor) = blob();
    let mut wrong = bytes.clone();
    wrong[CUT] ^= 1;
    let mut long = bytes.clone();
    long.push(0);
    for (body, expected) in
        [(wrong, "expected sha256"), (long, "more bytes than"), (Vec::new(), "ended early")]
    {
        let fake = Fake::start(move |_, _| Answer::new(200).body(&body));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        let error =
            anonymous().blob_to_file(&repo(&fake.address, "a"), &descriptor, &path).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().is_some());
        assert!(files(&folder).is_empty());
    }
}

#[tokio::test]
async fn small_blobs_in_memory_are_bounded_and_checked() {
    let (bytes, descriptor) = blob();
    let whole = bytes.clone();
    let fake = Fake::start(move |request, before| match (request.target.contains("/a/"), before) {
        (true, 0) => Answer::new(200).body(&whole).cut_after(10),
        (true, _) => Answer::new(200).body(&whole),
        (false, _) => Answer::new(404),
    });
    let (here, missing) = (repo(&fake.address, "a"), repo(&fake.address, "b"));
    let client = anonymous();
    assert!(client.blob_bytes(&here, &descriptor, SIZE as u64).await.unwrap() == bytes);
    let error = client.blob_bytes(&here, &descriptor, 10).await.unwrap_err();
    assert!(error.to_string().contains("10 are allowed"), "{error}");
    assert!(matches!(client.blob_bytes(&missing, &descriptor, 1 << 30).await, Err(Error::NotFound { .. })));
    let other = Descriptor::new("x", Descriptor::of("x", b"other").digest, SIZE as u64);
    assert!(matches!(client.blob_bytes(&here, &other, 1 << 30).await, Err(Error::Digest { .. })));
}

#[tokio::test]
async fn a_redirect_to_storage_is_followed_and_resumed() {
    let (bytes, descriptor) = blob();
    let whole = bytes.clone();
    let storage = Fake::start(move |request, _| match request.header("range") {
        None => Answer::new(200).body(&whole).cut_after(CUT),
        Some(_) => Answer::new(206)
            .header("content-range", format!("bytes {CUT}-{}/{SIZE}", SIZE - 1))
            .body(&whole[CUT..]),
    });
    let target = format!("http://{}/bucket/blob?signature=x", storage.address);
    let fake = Fake::start(move |_, _| Answer::new(307).header("location", &target));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blob");
    anonymous().blob_to_file(&repo(&fake.address, "a"), &descriptor, &path).await.unwrap();
    assert!(std::fs::read(&path).unwrap() == bytes);
    assert_eq!(storage.lines().len(), 2);
}
