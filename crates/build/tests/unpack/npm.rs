//! Made npm packages.

use perijove_build::entry::EPOCH;
use perijove_build::unpack::{NpmOptions, PackageJson, npm};

use crate::archives::{Tar, gzip, npm as made, pax, tar};
use crate::collect::{Collect, on_disk, reason};

const AT: &str = "usr/local/lib/node_modules/greet";
const JSON: &str = r#"{"name": "greet", "version": "1.0.0", "bin": {"greet": "./bin/greet.js"}}"#;

fn unpack(bytes: &[u8]) -> (perijove_build::Result<PackageJson>, Collect) {
    let options = NpmOptions { folder: AT.to_owned() };
    on_disk(bytes, |path, sink| npm(path, "greet-1.0.0.tgz", &options, sink))
}

#[test]
fn an_honest_package_is_unpacked() {
    let (package, sink) = unpack(&made(&[
        Tar::file("package/bin/greet.js", "#!/usr/bin/env node\n").mode(0o600),
        Tar { uid: 501, ..Tar::file("package/tool.sh", "x").mode(0o777) },
        Tar::symlink("package/link", "tool.sh"),
        Tar::folder("package/empty/").mode(0o700),
        Tar::file("package/lib/a.js", "a").mode(0o664),
        Tar::file("package/package.json", JSON),
    ]));
    let package = package.unwrap();
    assert_eq!(package.bin["greet"], "bin/greet.js");
    let below: Vec<_> = sink
        .paths()
        .iter()
        .filter_map(|p| p.strip_prefix(AT)?.strip_prefix('/'))
        .map(str::to_owned)
        .collect();
    assert_eq!(below, ["bin", "bin/greet.js", "tool.sh", "empty", "lib", "lib/a.js", "package.json"]);
    for (path, mode) in [
        ("bin/greet.js", 0o755),
        ("tool.sh", 0o755),
        ("empty", 0o755),
        ("lib/a.js", 0o644),
        ("package.json", 0o644),
    ] {
        assert_eq!(sink.mode(&format!("{AT}/{path}")), mode, "{path}");
    }
    assert!(sink.entries.iter().all(|(e, _)| (e.uid, e.gid, e.mtime) == (0, 0, EPOCH)));
}

#[test]
fn the_first_folder_may_have_any_name() {
    let global = Tar { content: &pax("comment", b"abc"), ..Tar::new("pax_global_header", b'g') }.bytes();
    let rest = tar(&[Tar::folder("node-greet/"), Tar::file("node-greet/package.json", JSON)]);
    let (package, sink) = unpack(&gzip(&[global, rest].concat()));
    package.unwrap();
    assert_eq!(sink.text(&format!("{AT}/package.json")), JSON);
}

#[test]
fn owners_may_be_blank() {
    let mut header = Tar::file("package/package.json", JSON).bytes();
    header[108..124].fill(0);
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    unpack(&gzip(&[header, vec![0; 1024]].concat())).0.unwrap();
}

#[test]
fn hostile_members_are_refused() {
    let json = || Tar::file("package/package.json", JSON);
    for (members, expected) in [
        (vec![json(), Tar::file("package/../../x", "x")], ".."),
        (vec![json(), Tar::file("/package/x", "x")], "absolute"),
        (vec![json(), Tar::symlink("package/x", "../../../../../../etc")], "leaves the root"),
        (vec![json(), Tar::symlink("package/x", "../y")], "leaves the root"),
        (vec![json(), Tar::symlink("package/x", "/etc/passwd")], "absolute"),
        (vec![json(), Tar::hardlink("package/x", "/etc/passwd")], "absolute"),
        (vec![json(), Tar::hardlink("package/x", "../../etc/passwd")], ".."),
        (vec![json(), json()], "twice"),
        (vec![json(), Tar::file("other/package.json", "{}")], "twice"),
        (vec![json(), Tar::file("loose", "x")], "in no folder"),
        (vec![json(), Tar::new("package/dev", b'3')], "device"),
        (vec![json(), Tar::new("package/pipe", b'6')], "named pipe"),
        (vec![json(), Tar::file("package/x", "x"), Tar::file("package/x/y", "y")], "is a file"),
        (vec![Tar::file("package/x", "x")], "no package.json"),
        (vec![Tar::file("package/package.json", "{")], "package.json"),
        (vec![Tar::file("package/package.json", "{}")], "no name"),
        (vec![Tar::file("package/package.json", r#"{"name":"x","version":"1","bin":"../../bin/sh"}"#)], ".."),
    ] {
        let found = reason(unpack(&made(&members)).0);
        assert!(found.contains(expected), "{found} / {expected}");
    }
}

#[test]
fn broken_archives_are_refused() {
    let good = made(&[Tar::file("package/package.json", JSON), Tar::file("package/x", &"x".repeat(10_000))]);
    unpack(&good).0.unwrap();
    for bytes in [
        &b""[..],
        b"not gzip",
        &good[..good.len() - 1],
        &good[..good.len() / 2],
        &[&good[..], b"more"].concat(),
    ] {
        reason(unpack(bytes).0);
    }
    let zeros = vec![0u8; 80 << 20];
    let bomb = made(&[Tar::file("package/package.json", JSON), Tar::file("package/zeros", &zeros)]);
    assert!(reason(unpack(&bomb).0).contains("unpacks to more than"));
}
