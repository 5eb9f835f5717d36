//! What the files of a site say of each other: that a proxy runs apart from the hub, and which scripts run in an image.
//!
//! Sites lie side by side in one repository, so a file is heard in its own folder tree only, and one that starts
//! containers decides for itself.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::image;
use crate::kind::{self, Kind};

/// A file's folder, and what it says.
#[derive(Clone, Debug, Default)]
pub struct Voice {
    path: String,
    /// A configuration that lets the hub start no proxy.
    config: bool,
    /// A proxy's image, in a container or values.
    image: bool,
    /// Values of Zero to JupyterHub, whose chart runs a proxy of its own.
    values: bool,
    /// Whether it starts containers.
    starts: bool,
    /// Whether it uses a retired hub image.
    hub: bool,
    /// File names in it, where it uses an image.
    names: BTreeSet<String>,
}

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

impl Voice {
    /// Whether there is anything that others may hear.
    pub fn says_something(&self) -> bool {
        self.config || self.image || self.values || self.hub || !self.names.is_empty()
    }
}

/// Reads what a file says.
pub fn voice(path: &str, text: &str) -> Voice {
    static CONFIG: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?m)^[^#\n]*(?:\b\w*Proxy\.should_start\s*=\s*False|\bproxy_class\s*=[^#\n]*(?:Ingress|ingress))",
        )
        .ok()
    });
    static IMAGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r#"(?m)^[^#\n]*["']?image["']?\s*[:=]\s*["']?\S*(?:configurable-http-proxy|jupyterhub-traefik-proxy)"#,
        )
        .ok()
    });
    static VALUES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?m)^singleuser:\s*$").ok());
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\w-]+(?:\.[\w-]+)*").ok());
    let found = image::find(text);
    let names = NAME.as_ref().filter(|_| !found.is_empty());
    Voice {
        path: path.to_owned(),
        config: matches(&CONFIG, text),
        image: matches(&IMAGE, text),
        values: matches(&VALUES, text),
        starts: matches!(kind::of(path, text), Some(Kind::Yaml)),
        hub: found.iter().any(|found| found.image.is_hub()),
        names: names.map_or_else(BTreeSet::new, |names| {
            names.find_iter(text).map(|name| name.as_str().to_owned()).collect()
        }),
    }
}

/// The folder of a path, with a slash behind it; nothing for the root.
fn folder(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..=at])
}

