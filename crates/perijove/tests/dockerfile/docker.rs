//! docker buildx.

use std::os::unix::fs::PermissionsExt;

use perijove_oci::Platform;
use perijove_testkit::layout::{Layout, files_below};
use perijove_testkit::{is_root, skip};
use serde_json::Value;

use crate::scene::*;

/// There is no docker engine where these tests run: a program in its place records what it is asked for and
/// leaves the layout that BuildKit would.
#[test]
fn docker_is_asked_for_a_layout() {
    if !is_root() || busybox().is_none() {
        return skip("docker_is_asked_for_a_layout", "needs root and a static busybox for its base");
    }
    let scene = Scene::new(ON_HUB, FROM_HUB);
    // What "BuildKit" gives: the parent itself.
    let hub = scene.program().args(["build", "hub", "--format", "json", "--output", "oci:made"]).run().json();
    let bin = scene.repository.join("bin");
    std::fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$SOURCE_DATE_EPOCH $*\" >> {root}/asked\n\
         case \"$*\" in\n\
         'buildx inspect') echo Name: default;;\n\
         'buildx build '*)\n\
           for word in \"$@\"; do case $word in *dest=*) dest=${{word##*dest=}}; dest=${{dest%%,*}};;\n\
             *=oci-layout://*) base=${{word##*oci-layout://}}; cp -r \"${{base%:base}}\" {root}/given;; esac; done\n\
           echo '#1 building' >&2; cp -r {root}/made \"$dest\";;\n\
         esac\n",
        root = scene.repository.path().display()
    );
    std::fs::write(bin.join("docker"), script).unwrap();
    std::fs::set_permissions(bin.join("docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let program = scene.program().env("PERIJOVE_BUILDER", "").env("PATH", &path);
    let ran = program.args(["build", "app", "--format", "json", "--output", "oci:out"]).run();
    assert!(ran.stderr.contains(": #1 building"), "{}", ran.stderr);
    let result = ran.json();
    let layers = |result: &Value| result["images"][0]["platforms"][0]["layers"].as_array().unwrap().len();
    assert_eq!(layers(&result), layers(&hub));
    let given = Layout(scene.repository.join("given"));
    let index: Value = serde_json::from_slice(&std::fs::read(given.0.join("index.json")).unwrap()).unwrap();
    let base = index["manifests"][0]["digest"].as_str().unwrap();
    assert!(given.files(base).contains_key("bin/sh"), "the base was handed over");

    let asked = std::fs::read_to_string(scene.repository.join("asked")).unwrap();
    let asked: Vec<&str> = asked.lines().collect();
    assert_eq!(asked[0], " buildx inspect");
    let app = scene.repository.join("images/app");
    let platform = Platform::host();
    for words in [
        // 2026-09-12T07:55:41Z
        "1789199741 buildx build --progress plain".to_owned(),
        format!("--platform {platform} --provenance=false --sbom=false"),
        "--build-arg BASE_IMAGE=localhost/hub:5.0 --build-arg SOURCE_DATE_EPOCH=1789199741".to_owned(),
        "--build-arg VERSION=1.2.3 --build-context localhost/hub:5.0=oci-layout:///".to_owned(),
        "--output type=oci,tar=false,rewrite-timestamp=true,dest=/".to_owned(),
        format!("--file {}/Dockerfile {}", app.display(), app.display()),
    ] {
        assert!(asked[1].contains(&words), "{words}\n{}", asked[1]);
    }
    assert_eq!(asked.len(), 2);
    let left = files_below(&scene.cache.path().join("perijove/dockerfile/work"));
    assert_eq!(left.len(), 1, "{left:?}");
}
