//! `tags verify`: reads live repositories, says which aliases break the rule, and mends them on request.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use perijove_oci::client::Client;
use perijove_oci::{Error as Registry, Reference, push};

use crate::faults::{self, Fault, Kind, Tags};
use crate::{Result, repository};

/// What a look at repositories found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Release tags and aliases that were read, in all repositories.
    pub read: usize,
    /// What breaks the rule.
    pub faults: Vec<Fault>,
}

/// Compares the repositories with the rule and with each other.
pub async fn look(client: &Client, repos: &[Reference]) -> Result<Look> {
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for repo in repos {
        names.insert(repo.name(), client.tags(repo).await?.into_iter().collect());
    }
    let relevant = faults::relevant(names.values().flatten().map(String::as_str));
    let mut all: BTreeMap<String, Tags> = BTreeMap::new();
    for repo in repos {
        let name = repo.name();
        let wanted = names.get(&name).into_iter().flatten().filter(|tag| relevant.contains(*tag)).cloned();
        all.insert(name, repository::digests(client, repo, wanted).await?);
    }
    Ok(Look { read: all.values().map(Tags::len).sum(), faults: faults::faults(&all) })
}

/// Mends what can be mended: copies releases that one of the repositories lacks (over `folder`, which has to be
/// empty), then moves aliases. A release that differs between registries is left to people, and so is an alias of
/// nothing, for registries differ in how tags are deleted. Look again to see what is left.
pub async fn repair(client: &Client, repos: &[Reference], found: &[Fault], folder: &Path) -> Result<()> {
    let find = |name: &str| repos.iter().find(|repo| repo.name() == name);
    let lacking: Vec<&Fault> = found.iter().filter(|fault| fault.kind == Kind::NotHere).collect();
    for fault in &lacking {
        let from = fault.expected.as_deref().and_then(find);
        let (Some(repo), Some(from)) = (find(&fault.repository), from) else { continue };
        let image = client.remote_image(&from.with_tag(&fault.tag), None).await?;
        let image = client.localize(image, folder, push::PARALLEL).await?;
        client.push_image(repo, &image, std::slice::from_ref(&fault.tag), &[], push::PARALLEL).await?;
    }
    let aliases = match lacking.is_empty() {
        true => found.to_vec(),
        // A repository that got a release lacks its aliases too.
        false => look(client, repos).await?.faults,
    };
    for fault in aliases {
        let (Some(repo), Some(target)) = (find(&fault.repository), &fault.expected) else { continue };
        if matches!(fault.kind, Kind::NotHere | Kind::Differs) {
            continue;
        }
        let release = repo.with_tag(target);
        let manifest = client.manifest(&release).await?;
        let manifest = manifest.ok_or_else(|| Registry::NotFound { what: release.to_string() })?;
        client.put_manifest(repo, &manifest.descriptor, manifest.bytes, &[fault.tag]).await?;
    }
    Ok(())
}
