//! Certificates and kubeconfigs, made new for each cluster. Keys are in files that only root reads, never in arguments.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::json;

use super::spec::{GATEWAY, MOST_NODES, NodeSpec, SERVICE, Spec};

/// Who has a certificate: file, user, group, and the names of its server if it is one.
type Holder = (String, String, Option<&'static str>, Vec<SanType>);

fn holders(spec: &Spec) -> Vec<Holder> {
    let ip = |address: Ipv4Addr| SanType::IpAddress(IpAddr::V4(address));
    let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let mut server: Vec<SanType> = [Ipv4Addr::LOCALHOST, GATEWAY, SERVICE].map(ip).into();
    server.extend(names.iter().filter_map(|n| Some(SanType::DnsName((*n).try_into().ok()?))));
    // The group `system:masters` may do everything, without a binding having been made first.
    let mut all: Vec<Holder> = [
        ("apiserver", "kube-apiserver", None, server),
        ("admin", "admin", Some("system:masters"), Vec::new()),
        ("inside", "inside", Some("system:masters"), Vec::new()),
        ("kubelet-client", "kube-apiserver-kubelet-client", Some("system:masters"), Vec::new()),
        ("front-proxy", "front-proxy-client", None, Vec::new()),
        ("kcm", "system:kube-controller-manager", None, Vec::new()),
        ("scheduler", "system:kube-scheduler", None, Vec::new()),
    ]
    .map(|(file, user, group, names)| (file.to_owned(), user.to_owned(), group, names))
    .into();
    let nodes = (1..=MOST_NODES).map(|number| NodeSpec::new(spec, number));
    all.extend(nodes.map(|node| {
        let names = vec![ip(node.address)];
        (node.name.clone(), format!("system:node:{}", node.name), Some("system:nodes"), names)
    }));
    all
}

/// Writes all of a cluster's.
///
/// # Errors
/// When a file cannot be written.
pub fn write(spec: &Spec) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(spec.folder.join("pki"))?;
    let failed = std::io::Error::other::<rcgen::Error>;
    let mut root = CertificateParams::new(Vec::new()).map_err(failed)?;
    root.distinguished_name.push(DnType::CommonName, "perijove-test");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let root_key = KeyPair::generate().map_err(failed)?;
    let ca = root.self_signed(&root_key).map_err(failed)?.pem();
    let issuer = Issuer::new(root, root_key);
    secret(&spec.pki("ca.crt"), &ca)?;
    let tokens = KeyPair::generate().map_err(failed)?;
    secret(&spec.pki("tokens.key"), &tokens.serialize_pem())?;
    secret(&spec.pki("tokens.pub"), &tokens.public_key_pem())?;
    for (file, user, group, names) in holders(spec) {
        let mut wanted = CertificateParams::new(Vec::new()).map_err(failed)?;
        wanted.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            wanted.distinguished_name.push(DnType::OrganizationName, group);
        }
        wanted.subject_alt_names = names;
        wanted.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = wanted.signed_by(&key, &issuer).map_err(failed)?.pem();
        let key = key.serialize_pem();
        secret(&spec.pki(&format!("{file}.crt")), &certificate)?;
        secret(&spec.pki(&format!("{file}.key")), &key)?;
        // From this machine the API server is on loopback, from within the cluster on the bridge.
        let server = match file.as_str() {
            "admin" => format!("https://127.0.0.1:{}", spec.api_port),
            _ => format!("https://{GATEWAY}:443"),
        };
        let config = kubeconfig(&server, &ca, &certificate, &key);
        secret(&spec.pki(&format!("{file}.kubeconfig")), &config)?;
    }
    Ok(())
}

/// A kubeconfig that needs no other file.
fn kubeconfig(server: &str, ca: &str, certificate: &str, key: &str) -> String {
    let cluster = json!({"server": server, "certificate-authority-data": STANDARD.encode(ca)});
    let user = json!({"client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key)});
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "perijove-test", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "perijove-test", "context": {"cluster": "perijove-test", "user": "user"}}],
        "current-context": "perijove-test",
    })
    .to_string()
}

/// A new file that nobody else reads.
fn secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
