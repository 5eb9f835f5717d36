//! Made wheels.

use std::io::Write;

use perijove_build::Error;
use perijove_build::entry::{EPOCH, Kind};
use perijove_build::unpack::{WheelMetadata, WheelOptions, wheel};

use crate::collect::{Collect, on_disk, reason};
use crate::zips::{DIST_INFO, Zip, contents, record, recorded, wheel as made, zip, zip_with_comment};

const LIB: &str = "usr/local/lib/python3.13/dist-packages";

fn unpack(bytes: &[u8]) -> (perijove_build::Result<WheelMetadata>, Collect) {
    let options = WheelOptions::debian("3.13");
    on_disk(bytes, |path, sink| wheel(path, "greet-1.0-py3-none-any.whl", &options, sink))
}

fn refused(entries: &[Zip]) -> String {
    reason(unpack(&zip(entries)).0)
}

#[test]
fn an_honest_wheel_is_installed() {
    let data = "greet-1.0.data";
    let mut entries = contents(&[
        ("greet/__init__.py", "x = 1\n"),
        ("greet/__pycache__/__init__.cpython-313.pyc", "compiled"),
        ("greet/notes, \"quoted\".txt", "n"),
        (&format!("{data}/purelib/pure.py"), "p"),
        (&format!("{data}/platlib/plat.py"), "q"),
        (&format!("{data}/data/share/greet/x.txt"), "d"),
        (&format!("{data}/headers/greet.h"), "h"),
        (&format!("{data}/scripts/run"), "#!pythonw -u\nprint()\n"),
        (&format!("{data}/scripts/tool"), "#!/bin/sh\n"),
        (&format!("{data}/scripts/greet"), "#!python\nold\n"),
        (&format!("{DIST_INFO}/entry_points.txt"), "[console_scripts]\ngreet = greet:main\n"),
        (&format!("{DIST_INFO}/INSTALLER"), "other"),
    ]);
    entries.push(Zip::new("greet/run.sh", "#!/bin/sh\n").mode(0o100_777));
    entries.insert(0, Zip { deflate: false, ..Zip::new("greet/", "").mode(0o040_700) });
    let (metadata, sink) = unpack(&zip(&recorded(entries)));
    let metadata = metadata.unwrap();
    assert_eq!((metadata.name.as_str(), metadata.version.as_str()), ("greet", "1.0"));
    assert_eq!(metadata.commands, ["greet", "run", "tool"]);

    let paths: Vec<_> = sink.paths().iter().map(|p| p.strip_prefix("usr/local").unwrap_or("")).collect();
    let mut sorted = paths.clone();
    sorted.sort_unstable();
    assert_eq!(paths, sorted);
    let files: Vec<_> = sink.entries.iter().filter(|(e, _)| e.kind != Kind::Directory).collect();
    let names: Vec<_> = files.iter().map(|(e, _)| e.path.strip_prefix("usr/local/").unwrap()).collect();
    let lib = "lib/python3.13/dist-packages";
    assert_eq!(
        names,
        [
            "bin/greet".to_owned(),
            "bin/run".to_owned(),
            "bin/tool".to_owned(),
            "include/python3.13/greet/greet.h".to_owned(),
            format!("{lib}/greet-1.0.dist-info/INSTALLER"),
            format!("{lib}/greet-1.0.dist-info/METADATA"),
            format!("{lib}/greet-1.0.dist-info/RECORD"),
            format!("{lib}/greet-1.0.dist-info/WHEEL"),
            format!("{lib}/greet-1.0.dist-info/entry_points.txt"),
            format!("{lib}/greet/__init__.py"),
            format!("{lib}/greet/notes, \"quoted\".txt"),
            format!("{lib}/greet/run.sh"),
            format!("{lib}/plat.py"),
            format!("{lib}/pure.py"),
            "share/greet/x.txt".to_owned(),
        ]
    );
    for (entry, _) in &sink.entries {
        let executable =
            entry.kind == Kind::Directory || entry.path.contains("/bin/") || entry.path.ends_with("run.sh");
        let expected = (if executable { 0o755 } else { 0o644 }, 0, 0, EPOCH);
        assert_eq!((entry.mode, entry.uid, entry.gid, entry.mtime), expected, "{}", entry.path);
    }
    assert_eq!(sink.text("usr/local/bin/run"), "#!/usr/bin/python3\nprint()\n");
    assert_eq!(sink.text("usr/local/bin/tool"), "#!/bin/sh\n");
    assert!(sink.text("usr/local/bin/greet").starts_with("#!/usr/bin/python3\n"));
    assert!(sink.text("usr/local/bin/greet").contains("from greet import main\n"));
    assert_eq!(sink.text(&format!("{LIB}/{DIST_INFO}/INSTALLER")), "perijove\n");

    let rows = sink.text(&format!("{LIB}/{DIST_INFO}/RECORD"));
    let lines: Vec<_> = rows.lines().collect();
    assert_eq!(lines.len(), files.len(), "{rows}");
    assert!(lines.is_sorted_by_key(|line| line.trim_start_matches('"')), "{rows}");
    assert!(rows.contains("\n\"greet/notes, \"\"quoted\"\".txt\",sha256="), "{rows}");
    assert!(
        rows.contains("../../../bin/run,sha256=") && rows.contains("greet-1.0.dist-info/RECORD,,\n"),
        "{rows}"
    );
}

