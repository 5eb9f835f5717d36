//! The closure of what `debs.in` names over `Depends` and `Pre-Depends`, for one architecture. Pure.
//!
//! Essential packages are not implied: an image has what it names and what that needs. The answer depends on
//! the set of inputs only, not on their order:
//!
//! 1. take the named packages, and everything that is needed without a choice;
//! 2. take the first group (by the name of who asks) that nothing chosen satisfies, choose, go on with 1.
//!
//! What the previous lock has stays as it is when it still answers the question (see [`kept`]); so locking again
//! changes nothing. Otherwise the search above runs, and keeps what it can.
//!
//! The version of a name is, in this order: that of its pinned suite; the previous lock's, if it is still
//! offered; the highest of the automatic suites; the highest of the others. When it turns out that a chosen
//! version does not do, that is remembered as a [`Limit`] and the search begins again, so that what needs a
//! newer version gets it, and nothing else moves.

use std::collections::{BTreeMap, BTreeSet};

use super::input::{DebsIn, Wanted};
use super::platform;
use super::relation::Relation;
use super::suggest;
use super::universe::Universe;
use super::version;
use crate::{Error, Result};

mod explain;
mod kept;

/// What is asked.
pub struct Question<'a> {
    /// What the suites offer.
    pub universe: &'a Universe<'a>,
    /// What is wanted.
    pub input: &'a DebsIn,
    /// The Debian architecture.
    pub architecture: &'a str,
    /// Versions to keep where they are still offered, by name.
    pub kept: BTreeMap<&'a str, &'a str>,
}

/// Something learnt about a name's version.
#[derive(Clone, Copy, PartialEq)]
struct Limit<'a> {
    /// What the version must, or must not, satisfy.
    relation: Relation<'a>,
    must: bool,
    /// Who says so.
    by: &'a str,
}

type Limits<'a> = BTreeMap<&'a str, Vec<Limit<'a>>>;

/// Why an attempt ended without an answer.
enum Stop<'a> {
    /// Try again with this.
    Learnt(&'a str, Limit<'a>),
    /// There is no answer.
    Failed(Error),
}

impl From<Error> for Stop<'_> {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

/// The numbers of the chosen packages, sorted by name.
///
/// # Errors
/// [`Error::Input`] at the line of `debs.in` that names an unknown package; [`Error::Refused`] when something
/// needed is not offered, or chosen packages conflict.
pub fn closure(question: &Question<'_>) -> Result<Vec<usize>> {
    if let Some(chosen) = kept::answer(question)? {
        return Ok(chosen);
    }
    let mut limits = Limits::new();
    loop {
        match Attempt::new(question, &limits).run() {
            Ok(chosen) => return Ok(chosen.into_values().collect()),
            Err(Stop::Failed(error)) => return Err(error),
            // Limits only grow, and there are finitely many relations, so this ends.
            Err(Stop::Learnt(name, limit)) => limits.entry(name).or_default().push(limit),
        }
    }
}

/// One pass with a fixed set of limits.
struct Attempt<'q, 'a> {
    question: &'q Question<'a>,
    limits: &'q Limits<'a>,
    chosen: BTreeMap<&'a str, usize>,
    /// Who asked for a chosen package first; `None` for those that `debs.in` names.
    asked_by: BTreeMap<&'a str, Option<&'a str>>,
    /// Chosen, but what they need is not looked at yet.
    fresh: BTreeSet<&'a str>,
    /// Groups with a choice: who asks, which of its groups.
    open: BTreeMap<(&'a str, usize), Vec<Relation<'a>>>,
}

impl<'q, 'a> Attempt<'q, 'a> {
    fn new(question: &'q Question<'a>, limits: &'q Limits<'a>) -> Self {
        Attempt {
            question,
            limits,
            chosen: BTreeMap::new(),
            asked_by: BTreeMap::new(),
            fresh: BTreeSet::new(),
            open: BTreeMap::new(),
        }
    }