/// Whether one of two folders lies in the other.
fn one_tree(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// Whether one of the files says to the one at `path` that a proxy runs apart from its hub.
pub fn proxy_apart(path: &str, text: &str, voices: &[Voice]) -> bool {
    let here = folder(path);
    let starts = matches!(kind::of(path, text), Some(Kind::Yaml));
    voices.iter().filter(|voice| voice.config || voice.image || voice.values).any(|voice| {
        let there = folder(&voice.path);
        if voice.path == path {
            return true;
        }
        if there == here {
            return voice.config || voice.image;
        }
        if !one_tree(here, there) {
            return false;
        }
        // A file that starts containers is heard elsewhere by what it builds, and hears the configurations that it
        // names.
        if !starts {
            return voice.config || voice.image;
        }
        let below = there.strip_prefix(here).map(|below| below.trim_end_matches('/'));
        voice.config && !voice.starts && below.map_or(text.contains("../"), |below| text.contains(below))
    })
}

/// Whether a retired hub image is used in the file's folder tree.
pub fn hub_used(path: &str, voices: &[Voice]) -> bool {
    voices.iter().any(|voice| voice.hub && one_tree(folder(path), folder(&voice.path)))
}

/// Whether a file on a retired image names the script at `path`, and whether that image is a hub.
pub fn runs_in(path: &str, voices: &[Voice]) -> Option<bool> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let users = voices.iter().filter(|voice| {
        voice.path != path && voice.names.contains(name) && one_tree(folder(path), folder(&voice.path))
    });
    users.map(|voice| voice.hub).reduce(|a, b| a || b)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHP: &str = "services: {p: {image: 'quay.io/jupyterhub/configurable-http-proxy:4'}}\n";
    const CONFIG: &str = "c.ConfigurableHTTPProxy.should_start = False\n";
    const VALUES: &str = "hub:\n  x: 1\nsingleuser:\n  image: {}\n";
    const HUB: &str = "services: {h: {image: 'jupyterhub/jupyterhub:5.2.1'}}\n";

    #[test]
    fn signs_of_a_proxy_apart() {
        for (text, says) in [
            (CONFIG, true),
            ("# c.ConfigurableHTTPProxy.should_start = False\n", false),
            ("c.ConfigurableHTTPProxy.should_start = True\n", false),
            ("c.TraefikProxy.should_start = False\n", true),
            // It is started by the hub, as the other is.
            ("c.JupyterHub.proxy_class = 'traefik_file'\n", false),
            ("c.JupyterHub.proxy_class = 'kubespawner.proxy:KubeIngressProxy'\n", true),
            ("  proxy:\n    image: quay.io/jupyterhub/configurable-http-proxy:4.6.3\n", true),
            (VALUES, true),
            ("RUN npm install -g configurable-http-proxy\n", false),
        ] {
            assert_eq!(proxy_apart("x", text, &[voice("x", text)]), says, "{text}");
        }
    }

    #[test]
    fn a_sign_is_heard_in_its_own_folder_tree() {
        for (from, said, path, text, heard) in [
            ("compose.yml", CHP, "hub/Dockerfile", "", true),
            ("deploy/proxy.yaml", CHP, "deploy/hub.yaml", HUB, true),
            ("jupyterhub_config.py", CONFIG, "compose.yml", HUB, true),
            ("hub/jupyterhub_config.py", CONFIG, "compose.yml", "x: {build: ./hub, image: y}", true),
            ("hub/jupyterhub_config.py", CONFIG, "compose.yml", "x: 1", false),
            ("jupyterhub_config.py", CONFIG, "compose/compose.yml", "- ../jupyterhub_config.py:/x", true),
            ("jupyterhub_config.py", CONFIG, "compose/compose.yml", HUB, false),
            ("jupyterhub_config.py", CONFIG, "scripts/run.sh", "", true),
            // Sites side by side, and inside each other.
            ("k8s/values.yaml", VALUES, "compose/docker-compose.yml", HUB, false),
            ("values.yaml", VALUES, "docker-compose.yml", HUB, false),
            ("values.yaml", VALUES, "hub/Dockerfile", "", false),
            ("docker-compose.yml", CHP, "examples/docker-compose.yml", HUB, false),
            ("examples/docker-compose.yml", CHP, "docker-compose.yml", HUB, false),
            ("a/docker-compose.yml", CHP, "b/Dockerfile", "", false),
            ("ab/docker-compose.yml", CHP, "a/Dockerfile", "", false),
        ] {
            assert_eq!(proxy_apart(path, text, &[voice(from, said)]), heard, "{from} → {path}: {text}");
        }
    }

    #[test]
    fn a_script_runs_in_the_image_of_a_file_that_names_it() {
        let voices = [
            voice("hub/Dockerfile", "FROM jupyterhub/jupyterhub\nCMD [\"/srv/start.sh\"]\n"),
            voice("lab/Dockerfile", "FROM jupyterhub/singleuser\nCOPY setup.sh /\n"),
            voice("x/Dockerfile", "FROM scratch\nCOPY other.sh /\n"),
        ];
        for (path, runs) in [
            ("hub/start.sh", Some(true)),
            ("lab/setup.sh", Some(false)),
            ("setup.sh", Some(false)),
            ("x/other.sh", None),
            ("hub/restart.sh", None),
            ("other/start.sh", None),
        ] {
            assert_eq!(runs_in(path, &voices), runs, "{path}");
        }
        assert!(hub_used("hub/jupyterhub_config.py", &voices) && !hub_used("x/y.py", &voices));
    }
}
