//! Carries a plan out: push, claim, alias, verify. Every step may be done again without harm, so after a crash
//! anywhere the next run goes on, or says that all is done.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use perijove_build::previous::IMAGE_KEY;
use perijove_oci::client::{Client, TAGS_AT_ONCE};
use perijove_oci::content::{ImageContent, Links};
use perijove_oci::{Error as Registry, Reference, push};

use crate::plan::{self, Branch, Build, Candidate, Decision, State};
use crate::record::{Record, Released, Repository};
use crate::referee::{Referee, is_taken};
use crate::{Error, Result, faults};

/// Annotation of the commit (OCI image specification, annotations.md).
const REVISION: &str = "org.opencontainers.image.revision";

/// How many of the newest builds of a version are looked at.
const LOOKED_AT: usize = 3;

/// Races that are lost before a release gives up: far more than pipelines that start at one time.
const RACES: usize = 64;

/// Repositories that are asked at a time.
const ABREAST: usize = 8;

/// An image to release, and where.
pub struct Image {
    /// What the plan needs.
    pub candidate: Candidate,
    /// What is pushed.
    pub content: ImageContent,
    /// One repository a registry.
    pub repos: Vec<Reference>,
}

/// One thing that is done; its text is for logs and for `--dry-run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Blobs and manifests, by digest: nobody sees them yet.
    Push(String, String),
    /// The build's tag, created once.
    Claim(String, String),
    /// The aliases, from the smallest.
    Alias(String, Vec<String>),
    /// Reading back what the tags name.
    Verify(String),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Push(repo, digest) => write!(f, "push {repo}@{digest}"),
            Step::Claim(repo, tag) => write!(f, "claim {repo}:{tag}"),
            Step::Alias(repo, aliases) => write!(f, "alias {repo}: {}", aliases.join(" ")),
            Step::Verify(repo) => write!(f, "verify {repo}"),
        }
    }
}

/// A release to be.
pub struct Release<'a> {
    /// Talks to the registries.
    pub client: &'a Client,
    /// What is released.
    pub images: &'a [Image],
    /// What the branch may do.
    pub branch: Branch,
    /// Told of each step before it is done.
    pub observe: &'a (dyn Fn(&Step) + Sync),
}

/// How carrying out ended.
enum Ended {
    Done(Vec<Released>),
    /// Somebody else has this tag.
    Taken,
}

