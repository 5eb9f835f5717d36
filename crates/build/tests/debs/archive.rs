//! A made archive: packages become indexes, Release files and signatures; a small server hands them out.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use perijove_oci::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use crate::keys::Key;

/// Files by path, as they lie on a mirror.
pub type Files = BTreeMap<String, Vec<u8>>;

/// One suite while it is made.
pub struct SuiteMaker {
    pub name: String,
    pub date: String,
    pub valid_until: Option<String>,
    pub fields: String,
    /// Packages text by architecture.
    pub indexes: BTreeMap<String, String>,
}

impl SuiteMaker {
    pub fn new(name: &str) -> Self {
        SuiteMaker {
            name: name.to_owned(),
            date: "Sat, 21 Nov 2026 10:00:00 UTC".to_owned(),
            valid_until: Some("Sat, 28 Nov 2026 10:00:00 UTC".to_owned()),
            fields: "Acquire-By-Hash: yes\n".to_owned(),
            indexes: ["amd64", "arm64"].map(|a| (a.to_owned(), String::new())).into(),
        }
    }

    /// Adds a package for both architectures (`all` as it is), its file's content being its paragraph's digest.
    pub fn package(
        mut self,
        files: &mut Files,
        name: &str,
        version: &str,
        architecture: &str,
        fields: &str,
    ) -> Self {
        let both = if architecture == "all" { ["all", "all"] } else { ["amd64", "arm64"] };
        for (index, architecture) in ["amd64", "arm64"].into_iter().zip(both) {
            let path = format!("pool/main/{name}_{version}_{architecture}.deb");
            let content = format!("the package {name} {version} {architecture}").into_bytes();
            self.indexes.get_mut(index).unwrap().push_str(&format!(
                "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nDescription: {name}\n long text\n{fields}\
                 Filename: {path}\nSize: {}\nSHA256: {}\n\n",
                content.len(),
                Digest::sha256(&content).hex()
            ));
            files.insert(path, content);
        }
        self
    }

    /// Puts the indexes into `files` and gives the text of the Release file.
    pub fn release(&self, files: &mut Files) -> String {
        let packed = self.indexes.iter().map(|(architecture, text)| {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(text.as_bytes()).unwrap();
            (format!("main/binary-{architecture}/Packages.xz"), encoder.finish().unwrap())
        });
        self.release_of(files, &packed.collect::<Vec<_>>())
    }

    pub fn release_of(&self, files: &mut Files, indexes: &[(String, Vec<u8>)]) -> String {
        let SuiteMaker { name, date, valid_until, fields, .. } = self;
        let until = valid_until.as_ref().map_or(String::new(), |until| format!("Valid-Until: {until}\n"));
        let mut text = format!("Origin: Debian\nCodename: {name}\nDate: {date}\n{until}{fields}SHA256:\n");
        for (path, bytes) in indexes {
            let digest = Digest::sha256(bytes);
            text.push_str(&format!(" {} {} {path}\n", digest.hex(), bytes.len()));
            let folder = path.rsplit_once('/').unwrap().0;
            files.insert(format!("dists/{name}/{folder}/by-hash/SHA256/{}", digest.hex()), bytes.clone());
            files.insert(format!("dists/{name}/{path}"), bytes.clone());
        }
        text
    }

    /// Puts everything into `files`, signed by `key`.
    pub fn publish(&self, files: &mut Files, key: &Key) {
        let text = self.release(files);
        files.insert(format!("dists/{}/InRelease", self.name), key.sign(&text).into_bytes());
    }
}

/// A server on loopback that hands out files and remembers what was asked for.
pub struct Mirror {
    pub url: Url,
    files: Arc<Mutex<Files>>,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Mirror {
    pub async fn serve(files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/debian/", listener.local_addr().unwrap())).unwrap();
        let (files, asked) = (Arc::new(Mutex::new(files)), Arc::new(Mutex::new(Vec::new())));
        let (shared, log) = (files.clone(), asked.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (shared, log) = (shared.clone(), log.clone());
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
                            return;
                        }
                        request.push(byte[0]);
                    }
                    let request = String::from_utf8_lossy(&request).into_owned();
                    let path =
                        request.split(' ').nth(1).unwrap_or("").trim_start_matches("/debian/").to_owned();
                    log.lock().unwrap().push(path.clone());
                    let file = shared.lock().unwrap().get(&path).cloned();
                    let (status, body) = file.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
                    let head = format!(
                        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Mirror { url, files, asked, task }
    }

    /// Changes the files that are handed out.
    pub fn change(&self, change: impl FnOnce(&mut Files)) {
        change(&mut self.files.lock().unwrap());
    }

    /// What was asked for since the last time.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}
