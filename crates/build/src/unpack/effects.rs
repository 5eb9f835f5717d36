//! What Debian's maintainer scripts would have made and an image needs, as data with the reason beside it.
//! Pure.
//!
//! Read from the scripts of bookworm's and trixie's base-files, base-passwd, libc6, libc-bin, dash, bash,
//! mawk, gawk, netbase, tzdata, openssl, ca-certificates, python3*, nodejs. Left out on purpose, beyond what
//! the tables say:
//! - `/etc/profile`, `/root/.profile`, `/root/.bashrc`, `/etc/motd` (base-files): a login shell would reset
//!   the PATH that the image sets;
//! - `/var/mail`, `/var/log/{wtmp,btmp,lastlog}` (base-files): no mail, no log-in;
//! - `ld.so.cache` (libc-bin): the loader finds the standard folders without it, and nothing else is used;
//! - `.pyc` of Python's own modules (python3.x-minimal): a matter of speed, not of working;
//! - `/etc/shadow`: base-passwd makes none either, it puts `*` (no password) in passwd;
//! - `/usr/bin/{js,which,pager,editor}` and manual pages among the alternatives: conveniences.

use std::collections::BTreeMap;

use crate::Result;
use crate::entry::{EPOCH, Entry, Kind};

use super::accounts::{NOLOGIN, User, check, group, passwd};

/// What the effects depend on.
#[derive(Clone, Debug, Default)]
pub struct DebianImage<'a> {
    /// Debian's name: `amd64`, `arm64`.
    pub architecture: &'a str,
    /// Names of the Debian packages in the image.
    pub packages: &'a [&'a str],
    /// Users besides Debian's own.
    pub users: &'a [User],
    /// [`super::ca_bundle`] of the image's ca-certificates, when it has that package.
    pub ca_bundle: Option<&'a [u8]>,
}

/// One thing to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Where and what.
    pub entry: Entry,
    /// A file's content.
    pub content: Vec<u8>,
    /// Which script makes it, or why the image needs it.
    pub why: &'static str,
}

/// When an effect is wanted.
#[derive(Clone, Copy)]
enum When {
    Always,
    /// On this architecture.
    Architecture(&'static str),
    /// With this package.
    With(&'static str),
    /// With the first package (or one that is named so with `t64` behind) and without the second.
    WithWithout(&'static str, &'static str),
}

impl DebianImage<'_> {
    fn has(&self, package: &str) -> bool {
        self.packages.contains(&package)
    }

    fn wants(&self, when: When) -> bool {
        match when {
            When::Always => true,
            When::Architecture(name) => self.architecture == name,
            When::With(package) => self.has(package),
            When::WithWithout(with, without) => {
                (self.has(with) || self.has(&format!("{with}t64"))) && !self.has(without)
            }
        }
    }

    /// The shell of root and of users without another: only one that is there.
    fn shell(&self) -> &'static str {
        match () {
            () if self.has("bash") => "/bin/bash",
            () if self.has("dash") => "/bin/sh",
            () => NOLOGIN,
        }
    }
}

const MERGED_USR: &str = "merged /usr: in the base-files package since trixie, made by debootstrap before";

/// Links: path, target, when, why.
const LINKS: &[(&str, &str, When, &str)] = &[
    ("bin", "usr/bin", When::Always, MERGED_USR),
    ("lib", "usr/lib", When::Always, MERGED_USR),
    ("sbin", "usr/sbin", When::Always, MERGED_USR),
    // arm64 has its loader in /lib and no lib64.
    ("lib64", "usr/lib64", When::Architecture("amd64"), "the loader is /lib64/ld-linux-x86-64.so.2 (psABI)"),
    ("lib32", "usr/lib32", When::With("libc6-i386"), MERGED_USR),
    ("libx32", "usr/libx32", When::With("libc6-x32"), MERGED_USR),
    ("var/run", "/run", When::Always, "base-files postinst; Kubernetes mounts tokens at /var/run/secrets"),
    ("var/lock", "/run/lock", When::Always, "base-files postinst"),
    // update-alternatives takes the highest priority: gawk 10, mawk 5. `sh` is in dash itself.
    ("usr/bin/awk", "gawk", When::With("gawk"), "alternative awk, gawk postinst; shell scripts need awk"),
    ("usr/bin/nawk", "gawk", When::With("gawk"), "alternative nawk, gawk postinst"),
    (
        "usr/bin/awk",
        "mawk",
        When::WithWithout("mawk", "gawk"),
        "alternative awk, mawk postinst; shell scripts need awk",
    ),
    ("usr/bin/nawk", "mawk", When::WithWithout("mawk", "gawk"), "alternative nawk, mawk postinst"),
    (
        "usr/bin/sh",
        "bash",
        When::WithWithout("bash", "dash"),
        "bash postinst: /bin/sh must be there; dash has its own",
    ),
    (
        "etc/localtime",
        "/usr/share/zoneinfo/Etc/UTC",
        When::With("tzdata"),
        "tzdata postinst, its default answer",
    ),
    // Both are in the openssl package, which an image that has only the library lacks. OpenSSL's default file
    // is read as a whole, so the links by hash that `openssl rehash` makes for its default folder are not
    // needed; nor are they by Python, curl, git and Go, which take the file.
    (
        "usr/lib/ssl/cert.pem",
        "/etc/ssl/certs/ca-certificates.crt",
        When::WithWithout("libssl3", "openssl"),
        "OpenSSL's default CA file, for Python's ssl module; a link of the openssl package",
    ),
    (
        "usr/lib/ssl/certs",
        "/etc/ssl/certs",
        When::WithWithout("libssl3", "openssl"),
        "OpenSSL's default CA folder; a link of the openssl package",
    ),
];