    fn run(mut self) -> Result<BTreeMap<&'a str, usize>, Stop<'a>> {
        for (name, wanted) in &self.question.input.packages {
            let id = self.root(name, wanted)?;
            self.choose(id, None);
        }
        loop {
            while let Some(name) = self.fresh.pop_first() {
                self.expand(name)?;
            }
            let Some(((asker, _), group)) = self.open.pop_first() else { break };
            if !self.is_satisfied(&group, asker) {
                self.decide(&group, asker)?;
            }
        }
        self.check_conflicts()?;
        Ok(self.chosen)
    }

    fn choose(&mut self, id: usize, asker: Option<&'a str>) {
        let name = self.question.universe.package(id).name;
        if self.chosen.insert(name, id).is_none() {
            self.asked_by.insert(name, asker);
            self.fresh.insert(name);
        }
    }

    /// The package for a line of `debs.in`: a real one, or the only one that provides the name.
    fn root(&self, name: &'a str, wanted: &Wanted) -> Result<usize> {
        let universe = self.question.universe;
        if let Some(id) = self.best(name, None) {
            return Ok(id);
        }
        let place = format!("{}:{}", self.question.input.place, wanted.line);
        let architecture = self.question.architecture;
        if let Some(limit) = self.limits.get(name).and_then(|limits| limits.first()) {
            return Err(self.unfit(name, limit));
        }
        if let Some(suite) = wanted.suite.as_ref().filter(|_| self.available(name).next().is_some()) {
            return Err(Error::Input {
                place,
                reason: format!("{suite} has no package `{name}` for {architecture}"),
                hint: format!("it is in {}", self.offers(name)),
            });
        }
        // Of each provider the version that would be taken counts.
        let taken = |id: &usize| self.best(universe.package(*id).name, None) == Some(*id);
        let providers: BTreeMap<&str, usize> =
            universe.providers(name).filter(taken).map(|id| (universe.package(id).name, id)).collect();
        let mut usable = providers.values();
        match (usable.next(), usable.next()) {
            (Some(only), None) => Ok(*only),
            (Some(_), Some(_)) => Err(Error::Input {
                place,
                reason: format!("`{name}` is a virtual package"),
                hint: format!(
                    "name one that provides it: {}",
                    providers.into_keys().collect::<Vec<_>>().join(", ")
                ),
            }),
            _ => Err(Error::Input {
                place,
                reason: format!("no package `{name}` for {architecture} in {}", universe.suites()),
                hint: suggest::hint(name, universe.names()),
            }),
        }
    }

