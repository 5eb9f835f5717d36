//! apt's proxies: which one, if any, leads to an address (apt.conf(5), apt-transport-http(1),
//! apt-transport-https(1)).

use url::Url;

/// How an address is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// As the environment says (`http_proxy` and the like): apt has no setting for it.
    Environment,
    /// By no proxy, whatever the environment says.
    Direct,
    /// By this proxy.
    Through(Url),
}

/// The proxies among apt's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<(String, String)>);

/// What all settings of proxies begin with; names of settings do not tell case apart.
const BEGIN: &str = "acquire::";

impl Proxies {
    /// Reads what `apt-config dump Acquire` prints: `NAME "VALUE";`, a line each.
    pub fn parse(dump: &str) -> Self {
        let setting = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            let value = value.strip_prefix('"')?.strip_suffix("\";")?;
            let name = name.to_ascii_lowercase();
            let about = name.strip_prefix(BEGIN)?;
            let (scheme, rest) = about.split_once("::")?;
            let of_a_proxy = rest == "proxy" || rest.starts_with("proxy::");
            (of_a_proxy && matches!(scheme, "http" | "https") && !value.is_empty())
                .then(|| (about.to_owned(), value.to_owned()))
        };
        Proxies(dump.lines().filter_map(setting).collect())
    }

    /// The way to `url`. A host's own setting counts before the scheme's; https takes what it does not say itself
    /// from http. `DIRECT` is no proxy.
    ///
    /// # Errors
    /// The setting's name, when its value is no address of a proxy.
    pub fn route(&self, url: &Url) -> Result<Route, String> {
        let schemes: &[&str] = if url.scheme() == "https" { &["https", "http"] } else { &["http"] };
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let names = [format!("proxy::{host}"), "proxy".to_owned()];
        let wanted =
            names.iter().flat_map(|name| schemes.iter().map(move |scheme| format!("{scheme}::{name}")));
        let found = wanted.into_iter().find_map(|name| self.0.iter().rfind(|(n, _)| *n == name));
        match found {
            None => Ok(Route::Environment),
            Some((_, value)) if value.eq_ignore_ascii_case("direct") => Ok(Route::Direct),
            // The value itself may hold a password.
            Some((name, value)) => match Url::parse(value) {
                Ok(proxy) if proxy.has_host() => Ok(Route::Through(proxy)),
                _ => Err(format!("Acquire::{name}")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "Acquire \"\";\n\
        Acquire::Retries \"3\";\n\
        Acquire::http \"\";\n\
        Acquire::http::Proxy \"http://plain.test:3128\";\n\
        Acquire::http::Proxy::inside.test \"DIRECT\";\n\
        acquire::HTTP::proxy::Other.test \"http://other.test:8080/\";\n\
        Acquire::http::Proxy-Auto-Detect \"/usr/bin/detect\";\n\
        Acquire::https \"\";\n\
        Acquire::https::Proxy \"http://secure.test:3129\";\n\
        Acquire::https::Proxy::alone.test \"http://alone.test:1\";\n\
        Acquire::ftp::Proxy \"http://ftp.test:21\";\n";

    #[test]
    fn host_before_scheme_and_https_before_http() {
        let proxies = Proxies::parse(DUMP);
        for (url, route) in [
            ("http://deb.test/debian", "http://plain.test:3128/"),
            ("https://deb.test/debian", "http://secure.test:3129/"),
            ("http://inside.test/debian", "direct"),
            ("https://inside.test/debian", "direct"),
            ("http://other.test/x", "http://other.test:8080/"),
            ("https://alone.test/x", "http://alone.test:1/"),
            ("http://alone.test/x", "http://plain.test:3128/"),
        ] {
            let expected = match route {
                "direct" => Route::Direct,
                proxy => Route::Through(Url::parse(proxy).unwrap()),
            };
            assert_eq!(proxies.route(&Url::parse(url).unwrap()), Ok(expected), "{url}");
        }
    }

    #[test]
    fn what_is_not_said_or_not_a_proxy() {
        let url = Url::parse("https://deb.test/").unwrap();
        let route = |dump: &str| Proxies::parse(dump).route(&url);
        for none in ["", "Acquire::http::Proxy \"\";\n", "Acquire::ftp::Proxy \"http://f.test\";\n"] {
            assert_eq!(route(none), Ok(Route::Environment), "{none}");
        }
        let from_http = route("Acquire::http::Proxy \"http://p.test:3128\";\n");
        assert_eq!(from_http, Ok(Route::Through(Url::parse("http://p.test:3128").unwrap())));
        assert_eq!(route("Acquire::https::Proxy \"DIRECT\";\n"), Ok(Route::Direct));
        assert_eq!(route("Acquire::https::Proxy \"user:pw@\";\n"), Err("Acquire::https::proxy".to_owned()));
    }
}
