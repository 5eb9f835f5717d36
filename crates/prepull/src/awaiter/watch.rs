//! One stream a kind: everything there is, then every change, without gaps.
//!
//! Where the server streams lists (`sendInitialEvents`, on by default since Kubernetes 1.34) that is one request a
//! kind, else a list and a watch. After a broken connection the watch goes on from the last version seen; after 410
//! all is listed again. Nothing is ever asked for by the clock, but to find a connection dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use http::Method;
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::sync::mpsc;

use super::Error;
use super::api::{Api, Asked, Trouble};
use super::index::{Kind, Update};
use super::items::Items;
use super::lines::{Bare, Shape, event, object};

/// The server sends a bookmark about once a minute on what it caches: silence for longer is a dead connection.
const SILENCE: Duration = Duration::from_secs(150);
/// A streamed list begins within moments. A server, or a proxy in front of it, that sends nothing for this long has
/// not understood.
const FIRST: Duration = Duration::from_secs(15);
/// A role that was made a moment ago may not be known to every API server yet.
const RIGHTS: Duration = Duration::from_secs(3);
/// Rights that were there a moment ago, or may have been: an API server that was started again learns them, and its
/// webhooks, late. And a token that has rotated: its file is read once a minute.
const RIGHTS_AGAIN: Duration = Duration::from_secs(60);
/// Between attempts: from, to.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(8));
/// A watch that ends sooner than this did not go well.
const SHORT: Duration = Duration::from_secs(1);
/// Bytes of a line.
const LINE: usize = 8 << 20;

/// What a stream tells.
#[derive(Debug)]
pub(super) enum Message {
    /// Of the objects.
    Update(Update),
    /// The server does not answer (any more) what is asked of this kind, or does again.
    Trouble(Kind, Option<String>),
    /// It will not answer.
    Denied(Error),
}

/// What to follow.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub kind: Kind,
    pub namespace: String,
    pub selector: String,
    /// When the watch may end by itself: after the run.
    pub until: Instant,
}

/// Whether the server streams lists: learnt from its first answer.
#[derive(Debug, Default)]
pub(super) struct Streaming {
    refused: AtomicBool,
}

impl Source {
    fn asked(&self, verb: &'static str) -> Asked {
        let resource = match self.kind {
            Kind::DaemonSets => "daemonsets.apps",
            Kind::Pods => "pods",
            Kind::Events => "events",
            Kind::Nodes => "nodes",
        };
        Asked { verb, resource }
    }

    fn path(&self, more: &str) -> String {
        let (group, resource) = match self.kind {
            Kind::DaemonSets => ("/apis/apps/v1", "daemonsets"),
            Kind::Pods => ("/api/v1", "pods"),
            Kind::Events => ("/api/v1", "events"),
            Kind::Nodes => return format!("/api/v1/nodes?{more}"),
        };
        let select = match self.kind {
            // What is of no use for pullers, and most of what a busy namespace has.
            Kind::Events => format!(
                "fieldSelector={}",
                encoded("reason!=Created,reason!=Started,reason!=Killing,reason!=Scheduled,reason!=Pulling")
            ),
            _ => format!("labelSelector={}", encoded(&self.selector)),
        };
        format!("{group}/namespaces/{}/{resource}?{select}&{more}", self.namespace)
    }

    fn watch(&self, more: &str) -> String {
        let left = self.until.saturating_duration_since(Instant::now()).as_secs().max(60);
        self.path(&format!("watch=true&allowWatchBookmarks=true&timeoutSeconds={left}{more}"))
    }
}

