//! Made Debian packages.

use std::io::Read;

use perijove_build::Error;
use perijove_build::entry::{Entry, Kind, Sink};
use perijove_build::unpack::{Control, deb};

use crate::archives::{CONTROL, Tar, ar, deb as made, deb_with, gzip, pax, tar, xz, zst};
use crate::collect::{Collect, on_disk, reason};

fn unpack(bytes: &[u8]) -> (perijove_build::Result<Control>, Collect) {
    on_disk(bytes, |path, sink| deb(path, "hello.deb", sink))
}

fn refused(members: &[Tar<'_>]) -> String {
    reason(unpack(&made(members)).0)
}

#[test]
fn an_honest_package_is_unpacked() {
    let (control, sink) = unpack(&made(&[
        Tar::folder("./"),
        Tar::folder("./bin/"),
        Tar { uid: 7, mtime: 5, ..Tar::file("./bin/hello", "hi").mode(0o4755) },
        Tar::folder("./usr/"),
        Tar::folder("./usr/share/doc/"),
        Tar::folder("./usr/share/doc/hello/"),
        Tar::file("./usr/share/doc/hello/changelog.gz", "x"),
        Tar::file("./usr/share/doc/hello/copyright", "x"),
        Tar::folder("./usr/share/doc/empty/"),
        Tar::folder("./usr/share/man/"),
        Tar::file("./usr/share/man/hello.1", "x"),
        Tar::hardlink("./usr/bin/hallo", "./bin/hello"),
        Tar::symlink("./usr/bin/h", "/bin/hello"),
    ]));
    let control = control.unwrap();
    assert_eq!((control.package.as_str(), control.version.as_str()), ("hello", "1.0-1"));
    assert_eq!(control.architecture, "all");
    assert_eq!(
        sink.paths(),
        [
            "usr",
            "usr/bin",
            "usr/bin/hello",
            "usr/share",
            "usr/share/doc",
            "usr/share/doc/hello",
            "usr/share/doc/hello/copyright",
            "usr/bin/hallo",
            "usr/bin/h",
            "var",
            "var/lib",
            "var/lib/dpkg",
            "var/lib/dpkg/status.d",
            "var/lib/dpkg/status.d/hello",
            "var/lib/dpkg/status.d/hello.md5sums",
        ]
    );
    let (hello, content) = sink.get("usr/bin/hello").unwrap();
    assert_eq!((hello.mode, hello.uid, hello.mtime, content.as_slice()), (0o4755, 7, 5, &b"hi"[..]));
    assert_eq!(sink.get("usr/bin/hallo").unwrap().0.kind, Kind::Hardlink { target: "usr/bin/hello".into() });
    assert_eq!(sink.text("usr/share/doc/hello/copyright"), "x");
    let status = sink.text("var/lib/dpkg/status.d/hello");
    assert!(status.starts_with("Package: hello\nStatus: install ok installed\nVersion: 1.0-1\n"), "{status}");
}

#[test]
fn every_compression_is_read() {
    let (control, data) = (tar(&[Tar::file("control", CONTROL)]), tar(&[Tar::file("./a", "content")]));
    for (suffix, pack) in
        [(".gz", gzip as fn(&[u8]) -> Vec<u8>), (".xz", xz), (".zst", zst), ("", <[u8]>::to_vec)]
    {
        let (control_name, data_name) = (format!("control.tar{suffix}"), format!("data.tar{suffix}"));
        let bytes = ar(&[
            ("debian-binary", b"2.0\n"),
            ("_gpgorigin", b"signature"),
            (&control_name, &pack(&control)),
            (&data_name, &pack(&data)),
            ("_gpgbuilder", b"x"),
        ]);
        let (result, sink) = unpack(&bytes);
        result.unwrap();
        assert_eq!(sink.text("a"), "content", "{suffix}");
        for cut in [bytes.len() / 2, control.len() / 2, 100, 70] {
            let cut = cut.min(bytes.len() - 80);
            reason(unpack(&bytes[..cut]).0);
        }
    }
}

#[test]
fn the_outer_format_is_checked() {
    let control = gzip(&tar(&[Tar::file("control", CONTROL)]));
    let data = gzip(&tar(&[]));
    let (binary, control) = (("debian-binary", &b"2.0\n"[..]), ("control.tar.gz", &control[..]));
    let data = ("data.tar.gz", &data[..]);
    unpack(&ar(&[binary, control, data])).0.unwrap();
    for (members, expected) in [
        (vec![], "empty ar"),
        (vec![control, data], "first member is control.tar.gz"),
        (vec![("debian-binary", &b"3.0\n"[..]), control, data], "only 2.x"),
        (vec![binary, data], "data.tar.gz where control.tar"),
        (vec![binary, control], "no member data.tar"),
        (vec![binary, control, data, data], "a second data.tar"),
        (vec![binary, control, ("data.tar.bz2", b"BZh")], "only gz, xz and zst"),
        (vec![binary, control, ("data.tar.xz", b"not xz")], "data.tar"),
        (vec![binary, control, ("data.tar.zst", b"not zstd")], "data.tar"),
        (vec![binary, control, ("data.tar.gz", b"not gzip")], "data.tar"),
    ] {
        let found = reason(unpack(&ar(&members)).0);
        assert!(found.contains(expected), "{found} / {expected}");
    }
    assert!(reason(unpack(b"PK\x03\x04 not a deb").0).contains("no ar archive"));
    assert!(reason(unpack(b"").0).contains("ends early"));
}

#[test]
fn lying_ar_sizes_are_found() {
    let honest = made(&[Tar::file("./a", "x")]);
    let size_of_data = honest.windows(4).rposition(|w| w == b"`\n\x1f\x8b").unwrap() - 10;
    for (lie, expected) in [
        ("9999999999", "ends early"),
        ("-1        ", "no number"),
        ("          ", "no number"),
        ("5         ", ""),
    ] {
        let mut bytes = honest.clone();
        bytes[size_of_data..size_of_data + 10].copy_from_slice(lie.as_bytes());
        let found = reason(unpack(&bytes).0);
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn control_is_checked() {
    for (control, expected) in [
        ("", "no field Package"),
        ("Package: ../../etc/cron.d/x\nVersion: 1\nArchitecture: all\n", "no package name"),
        ("Version: 1\n", "no field Package"),
    ] {
        let found = reason(unpack(&deb_with(control.as_bytes(), &tar(&[]))).0);
        assert!(found.contains(expected), "{found}");
    }
    let empty = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tar(&[])), ("data.tar", &tar(&[]))]);
    assert!(reason(unpack(&empty).0).contains("no file control"));
    let twice = tar(&[Tar::file("control", CONTROL), Tar::file("./control", CONTROL)]);
    let twice = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &twice), ("data.tar", &tar(&[]))]);
    assert!(reason(unpack(&twice).0).contains("twice"));
}

