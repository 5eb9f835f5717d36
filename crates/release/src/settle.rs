//! The claim of a build's tag, and the aliases: each where the rule wants it, in every registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use perijove_oci::client::{Fetched, Put, TAGS_AT_ONCE, TagList};
use perijove_oci::content::ImageContent;
use perijove_oci::{Digest, Error as Registry, Reference, push};
use perijove_tags::Tag;

use crate::plan::Decision;
use crate::referee::{Referee, is_outdated, is_taken};
use crate::run::{Image, RACES, Release, Step};
use crate::{Error, Result, faults};

/// The tags of an image's repositories.
pub(crate) struct Listed {
    /// All names.
    names: BTreeSet<String>,
    /// By repository, where its registry lets a PUT depend on them: then no alias is moved by what was true before
    /// (RULE.md, I1).
    seen: BTreeMap<String, String>,
}

impl Listed {
    fn seen(&self, repo: &Reference) -> Option<&str> {
        self.seen.get(&repo.name()).map(String::as_str)
    }
}

/// What a claim stands on.
pub(crate) struct Now {
    /// The planned aliases that the rule still gives the build.
    aliases: Vec<String>,
    /// By what it does.
    listed: Listed,
}

/// A claimed tag.
pub(crate) struct Claimed {
    /// Who keeps others from it.
    pub referee: Referee,
    /// Whether the registry took the aliases in the same request.
    pub together: bool,
}