#[test]
fn record_and_wheel_must_agree() {
    let base = || contents(&[("greet.py", "x"), ("greet/y.py", "y")]);
    let with_record = |rows: String| {
        let mut entries = base();
        entries.push(Zip::new(format!("{DIST_INFO}/RECORD"), rows));
        refused(&entries)
    };
    let good = record(&base());
    for (rows, expected) in [
        (good.replacen("\"greet.py\"", "\"greet2.py\"", 1), "greet.py: RECORD does not list it"),
        (
            format!("{good}gone.py,sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0,3\n"),
            "gone.py: RECORD lists it",
        ),
        (good.replacen(",1\r", ",2\r", 1), "another size"),
        (good.replacen("sha256=", "md5=", 1), "no SHA-256"),
        ("greet.py,,\n".to_owned(), "no hash"),
        (good.replacen("\"greet.py\",sha256=", "\"greet.py\",sha256=AAAA", 1), "hash"),
        ("\"".to_owned(), "not closed"),
    ] {
        let found = with_record(rows);
        assert!(found.contains(expected), "{found} / {expected}");
    }
    // The hash of another content of the same size, for a file that is installed, one that is left out, and
    // a script that is rewritten.
    for name in ["greet.py", "greet/y.pyc", "greet-1.0.data/scripts/run"] {
        let mut entries = recorded(contents(&[(name, "#!python\na")]));
        entries[0].content = b"#!python\nb".to_vec();
        let found = refused(&entries);
        assert!(found.contains(name) && found.contains("hash is not the one in RECORD"), "{found}");
    }
    assert!(refused(&base()).contains("no greet-1.0.dist-info/RECORD"));
}

