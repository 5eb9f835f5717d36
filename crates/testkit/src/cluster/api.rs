//! The API server, asked as its administrator: whether all is ready, and thousands of made-up nodes. Tests ask it with
//! kubectl or with the code under test.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use super::spec::Spec;

/// A client with the administrator's certificate.
#[derive(Clone)]
pub struct Api {
    client: Client,
    base: String,
}

type Answer<T> = Result<T, String>;

impl Api {
    /// At `base`, as `https://127.0.0.1:6443`.
    ///
    /// # Errors
    /// When the cluster's certificates cannot be read.
    pub fn new(spec: &Spec, base: String) -> std::io::Result<Self> {
        let other = |e: String| std::io::Error::other(e);
        let certificate = |name: &str| {
            CertificateDer::from_pem_file(spec.pki(name)).map_err(|e| other(format!("{name}: {e}")))
        };
        let key = PrivateKeyDer::from_pem_file(spec.pki("admin.key")).map_err(|e| other(e.to_string()))?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate("ca.crt")?).map_err(|e| other(e.to_string()))?;
        let own = vec![certificate("admin.crt")?];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|b| b.with_root_certificates(roots).with_client_auth_cert(own, key))
            .map_err(|e| other(e.to_string()))?;
        let client = Client::builder().no_proxy().tls_backend_preconfigured(tls).build();
        Ok(Api { client: client.map_err(|e| other(e.to_string()))?, base })
    }

    /// Whether the server says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let asked = self.client.get(format!("{}/readyz", self.base)).timeout(Duration::from_secs(5)).send();
        asked.await.is_ok_and(|a| a.status() == StatusCode::OK)
    }

    /// An object, or a list.
    ///
    /// # Errors
    /// What the server says, or that it says nothing.
    pub async fn get(&self, path: &str) -> Answer<Value> {
        let answer =
            self.client.get(format!("{}{path}", self.base)).send().await.map_err(|e| e.to_string())?;
        let status = answer.status();
        let body = answer.text().await.map_err(|e| e.to_string())?;
        if !status.is_success() {
            return Err(format!("{path}: {status}: {body}"));
        }
        serde_json::from_str(&body).map_err(|e| format!("{path}: {e}"))
    }

    /// Makes an object; one that is there stays as it is.
    ///
    /// # Errors
    /// What the server says, or that it says nothing.
    pub async fn create(&self, path: &str, object: &Value) -> Answer<()> {
        let request = self.client.post(format!("{}{path}", self.base));
        let request = request.header("Content-Type", "application/json").body(object.to_string());
        let answer = request.send().await.map_err(|e| e.to_string())?;
        match answer.status() {
            status if status.is_success() || status == StatusCode::CONFLICT => Ok(()),
            status => Err(format!("{path}: {status}: {}", answer.text().await.unwrap_or_default())),
        }
    }

    /// How many nodes are ready and take pods: a new one has the taint `not-ready` for a moment after it is Ready.
    ///
    /// # Errors
    /// What the server says, or that it says nothing.
    pub async fn ready_nodes(&self) -> Answer<usize> {
        let nodes = self.get("/api/v1/nodes").await?;
        Ok(nodes["items"].as_array().map_or(0, |all| all.iter().filter(|n| is_ready(n)).count()))
    }

    /// Makes nodes `fake-00000`… for kwok, 16 at a time.
    ///
    /// # Errors
    /// What the server says, or that it says nothing.
    pub async fn create_fake_nodes(&self, count: u32) -> Answer<()> {
        let mut making: tokio::task::JoinSet<Answer<()>> = tokio::task::JoinSet::new();
        for first in 0..16 {
            let api = self.clone();
            making.spawn(async move {
                for number in (first..count).step_by(16) {
                    api.create("/api/v1/nodes", &fake_node(number)).await?;
                }
                Ok(())
            });
        }
        while let Some(made) = making.join_next().await {
            made.map_err(|e| e.to_string())??;
        }
        Ok(())
    }
}

/// Whether a node is Ready and has no taint.
fn is_ready(node: &Value) -> bool {
    let tainted = node["spec"]["taints"].as_array().is_some_and(|t| !t.is_empty());
    let conditions = node["status"]["conditions"].as_array();
    !tainted
        && conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

/// A node that kwok plays.
fn fake_node(number: u32) -> Value {
    let name = format!("fake-{number:05}");
    let size = json!({"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
        },
        "status": {
            "allocatable": size, "capacity": size, "phase": "Running",
            "nodeInfo": {"kubeletVersion": "fake", "operatingSystem": "linux", "architecture": "amd64"},
        },
    })
}
