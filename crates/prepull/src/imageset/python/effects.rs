//! Statements → what they do to the spawner.

use std::collections::HashMap;

use perijove_oci::Reference;

use super::literal::Reading;
use super::shape::{Assignment, assignment, dotted, end_of_item, inside};
use super::tokens::{Statement, Token, statements};
use crate::imageset::node::{At, Node, Value};
use crate::imageset::sources::singleuser::{is_class, is_kubespawner};
use crate::imageset::spawner::Attr;

/// What code does.
#[derive(Debug)]
pub enum Effect {
    /// A trait of the spawner gets a plain value, always.
    Set(String, Node),
    /// The same in a class or under a name that gives way to the chart's own setting.
    Weak(String, Node),
    /// Items are appended to a trait, always.
    Append(String, Vec<Node>),
    /// A dictionary is merged into a trait, always.
    Update(String, Node),
    /// An image is named somewhere in the code.
    Image(Node),
    /// Only running it would tell.
    Unknown(String),
}

/// Hooks, and what they can do.
const HOOKS: [(&str, &str); 6] = [
    ("modify_pod_hook", "modify_pod_hook may change the pod"),
    ("pre_spawn_hook", "pre_spawn_hook may change the pod"),
    ("auth_state_hook", "auth_state_hook may change the spawner"),
    ("apply_user_options", "apply_user_options may change the spawner"),
    ("options_from_form", "options_from_form may change the choices"),
    ("get_pod_manifest", "get_pod_manifest may change the pod"),
];

/// Names of a pod's own fields that code can change.
const POD_FIELDS: [&str; 2] = ["containers", "affinity"];

/// Names that code has given plain values so far; the hub runs all pieces in one scope.
#[derive(Default)]
pub struct Scope {
    names: HashMap<String, Node>,
    /// Images in those values, which are told only where the name is not seen to be used as a whole.
    held: Vec<(String, Vec<Node>)>,
}

impl Scope {
    /// What `code` does. `at` is its first line, `path` its key path, `config` looks up the chart's values.
    pub fn run(
        &mut self,
        code: &str,
        at: At,
        path: u32,
        config: &dyn Fn(&str) -> Option<Node>,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        for statement in statements(code) {
            let at = At { file: at.file, line: at.line.saturating_add(statement.line - 1) };
            let mut step =
                Step { scope: self, statement: &statement, at, path, config, effects: &mut effects };
            step.run();
        }
        for (_, images) in self.held.drain(..) {
            effects.extend(images.into_iter().map(Effect::Image));
        }
        effects
    }
}

struct Step<'s> {
    scope: &'s mut Scope,
    statement: &'s Statement,
    at: At,
    path: u32,
    config: &'s dyn Fn(&str) -> Option<Node>,
    effects: &'s mut Vec<Effect>,
}

