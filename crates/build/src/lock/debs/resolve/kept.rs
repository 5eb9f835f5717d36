//! Whether the previous lock still answers the question.
//!
//! The search makes choices one after the other, so with other versions preferred it may arrive elsewhere; an
//! answer that holds is never searched for again. What nothing asks for any more is dropped, by the rule of
//! `apt autoremove`: a package stays while one that stays names it in any alternative.

use std::collections::{BTreeMap, BTreeSet};

use super::super::input::Wanted;
use super::super::relation::Relation;
use super::{Attempt, Limits, Question, explain};
use crate::Result;

/// The part of the previous lock that is an answer, sorted by name; `None` when a new search is due.
pub fn answer(question: &Question<'_>) -> Result<Option<Vec<usize>>> {
    let limits = Limits::new();
    let search = Attempt::new(question, &limits);
    let universe = question.universe;
    let offered = |(name, version): (&&str, &&str)| {
        search.available(name).find(|id| universe.package(*id).version == *version)
    };
    let kept = Kept { question, ids: question.kept.iter().filter_map(offered).collect() };
    let chosen = match kept.reach()? {
        Some(chosen) if kept.agree(&chosen)? => chosen,
        _ => return Ok(None),
    };
    let by_name: BTreeMap<&str, usize> =
        chosen.into_iter().map(|id| (universe.package(id).name, id)).collect();
    Ok(Some(by_name.into_values().collect()))
}

/// The packages of the previous lock that are still offered.
struct Kept<'q, 'a> {
    question: &'q Question<'a>,
    ids: Vec<usize>,
}

impl<'a> Kept<'_, 'a> {
    /// What is reached from `debs.in`; `None` when something is missing.
    fn reach(&self) -> Result<Option<BTreeSet<usize>>> {
        let Question { universe, input, .. } = self.question;
        let mut reached = BTreeSet::new();
        let mut fresh = Vec::new();
        for (name, wanted) in &input.packages {
            let roots = self.roots(name, wanted);
            if roots.is_empty() {
                return Ok(None);
            }
            fresh.extend(roots);
        }
        while let Some(id) = fresh.pop() {
            if !reached.insert(id) {
                continue;
            }
            let package = universe.package(id);
            for group in package.depends().map_err(|reason| explain::broken(&reason))? {
                let before = fresh.len();
                fresh.extend(self.ids.iter().filter(|id| self.fits(**id, &group, package.name)));
                if fresh.len() == before && !self.is_left_out(&group, package.name) {
                    return Ok(None);
                }
            }
        }
        Ok(Some(reached))
    }

    /// The packages for a line of `debs.in`: the real one of its suite, or those that provide the name while no
    /// real one is offered.
    fn roots(&self, name: &str, wanted: &Wanted) -> Vec<usize> {
        let universe = self.question.universe;
        let virtual_name = universe.named(name).is_empty();
        let counts = |id: &&usize| {
            if virtual_name {
                return universe.providers(name).any(|provider| provider == **id);
            }
            universe.package(**id).name == name
                && wanted.suite.as_ref().is_none_or(|suite| universe.source(**id).suite == suite)
        };
        self.ids.iter().filter(counts).copied().collect()
    }

    fn fits(&self, id: usize, group: &[Relation<'a>], asker: &str) -> bool {
        let Question { universe, input, .. } = self.question;
        !input.excludes(universe.package(id).name, asker)
            && group.iter().any(|relation| universe.satisfies(id, relation))
    }

    fn is_left_out(&self, group: &[Relation<'a>], asker: &str) -> bool {
        let Question { universe, input, .. } = self.question;
        group.iter().any(|relation| {
            input.excludes(relation.name, asker)
                || universe
                    .providers(relation.name)
                    .any(|id| input.excludes(universe.package(id).name, asker))
        })
    }

    /// Whether no two of them exclude each other (policy, sections 7.3 and 7.4).
    fn agree(&self, chosen: &BTreeSet<usize>) -> Result<bool> {
        let universe = self.question.universe;
        for one in chosen {
            for relation in universe.package(*one).conflicts().map_err(|reason| explain::broken(&reason))? {
                let excluded =
                    |other: &&usize| *other != one && universe.matches(universe.package(**other), &relation);
                if chosen.iter().any(|other| excluded(&other)) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