impl Release<'_> {
    /// The planned aliases that the rule still gives the build: somebody may have released since the plan was made.
    pub(crate) async fn now(&self, image: &Image, decision: &Decision) -> Result<Now> {
        let listed = self.listed(image).await?;
        let now = perijove_tags::aliases(&decision.tag, listed.names.iter().map(String::as_str))?;
        let aliases = decision.aliases.iter().filter(|alias| now.contains(alias)).cloned().collect();
        Ok(Now { aliases, listed })
    }

    /// All tags of all repositories of an image.
    async fn listed(&self, image: &Image) -> Result<Listed> {
        let mut listed = Listed { names: BTreeSet::new(), seen: BTreeMap::new() };
        for repo in &image.repos {
            let TagList { tags, seen } = self.client.tag_list(repo).await?;
            listed.names.extend(tags);
            listed.seen.extend(seen.map(|seen| (repo.name(), seen)));
        }
        Ok(listed)
    }

    /// Creates the build's tag, together with the aliases where that cannot move one back; `None` when it is another's.
    pub(crate) async fn claim(
        &self,
        image: &Image,
        repo: &Reference,
        decision: &Decision,
        now: &mut Now,
    ) -> Result<Option<Claimed>> {
        for _ in 0..RACES {
            match self.claim_as(repo, &image.content, decision, now).await {
                // Somebody released meanwhile: fewer aliases are ours, perhaps.
                Err(Error::Registry(error)) if is_outdated(&error) => {
                    *now = self.now(image, decision).await?;
                }
                ended => return ended,
            }
        }
        Err(Error::Races { number: RACES })
    }

    async fn claim_as(
        &self,
        repo: &Reference,
        content: &ImageContent,
        decision: &Decision,
        now: &Now,
    ) -> Result<Option<Claimed>> {
        let tagged = repo.with_tag(&decision.tag);
        if let Some(found) = self.client.head(&tagged).await?
            && found.digest != decision.digest
        {
            return Ok(None);
        }
        let root = &content.root;
        let bytes = &content.manifest(&root.digest)?.1;
        // Where the registry would not mind that others come first, the aliases wait for a look after the claim.
        let seen = now.listed.seen(repo);
        let aliases = now.aliases.iter().filter(|_| seen.is_some());
        let all: Vec<String> = std::iter::once(&decision.tag).chain(aliases).cloned().collect();
        let put = self.client.put_by_digest(repo, root, bytes, first(&all), seen).await;
        let Some(mut put) = self.taken(repo, put)? else {
            return Ok(None);
        };
        let together = put.confirmed.contains(&decision.tag);
        if !together {
            // Once more, for where nobody is the referee, the shorter the time between look and PUT the better.
            if self.client.head(&tagged).await?.is_some_and(|found| found.digest != decision.digest) {
                return Ok(None);
            }
            let by_tag = self.client.put_by_tag(repo, root, bytes, &decision.tag, None).await;
            put = match self.taken(repo, by_tag) {
                Ok(Some(put)) => put,
                // Somebody came in between, and the registry let them.
                Ok(None) | Err(Error::Registry(Registry::Digest { .. })) => return Ok(None),
                Err(other) => return Err(other),
            };
        }
        if put.create_only.contains(&decision.tag) || self.refused(repo) {
            return Ok(Some(Claimed { referee: Referee::Registry, together }));
        }
        let found = self.client.head(&tagged).await?;
        let ours = found.is_some_and(|found| found.digest == decision.digest);
        Ok(ours.then_some(Claimed { referee: Referee::Checked, together }))
    }

    /// `None` when the registry says that the tag is another's and stays so.
    fn taken(&self, repo: &Reference, put: Result<Put, Registry>) -> Result<Option<Put>> {
        match put {
            Err(error) if is_taken(&error) => {
                self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(repo.name());
                Ok(None)
            }
            other => Ok(Some(other?)),
        }
    }

    /// Whether the repository is known to keep its tags.
    fn refused(&self, repo: &Reference) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(&repo.name())
    }

    /// Reads back what the build's tag and its aliases name in every repository, and moves what is not right: the
    /// aliases that did not go with the claim, what a release that was cut off left, or two that crossed.
    pub(crate) async fn settle(
        &self,
        image: &Image,
        decision: &Decision,
        one_by_one: &BTreeSet<String>,
    ) -> Result<()> {
        for _ in 0..RACES {
            let listed = self.listed(image).await?;
            let wanted = wanted(decision, &listed);
            let mut moved = false;
            for repo in &image.repos {
                (self.observe)(&Step::Verify(repo.name()));
                moved |= self.restore(image, repo, decision).await?;
                let together = !one_by_one.contains(&repo.registry);
                moved |= match self.align(repo, &wanted, together, listed.seen(repo)).await {
                    Err(Error::Registry(error)) if is_outdated(&error) => true,
                    other => other?,
                };
            }
            if !moved {
                return Ok(());
            }
        }
        Err(Error::Races { number: RACES })
    }

    /// What [`Release::settle`] would do for a build that is there: nothing is done.
    pub(crate) async fn lacking(&self, image: &Image, decision: &Decision) -> Result<Vec<Step>> {
        let listed = self.listed(image).await?;
        let wanted = wanted(decision, &listed);
        let mut steps = Vec::new();
        for repo in &image.repos {
            let is_here = self.client.head(&repo.with_tag(&decision.tag)).await?.is_some();
            if !is_here {
                steps.push(Step::Copy(repo.name(), decision.tag.clone()));
            }
            let stray = self.stray(repo, &wanted, (!is_here).then_some(decision)).await?;
            steps.extend(stray.into_iter().map(|(_, aliases)| Step::Alias(repo.name(), aliases)));
        }
        Ok(steps)
    }

    /// Puts the build's tag back where a repository lacks it; whether it had to.
    async fn restore(&self, image: &Image, repo: &Reference, decision: &Decision) -> Result<bool> {
        let tagged = repo.with_tag(&decision.tag);
        match self.client.head(&tagged).await? {
            Some(found) if found.digest == decision.digest => Ok(false),
            Some(found) => {
                let (tag, found, expected) = (tagged.to_string(), found.digest, decision.digest.clone());
                Err(Error::Overwritten { tag, found, expected })
            }
            None => {
                (self.observe)(&Step::Copy(repo.name(), decision.tag.clone()));
                self.copy(image, repo, decision).await?;
                Ok(true)
            }
        }
    }

    /// Moves those of the aliases that do not name the build that is `wanted`, in this order; whether one had to be
    /// moved. Aliases of one build go in one request where the registry takes several tags `together`.
    async fn align(
        &self,
        repo: &Reference,
        wanted: &[(String, String)],
        together: bool,
        seen: Option<&str>,
    ) -> Result<bool> {
        let stray = self.stray(repo, wanted, None).await?;
        for (target, aliases) in &stray {
            (self.observe)(&Step::Alias(repo.name(), aliases.clone()));
            let tagged = repo.with_tag(target);
            // One that was deleted since is looked for again in the next round.
            let Some(build) = self.client.manifest(&tagged).await? else { continue };
            self.point(repo, &build, aliases, together, seen).await?;
        }
        Ok(!stray.is_empty())
    }

    /// Those of the aliases that do not name the build that is `wanted`, by that build; `coming` would be there by then.
    async fn stray<'w>(
        &self,
        repo: &Reference,
        wanted: &'w [(String, String)],
        coming: Option<&Decision>,
    ) -> Result<Vec<(&'w str, Vec<String>)>> {
        let mut builds: BTreeMap<&str, Option<Digest>> = BTreeMap::new();
        builds.extend(coming.map(|coming| (coming.tag.as_str(), Some(coming.digest.clone()))));
        let mut stray: Vec<(&str, Vec<String>)> = Vec::new();
        for (alias, target) in wanted {
            if !builds.contains_key(target.as_str()) {
                let found = self.client.head(&repo.with_tag(target)).await?;
                builds.insert(target, found.map(|found| found.digest));
            }
            // A build that this repository lacks has no alias here.
            let Some(Some(build)) = builds.get(target.as_str()) else { continue };
            let now = self.client.head(&repo.with_tag(alias)).await?;
            if now.is_some_and(|now| now.digest == *build) {
                continue;
            }
            match stray.last_mut() {
                Some((last, aliases)) if last == target => aliases.push(alias.clone()),
                _ => stray.push((target, vec![alias.clone()])),
            }
        }
        Ok(stray)
    }

    async fn point(
        &self,
        repo: &Reference,
        build: &Fetched,
        aliases: &[String],
        together: bool,
        seen: Option<&str>,
    ) -> Result<()> {
        let Fetched { descriptor: root, bytes } = build;
        let mut done = BTreeSet::new();
        if together && aliases.len() > 1 {
            done = self.client.put_by_digest(repo, root, bytes, first(aliases), seen).await?.confirmed;
        }
        for alias in aliases.iter().filter(|alias| !done.contains(*alias)) {
            self.client.put_by_tag(repo, root, bytes, alias, seen).await?;
        }
        Ok(())
    }

    /// Brings a build that another registry has to this one: byte by byte the same, for its commit may be older
    /// than what was built now.
    async fn copy(&self, image: &Image, repo: &Reference, decision: &Decision) -> Result<()> {
        let tags = std::slice::from_ref(&decision.tag);
        if decision.digest == image.candidate.digest {
            self.client.push_image(repo, &image.content, tags, &[], push::PARALLEL).await?;
            return Ok(());
        }
        for from in image.repos.iter().filter(|from| *from != repo) {
            let tagged = from.with_tag(&decision.tag);
            if self.client.head(&tagged).await?.is_some_and(|found| found.digest == decision.digest) {
                let folder = tempfile::tempdir().map_err(|e| Registry::io("temporary folder")(e))?;
                let remote = self.client.remote_image(&tagged, None).await?;
                let local = self.client.localize(remote, folder.path(), push::PARALLEL).await?;
                self.client.push_image(repo, &local, tags, &[], push::PARALLEL).await?;
                return Ok(());
            }
        }
        Err(Registry::NotFound { what: repo.with_tag(&decision.tag).to_string() }.into())
    }
}

/// The aliases of a build, each with the build that it belongs at by now, in the order in which they move: the longest
/// first, `latest` last.
fn wanted(decision: &Decision, listed: &Listed) -> Vec<(String, String)> {
    let mut all = faults::expected(listed.names.iter().map(String::as_str));
    let order = Tag::parse(&decision.tag).map(|tag| tag.candidates()).unwrap_or_default();
    // `latest` may be kept from a greater version, whose branch leaves it alone.
    let ours = order.into_iter().filter(|alias| alias != "latest" || decision.aliases.contains(alias));
    ours.filter_map(|alias| all.remove_entry(&alias)).collect()
}

/// As many as one request takes.
fn first(tags: &[String]) -> &[String] {
    &tags[..tags.len().min(TAGS_AT_ONCE)]
}
