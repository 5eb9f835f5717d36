//! Names that a mistyped package name may have meant.

use std::cmp::Reverse;

/// Names are suggested up to this many.
const MOST: usize = 3;

/// The hint for an unknown package `name`: the nearest of `names`, if any is near.
pub fn hint<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let near = nearest(name, names);
    if near.is_empty() {
        "is it in another suite? `suite NAME` adds one".to_owned()
    } else {
        format!("did you mean {}?", near.join(" or "))
    }
}

/// At most a third of the letters may differ; a longer common beginning breaks ties.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let most = (name.len() / 3).max(1);
    let near = |candidate: &&str| candidate.len().abs_diff(name.len()) <= most;
    let mut found: Vec<(usize, Reverse<usize>, &str)> = names
        .filter(near)
        .filter_map(|candidate| {
            let distance = strsim::osa_distance(name, candidate);
            let common = name.bytes().zip(candidate.bytes()).take_while(|(a, b)| a == b).count();
            (distance <= most).then_some((distance, Reverse(common), candidate))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(MOST).map(|(_, _, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nearest() {
        let names =
            ["python3", "python3-all", "python3.13", "pythia", "netbase", "libc6", "libc6-dev", "libgcc6"];
        let nearest = |name| nearest(name, names.into_iter());
        assert_eq!(nearest("pyhton3"), ["python3"]);
        assert_eq!(nearest("libc7"), ["libc6"]);
        assert_eq!(nearest("python3.12")[0], "python3.13");
        assert_eq!(nearest("completely-else"), [""; 0]);
        assert!(hint("x", names.into_iter()).contains("another suite"));
    }
}
