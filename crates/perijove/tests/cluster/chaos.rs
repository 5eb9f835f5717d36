//! Faults that nobody has thought of together: a few at random, at random moments of one run. Whatever they are, it ends,
//! and says nothing that is not so. `PERIJOVE_CHAOS=SEED:FAULTS` sets which, and how many.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fastrand::Rng;
use perijove_testkit::cluster::fault::Place;
use perijove_testkit::cluster::{Cluster, Fault, Namespace, PodSecurity, TestImage, Version, alone};

use super::awaiting::{check, puller, start, told};

/// What is done without a fault of the test kit.
#[derive(Clone, Copy, Debug)]
enum Act {
    Fault(Fault),
    /// The kubelet is away for a moment.
    Kubelet,
    /// Somebody deletes the pullers' pods of a node.
    PodsDeleted,
}

const ACTS: &[Act] = &[
    Act::Fault(Fault::NodeOff),
    Act::Fault(Fault::NodeSilent),
    Act::Fault(Fault::Cordoned),
    Act::Fault(Fault::Tainted),
    Act::Fault(Fault::DiskPressure),
    Act::Fault(Fault::RegistryDown),
    Act::Fault(Fault::SlowRegistry),
    Act::Fault(Fault::ApiServerRestarted),
    Act::Kubelet,
    Act::PodsDeleted,
];

fn rest(dice: &mut Rng, most: u64) {
    std::thread::sleep(Duration::from_millis(dice.u64(..most)));
}

/// Seed and number of faults.
fn settings() -> (u64, u64) {
    let set = std::env::var("PERIJOVE_CHAOS").unwrap_or_else(|_| "7:6".to_owned());
    let (seed, faults) = set.split_once(':').unwrap();
    (seed.parse().unwrap(), faults.parse().unwrap())
}

/// Gives the node's name.
fn strike(act: Act, cluster: &Cluster, namespace: &Namespace<'_>, dice: &mut Rng) -> String {
    let number = dice.u8(1..=3);
    let node = cluster.node(number);
    match act {
        Act::Fault(fault) => {
            let place = Place { node: number, namespace: namespace.name(), awaiter: "app=awaiter" };
            let broken = fault.apply(cluster, &place);
            rest(dice, 4000);
            drop(broken);
        }
        Act::Kubelet => {
            node.program("kubelet", false);
            rest(dice, 4000);
            node.program("kubelet", true);
            node.wait_until_ready();
        }
        Act::PodsDeleted => {
            let field = format!("spec.nodeName={}", node.name());
            namespace.kubectl(&["delete", "pods", "--field-selector", &field, "--wait=false"]).text();
        }
    }
    node.name().to_owned()
}

#[test]
fn random_faults_neither_fool_it_nor_hold_it() {
    let Some(cluster) = alone("random_faults_neither_fool_it_nor_hold_it", Version::Newest) else { return };
    let (seed, faults) = settings();
    let mut dice = Rng::with_seed(seed);
    let namespace = cluster.namespace("await-chaos", PodSecurity::Restricted);
    let images: Vec<String> = (0..4)
        .map(|n| {
            let image = TestImage::data("chaos").with_ballast(1_000_000, format_args!("{seed}-{n}"));
            cluster.push(&image, &format!("await-chaos-{n}"), &format!("{seed}"))
        })
        .collect();
    let make = |image: &String| namespace.apply(&puller(&cluster, &[image], None));
    make(&images[0]);
    let begun = Instant::now();
    let children = [vec![], vec!["--nodes"]].map(|words| {
        let words: Vec<&str> = words.into_iter().chain(["--expect", "4", "--deadline", "8m"]).collect();
        start(&cluster, &namespace, &words)
    });
    // The others come at random, the last when all is well again.
    let mut left = images[1..].iter();
    let mut struck = BTreeSet::new();
    for _ in 0..faults {
        rest(&mut dice, 1500);
        if left.len() > 1 && dice.bool() {
            left.next().into_iter().for_each(make);
        }
        let act = *dice.choice(ACTS).unwrap();
        println!("{:5.1?}: {act:?}", begun.elapsed());
        struck.insert(strike(act, &cluster, &namespace, &mut dice));
    }
    left.for_each(make);
    let well = Instant::now();
    for child in children {
        let (code, report, said) = told(child);
        assert_eq!(code, Some(0), "seed {seed}: {report}\n{said}");
        let names: Vec<&str> =
            report["nodes"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["n1", "n2", "n3"], "{report}");
        check(&cluster, &report, &images);
        for node in ["n1", "n2", "n3"].iter().filter(|node| !struck.contains(**node)) {
            assert_eq!(super::awaiting::node(&report, node).0, "warm", "nothing has struck {node}: {report}");
        }
    }
    println!("{faults} faults in {:.1?}, and then warm after {:.1?}", well - begun, well.elapsed());
}
