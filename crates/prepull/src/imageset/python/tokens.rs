//! Python text → statements of tokens. No grammar: brackets, strings, comments and indentation are enough to see
//! assignments, calls and dictionaries. Broken code gives odd tokens, never an error.

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A name or keyword.
    Name(String),
    /// A string's value; `formatted` for f-strings, whose braces are as written.
    Text {
        /// The value.
        value: String,
        /// Whether it is an f-string.
        formatted: bool,
    },
    /// A number as written.
    Number(String),
    /// An operator or bracket.
    Op(&'static str),
}

impl Token {
    /// Whether it is this operator.
    pub fn is(&self, op: &str) -> bool {
        matches!(self, Token::Op(own) if *own == op)
    }

    /// The name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Token::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// A statement: one logical line, or a part of one that is cut at `;` or behind the colon of a header.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its first line, from 1.
    pub line: u32,
    /// Whether it stands in the outermost block, so that it is always run.
    pub top: bool,
    /// Its tokens.
    pub tokens: Vec<Token>,
}

const OPS: [&str; 42] = [
    "**=", "//=", ">>=", "<<=", "...", "==", "!=", "<=", ">=", ":=", "+=", "-=", "*=", "/=", "%=", "|=",
    "&=", "^=", "@=", "->", "**", "//", "(", ")", "[", "]", "{", "}", ",", ":", ".", ";", "=", "+", "-", "*",
    "/", "%", "|", "@", "<", ">",
];

const HEADERS: [&str; 13] = [
    "if", "elif", "else", "for", "while", "def", "class", "with", "try", "except", "finally", "async",
    "match",
];

/// The statements of `code`.
pub fn statements(code: &str) -> Vec<Statement> {
    let mut reader = Reader { code, at: 0, line: 1, found: Vec::new() };
    reader.run();
    reader.found
}

struct Reader<'c> {
    code: &'c str,
    at: usize,
    line: u32,
    found: Vec<Statement>,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.code[self.at..]
    }

    fn skip(&mut self, bytes: usize) {
        let skipped = &self.code[self.at..self.at + bytes];
        self.line += u32::try_from(skipped.matches('\n').count()).unwrap_or(0);
        self.at += bytes;
    }

    fn run(&mut self) {
        let (mut tokens, mut line, mut indent, mut depth) = (Vec::new(), 1, 0usize, 0usize);
        let mut fresh = true;
        while let Some(c) = self.rest().chars().next() {
            if fresh {
                let blank = self.rest().bytes().take_while(|b| *b == b' ' || *b == b'\t').count();
                indent = blank;
                fresh = false;
                self.skip(blank);
                continue;
            }
            match c {
                '\n' => {
                    self.skip(1);
                    if depth == 0 {
                        self.end(&mut tokens, line, indent);
                        fresh = true;
                    }
                    continue;
                }
                '\\' if self.rest()[1..].trim_start_matches('\r').starts_with('\n') => {
                    let end = self.rest().find('\n').unwrap_or(0);
                    self.skip(end + 1);
                    continue;
                }
                '#' => {
                    let end = self.rest().find('\n').unwrap_or(self.rest().len());
                    self.skip(end);
                    continue;
                }
                c if c.is_whitespace() => {
                    self.skip(c.len_utf8());
                    continue;
                }
                _ => {}
            }
            if tokens.is_empty() {
                line = self.line;
            }
            let token = self.token(c);
            match token {
                Token::Op("(" | "[" | "{") => depth += 1,
                Token::Op(")" | "]" | "}") => depth = depth.saturating_sub(1),
                Token::Op(";") if depth == 0 => {
                    self.end(&mut tokens, line, indent);
                    continue;
                }
                Token::Op(":") if depth == 0 && is_header(&tokens) => {
                    self.end(&mut tokens, line, indent);
                    // What follows on the same line is inside.
                    indent += 1;
                    continue;
                }
                _ => {}
            }
            tokens.push(token);
        }
        self.end(&mut tokens, line, indent);
    }

    fn end(&mut self, tokens: &mut Vec<Token>, line: u32, indent: usize) {
        if !tokens.is_empty() {
            self.found.push(Statement { line, top: indent == 0, tokens: std::mem::take(tokens) });
        }
    }

    fn token(&mut self, first: char) -> Token {
        if first == '"' || first == '\'' {
            return self.string("");
        }
        if first.is_alphabetic() || first == '_' {
            let end =
                self.rest().find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest().len());
            let name = self.rest()[..end].to_owned();
            self.skip(end);
            let prefix = name.len() <= 2 && name.chars().all(|c| "rRbBuUfF".contains(c));
            if prefix && self.rest().starts_with(['"', '\'']) {
                return self.string(&name.to_ascii_lowercase());
            }
            return Token::Name(name);
        }
        let dotted = first == '.' && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit());
        if first.is_ascii_digit() || dotted {
            let end = self.rest().find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_');
            let end = end.unwrap_or(self.rest().len());
            let number = self.rest()[..end].to_owned();
            self.skip(end);
            return Token::Number(number);
        }
        if let Some(op) = OPS.iter().find(|op| self.rest().starts_with(**op)) {
            self.skip(op.len());
            return Token::Op(op);
        }
        self.skip(first.len_utf8());
        Token::Op("?")
    }

    /// A string whose prefix has been read.
    fn string(&mut self, prefix: &str) -> Token {
        let raw = prefix.contains('r');
        let quote = if self.rest().starts_with('"') { '"' } else { '\'' };
        let triple = self.rest().starts_with(&quote.to_string().repeat(3));
        let mark = quote.to_string().repeat(if triple { 3 } else { 1 });
        self.skip(mark.len());
        let mut value = String::new();
        while let Some(c) = self.rest().chars().next() {
            if self.rest().starts_with(&mark) {
                self.skip(mark.len());
                break;
            }
            if c == '\n' && !triple {
                break;
            }
            self.skip(c.len_utf8());
            if c == '\\' {
                let Some(next) = self.rest().chars().next() else { break };
                self.skip(next.len_utf8());
                match next {
                    _ if raw => value.extend(['\\', next]),
                    'n' => value.push('\n'),
                    't' => value.push('\t'),
                    '\n' => {}
                    '\\' | '\'' | '"' => value.push(next),
                    _ => value.extend(['\\', next]),
                }
            } else {
                value.push(c);
            }
        }
        Token::Text { value, formatted: prefix.contains('f') }
    }
}

