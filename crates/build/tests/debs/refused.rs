//! What is not signed, current and whole is refused, and says so.

use super::archive::{Files, SuiteMaker};
use super::keys::{self, Key};
use super::{Site, usual};
use perijove_build::lock::debs::DebsLock;

const INRELEASE: &str = "dists/trixie/InRelease";
const PACKAGES: &str = "dists/trixie/main/binary-amd64/Packages.xz";

/// How a mirror is tampered with, and what the refusal says.
type Case = (&'static str, Box<dyn FnOnce(&mut Files, &Key)>, &'static [&'static str]);

fn case(
    name: &'static str,
    says: &'static [&'static str],
    tamper: impl FnOnce(&mut Files, &Key) + 'static,
) -> Case {
    (name, Box::new(tamper), says)
}

/// Publishes `trixie` anew after `change`.
fn republish(files: &mut Files, key: &Key, change: impl FnOnce(&mut SuiteMaker)) {
    let mut suite = SuiteMaker::new("trixie").package(files, "app", "1", "any", "");
    change(&mut suite);
    suite.publish(files, key);
}

/// Signs `trixie` anew, with these bytes as its index for amd64.
fn index(files: &mut Files, key: &Key, bytes: &[u8]) {
    let indexes = ["amd64", "arm64"].map(|a| (format!("main/binary-{a}/Packages.xz"), bytes.to_vec()));
    let text = SuiteMaker::new("trixie").release_of(files, &indexes);
    files.insert(INRELEASE.to_owned(), key.sign(&text).into_bytes());
}

/// Signs the usual text of `trixie` with `sign`.
fn resign(files: &mut Files, sign: impl FnOnce(&str) -> String) {
    let text = SuiteMaker::new("trixie").release(files);
    files.insert(INRELEASE.to_owned(), sign(&text).into_bytes());
}

/// Changes one field of the index's `app` and signs everything anew.
fn field(from: &'static str, to: &'static str) -> impl FnOnce(&mut Files, &Key) {
    move |files, key| {
        republish(files, key, |suite| {
            for text in suite.indexes.values_mut() {
                let start = text.find(from).unwrap();
                let end = start + text[start..].find('\n').unwrap();
                text.replace_range(start..end, to);
            }
        });
    }
}

/// Removes what is fetched by digest, so that the plain path is asked.
fn no_by_hash(files: &mut Files) {
    files.retain(|path, _| !path.contains("/by-hash/"));
}

fn cases() -> Vec<Case> {
    vec![
        case(
            "changed text",
            &["dists/trixie/InRelease: refused: no good signature", "is not of this text"],
            |files, _| {
                let text = String::from_utf8(files[INRELEASE].clone()).unwrap();
                files.insert(INRELEASE.to_owned(), text.replacen("10:00:00", "11:00:00", 1).into_bytes());
            },
        ),
        case(
            "a stranger's signature",
            &["refused: no good signature", "is not in the keyring"],
            |files, _| {
                resign(files, |text| Key::new().sign(text));
            },
        ),
        case("no signature", &["refused: it is not a signed message"], |files, _| {
            resign(files, str::to_owned);
        }),
        case("a signature cut off", &["refused: the signature is cut off"], |files, _| {
            let bytes = files.get_mut(INRELEASE).unwrap();
            bytes.truncate(bytes.len() - 40);
        }),
        case("a message cut off", &["refused: the signed message has no signature"], |files, _| {
            files.get_mut(INRELEASE).unwrap().truncate(150);
        }),
        case("text before the message", &["refused: it is not a signed message"], |files, _| {
            let text = String::from_utf8(files[INRELEASE].clone()).unwrap();
            files.insert(INRELEASE.to_owned(), format!("Codename: trixie\n\n{text}").into_bytes());
        }),
        case("text after the signature", &["refused: something follows the signature"], |files, _| {
            files.get_mut(INRELEASE).unwrap().extend(b"\nCodename: trixie\n");
        }),
        case("a header with text", &["refused: the signed message has an unknown header"], |files, _| {
            let text = String::from_utf8(files[INRELEASE].clone()).unwrap();
            files.insert(
                INRELEASE.to_owned(),
                text.replacen("Hash:", "Codename: evil\nHash:", 1).into_bytes(),
            );
        }),
        case("a signature that has ended", &["refused: no good signature: one has expired"], |files, key| {
            resign(files, |text| key.sign_for_an_hour(text));
        }),
        case("a web page", &["refused: it is a web page"], |files, _| {
            files.insert(INRELEASE.to_owned(), b"<!DOCTYPE html>\n<title>Log in</title>\n".to_vec());
        }),
        case("not text", &["refused: it is not text"], |files, _| {
            files.insert(INRELEASE.to_owned(), vec![0xff; 100]);
        }),
        case("endless", &["larger than 8388608 bytes"], |files, _| {
            files.insert(INRELEASE.to_owned(), vec![b'a'; 9 << 20]);
        }),
        case("not there", &["the server answered 404"], |files, _| {
            files.remove(INRELEASE);
        }),
        case("expired", &["refused: it expired at 2026-11-22T09:00:00Z"], |files, key| {
            republish(files, key, |suite| {
                suite.valid_until = Some("Sun, 22 Nov 2026 09:00:00 UTC".to_owned());
            });
        }),
        case(
            "from the future",
            &["refused: it is dated 2026-11-24T00:00:00Z, in the future"],
            |files, key| {
                republish(files, key, |suite| suite.date = "Tue, 24 Nov 2026 00:00:00 UTC".to_owned());
            },
        ),
        case("another suite", &["refused: it is of trixie-updates", "not of trixie"], |files, _| {
            let other = files["dists/trixie-updates/InRelease"].clone();
            files.insert(INRELEASE.to_owned(), other);
        }),
        case(
            "a changed index",
            &["Packages.xz: refused: its digest is", "the signed Release file says"],
            |files, _| {
                no_by_hash(files);
                files.get_mut(PACKAGES).unwrap()[20] ^= 1;
            },
        ),
        case("a longer index", &["Packages.xz: more bytes than"], |files, _| {
            no_by_hash(files);
            files.get_mut(PACKAGES).unwrap().extend([0; 4096]);
        }),
        case("an index cut off", &["Packages.xz: refused: its digest is"], |files, _| {
            no_by_hash(files);
            files.get_mut(PACKAGES).unwrap().truncate(60);
        }),
        case("a web page for an index", &["Packages.xz: refused: its digest is"], |files, _| {
            no_by_hash(files);
            files.insert(PACKAGES.to_owned(), b"<html>".to_vec());
        }),
        case(
            "an index cut off before it was signed",
            &["Packages.xz: refused: it does not unpack"],
            |files, key| {
                let packed = files[PACKAGES].clone();
                index(files, key, &packed[..packed.len() / 2]);
            },
        ),
        case("a web page that was signed", &["Packages.xz: refused: it does not unpack"], |files, key| {
            index(files, key, b"<html>not an index</html>");
        }),
        case("no index for a platform", &["trixie has no packages for arm64"], |files, key| {
            republish(files, key, |suite| drop(suite.indexes.remove("arm64")));
        }),
        case("a huge index", &["has no size that an index can have"], |files, key| {
            let huge = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
                [digest, _, path] if path.ends_with(".xz") => format!(" {digest} 99999999999 {path}\n"),
                _ => format!("{line}\n"),
            };
            resign(files, |text| key.sign(&text.lines().map(huge).collect::<String>()));
        }),
        case(
            "a package twice",
            &["an index is broken: trixie: lines", "two different packages app 1"],
            |files, key| {
                republish(files, key, |suite| {
                    for text in suite.indexes.values_mut() {
                        let other = text.replace("SHA256: ", "SHA256: 0");
                        text.push_str(&other);
                    }
                });
            },
        ),
        case(
            "a path that climbs",
            &["the index of trixie is broken: app 1: `pool/../../../etc/passwd` is not a path"],
            field("Filename:", "Filename: pool/../../../etc/passwd"),
        ),
        case(
            "an absolute path",
            &["`/etc/passwd` is not a path below an archive"],
            field("Filename:", "Filename: /etc/passwd"),
        ),
        case(
            "a path with an escape",
            &["is not a path below an archive"],
            field("Filename:", "Filename: pool/%2e%2e/x.deb"),
        ),
        case(
            "another host",
            &["is not a path below an archive"],
            field("Filename:", "Filename: //example.org/x.deb"),
        ),
        case(
            "a huge package",
            &["`18446744073709551616` is not the size of a package"],
            field("Size:", "Size: 18446744073709551616"),
        ),
        case(
            "a package of 5 GB",
            &["`5000000000` is not the size of a package"],
            field("Size:", "Size: 5000000000"),
        ),
        case("an empty package", &["`0` is not the size of a package"], field("Size:", "Size: 0")),
        case("no digest", &["app 1: it has no SHA256"], field("SHA256:", "SHA1: 0")),
        case("half a digest", &["is not a digest"], field("SHA256:", "SHA256: 1234")),
        case(
            "a name that is a path",
            &["a package without name, version or architecture"],
            field("Package:", "Package: ../app"),
        ),
    ]
}

