//! What an image's Python is: its version, its C library, its processors; and the words that wheels, markers
//! and uv use for them.

use std::fmt;

use pep508_rs::{MarkerEnvironment, MarkerEnvironmentBuilder};
use perijove_oci::Platform;

use crate::{Error, Result};

/// The Python that wheels are picked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonTarget {
    /// `(3, 13)`.
    pub python: (u8, u8),
    /// The base image's glibc: `(2, 41)`.
    pub glibc: (u16, u16),
    /// Every platform of the image.
    pub platforms: Vec<Platform>,
}

impl fmt::Display for PythonTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Python {}.{}, glibc {}.{}", self.python.0, self.python.1, self.glibc.0, self.glibc.1)
    }
}

/// OCI architecture and variant → the kernel's machine name, which wheel tags and markers use (PEP 425, 508).
const MACHINES: &[(&str, Option<&str>, &str)] = &[
    ("amd64", None, "x86_64"),
    ("arm64", None, "aarch64"),
    ("arm64", Some("v8"), "aarch64"),
    ("ppc64le", None, "ppc64le"),
    ("s390x", None, "s390x"),
    ("riscv64", None, "riscv64"),
];

/// The machine name of `platform`, or an error that names it.
pub fn machine(platform: &Platform) -> Result<&'static str> {
    MACHINES
        .iter()
        .find(|(arch, variant, _)| {
            platform.os == "linux"
                && platform.architecture == *arch
                && platform.variant.as_deref() == *variant
        })
        .map(|(_, _, machine)| *machine)
        .ok_or_else(|| Error::Refused {
            reason: format!("no wheels can be picked for {platform}"),
            hint: "use linux/amd64 or linux/arm64".to_owned(),
        })
}

/// The manylinux levels that `uv pip compile --python-platform` takes on x86_64 and aarch64.
const UV_LEVELS: &[u16] = &[17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40];

impl PythonTarget {
    /// The marker environment (PEP 508) of this Python on `platform`. The micro version is taken as 0, as uv
    /// does for `--python-version 3.13`.
    pub fn markers(&self, platform: &Platform) -> Result<MarkerEnvironment> {
        let short = format!("{}.{}", self.python.0, self.python.1);
        let full = format!("{short}.0");
        MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: &full,
            os_name: "posix",
            platform_machine: machine(platform)?,
            platform_python_implementation: "CPython",
            platform_release: "",
            platform_system: "Linux",
            platform_version: "",
            python_full_version: &full,
            python_version: &short,
            sys_platform: "linux",
        })
        .map_err(|e| Error::Refused {
            reason: format!("Python {short} is no Python version: {e}"),
            hint: "name it as 3.13".to_owned(),
        })
    }

    /// uv's name for `platform` with the newest manylinux level that both uv knows and the base's glibc serves.
    pub fn uv_platform(&self, platform: &Platform) -> Result<String> {
        let machine = machine(platform)?;
        let level = UV_LEVELS.iter().rev().find(|&&minor| (2, minor) <= self.glibc);
        match (machine, level) {
            ("x86_64" | "aarch64", Some(minor)) => Ok(format!("{machine}-manylinux_2_{minor}")),
            (_, None) => Err(Error::Refused {
                reason: format!("glibc {}.{} is too old for today's wheels", self.glibc.0, self.glibc.1),
                hint: "use a base with glibc 2.17 or newer".to_owned(),
            }),
            _ => Err(Error::Refused {
                reason: format!("uv cannot lock wheels for {platform}"),
                hint: "use linux/amd64 or linux/arm64".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(minor: u16) -> PythonTarget {
        PythonTarget { python: (3, 13), glibc: (2, minor), platforms: vec![] }
    }

    #[test]
    fn uv_gets_the_newest_level_it_knows() {
        let amd64 = "linux/amd64".parse().unwrap();
        let arm64 = "linux/arm64/v8".parse().unwrap();
        for (glibc, want) in [(17, "17"), (30, "28"), (36, "36"), (41, "40")] {
            assert_eq!(target(glibc).uv_platform(&amd64).unwrap(), format!("x86_64-manylinux_2_{want}"));
        }
        assert_eq!(target(36).uv_platform(&arm64).unwrap(), "aarch64-manylinux_2_36");
        assert!(target(12).uv_platform(&amd64).is_err());
        assert!(target(36).uv_platform(&"linux/s390x".parse().unwrap()).is_err());
        assert!(target(36).uv_platform(&"windows/amd64".parse().unwrap()).is_err());
    }

    #[test]
    fn markers_see_the_platform() {
        let marker = |text: &str, platform: &str| {
            let tree: pep508_rs::MarkerTree = text.parse().unwrap();
            tree.evaluate(&target(36).markers(&platform.parse().unwrap()).unwrap(), &[])
        };
        assert!(marker("platform_machine == 'aarch64' and python_version >= '3.9'", "linux/arm64"));
        assert!(!marker("platform_machine == 'aarch64'", "linux/amd64"));
        assert!(!marker("sys_platform == 'win32' or os_name == 'nt'", "linux/amd64"));
        assert!(marker("python_full_version >= '3.13' and implementation_name == 'cpython'", "linux/amd64"));
    }
}
