//! Which fault strikes when, and what is to be expected of each: pure, and the same for the same seed.

use std::time::Duration;

use fastrand::Rng;
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
    let mut random = Rng::with_seed(Rng::with_seed(seed).u64(..) ^ run);
    let all = Fault::ALL.map(|(_, fault)| (fault, scenario(fault)));
    let mut at = random.u64(..all.iter().map(|(_, scenario)| scenario.weight).sum::<u64>());
    let chosen = all.into_iter().find(|(_, scenario)| {
        let here = at < scenario.weight;
        at = at.saturating_sub(scenario.weight);
        here
    });
    let (fault, scenario) = chosen.unwrap_or(all[0]);
    let mut millis = |range| Duration::from_millis(random.u64(range));
    let starts = millis(0..2000);
    let strikes = millis(0..6000);
    // A registry, or an API server, that stays away is nobody's mistake: it comes back.
    let returns = scenario.heals.is_some();
    let (soon, late) = (millis(1000..8000), millis(2000..20_000));
    let comes_back = scenario.images != Images::NeverCome && random.bool();
    let heals = if returns { Some(soon) } else { comes_back.then_some(late) };
    Plan { fault, node: random.u8(1..=3), starts, strikes, heals }
}
