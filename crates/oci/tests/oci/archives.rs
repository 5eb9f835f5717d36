//! Archives: the same bytes for the same image, and podman takes them.

use std::fs;

use perijove_oci::{Blob, Digest, Platform, archive, media};

use crate::support::{image, image_of};
use perijove_testkit::has;
use perijove_testkit::peer::podman;

fn names() -> Vec<String> {
    vec!["localhost/team/app:1.0".to_owned()]
}

fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

#[test]
fn the_same_bytes_from_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let in_memory = image("one");
    let mut in_files = in_memory.clone();
    for (descriptor, blob) in in_files.blobs.values_mut() {
        let Blob::Bytes(bytes) = blob else { panic!() };
        let halves = bytes.split_at(bytes.len() / 2);
        let parts = [("a", halves.0), ("b", halves.1)].map(|(suffix, part)| {
            let path = folder.path().join(format!("{}-{suffix}", descriptor.digest.short()));
            fs::write(&path, part).unwrap();
            path
        });
        *blob = Blob::Files(parts.to_vec());
    }
    let write = |image, name: &str| {
        let (oci, docker) =
            (folder.path().join(format!("{name}.oci")), folder.path().join(format!("{name}.docker")));
        archive::write_oci_archive(&oci, image, Some("1.0")).unwrap();
        let id = archive::write_docker_archive(&docker, image, &amd64(), &names()).unwrap();
        [&oci, &docker]
            .map(|p| fs::read(p).unwrap())
            .map(|b| Digest::sha256(&b))
            .into_iter()
            .chain([id])
            .collect::<Vec<_>>()
    };
    assert_eq!(write(&in_memory, "one"), write(&in_files, "two"));
}

#[test]
fn nothing_is_left_of_an_archive_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let mut broken = image("one");
    let last = broken.blobs.keys().last().unwrap().clone();
    let descriptor = broken.blobs[&last].0.clone();
    broken.add_blob(descriptor.clone(), Blob::Bytes(vec![1; descriptor.size as usize].into()));
    let file = folder.path().join("image.tar");
    fs::write(&file, "old").unwrap();
    archive::write_oci_archive(&file, &broken, None).unwrap_err();
    let riscv = "linux/riscv64".parse().unwrap();
    archive::write_docker_archive(&file, &image("one"), &riscv, &names()).unwrap_err();
    let bad =
        archive::write_docker_archive(&file, &image("one"), &amd64(), &["Upper:1".to_owned()]).unwrap_err();
    assert!(bad.to_string().contains("Upper:1"), "{bad}");
    assert!(archive::write_docker_archive(&file, &image("one"), &amd64(), &["no-tag".to_owned()]).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(fs::read(&file).unwrap(), b"old");
}

#[test]
fn podman_loads_both() {
    let test = "podman_loads_both";
    if !has(test, "podman") {
        return;
    }
    for layers in [media::LAYER, media::LAYER_GZIP, media::LAYER_ZSTD] {
        let folder = tempfile::tempdir().unwrap();
        let image = image_of("one", layers);
        let manifest = image.image_for(&amd64()).unwrap();
        let config = image.links(&manifest).unwrap().config.unwrap().digest;
        let (oci, docker) = (folder.path().join("oci.tar"), folder.path().join("docker.tar"));
        archive::write_oci_archive(&oci, &image, Some("1.0")).unwrap();
        assert_eq!(archive::write_docker_archive(&docker, &image, &amd64(), &names()).unwrap(), config);

        let (ok, text) = podman(folder.path(), &["load", "--input", docker.to_str().unwrap()]);
        assert!(ok, "{layers}: {text}");
        let (_, id) =
            podman(folder.path(), &["images", "--no-trunc", "--format", "{{.ID}}", "localhost/team/app:1.0"]);
        assert_eq!(id.trim(), config.to_string());
        let (ok, text) = podman(folder.path(), &["rmi", "localhost/team/app:1.0"]);
        assert!(ok, "{layers}: {text}");

        let source = format!("oci-archive:{}:1.0", oci.display());
        let (ok, text) = podman(folder.path(), &["pull", "--quiet", "--arch", "amd64", &source]);
        assert!(ok && text.contains(config.hex()), "{text}");
    }
}
