//! Python locks made by uv from an index on loopback, and read back; pip and uv as judges.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say why they are skipped"
)]

mod index;
mod made;
mod sources;

use std::process::Command;

use made::{Image, Made, Style, amd64, answer, arm64, index_url, sdist, serve, wheel};
use perijove_build::lock::index::locate::WHEELS;
use perijove_build::lock::wheels::{Input, Upgrade};
use perijove_build::lock::{RequirementsLock, summary};
use perijove_testkit::has;
use perijove_testkit::web::{Answer, Server};

/// An index with what makes locking hard.
fn packages() -> Vec<Made> {
    let needs =
        ["lib>=1", "Fast.Thing", "armonly; platform_machine == 'aarch64'", "never; sys_platform == 'win32'"];
    vec![
        wheel("app", "1.0", "py3-none-any", &needs),
        wheel("lib", "1.0", "py2.py3-none-any", &[]),
        wheel("lib", "1.1", "py3-none-any", &[]),
        Made { yanked: Some("broken"), ..wheel("lib", "1.2", "py3-none-any", &[]) },
        Made { requires_python: Some(">=3.14"), ..wheel("lib", "1.3", "py3-none-any", &[]) },
        wheel("armonly", "7", "py3-none-any", &[]),
        wheel("never", "1", "py3-none-any", &[]),
        // Version 2 has no wheel for arm64 that runs with glibc 2.36.
        wheel("fast-thing", "2.0", "cp313-cp313-manylinux_2_28_x86_64.manylinux_2_17_x86_64", &[]),
        wheel("fast-thing", "2.0", "cp39-abi3-manylinux_2_28_x86_64", &[]),
        wheel("fast-thing", "2.0", "cp313-cp313-musllinux_1_2_x86_64", &[]),
        wheel("fast-thing", "2.0", "cp313-cp313-manylinux_2_39_aarch64", &[]),
        wheel("fast-thing", "2.0", "cp313-cp313-win_amd64", &[]),
        wheel("fast-thing", "1.9", "cp313-cp313-manylinux2014_aarch64", &[]),
        wheel("fast-thing", "1.9", "cp313-cp313-manylinux2014_x86_64", &[]),
        sdist("fast-thing", "2.0", "none", "", true),
    ]
}

#[tokio::test]
async fn locks_two_platforms() {
    if !has("locks_two_platforms", "uv") {
        return;
    }
    let mut texts = Vec::new();
    for style in [Style::Json, Style::Html] {
        let server = serve(packages(), style);
        let image = Image::new(&index_url(&server), "app\n");
        let (text, lock) = image.locked(None, &Upgrade::Nothing).await;
        let index = image.index();
        for (platform, names) in [
            (amd64(), &["app 1.0", "fast-thing 2.0", "lib 1.1"][..]),
            (arm64(), &["app 1.0", "armonly 7", "fast-thing 1.9", "lib 1.1"]),
        ] {
            let chosen = index.choose(&lock, &image.target, &platform).await.unwrap();
            let found: Vec<String> = chosen.iter().map(|c| format!("{} {}", c.name, c.version)).collect();
            assert_eq!(found, names, "{platform}");
            for choice in chosen {
                let path = index.wheel(&choice, image.root()).await.unwrap();
                assert_eq!(
                    std::fs::metadata(path).unwrap().len(),
                    choice.size.unwrap(),
                    "{}",
                    choice.filename
                );
            }
        }
        // Everything is in the cache now, so no index is asked.
        server.requests();
        let again = image.index();
        for choice in again.choose(&lock, &image.target, &amd64()).await.unwrap() {
            again.wheel(&choice, image.root()).await.unwrap();
        }
        assert_eq!(server.requests(), [""; 0]);
        assert_eq!(Input::read(&image.input()).unwrap().check(&lock, &image.target).unwrap(), None);
        texts.push(text);
    }
    assert_eq!(texts[0], texts[1], "the lock does not depend on how the index answers");
    insta::assert_snapshot!("two_platforms", texts[0]);
}

