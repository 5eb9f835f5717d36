//! What apt on this machine knows: where Debian's archives are, and through which proxies.
//!
//! Reading its answers is pure; running it is at the end. apt is asked rather than its files read, because it
//! alone knows all the forms that its sources can have.

use std::process::Output;

use url::Url;

use super::proxy::Proxies;
use super::text::Archive;
use crate::{Error, Result};

/// A Packages index that apt is set up to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `Debian`; `None` before the first `apt-get update`.
    pub origin: Option<String>,
    /// The suite as written in the sources.
    pub release: String,
    /// Address of the archive, as written in the sources.
    pub site: String,
}

const FORMAT: &str = "$(IDENTIFIER)|$(ORIGIN)|$(RELEASE)|$(SITE)";

/// Reads the lines that apt prints in [`FORMAT`].
pub fn targets(text: &str) -> Vec<Target> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(4, '|');
            let (identifier, origin, release, site) =
                (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            // apt leaves a variable that it has no value for as it is.
            let origin = Some(origin).filter(|o| !o.is_empty() && !o.starts_with("$("));
            (identifier == "Packages").then(|| Target {
                origin: origin.map(str::to_owned),
                release: release.to_owned(),
                site: site.to_owned(),
            })
        })
        .collect()
}

/// The address of `archive` among `targets`, as written: of Debian's own, the first.
///
/// Before the first `apt-get update` apt does not know who publishes what; then suites with Debian's own
/// endings tell, which no third party's have.
pub fn site(targets: &[Target], archive: Archive) -> Option<&str> {
    let of_archive = |t: &&Target| Archive::of_suite(&t.release) == archive && !t.release.contains('/');
    let debian = |t: &&Target| t.origin.as_deref() == Some("Debian");
    let by_origin = targets.iter().filter(of_archive).find(debian);
    let endings: &[&str] = match archive {
        Archive::Debian => &["-updates", "-backports", "-proposed-updates"],
        Archive::Security => &["-security"],
    };
    let unknown = || targets.iter().filter(|t| t.origin.is_none());
    let by_ending = || unknown().find(|t| endings.iter().any(|ending| t.release.ends_with(ending)));
    // A single source cannot be anybody else's.
    let alone = || {
        let mut sites: Vec<&Target> = unknown().filter(of_archive).collect();
        sites.dedup_by(|a, b| a.site == b.site);
        if let [only] = sites[..] { Some(only) } else { None }
    };
    by_origin.or_else(by_ending).or_else(alone).map(|t| t.site.as_str())
}

/// The http or https address behind what sources say: `mirror+file:` names a file with a list of mirrors.
pub fn address(site: &str) -> Result<Url, String> {
    let list;
    let text = match site.strip_prefix("mirror+file:") {
        None => site,
        Some(path) => {
            list = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
            first_mirror(&list).ok_or(format!("{path} lists no http or https mirror"))?
        }
    };
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && !url.cannot_be_a_base() => Ok(url),
        Ok(url) => Err(format!("apt reaches it by {}, not by http or https", url.scheme())),
        Err(error) => Err(format!("apt's address of it is no URL: {error}")),
    }
}

/// apt-transport-mirror(1): a mirror a line, the address first.
fn first_mirror(list: &str) -> Option<&str> {
    let first = |line: &'_ str| line.split(['\t', ' ']).next().map(str::len);
    list.lines()
        .filter_map(|line| Some(&line[..first(line)?]))
        .find(|a| a.starts_with("http://") || a.starts_with("https://"))
}

/// Runs apt: the targets, and the proxies. No lists are fetched, and nothing is changed.
pub async fn ask() -> Result<(Vec<Target>, Proxies)> {
    let listed = run("apt-get", &["indextargets", "--format", FORMAT]).await?;
    let mut found = targets(&listed);
    if found.is_empty() {
        // Before the first update apt tells only what the sources say.
        let bare = ["indextargets", "-o", "APT::Get::IndexTargets::ReleaseInfo=false", "--format", FORMAT];
        found = targets(&run("apt-get", &bare).await?);
    }
    let dump = run("apt-config", &["dump", "Acquire"]).await?;
    Ok((found, Proxies::parse(&dump)))
}

async fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let failed =
        |reason: String| Error::Program { program: program.to_owned(), reason, hint: HINT.to_owned() };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env("LC_ALL", "C").stdin(std::process::Stdio::null()).kill_on_drop(true);
    let Output { status, stdout, stderr } = command.output().await.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            failed("this system has no apt to say where Debian's archives are".to_owned())
        }
        _ => failed(e.to_string()),
    })?;
    if status.success() {
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    } else {
        let words = String::from_utf8_lossy(&stderr);
        Err(failed(format!("{status}: {}", words.lines().last().unwrap_or_default())))
    }
}

/// What to do when apt cannot tell.
pub const HINT: &str = "set `debian` and `debian-security` in [repository.mirrors] of perijove.toml (or \
                        PERIJOVE_DEBIAN_MIRROR and PERIJOVE_DEBIAN_SECURITY_MIRROR) to the addresses of \
                        Debian's archives";

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "Packages|Example|bookworm|http://third.test/debian\n\
        Packages|Debian|bookworm|http://one.test/debian\n\
        DEP-11|Debian|bookworm|http://dep.test/debian\n\
        Packages|Debian|bookworm-updates|http://two.test/debian\n\
        Packages|Debian|bookworm-security|http://three.test/debian-security\n";

    #[test]
    fn takes_debians_own_archives() {
        let all = targets(KNOWN);
        assert_eq!(all.len(), 4);
        assert_eq!(site(&all, Archive::Debian), Some("http://one.test/debian"));
        assert_eq!(site(&all, Archive::Security), Some("http://three.test/debian-security"));
        let ubuntu =
            targets("Packages|Ubuntu|noble|http://u.test/\nPackages|Ubuntu|noble-security|http://u.test/\n");
        assert_eq!(site(&ubuntu, Archive::Debian), None);
        assert_eq!(site(&ubuntu, Archive::Security), None);
    }

    #[test]
    fn knows_them_by_their_suites_before_the_first_update() {
        let fresh = targets(&KNOWN.replace("|Debian|", "|$(ORIGIN)|").replace("|Example|", "|$(ORIGIN)|"));
        assert_eq!(site(&fresh, Archive::Debian), Some("http://two.test/debian"));
        assert_eq!(site(&fresh, Archive::Security), Some("http://three.test/debian-security"));
        let alone = targets("Packages|$(ORIGIN)|trixie|http://one.test/debian\n");
        assert_eq!(site(&alone, Archive::Debian), Some("http://one.test/debian"));
        let two = targets("Packages||trixie|http://one.test/debian\nPackages||trixie|http://third.test/x\n");
        assert_eq!(site(&two, Archive::Debian), None);
    }

    #[test]
    fn reads_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("debian.list");
        std::fs::write(&list, "# mirrors\nhttps://m.test/debian\tpriority:1\n").unwrap();
        assert_eq!(
            address(&format!("mirror+file:{}", list.display())).unwrap().as_str(),
            "https://m.test/debian"
        );
        assert_eq!(address("http://m.test/debian").unwrap().host_str(), Some("m.test"));
        for bad in
            ["file:/srv/mirror", "cdrom:[Debian]/", "tor+http://m.test/", "nonsense", "mirror+file:/nowhere"]
        {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_hint_names_keys_that_the_settings_have() {
        let keys: Vec<&str> = HINT.split('`').skip(1).step_by(2).collect();
        assert_eq!(keys.len(), 2, "{HINT}");
        let lines: String = keys.iter().map(|key| format!("{key} = \"http://m.test/{key}\"\n")).collect();
        let config =
            crate::Config::parse(std::path::Path::new("/"), &format!("[repository.mirrors]\n{lines}"))
                .unwrap();
        let mirrors = config.repository.mirrors;
        let at = |key: &str| Some(format!("http://m.test/{key}"));
        assert_eq!((mirrors.debian, mirrors.debian_security), (at("debian"), at("debian-security")));
    }
}
