//! Requests to a registry by plain HTTP, without the code under test.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perijove_oci::Digest;

/// A repository.
pub(crate) struct To<'a> {
    /// Host and port.
    pub address: &'a str,
    /// User and password.
    pub login: Option<(&'a str, &'a str)>,
    /// The repository's name.
    pub name: &'a str,
}

impl To<'_> {
    /// Pushes a blob in one request (distribution-spec 1.1, "Pushing a blob monolithically").
    pub fn blob(&self, bytes: &[u8]) {
        let path = format!("blobs/uploads/?digest={}", Digest::sha256(bytes));
        self.send(201, "POST", &path, "application/octet-stream", bytes);
    }

    /// A request that must be answered with this status.
    pub fn send(&self, status: u16, method: &str, path: &str, media: &str, body: &[u8]) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let login = self.login.map(|(user, password)| STANDARD.encode(format!("{user}:{password}")));
        let login = login.map(|l| format!("Authorization: Basic {l}\r\n")).unwrap_or_default();
        let head = format!(
            "{method} /v2/{}/{path} HTTP/1.1\r\nHost: {}\r\n{login}Content-Type: {media}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            self.name,
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
}
