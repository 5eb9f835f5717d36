//! The kubelets', runtimes' and schedulers' own words, and what each means.

use super::super::reasons::{Reason, brief, pull, rejected, unschedulable};

/// As kubelets and runtimes wrote them.
const PULLS: &[(&str, &str, &str, Reason)] = &[
    // containerd 2.4 and 1.7
    (
        "ErrImagePull",
        "10.77.0.1:5000/lab/data:no-such-tag",
        "rpc error: code = NotFound desc = failed to pull and unpack image \"10.77.0.1:5000/lab/data:no-such-tag\": failed to resolve reference \"10.77.0.1:5000/lab/data:no-such-tag\": 10.77.0.1:5000/lab/data:no-such-tag: not found",
        Reason::ImageMissing,
    ),
    (
        "ImagePullBackOff",
        "r.example/a:1",
        "Back-off pulling image \"r.example/a:1\": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image \"r.example/a:1\": failed to resolve reference \"r.example/a:1\": r.example/a:1: not found",
        Reason::ImageMissing,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "failed to pull and unpack image \"r.example/a:1\": failed to resolve reference \"r.example/a:1\": failed to do request: Head \"https://r.example/v2/a/manifests/1\": dial tcp: lookup r.example on 10.96.0.10:53: no such host",
        Reason::NameUnknown,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "rpc error: code = Unknown desc = failed to pull and unpack image \"r.example/a:1\": failed to resolve reference \"r.example/a:1\": failed to do request: Head \"https://r.example/v2/a/manifests/1\": dial tcp 10.77.0.1:5000: connect: connection refused",
        Reason::RegistryUnreachable,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "rpc error: code = Unknown desc = failed to pull and unpack image \"r.example/a:1\": failed to resolve reference \"r.example/a:1\": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://r.example/token?scope=repository%3Aa%3Apull&service=r.example: 401 Unauthorized",
        Reason::CredentialsRefused,
    ),
    (
        "ErrImagePull",
        "docker.io/library/none:1",
        "rpc error: code = Unknown desc = failed to pull and unpack image \"docker.io/library/none:1\": failed to resolve reference \"docker.io/library/none:1\": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
        Reason::CredentialsRefused,
    ),
    (
        "ErrImagePull",
        "ghcr.io/a/b:1",
        "failed to pull and unpack image \"ghcr.io/a/b:1\": failed to resolve reference \"ghcr.io/a/b:1\": failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://ghcr.io/token: 403 Forbidden: denied",
        Reason::CredentialsRefused,
    ),
    (
        "ErrImagePull",
        "docker.io/library/busybox:1",
        "rpc error: code = Unknown desc = failed to pull and unpack image \"docker.io/library/busybox:1\": failed to copy: httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/library/busybox/manifests/sha256:62ff: 429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit",
        Reason::RateLimited,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "rpc error: code = NotFound desc = failed to pull and unpack image \"r.example/a:1\": no match for platform in manifest: not found",
        Reason::WrongPlatform,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "rpc error: code = Unknown desc = failed to pull and unpack image \"r.example/a:1\": failed to extract layer sha256:aa: write /var/lib/containerd/x: no space left on device: unknown",
        Reason::DiskFull,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "failed to pull and unpack image \"r.example/a:1\": failed to resolve reference \"r.example/a:1\": unexpected status from HEAD request to https://r.example/v2/a/manifests/1: 503 Service Unavailable",
        Reason::RegistryError,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "failed to pull and unpack image \"r.example/a:1\": failed to resolve reference \"r.example/a:1\": failed to do request: Head \"https://r.example/v2/a/manifests/1\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
        Reason::Certificate,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "failed to pull and unpack image \"r.example/a:1\": failed to resolve reference \"r.example/a:1\": failed to do request: Head \"https://r.example/v2/a/manifests/1\": http: server gave HTTP response to HTTPS client",
        Reason::Certificate,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "rpc error: code = Unknown desc = failed to pull and unpack image \"r.example/a:1\": failed to extract layer (application/vnd.oci.image.layer.v1.tar+gzip sha256:72) to overlayfs as \"extract-39-h4n4 sha256:7d\": mount callback failed on /var/lib/containerd/tmpmounts/containerd-mount1: unexpected EOF",
        Reason::ImageUnreadable,
    ),
    // dockershim of 1.20
    (
        "ErrImagePull",
        "none/a:1",
        "rpc error: code = Unknown desc = Error response from daemon: manifest for none/a:1 not found: manifest unknown: manifest unknown",
        Reason::ImageMissing,
    ),
    (
        "ErrImagePull",
        "none/a:1",
        "rpc error: code = Unknown desc = Error response from daemon: pull access denied for none/a, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
        Reason::CredentialsRefused,
    ),
    (
        "ErrImagePull",
        "a:1",
        "rpc error: code = Unknown desc = no matching manifest for linux/arm64/v8 in the manifest list entries",
        Reason::WrongPlatform,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "rpc error: code = Unknown desc = Error response from daemon: Get https://r.example/v2/: net/http: TLS handshake timeout",
        Reason::RegistryUnreachable,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "rpc error: code = Unknown desc = Error response from daemon: Get https://r.example/v2/a/manifests/1: unauthorized: access to the requested resource is not authorized",
        Reason::CredentialsRefused,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "rpc error: code = Unknown desc = error pulling image configuration: received unexpected HTTP status: 502 Bad Gateway",
        Reason::RegistryError,
    ),
    // CRI-O
    (
        "ErrImagePull",
        "r.example/a:1",
        "rpc error: code = Unknown desc = reading manifest 1 in r.example/a: manifest unknown: manifest unknown",
        Reason::ImageMissing,
    ),
    (
        "ErrImagePull",
        "docker.io/library/none",
        "rpc error: code = Unknown desc = reading manifest latest in docker.io/library/none: requested access to the resource is denied",
        Reason::CredentialsRefused,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "initializing source docker://r.example/a:1: unable to retrieve auth token: invalid username/password: unauthorized: incorrect username or password",
        Reason::CredentialsRefused,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "rpc error: code = Unknown desc = choosing image instance: no image found in manifest list for architecture amd64, variant \"\", OS linux",
        Reason::WrongPlatform,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "pinging container registry r.example: Get \"https://r.example/v2/\": dial tcp 192.0.2.1:443: i/o timeout",
        Reason::RegistryUnreachable,
    ),
    (
        "SignatureValidationFailed",
        "r.example/a:1",
        "image pull failed for r.example/a:1 because the signature validation failed: Source image rejected: A signature was required, but no signature exists",
        Reason::SignatureRefused,
    ),
    // Amazon's registry without the node's role
    (
        "ErrImagePull",
        "r.example/a:1",
        "rpc error: code = Unknown desc = failed to pull and unpack image \"r.example/a:1\": failed to resolve reference \"r.example/a:1\": pulling from host r.example failed with status code [manifests 1]: 403 Forbidden",
        Reason::CredentialsRefused,
    ),
    (
        "ErrImagePull",
        "r.example/a:1",
        "Error response from daemon: Get https://r.example/v2/a/manifests/1: no basic auth credentials",
        Reason::CredentialsRefused,
    ),
    // The kubelet's own
    (
        "InvalidImageName",
        "A:1",
        "Failed to apply default image tag \"A:1\": couldn't parse image name \"A:1\": invalid reference format: repository name must be lowercase",
        Reason::InvalidImageName,
    ),
    (
        "ErrImageNeverPull",
        "a:1",
        "Container image \"a:1\" is not present with pull policy of Never",
        Reason::NeverPulled,
    ),
    ("ErrImagePull", "a:1", "pull QPS exceeded", Reason::RateLimited),
    ("ImagePullBackOff", "a:1", "Back-off pulling image \"a:1\"", Reason::PullFailed),
    (
        "ErrImagePull",
        "a:1",
        "rpc error: code = Canceled desc = context canceled",
        Reason::RegistryUnreachable,
    ),
    // Names that people chose
    (
        "ErrImagePull",
        "r.example/not/found/denied:404",
        "failed to pull and unpack image \"r.example/not/found/denied:404\": connection refused",
        Reason::RegistryUnreachable,
    ),
    (
        "ErrImagePull",
        "unauthorized.example/denied:1",
        "reading manifest 1 in unauthorized.example/denied: something new",
        Reason::PullFailed,
    ),
    (
        "ErrImagePull",
        "r.example/toomanyrequests:1",
        "rpc error: code = NotFound desc = r.example/toomanyrequests:1: not found",
        Reason::ImageMissing,
    ),
];

