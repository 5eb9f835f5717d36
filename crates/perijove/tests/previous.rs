//! The previous release is the cache: with an empty cache and a registry that has the previous image, a build
//! fetches what changed, and a push sends what changed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and print what they measured"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use perijove_oci::Reference;
use perijove_oci::client::Client;
use perijove_oci::report::Silent;
use perijove_testkit::packages::{Deb, Packages, Wheel};
use perijove_testkit::program::{Program, Ran};
use perijove_testkit::registry::{Registry, delete_blob};
use perijove_testkit::repository::{APP, Repository};
use serde_json::Value;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// Manifests, configurations and SBOMs of two platforms: what a push may send besides layers, and what a build
/// may read of the previous image.
const PAPERS: u64 = 60_000;

struct Site {
    packages: Packages,
    registry: Registry,
    debs: Vec<Deb>,
}

impl Site {
    fn new(wheels: &[Wheel]) -> Self {
        let debs = vec![Deb::new("base", "1", "all", 10_000)];
        let packages = Packages::serve();
        packages.debs(&debs);
        packages.wheels(wheels);
        Site { packages, registry: Registry::start(PERIJOVE), debs }
    }

    /// Builds with an empty cache and pushes to `target` of the registry.
    fn push(&self, repository: &Repository, target: &str, more: &[&str]) -> Ran {
        let cache = tempfile::tempdir().unwrap();
        self.packages.requests();
        let target = format!("{}/{target}", self.registry.address);
        let program = Program::new(PERIJOVE, repository.path(), cache.path());
        let program = program.envs(self.packages.environment());
        program.args(["build", "--format", "json", "--push", &target]).args(more.iter().copied()).run()
    }

    fn uncached(&self, repository: &Repository) -> Value {
        let cache = tempfile::tempdir().unwrap();
        let program = Program::new(PERIJOVE, repository.path(), cache.path());
        let program = program.envs(self.packages.environment());
        program.args(["build", "--format", "json"]).run().json()
    }
}

/// Layer digests with sizes of all platforms.
fn layers(result: &Value) -> BTreeSet<(String, u64)> {
    let platforms =
        result["images"].as_array().unwrap().iter().flat_map(|i| i["platforms"].as_array().unwrap());
    platforms
        .flat_map(|p| p["layers"].as_array().unwrap())
        .map(|l| (l["digest"].as_str().unwrap().to_owned(), l["size_bytes"].as_u64().unwrap()))
        .collect()
}

fn new_layer_bytes(before: &Value, after: &Value) -> u64 {
    layers(after).difference(&layers(before)).map(|(_, size)| size).sum()
}

fn number(result: &Value, name: &str) -> u64 {
    result[name].as_u64().unwrap()
}

/// What the lock has: a large wheel (a layer of its own), one that has changed before (too), and small ones
/// that share layers.
fn wheels() -> Vec<Wheel> {
    let mut wheels: Vec<Wheel> = (0..16).map(|n| Wheel::new(&format!("small-{n}"), "1.0", 3_000)).collect();
    wheels.push(Wheel::new("large", "1.0", 300_000));
    wheels.push(Wheel::new("moving", "1.0", 5_000).changed(1));
    wheels
}

/// `wheels` with `project` in another version.
fn moved(wheels: &[Wheel], project: &str, version: &str) -> (Vec<Wheel>, Wheel) {
    let mut all = wheels.to_vec();
    let at = all.iter().position(|w| w.project == project).unwrap();
    let size = all[at].bytes.len();
    all[at] = Wheel::new(project, version, size).changed(all[at].changed + 1);
    let new = all[at].clone();
    (all, new)
}

#[test]
fn no_change_fetches_no_package_and_pushes_nothing() {
    let wheels = wheels();
    let site = Site::new(&wheels);
    let repository = Repository::app(&site.debs, &wheels);
    let cache = tempfile::tempdir().unwrap();
    let target = format!("{}/team/app", site.registry.address);
    let program = Program::new(PERIJOVE, repository.path(), cache.path()).envs(site.packages.environment());
    let program = program.args(["build", "--format", "json", "--push", &target]);
    let first = program.run().json();
    assert!(number(&first, "fetched_bytes") > 300_000 && number(&first, "pushed_bytes") > 300_000, "{first}");
    site.packages.requests();
    let again = program.run().json();
    assert_eq!((number(&again, "fetched_bytes"), number(&again, "pushed_bytes")), (0, 0), "{again}");
    assert_eq!(site.packages.requests(), [""; 0], "no package is asked for");
    assert_eq!(again["images"], first["images"]);
    // An empty machine has to read the previous image: an index, two manifests and their configurations.
    let empty = site.push(&repository, "team/app", &[]).json();
    assert_eq!(site.packages.requests(), [""; 0], "no package is asked for");
    assert_eq!(number(&empty, "pushed_bytes"), 0);
    assert_eq!(empty["images"], first["images"]);
    let read = number(&empty, "fetched_bytes");
    eprintln!("no change: {read} bytes of manifests and configurations read");
    assert!((1..20_000).contains(&read), "{read}");
}

