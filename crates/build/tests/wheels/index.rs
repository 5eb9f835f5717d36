//! What an index can do wrong, and what is said about it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::made::{Image, Style, answer, serve, wheel};
use perijove_build::lock::RequirementsLock;
use perijove_testkit::web::{Answer, Server};

#[tokio::test]
async fn a_bad_index_is_named() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (what, respond, want, hint) in [
        (
            "login page",
            (|| Answer::ok("text/html", "<html><form><input type=password></form>")) as fn() -> Answer,
            "is it a login page?",
            "PERIJOVE_PYTHON_INDEX",
        ),
        ("garbage", || Answer::ok("application/json", "[]"), "not a project page", "PERIJOVE_PYTHON_INDEX"),
        ("401", || Answer::status(401), "answered 401", "credentials"),
        ("403", || Answer::status(403), "answered 403", "credentials"),
        ("404", || Answer::status(404), "has a project `six`", "check the name"),
        (
            "429",
            || Answer { headers: vec![("Retry-After", "0".to_owned())], ..Answer::status(429) },
            "answered 429",
            "limits requests",
        ),
        (
            "500",
            || Answer { headers: vec![("Retry-After", "0".to_owned())], ..Answer::status(500) },
            "answered 500",
            "try again later",
        ),
    ] {
        let server = Server::start(move |_| respond());
        let image = Image::new(&format!("http://me:s3cret@{}/simple", server.address), "");
        let error = image.index().files("six").await.unwrap_err();
        assert!(error.to_string().contains(want), "{what}: {error}");
        assert!(
            error.to_string().contains(&server.address) && !error.to_string().contains("s3cret"),
            "{what}: {error}"
        );
        assert!(error.hint().unwrap().contains(hint), "{what}: {:?}", error.hint());
    }
    let image = Image::new(&format!("http://{closed}/simple"), "");
    let error = image.index().files("six").await.unwrap_err();
    assert!(error.hint().unwrap().contains("is the server up"), "{error}");
}

#[tokio::test]
async fn a_shaky_index_is_asked_again() {
    let files = vec![wheel("six", "1", "py3-none-any", &[])];
    let count = AtomicUsize::new(0);
    let server = Server::start(move |asked| {
        let good = answer(&files, Style::Html, asked);
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => Answer { headers: vec![("Retry-After", "0".to_owned())], ..Answer::status(429) },
            1 => Answer { cut: Some(good.body.len() / 2), ..good },
            _ => good,
        }
    });
    let image = Image::new(&format!("http://{}/simple", server.address), "");
    assert_eq!(image.index().files("six").await.unwrap().len(), 1);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn other_bytes_in_the_index_are_named() {
    let mut other = wheel("six", "1", "py3-none-any", &[]);
    let text = format!(
        "six==1 --hash={}\n    # wheel: {} {} bytes sha256:{}\n",
        perijove_oci::Digest::sha256(&other.bytes),
        other.filename,
        other.bytes.len(),
        perijove_oci::Digest::sha256(&other.bytes).short(),
    );
    other.bytes.push(0);
    let server = serve(vec![other], Style::Json);
    let image = Image::new(&format!("http://{}/simple", server.address), "six\n");
    let lock = RequirementsLock::parse(&text, "requirements.txt").unwrap();
    let index = image.index();
    let chosen = index.choose(&lock, &image.target, &"linux/amd64".parse().unwrap()).await.unwrap();
    let error = index.wheel(&chosen[0], image.root()).await.unwrap_err().to_string();
    assert_eq!(error, "six-1-py3-none-any.whl: the index in force has other bytes under this name");
}

#[tokio::test]
async fn a_redirect_to_another_server_takes_no_credentials_along() {
    let page = r#"<a href="../../files/six-1-py3-none-any.whl">six-1-py3-none-any.whl</a>"#;
    let there = Server::start(move |_| Answer::ok("text/html", page));
    let place = format!("http://{}/simple/six/", there.address);
    let here =
        Server::start(move |_| Answer { headers: vec![("Location", place.clone())], ..Answer::status(302) });
    let image = Image::new(&format!("http://me:s3cret@{}/simple", here.address), "");
    let files = image.index().files("six").await.unwrap();
    // The same host, but another port: as little ours as another host.
    assert_eq!(files[0].url.as_str(), format!("http://{}/files/six-1-py3-none-any.whl", there.address));
}
