//! The credentials that apt has for an archive (apt_auth.conf(5)).

use std::path::{Path, PathBuf};

use url::Url;

/// Where apt keeps them: a file, and a folder of `*.conf` files.
const FILE: &str = "etc/apt/auth.conf";
const FOLDER: &str = "etc/apt/auth.conf.d";

/// `url` with the user and password that the files below `root` have for it. A file that may not be read is no
/// file: the archive then says that it wants credentials.
pub fn with_credentials(url: Url, root: &Path) -> Url {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join(FOLDER))
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "conf"));
    files.sort();
    files.insert(0, root.join(FILE));
    let texts = files.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let mut found = None;
    for text in texts {
        found = found.or_else(|| credentials(&text, &url));
    }
    match found {
        Some((user, password)) if url.username().is_empty() => {
            signed_in(&url, &user, &password).unwrap_or(url)
        }
        _ => url,
    }
}

fn signed_in(url: &Url, user: &str, password: &str) -> Option<Url> {
    let mut url = url.clone();
    url.set_username(user).ok()?;
    url.set_password(Some(password)).ok()?;
    Some(url)
}

/// User and password of the first `machine` that means `url`.
fn credentials(text: &str, url: &Url) -> Option<(String, String)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut words = lines.flat_map(str::split_whitespace).peekable();
    while let Some(word) = words.next() {
        if word != "machine" {
            continue;
        }
        let meant = words.next().is_some_and(|machine| means(machine, url));
        let (mut login, mut password) = (None, None);
        while let Some(key) = words.next_if(|word| *word != "machine") {
            match key {
                "login" => login = words.next(),
                "password" => password = words.next(),
                _ => {}
            }
        }
        if let (true, Some(login), Some(password)) = (meant, login, password) {
            return Some((login.to_owned(), password.to_owned()));
        }
    }
    None
}

/// `[scheme://]host[:port][/path]`: without a scheme only https is meant, so that no password goes out in the clear by
/// accident; a path is a prefix.
fn means(machine: &str, url: &Url) -> bool {
    let machine = if machine.contains("://") { machine.to_owned() } else { format!("https://{machine}") };
    let Ok(machine) = Url::parse(&machine) else { return false };
    let prefix = machine.path().trim_end_matches('/');
    let below = url.path().strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    machine.scheme() == url.scheme()
        && machine.host() == url.host()
        && machine.port_or_known_default() == url.port_or_known_default()
        && below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_machine_that_is_meant() {
        let text = "# site\nmachine one.test/debian login a\n password b\nmachine http://two.test login c password d\n\
                    machine one.test login e password f # the rest\nmachine broken.test login\n";
        for (url, expected) in [
            ("https://one.test/debian/", Some(("a", "b"))),
            ("https://one.test/debian-security/", Some(("e", "f"))),
            ("http://one.test/debian/", None),
            ("https://one.test:8443/debian/", None),
            ("http://two.test/x", Some(("c", "d"))),
            ("https://three.test/", None),
            ("https://broken.test/", None),
        ] {
            let found = credentials(text, &Url::parse(url).unwrap());
            assert_eq!(found.as_ref().map(|(u, p)| (u.as_str(), p.as_str())), expected, "{url}");
        }
    }

    #[test]
    fn reads_the_file_and_then_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("b.conf"), "machine x.test login late password p").unwrap();
        std::fs::write(folder.join("a.conf"), "machine x.test login early password p@ss").unwrap();
        std::fs::write(folder.join("0.bak"), "machine x.test login old password p").unwrap();
        let with = |url: &str| with_credentials(Url::parse(url).unwrap(), root.path()).to_string();
        assert_eq!(with("https://x.test/debian"), "https://early:p%40ss@x.test/debian");
        assert_eq!(with("https://me:own@x.test/debian"), "https://me:own@x.test/debian");
        assert_eq!(with("https://y.test/debian"), "https://y.test/debian");
    }
}
