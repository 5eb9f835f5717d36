//! `hub.extraConfig`, and the files of `hub.extraFiles` that the hub runs: Python, run after all else.

use std::collections::BTreeMap;

use super::overrides::check;
use super::singleuser::Base;
use crate::Error;
use crate::imageset::group::Gathered;
use crate::imageset::node::{Node, Places, Value};
use crate::imageset::python::images::images_in;
use crate::imageset::python::{Effect, Scope};
use crate::imageset::spawner::{Attr, Store};

/// The folder whose `.py` files the chart runs.
const FOLDER: &str = "/usr/local/etc/jupyterhub/jupyterhub_config.d/";

/// Applies what the code does to `base`; gives the images that it names somewhere.
pub fn run(
    values: &Node,
    base: &mut Base,
    store: &mut Store,
    places: &Places,
    gathered: &mut Gathered,
) -> Result<Vec<Node>, Error> {
    let config = |path: &str| values.at_path(path).cloned();
    let mut scope = Scope::default();
    let mut images = Vec::new();
    for piece in pieces(values, places, gathered)? {
        let Some(text) = piece.text() else { continue };
        let mut unknown = Vec::new();
        for effect in scope.run(text, piece.at, piece.path, &config) {
            match effect {
                Effect::Image(node) => images.push(node),
                Effect::Unknown(reason) => unknown.push(reason),
                Effect::Set(name, node) if name == "profile_list" => base.profile_list = Some(node),
                Effect::Append(name, items) if name == "profile_list" => {
                    if let Err(items) = offer(base, items) {
                        unknown.push("profile_list replaced by code".to_owned());
                        items.iter().for_each(|item| images_in(item, &mut images));
                    }
                }
                Effect::Update(name, node) if name == "profile_list" => {
                    unknown.push("profile_list replaced by code".to_owned());
                    images_in(&node, &mut images);
                }
                Effect::Weak(name, _)
                    if Attr::of(&name).is_some_and(|attr| base.settings.number(attr) != 0) => {}
                Effect::Weak(name, node) | Effect::Set(name, node) => set(&name, &node, base, store, places)?,
                Effect::Append(name, items) => append(&name, items, base, store, places)?,
                Effect::Update(name, node) => update(&name, node, base, store, places)?,
            }
        }
        unknown.sort();
        for reason in unknown {
            gathered.unknown(piece, &reason);
        }
    }
    images.extend(scope.rest());
    Ok(images)
}

/// Offers more profiles behind those there are; gives them back where those are no list.
fn offer(base: &mut Base, more: Vec<Node>) -> Result<(), Vec<Node>> {
    match (&mut base.profile_list, more.first()) {
        (Some(Node { value: Value::List(profiles), .. }), _) => profiles.extend(more),
        (Some(list), _) if !list.is_null() => return Err(more),
        (none, Some(first)) => *none = Some(Node::like(Value::List(more.clone()), first)),
        (_, None) => {}
    }
    Ok(())
}

/// The pieces of code in the order in which the hub runs them.
fn pieces<'v>(values: &'v Node, places: &Places, gathered: &mut Gathered) -> Result<Vec<&'v Node>, Error> {
    let mut files = BTreeMap::new();
    if let Some(extra) = values.at_path("hub.extraFiles") {
        for (key, file) in places.mapping(extra)?.iter().filter(|(_, file)| !file.is_null()) {
            let mount = file.get("mountPath").and_then(Node::text).unwrap_or(key);
            if !mount.ends_with(".py") {
                continue;
            }
            match (mount.strip_prefix(FOLDER), file.get("stringData")) {
                (Some(name), Some(code)) if code.text().is_some() => {
                    files.insert(name.to_owned(), code);
                }
                (Some(_), _) => gathered.unknown(file, "code that is not given as text"),
                (None, _) => gathered.unknown(file, "code that other code may use"),
            }
        }
    }
    let mut pieces: Vec<&Node> = files.into_values().collect();
    if let Some(code) = values.at_path("hub.extraConfig") {
        match &code.value {
            Value::Map(map) => {
                for piece in map.values().filter(|piece| !piece.is_null()) {
                    places.text(piece)?;
                    pieces.push(piece);
                }
            }
            // Charts before 0.9 took one text.
            Value::Text(_) => pieces.push(code),
            _ => return Err(places.expected(code, "a mapping")),
        }
    }
    Ok(pieces)
}

fn set(name: &str, node: &Node, base: &mut Base, store: &mut Store, places: &Places) -> Result<(), Error> {
    let Some(attr) = Attr::of(name) else { return Ok(()) };
    check(attr, node, places)?;
    base.settings.set(attr, store.keep(attr, node));
    Ok(())
}

fn append(
    name: &str,
    items: Vec<Node>,
    base: &mut Base,
    store: &mut Store,
    places: &Places,
) -> Result<(), Error> {
    let Some(attr) = Attr::of(name) else { return Ok(()) };
    let Some(first) = items.first() else { return Ok(()) };
    let mut whole = Node::like(Value::List(Vec::new()), first);
    if let Value::List(list) = &mut whole.value {
        list.extend(
            store.value(&base.settings, attr).map(Node::items).unwrap_or_default().into_iter().cloned(),
        );
        list.extend(items);
    }
    set(name, &whole, base, store, places)
}

fn update(name: &str, node: Node, base: &mut Base, store: &mut Store, places: &Places) -> Result<(), Error> {
    let Some(attr) = Attr::of(name) else { return Ok(()) };
    let mut whole = node.clone();
    if let (Value::Map(map), Value::Map(over)) = (&mut whole.value, node.value) {
        if let Some(Value::Map(below)) = store.value(&base.settings, attr).map(|below| &below.value) {
            *map = below.clone();
        }
        map.extend(over);
    }
    set(name, &whole, base, store, places)
}
