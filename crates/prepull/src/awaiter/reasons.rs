//! Everything that can be said of an image, a node or a whole run, as one list; and the table from the words of the
//! kubelet and its container runtimes to it. `docs/operations.md` has a section for each (a test compares).

/// What happens to an image with such a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Waiting is of no use: somebody must change something.
    Fatal,
    /// It may heal: the kubelet tries again, and so does the awaiter wait.
    Heals,
    /// The node is named and left out.
    LeftOut,
    /// Said of the run.
    Run,
}

macro_rules! reasons {
    ($($name:ident $outlook:ident $text:literal,)*) => {
        /// Why an image, a node or a run is where it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $text] $name,)*
        }

        impl Reason {
            /// All of them, the most important first.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The word that reports, JSON and the documentation use.
            pub fn word(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name),)* }
            }

            /// The word in plain language.
            pub fn text(self) -> &'static str {
                match self { $(Reason::$name => $text,)* }
            }

            /// What happens.
            pub fn outlook(self) -> Outlook {
                match self { $(Reason::$name => Outlook::$outlook,)* }
            }
        }
    };
}

reasons! {
    ImageMissing Fatal "the registry has no such image",
    CredentialsRefused Fatal "the registry refuses the credentials",
    WrongPlatform Fatal "the image is not there for this node's architecture",
    InvalidImageName Fatal "no valid image reference",
    NeverPulled Fatal "the pull policy is Never and the node does not have the image",
    SignatureRefused Fatal "the node's policy refuses the image's signature",
    PullerRefused Fatal "the image is there, but its container is not allowed to run",
    PullerEnds Fatal "the image is there, but its container ends again and again",
    DaemonSetDeleted Run "a DaemonSet was deleted while it was waited for",
    PodsRefused Run "the cluster refuses the pullers' pods",
    AllExcluded Run "every node is left out",
    QuorumLost Run "too many nodes failed",
    Interrupted Run "told to end",
    NoDaemonSet Run "no DaemonSet matches",
    Unanswered Run "the DaemonSet's controller has not spoken",
    PodsMissing Run "nodes have no pod yet",
    ApiUnreachable Run "the API server does not answer",
    RateLimited Heals "the registry limits the rate",
    RegistryError Heals "the registry fails",
    RegistryUnreachable Heals "the registry does not answer",
    NameUnknown Heals "the registry's name cannot be looked up",
    Certificate Heals "the registry's certificate is not trusted",
    DiskFull Heals "the node's disk is full",
    PullFailed Heals "the pull failed",
    PullerWaits Heals "the image is there, but its container does not start",
    SandboxFailed Heals "the node cannot make the pod",
    PodOfBefore Heals "the pod is of the set before",
    NotReady LeftOut "the node is not ready",
    Silent LeftOut "the node does not answer",
    Cordoned LeftOut "the node is cordoned",
    DiskPressure LeftOut "the node is under disk pressure",
    Pressure LeftOut "the node is short of memory or process numbers",
    Full LeftOut "the node has no room for another pod",
    Tainted LeftOut "the node has a taint that the puller does not tolerate",
    Unschedulable LeftOut "the pod cannot be scheduled to the node",
    Rejected LeftOut "the node rejects the pod",
    NetworkNotReady LeftOut "the node's network is not ready",
    NoNode Run "no node matches",
}

/// The kubelet's reasons that say it all. Others are told by their message.
const BY_REASON: &[(&str, Reason)] = &[
    ("InvalidImageName", Reason::InvalidImageName),
    ("ErrImageNeverPull", Reason::NeverPulled),
    ("SignatureValidationFailed", Reason::SignatureRefused),
    ("RegistryUnavailable", Reason::RegistryUnreachable),
];

/// Words of containerd 1.6 to 2.x, CRI-O and dockershim in a failed pull, in lower case; ` + ` asks for both. The
/// first row with a match counts: what heals comes first, for a rate limit says "unauthenticated" and a name that
/// cannot be looked up says "not found", and a run that waits in vain is the smaller harm.
const BY_MESSAGE: &[(Reason, &[&str])] = &[
    (Reason::RateLimited, &["toomanyrequests", "too many requests", "rate limit", "pull qps exceeded"]),
    (Reason::DiskFull, &["no space left on device", "disk quota exceeded"]),
    (
        Reason::NameUnknown,
        &[
            "no such host",
            "server misbehaving",
            "temporary failure in name resolution",
            "lookup + i/o timeout",
        ],
    ),
    (
        Reason::RegistryError,
        &[
            "internal server error",
            "bad gateway",
            "service unavailable",
            "gateway timeout",
            "gateway time-out",
            "http status: 5",
            "status code 5",
            "statuscode: 5",
        ],
    ),
    (
        Reason::RegistryUnreachable,
        &[
            "connection refused",
            "connection reset",
            "connection timed out",
            "i/o timeout",
            "tls handshake timeout",
            "no route to host",
            "network is unreachable",
            "deadline exceeded",
            "client.timeout exceeded",
            "context canceled",
            "broken pipe",
            "unexpected eof",
            ": eof",
            "stream error",
        ],
    ),
    (Reason::Certificate, &["x509:", "gave http response to https client", "tls: "]),
    (
        Reason::WrongPlatform,
        &[
            "no match for platform",
            "no matching manifest for",
            "no image found in manifest list for architecture",
            "no image found in image index for architecture",
            "does not match the specified platform",
            "exec format error",
        ],
    ),
    (Reason::SignatureRefused, &["signature was required", "rejected by policy", "invalid signature"]),
    (
        Reason::CredentialsRefused,
        &[
            "unauthorized",
            "forbidden",
            "authentication required",
            "access denied",
            "access to the resource is denied",
            "denied:",
            "no basic auth credentials",
            "insufficient_scope",
            "authorization failed",
            "invalid username/password",
            "incorrect username or password",
        ],
    ),
    // The node's own store, in whose words something is "not found", too.
    (
        Reason::PullFailed,
        &["extraction snapshot", "parent snapshot", "content digest + not found", "failed to extract layer"],
    ),
    (
        Reason::ImageMissing,
        &[
            "manifest unknown",
            "manifest_unknown",
            "name unknown",
            "name_unknown",
            "not found",
            "status code 404",
            "statuscode: 404",
            "does not exist",
        ],
    ),
];