#[test]
fn hostile_members_are_refused_by_name() {
    for (members, expected) in [
        (vec![Tar::file("../etc/passwd", "x")], "../etc/passwd"),
        (vec![Tar::file("./usr/../../etc/passwd", "x")], ".."),
        (vec![Tar::file("/etc/passwd", "x")], "absolute"),
        (vec![Tar::symlink("./usr/x", "../../etc")], "leaves the root"),
        (vec![Tar::symlink("./x", "/../etc")], "leaves the root"),
        (vec![Tar::symlink("./x", "")], "empty"),
        (vec![Tar::hardlink("./x", "./none")], "no earlier file"),
        (vec![Tar::hardlink("./x", "../../etc/shadow")], ".."),
        (vec![Tar::hardlink("./x", "/etc/shadow")], "absolute"),
        (vec![Tar::symlink("./x", "/etc"), Tar::file("./x/passwd", "x")], "through the symbolic link x"),
        (vec![Tar::symlink("./x", "/etc"), Tar::folder("./x/")], "twice"),
        (vec![Tar::symlink("./x", "/etc/shadow"), Tar::hardlink("./y", "./x")], "no earlier file"),
        (vec![Tar::file("./x", "x"), Tar::file("./x", "y")], "twice"),
        (vec![Tar::file("./bin/x", "x"), Tar::file("./usr/bin/x", "y")], "twice"),
        (vec![Tar::file("./x", "x"), Tar::file("./x/y", "y")], "is a file"),
        (vec![Tar::new("./dev/sda", b'4')], "device"),
        (vec![Tar::new("./dev/null", b'3')], "device"),
        (vec![Tar::new("./pipe", b'6')], "named pipe"),
        (vec![Tar::new("./sparse", b'S')], "sparse"),
        (vec![Tar::new("./x", b'Z')], "unknown type"),
        (vec![Tar::symlink("./bin", "/tmp")], "must be a folder or a link to usr/bin"),
        (vec![Tar::file("./lib", "x")], "must be a folder or a link to usr/lib"),
        (vec![Tar::file(&b"./caf\xe9"[..], "x")], "UTF-8"),
        (vec![Tar::file("./a\nb", "x")], "control character"),
        (
            vec![Tar::file("./x", "x"), Tar { content: b"data", ..Tar::symlink("./l", "x") }],
            "content where none",
        ),
        (vec![Tar { mtime: u64::MAX / 2, ..Tar::file("./x", "") }], "time"),
        (vec![Tar::file("./usr/share/man/x", "x"), Tar::hardlink("./x", "./usr/share/man/x")], "is left out"),
        (vec![Tar::file("./private/x", "x"), Tar::folder("./private/").mode(0o700)], "after its content"),
        (vec![Tar::file("./var/run/x", "x"), Tar::file("./run/x", "x")], "twice"),
    ] {
        let found = refused(&members);
        assert!(found.contains(expected), "{found} / {expected}");
    }
}