#[tokio::test]
async fn pip_and_uv_install_from_the_lock() {
    const TEST: &str = "pip_and_uv_install_from_the_lock";
    if !has(TEST, "uv") || !has(TEST, "python3") {
        return;
    }
    let mut files = packages();
    files.push(sdist("pure", "0.6", "pure-0.6-py3-none-any.whl", "", true));
    let server = serve(files, Style::Html);
    let image = Image::new(&index_url(&server), "app\npure\n");
    image.locked(None, &Upgrade::Nothing).await;
    let wheels = image.path(WHEELS);
    for (machine, glibc) in [("x86_64", "manylinux_2_28_x86_64"), ("aarch64", "manylinux2014_aarch64")] {
        // pip evaluates markers for the machine that it runs on, so it sees that one alone.
        if machine == std::env::consts::ARCH {
            let pip = Command::new("python3")
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--dry-run",
                    "--ignore-installed",
                    "--require-hashes",
                    "--no-cache-dir",
                ])
                .args(["--target", "x", "--python-version", "3.13", "--only-binary", ":all:", "--isolated"])
                .args(["--platform", glibc, "--index-url", &index_url(&server), "--find-links"])
                .arg(&wheels)
                .args(["-r", "requirements.txt"])
                .current_dir(image.root())
                .output()
                .unwrap();
            let text =
                String::from_utf8_lossy(&pip.stdout).into_owned() + &String::from_utf8_lossy(&pip.stderr);
            assert!(pip.status.success() && text.contains("Would install"), "pip: {text}");
            assert!(text.contains("fast-thing-2.0") && text.contains("pure-0.6"), "{text}");
        }
        let uv = Command::new(image.path("uv"))
            .args([
                "pip",
                "install",
                "--dry-run",
                "--require-hashes",
                "--target",
                "x",
                "--no-python-downloads",
            ])
            .args([
                "--python-version",
                "3.13",
                "--python-platform",
                &format!("{machine}-manylinux_2_36"),
                "--find-links",
            ])
            .arg(&wheels)
            .args(["-r", "requirements.txt"])
            .env("UV_DEFAULT_INDEX", index_url(&server))
            .current_dir(image.root())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&uv.stderr);
        assert!(uv.status.success() && text.contains("pure==0.6"), "uv on {machine}: {text}");
        assert!(
            text.contains(if machine == "x86_64" { "fast-thing==2.0" } else { "fast-thing==1.9" }),
            "{text}"
        );
    }
}

#[tokio::test]
async fn present_pins_stay_until_they_are_upgraded() {
    if !has("present_pins_stay_until_they_are_upgraded", "uv") {
        return;
    }
    let versions = |list: &[(&'static str, &str)]| -> Vec<Made> {
        list.iter().map(|(name, version)| wheel(name, version, "py3-none-any", &[])).collect()
    };
    let all = versions(&[("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")]);
    let server = serve(all, Style::Json);
    let image = Image::new(&index_url(&server), "a<2\nb<2\n");
    let (old, _) = image.locked(None, &Upgrade::Nothing).await;
    std::fs::write(image.input(), "a\nb\n").unwrap();
    let pins = |text: &str| -> Vec<(String, String)> {
        let lock = RequirementsLock::parse(text, "requirements.txt").unwrap();
        lock.pins.into_iter().map(|p| (p.name, p.version.to_string())).collect()
    };
    let before = pins(&old);
    for (upgrade, want) in [
        (Upgrade::Nothing, &[][..]),
        (Upgrade::Packages(vec!["B".to_owned()]), &["b 1 → 2"]),
        (Upgrade::All, &["a 1 → 2", "b 1 → 2"]),
    ] {
        let (text, _) = image.locked(Some(&old), &upgrade).await;
        let after = pins(&text);
        let list =
            |of: &'_ [(String, String)]| of.iter().map(|(n, v)| (n.clone(), v.clone())).collect::<Vec<_>>();
        let (one, two) = (list(&before), list(&after));
        let changes = summary(
            one.iter().map(|(n, v)| (n.as_str(), v.clone())),
            two.iter().map(|(n, v)| (n.as_str(), v.clone())),
        );
        assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), want, "{upgrade:?}");
    }
    let error = image.lock(None, &Upgrade::Packages(vec!["--index-url".to_owned()])).await.err().unwrap();
    assert!(error.to_string().contains("`--index-url` is not a project name"), "{error}");
}

