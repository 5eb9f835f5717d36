//! The command lines of the control plane. Pure. No secret is in them: keys are files.

use serde_json::{Value, json};

use super::spec::{GATEWAY, SERVICES, Spec};

/// How long a fake node's lease holds. With 40 s, as usual, 5,000 nodes would write 500 times a second for their
/// heartbeats alone.
const FAKE_LEASE_SECONDS: u32 = 400;

/// Requests a second for controller manager and scheduler with fake nodes: their own limit is 20, and a DaemonSet of
/// 1,000 pods would wait for it most of all.
const FAKE_QPS: u32 = 1000;

type Words = Vec<String>;

/// etcd, on loopback of the cluster's namespace, without waiting for the disk: it never outlives the machine.
pub fn etcd(spec: &Spec) -> Words {
    let data = spec.folder.join("etcd");
    words(&format!(
        "--data-dir={} --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
         --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \
         --initial-cluster=default=http://127.0.0.1:2380 --unsafe-no-fsync --quota-backend-bytes=4294967296",
        data.display()
    ))
}

/// The API server. It listens where its service is, so no kube-proxy is needed. Without the aggregation's client
/// certificate, controller manager and scheduler would log errors for ever.
pub fn apiserver(spec: &Spec) -> Words {
    let pki = spec.folder.join("pki");
    let mut all = words(&format!(
        "--etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --secure-port=443 --advertise-address={GATEWAY} \
         --tls-cert-file={pki}/apiserver.crt --tls-private-key-file={pki}/apiserver.key --client-ca-file={pki}/ca.crt \
         --kubelet-client-certificate={pki}/kubelet-client.crt --kubelet-client-key={pki}/kubelet-client.key \
         --kubelet-certificate-authority={pki}/ca.crt --kubelet-preferred-address-types=InternalIP \
         --requestheader-client-ca-file={pki}/ca.crt --requestheader-allowed-names=front-proxy-client \
         --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
         --requestheader-extra-headers-prefix=X-Remote-Extra- \
         --proxy-client-cert-file={pki}/front-proxy.crt --proxy-client-key-file={pki}/front-proxy.key \
         --service-account-key-file={pki}/tokens.pub --service-account-signing-key-file={pki}/tokens.key \
         --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range={SERVICES} \
         --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
         --audit-policy-file={folder}/audit.json --audit-log-path={audit} --audit-log-mode=blocking",
        pki = pki.display(),
        folder = spec.folder.display(),
        audit = spec.log("audit").display()
    ));
    if spec.fake_nodes > 0 {
        all.extend(words("--max-requests-inflight=2000 --max-mutating-requests-inflight=1000"));
    }
    all
}

/// Who asks the API server for what is written down, a line when the answer begins and one when it is complete, but
/// for Kubernetes' own parts: they are most of it.
pub fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system", "system:unauthenticated"]},
            {"level": "None", "users": ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "inside"]},
            {"level": "Metadata"},
        ],
    })
}

/// The controller manager. A node that is silent is given up after 12 s (usual: 50), so that tests need not wait.
pub fn controller_manager(spec: &Spec) -> Words {
    let pki = spec.folder.join("pki");
    let mut all = as_client(spec, "kcm");
    all.extend(words(&format!(
        "--use-service-account-credentials=true --service-account-private-key-file={pki}/tokens.key \
         --root-ca-file={pki}/ca.crt --node-monitor-period=1s --allocate-node-cidrs=false",
        pki = pki.display()
    )));
    all.extend(match spec.fake_nodes {
        0 => words("--node-monitor-grace-period=12s"),
        _ => words(&format!(
            "--node-monitor-grace-period={}s --kube-api-qps={FAKE_QPS} --kube-api-burst={} \
             --concurrent-daemonset-syncs=5",
            FAKE_LEASE_SECONDS + 100,
            FAKE_QPS * 2
        )),
    });
    all
}

/// The scheduler.
pub fn scheduler(spec: &Spec) -> Words {
    let mut all = as_client(spec, "scheduler");
    if spec.fake_nodes > 0 {
        all.extend(words(&format!("--kube-api-qps={FAKE_QPS} --kube-api-burst={}", FAKE_QPS * 2)));
    }
    all
}

/// kwok, which plays all nodes; `stages` are its own files of what nodes and pods do.
pub fn kwok(spec: &Spec, stages: &[String]) -> Words {
    let mut all = words(&format!(
        "--kubeconfig={} --manage-all-nodes=true --node-ip={GATEWAY} --cidr=10.128.0.0/9 \
         --node-lease-duration-seconds={FAKE_LEASE_SECONDS} --server-address=127.0.0.1:10247",
        spec.pki("inside.kubeconfig").display()
    ));
    all.extend(stages.iter().map(|stage| format!("--config={stage}")));
    all
}

fn as_client(spec: &Spec, name: &str) -> Words {
    let file = spec.pki(&format!("{name}.kubeconfig"));
    let mut all: Words = ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"]
        .map(|flag| format!("--{flag}={}", file.display()))
        .into();
    let own = spec.folder.join(name);
    all.extend(words(&format!("--bind-address=127.0.0.1 --cert-dir={} --leader-elect=false", own.display())));
    all
}

/// Words apart by spaces; nothing here has a space in it but what is a file's name, and the folder's has none.
fn words(text: &str) -> Words {
    text.split_whitespace().map(str::to_owned).collect()
}