#[test]
fn hostile_names_are_refused() {
    for (name, expected) in [
        ("../evil.py", ".."),
        ("greet/../../evil.py", ".."),
        ("/etc/passwd", "absolute"),
        ("a\\..\\b.py", "backslash"),
        ("./greet.py", "empty parts"),
        ("a//b.py", "empty parts"),
        ("a\nb.py", "control"),
        ("a\0b.py", "control"),
        ("greet-1.0.data/data/../x", ".."),
        ("greet-1.0.data/other/x", "none of purelib"),
        ("greet-1.0.data/x", "where a scheme should be"),
        ("other-1.0.dist-info/METADATA", "no second such folder"),
        ("other-1.0.data/data/etc/x", "no second such folder"),
        ("Greet-1.0.dist-info/RECORD", "no second such folder"),
        ("GREET-1.0.DATA/scripts/x", "no second such folder"),
    ] {
        let found = refused(&recorded(contents(&[("ok.py", ""), (name, "x")])));
        assert!(found.contains(expected), "{found} / {expected}");
    }
    let long = "n".repeat(300);
    assert!(refused(&recorded(contents(&[("ok.py", ""), (&long, "x")]))).contains("more than 255 bytes"));
    let mut latin = contents(&[]);
    latin.push(Zip::new(b"caf\xe9.py", "x"));
    assert!(refused(&recorded(latin)).contains("UTF-8"));
    let mut unflagged = contents(&[]);
    unflagged.push(Zip { flags: 0, ..Zip::new("café.py", "x") });
    assert!(refused(&recorded(unflagged)).contains("two ways"));
}

#[test]
fn names_in_utf_8_are_kept() {
    let (result, sink) = unpack(&made(&[("café/Főtanúsítvány.txt", "x")]));
    result.unwrap();
    assert_eq!(sink.text(&format!("{LIB}/café/Főtanúsítvány.txt")), "x");
    assert!(sink.text(&format!("{LIB}/{DIST_INFO}/RECORD")).contains("café/Főtanúsítvány.txt,sha256="));
}

#[test]
fn a_wheel_that_was_written_as_a_stream_is_read() {
    // Sizes and checksums come after the content then, in data descriptors.
    let mut writer = zip::ZipWriter::new_stream(Vec::new());
    for entry in recorded(contents(&[("greet.py", "x = 1\n")])) {
        let name = String::from_utf8(entry.name).unwrap();
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&entry.content).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    let (result, sink) = unpack(&bytes);
    result.unwrap();
    assert_eq!(sink.text(&format!("{LIB}/greet.py")), "x = 1\n");
}

#[test]
fn names_that_differ_by_case_are_two_files() {
    let (result, sink) = unpack(&made(&[("linux/xt_MARK.h", "1"), ("linux/xt_mark.h", "2")]));
    result.unwrap();
    assert_eq!(sink.text(&format!("{LIB}/linux/xt_MARK.h")), "1");
    assert_eq!(sink.text(&format!("{LIB}/linux/xt_mark.h")), "2");
}

#[test]
fn two_files_for_one_place_are_refused() {
    let doubled = |name: &str| vec![Zip::new(name, "1"), Zip::new(name, "2")];
    let mut entries = doubled("a.py");
    entries.extend(recorded(contents(&[])));
    assert!(refused(&entries).contains("duplicate"));
    for (one, other) in
        [("x.py", "greet-1.0.data/purelib/x.py"), ("greet-1.0.data/scripts/x", "greet-1.0.data/data/bin/x")]
    {
        let found = refused(&recorded(contents(&[(one, "1"), (other, "2")])));
        assert!(found.contains("two files"), "{found}");
    }
    let found = refused(&recorded(contents(&[("x", "1"), ("x/y.py", "2")])));
    assert!(found.contains("dist-packages/x: it is in the archive twice"), "{found}");
}

#[test]
fn entries_that_are_no_files_are_refused() {
    for (entry, expected) in [
        (Zip::new("link.py", "/etc/passwd").mode(0o120_777), "symbolic link"),
        (Zip::new("pipe", "").mode(0o010_644), "neither a file nor a folder"),
        (Zip::new("device", "").mode(0o060_644), "neither a file nor a folder"),
        (Zip::new("folder/", "content").mode(0o040_755), "folder with content"),
        (Zip { flags: 1 << 11 | 1, ..Zip::new("secret.py", "x") }, "encrypted"),
    ] {
        let mut entries = contents(&[]);
        entries.push(entry);
        let found = refused(&recorded(entries));
        assert!(found.contains(expected), "{found} / {expected}");
    }
}

