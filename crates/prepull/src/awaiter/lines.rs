//! The lines of a watch and the items of a list, read.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::api::{Asked, Status, by_code};
use super::index::{Kind, Object, Update};
use super::model::{DaemonSet, Event, Node, Pod};
use super::watch::{Ended, Message, Source, garbage, tell};

/// One line of a watch.
pub(super) async fn event(
    line: &[u8],
    source: &Source,
    asked: Asked,
    initial: &mut bool,
    version: &mut Option<String>,
    to: &mpsc::Sender<Message>,
) -> Result<(), Ended> {
    let read = |error: serde_json::Error| garbage(error.to_string());
    let head: Head = serde_json::from_slice(line).map_err(read)?;
    let update = match head.kind.as_str() {
        "ADDED" | "MODIFIED" => Some(Update::Apply(object(source.kind, line, Shape::Line).map_err(garbage)?)),
        "DELETED" => Some(Update::Delete(object(source.kind, line, Shape::Line).map_err(garbage)?)),
        "BOOKMARK" => None,
        "ERROR" => {
            let Envelope { object } = serde_json::from_slice::<Envelope<Status>>(line).map_err(read)?;
            let gone = object.reason == "Expired" || object.reason == "Gone";
            let code = if gone { 410 } else { object.code };
            return Err(by_code(code, object.message, None, asked).into());
        }
        other => return Err(garbage(format!("a watch event of the type `{other}`"))),
    };
    let whole = *initial && head.object.metadata.annotations.as_ref().is_some_and(|a| a.end.is_some());
    if let Some(update) = update {
        tell(to, update).await?;
    }
    if whole {
        *initial = false;
        tell(to, Update::Done(source.kind)).await?;
        let _ = to.send(Message::Trouble(source.kind, None)).await;
    }
    // Before the list is whole there is nothing to go on from.
    let seen = head.object.metadata.resource_version;
    if !*initial && !seen.is_empty() {
        *version = Some(seen);
    }
    Ok(())
}

/// Where an object stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// By itself, in a list.
    Item,
    /// In a watch's line.
    Line,
}

/// One object.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn object(kind: Kind, json: &[u8], shape: Shape) -> Result<Object, String> {
    fn read<T: DeserializeOwned>(json: &[u8], shape: Shape) -> Result<Box<T>, String> {
        let read = match shape {
            Shape::Item => serde_json::from_slice(json),
            Shape::Line => serde_json::from_slice(json).map(|Envelope { object }| object),
        };
        read.map_err(|error| error.to_string())
    }
    Ok(match kind {
        Kind::DaemonSets => Object::DaemonSet(read::<DaemonSet>(json, shape)?),
        Kind::Pods => Object::Pod(read::<Pod>(json, shape)?),
        Kind::Events => Object::Event(read::<Event>(json, shape)?),
        Kind::Nodes => Object::Node(read::<Node>(json, shape)?),
    })
}

#[derive(Deserialize)]
struct Envelope<T> {
    object: T,
}

/// What every line says.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    object: Bare,
}

/// What a list says besides its items, and an object to whoever only goes on from it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Bare {
    pub metadata: BareMeta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BareMeta {
    pub resource_version: String,
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
struct Annotations {
    /// On the bookmark after the last object of a streamed list.
    #[serde(rename = "k8s.io/initial-events-end")]
    end: Option<String>,
}
