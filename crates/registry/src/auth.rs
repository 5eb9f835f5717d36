//! Users and what they may do: htpasswd lines with bcrypt hashes, and rules a line each. Pure but for
//! [`Access::load`]; `http/login.rs` checks passwords.

use std::collections::HashMap;
use std::path::Path;

use crate::error::Error;

/// The user's name in a rule that means somebody without a name.
const ANONYMOUS: &str = "anonymous";

/// Users and rules.
#[derive(Clone, Debug, Default)]
pub struct Access {
    users: HashMap<String, String>,
    rules: Option<Vec<Rule>>,
    anonymous_read: bool,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// No credentials were given.
    Anonymous,
    /// A user whose password was right.
    User(String),
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// GET and HEAD.
    Read,
    /// Everything else.
    Write,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    user: String,
    repositories: String,
    up_to: Action,
}

impl Access {
    /// Reads an htpasswd file and, where one is given, a file of rules.
    ///
    /// # Errors
    /// [`Error::File`] when a file cannot be read, [`Error::Line`] with the line that is wrong.
    pub fn load(users: &Path, rules: Option<&Path>) -> Result<Self, Error> {
        let read = |path: &Path| {
            let error = |source| Error::File { action: "read", path: path.to_owned(), source };
            std::fs::read_to_string(path).map_err(error)
        };
        let at = |path: &Path| {
            let path = path.to_owned();
            move |(line, reason)| Error::Line { path, line, reason }
        };
        let mut access = Access { users: read_users(&read(users)?).map_err(at(users))?, ..Access::default() };
        if let Some(path) = rules {
            access.rules = Some(read_rules(&read(path)?).map_err(at(path))?);
        }
        Ok(access)
    }

    /// Users of an htpasswd text and, where one is given, a text of rules.
    ///
    /// # Errors
    /// The line, from 1, and what is wrong with it.
    pub fn parse(users: &str, rules: Option<&str>) -> Result<Self, (usize, String)> {
        let rules = rules.map(read_rules).transpose()?;
        Ok(Access { users: read_users(users)?, rules, anonymous_read: false })
    }

    /// Lets everybody read every repository.
    #[must_use]
    pub fn with_anonymous_read(mut self) -> Self {
        self.anonymous_read = true;
        self
    }

    /// The bcrypt hash of a user's password.
    pub fn hash(&self, user: &str) -> Option<&str> {
        self.users.get(user).map(String::as_str)
    }

    /// Whether `identity` may do `action` in `repository`. A user without rules may do everything; with rules,
    /// one that says so is needed.
    pub fn allows(&self, identity: &Identity, repository: &str, action: Action) -> bool {
        if self.anonymous_read && action == Action::Read {
            return true;
        }
        let Some(rules) = &self.rules else { return matches!(identity, Identity::User(_)) };
        rules.iter().any(|rule| {
            let user = match identity {
                Identity::Anonymous => rule.user == ANONYMOUS,
                Identity::User(name) => rule.user == "*" || rule.user == *name || rule.user == ANONYMOUS,
            };
            user && action <= rule.up_to && covers(&rule.repositories, repository)
        })
    }

    /// Whether somebody without a name may do anything at all.
    pub fn admits_anonymous(&self) -> bool {
        self.anonymous_read || self.rules.iter().flatten().any(|rule| rule.user == ANONYMOUS)
    }
}

/// `*` covers all, `team/*` all below `team/`, everything else itself.
fn covers(pattern: &str, repository: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => repository.starts_with(prefix),
        None => pattern == repository,
    }
}

/// Lines that are neither empty nor comments, numbered from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn read_users(text: &str) -> Result<HashMap<String, String>, (usize, String)> {
    let mut users = HashMap::new();
    for (at, line) in lines(text) {
        let (name, hash) = line.split_once(':').ok_or((at, "expected `NAME:BCRYPT-HASH`".to_owned()))?;
        if name.is_empty() || name == ANONYMOUS || name == "*" {
            return Err((at, format!("`{name}` cannot be a user's name")));
        }
        hash.parse::<bcrypt::HashParts>()
            .map_err(|_| (at, format!("the hash of `{name}` is not a bcrypt hash ($2y$…)")))?;
        if users.insert(name.to_owned(), hash.to_owned()).is_some() {
            return Err((at, format!("user `{name}` stands here twice")));
        }
    }
    if users.is_empty() {
        return Err((1, "there is no user in it".to_owned()));
    }
    Ok(users)
}

