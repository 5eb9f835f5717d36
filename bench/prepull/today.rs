//! A stand-in for the hook of Zero to JupyterHub 4 and later: one DaemonSet whose pods run each image's shell in turn,
//! and an awaiter that reads that DaemonSet once a second. Written from what its chart renders and its awaiter does,
//! waits between attempts included.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// The word by which this program is its own awaiter.
pub const WORD: &str = "today-awaiter";
/// `prePuller.hook.podSchedulingWaitDuration`: so many polls want every desired pod ready.
const POLLS: u32 = 10;
const BETWEEN: Duration = Duration::from_secs(1);
/// A request that fails is sent so many times more, each after twice the wait, up to the longest.
const AGAIN: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The DaemonSet: singleuser's node selector, an init container for each image, then `pause`.
pub fn daemon_set(name: &str, labels: &Value, images: &[String], secret: Option<&str>, pause: &str) -> Value {
    let security = json!({
        "runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534, "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    });
    let pull = |(number, image): (usize, &String)| {
        json!({
            "name": format!("image-pull-{number}"),
            "image": image,
            "command": ["/bin/sh", "-c", "echo pulled"],
            "securityContext": security,
        })
    };
    let init: Vec<Value> = images.iter().enumerate().map(pull).collect();
    let tolerate =
        |key: &str| json!({"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"});
    let secrets: Vec<Value> = secret.into_iter().map(|name| json!({"name": name})).collect();
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {},
                    "tolerations": [tolerate("hub.jupyter.org/dedicated"), tolerate("hub.jupyter.org_dedicated")],
                    "terminationGracePeriodSeconds": 0,
                    "automountServiceAccountToken": false,
                    "imagePullSecrets": secrets,
                    "initContainers": init,
                    "containers": [{"name": "pause", "image": pause, "securityContext": security}],
                },
            },
        },
    })
}

/// Whether the awaiter is content with the DaemonSet as it reads it at its poll of this number, from 0.
pub fn is_content(set: &Value, poll: u32) -> bool {
    let number = |field: &str| set["status"][field].as_u64().unwrap_or_default();
    let ready = number("numberReady");
    if poll < POLLS {
        ready == number("desiredNumberScheduled")
    } else {
        ready >= number("currentNumberScheduled")
    }
}

/// The awaiter as a process: `KUBECONFIG NAMESPACE NAME`. Ends with 0 when it is content, with 1 when it gives up.
pub fn awaiter(words: &[String]) -> ExitCode {
    let [kubeconfig, namespace, name] = words else { return ExitCode::from(2) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(wait(kubeconfig.into(), namespace, name)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn wait(kubeconfig: PathBuf, namespace: &str, name: &str) -> Result<(), String> {
    let client = client(&kubeconfig).await;
    let path = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}");
    for poll in 0.. {
        let set = read(&client, &path).await?;
        if set["kind"] != "DaemonSet" {
            return Err(format!("can not parse API response as DaemonSet: {set}"));
        }
        let status = &set["status"];
        eprintln!(
            "{} ready, {} current, {} desired",
            status["numberReady"], status["currentNumberScheduled"], status["desiredNumberScheduled"]
        );
        if is_content(&set, poll) {
            break;
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(())
}

async fn read(client: &Client, path: &str) -> Result<Value, String> {
    let mut pause = FIRST_WAIT;
    let mut last = String::new();
    for attempt in 0..=AGAIN {
        if attempt > 0 {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_WAIT);
        }
        match client.request_text(Request::get(path).body(Vec::new()).unwrap()).await {
            Ok(text) => return serde_json::from_str(&text).map_err(|e| e.to_string()),
            // The server's refusal is an answer, and no DaemonSet.
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
                return Err(format!("can not parse API response as DaemonSet: {}", status.message));
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("giving up after {} attempts: {last}", AGAIN + 1))
}

/// A client of a kubeconfig that repeats nothing by itself.
pub async fn client(kubeconfig: &std::path::Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    config.default_retry = false;
    config.read_timeout = None;
    Client::try_from(config).unwrap()
}
