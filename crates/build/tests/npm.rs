//! npm locks, made by npm from a registry on loopback and read back.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say why they are skipped"
)]

use std::io::Write;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perijove_build::lock::wheels::Upgrade;
use perijove_build::lock::{Npm, NpmLock};
use perijove_testkit::has;
use perijove_testkit::web::{Answer, Server};
use sha2::{Digest, Sha512};

struct Package {
    name: &'static str,
    version: &'static str,
    more: serde_json::Value,
}

fn tarball(package: &Package) -> Vec<u8> {
    let mut json = package.more.clone();
    json["name"] = package.name.into();
    json["version"] = package.version.into();
    let text = json.to_string();
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none()));
    tar.append_data(&mut header, "package/package.json", text.as_bytes()).unwrap();
    let mut gz = tar.into_inner().unwrap();
    gz.flush().unwrap();
    gz.finish().unwrap()
}

fn packages() -> Vec<Package> {
    let package = |name, version, more| Package { name, version, more };
    let none = || serde_json::json!({});
    vec![
        package(
            "proxy",
            "4.0.0",
            serde_json::json!({
                "dependencies": {"@scope/lib": "^1", "left": "1"},
                "optionalDependencies": {"arm": "*"},
                "bin": {"proxy": "bin/proxy.js"},
            }),
        ),
        package("@scope/lib", "1.0.0", serde_json::json!({"dependencies": {"left": "2"}})),
        package("@scope/lib", "1.1.0", serde_json::json!({"dependencies": {"left": "2"}})),
        package("left", "1.0.0", none()),
        package("left", "2.0.0", none()),
        package("arm", "1.0.0", serde_json::json!({"os": ["linux"], "cpu": ["arm64"]})),
        package("native", "1.0.0", serde_json::json!({"scripts": {"install": "touch ran"}})),
        package("tool", "1.0.0", none()),
    ]
}

fn registry() -> Server {
    let packages = packages();
    let address = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let told = std::sync::Arc::clone(&address);
    let server = Server::start(move |asked| {
        let path = asked.path.trim_start_matches("/npm/").replace("%2f", "/").replace("%2F", "/");
        let file = |p: &Package| {
            let unscoped = p.name.rsplit('/').next().unwrap();
            format!("{}/-/{unscoped}-{}.tgz", p.name, p.version)
        };
        if let Some(package) = packages.iter().find(|p| file(p) == path) {
            return Answer::ok("application/octet-stream", tarball(package));
        }
        let mut versions = serde_json::Map::new();
        let mut latest = "";
        for package in packages.iter().filter(|p| p.name == path) {
            let mut json = package.more.clone();
            let integrity = format!("sha512-{}", STANDARD.encode(Sha512::digest(tarball(package))));
            json["name"] = package.name.into();
            json["version"] = package.version.into();
            json["hasInstallScript"] = (!package.more["scripts"].is_null()).into();
            json["dist"] = serde_json::json!({
                "tarball": format!("http://{}/npm/{}", told.get().unwrap(), file(package)),
                "integrity": integrity,
            });
            versions.insert(package.version.to_owned(), json);
            latest = package.version;
        }
        if versions.is_empty() {
            return Answer::status(404);
        }
        let page = serde_json::json!({"name": path, "dist-tags": {"latest": latest}, "versions": versions});
        Answer::ok("application/json", page.to_string())
    });
    address.set(server.address.clone()).unwrap();
    server
}

struct Image {
    folder: tempfile::TempDir,
    npm: Npm,
}

fn image(server: &Server, package_json: &serde_json::Value) -> Image {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("package.json"), package_json.to_string()).unwrap();
    let mut npm = Npm::new(folder.path());
    npm.registry = Some(format!("http://{}/npm/", server.address));
    // npm's cache goes by address, and an address of loopback may come again.
    std::fs::write(
        folder.path().join(".npmrc"),
        format!("cache={}\n", folder.path().join("cache").display()),
    )
    .unwrap();
    Image { folder, npm }
}

impl Image {
    fn lock_path(&self) -> PathBuf {
        self.folder.path().join("package-lock.json")
    }
}

