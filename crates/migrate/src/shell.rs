//! A shell text as a list of plain commands. What is more than words in a row (substitution, pipes, loops,
//! redirections) is said to be so, not understood.

use std::ops::Range;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its words without quotes.
    pub words: Vec<String>,
    /// Where it stands in the text.
    pub span: Range<usize>,
    /// Whether there is more to it than its words.
    pub complex: bool,
}

#[derive(Default)]
struct Reader {
    commands: Vec<Command>,
    words: Vec<String>,
    word: Option<String>,
    complex: bool,
    start: Option<usize>,
    end: usize,
    /// Inside of a pipe, whose commands belong together.
    piped: bool,
}

impl Reader {
    fn char(&mut self, at: usize, c: char) {
        self.start.get_or_insert(at);
        self.end = at + c.len_utf8();
        self.word.get_or_insert_default().push(c);
    }

    fn word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn command(&mut self, pipe: bool) {
        self.word();
        if let Some(start) = self.start.take() {
            let complex = std::mem::take(&mut self.complex) || self.piped || pipe;
            self.commands.push(Command {
                words: std::mem::take(&mut self.words),
                span: start..self.end,
                complex,
            });
        }
        self.piped = pipe;
    }
}

/// The commands of `text`; `escape` before the end of a line continues it.
pub fn commands(text: &str, escape: char) -> Vec<Command> {
    let mut reader = Reader::default();
    let mut chars = text.char_indices().peekable();
    let mut quote = None;
    let mut line_start = true;
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        // A comment, also one between the lines of a continued command.
        if quote.is_none() && c == '#' && (line_start || reader.word.is_none()) {
            let continued = line_start && reader.start.is_some();
            while chars.peek().is_some_and(|(_, c)| *c != '\n') {
                chars.next();
            }
            if continued {
                chars.next();
            }
            continue;
        }
        line_start = line_start && c.is_whitespace() && c != '\n';
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                reader.start.get_or_insert(at);
                reader.end = at + 1;
                reader.word.get_or_insert_default();
            }
            (_, c) if c == escape && matches!(next, Some('\n' | '\r')) && quote != Some('\'') => {
                for (_, c) in chars.by_ref() {
                    if c == '\n' {
                        break;
                    }
                }
                // What follows belongs to the same word, unless a blank parts them.
                line_start = true;
            }
            (None | Some('"'), '\\') => {
                if let Some((at, c)) = chars.next() {
                    reader.char(at, c);
                }
            }
            (None | Some('"'), '`') => {
                reader.complex = true;
                reader.char(at, c);
            }
            (None | Some('"'), '$') => {
                reader.complex |= next == Some('(');
                reader.char(at, c);
                while next == Some('{') {
                    let Some((at, c)) = chars.next() else { break };
                    reader.char(at, c);
                    if c == '}' {
                        break;
                    }
                }
            }
            (Some(_), c) => reader.char(at, c),
            (None, '\n' | ';') => {
                reader.command(false);
                line_start = c == '\n';
            }
            (None, '&' | '|') => {
                let double = next == Some(c);
                if double {
                    chars.next();
                }
                reader.complex |= double && c == '|';
                let pipe = c == '|' && !double;
                reader.complex |= c == '&' && !double;
                reader.command(pipe);
            }
            (None, '<' | '>' | '(' | ')' | '{' | '}') => {
                // Version specifiers without quotes would be redirections; the shell takes them as such.
                reader.complex = true;
                reader.char(at, c);
            }
            (None, c) if c.is_whitespace() => reader.word(),
            (None, c) => reader.char(at, c),
        }
    }
    reader.command(false);
    const WORDS: [&str; 12] =
        ["if", "then", "else", "fi", "for", "while", "do", "done", "case", "esac", "function", "!"];
    for command in &mut reader.commands {
        command.complex |= command.words.first().is_some_and(|word| WORDS.contains(&word.as_str()));
    }
    reader.commands
}

/// Whether a program reads commands.
pub fn is_shell(program: &str) -> bool {
    ["sh", "bash", "dash", "ash", "zsh", "ksh"].contains(&program)
}

/// Words of the grammar that stand before a command.
const GRAMMAR: [&str; 10] = ["if", "elif", "then", "else", "while", "until", "do", "!", "{", "("];
/// Programs that run the command behind them.
const RUNNERS: [&str; 13] = [
    "sudo",
    "tini",
    "env",
    "exec",
    "time",
    "nohup",
    "nice",
    "command",
    "xargs",
    "gosu",
    "su-exec",
    "timeout",
    "dumb-init",
];
/// Their flags with a value.
const VALUES: [&str; 8] = ["-u", "-g", "-h", "-n", "-P", "-k", "-s", "-I"];

