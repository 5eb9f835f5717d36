//! What a Dockerfile does on a retired image that its successor does otherwise.

use std::ops::Range;

use parse_dockerfile::{Command, Instruction, RunInstruction};

use super::files::Files;
use super::pip;
use super::stages::{Base, Dockerfile};
use crate::finding::Finding;
use crate::image::Retired;
use crate::rules::Rule;
use crate::scene::{self, Scene};
use crate::shell;
use crate::{Entry, Tree};

/// Reads a Dockerfile's instructions.
pub struct Habits<'a, 'f> {
    path: &'a str,
    file: &'a Dockerfile<'f>,
    scene: &'a Scene,
    tree: &'a dyn Tree,
    found: Vec<Finding>,
}

impl<'a, 'f> Habits<'a, 'f> {
    /// Of the Dockerfile at `path`.
    pub fn new(path: &'a str, file: &'a Dockerfile<'f>, scene: &'a Scene, tree: &'a dyn Tree) -> Self {
        Habits { path, file, scene, tree, found: Vec::new() }
    }

    /// The habits of all stages that stand on a retired image.
    pub fn read(mut self) -> Vec<Finding> {
        let mut files: Vec<Files> = Vec::new();
        for (number, stage) in self.file.stages.iter().enumerate() {
            let mut here = match stage.base {
                Base::Stage(below) => files.get(below).cloned().unwrap_or_default(),
                Base::Image(_) => Files::default(),
            };
            let retired = self.file.retired(number);
            for instruction in &stage.instructions {
                here.instruction(instruction);
                if let Some(image) = retired {
                    self.instruction(image, instruction, &here);
                }
            }
            files.push(here);
        }
        self.found
    }

    fn instruction(&mut self, image: Retired, instruction: &Instruction<'_>, files: &Files) {
        match instruction {
            Instruction::Onbuild(onbuild) if image.is_hub() => {
                if matches!(&*onbuild.instruction, Instruction::Copy(_) | Instruction::Add(_)) {
                    self.found.push(Finding {
                        rule: Rule::OnbuildCopy,
                        span: onbuild.onbuild.span.clone(),
                        image: None,
                        retired: None,
                        instead: "copy it in the image that has it, or put it into images/NAME/rootfs"
                            .to_owned(),
                        edits: Vec::new(),
                    });
                }
            }
            Instruction::Run(run) => self.installs(run, files),
            _ => {}
        }
        if image.is_hub() && !self.scene.proxy_apart {
            let span = match instruction {
                Instruction::Run(run) => run.run.span.start..self.end_of_run(run),
                Instruction::Cmd(cmd) => cmd.cmd.span.start..end_of(&cmd.arguments),
                Instruction::Entrypoint(entry) => entry.entrypoint.span.start..end_of(&entry.arguments),
                _ => return,
            };
            let word = "configurable-http-proxy";
            if let Some(at) = self.file.text.get(span.clone()).and_then(|text| text.find(word)) {
                let start = span.start + at;
                self.found.push(scene::proxy_in_hub(start..start + word.len(), None));
            }
        }
    }

    /// `pip install` without a lock.
    fn installs(&mut self, run: &RunInstruction<'_>, files: &Files) {
        let mut commands: Vec<(Vec<String>, Range<usize>)> = Vec::new();
        if let Command::Exec(words) = &run.arguments {
            let plain: Vec<String> = words.value.iter().map(|word| word.value.to_string()).collect();
            let inner = shell::inner(shell::itself(&plain), 0);
            commands.extend(inner.into_iter().map(|words| (words, words_span(run))));
        }
        for (text, offset) in self.texts(run) {
            let all = shell::programs(text, self.file.escape);
            commands.extend(all.into_iter().map(|(words, at)| (words, at.start + offset..at.end + offset)));
        }
        for (words, span) in commands {
            let hashed = |name: &String| {
                let mut sources = files.sources(name, run).into_iter();
                sources.any(|source| {
                    matches!(self.tree.look(self.path, &source), Entry::File(Some(text)) if text.contains("--hash="))
                })
            };
            if pip::read(&words).is_some_and(|pip| !pip.is_locked(hashed)) {
                self.found.push(scene::unlocked(span));
            }
        }
    }

    /// The shell texts of a RUN with their offsets.
    fn texts<'r>(&'r self, run: &'r RunInstruction<'_>) -> Vec<(&'r str, usize)> {
        let mut all = shell_texts(run);
        if let (Command::Shell(shell), true) = (&run.arguments, all.is_empty()) {
            all.push((shell.value, shell.span.start));
        }
        let bodies = self.file.scripts.iter().filter(|(at, _)| *at == run.run.span.start);
        all.extend(bodies.filter_map(|(_, body)| Some((self.file.text.get(body.clone())?, body.start))));
        all
    }

    /// Here-documents lie behind the command.
    fn end_of_run(&self, run: &RunInstruction<'_>) -> usize {
        let bodies = self.file.scripts.iter().filter(|(at, _)| *at == run.run.span.start);
        let bodies = bodies.map(|(_, body)| body.end).chain(run.here_docs.iter().map(|doc| doc.span.end));
        bodies.chain([end_of(&run.arguments)]).max().unwrap_or(0)
    }
}

/// The shell texts of a RUN, each with its offset in the file; none where another program reads them.
pub fn shell_texts<'a>(run: &'a RunInstruction<'_>) -> Vec<(&'a str, usize)> {
    match &run.arguments {
        Command::Shell(shell) if shell.value.trim().is_empty() => {
            // `#!/usr/bin/env python3` says who reads it.
            let of_shell = |text: &str| {
                let program = text.lines().next().and_then(|line| line.strip_prefix("#!"));
                let name = program
                    .and_then(|program| program.rsplit(['/', ' ']).find(|word| !word.starts_with('-')));
                name.is_none_or(shell::is_shell)
            };
            let docs = run.here_docs.iter().filter(|doc| of_shell(&doc.value));
            docs.map(|doc| (&*doc.value, doc.span.start)).collect()
        }
        Command::Shell(shell) if run.here_docs.is_empty() => vec![(shell.value, shell.span.start)],
        _ => Vec::new(),
    }
}

fn words_span(run: &RunInstruction<'_>) -> Range<usize> {
    run.run.span.start..end_of(&run.arguments)
}

fn end_of(command: &Command<'_>) -> usize {
    match command {
        Command::Exec(exec) => exec.span.end,
        Command::Shell(shell) => shell.span.end,
        _ => 0,
    }
}