/// Folders: path, mode, when, why.
const FOLDERS: &[(&str, u32, When, &str)] = &[
    ("dev", 0o755, When::Always, "in base-files; mount point of every container"),
    ("etc", 0o755, When::Always, "in base-files"),
    ("home", 0o755, When::Always, "in base-files"),
    ("media", 0o755, When::Always, "base-files postinst"),
    ("mnt", 0o755, When::Always, "base-files postinst"),
    ("opt", 0o755, When::Always, "base-files postinst"),
    ("proc", 0o755, When::Always, "in base-files; mount point of every container"),
    ("root", 0o700, When::Always, "in base-files; root's home"),
    ("run", 0o755, When::Always, "in base-files"),
    ("run/lock", 0o1777, When::Always, "base-files postinst"),
    ("srv", 0o755, When::Always, "base-files postinst"),
    ("sys", 0o755, When::Always, "in base-files; mount point of every container"),
    ("tmp", 0o1777, When::Always, "in base-files; programs need it writable for all"),
    ("usr/bin", 0o755, When::Always, "so that no link of merged /usr leads nowhere"),
    ("usr/lib", 0o755, When::Always, "so that no link of merged /usr leads nowhere"),
    ("usr/lib32", 0o755, When::With("libc6-i386"), "so that no link of merged /usr leads nowhere"),
    ("usr/lib64", 0o755, When::Architecture("amd64"), "so that no link of merged /usr leads nowhere"),
    ("usr/libx32", 0o755, When::With("libc6-x32"), "so that no link of merged /usr leads nowhere"),
    ("usr/sbin", 0o755, When::Always, "so that no link of merged /usr leads nowhere"),
    ("var/tmp", 0o1777, When::Always, "in base-files; programs need it writable for all"),
];

/// Files of fixed text: path, text, why.
const FILES: &[(&str, &str, &str)] = &[
    (
        "etc/hosts",
        "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n",
        "netbase postinst; docker and Kubernetes mount their own over it, a bare runtime has none",
    ),
    (
        "etc/nsswitch.conf",
        "passwd:         files\ngroup:          files\nshadow:         files\ngshadow:        files\n\n\
         hosts:          files dns\nnetworks:       files\n\nprotocols:      db files\nservices:       db files\n\
         ethers:         db files\nrpc:            db files\n\nnetgroup:       nis\n",
        "libc-bin postinst; without it older C libraries ask DNS before /etc/hosts",
    ),
];

