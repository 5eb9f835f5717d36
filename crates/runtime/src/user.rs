//! Users and groups as an image's `/etc/passwd` and `/etc/group` name them (config.md, `User`).

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Who a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Home folder: the account's, or `/`.
    pub home: String,
}

struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// The accounts of an image.
#[derive(Default)]
pub struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

impl Accounts {
    /// Reads passwd(5) and group(5); lines that are not of that form are left out, as the C library does.
    pub fn parse(passwd: &str, group: &str) -> Self {
        let users = passwd.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
            Some(User {
                name: name.to_owned(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                home: home.to_owned(),
            })
        });
        let groups = group.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields[..] else { return None };
            Some(Group {
                name: name.to_owned(),
                gid: gid.parse().ok()?,
                members: members.split(',').map(ToOwned::to_owned).collect(),
            })
        });
        Accounts { users: users.collect(), groups: groups.collect() }
    }

    /// Resolves `user[:group]`, names or numbers. Without a group: the account's own group and those it is
    /// a member of, or group 0 for a number without account (config.md: "implementation-defined", and so
    /// docker, containerd and CRI-O define it).
    ///
    /// # Errors
    /// [`Error::Spec`] for a name that the image does not have.
    pub fn resolve(&self, text: &str) -> Result<Identity, Error> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|g| !g.is_empty())),
            None => (text, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let account = self
            .users
            .iter()
            .find(|u| u.name == user)
            .or_else(|| number(user).and_then(|uid| self.users.iter().find(|u| u.uid == uid)));
        let uid = account
            .map(|a| a.uid)
            .or_else(|| number(user))
            .ok_or_else(|| Error::Spec(format!("the image's /etc/passwd has no user `{user}`")))?;
        let gid = match group {
            Some(group) => self
                .groups
                .iter()
                .find(|g| g.name == group)
                .map(|g| g.gid)
                .or_else(|| number(group))
                .ok_or_else(|| Error::Spec(format!("the image's /etc/group has no group `{group}`")))?,
            None => account.map_or(0, |a| a.gid),
        };
        let groups = match (account, group) {
            (Some(account), None) => self
                .groups
                .iter()
                .filter(|g| g.gid != gid && g.members.contains(&account.name))
                .map(|g| g.gid)
                .collect(),
            _ => Vec::new(),
        };
        let home =
            account.map(|a| a.home.clone()).filter(|h| h.starts_with('/')).unwrap_or_else(|| "/".to_owned());
        Ok(Identity { uid, gid, groups, home })
    }
}

/// A user or group number. The highest one means "unchanged" to the kernel, so it is none.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|n| *n != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbroken\njovyan:x:1000:100:J:/home/jovyan:/bin/bash\n1000x:x:7:7::/:\n";
        let group = "root:x:0:\nusers:x:100:\nstaff:x:50:jovyan,other\nbad:x:no:jovyan\n";
        let accounts = Accounts::parse(passwd, group);
        let table: &[(&str, u32, u32, &[u32], &str)] = &[
            ("", 0, 0, &[], "/root"),
            ("jovyan", 1000, 100, &[50], "/home/jovyan"),
            ("1000", 1000, 100, &[50], "/home/jovyan"),
            ("1000:1000", 1000, 1000, &[], "/home/jovyan"),
            ("jovyan:staff", 1000, 50, &[], "/home/jovyan"),
            ("4242", 4242, 0, &[], "/"),
            ("1000x", 7, 7, &[], "/"),
            (":100", 0, 100, &[], "/root"),
        ];
        for (text, uid, gid, groups, home) in table {
            let want = Identity { uid: *uid, gid: *gid, groups: groups.to_vec(), home: (*home).to_owned() };
            assert_eq!(accounts.resolve(text).unwrap(), want, "{text}");
        }
        for bad in ["hub", "jovyan:wheel", "-1", "4294967295", "4294967296"] {
            assert!(accounts.resolve(bad).is_err(), "{bad}");
        }
    }
}
