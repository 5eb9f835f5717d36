//! Real Debian packages beside `dpkg-deb`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use perijove_build::entry::Kind;
use perijove_build::unpack::{SLIM, ca_bundle, deb};

use crate::collect::Collect;
use crate::tools::{file_name, listing, or_skip, run, same, with_ending};

const PACKAGES: &[&str] =
    &["tini", "base-files", "libc6", "python3-minimal", "ca-certificates", "tzdata", "dash", "netbase"];

fn download(test: &str, packages: &[&str]) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    // apt's own sandbox user may not enter the folder, and says so; that is no failure.
    or_skip(test, run("apt-get", &[&["download", "-q"], packages].concat(), folder.path()))?;
    or_skip(test, run("dpkg-deb", &["--version"], folder.path()))?;
    Some(folder)
}

/// Where dpkg would put a file of an installed Debian, told again apart from the code under test.
fn installed(path: &str) -> String {
    let first = path.split('/').next().unwrap();
    match first {
        "bin" | "sbin" | "lib" | "lib32" | "lib64" | "libx32" => format!("usr/{path}"),
        _ if path == "var/run" || path.starts_with("var/run/") => path.replacen("var/run", "run", 1),
        _ if path == "var/lock" || path.starts_with("var/lock/") => path.replacen("var/lock", "run/lock", 1),
        _ => path.to_owned(),
    }
}

fn is_left_out(path: &str) -> bool {
    let slim = SLIM.iter().any(|rule| path == rule.under || path.starts_with(&format!("{}/", rule.under)));
    slim && !path.starts_with("usr/share/doc/") || path == "usr/share/doc"
}

#[test]
fn packages_hold_what_dpkg_deb_extracts() {
    let test = "packages_hold_what_dpkg_deb_extracts";
    let Some(folder) = download(test, PACKAGES) else { return };
    let debs = with_ending(folder.path(), ".deb");
    assert_eq!(debs.len(), PACKAGES.len());
    for archive in debs {
        let name = file_name(&archive);
        let mut sink = Collect::default();
        let control = deb(&archive, name, &mut sink).unwrap();
        let field =
            |field: &str| run("dpkg-deb", &["-f", name, field], folder.path()).unwrap().trim().to_owned();
        assert_eq!(
            (control.package.as_str(), control.version.as_str()),
            (field("Package").as_str(), field("Version").as_str())
        );
        assert_eq!(control.architecture, field("Architecture"));

        let root = tempfile::tempdir().unwrap();
        run("dpkg-deb", &["-x", archive.to_str().unwrap(), "."], root.path()).unwrap();
        let theirs: std::collections::BTreeMap<_, _> = listing(root.path())
            .into_iter()
            .filter(|(path, what)| {
                !(path.starts_with("lib") || path == "bin" || path == "sbin")
                    || !what.starts_with("link usr/")
            })
            .filter(|(path, what)| {
                !(what == "folder"
                    && ["bin", "sbin", "lib", "lib64", "var/run", "var/lock"].contains(&path.as_str()))
            })
            .map(|(path, what)| (installed(&path), what))
            .filter(|(path, _)| !is_left_out(path))
            .filter(|(path, what)| {
                !path.starts_with("usr/share/doc/")
                    || path.ends_with("/copyright")
                    || what.starts_with("link") && path.matches('/').count() == 3
            })
            .filter(|(_, what)| what != "folder")
            .collect();
        let ours = sink
            .listing()
            .into_iter()
            .filter(|(path, what)| !path.starts_with("var/lib/dpkg/status.d") && what != "folder")
            .collect();
        same(&ours, &theirs, name);
        assert!(ours.len() >= 2, "{name}");
        rights(&sink, root.path(), name);
        has_copyright(&sink, name);
    }
}

/// Modes and times of what lies where the package has it.
fn rights(sink: &Collect, root: &Path, name: &str) {
    for (entry, _) in &sink.entries {
        let Ok(metadata) = std::fs::symlink_metadata(root.join(&entry.path)) else { continue };
        if matches!(entry.kind, Kind::File { .. }) {
            assert_eq!(entry.mode, metadata.mode() & 0o7777, "{name}: {}", entry.path);
            assert_eq!(entry.mtime.cast_signed(), metadata.mtime(), "{name}: {}", entry.path);
        }
        // Only root can give files away; anyone else's copy says nothing of the owners.
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 && entry.kind != Kind::Directory {
            assert_eq!((entry.uid, entry.gid), (metadata.uid(), metadata.gid()), "{name}: {}", entry.path);
        }
    }
}

fn has_copyright(sink: &Collect, name: &str) {
    let package = name.split('_').next().unwrap();
    let found = sink.paths().iter().any(|p| {
        *p == format!("usr/share/doc/{package}/copyright") || *p == format!("usr/share/doc/{package}")
    });
    assert!(found, "{name} has lost its licence");
}

#[test]
fn scanners_find_the_package() {
    let test = "scanners_find_the_package";
    let Some(folder) = download(test, &["dash"]) else { return };
    let archive = with_ending(folder.path(), ".deb").remove(0);
    let mut sink = Collect::default();
    deb(&archive, "dash", &mut sink).unwrap();
    let status = sink.text("var/lib/dpkg/status.d/dash");
    assert!(status.starts_with("Package: dash\nStatus: install ok installed\n"), "{status}");
    let sums = sink.text("var/lib/dpkg/status.d/dash.md5sums");
    assert!(sums.contains("  usr/bin/dash\n") && !sums.contains("usr/share/man"), "{sums}");
    for line in sums.lines() {
        let (_, path) = line.split_once("  ").unwrap();
        assert!(sink.get(path).is_some(), "{path}");
    }
}

#[test]
fn the_ca_bundle_holds_every_certificate_in_order() {
    let test = "the_ca_bundle_holds_every_certificate_in_order";
    let Some(folder) = download(test, &["ca-certificates"]) else { return };
    let archive = with_ending(folder.path(), ".deb").remove(0);
    let ours = ca_bundle(&archive, "ca-certificates.deb").unwrap();
    run("dpkg-deb", &["-x", file_name(&archive), "root"], folder.path()).unwrap();
    // As update-ca-certificates does it, in the C locale.
    let script = "cd root/usr/share/ca-certificates && find . -type f -name '*.crt' | LC_ALL=C sort | while read -r f; do sed -e '$a\\' \"$f\"; done";
    let theirs = run("sh", &["-c", script], folder.path()).unwrap();
    assert_eq!(String::from_utf8(ours).unwrap(), theirs);
    assert!(theirs.matches("BEGIN CERTIFICATE").count() > 100);
}
