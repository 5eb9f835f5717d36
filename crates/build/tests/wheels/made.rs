//! Made packages, and an index that serves them as JSON or as HTML.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use perijove_build::Fetcher;
use perijove_build::lock::index::{Index, IndexSettings};
use perijove_build::lock::journal::Rewrite;
use perijove_build::lock::wheels::{PythonTarget, Request, Upgrade, lock};
use perijove_build::lock::{RequirementsLock, wheels::Locked};
use perijove_oci::{Digest, Event, Platform, Reporter};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use perijove_testkit::web::{Answer, Asked, Server};

pub fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

pub fn arm64() -> Platform {
    "linux/arm64".parse().unwrap()
}

/// The address of the index that a server is.
pub fn index_url(server: &Server) -> String {
    format!("http://{}/simple", server.address)
}

/// A file of the index.
#[derive(Clone)]
pub struct Made {
    pub project: &'static str,
    pub filename: String,
    pub bytes: Vec<u8>,
    pub yanked: Option<&'static str>,
    pub requires_python: Option<&'static str>,
}

/// A wheel `NAME-VERSION-TAG.whl` that needs `requires`.
pub fn wheel(project: &'static str, version: &str, tag: &str, requires: &[&str]) -> Made {
    let module = project.replace('-', "_");
    let info = format!("{module}-{version}.dist-info");
    let mut metadata = format!("Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n");
    for requirement in requires {
        metadata.push_str(&format!("Requires-Dist: {requirement}\n"));
    }
    let tags: String = tag_lines(tag);
    let files = [
        (format!("{module}/__init__.py"), format!("__version__ = '{version}'\n")),
        (format!("{info}/METADATA"), metadata),
        (
            format!("{info}/WHEEL"),
            format!("Wheel-Version: 1.0\nGenerator: made\nRoot-Is-Purelib: true\n{tags}"),
        ),
        (format!("{info}/RECORD"), String::new()),
    ];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    for (path, content) in files {
        zip.start_file(path, options).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    Made {
        project,
        filename: format!("{module}-{version}-{tag}.whl"),
        bytes,
        yanked: None,
        requires_python: None,
    }
}

fn tag_lines(tag: &str) -> String {
    let mut parts = tag.split('-');
    let (python, abi, platforms) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    platforms.split('.').map(|p| format!("Tag: {python}-{abi}-{p}\n")).collect()
}

/// A source distribution whose own backend (PEP 517, `backend-path`) needs nothing: it writes `wheel_name` with
/// the time of the build in it, so that only repacking makes two builds equal. With `metadata`, uv can read what
/// it needs without building; without, a build must run.
pub fn sdist(
    project: &'static str,
    version: &str,
    wheel_name: &str,
    backend_line: &str,
    metadata: bool,
) -> Made {
    let root = format!("{project}-{version}");
    let backend = include_str!("backend.py")
        .replace("@NAME@", project)
        .replace("@VERSION@", version)
        .replace("@WHEEL@", wheel_name)
        .replace("@LINE@", backend_line);
    let mut files = vec![
        (
            "pyproject.toml",
            "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n".to_owned(),
        ),
        ("backend.py", backend),
    ];
    if metadata {
        let text = format!("Metadata-Version: 2.2\nName: {project}\nVersion: {version}\n");
        files.push(("PKG-INFO", text));
    }
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("{root}/{name}"), text.as_bytes()).unwrap();
    }
    let bytes = tar.into_inner().unwrap().finish().unwrap();
    Made { project, filename: format!("{root}.tar.gz"), bytes, yanked: None, requires_python: None }
}

/// How an index answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    Json,
    Html,
}

/// Answers as an index: `/simple/NAME/` and `/files/FILE`.
pub fn answer(files: &[Made], style: Style, asked: &Asked) -> Answer {
    if let Some(name) = asked.path.strip_prefix("/files/") {
        let file = files.iter().find(|f| f.filename == name);
        return file.map_or(Answer::status(404), |f| Answer::ok("application/octet-stream", f.bytes.clone()));
    }
    let project = asked.path.trim_start_matches("/simple/").trim_end_matches('/');
    let of: Vec<&Made> = files.iter().filter(|f| f.project == project).collect();
    if of.is_empty() {
        return Answer::status(404);
    }
    match style {
        Style::Json => {
            let list: Vec<serde_json::Value> = of
                .iter()
                .map(|f| {
                    serde_json::json!({
                        "filename": f.filename, "url": format!("../../files/{}", f.filename), "size": f.bytes.len(),
                        "hashes": {"sha256": Digest::sha256(&f.bytes).hex()}, "requires-python": f.requires_python,
                        "yanked": f.yanked.map_or(serde_json::Value::Bool(false), Into::into),
                    })
                })
                .collect();
            let page = serde_json::json!({"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": list});
            Answer::ok("application/vnd.pypi.simple.v1+json", page.to_string())
        }
        Style::Html => {
            let lines: String = of
                .iter()
                .map(|f| {
                    let python = f.requires_python.map_or(String::new(), |r| {
                        format!(" data-requires-python=\"{}\"", r.replace('<', "&lt;").replace('>', "&gt;"))
                    });
                    let yanked = f.yanked.map_or(String::new(), |y| format!(" data-yanked=\"{y}\""));
                    let hash = Digest::sha256(&f.bytes);
                    format!(
                        "<a href=\"../../files/{0}#sha256={1}\"{python}{yanked}>{0}</a><br>\n",
                        f.filename,
                        hash.hex()
                    )
                })
                .collect();
            Answer::ok("text/html", format!("<!DOCTYPE html><html><body>\n{lines}</body></html>"))
        }
    }
}