#[test]
fn knows_what_runtimes_say() {
    for (reason, image, message, expected) in PULLS {
        assert_eq!(pull(reason, message, image), *expected, "{message}");
    }
}

#[test]
fn knows_what_schedulers_and_nodes_say() {
    for (message, expected) in [
        (
            "0/3 nodes are available: 1 Too many pods, 2 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.",
            Reason::Full,
        ),
        (
            "0/3 nodes are available: 1 Insufficient memory, 2 node(s) didn't satisfy plugin(s) [NodeAffinity].",
            Reason::Full,
        ),
        (
            "0/3 nodes are available: 1 node(s) had taint {a: b}, that the pod didn't tolerate, 2 node(s) didn't match Pod's node affinity.",
            Reason::Tainted,
        ),
        (
            "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match.",
            Reason::Tainted,
        ),
        ("0/3 nodes are available: 1 node(s) had volume node affinity conflict", Reason::Unschedulable),
    ] {
        assert_eq!(unschedulable(message), expected, "{message}");
    }
    for (reason, message, expected) in [
        ("Evicted", "Pod was rejected: The node had condition: [DiskPressure]. ", Reason::DiskPressure),
        (
            "Evicted",
            "The node was low on resource: ephemeral-storage. Threshold quantity: 1, available: 0. ",
            Reason::DiskPressure,
        ),
        ("Evicted", "The node had condition: [MemoryPressure]. ", Reason::Pressure),
        (
            "OutOfpods",
            "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 110, capacity: 110",
            Reason::Full,
        ),
        ("NodeShutdown", "Pod was rejected as the node is shutting down.", Reason::NotReady),
        ("NodeAffinity", "Pod was rejected: Predicate NodeAffinity failed", Reason::Rejected),
    ] {
        assert_eq!(rejected(reason, message), expected, "{message}");
    }
}

#[test]
fn messages_are_brief() {
    let (.., message, _) = PULLS[1];
    assert!(brief(message, 300).starts_with("failed to pull and unpack image"), "{}", brief(message, 300));
    assert_eq!(brief("äöüäöü", 8), "ä…ü");
    assert_eq!(brief("a\nb   c", 80), "a b c");
    let long = format!("failed to pull {}: the cause", "and ".repeat(200));
    let short = brief(&long, 60);
    assert!(
        short.len() <= 60 && short.starts_with("failed to pull") && short.ends_with("the cause"),
        "{short}"
    );
    for limit in 3..12 {
        assert!(brief("äöüäöüx", limit).len() <= limit);
    }
}
