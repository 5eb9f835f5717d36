//! Package indexes that want to know who asks: credentials from where uv and npm have them, and nowhere in what is
//! said or written.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perijove_oci::{Algorithm, Digester};
use perijove_testkit::has;
use perijove_testkit::layout::files_below;
use perijove_testkit::packages::{Deb, Packages, Wheel};
use perijove_testkit::program::{Program, Ran};
use perijove_testkit::repository::Repository;
use perijove_testkit::web::{Answer, Server};

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

const SECRET: &str = "s3cret-word";

/// An image of one wheel, and an index that shows it to `me` alone.
struct Scene {
    packages: Packages,
    repository: Repository,
    cache: tempfile::TempDir,
}

impl Scene {
    /// An image with these settings besides its base.
    fn of(packages: Packages, settings: &str) -> Self {
        let debs = [Deb::new("base", "1", "amd64", 100)];
        packages.debs(&debs);
        let repository = Repository::new(&format!(
            "[repository]\nplatforms = [\"linux/amd64\"]\n[image.app]\nversion = \"1.0\"\nbase = {{ debian = \"trixie\" }}\n{settings}"
        ));
        repository.lock_debs("app", &debs);
        Scene { packages, repository, cache: tempfile::tempdir().unwrap() }
    }

    fn new() -> Self {
        let wheels = [Wheel::new("one", "1.0", 1_000)];
        let packages = Packages::serve();
        packages.wheels(&wheels);
        let wanted = format!("Basic {}", STANDARD.encode(format!("me:{SECRET}")));
        packages.instead(move |asked, plain| {
            let open = asked.path.starts_with("/debian/");
            if open || asked.authorization.as_deref() == Some(wanted.as_str()) {
                plain
            } else {
                Answer::status(401)
            }
        });
        let settings = "python = \"requirements.txt\"\npython-version = \"3.13\"\nglibc = \"2.41\"\n";
        let scene = Scene::of(packages, settings);
        scene.repository.lock_wheels("app", &wheels);
        scene
    }

    /// `127.0.0.1:PORT` of the index.
    fn address(&self) -> String {
        let (_, url) = self.packages.environment().swap_remove(0);
        url.trim_start_matches("http://").split('/').next().unwrap().to_owned()
    }

    fn program(&self) -> Program {
        let program = Program::new(PERIJOVE, self.repository.path(), self.cache.path());
        // Only the archive is named: the index is for each test to say.
        let mirrors = self.packages.environment().into_iter().filter(|(name, _)| name.contains("DEBIAN"));
        program.envs(mirrors).args(["-v", "build", "app", "--output", "oci:out"])
    }

    /// A program on PATH for the build.
    fn program_with(&self, name: &str, script: &str) -> Program {
        let path = format!("bin/{name}");
        self.repository.write(&path, script);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.repository.join(&path), mode).unwrap();
        let bin = self.repository.join("bin").display().to_string();
        self.program().env("PATH", &format!("{bin}:{}", std::env::var("PATH").unwrap()))
    }

    /// Fails when the secret was said, or is in a file that was written.
    fn assert_works_quietly(&self, ran: &Ran) {
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        self.assert_quiet(ran);
    }

    fn assert_quiet(&self, ran: &Ran) {
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(SECRET), "{}", ran.stderr);
        for file in
            files_below(self.cache.path()).into_iter().chain(files_below(&self.repository.join("out")))
        {
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            assert!(!found, "{} holds the secret", file.display());
        }
    }
}

#[test]
fn without_credentials_it_says_whom_to_ask() {
    let scene = Scene::new();
    let ran = scene
        .program()
        .env("PERIJOVE_PYTHON_INDEX", &format!("http://me:wrong@{}/simple/", scene.address()))
        .run();
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("401 Unauthorized") && ran.stderr.contains("credentials"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("wrong@"), "{}", ran.stderr);
}

#[test]
fn netrc() {
    let scene = Scene::new();
    scene.repository.write("netrc", &format!("machine 127.0.0.1 login me password {SECRET}\n"));
    let program = scene.program().env("NETRC", &scene.repository.join("netrc").display().to_string());
    let ran = program.env("PERIJOVE_PYTHON_INDEX", &format!("http://{}/simple/", scene.address())).run();
    scene.assert_works_quietly(&ran);
}

