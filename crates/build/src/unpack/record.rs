//! RECORD, a wheel's list of files and hashes (binary distribution format; "Recording installed projects").
//! Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A hash as RECORD writes it. Weaker ones than SHA-256 are not allowed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hash {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    const ALL: [(&'static str, Algorithm, usize); 3] = [
        ("sha256", Algorithm::Sha256, 32),
        ("sha384", Algorithm::Sha384, 48),
        ("sha512", Algorithm::Sha512, 64),
    ];
}

impl Hash {
    fn parse(text: &str) -> Option<Hash> {
        let (name, value) = text.split_once('=')?;
        let (_, algorithm, length) = Algorithm::ALL.into_iter().find(|(n, ..)| *n == name)?;
        let bytes = URL_SAFE_NO_PAD.decode(value.trim_end_matches('=')).ok()?;
        (bytes.len() == length).then_some(Hash { algorithm, bytes })
    }

    pub(super) fn sha256(content: &[u8]) -> Hash {
        Hash { algorithm: Algorithm::Sha256, bytes: Sha256::digest(content).to_vec() }
    }

    pub(super) fn hasher(&self) -> Hasher {
        match self.algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha384 => Hasher::Sha384(Sha384::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    pub(super) fn is_of(&self, content: &[u8]) -> bool {
        let mut hasher = self.hasher();
        hasher.update(content);
        hasher.finish() == *self
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = Algorithm::ALL.iter().find(|(_, a, _)| *a == self.algorithm).map_or("", |(n, ..)| n);
        write!(f, "{name}={}", URL_SAFE_NO_PAD.encode(&self.bytes))
    }
}

/// A hash in the making.
pub(super) enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(h) => h.update(bytes),
            Hasher::Sha384(h) => h.update(bytes),
            Hasher::Sha512(h) => h.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Hash {
        let (algorithm, bytes) = match self {
            Hasher::Sha256(h) => (Algorithm::Sha256, h.finalize().to_vec()),
            Hasher::Sha384(h) => (Algorithm::Sha384, h.finalize().to_vec()),
            Hasher::Sha512(h) => (Algorithm::Sha512, h.finalize().to_vec()),
        };
        Hash { algorithm, bytes }
    }
}

/// A line of RECORD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) path: String,
    /// None for RECORD itself and signatures.
    pub(super) hash: Option<Hash>,
    pub(super) size: Option<u64>,
}

/// Reads RECORD: CSV as Python's csv module writes it, three columns.
pub(super) fn parse(text: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (number, fields) in csv(text)?.into_iter().enumerate() {
        let bad = |what: &str| format!("RECORD row {}: {what}", number + 1);
        let [path, hash, size] = <[String; 3]>::try_from(fields).map_err(|_| bad("not three columns"))?;
        let hash = match hash.as_str() {
            "" => None,
            text => {
                Some(Hash::parse(text).ok_or_else(|| bad("a hash that is no SHA-256, SHA-384 or SHA-512"))?)
            }
        };
        let size = match size.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| bad("a size that is no number"))?),
        };
        rows.push(Row { path, hash, size });
    }
    Ok(rows)
}

/// Splits CSV (RFC 4180, lines ended by CRLF or LF) into rows; empty lines are passed over.
fn csv(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let field;
        if let Some(mut quoted) = rest.strip_prefix('"') {
            let mut value = String::new();
            loop {
                let (part, after) = quoted.split_once('"').ok_or("RECORD: a quote is not closed")?;
                value.push_str(part);
                match after.strip_prefix('"') {
                    Some(more) => {
                        value.push('"');
                        quoted = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
            field = value;
        } else {
            let end = rest.find([',', '\r', '\n']).unwrap_or(rest.len());
            field = rest[..end].to_owned();
            rest = &rest[end..];
        }
        row.push(field);
        if let Some(after) = rest.strip_prefix(',') {
            rest = after;
            if rest.is_empty() {
                row.push(String::new());
            }
            continue;
        }
        let after = rest.strip_prefix('\r').unwrap_or(rest);
        rest = match after.strip_prefix('\n') {
            Some(next) => next,
            None if after.is_empty() => after,
            None => return Err("RECORD: text after a closing quote".to_owned()),
        };
        if row != [""] {
            rows.push(std::mem::take(&mut row));
        }
        row.clear();
    }
    if !row.is_empty() {
        rows.push(row);
    }
    Ok(rows)
}

/// Writes RECORD as pip does: the rows sorted, LF, quotes only where needed.
pub(super) fn write(mut rows: Vec<Row>) -> String {
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    let mut out = String::new();
    for row in rows {
        if row.path.contains([',', '"', '\r', '\n']) {
            out.push('"');
            out.push_str(&row.path.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&row.path);
        }
        out.push(',');
        if let Some(hash) = row.hash {
            out.push_str(&hash.to_string());
        }
        out.push(',');
        if let Some(size) = row.size {
            out.push_str(&size.to_string());
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_are_read_in_every_common_form() {
        let hash = Hash::sha256(b"x").to_string();
        let text = format!("a.py,{hash},1\r\n\"b,\"\"q\"\".py\",{hash}=,\nd/RECORD,,\n\nlast,,");
        let rows = parse(&text).unwrap();
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[0], Row { path: "a.py".into(), hash: Some(Hash::sha256(b"x")), size: Some(1) });
        assert_eq!((rows[1].path.as_str(), rows[1].size), ("b,\"q\".py", None));
        assert_eq!(rows[2], Row { path: "d/RECORD".into(), hash: None, size: None });
        assert_eq!(rows[3].path, "last");
    }

    #[test]
    fn weak_and_broken_hashes_are_refused() {
        for row in [
            "a,md5=1B2M2Y8AsgTpgAmY7PhCfg,0",
            "a,sha256=abc,0",
            "a,sha256,0",
            "a,x=,0",
            "a,,x",
            "a,b",
            "\"a",
            "\"a\"b,,",
        ] {
            assert!(parse(row).is_err(), "{row}");
        }
    }

    #[test]
    fn longer_hashes_are_checked_too() {
        for text in [
            "sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
            "sha512=3a81oZNherrMQXNJriBBMRLm-k6JqX6iCp7u5ktV05ohkpkqJ0_BqDa6PCOj_uu9RU1EI2Q86A4qmslPpUyknw",
        ] {
            let hash = Hash::parse(text).unwrap();
            assert!(hash.is_of(b"abc") && !hash.is_of(b"abd"));
            assert_eq!(hash.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(paths in prop::collection::btree_set("[ -~é,\"]{1,12}", 0..8)) {
            let rows: Vec<Row> = paths
                .into_iter()
                .map(|path| Row { hash: Some(Hash::sha256(path.as_bytes())), size: Some(7), path })
                .collect();
            prop_assert_eq!(parse(&write(rows.clone())), Ok(rows));
        }

        #[test]
        fn any_text_gets_an_answer(text in "(?s:.{0,80})") {
            let _ = parse(&text);
        }
    }
}