/// What a failed pull of `image` means, by the waiting container's reason and message (or an event's).
pub fn pull(reason: &str, message: &str, image: &str) -> Reason {
    if let Some((_, found)) = BY_REASON.iter().find(|(word, _)| *word == reason) {
        return *found;
    }
    let text = without_names(message, image).to_lowercase();
    // A missing platform is told as "no match for platform in manifest: not found", a missing tag in the same call.
    let said = |needle: &str| needle.split(" + ").all(|part| text.contains(part));
    let row = BY_MESSAGE.iter().find(|(_, needles)| needles.iter().any(|needle| said(needle)));
    row.map_or(Reason::PullFailed, |(found, _)| *found)
}

/// The message without names that people chose: an image may be called `denied`, a host `not-found.example`.
fn without_names(message: &str, image: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for (at, piece) in message.split('"').enumerate() {
        // What stands between quotes is a name or an address, unless it is a sentence.
        if at % 2 == 0 || piece.contains(' ') {
            text.push_str(piece);
            text.push(' ');
        }
    }
    let untagged = image.split('@').next().unwrap_or(image);
    let repository = match untagged.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => untagged,
    };
    let mut words = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        // A word that is the image or an address is a name as a whole: its tag or path may say anything.
        let bare = word.trim_start_matches(['(', '\'']);
        let rest = bare.strip_prefix(repository).filter(|_| !repository.is_empty());
        let is_name =
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| !c.is_alphanumeric()));
        let is_name = is_name || word.contains("://");
        words.push_str(if is_name { " " } else { word });
    }
    words
}

/// The kubelet's message without what its layers put in front, cut at `limit` bytes.
pub fn brief(message: &str, limit: usize) -> String {
    let mut text = message.trim();
    // `Back-off pulling image "x": ErrImagePull: rpc error: code = NotFound desc = failed to …`
    if let Some((_, cause)) = text.split_once(": ErrImagePull: ") {
        text = cause;
    }
    while let Some(rest) = text.strip_prefix("rpc error: code = ") {
        let Some((_, cause)) = rest.split_once(" desc = ") else { break };
        text = cause;
    }
    // A registry chooses some of the words, and a terminal would obey its control characters.
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|c| !c.is_control());
    if line.len() > limit {
        let mut end = limit.saturating_sub('…'.len_utf8());
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Why a pod cannot be scheduled, by the scheduler's message. A puller's pod is made for one node: what the message
/// says of the others (they "didn't match Pod's node affinity") is left out.
pub fn unschedulable(message: &str) -> Reason {
    let text = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["too many pods", "insufficient "]) {
        Reason::Full
    } else if has(&["untolerated taint", "had taint"]) {
        Reason::Tainted
    } else {
        Reason::Unschedulable
    }
}

/// Why a node rejected or evicted a pod, by the pod's reason and message.
pub fn rejected(reason: &str, message: &str) -> Reason {
    let text = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if reason.starts_with("OutOf") {
        Reason::Full
    } else if has(&[
        "diskpressure",
        "ephemeral-storage",
        "low on resource: imagefs",
        "low on resource: nodefs",
    ]) {
        Reason::DiskPressure
    } else if has(&["memorypressure", "pidpressure", "low on resource: memory", "low on resource: pids"]) {
        Reason::Pressure
    } else if matches!(reason, "NodeShutdown" | "Shutdown" | "Terminated" | "NodeLost") {
        Reason::NotReady
    } else {
        Reason::Rejected
    }
}

/// Whether the cluster's refusal of a pod cannot heal by itself: what admission says of the pod or its namespace.
pub fn is_final_refusal(message: &str) -> bool {
    let words = [
        "violates PodSecurity",
        "no PriorityClass with name",
        "is invalid:",
        "because it is being terminated",
    ];
    words.iter().any(|word| message.contains(word))
        || (message.contains("serviceaccount") && message.contains("not found"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(
            brief(message, 300).starts_with("failed to pull and unpack image"),
            "{}",
            brief(message, 300)
        );
        assert_eq!(brief("äöüäöü", 8), "äö…");
        assert_eq!(brief("a\nb   c", 80), "a b c");
    }
}
