//! 20,000 random histories through the rule (goal: under 1 s), and one repository of 20,000 tags.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use perijove_tags::{aliases, release};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

const HISTORIES: usize = 20_000;

fn version(random: &mut StdRng) -> String {
    let ending = ["", "", "", "", "", "", "rc1", "b0", ".post1", ".dev0"].choose(random).unwrap_or(&"");
    format!(
        "{}.{}.{}{ending}",
        random.random_range(3..6),
        random.random_range(0..4),
        random.random_range(0..4)
    )
}

/// Releases into an empty repository, each with every name that is there.
fn live(versions: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for version in versions {
        for name in release(version, names.iter().map(String::as_str)).unwrap_or_default() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn histories(criterion: &mut Criterion) {
    let random = &mut StdRng::seed_from_u64(440);
    let all: Vec<Vec<String>> =
        (0..HISTORIES).map(|_| (0..random.random_range(1..=8)).map(|_| version(random)).collect()).collect();
    criterion.bench_function("20,000 histories of 1 to 8 releases", |bench| {
        bench.iter(|| all.iter().map(|versions| live(black_box(versions)).len()).sum::<usize>());
    });

    let tags: Vec<String> = (0..HISTORIES).map(|build| format!("{}-{build}", version(random))).collect();
    criterion.bench_function("aliases among 20,000 tags", |bench| {
        bench.iter(|| aliases(black_box("5.3.4-0"), tags.iter().map(String::as_str)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = histories
}
criterion_main!(benches);
