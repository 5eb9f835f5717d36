//! `debs.in` to `debs.lock` against made archives on loopback, signed by keys made here: the whole way, what is
//! kept and what moves, and every kind of tampering.

// Clippy allows these in test functions only, not in what they share.
#![allow(clippy::unwrap_used)]

mod archive;
mod keys;
mod refused;

use std::path::PathBuf;
use std::sync::Arc;

use archive::{Files, Mirror, SuiteMaker};
use keys::Key;
use perijove_build::lock::debs::{
    Archive, ArchiveSettings, Archives, DebsIn, DebsLock, DebsRequest, check, lock, summary,
};
use perijove_build::{Error, Fetcher, Result};
use perijove_oci::report::Silent;
use perijove_testkit::skip;
use tempfile::TempDir;

/// An archive, a keyring and a cache.
struct Site {
    mirror: Mirror,
    key: Key,
    folder: TempDir,
    fetcher: Fetcher,
}

impl Site {
    /// Serves what `make` puts together; `trixie-updates` and `trixie-security` are there, perhaps empty.
    async fn new(make: impl FnOnce(&mut Files, &Key)) -> Self {
        let (key, mut files) = (Key::new(), Files::new());
        for name in ["trixie", "trixie-updates", "trixie-security"] {
            SuiteMaker::new(name).publish(&mut files, &key);
        }
        make(&mut files, &key);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("keyring.gpg"),
            keys::keyring(&[Key::new().public(), key.public()]),
        )
        .unwrap();
        let fetcher = Fetcher::new(&folder.path().join("cache"), Arc::new(Silent)).unwrap();
        Site { mirror: Mirror::serve(files).await, key, folder, fetcher }
    }

    /// The archive that most tests need: `app` needs `lib` and `data`, and security has a newer `lib`.
    async fn usual() -> Self {
        Site::new(usual).await
    }

    fn keyring(&self) -> PathBuf {
        self.folder.path().join("keyring.gpg")
    }

    fn request(&self, input: &str) -> DebsRequest {
        DebsRequest {
            input: DebsIn::parse(input, "debs.in").unwrap(),
            codename: "trixie".to_owned(),
            platforms: ["linux/amd64", "linux/arm64"].map(|p| p.parse().unwrap()).into(),
            keyring: self.keyring(),
            archives: Archives::at(self.mirror.url.clone(), self.mirror.url.clone()),
            upgrade: false,
            upgrade_packages: Vec::new(),
            now: "2026-11-22T10:00:00Z".parse().unwrap(),
        }
    }

    async fn lock(&self, input: &str, previous: Option<&DebsLock>) -> Result<DebsLock> {
        lock(&self.request(input), &self.fetcher, previous).await
    }
}

fn usual(files: &mut Files, key: &Key) {
    SuiteMaker::new("trixie")
        .package(files, "app", "1.0-1", "any", "Depends: lib (>= 1), data, debconf (>= 0.5) | debconf-2.0\n")
        .package(files, "lib", "1.0-1", "any", "")
        .package(files, "data", "3", "all", "")
        .package(files, "other", "1", "any", "")
        .publish(files, key);
    SuiteMaker::new("trixie-security").package(files, "lib", "1.0-1+deb13u1", "any", "").publish(files, key);
}

