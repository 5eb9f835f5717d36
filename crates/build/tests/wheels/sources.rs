//! Which versions are locked where a project has only sources: pure ones are built, compiled ones give way to
//! older wheels or are refused, and nobody is moved back in silence.

use crate::made::{Image, Style, arm64, index_url, sdist, serve, wheel};
use perijove_build::lock::RequirementsLock;
use perijove_build::lock::index::locate::WHEELS;
use perijove_build::lock::wheels::Upgrade;
use perijove_testkit::has;

#[tokio::test]
async fn a_source_is_built_once() {
    if !has("a_source_is_built_once", "uv") {
        return;
    }
    let files = vec![
        sdist("pure", "0.6", "pure-0.6-py3-none-any.whl", "", true),
        // Being built costs a version nothing: the newest wins.
        wheel("lib", "1.0", "py3-none-any", &[]),
        sdist("lib", "2.0", "lib-2.0-py3-none-any.whl", "", true),
    ];
    let server = serve(files, Style::Json);
    let image = Image::new(&index_url(&server), "pure\nlib\n");
    let (text, lock) = image.locked(None, &Upgrade::Nothing).await;
    insta::assert_snapshot!("built_from_source", text);
    let built = image.path(WHEELS).join("pure-0.6-py3-none-any.whl");
    let bytes = std::fs::read(&built).unwrap();
    let building = ["lib 2.0", "pure 0.6"].map(|what| format!("building a wheel of {what} from its source"));
    assert_eq!(*image.said.0.lock().unwrap(), building);

    // Built again, at another time and in another order, it is the same.
    std::fs::remove_file(&built).unwrap();
    let (again, _) = image.locked(Some(&text), &Upgrade::Nothing).await;
    assert_eq!((again, std::fs::read(&built).unwrap()), (text.clone(), bytes.clone()));
    // While it is there, it is not built.
    image.said.0.lock().unwrap().clear();
    let (again, _) = image.locked(Some(&text), &Upgrade::Nothing).await;
    assert_eq!(again, text);
    assert!(image.said.0.lock().unwrap().is_empty());

    // It needs no index to be installed, and its hash is checked.
    let index = image.index();
    server.requests();
    let chosen = index.choose(&lock, &image.target, &arm64()).await.unwrap();
    let pure = chosen.iter().find(|c| c.name == "pure").unwrap();
    assert_eq!(index.wheel(pure, image.root()).await.unwrap(), built);
    assert_eq!(server.requests(), [""; 0]);
    std::fs::write(&built, "other").unwrap();
    let error = index.wheel(pure, image.root()).await.unwrap_err();
    assert!(matches!(error, perijove_build::Error::Hash { .. }), "{error}");
    std::fs::remove_file(&built).unwrap();
    let error = index.wheel(pure, image.root()).await.unwrap_err();
    assert!(error.to_string().ends_with("the lock names this wheel, and it is not there"), "{error}");
    // Only Perijove's locks know about built wheels: in another tool's the pin is of a source.
    let foreign = text.lines().filter(|l| !l.contains("# wheel: pure")).collect::<Vec<_>>().join("\n");
    let foreign = RequirementsLock::parse(&foreign, "requirements.txt").unwrap();
    let error = index.choose(&foreign, &image.target, &arm64()).await.unwrap_err().to_string();
    assert!(
        error.contains("no wheel of pure 0.6 for linux/arm64") && error.contains("a source distribution"),
        "{error}"
    );
}

#[tokio::test]
async fn compiled_sources_are_refused() {
    if !has("compiled_sources_are_refused", "uv") {
        return;
    }
    let native = "files[\"_speed.so\"] = \"\\x7fELF\"";
    let files = vec![
        sdist("tagged", "1", "tagged-1-cp313-cp313-linux_x86_64.whl", native, true),
        sdist("liar", "1", "liar-1-py3-none-any.whl", native, true),
        sdist("psycopg2", "2.9", "x", "raise SystemExit('pg_config executable not found')", false),
        sdist("mysqlclient", "2.2", "mysqlclient-2.2-cp313-cp313-linux_x86_64.whl", native, true),
        sdist("broken", "1", "x", "raise SystemExit('a compiler is missing')", true),
        wheel("intel", "1", "cp313-cp313-manylinux_2_28_x86_64", &[]),
    ];
    let server = serve(files, Style::Json);
    for (name, reason, hint) in [
        (
            "tagged",
            "tagged 1 has no wheel that fits, and its source builds tagged-1-cp313-cp313-linux_x86_64.whl",
            "ask its authors",
        ),
        ("liar", "liar 1 was built from its source: it holds compiled code: _speed.so", "ask its authors"),
        (
            "psycopg2",
            "psycopg2 has no wheel that fits, and its source cannot be built here",
            "take psycopg2-binary instead",
        ),
        (
            "mysqlclient",
            "mysqlclient 2.2 has no wheel that fits, and its source holds compiled code",
            "take pymysql instead",
        ),
        ("broken", "a compiler is missing", "ask its authors"),
        ("intel", "no versions were found for linux/arm64", "requirements.in"),
    ] {
        let image = Image::new(&index_url(&server), &format!("{name}\n"));
        let error = image.lock(None, &Upgrade::Nothing).await.err().unwrap();
        assert!(error.to_string().contains(reason), "{name}: {error}");
        assert!(error.hint().unwrap().contains(hint), "{name}: {:?}", error.hint());
        assert!(!image.path(WHEELS).exists() && !image.path("requirements.txt").exists());
    }
}