    /// Takes what package `name` needs without a choice, and notes where there is one.
    fn expand(&mut self, name: &'a str) -> Result<(), Stop<'a>> {
        let universe = self.question.universe;
        let Some(id) = self.chosen.get(name) else { return Ok(()) };
        let groups = universe.package(*id).depends().map_err(|reason| explain::broken(&reason))?;
        for (number, group) in groups.into_iter().enumerate() {
            if self.is_satisfied(&group, name) {
                continue;
            }
            match group[..] {
                [only] if !universe.named(only.name).is_empty() => self.decide(&group, name)?,
                _ => {
                    self.open.insert((name, number), group);
                }
            }
        }
        Ok(())
    }

    /// Whether something chosen, or something left out on purpose, satisfies one of the alternatives.
    fn is_satisfied(&self, group: &[Relation<'a>], asker: &str) -> bool {
        let Question { universe, input, .. } = self.question;
        group.iter().any(|relation| {
            let is = |name: &str| self.chosen.get(name).is_some_and(|id| universe.satisfies(*id, relation));
            let provider = |id: usize| universe.package(id).name;
            is(relation.name)
                || universe.providers(relation.name).any(|id| is(provider(id)))
                || (!self.chosen.contains_key(relation.name) && input.excludes(relation.name, asker))
                || universe
                    .providers(relation.name)
                    .any(|id| !self.chosen.contains_key(provider(id)) && input.excludes(provider(id), asker))
        })
    }

    /// Chooses for a group that is not satisfied: what the previous lock had, else the first alternative that
    /// is offered.
    fn decide(&mut self, group: &[Relation<'a>], asker: &'a str) -> Result<(), Stop<'a>> {
        let kept = |r: &&Relation<'a>| self.question.kept.contains_key(r.name);
        let in_order = group.iter().filter(kept).chain(group.iter().filter(|r| !kept(r)));
        for relation in in_order {
            match self.chosen.get(relation.name) {
                // Another version of a chosen package would do: begin again with what was learnt.
                Some(_) if self.best(relation.name, Some(relation)).is_some() => {
                    return Err(Stop::Learnt(
                        relation.name,
                        Limit { relation: *relation, must: true, by: asker },
                    ));
                }
                Some(_) => {}
                None => {
                    if let Some(id) =
                        self.best(relation.name, Some(relation)).or_else(|| self.provider(relation))
                    {
                        self.choose(id, Some(asker));
                        return Ok(());
                    }
                }
            }
        }
        Err(self.missing(group, asker).into())
    }

    /// The best provider of a virtual name: the previous lock's first, then by the archive's priority and name.
    fn provider(&self, relation: &Relation<'_>) -> Option<usize> {
        let universe = self.question.universe;
        let fits = |id: &usize| {
            let name = universe.package(*id).name;
            self.best(name, None) == Some(*id)
                && !self.chosen.contains_key(name)
                && universe.satisfies(*id, relation)
        };
        universe.providers(relation.name).filter(fits).min_by_key(|id| {
            let package = universe.package(*id);
            (!self.question.kept.contains_key(package.name), package.priority(), package.name)
        })
    }

    /// The packages called `name` that fit the architecture.
    fn available(&self, name: &str) -> impl Iterator<Item = usize> + '_ {
        let universe = self.question.universe;
        let fits = |id: &usize| {
            let architecture = universe.package(*id).architecture;
            architecture == self.question.architecture || architecture == platform::ALL
        };
        universe.named(name).iter().copied().filter(fits)
    }

    /// The version of `name` to take, among those that satisfy `relation` and all that was learnt.
    fn best(&self, name: &str, relation: Option<&Relation<'_>>) -> Option<usize> {
        let Question { universe, input, kept, .. } = self.question;
        let pinned = input.packages.get(name).and_then(|wanted| wanted.suite.as_deref());
        let limits = self.limits.get(name).map_or(&[][..], Vec::as_slice);
        let fits = |id: &usize| {
            pinned.is_none_or(|suite| universe.source(*id).suite == suite)
                && relation.is_none_or(|r| universe.satisfies(*id, r))
                && limits.iter().all(|limit| {
                    if limit.must {
                        universe.satisfies(*id, &limit.relation)
                    } else {
                        !universe.matches(universe.package(*id), &limit.relation)
                    }
                })
        };
        let versions: Vec<usize> = self.available(name).filter(fits).collect();
        let as_before = kept
            .get(name)
            .and_then(|kept| versions.iter().find(|id| universe.package(**id).version == *kept));
        as_before.copied().or_else(|| {
            // Of equal ones the first source's: `max_by` takes the last, so go through them backwards.
            versions.into_iter().rev().max_by(|a, b| {
                let automatic = |id: usize| universe.source(id).automatic;
                let by_version =
                    || version::compare(universe.package(*a).version, universe.package(*b).version);
                automatic(*a).cmp(&automatic(*b)).then_with(by_version)
            })
        })
    }

    /// Looks for chosen packages that exclude each other (policy, sections 7.3 and 7.4).
    fn check_conflicts(&self) -> Result<(), Stop<'a>> {
        let universe = self.question.universe;
        for (name, id) in &self.chosen {
            for relation in universe.package(*id).conflicts().map_err(|reason| explain::broken(&reason))? {
                let real = self.chosen.get(relation.name).copied();
                let providers = universe
                    .providers(relation.name)
                    .filter(|p| self.chosen.get(universe.package(*p).name) == Some(p));
                for other in real.into_iter().chain(providers) {
                    let package = universe.package(other);
                    // A package may conflict with a name that it provides itself.
                    if package.name == *name || !universe.matches(package, &relation) {
                        continue;
                    }
                    if package.name != relation.name || relation.limit.is_none() {
                        return Err(self.conflict(name, package.name, &relation).into());
                    }
                    return Err(Stop::Learnt(package.name, Limit { relation, must: false, by: name }));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
