//! What takes a retired image's place: names come from the site's settings, never from here.

use crate::image::{Retired, Version};

/// What the site says of its images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Successors {
    /// Where the site's images are, as `quay.io/example`; `hub` lies below it.
    pub registry: Option<String>,
    /// What users get: a reference with a tag or digest, or docker-stacks' name without one
    /// (`quay.io/jupyter/base-notebook`), whose tags tell JupyterHub's version.
    pub singleuser: Option<String>,
    /// That a proxy runs apart from the hub, though nothing that is read says so.
    pub proxy_apart: bool,
}

/// Stands where nothing says which registry.
const REGISTRY: &str = "<registry>";
/// Stands where nothing says which version.
const VERSION: &str = "<MAJOR.MINOR.PATCH>";

/// A successor: the text for people, and the reference where it is known whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// With placeholders where something is not known.
    pub shown: String,
    /// Name and tag or digest behind it (with its `:` or `@`), where nothing is left open.
    pub sure: Option<(String, String)>,
}

impl Successors {
    /// What takes the place of `image` at `version`.
    pub fn of(&self, image: Retired, version: &Version) -> Successor {
        if image.is_hub() { self.hub(version) } else { self.singleuser(version) }
    }

    /// Whether users get an image of docker-stacks.
    pub fn is_stacks(&self) -> bool {
        let name = self.singleuser.as_deref().map(|wanted| split(wanted).0);
        name.is_none_or(|name| name.contains("/jupyter/"))
    }

    fn hub(&self, version: &Version) -> Successor {
        let name = format!("{}/hub", self.registry.as_deref().unwrap_or(REGISTRY));
        let tag = match version {
            Version::Exact(version) => version,
            _ => VERSION,
        };
        let shown = format!("{name}:{tag}");
        let sure = self.registry.is_some() && tag != VERSION;
        Successor { shown, sure: sure.then(|| (name, format!(":{tag}"))) }
    }

    fn singleuser(&self, version: &Version) -> Successor {
        let exact = match version {
            Version::Exact(version) => Some(version.as_str()),
            _ => None,
        };
        let stacks = "quay.io/jupyter/base-notebook";
        let Some(wanted) = &self.singleuser else {
            let shown = format!("{stacks}:hub-{}", exact.unwrap_or(VERSION));
            return Successor { shown, sure: None };
        };
        match (split(wanted), exact) {
            ((_, ""), None) => Successor { shown: format!("{wanted}:hub-{VERSION}"), sure: None },
            ((name, ""), Some(version)) => {
                let tag = format!(":hub-{version}");
                // Only docker-stacks' tags are known to tell JupyterHub's version.
                let known = name.contains("/jupyter/");
                Successor {
                    shown: format!("{name}{}", if known { tag.as_str() } else { ":<tag>" }),
                    sure: known.then(|| (name.to_owned(), tag.clone())),
                }
            }
            // What a variable says is chosen somewhere else.
            ((name, tag), _) => {
                let sure = *version != Version::Variable;
                let sure = sure.then(|| (name.to_owned(), tag.to_owned()));
                Successor { shown: wanted.clone(), sure }
            }
        }
    }
}

/// A reference's name, and its tag or digest with what parts them.
pub fn split(reference: &str) -> (&str, &str) {
    let digest = reference.find('@').unwrap_or(reference.len());
    let name = &reference[..digest];
    match name.rfind(':') {
        Some(at) if !name[at..].contains('/') => reference.split_at(at),
        _ => reference.split_at(digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_invented() {
        let exact = Version::Exact("5.2.1".into());
        let none = Successors::default();
        let some = |registry: &str, singleuser: &str| Successors {
            registry: Some(registry.to_owned()).filter(|r| !r.is_empty()),
            singleuser: Some(singleuser.to_owned()).filter(|r| !r.is_empty()),
            proxy_apart: false,
        };
        for (case, settings, image, version, shown, sure) in [
            ("no registry", none.clone(), Retired::Hub, &exact, "<registry>/hub:5.2.1", false),
            (
                "no version",
                some("r.example/t", ""),
                Retired::Hub,
                &Version::Moving,
                "r.example/t/hub:<MAJOR.MINOR.PATCH>",
                false,
            ),
            (
                "digest",
                some("r.example/t", ""),
                Retired::Hub,
                &Version::Digest,
                "r.example/t/hub:<MAJOR.MINOR.PATCH>",
                false,
            ),
            ("both", some("r.example/t", ""), Retired::Onbuild, &exact, "r.example/t/hub:5.2.1", true),
            (
                "stacks by default",
                none,
                Retired::Singleuser,
                &exact,
                "quay.io/jupyter/base-notebook:hub-5.2.1",
                false,
            ),
            (
                "stacks",
                some("", "quay.io/jupyter/scipy-notebook"),
                Retired::Singleuser,
                &exact,
                "quay.io/jupyter/scipy-notebook:hub-5.2.1",
                true,
            ),
            (
                "own without tag",
                some("", "r.example:5000/lab"),
                Retired::Singleuser,
                &exact,
                "r.example:5000/lab:<tag>",
                false,
            ),
            (
                "own",
                some("", "r.example:5000/lab:4.6.6-1"),
                Retired::Singleuser,
                &Version::Moving,
                "r.example:5000/lab:4.6.6-1",
                true,
            ),
        ] {
            let successor = settings.of(image, version);
            assert!(settings.of(image, &Version::Variable).sure.is_none(), "{case}");
            assert_eq!((successor.shown.as_str(), successor.sure.is_some()), (shown, sure), "{case}");
            if let Some((name, tag)) = successor.sure {
                assert_eq!(format!("{name}{tag}"), shown, "{case}");
            }
        }
    }
}