#[test]
fn a_named_index_in_the_environment_and_in_uvs_settings() {
    if !has("a_named_index_in_the_environment_and_in_uvs_settings", "uv") {
        return;
    }
    for by_file in [false, true] {
        let scene = Scene::new();
        let url = format!("http://{}/simple/", scene.address());
        let program = scene.program().env("UV_INDEX_MY_OWN_USERNAME", "me");
        let mut program = program.env("UV_INDEX_MY_OWN_PASSWORD", SECRET);
        if by_file {
            let index = format!("[[index]]\nname = \"my-own\"\nurl = \"{url}\"\ndefault = true\n");
            scene.repository.write("uv.toml", &index);
        } else {
            program = program.env("UV_DEFAULT_INDEX", &format!("my-own={url}"));
        }
        scene.assert_works_quietly(&program.run());
    }
}

#[test]
fn a_keyring_is_asked_where_uv_would_ask_it() {
    let scene = Scene::new();
    let address = scene.address();
    // Knows the host alone, as many keyrings do.
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = 'get {address} me' ] && echo {SECRET} && exit\necho \"$*\" >> ${{0%/*}}/asked\nexit 1\n"
    );
    let url = format!("http://me@{address}/simple/");
    let program = scene.program_with("keyring", &script).env("PERIJOVE_PYTHON_INDEX", &url);
    assert_eq!(program.run().code, Some(1), "uv is not told to ask it");
    assert!(!scene.repository.join("bin/asked").exists());
    let program = scene.program_with("keyring", &script).env("PERIJOVE_PYTHON_INDEX", &url);
    let ran = program.env("UV_KEYRING_PROVIDER", "subprocess").run();
    scene.assert_works_quietly(&ran);
    let asked = std::fs::read_to_string(scene.repository.join("bin/asked")).unwrap();
    assert_eq!(asked, format!("get http://{address}/simple me\n"));
}

/// A tarball of an npm package.
fn npm_package() -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, content) in
        [("package/package.json", r#"{"name":"one","version":"1.0.0"}"#), ("package/a.js", "1")]
    {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn npm_credentials() {
    if !has("npm_credentials", "npm") {
        return;
    }
    let package = npm_package();
    let mut digester = Digester::new(Algorithm::Sha512);
    digester.update(&package);
    let hex = digester.finish().hex().to_owned();
    let digest: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let lock = serde_json::json!({
        "name": "app", "lockfileVersion": 3, "packages": {
            "": { "name": "app", "dependencies": { "one": "1.0.0" } },
            "node_modules/one": { "version": "1.0.0", "integrity": format!("sha512-{}", STANDARD.encode(digest)) },
        },
    });
    let seen = Arc::<Mutex<Vec<Option<String>>>>::default();
    let log = Arc::clone(&seen);
    let token = format!("Bearer {SECRET}");
    let basic = format!("Basic {}", STANDARD.encode(format!("me:{SECRET}")));
    let wanted = [token, basic];
    let server = Server::start(move |asked| {
        log.lock().unwrap().push(asked.authorization.clone());
        match (&asked.authorization, asked.path.as_str()) {
            (Some(given), "/npm/one/-/one-1.0.0.tgz") if wanted.contains(given) => {
                Answer::ok("application/octet-stream", package.clone())
            }
            _ => Answer::status(401),
        }
    });
    let place = format!("//{}/npm/", server.address);
    let password = STANDARD.encode(SECRET);
    for (case, npmrc, code) in [
        ("a token from the environment", format!("{place}:_authToken=${{TOKEN}}\n"), 0),
        ("user and password", format!("{place}:username=me\n{place}:_password={password}\n"), 0),
        ("both in one", format!("{place}:_auth={}\n", STANDARD.encode(format!("me:{SECRET}"))), 0),
        ("for the whole host", format!("//{}/:_authToken={SECRET}\n", server.address), 0),
        ("of another registry", format!("//127.0.0.1:1/npm/:_authToken={SECRET}\n"), 1),
    ] {
        let scene = Scene::of(Packages::serve(), "npm = \"package-lock.json\"\n");
        let repository = &scene.repository;
        repository.write("images/app/package.json", r#"{"name":"app","dependencies":{"one":"1.0.0"}}"#);
        repository.write("images/app/package-lock.json", &lock.to_string());
        repository.write("images/app/.npmrc", &format!("registry=http:{place}\n{npmrc}"));
        let ran = scene.program().env("TOKEN", SECRET).run();
        assert_eq!(ran.code, Some(code), "{case}: {}", ran.stderr);
        scene.assert_quiet(&ran);
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(seen.iter().all(Option::is_none), code == 1, "{case}: {seen:?}");
    }
}