/// As in the query of an address.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Follows a kind for as long as somebody listens.
pub(super) async fn follow(
    api: Arc<Api>,
    streaming: Arc<Streaming>,
    source: Source,
    to: mpsc::Sender<Message>,
) {
    let mut version: Option<String> = None;
    let mut pause = PAUSE.0;
    let mut denied: Option<Instant> = None;
    let mut answered = false;
    let mut shaken = false;
    loop {
        let begun = Instant::now();
        let result = once(&api, &streaming, &source, &mut version, &to).await;
        answered |= version.is_some();
        let message = match result {
            Err(Ended::Deaf) => return,
            Ok(()) => None,
            Err(Ended::Trouble(Trouble::Gone)) => {
                version = None;
                None
            }
            Err(Ended::Trouble(Trouble::Denied { asked, message, code })) => {
                let since = *denied.get_or_insert(begun);
                let again = answered || shaken || (code == 401 && api.has_answered());
                let patience = if again { RIGHTS_AGAIN } else { RIGHTS };
                let error = Trouble::denied(asked, message, code, &source.namespace);
                if since.elapsed() >= patience {
                    let _ = to.send(Message::Denied(error)).await;
                    return;
                }
                if again && to.send(Message::Trouble(source.kind, Some(error.to_string()))).await.is_err() {
                    return;
                }
                tokio::time::sleep(RIGHTS / 3).await;
                continue;
            }
            Err(Ended::Trouble(Trouble::Unknown(text))) => {
                let hint = "write --selector as kubectl's -l: key=value,other=value";
                let _ = to.send(Message::Denied(Error::Usage { text, hint })).await;
                return;
            }
            Err(Ended::Trouble(Trouble::Missing(text))) => {
                version = None;
                Some((text, None))
            }
            Err(Ended::Trouble(Trouble::Passing { text, after })) => {
                shaken = true;
                Some((text, after))
            }
        };
        denied = None;
        if begun.elapsed() > PAUSE.1 {
            pause = PAUSE.0;
        }
        let mut rest = if message.is_none() && begun.elapsed() > SHORT { Duration::ZERO } else { pause };
        if let Some((text, after)) = message {
            rest = after.map_or(pause, |after| after.clamp(pause, PAUSE.1));
            if to.send(Message::Trouble(source.kind, Some(text))).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(rest).await;
        if !rest.is_zero() {
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

/// Why a stream ended.
pub(super) enum Ended {
    Trouble(Trouble),
    /// Nobody listens any more.
    Deaf,
}

impl From<Trouble> for Ended {
    fn from(trouble: Trouble) -> Self {
        Ended::Trouble(trouble)
    }
}

async fn once(
    api: &Api,
    streaming: &Streaming,
    source: &Source,
    version: &mut Option<String>,
    to: &mpsc::Sender<Message>,
) -> Result<(), Ended> {
    match version.clone() {
        Some(from) => watch(api, source, &format!("&resourceVersion={from}"), false, version, to).await,
        None if !streaming.refused.load(Ordering::Relaxed) => {
            let more = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=";
            match watch(api, source, more, true, version, to).await {
                Err(Ended::Trouble(Trouble::Unknown(_))) => {
                    streaming.refused.store(true, Ordering::Relaxed);
                    whole(api, source, version, to).await
                }
                other => other,
            }
        }
        None => whole(api, source, version, to).await,
    }
}

/// As servers without streamed lists have it.
async fn whole(
    api: &Api,
    source: &Source,
    version: &mut Option<String>,
    to: &mpsc::Sender<Message>,
) -> Result<(), Ended> {
    if source.kind == Kind::Events {
        // A watch from no version begins with what there is. It does not say when that is over, which events can do
        // without: they only add words to what pods say.
        tell(to, Update::Begin(Kind::Events)).await?;
        tell(to, Update::Done(Kind::Events)).await?;
        return watch(api, source, "", false, version, to).await;
    }
    *version = Some(list(api, source, to).await?);
    let from = format!("&resourceVersion={}", version.as_deref().unwrap_or_default());
    watch(api, source, &from, false, version, to).await
}

pub(super) async fn tell(to: &mpsc::Sender<Message>, update: Update) -> Result<(), Ended> {
    to.send(Message::Update(update)).await.map_err(|_| Ended::Deaf)
}

async fn list(api: &Api, source: &Source, to: &mpsc::Sender<Message>) -> Result<String, Ended> {
    let mut body =
        api.send(Method::GET, &source.path(""), Vec::new(), source.asked("list")).await?.into_body();
    tell(to, Update::Begin(source.kind)).await?;
    let mut items = Items::default();
    loop {
        let waiting = tokio::time::timeout(FIRST, next(&mut body)).await;
        let bytes =
            waiting.map_err(|_| Trouble::passing(format!("nothing heard for {} s", FIRST.as_secs())))??;
        let Some(bytes) = bytes else { break };
        let mut found = Vec::new();
        items
            .feed(&bytes, |item| {
                found.push(object(source.kind, item, Shape::Item)?);
                Ok(())
            })
            .map_err(garbage)?;
        for object in found {
            tell(to, Update::Apply(object)).await?;
        }
    }
    let bare: Bare = serde_json::from_slice(items.around()).map_err(|error| garbage(error.to_string()))?;
    tell(to, Update::Done(source.kind)).await?;
    let _ = to.send(Message::Trouble(source.kind, None)).await;
    Ok(bare.metadata.resource_version)
}

/// Follows changes from `more` on; with `initial`, what there is comes first and ends with a bookmark.
async fn watch(
    api: &Api,
    source: &Source,
    more: &str,
    mut initial: bool,
    version: &mut Option<String>,
    to: &mpsc::Sender<Message>,
) -> Result<(), Ended> {
    let asked = source.asked("watch");
    let mut body = api.send(Method::GET, &source.watch(more), Vec::new(), asked).await?.into_body();
    if initial {
        tell(to, Update::Begin(source.kind)).await?;
    } else {
        let _ = to.send(Message::Trouble(source.kind, None)).await;
    }
    let silence = match source.kind {
        // Not cached by the server: no bookmarks. Should their connection die, only words are missing.
        Kind::Events => Duration::from_secs(86_400),
        _ => SILENCE,
    };
    let mut text = BytesMut::new();
    let mut read = 0;
    loop {
        let waiting = tokio::time::timeout(if initial { FIRST } else { silence }, next(&mut body));
        let bytes = match waiting.await {
            Err(_) if initial => return Err(Trouble::Unknown("no streamed list".to_owned()).into()),
            Err(_) => {
                return Err(Trouble::passing(format!("nothing heard for {} s", silence.as_secs())).into());
            }
            Ok(bytes) => bytes?,
        };
        let Some(bytes) = bytes else { return Ok(()) };
        text.extend_from_slice(&bytes);
        while let Some(at) = text[read..].iter().position(|byte| *byte == b'\n') {
            let line = text.split_to(read + at + 1);
            read = 0;
            event(&line, source, asked, &mut initial, version, to).await?;
        }
        read = text.len();
        if read > LINE {
            return Err(garbage(format!("a line of more than {} MB", LINE >> 20)));
        }
    }
}

/// The next bytes; none at the end.
async fn next(body: &mut Body) -> Result<Option<bytes::Bytes>, Ended> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(error)) => return Err(Trouble::passing(super::api::causes(&error)).into()),
            Some(Ok(frame)) => {
                if let Ok(mut data) = frame.into_data() {
                    return Ok(Some(data.copy_to_bytes(data.remaining())));
                }
            }
        }
    }
}

pub(super) fn garbage(text: impl std::fmt::Display) -> Ended {
    Trouble::passing(format!("the answer cannot be read: {text}")).into()
}
