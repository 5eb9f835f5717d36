//! Why there is no closure: what was asked for, by whom, and what there is instead.

use super::super::relation::Relation;
use super::{Attempt, Limit, Question};
use crate::Error;

impl<'a> Attempt<'_, 'a> {
    pub(super) fn conflict(&self, one: &str, other: &str, relation: &Relation<'_>) -> Error {
        Error::Refused {
            reason: format!(
                "{one} ({}) excludes `{relation}`, but {other} ({}) is needed too",
                self.chain(one),
                self.chain(other)
            ),
            hint: format!(
                "take one of them out of {}, or leave it out with `-NAME`",
                self.question.input.place
            ),
        }
    }

    pub(super) fn missing(&self, group: &[Relation<'a>], asker: &str) -> Error {
        let Question { universe, input, .. } = self.question;
        let wanted: Vec<String> = group.iter().map(ToString::to_string).collect();
        let offers: Vec<String> =
            group.iter().map(|r| self.offers(r.name)).filter(|o| !o.is_empty()).collect();
        let offers = if offers.is_empty() {
            format!("{} have none", universe.suites())
        } else {
            format!("there is {}", offers.join(", "))
        };
        let limits = group.iter().filter_map(|r| self.limits.get(r.name)).flatten().map(Limit::text);
        let limits: Vec<String> = limits.collect();
        let limits =
            if limits.is_empty() { String::new() } else { format!(", and {}", limits.join(", and ")) };
        Error::Refused {
            reason: format!(
                "{asker} ({}) needs `{}` for {}: {offers}{limits}",
                self.chain(asker),
                wanted.join(" | "),
                self.question.architecture
            ),
            hint: format!(
                "add a suite that has it to {0}, or leave it out with `-NAME`; `--upgrade` frees the versions that the lock keeps",
                input.place
            ),
        }
    }

    pub(super) fn unfit(&self, name: &str, limit: &Limit<'_>) -> Error {
        Error::Refused {
            reason: format!("no version of `{name}` fits: {}; there is {}", limit.text(), self.offers(name)),
            hint: format!(
                "take one of them out of {}, or name `{name}` with another suite",
                self.question.input.place
            ),
        }
    }

    /// The versions of `name` with their suites.
    pub(super) fn offers(&self, name: &str) -> String {
        let universe = self.question.universe;
        let one =
            |id: usize| format!("{name} {} ({})", universe.package(id).version, universe.source(id).suite);
        self.available(name).map(one).collect::<Vec<_>>().join(", ")
    }

    /// Why a chosen package is there: `debs.in → python3 → python3-minimal`.
    pub(super) fn chain(&self, name: &str) -> String {
        let mut names = vec![name];
        while let Some(Some(asker)) = names.last().and_then(|last| self.asked_by.get(last)) {
            names.push(asker);
        }
        names.push(&self.question.input.place);
        names.reverse();
        names.join(" → ")
    }
}

impl Limit<'_> {
    fn text(&self) -> String {
        format!("{} {} `{}`", self.by, if self.must { "needs" } else { "excludes" }, self.relation)
    }
}

pub(super) fn broken(reason: &str) -> Error {
    Error::Refused {
        reason: format!("the index is broken: {reason}"),
        hint: "use another mirror, or try again later".to_owned(),
    }
}
