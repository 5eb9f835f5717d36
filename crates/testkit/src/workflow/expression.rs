//! GitHub's expressions, as far as our workflows go: contexts, literals, `==`, `!=`, `&&`, `||`, `!`, brackets, and the
//! functions of [`Scope::call`]. Anything else fails the test.

use serde_json::Value;

/// What a step or a job may name.
pub struct Scope {
    /// `github`, `matrix`, `strategy`, `needs`, `steps`, `secrets`, `runner`, `env`, as one object.
    pub contexts: Value,
    /// Whether something before has failed.
    pub failed: bool,
}

impl Scope {
    /// Text with `${{ … }}` in it.
    pub fn text(&self, template: &str) -> String {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${{") {
            let (expression, after) = after.split_once("}}").unwrap();
            text.push_str(before);
            text.push_str(&shown(&self.value(expression)));
            rest = after;
        }
        text.push_str(rest);
        text
    }

    /// The value of an expression, with or without `${{ }}` around it.
    pub fn value(&self, expression: &str) -> Value {
        let inner = expression.trim();
        let inner = inner.strip_prefix("${{").and_then(|i| i.strip_suffix("}}")).unwrap_or(inner);
        let mut parser = Parser { scope: self, tokens: tokens(inner), at: 0 };
        let value = parser.or();
        assert_eq!(parser.at, parser.tokens.len(), "cannot read `{expression}`");
        value
    }

    /// An `if:`; without a function of a status in it, it also asks that nothing has failed.
    pub fn condition(&self, condition: Option<&str>) -> bool {
        let Some(condition) = condition else { return !self.failed };
        let asks =
            ["always()", "cancelled()", "failure()", "success()"].iter().any(|f| condition.contains(f));
        (asks || !self.failed) && truthy(&self.value(condition))
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Value {
        match (name, arguments) {
            ("always", []) => true.into(),
            ("cancelled", []) => false.into(),
            ("failure", []) => self.failed.into(),
            ("success", []) => (!self.failed).into(),
            ("fromJSON", [Value::String(text)]) => serde_json::from_str(text).unwrap(),
            _ => panic!("no function {name} of {} arguments is known", arguments.len()),
        }
    }
}

/// As GitHub puts a value into text.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Words, strings in single quotes (with the opening quote), and signs.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => 2 + rest[1..].find('\'').unwrap(),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            _ if ["==", "!=", "&&", "||"].iter().any(|sign| rest.starts_with(sign)) => 2,
            '(' | ')' | '!' | ',' => 1,
            other => panic!("`{other}` in `{text}`"),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

struct Parser<'a> {
    scope: &'a Scope,
    tokens: Vec<String>,
    at: usize,
}

impl Parser<'_> {
    fn takes(&mut self, sign: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|token| token == sign);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Value {
        let mut left = self.and();
        while self.takes("||") {
            let right = self.and();
            left = if truthy(&left) { left } else { right };
        }
        left
    }

    fn and(&mut self) -> Value {
        let mut left = self.equality();
        while self.takes("&&") {
            let right = self.equality();
            left = if truthy(&left) { right } else { left };
        }
        left
    }

    fn equality(&mut self) -> Value {
        let left = self.not();
        if self.takes("==") {
            return (left == self.not()).into();
        }
        if self.takes("!=") {
            return (left != self.not()).into();
        }
        left
    }

    fn not(&mut self) -> Value {
        if self.takes("!") {
            return (!truthy(&self.not())).into();
        }
        if self.takes("(") {
            let value = self.or();
            assert!(self.takes(")"), "a bracket is not closed");
            return value;
        }
        let token =
            self.tokens.get(self.at).cloned().unwrap_or_else(|| panic!("the expression ends too soon"));
        self.at += 1;
        if let Some(text) = token.strip_prefix('\'') {
            return text.trim_end_matches('\'').into();
        }
        if self.takes("(") {
            let mut arguments = Vec::new();
            while !self.takes(")") {
                arguments.push(self.or());
                self.takes(",");
            }
            return self.scope.call(&token, &arguments);
        }
        match token.as_str() {
            "true" => true.into(),
            "false" => false.into(),
            path => self.context(path),
        }
    }

    /// What is missing in a context is nothing; a context that is missing is a mistake.
    fn context(&self, path: &str) -> Value {
        let mut names = path.split('.');
        let first = names.next().unwrap_or_default();
        let context = self.scope.contexts.get(first);
        let mut value = context.unwrap_or_else(|| panic!("no context `{first}` for `{path}`")).clone();
        for name in names {
            value = value.get(name).cloned().unwrap_or(Value::Null);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_mean_what_they_do_at_github() {
        let contexts = json!({
            "github": { "event": { "action": "closed", "number": 7 }, "token": "t" },
            "secrets": {}, "needs": { "a": { "result": "failure", "outputs": { "list": "[\"main\",\"5.x\"]" } } },
        });
        let scope = |failed| Scope { contexts: contexts.clone(), failed };
        for (expression, value) in [
            ("github.event.action != 'closed'", json!(false)),
            ("${{ secrets.OTHER || github.token }}", json!("t")),
            ("github.event.action == 'closed' &&\n github.event.none == 'x'", json!(false)),
            ("fromJSON(needs.a.outputs.list)", json!(["main", "5.x"])),
            ("!(failure() || false) && true", json!(true)),
        ] {
            assert_eq!(scope(false).value(expression), value, "{expression}");
        }
        assert_eq!(scope(false).text("pr${{ github.event.number }}-${{ secrets.none }}."), "pr7-.");
        for (condition, failed, runs) in [
            (None, false, true),
            (None, true, false),
            (Some("github.token == 't'"), true, false),
            (Some("always()"), true, true),
            (Some("${{ !cancelled() && needs.a.result == 'failure' }}"), true, true),
        ] {
            assert_eq!(scope(failed).condition(condition), runs, "{condition:?}");
        }
    }
}