fn read_rules(text: &str) -> Result<Vec<Rule>, (usize, String)> {
    let rule = |(at, line): (usize, &str)| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [user, repositories, action] = words[..] else {
            return Err((at, "expected `USER REPOSITORY read|write`".to_owned()));
        };
        let up_to = match action {
            "read" => Action::Read,
            "write" if user == ANONYMOUS => return Err((at, "anonymous may only read".to_owned())),
            "write" => Action::Write,
            _ => return Err((at, format!("`{action}` is neither `read` nor `write`"))),
        };
        let stem = repositories
            .strip_suffix('*')
            .map_or(repositories, |rest| rest.strip_suffix('/').unwrap_or(rest));
        let open = repositories == "*" || repositories.ends_with("/*");
        let fine = perijove_oci::reference::is_repository(stem) && (open || !repositories.contains('*'));
        if !(fine || repositories == "*") {
            return Err((at, format!("`{repositories}` is neither a repository, nor `NAME/*`, nor `*`")));
        }
        Ok(Rule { user: user.to_owned(), repositories: repositories.to_owned(), up_to })
    };
    lines(text).map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$04$abcdefghijklmnopqrstuuS8HlX1YvI2zPpYB5rTvmvZJjR8qAX2q";

    fn user(name: &str) -> Identity {
        Identity::User(name.to_owned())
    }

    #[test]
    fn rules_by_user_and_repository() {
        let rules =
            "# who what\nalice team/* write\nbob team/hub read\n* shared read\nanonymous public/* read\n";
        let users = format!("alice:{HASH}\nbob:{HASH}\n");
        let access = Access::parse(&users, Some(rules)).unwrap();
        let cases = [
            (user("alice"), "team/hub", Action::Write, true),
            (user("alice"), "team", Action::Read, false),
            (user("alice"), "teams/hub", Action::Read, false),
            (user("bob"), "team/hub", Action::Read, true),
            (user("bob"), "team/hub", Action::Write, false),
            (user("bob"), "team/lab", Action::Read, false),
            (user("bob"), "shared", Action::Read, true),
            (user("bob"), "public/x", Action::Read, true),
            (Identity::Anonymous, "shared", Action::Read, false),
            (Identity::Anonymous, "public/x", Action::Read, true),
            (Identity::Anonymous, "public/x", Action::Write, false),
        ];
        for (identity, repository, action, wanted) in cases {
            assert_eq!(
                access.allows(&identity, repository, action),
                wanted,
                "{identity:?} {repository} {action:?}"
            );
        }
        assert!(access.admits_anonymous());
    }

    #[test]
    fn without_rules_every_user_may_do_everything() {
        let access = Access::parse(&format!("alice:{HASH}"), None).unwrap();
        assert!(access.allows(&user("alice"), "x", Action::Write));
        assert!(!access.allows(&Identity::Anonymous, "x", Action::Read));
        let access = access.with_anonymous_read();
        assert!(access.allows(&Identity::Anonymous, "x", Action::Read));
        assert!(!access.allows(&Identity::Anonymous, "x", Action::Write));
    }

    #[test]
    fn wrong_lines_are_named() {
        let users = [("", 1), ("alice", 1), ("\n#\nalice:{SHA}x", 3), (":x", 1), ("anonymous:x", 1)];
        for (text, line) in users {
            assert_eq!(Access::parse(text, None).unwrap_err().0, line, "{text}");
        }
        let twice = format!("a:{HASH}\na:{HASH}");
        assert_eq!(Access::parse(&twice, None).unwrap_err().0, 2);
        for rule in [
            "a b",
            "a b c",
            "a B read",
            "a b* read",
            "a */b read",
            "anonymous b write",
            "a ../b read",
            "a b read x",
        ] {
            let text = format!("\n{rule}");
            let error = Access::parse(&format!("a:{HASH}"), Some(&text)).unwrap_err();
            assert_eq!(error.0, 2, "{rule}");
        }
    }
}
