//! Carries a plan out: push, claim, alias, verify. Every step may be done again without harm, so after a crash
//! anywhere the next run goes on, or says that all is done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use perijove_oci::client::Client;
use perijove_oci::content::ImageContent;
use perijove_oci::{Reference, push};

use crate::plan::{self, Branch, Candidate, Decision, Kinship, Observed, State};
use crate::record::{Repository, Times};
use crate::{Error, Result, observe};

/// Races that are lost before a release gives up: far more than pipelines that start at one time.
pub const RACES: usize = 64;

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
    /// The image's own checks, against the digest that will be tagged.
    Test(String, String),
    /// Blobs and manifests, by digest: nobody sees them yet.
    Push(String, String),
    /// The build's tag, created once.
    Claim(String, String),
    /// A build that another registry has.
    Copy(String, String),
    /// The aliases, the longest first.
    Alias(String, Vec<String>),
    /// Reading back what the tags name.
    Verify(String),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Test(image, digest) => write!(f, "test {image}@{digest}"),
            Step::Push(repo, digest) => write!(f, "push {repo}@{digest}"),
            Step::Claim(repo, tag) => write!(f, "claim {repo}:{tag}"),
            Step::Copy(repo, tag) => write!(f, "copy {repo}:{tag}"),
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
    /// How the commit that is released stands to another one, where that can be known.
    pub kinship: &'a (dyn Fn(&str) -> Option<Kinship> + Sync),
    /// Told of each step before it is done.
    pub observe: &'a (dyn Fn(&Step) + Sync),
    /// Repositories that refused to overwrite a tag: they are the referee of their tags.
    pub refused: Mutex<BTreeSet<String>>,
    /// Images and tags that were claimed so far.
    pub claimed: Mutex<BTreeSet<(String, String)>>,
}

/// How carrying out ended.
#[derive(Debug)]
pub enum Attempt {
    /// All is where it belongs: for each image the repositories that it went to, and the times.
    Done(Vec<Vec<Repository>>, Times),
    /// Another release took the number: plan again.
    Lost,
    /// A build's tag names something else than it did: the registry let another release take it. Plan again, unless
    /// it is the same tag as before: then registries differ.
    Overwritten {
        /// The tag, with its repository.
        tag: String,
        /// Whether this release made it.
        ours: bool,
        /// What to say where it is the same tag again.
        error: Error,
    },
}

