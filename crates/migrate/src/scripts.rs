//! Scripts that run in a retired image: an installer without a lock, and the proxy beside the hub.

use crate::dockerfile::pip;
use crate::finding::Finding;
use crate::scene::{self, Scene};
use crate::shell;

/// The habits of a script in a retired image; `hub` where that is a hub's.
pub fn read(text: &str, hub: bool, scene: &Scene) -> Vec<Finding> {
    let mut all = Vec::new();
    for (words, span) in shell::programs(text, '\\') {
        let program = words.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word));
        if pip::read(&words).is_some_and(|pip| !pip.is_locked(|_| false)) {
            all.push(scene::unlocked(span));
        } else if hub && !scene.proxy_apart && program == "configurable-http-proxy" {
            all.push(scene::proxy_in_hub(span, None));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scripts_do_in_an_image() {
        let here = Scene::default();
        let apart = Scene { proxy_apart: true, ..Scene::default() };
        for (text, hub, scene, found) in [
            ("configurable-http-proxy & jupyterhub", true, &here, vec!["proxy-in-hub"]),
            ("exec tini -- /usr/bin/configurable-http-proxy --ip x &\n", true, &here, vec!["proxy-in-hub"]),
            ("configurable-http-proxy & jupyterhub", true, &apart, vec![]),
            ("configurable-http-proxy", false, &here, vec![]),
            ("# configurable-http-proxy\necho configurable-http-proxy\n", true, &here, vec![]),
            ("if [ -f x ]; then\n  pip install -r x\nfi\n", false, &here, vec!["unlocked-install"]),
            ("pip install --require-hashes -r x\n", false, &here, vec![]),
        ] {
            let rules: Vec<&str> = read(text, hub, scene).iter().map(|finding| finding.rule.id()).collect();
            assert_eq!(rules, found, "{text}");
        }
    }
}
