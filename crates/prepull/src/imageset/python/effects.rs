//! Statements → what they do to the spawner.

use std::cell::RefCell;

use super::images::is_image;
use super::literal::Reading;
use super::names::Names;
use super::shape::{Assignment, assignment, dotted, end_of_item, entries, inside, last_subscript};
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

/// The scope in which the hub runs all pieces of code.
#[derive(Default)]
pub struct Scope {
    names: Names,
}

impl Scope {
    /// The images of plain values that no code was seen to use as a whole: asked once all pieces have been run.
    pub fn rest(self) -> Vec<Node> {
        self.names.rest()
    }

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
        self.read_named(tokens).map(|(node, _)| node)
    }

    /// A plain value, and the names that stand in it.
    fn read_named(&self, tokens: &[Token]) -> Option<(Node, Vec<String>)> {
        let used = RefCell::new(Vec::new());
        let names = |name: &str| {
            used.borrow_mut().push(name.to_owned());
            self.scope.names.get(name)
        };
        let config = |path: &str| self.scope.names.write(&(self.config)(path)?);
        let node = Reading { names: &names, config: &config, at: self.at, path: self.path }.whole(tokens)?;
        Some((node, used.into_inner()))
    }

    fn unknown(&mut self, reason: impl Into<String>) {
        self.effects.push(Effect::Unknown(reason.into()));
    }

    /// An assignment; whether its value is accounted for.
    fn assign(&mut self, target: &[Token], op: &str, value: &[Token]) -> bool {
        let Some((path, end)) = dotted(target, 0) else { return false };
        let rest = &target[end..];
        let subscript = rest.first().is_some_and(|token| token.is("["));
        match path.as_slice() {
            [name] if !subscript => {
                let read = self.read_named(value);
                let before = self.scope.names.remove(name);
                match (self.statement.top, op, read, before) {
                    (true, "=", Some((node, used)), _) => {
                        self.scope.names.set(name, node, &used);
                        true
                    }
                    (true, "+=", Some((Node { value: Value::List(more), .. }, used)), Some(list)) => {
                        self.scope.names.extend(name, list, more, &used)
                    }
                    _ => false,
                }
            }
            [name] => {
                // An item of a name that stood for a plain value: it does no more.
                self.scope.names.remove(name);
                self.item(rest, value)
            }
            ["c", "JupyterHub", "spawner_class"] => {
                let imported = value.last().and_then(Token::name) == Some("KubeSpawner");
                if !imported && !self.read(value).is_some_and(|node| node.text().is_some_and(is_kubespawner))
                {
                    self.unknown("own spawner class");
                }
                false
            }
            ["c", class, name] if is_class(class) => self.configure(class, name, op, rest, value),
            // `c.KubeSpawner["image"]`
            ["c", class] if is_class(class) && subscript => {
                let Some(Token::Text { value: name, formatted: false }) = inside(rest).first() else {
                    self.unknown("settings changed by code");
                    return false;
                };
                self.configure(class, name, op, &rest[inside(rest).len() + 2..], value)
            }
            // Another class of the configuration.
            ["c", _, _] => true,
            [.., name] => {
                if POD_FIELDS.contains(name) || Attr::of(name).is_some() || *name == "profile_list" {
                    let read = self.read(value);
                    return self.elsewhere(&path.join("."), name, subscript, read);
                }
                if subscript { self.item(rest, value) } else { false }
            }
            [] => false,
        }
    }

    /// A trait in the configuration, or with `rest` an item of it.
    fn configure(&mut self, class: &str, name: &str, op: &str, rest: &[Token], value: &[Token]) -> bool {
        if let Some((_, reason)) = HOOKS.iter().find(|(hook, _)| *hook == name) {
            if !self.read(value).is_some_and(|node| node.is_null()) {
                self.unknown(*reason);
            }
            return false;
        }
        if Attr::of(name).is_none() && name != "profile_list" {
            return false;
        }
        let weak = class == "Spawner" || Attr::is_deprecated(name);
        let whole = rest.is_empty();
        let plain = self.read_named(value).and_then(|(node, used)| {
            if whole {
                return Some((node, used));
            }
            // One item; an item of an item is not followed.
            let key = self.read(inside(rest)).filter(|_| inside(rest).len() + 2 == rest.len())?;
            let entry = [(key.text()?.to_owned(), node.clone())];
            Some((Node::like(Value::Map(entry.into()), &node), used))
        });
        match plain {
            Some((node, used))
                if self.statement.top && (op == "=" || matches!(node.value, Value::List(_))) =>
            {
                let effect = match (op, node.value) {
                    ("=", value) if !whole => Effect::Update(name.to_owned(), Node { value, ..node }),
                    ("=" | "+=", value) if weak && name != "profile_list" => {
                        Effect::Weak(name.to_owned(), Node { value, ..node })
                    }
                    ("+=", Value::List(items)) => Effect::Append(name.to_owned(), items),
                    ("=", value) => Effect::Set(name.to_owned(), Node { value, ..node }),
                    _ => {
                        self.unknown(changed(name, &format!("c.KubeSpawner.{name}")));
                        return false;
                    }
                };
                self.scope.names.release(&used);
                self.effects.push(effect);
                true
            }
            // Run perhaps, or perhaps not: the image may be needed, and so may the one it would replace.
            Some((node, _)) if Attr::of(name) == Some(Attr::Image) && node.text().is_some() => {
                self.image(node);
                true
            }
            _ => {
                self.unknown(changed(name, &format!("c.KubeSpawner.{name}")));
                !whole && self.item(rest, value)
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
        let arguments = inside(&tokens[end..]);
        if let ["c", class] = rest
            && is_class(class)
            && *method == "update"
        {
            return self.update(class, arguments);
        }
        // `insert(0, …)`: which of several comes first does not matter.
        let arguments = match *method {
            "insert" => arguments.get(end_of_item(arguments) + 1..).unwrap_or_default(),
            _ => arguments,
        };
        let more = self.read_named(arguments).and_then(|(node, used)| match (*method, node.value) {
            ("append" | "insert", value) => Some((vec![Node { value, ..node }], used)),
            ("extend", Value::List(items)) => Some((items, used)),
            _ => None,
        });
        if let [name] = rest {
            return match (self.scope.names.remove(name), more, self.statement.top) {
                (Some(list), Some((more, used)), true) => self.scope.names.extend(name, list, more, &used),
                _ => false,
            };
        }
        if !(POD_FIELDS.contains(name) || Attr::of(name).is_some() || *name == "profile_list") {
            return false;
        }
        let config = matches!(rest, ["c", class, _] if is_class(class));
        let effect = match (config && self.statement.top, *method, more) {
            (true, _, Some((more, used))) => Some((Effect::Append((*name).to_owned(), more), used)),
            (true, "update", None) => match self.read_named(arguments) {
                Some((node, used)) if matches!(node.value, Value::Map(_)) => {
                    Some((Effect::Update((*name).to_owned(), node), used))
                }
                _ => None,
            },
            _ => None,
        };
        let Some((effect, used)) = effect else {
            // Adding a pod's container by hand is told by the image in it, and by the hook that does so.
            if !POD_FIELDS.contains(name) {
                self.unknown(changed(name, &rest.join(".")));
            }
            return false;
        };
        self.scope.names.release(&used);
        self.effects.push(effect);
        true
    }

    /// `c.KubeSpawner.update({…})`, item by item.
    fn update(&mut self, class: &str, arguments: &[Token]) -> bool {
        let Some(entries) = entries(arguments) else {
            self.unknown("settings changed by code");
            return false;
        };
        for (name, value) in entries {
            if !self.configure(class, name, "=", &[], value) {
                self.images(value);
            }
        }
        true
    }

    /// `container["image"] = …`
    fn item(&mut self, subscript: &[Token], value: &[Token]) -> bool {
        let key = self.read(inside(last_subscript(subscript)));
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