fn versions(lock: &DebsLock, platform: &str) -> String {
    let debs = lock.for_platform(&platform.parse().unwrap());
    debs.iter().map(|d| format!("{} {}", d.name, d.version)).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn locks_both_platforms_from_three_suites() {
    let site = Site::usual().await;
    let request = site.request("app # the app\n");
    let made = lock(&request, &site.fetcher, None).await.unwrap();
    let stable = insta::Settings::clone_current();
    let mut filtered = stable;
    filtered.add_filter("sha256:[0-9a-f]{64}", "sha256:…");
    filtered.bind(|| {
        insta::assert_snapshot!(made.to_text(), @"
        # Made by `perijove lock` from debs.in; do not edit.
        version 1
        input sha256:…
        codename trixie
        platforms linux/amd64 linux/arm64
        suite trixie 2026-11-21T10:00:00Z sha256:…
        suite trixie-security 2026-11-21T10:00:00Z sha256:…
        suite trixie-updates 2026-11-21T10:00:00Z sha256:…
        deb app 1.0-1 amd64 27 sha256:… debian pool/main/app_1.0-1_amd64.deb
        deb app 1.0-1 arm64 27 sha256:… debian pool/main/app_1.0-1_arm64.deb
        deb data 3 all 22 sha256:… debian pool/main/data_3_all.deb
        deb lib 1.0-1+deb13u1 amd64 35 sha256:… debian-security pool/main/lib_1.0-1+deb13u1_amd64.deb
        deb lib 1.0-1+deb13u1 arm64 35 sha256:… debian-security pool/main/lib_1.0-1+deb13u1_arm64.deb
        ");
    });
    assert!(!made.to_text().contains("127.0.0.1"), "no address stands in the lock");
    assert_eq!(DebsLock::parse(&made.to_text(), "debs.lock").unwrap(), made);
    assert_eq!(check(&request.input, "trixie", &request.platforms, &made), None);
    for deb in &made.packages {
        let path = site
            .fetcher
            .file(&request.archives.url(deb), &deb.name, &deb.digest, Some(deb.size))
            .await
            .unwrap();
        let content = std::fs::read_to_string(path).unwrap();
        assert_eq!(content, format!("the package {} {} {}", deb.name, deb.version, deb.architecture));
    }
}

#[tokio::test]
async fn fetches_an_index_once() {
    let site = Site::usual().await;
    let first = site.lock("app\n", None).await.unwrap();
    let asked = site.mirror.asked();
    assert!(asked.iter().filter(|p| p.contains("/by-hash/SHA256/")).count() >= 3, "{asked:?}");
    assert!(!asked.iter().any(|p| p.ends_with("Packages.xz")), "{asked:?}");
    let again = site.lock("app\n", None).await.unwrap();
    assert_eq!(again, first);
    let inreleases = ["trixie-security", "trixie-updates", "trixie"].map(|s| format!("dists/{s}/InRelease"));
    let mut expected = inreleases.to_vec();
    expected.sort();
    assert_eq!(site.mirror.asked(), expected);
}

#[tokio::test]
async fn does_without_by_hash() {
    let site = Site::usual().await;
    site.mirror.change(|files| files.retain(|path, _| !path.contains("/by-hash/")));
    assert_eq!(
        versions(&site.lock("app\n", None).await.unwrap(), "linux/arm64"),
        "app 1.0-1, data 3, lib 1.0-1+deb13u1"
    );
}

#[tokio::test]
async fn moves_only_what_it_is_told_to() {
    let site = Site::new(|files, key| {
        SuiteMaker::new("trixie")
            .package(files, "a", "1", "any", "")
            .package(files, "b", "1", "any", "")
            .publish(files, key);
    })
    .await;
    let old = site.lock("a\nb\n", None).await.unwrap();
    site.mirror.change(|files| {
        let mut later = SuiteMaker::new("trixie-updates")
            .package(files, "a", "2", "any", "")
            .package(files, "b", "2", "any", "");
        later.date = "Sun, 22 Nov 2026 08:00:00 UTC".to_owned();
        later.publish(files, &site.key);
    });
    let same = site.lock("a\nb\n", Some(&old)).await.unwrap();
    assert_eq!(same.to_text(), old.to_text(), "a lock that says nothing new stays as it is, dates too");

    let mut request = site.request("a\nb\n");
    request.upgrade_packages = vec!["b".to_owned(), "not-locked".to_owned()];
    let one = lock(&request, &site.fetcher, Some(&old)).await.unwrap();
    assert_eq!(versions(&one, "linux/amd64"), "a 1, b 2");
    let changes: Vec<String> = summary(Some(&old), &one).into_iter().map(|c| c.name).collect();
    assert_eq!(changes, ["b"]);

    request.upgrade = true;
    let all = lock(&request, &site.fetcher, Some(&old)).await.unwrap();
    assert_eq!(versions(&all, "linux/amd64"), "a 2, b 2");
    assert_eq!(all.created().unwrap().to_string(), "2026-11-22T08:00:00Z");

    // What is no longer offered moves without being told.
    site.mirror.change(|files| {
        let mut later = SuiteMaker::new("trixie")
            .package(files, "a", "1.5", "any", "")
            .package(files, "b", "1", "any", "");
        later.date = "Sun, 22 Nov 2026 09:00:00 UTC".to_owned();
        later.publish(files, &site.key);
    });
    assert_eq!(versions(&site.lock("a\nb\n", Some(&old)).await.unwrap(), "linux/amd64"), "a 2, b 1");
}

#[tokio::test]
async fn takes_from_backports_on_request_only() {
    let site = Site::new(|files, key| {
        usual(files, key);
        let mut backports = SuiteMaker::new("trixie-backports").package(
            files,
            "app",
            "2.0-1~bpo13+1",
            "any",
            "Depends: lib\n",
        );
        backports.fields.push_str("NotAutomatic: yes\nButAutomaticUpgrades: yes\n");
        backports.package(files, "lib", "2.0-1~bpo13+1", "any", "").publish(files, key);
    })
    .await;
    for (input, expected) in [
        ("app\nsuite trixie-backports\n", "app 1.0-1, data 3, lib 1.0-1+deb13u1"),
        ("app/trixie-backports\n", "app 2.0-1~bpo13+1, lib 1.0-1+deb13u1"),
        ("app/trixie-backports\nlib/trixie-backports\n", "app 2.0-1~bpo13+1, lib 2.0-1~bpo13+1"),
    ] {
        assert_eq!(versions(&site.lock(input, None).await.unwrap(), "linux/amd64"), expected, "{input}");
    }
}

#[tokio::test]
async fn a_signing_subkey_and_an_expired_neighbour_are_fine() {
    let site = Site::usual().await;
    let text = SuiteMaker::new("trixie")
        .package(&mut Files::new(), "app", "1", "all", "")
        .release(&mut Files::new());
    site.mirror.change(|files| {
        SuiteMaker::new("trixie").package(files, "app", "1", "all", "").publish(files, &site.key);
        files.insert("dists/trixie/InRelease".to_owned(), site.key.sign_by_subkey(&text).into_bytes());
    });
    std::fs::write(site.keyring(), keys::keyring(&[Key::new().expiring(60), site.key.public()])).unwrap();
    assert_eq!(versions(&site.lock("app\n", None).await.unwrap(), "linux/amd64"), "app 1");
}

#[tokio::test]
async fn names_the_line_of_an_unknown_package() {
    let site = Site::usual().await;
    let error = site.lock("other\n\nap\n", None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "debs.in:3: no package `ap` for amd64 in trixie, trixie-updates, trixie-security"
    );
    assert_eq!(error.hint().unwrap(), "did you mean app?");
    assert!(error.is_usage());
}

#[tokio::test]
async fn a_package_that_is_not_the_locked_one_is_refused() {
    let site = Site::usual().await;
    let request = site.request("app\n");
    let made = lock(&request, &site.fetcher, None).await.unwrap();
    let deb = &made.packages[0];
    site.mirror.change(|files| files.get_mut(&deb.path).unwrap()[0] ^= 1);
    let error = site
        .fetcher
        .file(&request.archives.url(deb), &deb.name, &deb.digest, Some(deb.size))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Hash { .. }), "{error}");
    site.mirror.change(|files| files.get_mut(&deb.path).unwrap().extend(vec![0; 1 << 16]));
    let error = site
        .fetcher
        .file(&request.archives.url(deb), &deb.name, &deb.digest, Some(deb.size))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("more bytes than the 27"), "{error}");
    assert!(!site.fetcher.cached(&deb.digest).exists());
}