/// The words of a command without what stands before it: `sudo`, variables set for it, the shell's grammar.
pub fn itself(words: &[String]) -> Vec<String> {
    let mut words: Vec<String> = words.to_vec();
    if let Some(first) = words.first_mut() {
        *first = first.trim_start_matches(['(', '{']).to_owned();
    }
    if let Some(last) = words.last_mut().filter(|last| !last.contains('(')) {
        *last = last.trim_end_matches(')').to_owned();
    }
    let mut rest = words.as_slice();
    while let Some((first, behind)) = rest.split_first() {
        let name = first.rsplit('/').next().unwrap_or(first);
        let set = first.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        });
        if first.is_empty() || set || GRAMMAR.contains(&first.as_str()) {
            rest = behind;
        } else if RUNNERS.contains(&name) {
            rest = behind_flags(behind);
            if matches!(name, "gosu" | "su-exec" | "timeout") {
                rest = rest.get(1..).unwrap_or(&[]);
            }
        } else if ["conda", "mamba", "micromamba"].contains(&name)
            && behind.first().is_some_and(|w| w == "run")
        {
            rest = behind_flags(&behind[1..]);
        } else {
            break;
        }
    }
    rest.to_vec()
}

fn behind_flags(mut words: &[String]) -> &[String] {
    while let Some((flag, rest)) = words.split_first().filter(|(word, _)| word.starts_with('-')) {
        let value = VALUES.contains(&flag.as_str()) || flag == "-p" || flag == "--name" || flag == "--prefix";
        words = if value { rest.get(1..).unwrap_or(&[]) } else { rest };
    }
    words
}

/// Every command of `text` without what stands before it, with its place; also those that a shell is given as a
/// word (`bash -c "…"`), at the place of that shell.
pub fn programs(text: &str, escape: char) -> Vec<(Vec<String>, Range<usize>)> {
    let mut all = Vec::new();
    for command in commands(text, escape) {
        all.extend(inner(itself(&command.words), 0).into_iter().map(|words| (words, command.span.clone())));
    }
    all
}

/// A command, and what it gives a shell to read.
pub fn inner(words: Vec<String>, depth: usize) -> Vec<Vec<String>> {
    let program = words.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word));
    let said = match program {
        "eval" => Some(words[1..].join(" ")),
        "su" | "runuser" => {
            words.iter().position(|word| word == "-c").and_then(|at| words.get(at + 1)).cloned()
        }
        shell if is_shell(shell) => {
            let given =
                |word: &String| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c');
            words.iter().position(given).and_then(|at| words.get(at + 1)).cloned()
        }
        _ => None,
    };
    match said {
        // Nobody writes more shells inside each other.
        Some(text) if depth < 4 => {
            let inside = commands(&text, '\\');
            inside.iter().flat_map(|command| inner(itself(&command.words), depth + 1)).collect()
        }
        _ => vec![words],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_command() {
        for (text, says) in [
            ("PIP_NO_CACHE_DIR=1 pip install x", vec!["pip install x"]),
            ("sudo -H -u root pip install x", vec!["pip install x"]),
            ("env A=b sudo -E A=b pip install x", vec!["pip install x"]),
            ("if a; then pip install x; fi", vec!["a", "pip install x", "fi"]),
            ("(cd x && pip install y)", vec!["cd x", "pip install y"]),
            ("{ a; }", vec!["a", "}"]),
            ("bash -lc 'a && sudo b c'", vec!["a", "b c"]),
            ("su - ada -c \"pip install x\"", vec!["pip install x"]),
            ("bash -c \"sh -c 'a b'\"", vec!["a b"]),
            ("conda run -n base pip install x", vec!["pip install x"]),
            ("cat x | xargs -n 1 pip install", vec!["cat x", "pip install"]),
            ("gosu ada timeout 10 a", vec!["a"]),
            ("bash start.sh", vec!["bash start.sh"]),
        ] {
            let all: Vec<String> = programs(text, '\\').iter().map(|(words, _)| words.join(" ")).collect();
            assert_eq!(all, says, "{text}");
        }
    }

    #[test]
    fn commands_are_words_in_a_row() {
        let plain = |text: &str| -> Vec<String> {
            let all = commands(text, '\\');
            all.iter().map(|c| format!("{}{}", if c.complex { "~" } else { "" }, c.words.join(" "))).collect()
        };
        for (text, says) in [
            ("a b && c 'd e'; f", vec!["a b", "c d e", "f"]),
            (
                "apt-get install -y \\\n  git \\\n  # a word\n  vim \\\n && true",
                vec!["apt-get install -y git vim", "true"],
            ),
            ("pip install \"jupyterhub>=5\" 'x[y]==1'", vec!["pip install jupyterhub>=5 x[y]==1"]),
            ("curl x | sh && y", vec!["~curl x", "~sh", "y"]),
            ("a || b", vec!["~a", "b"]),
            ("x $(y) ${Z}", vec!["~x $(y) ${Z}"]),
            ("if a; then b; fi", vec!["~if a", "~then b", "~fi"]),
            ("a # b\nc", vec!["a", "c"]),
            ("a --no-\\\nb\\\n c", vec!["a --no-b c"]),
            ("a\\\n# a word\n b", vec!["a b"]),
            ("a > b", vec!["~a > b"]),
            ("rm -rf /x/* ${A}/b", vec!["rm -rf /x/* ${A}/b"]),
            ("", vec![]),
        ] {
            assert_eq!(plain(text), says, "{text}");
        }
        let text = "a b && cc d";
        assert_eq!(&text[commands(text, '\\')[1].span.clone()], "cc d");
        assert_eq!(commands("a `\n b", '`')[0].words, ["a", "b"]);
    }
}
