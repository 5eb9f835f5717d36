//! Five hundred values files (goal: under 1 s), a large one, and ten thousand profiles. The files are the real
//! deployments of the conformance folder (`$PERIJOVE_SHARED/conformance/values`, default `../shared`), in turn; where
//! it is not there, the made ones of `tests/fixtures`. The benchmark's name says which and how many.
#![allow(missing_docs)]

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use perijove_prepull::{Options, ValuesFile, image_set};

fn fixtures() -> (&'static str, Vec<ValuesFile>) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared =
        std::env::var_os("PERIJOVE_SHARED").map_or_else(|| own.join("../../../shared"), PathBuf::from);
    let real = read(&shared.join("conformance/values"));
    match real.is_empty() {
        true => ("made", read(&own.join("tests/fixtures/values"))),
        false => ("real", real),
    }
}

fn read(root: &Path) -> Vec<ValuesFile> {
    let folders = std::fs::read_dir(root).into_iter().flatten().flatten();
    folders.filter_map(|folder| ValuesFile::open(&folder.path().join("values.yaml")).ok()).collect()
}

/// A hub of `profiles` profiles, each with twenty images by ten sizes.
fn hub(profiles: usize) -> ValuesFile {
    let choice = |name: &str, n: usize, over: String| {
        format!("          {name}{n}: {{kubespawner_override: {{{over}}}}}\n")
    };
    let mut text = "singleuser:\n  profileList:\n".to_owned();
    for profile in 0..profiles {
        text.push_str(&format!(
            "  - display_name: p{profile}\n    profile_options:\n      image:\n        choices:\n"
        ));
        (0..20).for_each(|n| {
            text.push_str(&choice("image", n, format!("image: 'quay.io/team/i{n}:{profile}'")));
        });
        text.push_str("      size:\n        choices:\n");
        (0..10).for_each(|n| {
            text.push_str(&choice("size", n, format!("cpu_limit: {n}, node_selector: {{size: '{n}'}}")));
        });
    }
    ValuesFile::new("values.yaml", text)
}

fn values(criterion: &mut Criterion) {
    let (kind, files) = fixtures();
    let set = |file: &ValuesFile| {
        image_set(std::slice::from_ref(file), &Options::default()).map(|set| set.images.len())
    };
    criterion.bench_function(&format!("500 values files ({} {kind} ones in turn)", files.len()), |bench| {
        bench.iter(|| {
            files.iter().cycle().take(500).filter_map(|file| set(black_box(file)).ok()).sum::<usize>()
        });
    });
    let one = hub(1);
    criterion.bench_function("20 images by 10 sizes", |bench| bench.iter(|| set(black_box(&one))));
    let large = hub(300);
    criterion.bench_function("300 profiles of 20 images by 10 sizes", |bench| {
        bench.iter(|| set(black_box(&large)));
    });
    let profiles: Vec<String> =
        (0..10_000).map(|n| format!("- {{kubespawner_override: {{image: 'quay.io/team/p:{n}'}}}}")).collect();
    let many =
        ValuesFile::new("values.yaml", format!("singleuser:\n  profileList:\n  {}\n", profiles.join("\n  ")));
    criterion.bench_function("10,000 profiles", |bench| bench.iter(|| set(black_box(&many))));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = values
}
criterion_main!(benches);
