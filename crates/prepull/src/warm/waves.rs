//! `--wave 1,10%,100%`: a few nodes first, of every zone, and the rest when those are warm.

use std::collections::BTreeMap;
use std::str::FromStr;

/// How many nodes are under way or warm once a wave has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many nodes.
    Nodes(usize),
    /// So many of a hundred, rounded up.
    Percent(u8),
}

/// Steps that grow up to every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waves(Vec<Step>);

impl Default for Waves {
    /// One wave of every node.
    fn default() -> Self {
        Self(vec![Step::Percent(100)])
    }
}

impl FromStr for Waves {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let steps = text.split(',').map(str::trim).map(step).collect::<Result<Vec<_>, _>>()?;
        match steps.last() {
            Some(Step::Percent(100)) => Ok(Self(steps)),
            _ => Err("the last wave is 100%, as in 1,10%,100%".to_owned()),
        }
    }
}

fn step(text: &str) -> Result<Step, String> {
    let wrong = || format!("`{text}` is no number of nodes from 1, nor a percentage from 1% to 100%");
    match text.strip_suffix('%') {
        Some(percent) => match percent.parse() {
            Ok(percent @ 1..=100) => Ok(Step::Percent(percent)),
            _ => Err(wrong()),
        },
        None => match text.parse() {
            Ok(0) | Err(_) => Err(wrong()),
            Ok(nodes) => Ok(Step::Nodes(nodes)),
        },
    }
}

impl Waves {
    /// The nodes that each wave adds: every node once, zones in turn, so that a fault of one zone's registry or
    /// network shows in the first waves. `nodes` are names with their zones (empty where there is none). Waves
    /// that add none are left out.
    pub fn split<'a>(&self, nodes: &[(&'a str, &'a str)]) -> Vec<Vec<&'a str>> {
        let mut zones: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, zone) in nodes {
            zones.entry(zone).or_default().push(name);
        }
        for names in zones.values_mut() {
            names.sort_unstable();
            names.reverse();
        }
        let mut rest = Vec::with_capacity(nodes.len());
        while rest.len() < nodes.len() {
            rest.extend(zones.values_mut().filter_map(Vec::pop));
        }
        let mut waves = Vec::new();
        let mut begun = 0;
        for step in &self.0 {
            let upto = match *step {
                Step::Nodes(count) => count.min(rest.len()),
                Step::Percent(percent) => (rest.len() * usize::from(percent)).div_ceil(100),
            };
            if upto > begun {
                waves.push(rest[begun..upto].to_vec());
                begun = upto;
            }
        }
        waves
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_few_of_each_zone_first() {
        let nodes = [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("c1", "")];
        let waves: Waves = "2,60%,100%".parse().unwrap();
        assert_eq!(waves.split(&nodes), [vec!["c1", "a1"], vec!["b1"], vec!["a2", "a3"]]);
        assert_eq!(Waves::default().split(&nodes).len(), 1);
        assert!(Waves::default().split(&[]).is_empty());
    }

    #[test]
    fn waves_say_what_is_wrong_with_them() {
        for (text, says) in [
            ("0,100%", "`0` is no number of nodes"),
            ("101%", "`101%` is no number"),
            ("a", "`a` is no number"),
            ("", "`` is no number"),
            ("1,10%", "the last wave is 100%"),
        ] {
            let error = text.parse::<Waves>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_node_is_in_one_wave(
            zones in proptest::collection::vec(0u8..4, 0..200),
            steps in proptest::collection::vec(prop_oneof![(1usize..300).prop_map(Step::Nodes), (1u8..=100).prop_map(Step::Percent)], 0..5),
        ) {
            let names: Vec<(String, String)> =
                zones.iter().enumerate().map(|(n, zone)| (format!("n{n}"), format!("z{zone}"))).collect();
            let nodes: Vec<(&str, &str)> = names.iter().map(|(n, z)| (n.as_str(), z.as_str())).collect();
            let mut steps = steps;
            steps.push(Step::Percent(100));
            let waves = Waves(steps).split(&nodes);
            let mut seen: Vec<&str> = waves.iter().flatten().copied().collect();
            prop_assert!(waves.iter().all(|wave| !wave.is_empty()));
            prop_assert_eq!(seen.len(), nodes.len());
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), nodes.len());
        }
    }
}
