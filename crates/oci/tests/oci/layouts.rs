//! Image layouts: written, read, added to, and left alone when something fails.

use std::fs;
use std::path::Path;

use perijove_oci::{Blob, Error, ImageContent, layout};

use crate::support::image;

fn names(dir: &Path) -> Vec<String> {
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.join("index.json")).unwrap()).unwrap();
    let name = |d: &serde_json::Value| d["annotations"][layout::REF_NAME].as_str().unwrap_or("-").to_owned();
    index["manifests"].as_array().unwrap().iter().map(name).collect()
}

fn same(a: &ImageContent, b: &ImageContent) {
    assert_eq!(a.root.digest, b.root.digest);
    assert_eq!(a.manifests, b.manifests);
    assert_eq!(a.referrers, b.referrers);
    assert_eq!(a.blobs.keys().collect::<Vec<_>>(), b.blobs.keys().collect::<Vec<_>>());
}

#[test]
fn several_images_in_one_layout() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("layout");
    let (one, two) = (image("one"), image("two"));
    layout::write_layout(&dir, &one, Some("1")).unwrap();
    same(&layout::read_layout(&dir, None).unwrap(), &one);
    layout::write_layout(&dir, &two, Some("2")).unwrap();
    layout::write_layout(&dir, &two, Some("2")).unwrap();
    assert_eq!(names(&dir), ["1", "-", "2", "-"]);
    same(&layout::read_layout(&dir, Some("1")).unwrap(), &one);
    same(&layout::read_layout(&dir, Some("2")).unwrap(), &two);
    let error = layout::read_layout(&dir, None).unwrap_err().to_string();
    assert!(error.ends_with("name one of: 1, 2"), "{error}");
    layout::write_layout(&dir, &one, Some("2")).unwrap();
    same(&layout::read_layout(&dir, Some("2")).unwrap(), &one);
    assert!(layout::read_layout(&dir, Some("3")).is_err());
}

#[test]
fn a_failed_write_changes_nothing_that_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (one, mut two) = (image("one"), image("two"));
    layout::write_layout(folder.path(), &one, Some("1")).unwrap();
    let index = fs::read(folder.path().join("index.json")).unwrap();
    let digest = two.blobs.keys().last().unwrap().clone();
    let descriptor = two.blobs[&digest].0.clone();
    for blob in [
        Blob::Remote("r.example/a".parse().unwrap()),
        Blob::Files(vec![folder.path().join("is-not-there")]),
        Blob::Bytes(vec![0; descriptor.size as usize].into()),
        Blob::Bytes(vec![0; 3].into()),
    ] {
        two.add_blob(descriptor.clone(), blob);
        layout::write_layout(folder.path(), &two, Some("1")).unwrap_err();
        assert!(fs::read(folder.path().join("index.json")).unwrap() == index);
        same(&layout::read_layout(folder.path(), Some("1")).unwrap(), &one);
    }
    two.blobs.remove(&digest);
    assert!(matches!(layout::write_layout(folder.path(), &two, None), Err(Error::Content { .. })));
    let leftovers = walk(folder.path()).into_iter().filter(|p| p.contains(".part-")).count();
    assert_eq!(leftovers, 0);
}

fn walk(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path.display().to_string()) }
    }
    found
}

#[test]
fn damage_is_found_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let one = image("one");
    layout::write_layout(folder.path(), &one, None).unwrap();
    let manifest = folder.path().join("blobs/sha256").join(one.root.digest.hex());
    fs::write(&manifest, "{}").unwrap();
    assert!(matches!(layout::read_layout(folder.path(), None), Err(Error::Digest { .. })));
    let (blob, _) = one.blobs.values().next().unwrap();
    let path = folder.path().join("blobs/sha256").join(blob.digest.hex());
    fs::write(&path, vec![0; blob.size as usize]).unwrap();
    layout::write_layout(folder.path(), &one, None).unwrap();
    same(&layout::read_layout(folder.path(), None).unwrap(), &one);
    fs::write(&path, "short").unwrap();
    assert!(layout::read_layout(folder.path(), None).is_err());
}

#[test]
fn folders_of_others_are_left_alone() {
    let one = image("one");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "x").unwrap();
    let error = layout::write_layout(folder.path(), &one, None).unwrap_err();
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    assert_eq!(walk(folder.path()).len(), 1);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(layout::write_layout(folder.path(), &one, None).is_err());
    assert!(layout::read_layout(folder.path(), None).is_err());
}

#[test]
fn writers_of_one_layout_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let dir = folder.path();
            scope.spawn(move || {
                layout::write_layout(dir, &image(&format!("image {n}")), Some(&format!("t{n}"))).unwrap();
            });
        }
    });
    for n in 0..8 {
        same(
            &layout::read_layout(folder.path(), Some(&format!("t{n}"))).unwrap(),
            &image(&format!("image {n}")),
        );
    }
}
