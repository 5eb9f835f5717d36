//! Users and groups of an image from Debian packages. Pure.

use crate::{Error, Result};

use super::path::clean;

/// A person or service that the image knows besides Debian's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Also the group's name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Home folder, absolute. It is made, 0755, and is the user's.
    pub home: String,
    /// Log-in shell, absolute; `None`: the image's shell when it has one.
    pub shell: Option<String>,
}

/// Debian's own users (base-passwd preinst): name, uid, gid, full name, home, shell. The numbers below 100 are the
/// same on every Debian system (policy 9.2.2) and own files in packages.
const USERS: &[(&str, u32, u32, &str, &str, &str)] = &[
    ("daemon", 1, 1, "daemon", "/usr/sbin", NOLOGIN),
    ("bin", 2, 2, "bin", "/bin", NOLOGIN),
    ("sys", 3, 3, "sys", "/dev", NOLOGIN),
    ("sync", 4, 65534, "sync", "/bin", "/bin/sync"),
    ("games", 5, 60, "games", "/usr/games", NOLOGIN),
    ("man", 6, 12, "man", "/var/cache/man", NOLOGIN),
    ("lp", 7, 7, "lp", "/var/spool/lpd", NOLOGIN),
    ("mail", 8, 8, "mail", "/var/mail", NOLOGIN),
    ("news", 9, 9, "news", "/var/spool/news", NOLOGIN),
    ("uucp", 10, 10, "uucp", "/var/spool/uucp", NOLOGIN),
    ("proxy", 13, 13, "proxy", "/bin", NOLOGIN),
    ("www-data", 33, 33, "www-data", "/var/www", NOLOGIN),
    ("backup", 34, 34, "backup", "/var/backups", NOLOGIN),
    ("list", 38, 38, "Mailing List Manager", "/var/list", NOLOGIN),
    ("irc", 39, 39, "ircd", "/run/ircd", NOLOGIN),
    ("_apt", 42, 65534, "", "/nonexistent", NOLOGIN),
    ("nobody", 65534, 65534, "nobody", "/nonexistent", NOLOGIN),
];

/// The shell of accounts that nobody logs in to.
pub(super) const NOLOGIN: &str = "/usr/sbin/nologin";

/// Debian's own groups (base-passwd preinst).
const GROUPS: &[(&str, u32)] = &[
    ("root", 0),
    ("daemon", 1),
    ("bin", 2),
    ("sys", 3),
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("lp", 7),
    ("mail", 8),
    ("news", 9),
    ("uucp", 10),
    ("man", 12),
    ("proxy", 13),
    ("kmem", 15),
    ("dialout", 20),
    ("fax", 21),
    ("voice", 22),
    ("cdrom", 24),
    ("floppy", 25),
    ("tape", 26),
    ("sudo", 27),
    ("audio", 29),
    ("dip", 30),
    ("www-data", 33),
    ("backup", 34),
    ("operator", 37),
    ("list", 38),
    ("irc", 39),
    ("src", 40),
    ("shadow", 42),
    ("utmp", 43),
    ("video", 44),
    ("sasl", 45),
    ("plugdev", 46),
    ("staff", 50),
    ("games", 60),
    ("users", 100),
    ("nogroup", 65534),
];

/// The user's home as a path of the image.
pub(super) fn check(user: &User) -> Result<String> {
    let refuse = |reason: &str| Error::Refused {
        reason: format!("user {}: {reason}", user.name.escape_debug()),
        hint:
            "a name of lower case letters, digits, - and _; an absolute home and shell; numbers from 1000 on"
                .to_owned(),
    };
    let name_ok = user.name.len() <= 32
        && user.name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && user.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if !name_ok {
        return Err(refuse("this is no user's name"));
    }
    let known = USERS.iter().any(|u| u.0 == user.name || u.1 == user.uid)
        || GROUPS.iter().any(|g| g.0 == user.name || (g.1 == user.gid && ![0, 100].contains(&user.gid)));
    if known || user.name == "root" || user.uid == 0 {
        return Err(refuse("the name or a number is Debian's own"));
    }
    let path_ok =
        |path: &str| path.starts_with('/') && !path.contains(':') && !path.chars().any(char::is_control);
    if !path_ok(&user.home) || !user.shell.as_deref().is_none_or(path_ok) {
        return Err(refuse("home or shell is no absolute path"));
    }
    match clean(user.home.trim_start_matches('/').as_bytes()) {
        Ok(Some(home)) if home == user.home.trim_matches('/') => Ok(home),
        _ => Err(refuse("home is no plain path below the root")),
    }
}

/// The text of `etc/passwd`. `shell` is for root and for users without their own.
pub(super) fn passwd(users: &[User], shell: &str) -> String {
    let mut text = format!("root:*:0:0:root:/root:{shell}\n");
    for (name, uid, gid, about, home, shell) in USERS {
        text.push_str(&format!("{name}:*:{uid}:{gid}:{about}:{home}:{shell}\n"));
    }
    for User { name, uid, gid, home, shell: own } in users {
        let shell = own.as_deref().unwrap_or(shell);
        text.push_str(&format!("{name}:*:{uid}:{gid}::{home}:{shell}\n"));
    }
    text
}

/// The text of `etc/group`: Debian's own, and one of each user's name where the number is new.
pub(super) fn group(users: &[User]) -> String {
    let mut text = String::new();
    for (name, gid) in GROUPS {
        text.push_str(&format!("{name}:*:{gid}:\n"));
    }
    let mut named = Vec::new();
    for User { name, gid, .. } in users {
        if !GROUPS.iter().any(|g| g.1 == *gid) && !named.contains(gid) {
            named.push(*gid);
            text.push_str(&format!("{name}:*:{gid}:\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> User {
        User { name: "jovyan".into(), uid: 1000, gid: 1000, home: "/srv/jupyterhub".into(), shell: None }
    }

    #[test]
    fn users_that_no_passwd_file_can_hold_are_refused() {
        let refused = |change: fn(&mut User)| {
            let mut user = user();
            change(&mut user);
            check(&user).is_err()
        };
        assert!(!refused(|_| ()));
        assert!(refused(|u| u.name = "a:0:0".into()));
        assert!(refused(|u| u.name = "root".into()));
        assert!(refused(|u| u.uid = 0));
        assert!(refused(|u| u.uid = 33));
        assert!(refused(|u| u.home = "/a:b".into()));
        assert!(refused(|u| u.home = "/srv/../etc".into()));
        assert!(refused(|u| u.home = "/".into()));
        assert!(refused(|u| u.shell = Some("sh\nx".into())));
        assert!(!refused(|u| u.gid = 100));
    }
}