#[tokio::test]
async fn asks_apt_where_the_archives_are() {
    let debian =
        std::fs::read_to_string("/etc/os-release").is_ok_and(|text| text.lines().any(|l| l == "ID=debian"));
    if !debian {
        return skip("asks_apt_where_the_archives_are", "this is not a Debian system");
    }
    let archives = Archives::discover(&ArchiveSettings::default()).await.unwrap();
    let site = Site::usual().await;
    let made = site.lock("app\n", None).await.unwrap();
    let url = |archive| archives.url(made.packages.iter().find(|deb| deb.archive == archive).unwrap());
    assert_ne!(
        url(Archive::Debian).as_str().split("/pool/").next(),
        url(Archive::Security).as_str().split("/pool/").next()
    );
    assert!(url(Archive::Debian).path().ends_with("/pool/main/app_1.0-1_amd64.deb"));
}

#[tokio::test]
async fn a_signature_by_gnupg_is_good() {
    use std::process::Command;
    let site = Site::usual().await;
    let home = site.folder.path().join("gnupg");
    std::fs::create_dir(&home).unwrap();
    let gpg = |arguments: &[&str]| {
        let program = Command::new("gpg")
            .arg("--homedir")
            .arg(&home)
            .args(["--batch", "--quiet", "--passphrase", ""])
            .args(arguments)
            .output();
        program.map(|output| {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        })
    };
    if gpg(&["--version"]).is_err() {
        return skip("a_signature_by_gnupg_is_good", "gpg is not installed");
    }
    gpg(&["--quick-generate-key", "Archive <archive@example.org>", "ed25519", "sign", "never"]).unwrap();
    let mut files = Files::new();
    // Dashes and blanks at the end of a line are what the framework treats specially.
    let mut suite = SuiteMaker::new("trixie").package(&mut files, "app", "1", "all", "");
    suite.fields.push_str("Description: x  \n - dashes\nLabel: -x-\t\n");
    let text = format!("-Odd: first line\n{}", suite.release(&mut files));
    let plain = site.folder.path().join("Release");
    std::fs::write(&plain, text).unwrap();
    let signed = gpg(&["--armor", "--clearsign", "--output", "-", &plain.display().to_string()]).unwrap();
    std::fs::write(site.keyring(), gpg(&["--export", "--armor"]).unwrap()).unwrap();
    // gpg leaves an agent behind that would live as long as its folder.
    Command::new("gpgconf").arg("--homedir").arg(&home).args(["--kill", "gpg-agent"]).status().unwrap();
    let keyring = perijove_build::lock::debs::openpgp::Keyring::read(&site.keyring()).unwrap();
    // gpg signs with the time of this machine.
    let read = keyring.verify(&String::from_utf8(signed).unwrap(), jiff::Timestamp::now()).unwrap();
    assert!(
        read.contains("-Odd: first line\n") && read.contains("\nDescription: x\n - dashes\nLabel: -x-\n"),
        "{read}"
    );
}