/// Whether these tokens begin a statement whose colon opens a block.
fn is_header(tokens: &[Token]) -> bool {
    tokens.first().and_then(Token::name).is_some_and(|name| HEADERS.contains(&name))
        && !tokens.iter().any(|token| token.is("="))
        || tokens.first().and_then(Token::name).is_some_and(|name| matches!(name, "def" | "class" | "async"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: &str) -> Vec<String> {
        let text = |token: &Token| match token {
            Token::Name(name) => name.clone(),
            Token::Text { value, formatted } => format!("{}{value:?}", if *formatted { "f" } else { "" }),
            Token::Number(number) => number.clone(),
            Token::Op(op) => (*op).to_owned(),
        };
        let line = |s: &Statement| {
            let tokens: Vec<String> = s.tokens.iter().map(text).collect();
            format!("{}{} {}", s.line, if s.top { "" } else { "-" }, tokens.join(" "))
        };
        statements(code).iter().map(line).collect()
    }

    #[test]
    fn statements_are_cut_as_python_cuts_them() {
        for (code, expected) in [
            ("a = 1 # b\n\n# c\nb = 'x#y'\n", &["1 a = 1", "4 b = \"x#y\""][..]),
            ("a = [\n 1,\n 2]\nb", &["1 a = [ 1 , 2 ]", "4 b"]),
            ("a = 1; b = 2", &["1 a = 1", "1 b = 2"]),
            ("if x: y = 1\nz", &["1 if x", "1- y = 1", "2 z"]),
            ("def f(a: int = 1) -> str:\n    return a\n", &["1 def f ( a : int = 1 ) -> str", "2- return a"]),
            ("a = \\\n  2\n", &["1 a = 2"]),
            ("x: int = 3", &["1 x : int = 3"]),
            ("a = \"\"\"x\n\"y\"\n\"\"\"\nb", &["1 a = \"x\\n\\\"y\\\"\\n\"", "4 b"]),
            ("a = f'{x}' r'\\d' 'it\\'s'", &["1 a = f\"{x}\" \"\\\\d\" \"it's\""]),
            ("a == b != c", &["1 a == b != c"]),
            ("a = 'open\nb = 1", &["1 a = \"open\"", "2 b = 1"]),
            ("a = (", &["1 a = ("]),
            ("é = 1", &["1 é = 1"]),
        ] {
            assert_eq!(shown(code), expected, "{code:?}");
        }
    }
}