#[test]
fn zips_that_readers_disagree_on_are_refused() {
    let good = made(&[("greet.py", "x")]);
    unpack(&good).0.unwrap();
    let other = made(&[("evil.py", "y")]);
    let entries = recorded(contents(&[("greet.py", "x")]));
    let lying_name = {
        let mut entries = entries.clone();
        entries[0].local_name = Some(b"other.py".to_vec());
        zip(&entries)
    };
    let lying_size = {
        let mut entries = entries.clone();
        entries[0].local_size = Some(4_000_000_000);
        zip(&entries)
    };
    let hidden = [good.clone(), other.clone()].concat();
    for bytes in [
        [&good[..], b"trailing"].concat(),
        [b"leading", &good[..]].concat(),
        [good.clone(), vec![0; 22]].concat(),
        hidden,
        zip_with_comment(&entries, b"a comment"),
        zip_with_comment(&entries, &other),
        lying_name,
        lying_size,
        good[..good.len() - 1].to_vec(),
        good[..good.len() / 2].to_vec(),
        good[..10].to_vec(),
        Vec::new(),
        b"!<arch>\ndebian-binary not a wheel".to_vec(),
    ] {
        reason(unpack(&bytes).0);
    }
}

#[test]
fn every_cut_and_every_flipped_byte_of_the_end_is_noticed_or_harmless() {
    let good = made(&[("greet.py", "x")]);
    let whole = unpack(&good).1.listing();
    for at in good.len() - 22..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x41;
        if let (Ok(_), sink) = unpack(&bytes) {
            assert_eq!(sink.listing(), whole, "byte {at}");
        }
    }
}

#[test]
fn sizes_that_lie_are_found() {
    for lie in [0u32, 1, 1000, u32::MAX - 1] {
        let mut entries = recorded(contents(&[("greet.py", "twelve bytes")]));
        entries[0].size = Some(lie);
        refused(&entries);
        // Also where RECORD tells the same lie.
        let rows =
            record(&contents(&[("greet.py", "twelve bytes")])).replacen(",12\r", &format!(",{lie}\r"), 1);
        let last = entries.len() - 1;
        entries[last].content = rows.into_bytes();
        refused(&entries);
    }
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    let zeros = "\0".repeat(80 << 20);
    let bytes = made(&[("zeros", &zeros)]);
    assert!(bytes.len() < 500_000);
    let (result, sink) = unpack(&bytes);
    assert!(reason(result).contains("unpacks to more than"));
    assert!(sink.entries.is_empty());
}

#[test]
fn a_wheel_is_of_the_project_it_is_named_after() {
    let bytes = made(&[("greet.py", "x")]);
    let named =
        |name: &str| on_disk(&bytes, |path, sink| wheel(path, name, &WheelOptions::debian("3.13"), sink)).0;
    for name in ["greet-1.0-py3-none-any.whl", "Greet-1.0.0-1-py3-none-any.whl", "any message name"] {
        named(name).unwrap();
    }
    for name in ["other-1.0-py3-none-any.whl", "greet-1.1-py3-none-any.whl"] {
        assert!(reason(named(name)).contains("its metadata is of greet 1.0"), "{name}");
    }
    let mut entries = contents(&[]);
    entries[0].content = b"Name: other\nVersion: 1.0\n".to_vec();
    assert!(refused(&recorded(entries)).contains("holds the metadata of other"));
}

#[test]
fn an_interpreter_that_no_script_can_name_is_refused() {
    let bytes = made(&[("greet.py", "x")]);
    for python in ["python3", "/opt/my python/bin/python", "/x\n", &format!("/{}", "x".repeat(130))] {
        let options = WheelOptions { python: python.to_owned(), ..WheelOptions::debian("3.13") };
        let (result, _) = on_disk(&bytes, |path, sink| wheel(path, "w", &options, sink));
        assert!(matches!(result, Err(Error::Refused { .. })), "{python}");
    }
}