#[test]
fn the_links_that_every_system_has_are_no_entries() {
    let (result, sink) = unpack(&made(&[
        Tar::symlink("./bin", "usr/bin"),
        Tar::symlink("./lib64", "/usr/lib64"),
        Tar::folder("./var/run/"),
        Tar::folder("./sbin/"),
    ]));
    result.unwrap();
    assert_eq!(sink.paths().iter().filter(|p| !p.starts_with("var/lib")).collect::<Vec<_>>(), [&"var"]);
}

#[test]
fn long_names_of_both_kinds_work() {
    let name = format!("usr/{}end", "long-folder-name/".repeat(20));
    let target = format!("/{}", "t".repeat(200));
    let long = |kind, content: &[u8]| Tar { content, ..Tar::new("././@LongLink", kind) }.bytes();
    let gnu_name = [name.as_bytes(), b"\0"].concat();
    let pax_size =
        [pax("path", name.as_bytes()), pax("mtime", b"12.5"), pax("size", b"3"), pax("uid", b"3000000")]
            .concat();
    for (prefix, wrong_size) in [(long(b'L', &gnu_name), None), (long(b'x', &pax_size), Some(1_000_000))] {
        let file = Tar { size: wrong_size, ..Tar::file("short", "abc") };
        let link = [long(b'K', target.as_bytes()), Tar::symlink("l", "x").bytes()].concat();
        let data = [prefix, file.bytes(), link, tar(&[Tar::file("after", "z")])].concat();
        let (result, sink) = unpack(&deb_with(CONTROL.as_bytes(), &data));
        result.unwrap();
        assert_eq!(sink.text(&name), "abc");
        assert_eq!(sink.get("l").unwrap().0.kind, Kind::Symlink { target: target.clone() });
        assert_eq!(sink.text("after"), "z");
        if wrong_size.is_some() {
            let entry = &sink.get(&name).unwrap().0;
            assert_eq!((entry.mtime, entry.uid), (12, 3_000_000));
        }
    }
}

