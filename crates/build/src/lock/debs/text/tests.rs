//! Reading and writing `debs.lock`.

use super::*;
use proptest::prelude::*;

fn text() -> String {
    let digest = Digest::sha256(b"");
    format!(
        "# Made by `perijove lock` from debs.in; do not edit.\nversion 1\ninput {digest}\ncodename trixie\n\
         platforms linux/amd64 linux/arm64\n\
         suite trixie 2026-09-12T07:55:41Z {digest}\nsuite trixie-security 2026-11-21T00:53:03Z {digest}\n\
         deb libc6 2.41-12 amd64 2847196 {digest} debian pool/main/g/glibc/libc6_2.41-12_amd64.deb\n\
         deb libc6 2.41-12 arm64 2447196 {digest} debian pool/main/g/glibc/libc6_2.41-12_arm64.deb\n\
         deb libx 1 all 10 {digest} debian-security pool/updates/main/x/libx_1_all.deb only=linux/arm64\n\
         deb tzdata 2025b-4 all 260000 {digest} debian pool/main/t/tzdata/tzdata_2025b-4_all.deb\n"
    )
}

#[test]
fn reads_what_it_writes() {
    let lock = DebsLock::parse(&text(), "debs.lock").unwrap();
    assert_eq!(lock.to_text(), text());
    let names = |p: &str| -> Vec<String> {
        lock.for_platform(&p.parse().unwrap())
            .iter()
            .map(|d| format!("{}:{}", d.name, d.architecture))
            .collect()
    };
    assert_eq!(names("linux/amd64"), ["libc6:amd64", "tzdata:all"]);
    assert_eq!(names("linux/arm64"), ["libc6:arm64", "libx:all", "tzdata:all"]);
    assert_eq!(names("linux/s390x"), Vec::<String>::new());
    assert_eq!(lock.created().unwrap().to_string(), "2026-11-21T00:53:03Z");
}

#[test]
fn names_the_line_that_is_wrong() {
    let good = text();
    for (from, to, says) in [
        ("version 1\n", "version 2\n", "debs.lock:2: this is format 2, made by a newer Perijove"),
        ("version 1\n", "", "debs.lock:2: expected `version 1` before anything else"),
        (
            "pool/main/t/",
            "pool/../t/",
            "debs.lock:11: `pool/../t/tzdata/tzdata_2025b-4_all.deb` is not a path",
        ),
        ("pool/main/t/", "/etc/", "debs.lock:11: `/etc/tzdata/tzdata_2025b-4_all.deb` is not a path"),
        (" 260000 ", " 99999999999999 ", "debs.lock:11: `99999999999999` is not the size of a package"),
        (" 260000 ", " 0 ", "debs.lock:11: `0` is not the size"),
        ("deb tzdata", "deb libc6", "debs.lock:11: `libc6` is not in the order of names"),
        ("deb libx 1 all", "deb libc6 1 all", "debs.lock:10: `libc6` is locked twice for one platform"),
        ("only=linux/arm64", "only=linux/s390x", "debs.lock:10: `libx` is for none of the lock's platforms"),
        ("debian-security pool", "ubuntu pool", "debs.lock:10: the archive is neither"),
        ("codename trixie\n", "", "debs.lock:10: the lock ends before"),
        (
            "suite trixie ",
            "<<<<<<< HEAD\nsuite trixie ",
            "debs.lock:6: `<<<<<<< HEAD` is not a line of a lock",
        ),
        ("2025b-4 all", "2025b-4 vax", "debs.lock:11: `vax` is not an architecture"),
    ] {
        let broken = good.replacen(from, to, 1);
        assert_ne!(broken, good);
        let error = DebsLock::parse(&broken, "debs.lock").unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
    assert!(DebsLock::parse("", "debs.lock").is_err());
}

#[test]
fn paths_stay_below_the_archive() {
    for bad in
        ["", "/a", "a//b", "a/./b", "../a", "a/..", "a b", "a/%2e%2e/b", "a?x", "a#x", "a\\b", "a/\u{e9}"]
    {
        assert!(check_path(bad).is_err(), "{bad}");
    }
    assert!(check_path("pool/main/a/a++/a++_1.0~rc1+b1_amd64.deb").is_ok());
}

proptest! {
    #[test]
    fn never_panics(lines in proptest::collection::vec(0usize..12, 0..14), noise in "[a-z0-9 :=/\u{e9}]{0,30}", cut in 0usize..2000) {
        let text = text();
        let all: Vec<&str> = text.lines().collect();
        let mixed: Vec<&str> = lines.iter().map(|i| *all.get(*i).unwrap_or(&noise.as_str())).collect();
        let mut mixed = format!("version 1\n{}", mixed.join("\n"));
        let cut = (0..=cut.min(mixed.len())).rev().find(|i| mixed.is_char_boundary(*i)).unwrap_or(0);
        mixed.truncate(cut);
        if let Ok(lock) = DebsLock::parse(&mixed, "debs.lock") {
            prop_assert_eq!(DebsLock::parse(&lock.to_text(), "again").unwrap(), lock);
        }
    }
}
