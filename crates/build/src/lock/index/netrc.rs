//! Credentials from the user's netrc file, which pip and uv honour for addresses that hold none.

use std::path::PathBuf;

use reqwest::Url;

/// Where the file lies: `NETRC`, else `.netrc` in the home folder.
pub fn location() -> Option<PathBuf> {
    std::env::var_os("NETRC")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".netrc")))
}

/// `url` with the credentials that `netrc` (a file's text) has for its host, unless it holds some already.
pub fn with_credentials(mut url: Url, netrc: &str) -> Url {
    let known =
        !url.username().is_empty() || url.password().is_some() || !matches!(url.scheme(), "http" | "https");
    if let Some((login, password)) = url.host_str().filter(|_| !known).and_then(|host| find(netrc, host)) {
        let _ = url.set_username(&login);
        let _ = url.set_password(password.as_deref());
    }
    url
}

/// Login and password of `host`, or of the `default` entry.
fn find(netrc: &str, host: &str) -> Option<(String, Option<String>)> {
    let mut words =
        netrc.lines().filter(|l| !l.trim_start().starts_with('#')).flat_map(str::split_whitespace);
    let (mut here, mut login, mut password) = (false, None, None);
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" => {
                if here && login.is_some() {
                    break;
                }
                here = word == "default" || words.next() == Some(host);
                (login, password) = (None, None);
            }
            "login" => login = words.next().filter(|_| here),
            "password" => password = words.next().filter(|_| here),
            _ => {}
        }
    }
    login.map(|login| (login.to_owned(), password.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_machine() {
        let netrc = "# mine\nmachine a.example login me password p@ss\nmachine b.example\n  login you\ndefault login any password x\n";
        for (url, want) in [
            ("https://a.example/simple/", "https://me:p%40ss@a.example/simple/"),
            ("https://b.example/", "https://you@b.example/"),
            ("https://c.example/", "https://any:x@c.example/"),
            ("https://own:s@a.example/", "https://own:s@a.example/"),
            ("file:///a", "file:///a"),
        ] {
            assert_eq!(with_credentials(Url::parse(url).unwrap(), netrc).as_str(), want);
        }
        assert_eq!(
            with_credentials(Url::parse("https://a.example/").unwrap(), "").as_str(),
            "https://a.example/"
        );
    }
}
