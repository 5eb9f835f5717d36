//! A Dockerfile as stages, each with what it stands on.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use parse_dockerfile::{Command, FromInstruction, Instruction, ParseIter};

use super::expand::{Arguments, Expanded, assignments, expand};
use crate::Error;
use crate::image::{self, Retired};

/// What a stage stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// An earlier stage, by number.
    Stage(usize),
    /// An image, variables put in.
    Image(Expanded),
}

/// A stage.
#[derive(Debug)]
pub struct Stage<'a> {
    /// Its FROM.
    pub from: FromInstruction<'a>,
    /// `AS name`.
    pub name: Option<String>,
    /// What it stands on.
    pub base: Base,
    /// What follows its FROM.
    pub instructions: Vec<Instruction<'a>>,
}

/// A read Dockerfile.
#[derive(Debug)]
pub struct Dockerfile<'a> {
    /// The file, without a byte order mark.
    pub text: &'a str,
    /// What continues a line: `# escape=`.
    pub escape: char,
    /// Arguments before the first FROM.
    pub global: Arguments,
    /// The stages in order.
    pub stages: Vec<Stage<'a>>,
}

impl<'a> Dockerfile<'a> {
    /// Reads `text`, which has no byte order mark and is [`masked`].
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let error = |e: parse_dockerfile::Error| {
            let words = e.to_string();
            // The parser repeats the place behind its words.
            let reason = words.split(" at line ").next().unwrap_or(&words).to_owned();
            Error::Dockerfile { line: e.line(), reason }
        };
        let instructions: ParseIter<'a> = parse_dockerfile::parse_iter(text).map_err(error)?;
        let mut file =
            Dockerfile { text, escape: escape(text), global: Arguments::new(), stages: Vec::new() };
        for instruction in instructions {
            match instruction.map_err(error)? {
                Instruction::From(from) => file.stage(from),
                Instruction::Arg(arg) if file.stages.is_empty() => {
                    let arguments = &arg.arguments;
                    let offset =
                        (arguments.span.len() == arguments.value.len()).then_some(arguments.span.start);
                    for (name, value) in assignments(&arguments.value, offset, &file.global, false) {
                        file.global.extend(value.map(|value| (name, value)));
                    }
                }
                other => {
                    if let Some(stage) = file.stages.last_mut() {
                        stage.instructions.push(other);
                    }
                }
            }
        }
        Ok(file)
    }

    fn stage(&mut self, from: FromInstruction<'a>) {
        let mut value: &str = &from.image.value;
        let mut start = from.image.span.start;
        for quote in ['"', '\''] {
            if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
                value = inner;
                start += 1;
                break;
            }
        }
        let offset = (from.image.span.len() == from.image.value.len()).then_some(start);
        let value = expand(value, offset, &self.global);
        let named = |stage: &Stage<'_>| {
            stage.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&value.value))
        };
        let base = match self.stages.iter().rposition(named) {
            Some(number) => Base::Stage(number),
            None => Base::Image(value),
        };
        let name = from.as_.as_ref().map(|(_, name)| name.value.to_string());
        self.stages.push(Stage { from, name, base, instructions: Vec::new() });
    }

    /// The retired image that a stage stands on in the end.
    pub fn retired(&self, number: usize) -> Option<Retired> {
        match &self.stages.get(number)?.base {
            Base::Stage(below) => self.retired(*below),
            Base::Image(value) => image::whole(&value.value).map(|found| found.image),
        }
    }

    /// Whether this stage and all that stand on it only add files and settings, which needs no shell, and start the
    /// hub.
    pub fn only_adds(&self, number: usize) -> bool {
        let on = |stage: usize| {
            let mut at = stage;
            while at != number {
                match self.stages[at].base {
                    Base::Stage(below) => at = below,
                    Base::Image(_) => return false,
                }
            }
            true
        };
        let name = self.stages[number].name.as_deref();
        let copied_from = self.stages.iter().flat_map(|stage| &stage.instructions).any(|instruction| {
            matches!(instruction, Instruction::Copy(copy) if copy.options.iter().any(|flag| {
                flag.name.value == "from" && flag.value.as_ref().is_some_and(|v| {
                    name == Some(&*v.value) || v.value.parse() == Ok(number)
                })
            }))
        });
        let stages = self.stages.iter().enumerate().filter(|(at, _)| on(*at));
        !copied_from && stages.flat_map(|(_, stage)| &stage.instructions).all(adds)
    }
}

fn adds(instruction: &Instruction<'_>) -> bool {
    match instruction {
        Instruction::Copy(_)
        | Instruction::Arg(_)
        | Instruction::Env(_)
        | Instruction::Label(_)
        | Instruction::Expose(_)
        | Instruction::Workdir(_)
        | Instruction::Maintainer(_)
        | Instruction::Stopsignal(_)
        | Instruction::Volume(_) => true,
        Instruction::User(user) => user.arguments.value.starts_with(|c: char| c.is_ascii_digit()),
        Instruction::Cmd(cmd) => starts_hub(&cmd.arguments),
        Instruction::Entrypoint(entry) => starts_hub(&entry.arguments),
        _ => false,
    }
}

fn starts_hub(command: &Command<'_>) -> bool {
    match command {
        Command::Exec(exec) => exec.value.first().is_some_and(|word| word.value == "jupyterhub"),
        _ => false,
    }
}

/// The text with the bodies of here-documents that follow a command (`RUN python3 <<EOF`) turned into comments of the
/// same length, for the parser knows only those that are all of a RUN.
pub fn masked(text: &str) -> Cow<'_, str> {
    static OPENS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?i)^\s*RUN\s+(?:--\S+\s+)*[^\s<-][^\n]*?(?:^|[^<])<<-?["']?([A-Za-z_]\w*)"#).ok()
    });
    let Some(opens) = OPENS.as_ref().filter(|_| text.contains("<<")) else { return Cow::Borrowed(text) };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut out = String::with_capacity(text.len());
    let (mut at, mut start) = (0, true);
    while let Some(line) = lines.get(at) {
        out.push_str(line);
        at += 1;
        // Another program's lines may look like instructions: only the start of one counts.
        let continues = line.trim_end().ends_with(['\\', '`']);
        let opened = opens.captures(line).filter(|_| start && !continues);
        start = !continues;
        let Some(word) = opened.and_then(|found| found.get(1)) else { continue };
        let Some(length) = lines[at..].iter().position(|line| line.trim() == word.as_str()) else { continue };
        for line in &lines[at..=at + length] {
            let body = line.trim_end_matches(['\r', '\n']);
            if !body.is_empty() {
                out.push('#');
                out.push_str(&" ".repeat(body.len() - 1));
            }
            out.push_str(&line[body.len()..]);
        }
        at += length + 1;
    }
    Cow::Owned(out)
}

/// `# escape=` among the parser directives, which stand before all else.
fn escape(text: &str) -> char {
    let directives = text.lines().take_while(|line| line.trim_start().starts_with('#'));
    let said = directives.filter_map(|line| {
        let (name, value) = line.trim_start_matches(['#', ' ', '\t']).split_once('=')?;
        name.trim().eq_ignore_ascii_case("escape").then(|| value.trim().chars().next())?
    });
    said.into_iter().next().unwrap_or('\\')
}
