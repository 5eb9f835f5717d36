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
    ImageUnreadable Fatal "a layer of the image is no archive",
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
    EndedBefore Run "an awaiter of the same Job has come to its end already",
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
    // A layer is unpacked when its digest was right: pulled again, it is the same. (Or what the node keeps of it is
    // damaged, and is not pulled again.)
    (
        Reason::ImageUnreadable,
        &[
            "failed to extract layer + unexpected eof",
            "archive/tar: invalid tar header",
            "gzip: invalid header",
            "invalid input: magic number mismatch",
        ],
    ),
    // The node's own store, in whose words something is "not found", too.
    (
        Reason::PullFailed,
        &["extraction snapshot", "parent snapshot", "content digest + not found", "failed to extract layer"],
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

/// The kubelet's message without what its layers put in front, at most `limit` bytes: a long one is cut in its middle,
/// for the cause stands at its end.
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
    if line.len() <= limit {
        return line;
    }
    let room = limit.saturating_sub('…'.len_utf8());
    let is_boundary = |at: &usize| line.is_char_boundary(*at);
    let head = (0..=room.div_ceil(2)).rev().find(is_boundary).unwrap_or(0);
    let tail = (line.len() - (room - head)..=line.len()).find(is_boundary).unwrap_or(line.len());
    format!("{}…{}", &line[..head], &line[tail..])
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