/// A dependency that has only a source must not move what needs it back to a version before that need.
#[tokio::test]
async fn a_source_only_dependency_moves_nothing_back() {
    if !has("a_source_only_dependency_moves_nothing_back", "uv") {
        return;
    }
    let files = vec![
        wheel("app", "0.0.4", "py3-none-any", &[]),
        wheel("app", "1.3", "py3-none-any", &["once"]),
        sdist("once", "1.0", "once-1.0-py3-none-any.whl", "", true),
    ];
    let server = serve(files, Style::Json);
    let image = Image::new(&index_url(&server), "app\n");
    let (text, lock) = image.locked(None, &Upgrade::Nothing).await;
    assert_eq!(versions(&lock), ["app 1.3", "once 1.0"], "{text}");
    assert!(image.path(WHEELS).join("once-1.0-py3-none-any.whl").exists());
    assert_eq!(*image.said.0.lock().unwrap(), ["building a wheel of once 1.0 from its source"]);
}

/// Only a source that is not pure Python makes room for an older version, and what was asked for is not moved
/// back without a word.
#[tokio::test]
async fn compiled_sources_give_way_to_older_wheels_with_a_warning() {
    if !has("compiled_sources_give_way_to_older_wheels_with_a_warning", "uv") {
        return;
    }
    let native = "files[\"_speed.so\"] = \"\\x7fELF\"";
    let fails = "raise SystemExit('a compiler is missing')";
    let older = |name| wheel(name, "1.0", "py3-none-any", &[]);
    let files = vec![
        older("tagged"),
        sdist("tagged", "2.0", "tagged-2.0-cp313-cp313-linux_x86_64.whl", native, true),
        older("failing"),
        sdist("failing", "2.0", "x", fails, false),
        // Nothing is built of a version that has compiled wheels elsewhere.
        older("foreign"),
        wheel("foreign", "2.0", "cp313-cp313-win_amd64", &[]),
        sdist("foreign", "2.0", "foreign-2.0-py3-none-any.whl", "", true),
        wheel("app", "1.0", "py3-none-any", &["tagged"]),
        wheel("app", "2.0", "py3-none-any", &["tagged>=2"]),
        // `app` is what was asked for; of what it needs, one project gives way and the other is at its newest.
        wheel("calm", "1.0", "py3-none-any", &["tagged"]),
    ];
    let server = serve(files, Style::Json);
    for (requirements, pins, warnings) in [
        (
            "tagged\n",
            &["tagged 1.0"][..],
            &["tagged is locked at 1.0, not 2.0: tagged 2.0 has no wheel that fits, and its source builds"][..],
        ),
        (
            "failing\n",
            &["failing 1.0"],
            &[
                "failing is locked at 1.0, not 2.0: failing has no wheel that fits, and its source cannot be built",
            ],
        ),
        (
            "foreign\n",
            &["foreign 1.0"],
            &[
                "foreign is locked at 1.0, not 2.0: foreign 2.0 has no wheel that fits, and its source holds compiled",
            ],
        ),
        (
            "app\n",
            &["app 1.0", "tagged 1.0"],
            &["app is locked at 1.0, not 2.0: tagged 2.0 has no wheel that fits, and its source builds"],
        ),
        ("calm\n", &["calm 1.0", "tagged 1.0"], &[]),
        ("calm\nfailing<2\n", &["calm 1.0", "failing 1.0", "tagged 1.0"], &[]),
    ] {
        let image = Image::new(&index_url(&server), requirements);
        let (text, lock) = image.locked(None, &Upgrade::Nothing).await;
        assert_eq!(versions(&lock), pins, "{requirements}");
        assert!(!image.path(WHEELS).exists());
        let said = std::mem::take(&mut *image.said.0.lock().unwrap());
        let moved: Vec<&String> = said.iter().filter(|s| s.contains("is locked at")).collect();
        assert_eq!(moved.len(), warnings.len(), "{said:?}");
        for (moved, warning) in moved.iter().zip(warnings) {
            assert!(moved.starts_with(warning), "{moved}");
        }
        assert!(!said.iter().any(|s| s.starts_with("building a wheel of foreign")), "{said:?}");
        // A pin that stays where it is has not moved.
        let (again, _) = image.locked(Some(&text), &Upgrade::Nothing).await;
        assert_eq!(again, text);
        let said = image.said.0.lock().unwrap();
        assert!(!said.iter().any(|s| s.contains("is locked at")), "{said:?}");
    }
}

/// What has compiled code and no wheel in any version is refused by name, whoever needs it.
#[tokio::test]
async fn a_compiled_dependency_without_wheels_is_refused() {
    if !has("a_compiled_dependency_without_wheels_is_refused", "uv") {
        return;
    }
    let fails = "raise SystemExit('pg_config executable not found')";
    let files = vec![
        wheel("app", "1.0", "py3-none-any", &[]),
        wheel("app", "2.0", "py3-none-any", &["psycopg2"]),
        wheel("tool", "1.0", "py3-none-any", &[]),
        wheel("tool", "2.0", "py3-none-any", &["mysqlclient"]),
        sdist("psycopg2", "2.9", "x", fails, false),
        sdist("mysqlclient", "2.2", "x", fails, true),
    ];
    let server = serve(files, Style::Json);
    for (name, reason, hint) in [
        ("app", "psycopg2 has no wheel that fits", "take psycopg2-binary instead"),
        ("tool", "mysqlclient 2.2 has no wheel that fits", "take pymysql instead"),
    ] {
        let image = Image::new(&index_url(&server), &format!("{name}\n"));
        let error = image.lock(None, &Upgrade::Nothing).await.err().unwrap();
        assert!(error.to_string().starts_with(reason), "{error}");
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
    }
}

fn versions(lock: &RequirementsLock) -> Vec<String> {
    lock.pins.iter().map(|p| format!("{} {}", p.name, p.version)).collect()
}
