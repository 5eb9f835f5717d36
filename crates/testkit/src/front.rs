//! A proxy in front of a real registry: it writes down every request, and answers some of them itself.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::web::{Answer, Asked};

/// What becomes of a request.
pub enum Say {
    /// The registry answers.
    Pass,
    /// This is answered, and the registry never hears of it.
    Answer(Answer),
    /// The connection is cut.
    Cut,
}

/// Serves until the process ends.
pub struct Front {
    /// `127.0.0.1:PORT`.
    pub address: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Front {
    /// In front of the registry at `backend`.
    pub fn of(backend: &str, say: impl Fn(&Asked) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let (backend, say, lines) = (backend.to_owned(), Arc::new(say), Arc::clone(&log));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (backend, say, lines) = (backend.clone(), Arc::clone(&say), Arc::clone(&lines));
                std::thread::spawn(move || serve(stream, &backend, say.as_ref(), &lines));
            }
        });
        Front { address, log }
    }

    /// That only counts.
    pub fn counting(backend: &str) -> Self {
        Front::of(backend, |_| Say::Pass)
    }

    /// The requests since the last call, `GET /path?query`, in the order they came.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

/// One request a connection: what goes on and what comes back says so.
fn serve(
    mut client: TcpStream,
    backend: &str,
    say: &(impl Fn(&Asked) -> Say + ?Sized),
    log: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let header = |wanted: &str| {
        let mut pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned())
    };
    let authorization = header("authorization");
    let asked = Asked { method, path, from: None, authorization, accept: String::new() };
    log.lock().unwrap().push(format!("{} {}", asked.method, asked.path));
    match say(&asked) {
        Say::Pass => {}
        Say::Cut => return client.shutdown(Shutdown::Both).ok(),
        Say::Answer(answer) => {
            // Whoever still sends might miss the answer.
            let length = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            std::io::copy(&mut (&client).take(length), &mut std::io::sink()).ok()?;
            let mut text = format!(
                "HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {}\r\n",
                answer.status,
                answer.body.len()
            );
            for (name, value) in &answer.headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            client.write_all(format!("{text}\r\n").as_bytes()).ok()?;
            return if asked.method == "HEAD" { Some(()) } else { client.write_all(&answer.body).ok() };
        }
    }
    let mut server = TcpStream::connect(backend).ok()?;
    let lines = head.trim_end().split("\r\n").filter(|l| !l.to_ascii_lowercase().starts_with("connection:"));
    let head: String = lines.map(|line| format!("{line}\r\n")).collect();
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let up = std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = up.join();
    Some(())
}