#[tokio::test]
async fn whatever_is_tampered_with() {
    for (name, tamper, says) in cases() {
        let site = Site::usual().await;
        site.mirror.change(|files| tamper(files, &site.key));
        let error = site.lock("app\n", None).await.map(|lock| lock.to_text()).expect_err(name);
        for part in says {
            assert!(error.to_string().contains(part), "{name}: {error}");
        }
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{name} has no hint");
    }
}

#[tokio::test]
async fn an_older_copy_than_the_lock_has_seen() {
    let site = Site::usual().await;
    let made = site.lock("app\n", None).await.unwrap();
    let newer =
        made.to_text().replace("suite trixie-security 2026-11-21T10", "suite trixie-security 2026-11-21T11");
    let newer = DebsLock::parse(&newer, "debs.lock").unwrap();
    let error = site.lock("app\n", Some(&newer)).await.unwrap_err().to_string();
    assert!(
        error.contains("dists/trixie-security/InRelease: refused") && error.contains("older than"),
        "{error}"
    );
}

#[tokio::test]
async fn keys_that_are_no_longer_good() {
    let site = Site::new(usual).await;
    let day = 24 * 3600;
    for (keyring, says) in [
        (keys::keyring(&[site.key.expiring(day)]), "has expired"),
        (keys::keyring(&[site.key.revoked()]), "is revoked"),
        (keys::keyring(&[Key::new().public()]), "is not in the keyring"),
        (b"not a keyring".to_vec(), "keyring"),
        (Vec::new(), "keyring"),
    ] {
        std::fs::write(site.keyring(), keyring).unwrap();
        let error = site.lock("app\n", None).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    std::fs::write(site.keyring(), keys::keyring(&[site.key.expiring(20 * 365 * day)])).unwrap();
    assert!(site.lock("app\n", None).await.is_ok(), "a key that has not expired yet is good");
    std::fs::remove_file(site.keyring()).unwrap();
    let error = site.lock("app\n", None).await.unwrap_err();
    assert!(
        error.to_string().ends_with("the keyring with the Debian archive's keys is not there"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("install the package debian-archive-keyring"));
}

#[tokio::test]
async fn a_weak_hash() {
    let site = Site::usual().await;
    let key = Key::rsa();
    std::fs::write(site.keyring(), keys::keyring(&[site.key.public(), key.public()])).unwrap();
    site.mirror.change(|files| republish(files, &key, |_| {}));
    assert!(site.lock("app\n", None).await.is_ok(), "the same key with a strong hash is good");
    site.mirror.change(|files| resign(files, |text| key.sign_weakly(text)));
    let error = site.lock("app\n", None).await.unwrap_err().to_string();
    assert!(error.contains("refused: no good signature: one uses a weak or unknown hash"), "{error}");
}
