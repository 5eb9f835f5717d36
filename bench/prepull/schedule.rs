//! Which fault strikes when, and what is to be expected of each: pure, and the same for the same seed.

use std::time::Duration;

use perijove_testkit::cluster::Fault;

use super::truth::Images;

/// A fault as the benchmark uses it.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Whether it has to be there before the pullers: an image of its own, or the state of a registry.
    pub first: bool,
    /// How long after it struck it heals, in the table of faults; never: it stays until the hooks have ended.
    pub heals: Option<Duration>,
    /// What becomes of the images.
    pub images: Images,
    /// Whether nobody can ask the node, nor can anything be expected of it.
    pub dark: bool,
    /// Words of ours, one of which names it; none where there is nothing to name.
    pub names: &'static [&'static str],
    /// How often it strikes among random ones: those that take a node's power, or a full disk, are slow to heal.
    weight: u64,
}

const SECOND: Duration = Duration::from_secs(1);

/// What a fault is like.
pub fn scenario(fault: Fault) -> Scenario {
    let node =
        Scenario { first: false, heals: None, images: Images::Come, dark: false, names: &[], weight: 4 };
    let image = Scenario { first: true, ..node };
    let late = Scenario { images: Images::ComeLate, ..image };
    let never = Scenario { images: Images::NeverCome, ..image };
    match fault {
        Fault::NodeOff => Scenario { dark: true, names: &["Silent", "NotReady"], weight: 2, ..node },
        Fault::NodeSilent => Scenario { dark: true, names: &["Silent", "NotReady"], weight: 3, ..node },
        Fault::Cordoned => Scenario { names: &["Cordoned"], weight: 8, ..node },
        Fault::DiskPressure => Scenario { names: &["DiskPressure"], ..node },
        Fault::DiskFull => Scenario { names: &["DiskPressure", "DiskFull"], weight: 1, ..node },
        Fault::PodsFull => Scenario { names: &["Full"], ..node },
        Fault::Tainted => Scenario { names: &["Tainted"], weight: 8, ..node },
        Fault::LateNode => Scenario { weight: 2, ..node },
        Fault::RegistryDown => {
            Scenario { heals: Some(8 * SECOND), names: &["RegistryUnreachable"], weight: 6, ..late }
        }
        Fault::SlowRegistry => Scenario { weight: 6, ..late },
        Fault::MissingTag => Scenario { names: &["ImageMissing"], weight: 8, ..never },
        Fault::WrongSecret => Scenario { names: &["CredentialsRefused"], weight: 8, ..never },
        Fault::NoShell => Scenario { weight: 6, ..image },
        Fault::OtherArchitecture => Scenario { names: &["WrongPlatform"], weight: 6, ..never },
        Fault::UnreadableLayer => Scenario { names: &["ImageUnreadable"], weight: 1, ..never },
        Fault::ApiServerRestarted => {
            let names = &["the API server does not answer", "Interrupted"];
            Scenario { heals: Some(5 * SECOND), names, weight: 6, ..node }
        }
        Fault::AwaiterKilled => Scenario { weight: 6, ..node },
        Fault::ImageCollected => Scenario { weight: 1, ..image },
    }
}

/// One random run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What strikes.
    pub fault: Fault,
    /// Where, from 1.
    pub node: u8,
    /// How long after the pullers were made our awaiter begins: none at all is the hardest.
    pub starts: Duration,
    /// How long after the pullers were made, unless it has to be there before.
    pub strikes: Duration,
    /// How long after that it heals; never: it stays until the hooks have ended.
    pub heals: Option<Duration>,
}

/// The run of this number.
pub fn plan(seed: u64, run: u64) -> Plan {
    // Mixed: states that are a step apart would give the same numbers, a place later.
    let mut random = Random(Random(seed).next() ^ Random(run).next().rotate_left(32));
    let all = Fault::ALL.map(|(_, fault)| (fault, scenario(fault)));
    let mut at = random.below(all.iter().map(|(_, scenario)| scenario.weight).sum());
    let chosen = all.into_iter().find(|(_, scenario)| {
        let here = at < scenario.weight;
        at = at.saturating_sub(scenario.weight);
        here
    });
    let (fault, scenario) = chosen.unwrap_or(all[0]);
    let millis =
        |random: &mut Random, from: u64, to: u64| Duration::from_millis(from + random.below(to - from));
    let node = 1 + random.below(3) as u8;
    let starts = millis(&mut random, 0, 2000);
    let strikes = millis(&mut random, 0, 6000);
    // A registry, or an API server, that stays away is nobody's mistake: it comes back.
    let returns = scenario.heals.is_some();
    let heals = if returns { Some(millis(&mut random, 1000, 8000)) } else { None };
    let heals = heals.or_else(|| {
        let comes_back = scenario.images != Images::NeverCome && random.below(2) == 0;
        comes_back.then(|| millis(&mut random, 2000, 20_000))
    });
    Plan { fault, node, starts, strikes, heals }
}

/// Sebastiano Vigna's splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}
