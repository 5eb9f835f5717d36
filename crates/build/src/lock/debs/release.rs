//! A suite's Release file: what it is, how long it holds, and the digests of its indexes.
//!
//! The text must have come out of [`super::openpgp`]: nothing here is worth anything unsigned.

use jiff::{SignedDuration, Timestamp};
use perijove_oci::Digest;

use super::control::{self, Paragraph};

/// How far a machine's clock may be behind the archive's.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(24);

/// No compressed index is larger than this: 256 MiB (the largest is 20 MiB).
const MAX_INDEX: u64 = 256 << 20;

/// An index file that the Release file vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// Path below the suite, `main/binary-amd64/Packages.xz`.
    pub path: String,
    /// Its sha256.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// How an index is packed, in the order of preference: the smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// xz
    Xz,
    /// gzip
    Gzip,
    /// not at all
    Plain,
}

/// The packings with their file endings.
pub const PACKINGS: [(Packing, &str); 3] =
    [(Packing::Xz, ".xz"), (Packing::Gzip, ".gz"), (Packing::Plain, "")];

/// What a lock needs of a Release file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// `stable`
    pub suite: String,
    /// `trixie`
    pub codename: String,
    /// When it was made.
    pub date: Timestamp,
    /// When it ends, if it does: `stable` itself has no end, its updates and fixes have.
    pub valid_until: Option<Timestamp>,
    /// Whether indexes can be had under their digests, which does not race with the mirror's updates.
    pub by_hash: bool,
    /// False where packages are taken only on request (`NotAutomatic: yes`, as backports).
    pub automatic: bool,
    /// Whether packages of architecture `all` have an index of their own, and the others lack them.
    pub all_apart: bool,
    files: Vec<IndexFile>,
}

impl Release {
    /// Reads the text of a Release file. The error is the reason, without place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut paragraphs = control::paragraphs(text);
        let (Some(release), None) = (paragraphs.next(), paragraphs.next()) else {
            return Err("it is not one paragraph of fields".to_owned());
        };
        release.check().map_err(|(line, reason)| format!("line {line}: {reason}"))?;
        let field =
            |name: &str| release.get(name).filter(|v| !v.is_empty()).ok_or(format!("it has no {name}"));
        let yes = |name: &str| release.get(name).is_some_and(|v| v.eq_ignore_ascii_case("yes"));
        let has = |name: &str, word: &str| {
            release.get(name).is_some_and(|v| v.split_whitespace().any(|w| w == word))
        };
        Ok(Release {
            suite: release.get("Suite").unwrap_or_default().to_owned(),
            codename: field("Codename")?.to_owned(),
            date: time(field("Date")?)?,
            valid_until: release.get("Valid-Until").map(time).transpose()?,
            by_hash: yes("Acquire-By-Hash"),
            automatic: !yes("NotAutomatic"),
            all_apart: has("Architectures", "all") && !has("No-Support-for-Architecture-all", "Packages"),
            files: files(release)?,
        })
    }

    /// Checks that this is `asked` (a codename or a suite name), and current at `now`. `newest_seen` is the
    /// date of the same suite in the previous lock: going back behind it means an old copy is replayed.
    pub fn check(&self, asked: &str, now: Timestamp, newest_seen: Option<Timestamp>) -> Result<(), String> {
        if self.codename != asked && self.suite != asked {
            return Err(format!("it is of {} ({}), not of {asked}", self.codename, self.suite));
        }
        if self.date > now.saturating_add(CLOCK_SKEW).unwrap_or(Timestamp::MAX) {
            return Err(format!("it is dated {}, in the future: is this machine's clock right?", self.date));
        }
        if let Some(end) = self.valid_until.filter(|end| *end < now) {
            return Err(format!(
                "it expired at {end}: the mirror is out of date, or an old copy is replayed"
            ));
        }
        match newest_seen {
            Some(seen) if seen > self.date => Err(format!(
                "it is of {}, older than the {seen} in the lock: the mirror lags, or an old copy is replayed",
                self.date
            )),
            _ => Ok(()),
        }
    }

    /// The Packages index of `component` and `architecture` in the best packing there is.
    pub fn packages(&self, component: &str, architecture: &str) -> Option<(&IndexFile, Packing)> {
        PACKINGS.iter().find_map(|(packing, ending)| {
            let path = format!("{component}/binary-{architecture}/Packages{ending}");
            self.files.iter().find(|f| f.path == path).map(|file| (file, *packing))
        })
    }
}