#[tokio::test]
async fn locks_without_addresses() {
    if !has("locks_without_addresses", "npm") {
        return;
    }
    let server = registry();
    let json = serde_json::json!({"name": "image", "dependencies": {"proxy": "^4"}, "devDependencies": {"tool": "1"}});
    let image = image(&server, &json);
    let text = image.npm.lock(&Upgrade::Nothing).await.unwrap();
    assert!(!image.lock_path().exists() && !image.folder.path().join("node_modules").exists());
    insta::assert_snapshot!("without_addresses", text);
    let lock = NpmLock::parse(&text, "package-lock.json").unwrap();
    assert_eq!(lock.check(&json.to_string()).unwrap(), None);
    let paths = |platform: &str| -> Vec<String> {
        let chosen = lock.for_platform(&platform.parse().unwrap()).unwrap();
        chosen.iter().map(|p| format!("{} {}", p.path, p.version)).collect()
    };
    let common = [
        "node_modules/@scope/lib 1.1.0",
        "node_modules/@scope/lib/node_modules/left 2.0.0",
        "node_modules/left 1.0.0",
        "node_modules/proxy 4.0.0",
    ];
    assert_eq!(paths("linux/amd64"), common);
    assert_eq!(paths("linux/arm64").len(), 5);

    // Each tarball is where the lock's words say, and has the bytes that they promise.
    let fetcher = perijove_build::Fetcher::new(
        &image.folder.path().join("c"),
        std::sync::Arc::new(perijove_oci::report::Silent),
    )
    .unwrap();
    for package in &lock.packages {
        let registry = image.npm.registry_of(&package.name).await.unwrap();
        let url = package.tarball(&registry).unwrap();
        fetcher.file(&url, &package.name, &package.integrity, None).await.unwrap();
    }
}

#[tokio::test]
async fn present_versions_stay_until_they_are_upgraded() {
    if !has("present_versions_stay_until_they_are_upgraded", "npm") {
        return;
    }
    let server = registry();
    let at = |range: &str| serde_json::json!({"name": "image", "dependencies": {"@scope/lib": range}});
    let image = image(&server, &at("1.0.0"));
    let old = image.npm.lock(&Upgrade::Nothing).await.unwrap();
    std::fs::write(image.lock_path(), &old).unwrap();
    std::fs::write(image.folder.path().join("package.json"), at("^1").to_string()).unwrap();
    for (upgrade, want) in [
        (Upgrade::Nothing, "1.0.0"),
        (Upgrade::Packages(vec!["@scope/lib".to_owned()]), "1.1.0"),
        (Upgrade::All, "1.1.0"),
    ] {
        let text = image.npm.lock(&upgrade).await.unwrap();
        let lock = NpmLock::parse(&text, "package-lock.json").unwrap();
        assert_eq!(lock.packages[0].version, want, "{upgrade:?}");
    }
    let error = image.npm.lock(&Upgrade::Packages(vec!["--global".to_owned()])).await.unwrap_err();
    assert!(error.to_string().contains("`--global` is not a package name"), "{error}");
}

#[tokio::test]
async fn refuses_scripts_and_names_failures() {
    if !has("refuses_scripts_and_names_failures", "npm") {
        return;
    }
    let server = registry();
    let with_script = image(&server, &serde_json::json!({"name": "image", "dependencies": {"native": "1"}}));
    let text = with_script.npm.lock(&Upgrade::Nothing).await.unwrap();
    let lock = NpmLock::parse(&text, "package-lock.json").unwrap();
    let error = lock.for_platform(&"linux/amd64".parse().unwrap()).unwrap_err();
    assert!(error.to_string().ends_with("native 1.0.0"), "{error}");

    let unknown =
        image(&server, &serde_json::json!({"name": "image", "dependencies": {"no-such-package": "1"}}));
    let error = unknown.npm.lock(&Upgrade::Nothing).await.unwrap_err();
    assert!(error.to_string().contains("no-such-package") && error.to_string().contains("404"), "{error}");

    let local =
        image(&server, &serde_json::json!({"name": "image", "dependencies": {"left": "file:../left"}}));
    assert!(local.npm.lock(&Upgrade::Nothing).await.is_err());

    let empty = tempfile::tempdir().unwrap();
    let error = Npm::new(empty.path()).lock(&Upgrade::Nothing).await.unwrap_err();
    assert!(error.to_string().contains("package.json"), "{error}");
}
