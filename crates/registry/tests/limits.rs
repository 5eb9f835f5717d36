//! Bounds in size, number and time; and bytes that are not HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::io::{Read as _, Write as _};
use std::time::Duration;

use perijove_oci::Digest;
use support::{Registry, read_reply};

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn large_headers() {
    let registry = Registry::with(|settings| settings.limits.header_bytes = 4096);
    let client = registry.client();
    client.send("GET", "/v2/", &[("X-Large", &"x".repeat(3000))], b"").expect(200);
    client.send("GET", "/v2/", &[("X-Large", &"x".repeat(5000))], b"").refused(431, "UNSUPPORTED");
    client.get(&format!("/v2/a/tags/list?last={}", "x".repeat(5000))).refused(431, "UNSUPPORTED");
    // Far beyond: refused before it is all received.
    let mut stream = client.connect();
    let head = client.head_of("GET", "/v2/", &[("X-Large", &"x".repeat(1 << 20))]);
    let _ = stream.write_all(head.as_bytes());
    match read_reply(&mut stream, true) {
        Ok(reply) => assert_eq!(reply.status, 431),
        Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset),
    }
    client.get("/v2/").expect(200);
}

#[test]
fn large_blobs() {
    let registry = Registry::with(|settings| settings.limits.blob_bytes = 1000);
    let client = registry.client();
    let put = |bytes: &[u8]| {
        let path = format!("{}?digest={}", client.begin("a"), Digest::sha256(bytes));
        client.put(&path, "application/octet-stream", bytes)
    };
    put(&[0; 1000]).expect(201);
    put(&[0; 1001]).refused(413, "SIZE_INVALID");
    // In pieces whose length nobody announced.
    let place = client.begin("a");
    client.send("PATCH", &place, &[], &[0; 600]).expect(202);
    client.send("PATCH", &place, &[], &[0; 600]).refused(413, "SIZE_INVALID");
    let mut stream = client.connect();
    let head = client.head_of("PATCH", &place, &[("Transfer-Encoding", "chunked")]);
    let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
    stream.write_all(format!("{head}\r\n{chunk}0\r\n\r\n").as_bytes()).unwrap();
    read_reply(&mut stream, false).unwrap().refused(413, "SIZE_INVALID");
}

#[test]
fn a_connection_too_many() {
    let registry = Registry::with(|settings| {
        settings.limits.connections = 2;
        settings.limits.client_connections = Some(2);
    });
    let client = registry.client();
    // Two that are surely accepted: each has had an answer and stays open.
    let hold = || {
        let mut stream = client.connect();
        stream.write_all(b"HEAD /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(read_reply(&mut stream, true).unwrap().status, 200);
        stream
    };
    let (first, _second) = (hold(), hold());
    let mut third = client.connect();
    let reply = read_reply(&mut third, false).unwrap().expect(503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(reply.code(), "TOOMANYREQUESTS");
    drop(first);
    // As soon as the registry noticed.
    while client.try_send("GET", "/v2/", &[], b"").map_or(true, |reply| reply.status != 200) {
        std::thread::yield_now();
    }
}

/// Without a setting a client has half of the connections, and all when it is a proxy.
#[test]
fn one_client_leaves_room_for_others() {
    for (behind_proxy, setting, most) in [(false, None, 2), (true, None, 4), (false, Some(3), 3)] {
        let registry = Registry::with(|settings| {
            settings.behind_proxy = behind_proxy;
            settings.limits.connections = 4;
            settings.limits.client_connections = setting;
        });
        let client = registry.client();
        let open = || {
            let mut stream = client.connect();
            stream.write_all(b"HEAD /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let status = read_reply(&mut stream, true).unwrap().status;
            (stream, status)
        };
        let answered: Vec<_> = (0..=most).map(|_| open()).collect();
        let statuses: Vec<u16> = answered.iter().map(|(_, status)| *status).collect();
        let mut wanted = vec![200; most];
        wanted.push(503);
        assert_eq!(statuses, wanted, "{behind_proxy} {setting:?}");
    }
}

/// Reads until the registry ends the connection; the test hangs into the client's time-out otherwise.
fn ended(mut stream: std::net::TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "{e}"),
    }
    rest
}

#[test]
fn slow_clients_are_let_go() {
    let registry = Registry::with(|settings| {
        settings.limits.header_time = SHORT;
        settings.limits.idle_time = SHORT;
    });
    let client = registry.client();
    // Nothing at all; half a header; a request and then nothing.
    ended(client.connect());
    let mut half = client.connect();
    half.write_all(b"GET /v2/ HTT").unwrap();
    ended(half);
    let mut silent = client.connect();
    silent.write_all(b"HEAD /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(ended(silent).starts_with(b"HTTP/1.1 200"));
    // A drop a moment, so that the connection is never idle: the header's time is bounded as a whole.
    let mut drip = client.connect();
    drip.write_all(b"GET /v2/ HTTP/1.1\r\n").unwrap();
    while drip.write_all(b"X-A: b\r\n").is_ok() {
        std::thread::sleep(SHORT / 10);
    }
    // Half a body.
    let place = client.begin("a");
    let mut body = client.connect();
    body.write_all(
        format!("{}Content-Length: 10\r\n\r\nabc", client.head_of("PATCH", &place, &[])).as_bytes(),
    )
    .unwrap();
    read_reply(&mut body, false).unwrap().refused(400, "BLOB_UPLOAD_INVALID");
    // What came of it stays.
    assert_eq!(client.get(&place).expect(204).header("range"), Some("0-2"));
}

#[test]
fn a_reader_that_stops_reading_is_let_go() {
    let registry = Registry::with(|settings| settings.limits.idle_time = SHORT);
    let client = registry.client();
    let bytes = vec![7; 64 << 20];
    let digest = client.push_blob("a", &bytes);
    let mut stream = client.connect();
    stream
        .write_all(format!("{}\r\n", client.head_of("GET", &format!("/v2/a/blobs/{digest}"), &[])).as_bytes())
        .unwrap();
    std::thread::sleep(SHORT * 5);
    // The rest was never sent.
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    assert!(received.len() < bytes.len());
}

#[test]
fn upload_sessions_give_way_to_new_ones() {
    let registry = Registry::with(|settings| settings.limits.upload_sessions = 3);
    let client = registry.client();
    let first = client.begin("a");
    client.send("PATCH", &first, &[], b"abc").expect(202);
    let empty = client.begin("a");
    for _ in 0..4 {
        client.begin("a");
    }
    // What had bytes is still on the disk; what had none is gone.
    assert_eq!(client.get(&first).expect(204).header("range"), Some("0-2"));
    client.get(&empty).refused(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn bytes_that_are_not_http() {
    let registry = Registry::start();
    let client = registry.client();
    let cases: [&[u8]; 9] = [
        b"\0\0\0\0",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /v2/ HTTP/9.9\r\n\r\n",
        b"GET /v2/\xff\xfe HTTP/1.1\r\n\r\n",
        b"PUT /v2/a/manifests/t HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"PUT /v2/a/manifests/t HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"PUT /v2/a/manifests/t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://x/v2/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ];
    for bytes in cases {
        let mut stream = client.connect();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let rest = ended(stream);
        let text = String::from_utf8_lossy(&rest);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    client.get("/v2/").expect(200);
}