/// The Packages indexes under `SHA256:`; the other hundreds of files are not kept.
fn files(release: Paragraph<'_>) -> Result<Vec<IndexFile>, String> {
    let mut files: Vec<IndexFile> = Vec::new();
    for line in release.lines("SHA256") {
        let mut words = line.split_whitespace();
        let (Some(hex), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(format!("`{line}` under SHA256 is not `digest size path`"));
        };
        if !path.rsplit('/').next().is_some_and(|name| name.starts_with("Packages")) {
            continue;
        }
        let digest = format!("sha256:{hex}").parse().map_err(|e| format!("under SHA256: {e}"))?;
        let size = size.parse().ok().filter(|s| *s <= MAX_INDEX || path.ends_with("/Packages"));
        let size = size.ok_or(format!("`{line}` under SHA256 has no size that an index can have"))?;
        if files.iter().any(|f| f.path == path) {
            return Err(format!("{path} is listed twice"));
        }
        files.push(IndexFile { path: path.to_owned(), digest, size });
    }
    if files.is_empty() { Err("it lists no Packages index with a SHA256".to_owned()) } else { Ok(files) }
}

/// `Sat, 12 Sep 2026 07:55:41 UTC`: RFC 5322 with a zone name that only Debian writes.
fn time(text: &str) -> Result<Timestamp, String> {
    let numeric = text.strip_suffix("UTC").map_or_else(|| text.to_owned(), |rest| format!("{rest}+0000"));
    jiff::fmt::rfc2822::parse(&numeric)
        .map(|t| t.timestamp())
        .map_err(|e| format!("`{text}` is not a date: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> String {
        let hex = "a".repeat(64);
        format!(
            "Origin: Debian\nSuite: stable-updates\nCodename: trixie-updates\n\
             Date: Sat, 21 Nov 2026 02:10:46 UTC\nValid-Until: Sat, 28 Nov 2026 02:10:46 UTC\n\
             Acquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\nArchitectures: all amd64 arm64\n\
             MD5Sum:\n {} 9 main/binary-amd64/Packages\n\
             SHA256:\n {hex} 5 main/binary-amd64/Packages.gz\n {hex}  4 main/binary-amd64/Packages.xz\n\
             \x20{hex} 7 main/binary-arm64/Packages.gz\n {hex} 7 main/Contents-amd64.gz\n",
            "b".repeat(32)
        )
    }

    #[test]
    fn reads_what_a_lock_needs() {
        let release = Release::parse(&text()).unwrap();
        assert!(release.by_hash && release.automatic && !release.all_apart);
        assert_eq!(release.date.to_string(), "2026-11-21T02:10:46Z");
        let (file, packing) = release.packages("main", "amd64").unwrap();
        assert_eq!(
            (file.path.as_str(), file.size, packing),
            ("main/binary-amd64/Packages.xz", 4, Packing::Xz)
        );
        assert_eq!(release.packages("main", "arm64").unwrap().1, Packing::Gzip);
        assert_eq!(release.packages("main", "s390x"), None);
        let backports = Release::parse(&text().replace("Acquire-By-Hash", "NotAutomatic")).unwrap();
        assert!(!backports.automatic && !backports.by_hash);
        assert!(Release::parse(&text().replace("No-Support", "X-Support")).unwrap().all_apart);
    }

    #[test]
    fn refuses_what_is_not_current() {
        let release = Release::parse(&text()).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let check = |asked, now, seen| release.check(asked, at(now), seen);
        assert_eq!(check("trixie-updates", "2026-11-22T00:00:00Z", None), Ok(()));
        assert_eq!(check("stable-updates", "2026-11-20T12:00:00Z", Some(release.date)), Ok(()));
        for (asked, now, seen, says) in [
            ("trixie", "2026-11-22T00:00:00Z", None, "not of trixie"),
            ("bookworm-updates", "2026-11-22T00:00:00Z", None, "not of bookworm-updates"),
            ("trixie-updates", "2026-11-28T02:10:47Z", None, "expired at 2026-11-28T02:10:46Z"),
            ("trixie-updates", "2026-11-20T01:00:00Z", None, "in the future"),
            ("trixie-updates", "2026-11-22T00:00:00Z", Some(at("2026-11-21T08:00:00Z")), "older than"),
        ] {
            let reason = check(asked, now, seen).unwrap_err();
            assert!(reason.contains(says), "{reason}");
        }
    }

    #[test]
    fn refuses_what_is_broken() {
        let huge = text().replace(" 5 main", " 99999999999 main");
        for (broken, says) in [
            (text().replace("Codename", "Code"), "no Codename"),
            (text().replace("Sat, 21 Nov", "Sat, 41 Nov"), "not a date"),
            (text().replace("SHA256", "SHA1"), "no Packages index"),
            (text().replace(&"a".repeat(64), "aa"), "not a digest"),
            (text().replace("Packages.gz", "Packages.xz"), "listed twice"),
            (huge, "no size"),
            (format!("{}\nSuite: x\n", text()), "not one paragraph"),
            (format!("{}Date: x\n", text()), "there twice"),
            ("<html>\n".to_owned(), "line 1"),
            (String::new(), "not one paragraph"),
        ] {
            let reason = Release::parse(&broken).unwrap_err();
            assert!(reason.contains(says), "{reason}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(noise in "[A-Za-z0-9: ,+/\n\u{e9}-]{0,80}", at in 0usize..900) {
            let mut text = text();
            let at = at.min(text.len());
            text.insert_str(at, &noise);
            let _ = Release::parse(&text);
        }
    }
}