#[tokio::test]
async fn reads_a_lock_that_uv_wrote() {
    if !has("reads_a_lock_that_uv_wrote", "uv") {
        return;
    }
    let server = serve(packages(), Style::Html);
    let image = Image::new(&index_url(&server), "app\nfast-thing==1.9\n");
    let compiled = Command::new(image.path("uv"))
        .args([
            "pip",
            "compile",
            "--quiet",
            "--universal",
            "--generate-hashes",
            "--emit-index-url",
            "requirements.in",
        ])
        .args(["--no-python-downloads", "--python", "3", "--python-version", "3.13", "--no-build"])
        .env("UV_DEFAULT_INDEX", index_url(&server))
        .current_dir(image.root())
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let text = String::from_utf8(compiled.stdout).unwrap();
    let lock = RequirementsLock::parse(&text, "requirements.txt").unwrap();
    server.requests();
    let index = image.index();
    let chosen = index.choose(&lock, &image.target, &arm64()).await.unwrap();
    let files: Vec<&str> = chosen.iter().map(|c| c.filename.as_str()).collect();
    let want = [
        "app-1.0-py3-none-any.whl",
        "armonly-7-py3-none-any.whl",
        "fast_thing-1.9-cp313-cp313-manylinux2014_aarch64.whl",
        "lib-1.1-py3-none-any.whl",
    ];
    assert_eq!(files, want);
    // An HTML page says no sizes, so each chosen file is asked for its own.
    let mut asked = server.requests();
    asked.sort();
    let mut expected: Vec<String> = files.iter().map(|file| format!("HEAD /files/{file}")).collect();
    expected.extend(["app", "armonly", "fast-thing", "lib"].map(|name| format!("GET /simple/{name}/")));
    expected.sort();
    assert_eq!(asked, expected, "one page a project, one size a file");
    // The names are remembered by the hashes, so a second process asks nothing.
    let again = image.index().choose(&lock, &image.target, &arm64()).await.unwrap();
    assert_eq!(again, chosen);
    assert_eq!(server.requests(), [""; 0]);
    assert_eq!(Input::read(&image.input()).unwrap().check(&lock, &image.target).unwrap(), None);
}

#[tokio::test]
async fn uvs_own_settings_hold_and_secrets_stay_in() {
    if !has("uvs_own_settings_hold_and_secrets_stay_in", "uv") {
        return;
    }
    let files = packages();
    // `me:s3cret`
    let guarded = Server::start(move |asked| match asked.authorization.as_deref() {
        Some("Basic bWU6czNjcmV0") => answer(&files, Style::Json, asked),
        _ => Answer { headers: vec![("WWW-Authenticate", "Basic".to_owned())], ..Answer::status(401) },
    });
    let extra = serve(vec![wheel("mine", "1", "py3-none-any", &["lib"])], Style::Html);
    let toml = |user: &str| {
        format!(
            "[[index]]\nurl = \"{}\"\n[[index]]\nurl = \"http://{user}@{}/simple\"\ndefault = true\n",
            index_url(&extra),
            guarded.address
        )
    };
    let image = Image::with_uv_toml("mine\n", &toml("me:s3cret"));
    let (text, lock) = image.locked(None, &Upgrade::Nothing).await;
    assert!(!text.contains("127.0.0.1") && !text.contains("s3cret"), "{text}");
    let index = image.index();
    let chosen = index.choose(&lock, &image.target, &amd64()).await.unwrap();
    assert_eq!(chosen.len(), 2);
    for choice in &chosen {
        index.wheel(choice, image.root()).await.unwrap();
    }
    let image = Image::with_uv_toml("mine\n", &toml("me:wr0ng"));
    let error = image.lock(None, &Upgrade::Nothing).await.err().unwrap();
    assert!(!format!("{error} {:?}", error.hint()).contains("wr0ng"), "{error}");
    let error = image.index().files("lib").await.unwrap_err();
    assert!(error.to_string().contains("401") && !error.to_string().contains("wr0ng"), "{error}");
    assert!(error.hint().unwrap().contains("credentials"));
}

#[tokio::test]
async fn find_links_count() {
    if !has("find_links_count", "uv") {
        return;
    }
    let server = serve(packages(), Style::Html);
    let toml =
        format!("find-links = [\"more\"]\n[[index]]\nurl = \"{}\"\ndefault = true\n", index_url(&server));
    let image = Image::with_uv_toml("mine\n", &toml);
    std::fs::create_dir(image.path("more")).unwrap();
    let mine = wheel("mine", "1", "py3-none-any", &["lib"]);
    std::fs::write(image.path("more").join(&mine.filename), &mine.bytes).unwrap();
    let (_, lock) = image.locked(None, &Upgrade::Nothing).await;
    let index = image.index();
    let chosen = index.choose(&lock, &image.target, &amd64()).await.unwrap();
    assert_eq!(chosen.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["lib", "mine"]);
    assert_eq!(std::fs::read(index.wheel(&chosen[1], image.root()).await.unwrap()).unwrap(), mine.bytes);
}