impl Release<'_> {
    /// Whether every repository's greatest alias names just what was built: one HEAD each, and nothing else to do.
    pub async fn is_done(&self) -> Result<bool> {
        let tops = self.images.iter().flat_map(|image| {
            let top = greatest_alias(&image.candidate.version, self.branch);
            image.repos.iter().map(move |repo| (repo.with_tag(&top), &image.candidate.digest))
        });
        let heads = tops.map(|(top, digest)| async move {
            let found = self.client.head(&top).await?;
            Ok::<_, Error>(found.is_some_and(|found| found.digest == *digest))
        });
        stream::iter(heads).buffer_unordered(ABREAST).try_all(|same| async move { same }).await
    }

    /// What the registries have and what is to do.
    pub async fn plan(&self) -> Result<Vec<Decision>> {
        let mut states = BTreeMap::new();
        for image in self.images {
            let reads = image.repos.iter().map(|repo| self.state(repo, &image.candidate));
            let found: Vec<State> = stream::iter(reads).buffered(ABREAST).try_collect().await?;
            states.insert(image.candidate.image.clone(), found);
        }
        let candidates: Vec<Candidate> = self.images.iter().map(|image| image.candidate.clone()).collect();
        plan::plan(&candidates, &states, self.branch)
    }

    async fn state(&self, repo: &Reference, candidate: &Candidate) -> Result<State> {
        let tags = self.client.tags(repo).await?;
        let newest = plan::newest_builds(&candidate.version, tags.iter().map(String::as_str), LOOKED_AT);
        let mut builds = Vec::new();
        for tag in newest {
            let reference = repo.with_tag(tag);
            let Some(found) = self.client.manifest(&reference).await? else { continue };
            let annotations = Links::read(&reference, &found.bytes)?.annotations;
            builds.push(Build {
                tag: tag.to_owned(),
                digest: found.descriptor.digest,
                key: annotations.get(IMAGE_KEY).and_then(|key| key.parse().ok()),
                revision: annotations.get(REVISION).cloned(),
            });
        }
        Ok(State { tags, builds })
    }

    /// The steps that a plan means, in order.
    pub fn steps(&self, decisions: &[Decision]) -> Vec<Step> {
        let each =
            || self.images.iter().zip(decisions).flat_map(|(i, d)| i.repos.iter().map(move |r| (r, d)));
        let new = || each().filter(|(_, decision)| !decision.released);
        let pushes = new().map(|(repo, d)| Step::Push(repo.name(), d.digest.to_string()));
        let claims = new().map(|(repo, d)| Step::Claim(repo.name(), d.tag.clone()));
        let aliases = new().map(|(repo, d)| Step::Alias(repo.name(), d.aliases.clone()));
        let verifies = each().map(|(repo, _)| Step::Verify(repo.name()));
        pushes.chain(claims).chain(aliases).chain(verifies).collect()
    }

    /// Releases. When another release takes the number in between, this one takes the next.
    pub async fn run(&self) -> Result<Record> {
        let mut overwritten = Vec::new();
        for _ in 0..RACES {
            let decisions = self.plan().await?;
            match self.carry_out(&decisions).await {
                Ok(Ended::Done(images)) => return Ok(Record { images, overwritten }),
                Ok(Ended::Taken) => {}
                // The registry let two releases take one number: the later one has it.
                Err(Error::Overwritten { tag, .. }) => overwritten.push(tag),
                Err(other) => return Err(other),
            }
        }
        Err(Error::Races { number: RACES })
    }

    async fn carry_out(&self, decisions: &[Decision]) -> Result<Ended> {
        let mut released: Vec<Released> = decisions.iter().map(Released::of).collect();
        let pairs = || self.images.iter().zip(decisions).enumerate();
        for (at, (image, decision)) in pairs().filter(|(_, (_, d))| !d.released) {
            for repo in &image.repos {
                (self.observe)(&Step::Push(repo.name(), decision.digest.to_string()));
                let siblings = self.siblings(repo);
                let report =
                    self.client.push_image(repo, &image.content, &[], &siblings, push::PARALLEL).await?;
                released[at].repositories.push(Repository::new(repo.name(), report.pushed_bytes));
            }
        }
        let mut waiting: Vec<(&Reference, &Decision)> = Vec::new();
        for (at, (image, decision)) in pairs().filter(|(_, (_, d))| !d.released) {
            for (number, repo) in image.repos.iter().enumerate() {
                (self.observe)(&Step::Claim(repo.name(), decision.tag.clone()));
                let Some((referee, confirmed)) = self.claim(repo, &image.content, decision).await? else {
                    return Ok(Ended::Taken);
                };
                released[at].repositories[number].referee = Some(referee);
                if !decision.aliases.iter().all(|alias| confirmed.contains(alias)) {
                    waiting.push((repo, decision));
                }
            }
        }
        for (repo, decision) in waiting {
            self.alias(repo, decision).await?;
        }
        for (image, decision) in self.images.iter().zip(decisions) {
            self.verify(image, decision).await?;
        }
        Ok(Ended::Done(released))
    }

    /// Other repositories of this release at the same registry: they may have blobs to mount.
    fn siblings(&self, repo: &Reference) -> Vec<String> {
        let all = self.images.iter().flat_map(|image| &image.repos);
        let same = all.filter(|other| other.registry == repo.registry && other.repository != repo.repository);
        same.map(|other| other.repository.clone()).collect()
    }

    /// Creates the build's tag, together with the aliases where the registry can; `None` when it is another's.
    async fn claim(
        &self,
        repo: &Reference,
        content: &ImageContent,
        decision: &Decision,
    ) -> Result<Option<(Referee, BTreeSet<String>)>> {
        let tagged = repo.with_tag(&decision.tag);
        if let Some(found) = self.client.head(&tagged).await?
            && found.digest != decision.digest
        {
            return Ok(None);
        }
        let root = &content.root;
        let bytes = &content.manifest(&root.digest)?.1;
        let all: Vec<String> = std::iter::once(&decision.tag).chain(&decision.aliases).cloned().collect();
        let together = &all[..all.len().min(TAGS_AT_ONCE)];
        let mut put = match self.client.put_by_digest(repo, root, bytes, together).await {
            Err(error) if is_taken(&error) => return Ok(None),
            other => other?,
        };
        if !put.confirmed.contains(&decision.tag) {
            put = match self.client.put_by_tag(repo, root, bytes, &decision.tag).await {
                Err(error) if is_taken(&error) => return Ok(None),
                // Somebody came in between, and the registry let them.
                Err(Registry::Digest { .. }) => return Ok(None),
                other => other?,
            };
        }
        if put.create_only.contains(&decision.tag) {
            return Ok(Some((Referee::Registry, put.confirmed)));
        }
        let found = self.client.head(&tagged).await?;
        let ours = found.is_some_and(|found| found.digest == decision.digest);
        Ok(ours.then_some((Referee::Checked, put.confirmed)))
    }

    /// Moves aliases one by one, the smallest first. What the rule says is asked again now that the claim is seen
    /// by all (RULE.md, I1).
    async fn alias(&self, repo: &Reference, decision: &Decision) -> Result<()> {
        let tags = self.client.tags(repo).await?;
        let now = perijove_tags::aliases(&decision.tag, tags.iter().map(String::as_str))?;
        let aliases: Vec<String> =
            decision.aliases.iter().filter(|alias| now.contains(alias)).cloned().collect();
        (self.observe)(&Step::Alias(repo.name(), aliases.clone()));
        let tagged = repo.with_tag(&decision.tag);
        let manifest = self.client.manifest(&tagged).await?;
        let manifest = manifest.ok_or_else(|| Registry::NotFound { what: tagged.to_string() })?;
        for alias in &aliases {
            self.client.put_by_tag(repo, &manifest.descriptor, &manifest.bytes, alias).await?;
        }
        Ok(())
    }

    /// Reads back what the build's tag and its aliases name in every repository, and moves what is not right: a
    /// release that was cut off, or two that crossed.
    async fn verify(&self, image: &Image, decision: &Decision) -> Result<()> {
        for _ in 0..RACES {
            let mut names: BTreeSet<String> = BTreeSet::new();
            for repo in &image.repos {
                names.extend(self.client.tags(repo).await?);
            }
            let mut wanted = faults::expected(names.iter().map(String::as_str));
            wanted.retain(|alias, _| decision.aliases.contains(alias) || *alias == image.candidate.version);
            let mut moved = false;
            for repo in &image.repos {
                (self.observe)(&Step::Verify(repo.name()));
                moved |= self.settle(image, repo, decision, &wanted).await?;
            }
            if !moved {
                return Ok(());
            }
        }
        Err(Error::Races { number: RACES })
    }

    /// Whether a tag of the repository had to be moved.
    async fn settle(
        &self,
        image: &Image,
        repo: &Reference,
        decision: &Decision,
        wanted: &BTreeMap<String, String>,
    ) -> Result<bool> {
        let mut moved = false;
        let tagged = repo.with_tag(&decision.tag);
        match self.client.head(&tagged).await? {
            Some(found) if found.digest == decision.digest => {}
            Some(found) => {
                let (tag, found, expected) = (tagged.to_string(), found.digest, decision.digest.clone());
                return Err(Error::Overwritten { tag, found, expected });
            }
            None => {
                self.copy(image, repo, decision).await?;
                moved = true;
            }
        }
        for (alias, target) in wanted {
            let (alias, target) = (repo.with_tag(alias), repo.with_tag(target));
            let Some(manifest) = self.client.manifest(&target).await? else { continue };
            let now = self.client.head(&alias).await?;
            if now.is_none_or(|now| now.digest != manifest.descriptor.digest) {
                let name = alias.tag.clone().unwrap_or_default();
                self.client.put_by_tag(repo, &manifest.descriptor, &manifest.bytes, &name).await?;
                moved = true;
            }
        }
        Ok(moved)
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

/// The greatest alias that a build of `version` may have on this branch.
fn greatest_alias(version: &str, branch: Branch) -> String {
    let tag = format!("{version}-0");
    let all = perijove_tags::aliases(&tag, []).unwrap_or_default();
    let mut aliases =
        all.into_iter().filter(|alias| *alias != tag && (branch.moves_latest || alias != "latest"));
    aliases.next_back().unwrap_or_else(|| version.to_owned())
}