/// The effects for an image, sorted by path, folders before what is in them.
///
/// Fails when a user's name, number, home or shell can stand in no passwd file, or is Debian's own.
pub fn debian_effects(image: &DebianImage<'_>) -> Result<Vec<Effect>> {
    let mut effects = BTreeMap::new();
    let mut add = |path: &str, kind: Kind, mode: u32, content: &[u8], why: &'static str| {
        for folder in super::path::ancestors(path) {
            effects.entry(folder.to_owned()).or_insert_with(|| Effect {
                entry: super::parents::plain_folder(folder.to_owned()),
                content: Vec::new(),
                why: "holds the others",
            });
        }
        let entry = Entry { path: path.to_owned(), kind, mode, uid: 0, gid: 0, mtime: EPOCH };
        effects.insert(path.to_owned(), Effect { entry, content: content.to_vec(), why });
    };
    for (path, mode, when, why) in FOLDERS {
        if image.wants(*when) {
            add(path, Kind::Directory, *mode, b"", why);
        }
    }
    for (path, target, when, why) in LINKS {
        if image.wants(*when) {
            add(path, Kind::Symlink { target: (*target).to_owned() }, 0o777, b"", why);
        }
    }
    let mut file = |path: &str, content: &[u8], why| {
        add(path, Kind::File { size: content.len() as u64 }, 0o644, content, why);
    };
    for (path, text, why) in FILES {
        file(path, text.as_bytes(), why);
    }
    if let Some(bundle) = image.ca_bundle {
        file(
            "etc/ssl/certs/ca-certificates.crt",
            bundle,
            "ca-certificates postinst; the package has single files only",
        );
    }
    file(
        "etc/passwd",
        passwd(image.users, image.shell()).as_bytes(),
        "base-passwd preinst, and the image's own users",
    );
    file("etc/group", group(image.users).as_bytes(), "base-passwd preinst, and the image's own users");
    for user in image.users {
        let home = check(user)?;
        add(&home, Kind::Directory, 0o755, b"", "home of an image's own user");
    }
    for user in image.users {
        if let Some(effect) = effects.get_mut(user.home.trim_matches('/')) {
            (effect.entry.uid, effect.entry.gid) = (user.uid, user.gid);
        }
    }
    Ok(effects.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> User {
        User { name: "jovyan".into(), uid: 1000, gid: 1000, home: "/srv/jupyterhub".into(), shell: None }
    }

    fn target<'a>(effects: &'a [Effect], path: &str) -> Option<&'a str> {
        effects.iter().find(|e| e.entry.path == path).map(|e| match &e.entry.kind {
            Kind::Symlink { target } => target.as_str(),
            other => panic!("{path}: {other:?}"),
        })
    }

    fn text(effects: &[Effect], path: &str) -> String {
        let found = effects.iter().find(|e| e.entry.path == path).unwrap();
        assert_eq!(found.entry.kind, Kind::File { size: found.content.len() as u64 });
        String::from_utf8(found.content.clone()).unwrap()
    }

    #[test]
    fn a_hub_has_its_user_and_no_shell() {
        let users = [user()];
        let image = DebianImage {
            architecture: "amd64",
            packages: &["libssl3t64"],
            users: &users,
            ca_bundle: Some(b"PEM\n"),
        };
        let effects = debian_effects(&image).unwrap();
        assert!(text(&effects, "etc/passwd").starts_with("root:*:0:0:root:/root:/usr/sbin/nologin\ndaemon:"));
        assert!(
            text(&effects, "etc/passwd")
                .ends_with("\njovyan:*:1000:1000::/srv/jupyterhub:/usr/sbin/nologin\n")
        );
        assert!(text(&effects, "etc/group").ends_with("nogroup:*:65534:\njovyan:*:1000:\n"));
        assert_eq!(text(&effects, "etc/ssl/certs/ca-certificates.crt"), "PEM\n");
        assert_eq!(target(&effects, "lib64"), Some("usr/lib64"));
        assert_eq!(target(&effects, "usr/lib/ssl/cert.pem"), Some("/etc/ssl/certs/ca-certificates.crt"));
        for absent in ["usr/bin/sh", "usr/bin/awk", "etc/localtime", "lib32"] {
            assert_eq!(target(&effects, absent), None, "{absent}");
        }
        let home = effects.iter().find(|e| e.entry.path == "srv/jupyterhub").unwrap();
        assert_eq!((home.entry.uid, home.entry.gid, home.entry.mode), (1000, 1000, 0o755));
        assert!(effects.iter().filter(|e| e.entry.uid != 0).count() == 1);
    }

    #[test]
    fn links_follow_the_packages() {
        let effects = |architecture, packages: &[&str]| {
            debian_effects(&DebianImage { architecture, packages, ..Default::default() }).unwrap()
        };
        let arm = effects("arm64", &["mawk", "gawk", "dash", "bash", "libssl3", "openssl", "tzdata"]);
        assert_eq!(target(&arm, "lib64"), None);
        assert_eq!(target(&arm, "usr/bin/awk"), Some("gawk"));
        assert_eq!(target(&arm, "usr/bin/sh"), None, "dash has it");
        assert_eq!(target(&arm, "usr/lib/ssl/cert.pem"), None, "openssl has it");
        assert_eq!(target(&arm, "etc/localtime"), Some("/usr/share/zoneinfo/Etc/UTC"));
        assert_eq!(target(&effects("amd64", &["mawk"]), "usr/bin/awk"), Some("mawk"));
        assert_eq!(target(&effects("amd64", &["bash"]), "usr/bin/sh"), Some("bash"));
    }

    #[test]
    fn folders_come_first_and_everything_has_a_reason() {
        let users = [user()];
        let effects =
            debian_effects(&DebianImage { architecture: "amd64", users: &users, ..Default::default() })
                .unwrap();
        let mut seen = std::collections::HashSet::new();
        for effect in &effects {
            let path = effect.entry.path.as_str();
            assert!(super::super::path::ancestors(path).all(|a| seen.contains(a)), "{path}");
            assert!(seen.insert(path) && !effect.why.is_empty());
        }
        let mode = |path: &str| effects.iter().find(|e| e.entry.path == path).unwrap().entry.mode;
        assert_eq!((mode("tmp"), mode("var/tmp"), mode("root"), mode("run")), (0o1777, 0o1777, 0o700, 0o755));
    }
}
