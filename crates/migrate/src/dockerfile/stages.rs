//! A Dockerfile as stages, each with what it stands on.

use std::ops::Range;

use parse_dockerfile::{Command, FromInstruction, Instruction, ParseIter};

use super::expand::{Arguments, Expanded, assignments, expand};
use super::heredoc::Masked;
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
    /// The file as it was written, without a byte order mark.
    pub text: &'a str,
    /// What continues a line: `# escape=`.
    pub escape: char,
    /// Arguments before the first FROM.
    pub global: Arguments,
    /// The stages in order.
    pub stages: Vec<Stage<'a>>,
    /// Here-documents that a shell reads, each with the place of its RUN.
    pub scripts: &'a [(usize, Range<usize>)],
}

impl<'a> Dockerfile<'a> {
    /// Reads a text, which has no byte order mark.
    pub fn parse(masked: &'a Masked<'a>) -> Result<Self, Error> {
        let text = &*masked.text;
        let error = |e: parse_dockerfile::Error| {
            let words = e.to_string();
            // The parser repeats the place behind its words.
            let reason = words.split(" at line ").next().unwrap_or(&words).to_owned();
            Error::Dockerfile { line: e.line(), reason }
        };
        let instructions: ParseIter<'a> = parse_dockerfile::parse_iter(text).map_err(error)?;
        let mut file = Dockerfile {
            text: masked.whole,
            escape: escape(text),
            global: Arguments::new(),
            stages: Vec::new(),
            scripts: &masked.scripts,
        };
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
        // Files are taken by a stage's name in any case, or its number; a variable may be either.
        let names = |value: &str| {
            value.contains('$')
                || self.stages.iter().enumerate().any(|(at, stage)| {
                    let named = stage.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(value));
                    (named || value.parse() == Ok(at)) && on(at)
                })
        };
        let mut instructions = self.stages.iter().flat_map(|stage| &stage.instructions);
        let copied_from = instructions.any(|instruction| sources(instruction).into_iter().any(names));
        let stages = self.stages.iter().enumerate().filter(|(at, _)| on(*at));
        !copied_from && stages.flat_map(|(_, stage)| &stage.instructions).all(adds)
    }
}

/// The images and stages that an instruction takes files from: `--from=`, and `--mount=…,from=`.
fn sources<'a>(instruction: &'a Instruction<'_>) -> Vec<&'a str> {
    let flags: &[parse_dockerfile::Flag<'_>] = match instruction {
        Instruction::Copy(copy) => &copy.options,
        Instruction::Add(add) => &add.options,
        Instruction::Run(run) => &run.options,
        Instruction::Onbuild(onbuild) => return sources(&onbuild.instruction),
        _ => return Vec::new(),
    };
    let mut all = Vec::new();
    for flag in flags {
        let Some(value) = &flag.value else { continue };
        match &*flag.name.value {
            "from" => all.push(&*value.value),
            "mount" => all.extend(value.value.split(',').filter_map(|pair| pair.strip_prefix("from="))),
            _ => {}
        }
    }
    all
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

/// `# escape=` among the parser directives, which stand before all else.
pub fn escape(text: &str) -> char {
    let directives = text.lines().take_while(|line| line.trim_start().starts_with('#'));
    let said = directives.filter_map(|line| {
        let (name, value) = line.trim_start_matches(['#', ' ', '\t']).split_once('=')?;
        name.trim().eq_ignore_ascii_case("escape").then(|| value.trim().chars().next())?
    });
    said.into_iter().next().unwrap_or('\\')
}
