use proptest::prelude::*;

use super::*;

fn lock(packages: &str) -> String {
    format!(
        r#"{{"name":"proxy","lockfileVersion":3,"requires":true,"packages":{{"":{{"dependencies":{{"a":"^1","b":"2"}},
        "optionalDependencies":{{"b":"2"}}}},{packages}}}}}"#
    )
}

fn package(path: &str, more: &str) -> String {
    let integrity = format!("sha512-{}==", "A".repeat(86));
    format!(r#""{path}":{{"version":"1.0.0","integrity":"{integrity}"{more}}}"#)
}

fn parse(packages: &[String]) -> Result<NpmLock> {
    NpmLock::parse(&lock(&packages.join(",")), "package-lock.json")
}

#[test]
fn reads_packages() {
    let lock = parse(&[
        package(
            "node_modules/@s/a",
            r#","bin":{"a":"bin/a.js"},"resolved":"https://127.0.0.1/@s/a/-/a-1.0.0.tgz""#,
        ),
        package("node_modules/@s/a/node_modules/b", r#","name":"@t/real","optional":true"#),
        package("node_modules/d", r#","dev":true"#),
        package("node_modules/e", r#","inBundle":true"#),
    ])
    .unwrap();
    let [a, b] = &lock.packages[..] else { panic!("{lock:?}") };
    assert_eq!((a.name.as_str(), a.bin["a"].as_str(), a.optional), ("@s/a", "bin/a.js", false));
    assert_eq!(a.integrity.to_string(), format!("sha512:{}", "0".repeat(128)));
    assert_eq!(
        (b.name.as_str(), b.path.as_str(), b.optional),
        ("@t/real", "node_modules/@s/a/node_modules/b", true)
    );
    for registry in ["http://127.0.0.1:4873/npm", "http://127.0.0.1:4873/npm/"] {
        let url = a.tarball(&registry.parse().unwrap()).unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:4873/npm/@s/a/-/a-1.0.0.tgz");
    }
}

#[test]
fn refuses_what_cannot_be_installed() {
    for (packages, want) in [
        (package("node_modules/a", r#","link":true"#), "link to a local folder"),
        (package("packages/a", ""), "does not lie in node_modules"),
        (package("node_modules/../../a", ""), "does not lie in node_modules"),
        (package("node_modules/a/../b", ""), "does not lie in node_modules"),
        (
            package("node_modules/a", r#","resolved":"git+ssh://git@127.0.0.1/a.git#1""#),
            "not from a registry",
        ),
        (package("node_modules/a", r#","resolved":"file:../a.tgz""#), "not from a registry"),
        (package("node_modules/a", r#","resolved":"https://127.0.0.1/a.tgz""#), "not from a registry"),
        (r#""node_modules/a":{"version":"1"}"#.to_owned(), "no sha512 integrity"),
        (r#""node_modules/a":{"version":"1","integrity":"sha1-AAAA"}"#.to_owned(), "no sha512 integrity"),
        (r#""node_modules/a":{"version":"1","integrity":"sha512-AAAA"}"#.to_owned(), "no sha512 integrity"),
        (r#""node_modules/a":{"version":"../1"}"#.to_owned(), "not one of a registry"),
        (r#""node_modules/a":{}"#.to_owned(), "no name and version"),
    ] {
        let error = parse(std::slice::from_ref(&packages)).unwrap_err();
        assert!(error.to_string().contains(want), "{packages}: {error}");
        assert!(error.to_string().starts_with("package-lock.json: packages.\""), "{error}");
    }
    for (text, want) in [
        (r#"{"lockfileVersion":2,"packages":{}}"#, "version 3 is needed, this is 2"),
        (r#"{"lockfileVersion":1,"dependencies":{}}"#, "version 3 is needed, this is 1"),
        ("{}", "this is none"),
        ("{\n\n<", "package-lock.json:3: it is not a package-lock.json"),
    ] {
        let error = NpmLock::parse(text, "package-lock.json").unwrap_err().to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
}

#[test]
fn platforms_and_scripts() {
    let lock = parse(&[
        package("node_modules/arm", r#","optional":true,"os":["linux"],"cpu":["arm64"]"#),
        package("node_modules/arm/node_modules/inside", ""),
        package("node_modules/armless", r#","cpu":"x64","optional":true"#),
        package("node_modules/mac", r#","optional":true,"os":["darwin"],"hasInstallScript":true"#),
        package("node_modules/musl", r#","optional":true,"libc":["musl"]"#),
        package("node_modules/notwin", r#","os":["!win32"]"#),
    ])
    .unwrap();
    let names = |platform: &str| -> Vec<String> {
        let chosen = lock.for_platform(&platform.parse().unwrap()).unwrap();
        chosen.into_iter().map(|p| p.path.replace("node_modules/", "")).collect()
    };
    assert_eq!(names("linux/arm64"), ["arm", "arm/inside", "notwin"]);
    assert_eq!(names("linux/amd64"), ["armless", "notwin"]);
    let amd64 = "linux/amd64".parse().unwrap();
    let lock = parse(&[package("node_modules/native", r#","hasInstallScript":true"#)]).unwrap();
    let error = lock.for_platform(&amd64).unwrap_err();
    assert!(error.to_string().ends_with("while an image is built: native 1.0.0"), "{error}");
    assert!(error.hint().unwrap().contains("overrides"));
    let lock = parse(&[package("node_modules/mac", r#","os":["darwin"]"#)]).unwrap();
    assert!(lock.for_platform(&amd64).unwrap_err().to_string().contains("mac 1.0.0 is not for linux/amd64"));
}

#[test]
fn says_why_it_is_behind() {
    let lock = parse(&[package("node_modules/a", "")]).unwrap();
    for (json, want) in [
        (r#"{"dependencies":{"a":"^1"},"optionalDependencies":{"b":"2"}}"#, None),
        (r#"{"dependencies":{"a":"^1","b":"9"},"optionalDependencies":{"b":"2"}}"#, None),
        (
            r#"{"dependencies":{"a":"^2"},"optionalDependencies":{"b":"2"}}"#,
            Some("a: package.json wants `^2` in dependencies, the lock was made for `^1`"),
        ),
        (
            r#"{"dependencies":{"a":"^1"}}"#,
            Some("b: package.json wants nothing in optionalDependencies, the lock was made for `2`"),
        ),
    ] {
        assert_eq!(lock.check(json).unwrap().as_deref(), want, "{json}");
    }
    assert!(lock.check("[").unwrap_err().to_string().starts_with("package.json:1"));
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC{0,60}", path in "[a@/._-]{0,20}", integrity in "[a-z0-9A-Z=+/ ?-]{0,40}") {
        let _ = NpmLock::parse(&text, "x");
        let text = lock(&format!(r#""{path}":{{"version":"1","integrity":"sha512-{integrity}"}}"#));
        if let Ok(lock) = NpmLock::parse(&text, "x") {
            let _ = lock.for_platform(&"linux/amd64".parse().unwrap());
        }
    }
}
