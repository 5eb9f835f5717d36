//! Others take our images: Podman loads a built one, layer by layer.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use perijove_testkit::has;
use perijove_testkit::packages::{Deb, Packages, Wheel};
use perijove_testkit::peer::podman;
use perijove_testkit::program::Program;
use perijove_testkit::repository::Repository;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

#[test]
fn podman_takes_a_built_image() {
    if !has("podman_takes_a_built_image", "podman") {
        return;
    }
    // Many small parts in one layer, whose folders are the same.
    let debs: Vec<Deb> = (0..6).map(|n| Deb::new(&format!("deb-{n}"), "1", "all", 1000)).collect();
    let wheels: Vec<Wheel> = (0..20).map(|n| Wheel::new(&format!("small-{n}"), "1.0", 1000)).collect();
    let packages = Packages::serve();
    packages.debs(&debs);
    packages.wheels(&wheels);
    let repository = Repository::app(&debs, &wheels);
    let folder = tempfile::tempdir().unwrap();
    for compression in ["gzip", "zstd"] {
        let program = Program::new(PERIJOVE, repository.path(), folder.path()).envs(packages.environment());
        let archive = |kind: &str| folder.path().join(format!("{kind}-{compression}.tar"));
        let (oci, docker) = (archive("oci"), archive("docker"));
        let program = program.args(["build", "--compression", compression]);
        let program = program.args(["--output".to_owned(), format!("oci-archive:{}", oci.display())]);
        let ran = program.args(["--output".to_owned(), format!("docker-archive:{}", docker.display())]).run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let (ok, text) = podman(folder.path(), &["load", "--input", docker.to_str().unwrap()]);
        assert!(ok, "{compression}: {text}");
        let source = format!("oci-archive:{}:1.0", oci.display());
        let (ok, text) = podman(folder.path(), &["pull", "--quiet", "--arch", "amd64", &source]);
        assert!(ok, "{compression}: {text}");
        let (ok, text) = podman(folder.path(), &["rmi", "--all", "--force"]);
        assert!(ok, "{compression}: {text}");
    }
}