#[test]
fn a_moved_pin_fetches_its_package_and_pushes_its_layer() {
    for project in ["large", "moving"] {
        let old = wheels();
        let site = Site::new(&old);
        let before = site.push(&Repository::app(&site.debs, &old), "team/app", &[]).json();
        let (new, wheel) = moved(&old, project, "1.1");
        site.packages.wheels([&wheel]);
        // The first move of `large` and the second of `moving`: both had a layer of their own already.
        let repository = Repository::app(&site.debs, &new);
        let after = site.push(&repository, "team/app", &[]).json();
        assert_eq!(site.packages.requests(), [wheel.path(), format!("/simple/{project}/")]);
        let (fetched, pushed) = (number(&after, "fetched_bytes"), number(&after, "pushed_bytes"));
        let (package, layers) = (wheel.bytes.len() as u64, new_layer_bytes(&before, &after));
        eprintln!(
            "{project}: package {package}, fetched {fetched}; new layers {layers}, pushed {pushed} bytes"
        );
        assert!((package..package + PAPERS).contains(&fetched), "{fetched}");
        assert!((layers..layers + PAPERS).contains(&pushed), "{pushed}");
        assert!(layers < package + 10_000, "only the layer with the package is new");
        assert_eq!(site.uncached(&repository)["images"], after["images"], "the same as without any cache");
    }
}

/// A package that never moved shares a layer with others; when it moves, that layer is made again without it.
/// The pieces of its neighbours are cut out of the previous layer, not fetched as packages.
#[test]
fn the_first_move_of_a_small_package_fetches_no_neighbour() {
    let old = wheels();
    let site = Site::new(&old);
    let before = site.push(&Repository::app(&site.debs, &old), "team/app", &[]).json();
    let all = before["images"][0]["platforms"][0]["layers"].as_array().unwrap();
    let shared = all.iter().filter_map(|l| l["parts"].as_array()).find(|parts| {
        parts.len() > 1 && parts.iter().all(|p| p.as_str().unwrap().starts_with("pkg:pypi/small-"))
    });
    let project = shared.unwrap()[0].as_str().unwrap().split(['/', '@']).nth(1).unwrap();
    let (new, wheel) = moved(&old, project, "1.1");
    site.packages.wheels([&wheel]);
    let repository = Repository::app(&site.debs, &new);
    let after = site.push(&repository, "team/app", &[]).json();
    assert_eq!(site.packages.requests(), [wheel.path(), format!("/simple/{project}/")]);
    let (pushed, layers) = (number(&after, "pushed_bytes"), new_layer_bytes(&before, &after));
    eprintln!("shared layer: new layers {layers}, pushed {pushed} bytes");
    assert!((layers..layers + PAPERS).contains(&pushed), "{pushed}");
    assert_eq!(site.uncached(&repository)["images"], after["images"], "the same as without any cache");
}

