//! What a release costs its registries: requests, not times.

use std::collections::BTreeSet;

use perijove_testkit::front::Front;
use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;

use crate::scene::{BUILDS, Site, images};

const IMAGES: [&str; 4] = ["hub", "lab", "proxy", "demo"];

fn repository() -> Repository {
    let mut toml =
        "[repository]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\ndefault-branch = \"main\"\n"
            .to_owned();
    for image in IMAGES {
        toml.push_str(&format!(
            "\n[image.{image}]\nversion = \"5.3.0\"\nbase = {{ debian = \"trixie\" }}\nfiles = \"rootfs\"\n"
        ));
    }
    let repository = Repository::new(&toml);
    for image in IMAGES {
        repository.lock_debs(image, &[]);
        repository.write(&format!("images/{image}/rootfs/etc/{image}"), "one\n");
    }
    repository
}

/// Requests that make or move tags.
fn tag_puts(requests: &[String]) -> Vec<&String> {
    let by_tag = |path: &str| path.contains("?tag=") || !path.contains("/manifests/sha256:");
    let puts = requests.iter().filter(|line| line.starts_with("PUT ") && line.contains("/manifests/"));
    puts.filter(|line| by_tag(line)).collect()
}

#[test]
fn four_images_of_five_tags_in_two_registries_are_eight_requests() {
    let registries = [(); 2].map(|()| Registry::with(crate::PERIJOVE, BUILDS));
    let fronts = [&registries[0], &registries[1]].map(|r| Front::counting(&r.address));
    let site = Site::of(&[&fronts[0].address, &fronts[1].address]);
    let repository = repository();
    assert_eq!(images(&site.release(&repository, "c1")).len(), 4);
    let requests: Vec<String> = fronts.iter().flat_map(Front::requests).collect();
    assert_eq!(tag_puts(&requests).len(), 8, "{requests:#?}");
    let deletes = requests.iter().filter(|line| line.starts_with("DELETE ")).count();
    assert_eq!(deletes, 0);
    // The same commit again: one HEAD for each repository, and nothing else.
    assert_eq!(site.release(&repository, "c1").json()["nothing_to_release"], true);
    let requests: Vec<String> = fronts.iter().flat_map(Front::requests).collect();
    let latest = requests.iter().filter(|l| l.starts_with("HEAD ") && l.ends_with("/manifests/latest"));
    assert_eq!((latest.count(), requests.len()), (8, 8), "{requests:#?}");
    // Another commit that changes nothing: it reads, and no more.
    assert_eq!(site.release(&repository, "c2").json()["nothing_to_release"], true);
    let requests: Vec<String> = fronts.iter().flat_map(Front::requests).collect();
    let methods: BTreeSet<&str> = requests.iter().filter_map(|line| line.split(' ').next()).collect();
    assert!(methods.iter().all(|method| ["GET", "HEAD"].contains(method)), "{methods:?}");
    // A bounded number, of each repository: its tags, the newest build, what each of its tags names.
    assert!(requests.len() <= 8 * 12, "{}", requests.len());
    eprintln!("another commit that changes nothing: {} requests", requests.len());
}
