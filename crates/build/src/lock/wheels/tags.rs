//! Which wheels run on a Python, and which of several is best: compatibility tags (PEP 425) with manylinux
//! (PEP 600 and its older names, PEP 513, 571, 599). The order is that of pip and uv. musllinux wheels are
//! never compatible: the images have glibc.

use std::collections::HashMap;

use perijove_oci::Platform;

use super::filename::WheelName;
use super::target::{PythonTarget, machine};
use crate::Result;

/// The tags that a Python takes, each with its rank: 0 is best.
pub struct Tags {
    ranks: HashMap<(String, String, String), usize>,
}

/// Older names of manylinux levels: glibc 2.x → name.
const ALIASES: &[(u16, &str)] = &[(17, "manylinux2014"), (12, "manylinux2010"), (5, "manylinux1")];

/// The oldest glibc 2.x for which tags of `machine` exist: before 2.17 there was only x86.
fn oldest(machine: &str) -> u16 {
    if machine == "x86_64" { 5 } else { 17 }
}

/// Platform tags of a machine, best first.
fn platforms(glibc: (u16, u16), machine: &str) -> Vec<String> {
    let mut tags = Vec::new();
    if glibc.0 == 2 {
        for minor in (oldest(machine)..=glibc.1).rev() {
            tags.push(format!("manylinux_2_{minor}_{machine}"));
            tags.extend(
                ALIASES.iter().filter(|(m, _)| *m == minor).map(|(_, name)| format!("{name}_{machine}")),
            );
        }
    }
    tags.push(format!("linux_{machine}"));
    tags
}

/// Every compatible tag `(python, abi, platform)`, best first: the version's own ABI, the stable ABI (PEP 384,
/// from 3.2 on), no ABI, then pure Python.
pub fn supported(python: (u8, u8), glibc: (u16, u16), machine: &str) -> Vec<(String, String, String)> {
    let (major, minor) = python;
    let own = format!("cp{major}{minor}");
    let platforms = platforms(glibc, machine);
    let mut tags = Vec::new();
    let mut on_each = |python: &str, abi: &str| {
        tags.extend(platforms.iter().map(|p| (python.to_owned(), abi.to_owned(), p.clone())));
    };
    on_each(&own, &own);
    on_each(&own, "abi3");
    on_each(&own, "none");
    for older in (2..minor).rev() {
        on_each(&format!("cp{major}{older}"), "abi3");
    }
    let pure: Vec<String> = [format!("py{major}{minor}"), format!("py{major}")]
        .into_iter()
        .chain((0..minor).rev().map(|older| format!("py{major}{older}")))
        .collect();
    for python in &pure {
        on_each(python, "none");
    }
    for python in std::iter::once(&own).chain(&pure) {
        tags.push((python.clone(), "none".to_owned(), "any".to_owned()));
    }
    tags
}

impl Tags {
    /// The tags of `target` on `platform`.
    pub fn new(target: &PythonTarget, platform: &Platform) -> Result<Self> {
        let tags = supported(target.python, target.glibc, machine(platform)?);
        Ok(Tags { ranks: tags.into_iter().enumerate().map(|(rank, tag)| (tag, rank)).collect() })
    }

    /// How good a wheel is here: smaller is better, `None` is not compatible.
    pub fn rank(&self, wheel: &WheelName) -> Option<usize> {
        let combinations = wheel.python.iter().flat_map(|python| {
            wheel.abi.iter().flat_map(move |abi| {
                wheel.platform.iter().map(move |platform| (python.clone(), abi.clone(), platform.clone()))
            })
        });
        combinations.filter_map(|tag| self.ranks.get(&tag).copied()).min()
    }