/// A file that belongs to two packages is found though the layer of one comes from the previous image.
#[test]
fn two_owners_of_a_file_are_found_in_a_reused_layer() {
    let old = wheels();
    let site = Site::new(&old);
    site.push(&Repository::app(&site.debs, &old), "team/app", &[]).json();
    let mut new = old.clone();
    // `large/data.bin` is a file of `large`.
    new.push(Wheel::with_files("intruder", "1.0", &[("large/data.bin", b"another")]));
    site.packages.wheels([new.last().unwrap()]);
    let failed = site.push(&Repository::app(&site.debs, &new), "team/app", &[]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    for said in ["large/data.bin belongs to", "intruder 1.0", "large 1.0", "with different content"] {
        assert!(failed.stderr.contains(said), "{}", failed.stderr);
    }
    assert!(!site.packages.requests().iter().any(|path| path.contains("large")), "it was not fetched");
}

/// A push that says it is done leaves an image that can be pulled, also when its manifests and its tag are there.
#[test]
fn what_the_registry_lost_goes_up_again() {
    let wheels = wheels();
    let site = Site::new(&wheels);
    let repository = Repository::app(&site.debs, &wheels);
    let cache = tempfile::tempdir().unwrap();
    let push = |tag: &str| {
        let program =
            Program::new(PERIJOVE, repository.path(), cache.path()).envs(site.packages.environment());
        let target = format!("{}/team/app:{tag}", site.registry.address);
        program.args(["build", "--format", "json", "--push", &target]).run()
    };
    let first = push("1").json();
    let (digest, size) = layers(&first).into_iter().max_by_key(|(_, size)| *size).unwrap();
    for (tag, more) in [("1", 0), ("2", 1)] {
        delete_blob(&site.registry.address, "team/app", &digest);
        let again = push(tag).json();
        // The layer, and for another tag the index once more.
        let pushed = number(&again, "pushed_bytes");
        assert!((size..=size + more * 5_000).contains(&pushed), "{tag}: {pushed} for {size}");
        let folder = tempfile::tempdir().unwrap();
        let client = Client::new(Arc::new(Silent)).unwrap();
        let tagged: Reference = format!("{}/team/app:{tag}", site.registry.address).parse().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let pulled = runtime.block_on(client.pull(&tagged, None, folder.path(), None, 4)).unwrap();
        assert_eq!(pulled.root.digest.to_string(), first["images"][0]["digest"].as_str().unwrap());
    }
    // An empty machine has it from nowhere, and must not say that it is there.
    delete_blob(&site.registry.address, "team/app", &digest);
    let failed = site.push(
        &repository,
        "team/app:3",
        &["--previous", &format!("{}/team/app:1", site.registry.address)],
    );
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(failed.stderr.contains(&digest) && failed.stderr.contains("it is gone"), "{}", failed.stderr);
    assert!(failed.stderr.contains("hint: somebody deleted it"), "{}", failed.stderr);
    // Without its configuration an image tells nothing, and all is made anew.
    let tagged: Reference = format!("{}/team/app:1", site.registry.address).parse().unwrap();
    let client = Client::new(Arc::new(Silent)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (image, _) = runtime.block_on(client.image(&tagged, &"linux/amd64".parse().unwrap())).unwrap();
    let image: Value = serde_json::from_slice(&image.bytes).unwrap();
    delete_blob(&site.registry.address, "team/app", image["config"]["digest"].as_str().unwrap());
    let previous = tagged.to_string();
    let made = site.push(&repository, "team/app:1", &["--previous", &previous]).json();
    assert_eq!(made["images"][0]["digest"], first["images"][0]["digest"]);
}

#[test]
fn blobs_of_other_repositories_are_mounted() {
    let wheels = wheels();
    let site = Site::new(&wheels);
    let repository = Repository::app(&site.debs, &wheels);
    let app = site.push(&repository, "team/app", &[]).json();
    // Another image of the same packages, to a repository that has nothing.
    let previous = format!("{}/team/app:unreleased", site.registry.address);
    let other = site.push(&repository, "team/other", &["--previous", &previous]).json();
    assert_eq!(site.packages.requests(), [""; 0]);
    let pushed = number(&other, "pushed_bytes");
    eprintln!("mounted: {pushed} bytes pushed");
    assert!(pushed < PAPERS, "{pushed}");
    assert_eq!(other["images"], app["images"]);
    assert_eq!(site.push(&repository, "team/other", &[]).json()["pushed_bytes"], 0, "it is there whole");
}

/// Without `--previous` the build knows no other repository, and asks the registry for each blob by its digest alone
/// (distribution-spec 1.1, "Mounting a blob from another repository", without `from`).
#[test]
fn blobs_of_repositories_that_are_not_named_are_mounted() {
    let wheels = wheels();
    let site = Site::new(&wheels);
    let repository = Repository::app(&site.debs, &wheels);
    let app = site.push(&repository, "team/app", &[]).json();
    let other = site.push(&repository, "another/place", &[]).json();
    assert_ne!(site.packages.requests(), [""; 0], "nothing was known of a previous image");
    let (first, pushed) = (number(&app, "pushed_bytes"), number(&other, "pushed_bytes"));
    eprintln!("mounted without a name: {pushed} bytes pushed, {first} at first");
    assert!(pushed < PAPERS && first > 300_000, "{pushed} of {first}");
    assert_eq!(other["images"], app["images"]);

    // A registry that mounts only what is named has to be sent all.
    let named = Site { registry: Registry::with(PERIJOVE, &["--mount", "named"]), ..site };
    named.push(&repository, "team/app", &[]).json();
    let sent = number(&named.push(&repository, "another/place", &[]).json(), "pushed_bytes");
    assert!(sent > 300_000, "{sent}");
}

#[test]
fn what_two_images_share_goes_up_once() {
    let wheels = wheels();
    let site = Site::new(&wheels);
    let two = Repository::new(&format!("{APP}\n{}", APP.split("\n\n").nth(1).unwrap().replace("app", "sib")));
    for image in ["app", "sib"] {
        two.lock_debs(image, &site.debs);
        two.lock_wheels(image, &wheels);
        two.write(&format!("images/{image}/rootfs/etc/settings"), image);
    }
    let both = site.push(&two, "both", &[]).json();
    let (pushed, unique) = (number(&both, "pushed_bytes"), layers(&both).iter().map(|(_, size)| size).sum());
    eprintln!("two images: {unique} bytes of layers, {pushed} pushed");
    assert!((unique..unique + 2 * PAPERS).contains(&pushed), "{pushed} for {unique}");
}
