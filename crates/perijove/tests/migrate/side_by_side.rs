//! Sites that lie beside each other in one repository, and what one file says of another.

use super::{Site, places};

const FLAGS: [&str; 6] =
    [".", "--fix", "--registry", "registry.example/team", "--singleuser", "registry.example/team/lab:4.10"];

/// Values of Zero to JupyterHub say nothing of the Compose file in the folder beside them.
#[test]
fn a_proxy_of_another_site_is_not_this_ones() {
    let site = Site::empty();
    let hub = "services: {hub: {image: 'jupyterhub/jupyterhub:5.2.1'}}\n";
    site.write(
        "k8s/values.yaml",
        "hub: {}\nsingleuser:\n  image: {name: jupyterhub/singleuser, tag: 5.2.1}\n",
    );
    site.write("compose/docker-compose.yml", hub);
    site.write("apart/docker-compose.yml", format!("{hub}  # The proxy's\n"));
    site.write("apart/jupyterhub_config.py", "c.ConfigurableHTTPProxy.should_start = False\n");
    let (code, found) = site.json(&FLAGS);
    assert_eq!((code, &found["fixed"]), (Some(1), &2.into()), "{found}");
    let files = site.files();
    assert_eq!(files["compose/docker-compose.yml"], hub.as_bytes());
    let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
    assert!(text("apart/docker-compose.yml").contains("'registry.example/team/hub:5.2.1'"));
    // A version of two numbers stays a text.
    assert!(text("k8s/values.yaml").contains("{name: registry.example/team/lab, tag: \"4.10\"}"));
}

/// A script that a file on a retired image starts, and one beside it that nobody names.
#[test]
fn a_script_is_read_as_part_of_its_image() {
    let site = Site::empty();
    let script = "#!/bin/sh\npip install oauthenticator\nconfigurable-http-proxy &\nexec jupyterhub\n";
    site.write("hub/start", script);
    site.write("tools/start-all.sh", script);
    site.write(
        "hub/compose.yml",
        "services: {h: {image: 'jupyterhub/jupyterhub:5.2.1', command: /srv/start}}\n",
    );
    let (_, found) = site.json(&FLAGS);
    let of_script: Vec<String> = places(&found).into_iter().filter(|place| place.contains("start")).collect();
    assert_eq!(of_script, ["hub/start:2 unlocked-install", "hub/start:3 proxy-in-hub"]);
}
