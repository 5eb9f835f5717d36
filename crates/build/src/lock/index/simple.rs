//! The project pages of package indexes (simple repository API): JSON (PEP 691, 700) and HTML (PEP 503, 592).
//! Pure: bytes in, files out.

use perijove_oci::Digest;
use reqwest::Url;
use serde::Deserialize;

/// What to send as `Accept`: JSON first (PEP 691, "Version + format selection").
pub const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

/// A file that an index offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// Its name.
    pub filename: String,
    /// Where it lies: `http`, `https` or `file`.
    pub url: Url,
    /// Its sha256, where the index tells.
    pub sha256: Option<Digest>,
    /// Its size in bytes, where the index tells.
    pub size: Option<u64>,
    /// The versions of Python it is for, as written.
    pub requires_python: Option<String>,
    /// Why it was withdrawn (PEP 592); may be empty.
    pub yanked: Option<String>,
}

/// Reads a project's page that came from `base` with media type `kind`.
pub fn parse(bytes: &[u8], kind: &str, base: &Url) -> Result<Vec<IndexFile>, String> {
    let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    // Some mirrors serve stored pages with no or the wrong type, so the first byte decides between the two.
    let is_json = kind.ends_with("json") || bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    if is_json { parse_json(bytes, base) } else { parse_html(&String::from_utf8_lossy(bytes), base) }
}

#[derive(Deserialize)]
struct JsonPage {
    files: Vec<JsonFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct JsonFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: std::collections::BTreeMap<String, String>,
    size: Option<u64>,
    requires_python: Option<String>,
    yanked: Option<Yanked>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Yanked {
    Flag(bool),
    Reason(String),
}

fn parse_json(bytes: &[u8], base: &Url) -> Result<Vec<IndexFile>, String> {
    let page: JsonPage =
        serde_json::from_slice(bytes).map_err(|e| format!("its JSON is not a project page: {e}"))?;
    let mut files = Vec::with_capacity(page.files.len());
    for file in page.files {
        let Some(url) = join(base, &file.url) else { continue };
        files.push(IndexFile {
            sha256: file.hashes.get("sha256").and_then(|hex| sha256(hex)),
            filename: file.filename,
            url,
            size: file.size,
            requires_python: file.requires_python.filter(|r| !r.trim().is_empty()),
            yanked: match file.yanked {
                Some(Yanked::Reason(reason)) => Some(reason),
                Some(Yanked::Flag(true)) => Some(String::new()),
                Some(Yanked::Flag(false)) | None => None,
            },
        });
    }
    Ok(files)
}

fn sha256(hex: &str) -> Option<Digest> {
    format!("sha256:{}", hex.to_ascii_lowercase()).parse().ok()
}

/// `link` seen from `base`. Files on the index's own server get the index's credentials, as pip and uv send
/// them; files elsewhere never do.
fn join(base: &Url, link: &str) -> Option<Url> {
    let mut url = base.join(link).ok()?;
    if !matches!(url.scheme(), "http" | "https" | "file")
        || (url.scheme() == "file" && base.scheme() != "file")
    {
        return None;
    }
    let same_server = url.scheme() == base.scheme()
        && url.host() == base.host()
        && url.port_or_known_default() == base.port_or_known_default();
    if same_server && url.username().is_empty() && url.password().is_none() {
        let _ = url.set_username(base.username());
        let _ = url.set_password(base.password());
    }
    Some(url)
}

fn parse_html(text: &str, base: &Url) -> Result<Vec<IndexFile>, String> {
    let mut base = base.clone();
    let mut files = Vec::new();
    let (mut anchors, mut password) = (0usize, false);
    for tag in tags(text) {
        let get = |name: &str| tag.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        match tag.name.as_str() {
            "base" => base = get("href").and_then(|href| join(&base, href)).unwrap_or(base),
            "input" => password |= get("type").is_some_and(|t| t.eq_ignore_ascii_case("password")),
            "a" => {
                anchors += 1;
                let Some(mut url) = get("href").and_then(|href| join(&base, href.trim())) else { continue };
                let name = url.path_segments().and_then(|mut s| s.next_back().map(percent_decoded));
                let Some(filename) = name.filter(|n| is_distribution(n)) else { continue };
                let hash = url
                    .fragment()
                    .and_then(|f| f.split('&').find_map(|p| p.strip_prefix("sha256=")))
                    .and_then(sha256);
                url.set_fragment(None);
                files.push(IndexFile {
                    filename,
                    url,
                    sha256: hash,
                    size: None,
                    requires_python: get("data-requires-python")
                        .filter(|r| !r.trim().is_empty())
                        .map(str::to_owned),
                    yanked: get("data-yanked").map(str::to_owned),
                });
            }
            _ => {}
        }
    }
    if files.is_empty() && (password || anchors == 0) {
        return Err("it answered a web page that lists no files; is it a login page?".to_owned());
    }
    Ok(files)
}

fn is_distribution(name: &str) -> bool {
    [".whl", ".tar.gz", ".zip", ".tar.bz2", ".egg", ".tgz", ".exe"].iter().any(|end| name.ends_with(end))
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok());
        match hex.filter(|_| bytes[at] == b'%').and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

/// The start tags of a document, comments left out. Enough of HTML for index pages: no script is run and
/// nothing nests.
fn tags(text: &str) -> impl Iterator<Item = Tag> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find('<')?;
            rest = &rest[at + 1..];
            if let Some(comment) = rest.strip_prefix("!--") {
                rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
                continue;
            }
            if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
                continue;
            }
            let end =
                rest.find(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/').unwrap_or(rest.len());
            let name = rest[..end].to_ascii_lowercase();
            rest = &rest[end..];
            let attributes = attributes(&mut rest);
            return Some(Tag { name, attributes });
        }
    })
}

