//! Debian's words for the platforms that images name.

use perijove_oci::Platform;

use crate::{Error, Result};

/// OCI platform (os/architecture, variant) and Debian architecture. A variant that is not here is ignored
/// where only one architecture fits (`linux/arm64/v8`).
const ARCHITECTURES: [(&str, Option<&str>, &str); 9] = [
    ("386", None, "i386"),
    ("amd64", None, "amd64"),
    ("arm", Some("v6"), "armel"),
    ("arm", Some("v7"), "armhf"),
    ("arm64", None, "arm64"),
    ("loong64", None, "loong64"),
    ("ppc64le", None, "ppc64el"),
    ("riscv64", None, "riscv64"),
    ("s390x", None, "s390x"),
];

/// The architecture of packages that fit every platform.
pub const ALL: &str = "all";

/// The Debian architecture of `platform`.
pub fn architecture(platform: &Platform) -> Result<&'static str> {
    let found = ARCHITECTURES.iter().find(|(name, variant, _)| {
        *name == platform.architecture && (variant.is_none() || *variant == platform.variant.as_deref())
    });
    match found {
        Some((_, _, debian)) if platform.os == "linux" => Ok(debian),
        _ => {
            let known: Vec<String> = ARCHITECTURES
                .iter()
                .map(|(name, variant, _)| {
                    format!("linux/{name}{}", variant.map_or(String::new(), |v| format!("/{v}")))
                })
                .collect();
            Err(Error::Refused {
                reason: format!("Debian has no architecture for platform {platform}"),
                hint: format!("choose from {}", known.join(", ")),
            })
        }
    }
}

/// Whether `text` is a Debian architecture that some platform has, or `all`.
pub fn is_architecture(text: &str) -> bool {
    text == ALL || ARCHITECTURES.iter().any(|(_, _, debian)| *debian == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translates_platforms() {
        for (platform, expected) in [
            ("linux/amd64", Some("amd64")),
            ("linux/arm64", Some("arm64")),
            ("linux/arm64/v8", Some("arm64")),
            ("linux/arm/v7", Some("armhf")),
            ("linux/ppc64le", Some("ppc64el")),
            ("linux/arm", None),
            ("windows/amd64", None),
        ] {
            let platform: Platform = platform.parse().unwrap();
            assert_eq!(architecture(&platform).ok(), expected, "{platform}");
        }
    }
}