    /// Sorts compatible wheels best first: tag, then the higher build number, then the file name. Gives
    /// positions in `wheels`.
    pub fn best<'a>(&self, wheels: impl IntoIterator<Item = &'a WheelName>) -> Vec<usize> {
        let mut found: Vec<_> = wheels
            .into_iter()
            .enumerate()
            .filter_map(|(at, wheel)| Some((self.rank(wheel)?, std::cmp::Reverse(&wheel.build), at)))
            .collect();
        found.sort();
        found.into_iter().map(|(_, _, at)| at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(platform: &str, python: (u8, u8), glibc: u16) -> Tags {
        let target = PythonTarget { python, glibc: (2, glibc), platforms: vec![] };
        Tags::new(&target, &platform.parse().unwrap()).unwrap()
    }

    fn takes(tags: &Tags, tag: &str) -> bool {
        tags.rank(&format!("a-1-{tag}.whl").parse().unwrap()).is_some()
    }

    #[test]
    fn compatible_or_not() {
        let amd64 = tags("linux/amd64", (3, 13), 36);
        let arm64 = tags("linux/arm64", (3, 13), 36);
        // tag, on amd64, on arm64
        for (tag, on_amd64, on_arm64) in [
            ("py3-none-any", true, true),
            ("py2.py3-none-any", true, true),
            ("py2-none-any", false, false),
            ("py313-none-any", true, true),
            ("py314-none-any", false, false),
            ("cp313-none-any", true, true),
            ("cp313-cp313-manylinux_2_17_x86_64", true, false),
            ("cp313-cp313-manylinux_2_17_aarch64.manylinux2014_aarch64", false, true),
            ("cp313-cp313-manylinux_2_36_x86_64", true, false),
            ("cp313-cp313-manylinux_2_37_x86_64", false, false),
            ("cp313-cp313-manylinux1_x86_64", true, false),
            ("cp313-cp313-manylinux2010_x86_64", true, false),
            ("cp313-cp313-manylinux2010_aarch64", false, false),
            ("cp313-cp313-manylinux_2_4_x86_64", false, false),
            ("cp313-cp313-linux_x86_64", true, false),
            ("cp313-cp313-musllinux_1_2_x86_64", false, false),
            ("cp313-cp313t-manylinux_2_17_x86_64", false, false),
            ("cp312-cp312-manylinux_2_17_x86_64", false, false),
            ("cp39-abi3-manylinux_2_17_x86_64", true, false),
            ("cp314-abi3-manylinux_2_17_x86_64", false, false),
            ("py3-none-manylinux_2_17_aarch64", false, true),
            ("cp313-cp313-win_amd64", false, false),
            ("cp313-cp313-macosx_11_0_arm64", false, false),
            ("pp310-pypy310_pp73-manylinux_2_17_x86_64", false, false),
            ("cp313-cp313-manylinux_2_17_i686", false, false),
        ] {
            assert_eq!((takes(&amd64, tag), takes(&arm64, tag)), (on_amd64, on_arm64), "{tag}");
        }
    }

    #[test]
    fn best_first() {
        let order = [
            "a-1-cp313-cp313-manylinux_2_28_x86_64.whl",
            "a-1-2-cp313-cp313-manylinux_2_17_x86_64.whl",
            "a-1-1-cp313-cp313-manylinux_2_17_x86_64.whl",
            "a-1-cp313-cp313-manylinux2014_x86_64.whl",
            "a-1-cp313-cp313-linux_x86_64.whl",
            "a-1-cp313-abi3-manylinux_2_17_x86_64.whl",
            "a-1-cp39-abi3-manylinux_2_17_x86_64.whl",
            "a-1-py3-none-manylinux_2_17_x86_64.whl",
            "a-1-cp313-none-any.whl",
            "a-1-py3-none-any.whl",
        ];
        let wheels: Vec<WheelName> = order.iter().rev().map(|f| f.parse().unwrap()).collect();
        let best: Vec<usize> = (0..order.len()).rev().collect();
        assert_eq!(tags("linux/amd64", (3, 13), 41).best(&wheels), best);
    }
}
