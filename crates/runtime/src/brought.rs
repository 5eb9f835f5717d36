//! Images that docker or podman have from us: known by name while an engine is in use, and removed with it.
//!
//! A name is this engine's own, so that no other run of the same image loses it. What is served by a registry that
//! goes with us (the demo's) is kept, under one name that does not change: the next start finds its layers then.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use perijove_oci::Reference;

/// A container that has just ended holds its image a little longer.
const WITHIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// The images of one engine; removed when it is dropped.
pub(crate) struct Brought {
    client: PathBuf,
    /// By what they were made of: the names they have now, and the one that is kept. Held while one is brought.
    names: tokio::sync::Mutex<BTreeMap<String, Name>>,
}

/// What one image is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// While it is in use.
    pub now: String,
    /// And after that, where it is kept.
    pub kept: Option<String>,
}

impl Name {
    /// Of an image that `registry` serves.
    pub(crate) fn served(registry: &str) -> Self {
        let kept = registry.parse::<Reference>().ok();
        Name { now: registry.to_owned(), kept: kept.map(|r| format!("localhost/{}:kept", r.repository)) }
    }
}

impl Brought {
    pub(crate) fn new(client: PathBuf) -> Self {
        Brought { client, names: tokio::sync::Mutex::default() }
    }

    /// The name of an image, which `bring` gives where it has none yet.
    pub(crate) async fn name<E>(
        &self,
        made_of: &str,
        bring: impl AsyncFnOnce() -> Result<Name, E>,
    ) -> Result<String, E> {
        let mut names = self.names.lock().await;
        if let Some(name) = names.get(made_of) {
            return Ok(name.now.clone());
        }
        let name = bring().await?;
        let now = name.now.clone();
        names.insert(made_of.to_owned(), name);
        Ok(now)
    }

    /// What the client prints, where it does what it is told.
    fn told(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new(&self.client);
        // Not ended by the Ctrl-C that ends us.
        command.args(arguments).process_group(0).stdin(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Removes an image, or what there was under its lasting name. `client` gives what it prints where it does what it is
/// told.
fn remove(name: &Name, mut client: impl FnMut(&[&str]) -> Option<String>, until: Instant) {
    let mut id = |name: &str| client(&["image", "inspect", "--format", "{{.Id}}", name]);
    let Some(image) = id(&name.now) else { return };
    // podman takes an image away with its last tag, though it has the name of a digest yet.
    if let Some(kept) = name.kept.as_ref().filter(|kept| id(kept).as_ref() != Some(&image)) {
        client(&["rmi", kept]);
        client(&["tag", &name.now, kept]);
    }
    while client(&["rmi", &name.now]).is_none() && Instant::now() < until {
        std::thread::sleep(PAUSE);
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        let until = Instant::now() + WITHIN;
        let names = std::mem::take(self.names.get_mut());
        names.values().for_each(|name| remove(name, |arguments| self.told(arguments), until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client is told that has the images `ids`, by name, and says no to each of `refused` once.
    fn told(name: &Name, ids: &[(&str, &str)], refused: &[&str]) -> Vec<String> {
        let mut refused: Vec<&str> = refused.to_vec();
        let mut told = Vec::new();
        let client = |arguments: &[&str]| {
            if let ["image", "inspect", .., name] = arguments {
                return ids.iter().find(|(known, _)| known == name).map(|(_, id)| (*id).to_owned());
            }
            told.push(arguments.join(" "));
            let at = refused.iter().position(|said| *said == arguments.join(" "));
            at.map(|at| refused.remove(at)).is_none().then(String::new)
        };
        remove(name, client, Instant::now() + WITHIN);
        told
    }

    #[test]
    fn what_is_brought_is_removed() {
        let loaded = Name { now: "now".to_owned(), kept: None };
        assert_eq!(told(&loaded, &[("now", "a")], &[]), ["rmi now"]);
        assert_eq!(told(&loaded, &[], &[]), [""; 0], "it never came, or is gone");
        // Its last container is not gone yet.
        assert_eq!(told(&loaded, &[("now", "a")], &["rmi now"]), ["rmi now", "rmi now"]);
        let served = Name { now: "now".to_owned(), kept: Some("kept".to_owned()) };
        let first = told(&served, &[("now", "a")], &["rmi kept"]);
        assert_eq!(first, ["rmi kept", "tag now kept", "rmi now"]);
        let changed = told(&served, &[("now", "b"), ("kept", "a")], &[]);
        assert_eq!(changed, ["rmi kept", "tag now kept", "rmi now"]);
        assert_eq!(told(&served, &[("now", "a"), ("kept", "a")], &[]), ["rmi now"]);
    }

    #[test]
    fn what_is_kept_has_one_name() {
        for port in [40000, 50000] {
            let served = format!("127.0.0.1:{port}/perijove/demo@sha256:{}", "a".repeat(64));
            let name = Name::served(&served);
            assert_eq!((name.now, name.kept.as_deref()), (served, Some("localhost/perijove/demo:kept")));
        }
    }
}