impl Release<'_> {
    /// Whether every repository's greatest alias names just what was built: one HEAD each, and nothing else to do,
    /// for the greatest alias is moved last.
    pub async fn is_done(&self) -> Result<bool> {
        let tops = self.images.iter().flat_map(|image| {
            let top = self.greatest_alias(image);
            image.repos.iter().map(move |repo| (repo.with_tag(&top), &image.candidate.digest))
        });
        let heads = tops.map(|(top, digest)| async move {
            let found = self.client.head(&top).await?;
            Ok::<_, Error>(found.is_some_and(|found| found.digest == *digest))
        });
        stream::iter(heads).buffer_unordered(ABREAST).try_all(|same| async move { same }).await
    }

    /// The greatest alias that a build of the image's version may have on this branch.
    pub fn greatest_alias(&self, image: &Image) -> String {
        let tag = format!("{}-0", image.candidate.version);
        let all = perijove_tags::aliases(&tag, []).unwrap_or_default();
        let ours = |alias: &String| *alias != tag && (self.branch.moves_latest || alias != "latest");
        all.into_iter().rfind(ours).unwrap_or_else(|| image.candidate.version.clone())
    }

    /// What the registries have and what is to do.
    pub async fn plan(&self) -> Result<Vec<Decision>> {
        let mut states = BTreeMap::new();
        for image in self.images {
            let reads = image.repos.iter().map(|repo| observe::state(self.client, repo, &image.candidate));
            let found: Vec<State> = stream::iter(reads).buffered(ABREAST).try_collect().await?;
            states.insert(image.candidate.image.clone(), found);
        }
        let candidates: Vec<Candidate> = self.images.iter().map(|image| image.candidate.clone()).collect();
        let commits = plan::commits_to_compare(&candidates, &states);
        let kinships = commits.into_iter().filter_map(|c| (self.kinship)(&c).map(|kinship| (c, kinship)));
        let claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let observed = Observed { kinships: kinships.collect(), states, claimed };
        plan::plan(&candidates, &observed, self.branch)
    }

    /// The steps that a plan means, in order: what is left when all is built. Of a build that is there they are what its
    /// registries lack.
    pub async fn steps(&self, decisions: &[Decision]) -> Result<Vec<Step>> {
        let each =
            || self.images.iter().zip(decisions).flat_map(|(i, d)| i.repos.iter().map(move |r| (r, d)));
        let new = || each().filter(|(_, decision)| !decision.released);
        let tests = self.images.iter().zip(decisions).filter(|(_, decision)| !decision.released);
        let tests = tests.map(|(image, d)| Step::Test(image.candidate.image.clone(), d.digest.to_string()));
        let mut repairs = Vec::new();
        for (image, decision) in self.images.iter().zip(decisions).filter(|(_, d)| d.released) {
            repairs.extend(self.lacking(image, decision).await?);
        }
        let pushes = new().map(|(repo, d)| Step::Push(repo.name(), d.digest.to_string()));
        let claims = new().map(|(repo, d)| Step::Claim(repo.name(), d.tag.clone()));
        let aliases = new().map(|(repo, d)| Step::Alias(repo.name(), d.aliases.clone()));
        let verifies = each().map(|(repo, _)| Step::Verify(repo.name()));
        Ok(tests.chain(pushes).chain(claims).chain(aliases).chain(repairs).chain(verifies).collect())
    }

    /// Carries a plan out. When another release took the number since the plan was made, nothing that it has is
    /// touched: plan again, and try that.
    pub async fn attempt(&self, decisions: &[Decision]) -> Result<Attempt> {
        let mut released: Vec<Vec<Repository>> = vec![Vec::new(); decisions.len()];
        let mut times = Times::default();
        let pairs = || self.images.iter().zip(decisions).enumerate();
        let start = Instant::now();
        for (at, (image, decision)) in pairs().filter(|(_, (_, d))| !d.released) {
            for repo in &image.repos {
                (self.observe)(&Step::Push(repo.name(), decision.digest.to_string()));
                let siblings = self.siblings(repo);
                let report =
                    self.client.push_image(repo, &image.content, &[], &siblings, push::PARALLEL).await?;
                let (repository, pushed_bytes) = (repo.name(), report.pushed_bytes);
                released[at].push(Repository { repository, referee: None, pushed_bytes });
            }
        }
        times.push_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        // Registries that take one tag in a request.
        let mut one_by_one = BTreeSet::new();
        // All releases claim in one order, so that of those that meet one gets everything at its first try.
        let mut new: Vec<_> = pairs().filter(|(_, (_, decision))| !decision.released).collect();
        new.sort_by_key(|(_, (image, _))| &image.candidate.image);
        for (at, (image, decision)) in new {
            let mut now = self.now(image, decision).await?;
            let mut repos: Vec<(usize, &Reference)> = image.repos.iter().enumerate().collect();
            repos.sort_by_key(|(_, repo)| repo.name());
            for (number, repo) in repos {
                (self.observe)(&Step::Claim(repo.name(), decision.tag.clone()));
                let Some(claimed) = self.claim(image, repo, decision, &mut now).await? else {
                    return Ok(Attempt::Lost);
                };
                let (name, tag) = (decision.image.clone(), decision.tag.clone());
                self.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert((name, tag));
                released[at][number].referee = Some(claimed.referee);
                if !claimed.together {
                    one_by_one.insert(repo.registry.clone());
                }
            }
        }
        times.claim_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        for (image, decision) in self.images.iter().zip(decisions) {
            match self.settle(image, decision, &one_by_one).await {
                // The registry let two releases take one number: the later one has it.
                Err(Error::Overwritten { tag, found, expected }) => {
                    let (ours, name) = (!decision.released, tag.clone());
                    let error = Error::Overwritten { tag, found, expected };
                    return Ok(Attempt::Overwritten { tag: name, ours, error });
                }
                other => other?,
            }
        }
        times.verify_seconds = start.elapsed().as_secs_f64();
        Ok(Attempt::Done(released, times))
    }

    /// Other repositories of this release at the same registry: they may have blobs to mount.
    fn siblings(&self, repo: &Reference) -> Vec<String> {
        let all = self.images.iter().flat_map(|image| &image.repos);
        let same = all.filter(|other| other.registry == repo.registry && other.repository != repo.repository);
        same.map(|other| other.repository.clone()).collect()
    }
}