pub fn serve(files: Vec<Made>, style: Style) -> Server {
    Server::start(move |asked| answer(&files, style, asked))
}

/// Keeps what was said.
#[derive(Default)]
pub struct Said(pub Mutex<Vec<String>>);

impl Reporter for Said {
    fn report(&self, event: Event) {
        if let Event::Note(text) | Event::Warning(text) = event {
            self.0.lock().unwrap().push(text);
        }
    }
}

/// uv's cache for one run of the tests: finding the machine's Pythons takes uv longer than all else here. Servers
/// live as long as the process, so no address is used twice.
fn uv_cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uv-cache");
        let _ = std::fs::remove_dir_all(&path);
        path
    })
}

/// An image's folder with an index in force and caches of its own.
pub struct Image {
    pub folder: tempfile::TempDir,
    pub target: PythonTarget,
    pub said: Arc<Said>,
    url: Option<String>,
}

impl Image {
    pub fn new(url: &str, requirements: &str) -> Self {
        let image = Image {
            folder: tempfile::tempdir().unwrap(),
            target: PythonTarget {
                python: (3, 13),
                glibc: (2, 36),
                platforms: ["linux/amd64", "linux/arm64"].map(|p| p.parse().unwrap()).to_vec(),
            },
            said: Arc::default(),
            url: Some(url.to_owned()),
        };
        std::fs::write(image.input(), requirements).unwrap();
        image.uv_toml("");
        image
    }

    /// An image whose index is only named in uv's own configuration. The shell script shields it from the
    /// variables of whoever runs the test.
    pub fn with_uv_toml(requirements: &str, toml: &str) -> Self {
        let image = Image { url: None, ..Image::new("", requirements) };
        image.uv_toml(toml);
        image
    }

    fn uv_toml(&self, more: &str) {
        let cache = uv_cache();
        std::fs::write(self.path("uv.toml"), format!("cache-dir = {cache:?}\n{more}")).unwrap();
        let script = self.path("uv");
        std::fs::write(
            &script,
            "#!/bin/sh\nunset UV_INDEX UV_EXTRA_INDEX_URL UV_INDEX_URL UV_FIND_LINKS UV_OFFLINE UV_EXCLUDE_NEWER\n\
             case \"$UV_DEFAULT_INDEX\" in http://127.0.0.1*) ;; *) unset UV_DEFAULT_INDEX ;; esac\n\
             exec uv \"$@\"\n",
        )
        .unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn input(&self) -> PathBuf {
        self.path("requirements.in")
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn index(&self) -> Index {
        let fetcher = Fetcher::new(&self.path("cache"), Arc::clone(&self.said) as Arc<dyn Reporter>).unwrap();
        let mut settings = IndexSettings::new(self.root());
        settings.url = self.url.clone();
        settings.uv = self.path("uv");
        Index::new(fetcher, settings)
    }

    pub async fn lock(&self, old: Option<&str>, upgrade: &Upgrade) -> perijove_build::Result<Locked> {
        let old = old.map(|text| RequirementsLock::parse(text, "requirements.txt").unwrap());
        let request = Request { input: &self.input(), target: &self.target, old: old.as_ref(), upgrade };
        lock(&self.index(), &request).await
    }

    /// Locks and writes, as the command does.
    pub async fn locked(&self, old: Option<&str>, upgrade: &Upgrade) -> (String, RequirementsLock) {
        let locked = self.lock(old, upgrade).await.unwrap();
        let mut files = vec![("requirements.txt".into(), locked.text.clone().into_bytes())];
        files.extend(locked.wheels);
        let rewrites: Vec<Rewrite> =
            files.into_iter().map(|(place, bytes)| Rewrite { place, bytes: Some(bytes) }).collect();
        perijove_build::lock::journal::commit(self.root(), &rewrites).unwrap();
        let parsed = RequirementsLock::parse(&locked.text, "requirements.txt").unwrap();
        (locked.text, parsed)
    }
}