#[test]
fn tar_headers_that_lie_are_refused() {
    let long = |kind, content: &[u8], size| Tar { content, size, ..Tar::new("x", kind) }.bytes();
    let plain = || Tar::file("a", "x").bytes();
    let mut broken_sum = plain();
    broken_sum[0] = b'b';
    let record = |key, value: &[u8]| long(b'x', &pax(key, value), None);
    for (data, expected) in [
        (Tar { size: Some(5 << 30), ..Tar::file("a", "x") }.bytes(), "ends early"),
        (Tar { size: Some(u64::MAX), ..Tar::file("a", "x") }.bytes(), "ends early"),
        (Tar { size: Some(5 << 30), ..Tar::new("a", b'L') }.bytes(), "header of 5368709120 bytes"),
        (Tar { size: Some(5 << 30), ..Tar::new("a", b'x') }.bytes(), "header of 5368709120 bytes"),
        (broken_sum, "checksum"),
        (plain()[..700].to_vec(), "ends early"),
        (plain()[..300].to_vec(), "ends early"),
        (long(b'L', b"name", None), "describes no entry"),
        ([long(b'L', b"a", None), long(b'L', b"b", None), plain()].concat(), "two long names"),
        ([long(b'L', b"a", None), record("path", b"b"), plain()].concat(), "two long names"),
        ([record("path", b"a"), record("path", b"b"), plain()].concat(), "two pax headers"),
        ([record("path", b"../a"), plain()].concat(), ".."),
        ([record("size", b"99999999999999999999"), plain()].concat(), "broken pax"),
        ([record("size", b"18446744073709551615"), plain()].concat(), "ends early"),
        ([record("GNU.sparse.major", b"1"), plain()].concat(), "sparse"),
        ([record("uid", b"4294967296"), plain()].concat(), "owner 4294967296 is too large"),
        ([long(b'g', &pax("path", b"evil"), None), plain()].concat(), "global pax"),
        ([plain(), vec![0; 1024], plain()].concat(), "after the end"),
    ] {
        let found = reason(unpack(&deb_with(CONTROL.as_bytes(), &data)).0);
        assert!(found.contains(expected), "{found} / {expected}");
    }
    let comment = [long(b'g', &pax("comment", b"0123"), None), tar(&[Tar::file("a", "x")])].concat();
    unpack(&deb_with(CONTROL.as_bytes(), &comment)).0.unwrap();
}

#[test]
fn bombs_stop_at_the_bound() {
    // 80 MiB of zeros, 64 MiB are free; packed to a few kB by each.
    let zeros = vec![0u8; 80 << 20];
    let bomb = tar(&[Tar::file("./zeros", &zeros)]);
    let control = tar(&[Tar::file("control", CONTROL)]);
    for (suffix, packed) in [(".gz", gzip(&bomb)), (".xz", xz(&bomb)), (".zst", zst(&bomb))] {
        let name = format!("data.tar{suffix}");
        let bytes = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control), (&name, &packed)]);
        assert!(bytes.len() < 500_000);
        let found = reason(unpack(&bytes).0);
        assert!(found.contains("zeros: unpacks to more than 67108864 bytes"), "{found}");
    }
}

#[test]
fn xz_that_asks_for_much_memory_is_refused() {
    // In the block header, behind the filter's id and size: the window, 37 is 768 MiB.
    let mut packed = xz(&tar(&[Tar::file("./a", "x")]));
    let block = 12;
    assert_eq!(&packed[block + 2..block + 4], &[0x21, 1], "filter id and size");
    packed[block + 4] = 37;
    let header = (usize::from(packed[block]) + 1) * 4;
    let mut crc = flate2::Crc::new();
    crc.update(&packed[block..block + header - 4]);
    packed[block + header - 4..block + header].copy_from_slice(&crc.sum().to_le_bytes());
    let control = tar(&[Tar::file("control", CONTROL)]);
    let bytes = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar.xz", &packed)]);
    let found = reason(unpack(&bytes).0);
    assert!(found.contains("memory"), "{found}");
}

#[test]
fn missing_archives_are_the_disk_s_fault() {
    let mut sink = Collect::default();
    let error = deb(std::path::Path::new("no/such.deb"), "such.deb", &mut sink).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn the_sink_s_own_error_comes_through() {
    struct Full;
    impl Sink for Full {
        fn entry(&mut self, entry: Entry, _: &mut dyn Read) -> perijove_build::Result<()> {
            let source = std::io::ErrorKind::StorageFull.into();
            Err(Error::Io { path: entry.path.into(), source })
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hello.deb");
    std::fs::write(&path, made(&[Tar::file("./a", "x")])).unwrap();
    match deb(&path, "hello.deb", &mut Full) {
        Err(Error::Io { path, source }) => {
            assert_eq!((path.to_str(), source.kind()), (Some("a"), std::io::ErrorKind::StorageFull));
        }
        other => panic!("{other:?}"),
    }
}
