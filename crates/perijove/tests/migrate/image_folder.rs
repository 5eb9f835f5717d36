//! An image folder that `migrate` wrote, all the way to a hub that runs from it.

use perijove_testkit::program::Program;
use perijove_testkit::{has, skip};
use serde_json::Value;

use super::{PERIJOVE, Site};

/// The hub with the site's configuration, and a proxy that only remembers. The address is one that only the
/// configuration and the Dockerfile's ENV together say.
const HUB_RUNS: &str = r#"
[[image.hub.test]]
serve = ["python3", "-c", """
from jupyterhub.app import JupyterHub
from jupyterhub.proxy import Proxy

class Remember(Proxy):
    routes = {}
    async def start(self): pass
    async def stop(self): pass
    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}
    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)
    async def get_all_routes(self):
        return self.routes

JupyterHub.proxy_class.default_value = Remember
JupyterHub.launch_instance([])
"""]
get = "http://127.0.0.1:8081/university/hub/health"
within_seconds = 120
"#;

/// A Dockerfile of the usual kind becomes an image that locks, builds, and passes its check: with the packages of
/// this site.
#[test]
fn the_image_folder_locks_builds_and_runs() {
    let test = "the_image_folder_locks_builds_and_runs";
    if !has(test, "uv") {
        return;
    }
    let site = Site::empty();
    site.write(
        "hub/Dockerfile",
        "FROM jupyterhub/jupyterhub-onbuild:5.3.0\n\
         RUN apt-get update && apt-get install -y netbase && rm -rf /var/lib/apt/lists/*\n\
         COPY requirements.txt /tmp/\n\
         RUN pip install --no-cache-dir -r /tmp/requirements.txt\n\
         ENV SITE=university\n",
    );
    site.write(
        "hub/jupyterhub_config.py",
        "import os\nc = get_config()\nc.JupyterHub.authenticator_class = \"tmp\"\n\
         c.JupyterHub.base_url = f\"/{os.environ['SITE']}/\"\n",
    );
    site.write("hub/requirements.txt", "jupyterhub-tmpauthenticator==1.0.0\n");
    let (code, found) = site.json(&[".", "--fix", "--registry", "registry.example/team"]);
    assert_eq!((code, &found["folders"][0]["state"]), (Some(1), &"written".into()), "{found}");
    assert_eq!(found["folders"][0]["left"], serde_json::json!([]));
    let toml = String::from_utf8(site.files()["perijove.toml"].clone()).unwrap();
    site.write("perijove.toml", toml + HUB_RUNS);
    let program = |arguments: &[&str]| {
        Program::of_this_site(PERIJOVE, site.folder.path()).args(arguments.iter().copied()).run()
    };
    let ran = program(&["lock", "hub"]);
    if ran.code == Some(1) && ran.stdout.is_empty() {
        // No index answers here.
        return skip(test, &ran.stderr);
    }
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lock = String::from_utf8(site.files()["images/hub/requirements.txt"].clone()).unwrap();
    assert!(
        lock.contains("jupyterhub==5.3.0") && lock.contains("jupyterhub-tmpauthenticator==1.0.0"),
        "{lock}"
    );
    let ran = program(&["build", "hub", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = program(&["test", "hub", "--format", "json"]);
    let Ok(result) = serde_json::from_str::<Value>(&ran.stdout) else { return skip(test, &ran.stderr) };
    let host = perijove_oci::Platform::host().to_string();
    let checks =
        result["checks"].as_array().unwrap().iter().filter(|check| check["platform"] == host.as_str());
    let verdicts: Vec<&Value> = checks.map(|check| &check["result"]).collect();
    assert_eq!(
        (ran.code, verdicts),
        (Some(0), vec![&Value::from("passed"); 2]),
        "{}\n{}",
        ran.stdout,
        ran.stderr
    );
}