/// Reads attributes up to the closing `>`.
fn attributes(rest: &mut &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    loop {
        *rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        match rest.chars().next() {
            None => return found,
            Some('>') => {
                *rest = &rest[1..];
                return found;
            }
            Some(_) => {}
        }
        // A lone `=` begins a name, so that every round takes at least one character.
        let start = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest[start..]
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/'))
            .map_or(rest.len(), |at| at + start);
        let name = rest[..end].to_ascii_lowercase();
        *rest = rest[end..].trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            (value, *rest) = match after.chars().next() {
                Some(quote @ ('"' | '\'')) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                _ => {
                    let end =
                        after.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(after.len());
                    after.split_at(end)
                }
            };
        }
        found.push((name, unescaped(value)));
    }
}

fn unescaped(text: &str) -> String {
    const NAMED: &[(&str, char)] = &[("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\'')];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let character = rest[1..].split_once(';').and_then(|(entity, after)| {
            let number = entity.strip_prefix('#').and_then(|n| match n.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => n.parse().ok(),
            });
            let named = NAMED.iter().find(|(name, _)| *name == entity).map(|(_, c)| *c);
            named.or_else(|| number.and_then(char::from_u32)).map(|c| (c, after))
        });
        match character {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn base() -> Url {
        Url::parse("http://me:secret@127.0.0.1:8080/simple/foo/").unwrap()
    }

    #[test]
    fn reads_html() {
        let page = format!(
            r#"<!DOCTYPE html><html><body><h1>Links</h1><!-- <a href="old-1-py3-none-any.whl">no</a> -->
            <a href="../../files/foo-1.0-py3-none-any.whl#sha256={HASH}" data-requires-python="&gt;=3.8,&lt;4" >x</a><br/>
            <A HREF='http://127.0.0.2/foo-1.0%2Bcpu-py3-none-any.whl#sha256={HASH}' data-yanked>x</A>
            <a data-yanked="broken &quot;wheel&quot; &#38; more" href=foo-0.9.tar.gz>x</a><a href="/about">about</a>
            <a href="file:///etc/foo-6-py3-none-any.whl">x</a></body>"#
        );
        let files = parse(page.as_bytes(), "text/html; charset=utf-8", &base()).unwrap();
        assert_eq!(files.len(), 3);
        assert_eq!(files[0].url.as_str(), "http://me:secret@127.0.0.1:8080/files/foo-1.0-py3-none-any.whl");
        assert_eq!(files[0].sha256.as_ref().unwrap().hex(), HASH);
        assert_eq!(files[0].requires_python.as_deref(), Some(">=3.8,<4"));
        assert_eq!(files[0].yanked, None);
        assert_eq!(files[1].filename, "foo-1.0+cpu-py3-none-any.whl");
        assert_eq!(files[1].url.username(), "", "another server gets no credentials");
        assert_eq!(files[1].yanked.as_deref(), Some(""));
        assert_eq!((files[2].filename.as_str(), files[2].sha256.as_ref()), ("foo-0.9.tar.gz", None));
        assert_eq!(files[2].yanked.as_deref(), Some("broken \"wheel\" & more"));
    }

    #[test]
    fn reads_json() {
        let page = format!(
            r#"{{"meta":{{"api-version":"1.1"}},"name":"foo","versions":["1"],"files":[
            {{"filename":"foo-1-py3-none-any.whl","url":"../../f/foo-1-py3-none-any.whl","hashes":{{"sha256":"{HASH}"}},
              "size":12,"requires-python":">=3.9","yanked":"bad"}},
            {{"filename":"foo-2-py3-none-any.whl","url":"http://127.0.0.3/foo-2-py3-none-any.whl","hashes":{{}},"yanked":false}}]}}"#
        );
        let files = parse(page.as_bytes(), "application/vnd.pypi.simple.v1+json", &base()).unwrap();
        assert_eq!(files[0].size, Some(12));
        assert_eq!(files[0].yanked.as_deref(), Some("bad"));
        assert_eq!(files[0].url.path(), "/f/foo-1-py3-none-any.whl");
        assert_eq!((files[1].yanked.clone(), files[1].sha256.clone(), files[1].size), (None, None, None));
    }

    #[test]
    fn garbage_is_named() {
        for (text, kind, want) in [
            (
                "<html><form><input name=u><input type=password></form><a href=/help>help</a>",
                "text/html",
                "login page",
            ),
            ("<html><body>It works!</body></html>", "text/html", "login page"),
            ("", "text/plain", "login page"),
            ("{\"message\":\"hi\"}", "application/json", "not a project page"),
            ("{", "text/html", "not a project page"),
        ] {
            let error = parse(text.as_bytes(), kind, &base()).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[<>a=\"'&;#x/! \\-é]{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(text.as_bytes(), "text/html", &base());
            let _ = parse(format!("<a href={text}").as_bytes(), "text/html", &base());
            let _ = parse(&bytes, "text/html", &base());
            let _ = percent_decoded(&text);
        }
    }
}