impl Step<'_> {
    fn run(&mut self) {
        let tokens = &self.statement.tokens;
        let consumed = match assignment(tokens) {
            Some(Assignment { targets, op, value }) => {
                let mut consumed = false;
                for target in targets {
                    consumed |= self.assign(target, op, value);
                }
                consumed
            }
            None => self.call(tokens),
        };
        if !consumed {
            self.images(tokens);
        }
    }

    fn read(&self, tokens: &[Token]) -> Option<Node> {
        let names = |name: &str| self.scope.names.get(name).cloned();
        Reading { names: &names, config: self.config, at: self.at, path: self.path }.whole(tokens)
    }

    fn unknown(&mut self, reason: impl Into<String>) {
        self.effects.push(Effect::Unknown(reason.into()));
    }

    /// An assignment; whether its value is accounted for.
    fn assign(&mut self, target: &[Token], op: &str, value: &[Token]) -> bool {
        let Some((path, end)) = dotted(target, 0) else { return false };
        let rest = &target[end..];
        let subscript = rest.first().is_some_and(|token| token.is("["));
        let read = self.read(value);
        match path.as_slice() {
            [name] if !subscript => {
                self.scope.names.remove(*name);
                if let (true, "=", Some(node)) = (self.statement.top, op, read) {
                    let mut images = Vec::new();
                    images_in(&node, &mut images);
                    self.scope.held.push(((*name).to_owned(), images));
                    self.scope.names.insert((*name).to_owned(), node);
                    return true;
                }
                false
            }
            [name] => {
                // An item of a name that stood for a plain value: it does no more.
                self.scope.names.remove(*name);
                self.item(rest, value)
            }
            ["c", "JupyterHub", "spawner_class"] => {
                let imported = value.last().and_then(Token::name) == Some("KubeSpawner");
                if !imported && !read.is_some_and(|node| node.text().is_some_and(is_kubespawner)) {
                    self.unknown("own spawner class");
                }
                false
            }
            ["c", class, name] if is_class(class) => {
                let key = subscript.then(|| self.read(inside(rest))).flatten();
                let over = match (subscript, key, read) {
                    (false, _, read) => read,
                    (true, Some(key), Some(node)) => key
                        .text()
                        .map(|key| Node::like(Value::Map([(key.to_owned(), node.clone())].into()), &node)),
                    _ => None,
                };
                let names = value.first().and_then(Token::name).filter(|_| value.len() == 1);
                let weak = *class == "Spawner" || Attr::is_deprecated(name);
                self.trait_of(name, if weak { "weak" } else { op }, subscript, over, names)
            }
            // Another class of the configuration.
            ["c", _, _] => true,
            [.., name] => {
                if POD_FIELDS.contains(name) || Attr::of(name).is_some() || *name == "profile_list" {
                    return self.elsewhere(&path.join("."), name, subscript, read);
                }
                if subscript { self.item(rest, value) } else { false }
            }
            [] => false,
        }
    }

    /// A trait in the configuration.
    fn trait_of(
        &mut self,
        name: &str,
        op: &str,
        subscript: bool,
        value: Option<Node>,
        from: Option<&str>,
    ) -> bool {
        if let Some((_, reason)) = HOOKS.iter().find(|(hook, _)| *hook == name) {
            if !value.is_some_and(|node| node.is_null()) {
                self.unknown(*reason);
            }
            return false;
        }
        let known = Attr::of(name).is_some() || name == "profile_list";
        if !known {
            return false;
        }
        match value {
            Some(node)
                if self.statement.top
                    && (matches!(op, "=" | "weak")
                        || (op == "+=" && matches!(node.value, Value::List(_)))) =>
            {
                if let Some(from) = from {
                    self.scope.held.retain(|(name, _)| name != from);
                }
                let effect = match (op, &node.value) {
                    _ if subscript => Effect::Update(name.to_owned(), node),
                    ("weak", _) if name != "profile_list" => Effect::Weak(name.to_owned(), node),
                    ("+=", Value::List(items)) => Effect::Append(name.to_owned(), items.clone()),
                    _ => Effect::Set(name.to_owned(), node),
                };
                self.effects.push(effect);
                true
            }
            // Run perhaps, or perhaps not: the image may be needed, and so may the one it would replace.
            Some(node) if Attr::of(name) == Some(Attr::Image) && node.text().is_some() => {
                self.image(node);
                true
            }
            _ => {
                self.unknown(changed(name, &format!("c.KubeSpawner.{name}")));
                false
            }
        }
    }

    /// A setting of some object, which code holds in its hands: a spawner, a pod, a container.
    fn elsewhere(&mut self, path: &str, name: &str, subscript: bool, value: Option<Node>) -> bool {
        match value {
            Some(node) if Attr::of(name) == Some(Attr::Image) && !subscript => {
                if node.text().is_some() {
                    self.image(node);
                }
                true
            }
            _ => {
                self.unknown(changed(name, path));
                false
            }
        }
    }

    /// `….init_containers.append(…)`; whether its value is accounted for.
    fn call(&mut self, tokens: &[Token]) -> bool {
        let Some((path, end)) = dotted(tokens, 0) else { return false };
        let [rest @ .., method] = path.as_slice() else { return false };
        let Some(name) = rest.last() else { return false };
        let changes = ["append", "extend", "insert", "update", "setdefault", "pop", "remove", "clear"];
        if !changes.contains(method) || !tokens.get(end).is_some_and(|token| token.is("(")) {
            return false;
        }
        if let [name] = rest {
            self.scope.names.remove(*name);
            return false;
        }
        if !(POD_FIELDS.contains(name) || Attr::of(name).is_some() || *name == "profile_list") {
            return false;
        }
        let value = self.read(inside(&tokens[end..]));
        let config = matches!(rest, ["c", class, _] if is_class(class));
        let effect = match (config && self.statement.top, *method, value) {
            (true, "append", Some(node)) => Effect::Append((*name).to_owned(), vec![node]),
            (true, "extend", Some(Node { value: Value::List(items), .. })) => {
                Effect::Append((*name).to_owned(), items)
            }
            (true, "update", Some(node)) if matches!(node.value, Value::Map(_)) => {
                Effect::Update((*name).to_owned(), node)
            }
            _ => {
                // Adding a pod's container by hand is told by the image in it, and by the hook that does so.
                if !POD_FIELDS.contains(name) {
                    self.unknown(changed(name, &rest.join(".")));
                }
                return false;
            }
        };
        self.effects.push(effect);
        true
    }

    /// `container["image"] = …`
    fn item(&mut self, subscript: &[Token], value: &[Token]) -> bool {
        let key = self.read(inside(subscript));
        if key.as_ref().and_then(Node::text) != Some("image") {
            return false;
        }
        match self.read(value) {
            Some(node) => self.image(node),
            None if value.first().is_some_and(|token| token.is("{")) => return false,
            None => self.unknown("image from an expression (item)"),
        }
        true
    }

    /// `{"image": …}` and `f(image=…)` anywhere in the statement.
    fn images(&mut self, tokens: &[Token]) {
        let mut open: Vec<&str> = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Op(bracket @ ("(" | "[" | "{")) => open.push(bracket),
                Token::Op(")" | "]" | "}") => {
                    open.pop();
                }
                _ => {}
            }
            let next = tokens.get(at + 1);
            let (kind, definition) = match (token, next, open.last()) {
                (Token::Text { value, .. }, Some(Token::Op(":")), Some(&"{")) if value == "image" => {
                    ("dict", false)
                }
                (Token::Name(name), Some(Token::Op("=")), Some(&"(")) if name == "image" => {
                    ("call", tokens.first().and_then(Token::name).is_some_and(|n| n == "def" || n == "async"))
                }
                _ => continue,
            };
            let value = &tokens[at + 2..];
            let value = &value[..end_of_item(value)];
            match self.read(value) {
                Some(node) => self.image(node),
                None if definition || value.first().is_some_and(|token| token.is("{")) => {}
                None => self.unknown(format!("image from an expression ({kind})")),
            }
        }
    }

    fn image(&mut self, node: Node) {
        if is_image(&node) {
            self.effects.push(Effect::Image(node));
        } else if node.text().is_some_and(|text| !text.is_empty()) {
            self.unknown(format!("`{}` may be an image", node.text().unwrap_or("")));
        }
    }
}

/// What is said of a setting that code changes.
fn changed(name: &str, path: &str) -> String {
    match name {
        "profile_list" => "profile_list replaced by code".to_owned(),
        _ if Attr::of(name) == Some(Attr::Image) => format!("image from an expression ({path})"),
        _ => format!("{name} changed by code"),
    }
}

/// Whether a text names an image beyond doubt: a reference with a registry, a namespace, a tag or a digest.
fn is_image(node: &Node) -> bool {
    node.text().is_some_and(|text| text.contains(['/', ':', '@']) && text.parse::<Reference>().is_ok())
}

/// The images that a plain value names.
pub fn images_in(node: &Node, found: &mut Vec<Node>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| images_in(item, found)),
        Value::Map(map) => {
            for (key, item) in map {
                if key == "image" && is_image(item) {
                    found.push(item.clone());
                } else {
                    images_in(item, found);
                }
            }
        }
        _ => {}
    }
}
