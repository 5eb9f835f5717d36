//! The verbs: one file each, one line each in this list.

mod awaiter;
mod build;
mod demo;
pub mod error;
mod images;
mod init;
mod lock;
mod migrate;
mod plan;
mod prepared;
mod pull_request;
mod reference;
mod registry;
mod release;
mod tags;
mod temporary;
mod test;
mod warm;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::{OsStr, Resettable};
use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use perijove_awaiter::ended_by_signal;
use perijove_build::Config;
use perijove_build::lock::journal;

use crate::ui::{Color, Ui};
use error::CliError;

/// Releases JupyterHub's container images and has them on every Kubernetes node before anyone asks.
#[derive(Parser)]
#[command(name = "perijove", version, max_term_width = 110)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags that every verb takes.
#[derive(clap::Args)]
pub struct Global {
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value = "text", env = "PERIJOVE_FORMAT")]
    format: Format,
    /// Say only warnings and what went wrong
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say each step
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Colours
    #[arg(long, global = true, value_enum, default_value = "auto", env = "PERIJOVE_COLOR")]
    color: Color,
    /// The image repository: the folder with perijove.toml, or one below it
    #[arg(short = 'C', long, global = true, value_name = "DIR", default_value = ".")]
    directory: std::path::PathBuf,
}

/// Formats of results.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// For pull requests and job summaries: `plan` and `release`
    Markdown,
}

#[derive(Subcommand)]
enum Verb {
    /// Write an image repository with pipelines: release, pull requests, scheduled refresh
    Init(init::Arguments),
    /// Write the images' locks: debs.lock, requirements.txt, package-lock.json
    Lock(lock::Arguments),
    /// Say what a release of the locks would do, and what it changes
    Plan(prepared::What),
    /// Build images from their locks
    Build(build::Arguments),
    /// Run the images' own checks
    Test(test::Arguments),
    /// Build, test and release images under the next build number
    Release(release::Arguments),
    /// Build, test, release and run the demo image on this machine
    Demo(demo::Arguments),
    /// The images that a hub's users can start, and the nodes they can land on
    Images(images::Arguments),
    /// Wait until the pullers of a cluster have their images on the nodes
    Await(awaiter::Arguments),
    /// Bring images to the nodes of the current cluster, and leave nothing behind
    Warm(warm::Arguments),
    /// Build numbers and aliases by the tag rule
    #[command(subcommand)]
    Tags(tags::Verb),
    /// Find uses of retired images, and write what takes their place
    Migrate(migrate::Arguments),
    /// The embedded registry
    #[command(subcommand)]
    Registry(registry::Verb),
}

/// How a verb ended.
pub enum Outcome {
    /// Done, or nothing to do.
    Done,
    /// The work was done and its answer is no: a check found something.
    Found,
    /// The deadline passed.
    Late,
}

/// Runs the command line and gives the exit code: 0 done, 1 failed or found something, 2 wrong usage or
/// unreadable input, 3 a deadline passed.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = arguments.collect();
    let color = words_color(&words, std::env::var("PERIJOVE_COLOR").ok().as_deref());
    let command = without_empty_variables(Arguments::command().color(color));
    let arguments = match command.try_get_matches_from(words).and_then(|m| Arguments::from_arg_matches(&m)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let ui = Ui::new(
        arguments.global.format,
        arguments.global.quiet,
        arguments.global.verbose,
        arguments.global.color,
    );
    let global = &arguments.global;
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::io("threads of the program"))
        .and_then(|runtime| {
            // A server, and what must clean up, ends in order by itself.
            let serves =
                matches!(arguments.verb, Verb::Registry(_) | Verb::Demo(_) | Verb::Await(_) | Verb::Warm(_));
            runtime.block_on(async {
                tokio::select! {
                    result = dispatch(arguments.verb, global, &ui) => result,
                    () = ended_by_signal(), if !serves => Err(interrupted()),
                }
            })
        });
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        Ok(Outcome::Late) => ExitCode::from(3),
        Err(error) => {
            ui.error(&error);
            ExitCode::from(error.code)
        }
    }
}

/// The image repository, with what an interrupted `perijove lock` left half-way made good.
fn repository(global: &Global, ui: &Ui) -> Result<Config, CliError> {
    let config = Config::find(&global.directory)?;
    let finished = journal::settle(&config.root)?;
    if !finished.is_empty() {
        let places: Vec<_> = finished.iter().map(|place| place.display().to_string()).collect();
        ui.status(&format!("finished what an interrupted `perijove lock` began: {}", places.join(", ")));
    }
    Ok(config)
}

/// Variables that are set to nothing count as unset: pipelines set them so from what an event does not have. But no
/// staging registry is a setting of its own.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let names_nothing = |name: &std::ffi::OsStr| name != "PERIJOVE_STAGING" && is_empty(name);
    let command = command.mut_args(|argument| match argument.get_env().is_some_and(names_nothing) {
        true => argument.env(Resettable::<OsStr>::Reset),
        false => argument,
    });
    command.mut_subcommands(without_empty_variables)
}

/// What `--color` says, for the errors of a command line that cannot be read: the last one, else `variable`.
/// Left open, clap looks at the terminal and at `NO_COLOR`.
fn words_color(words: &[OsString], variable: Option<&str>) -> ColorChoice {
    let mut words = words.iter().map_while(|word| word.to_str().filter(|word| *word != "--"));
    let mut said = variable;
    while let Some(word) = words.next() {
        if word == "--color" {
            said = words.next();
        } else if let Some(value) = word.strip_prefix("--color=") {
            said = Some(value);
        }
    }
    match said {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// What was under way was dropped: files are put in place whole, so nothing half-written stays.
fn interrupted() -> CliError {
    CliError::failed("interrupted", "run it again: it goes on where it was")
}

async fn dispatch(verb: Verb, global: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    if global.format == Format::Markdown && !matches!(verb, Verb::Plan(_) | Verb::Release(_)) {
        return Err(CliError::usage(
            "this verb has no markdown",
            "`plan` and `release` do; use --format text or json",
        ));
    }
    if let Some(limit) = crate::settings::http_timeout()? {
        perijove_oci::http::allow_silence(limit);
    }
    match verb {
        Verb::Init(arguments) => init::run(arguments, global, ui).await,
        Verb::Plan(arguments) => plan::run(arguments, global, ui).await,
        Verb::Lock(arguments) => lock::run(arguments, global, ui).await,
        Verb::Build(arguments) => build::run(arguments, global, ui).await,
        Verb::Test(arguments) => test::run(arguments, global, ui).await,
        Verb::Release(arguments) => release::run(arguments, global, ui).await,
        Verb::Demo(arguments) => demo::run(arguments, global, ui).await,
        Verb::Images(arguments) => images::run(&arguments, ui),
        Verb::Await(arguments) => awaiter::run(&arguments, ui).await,
        Verb::Warm(arguments) => warm::run(&arguments, ui).await,
        Verb::Tags(verb) => tags::run(verb, global, ui).await,
        Verb::Migrate(arguments) => migrate::run(arguments, global, ui).await,
        Verb::Registry(verb) => registry::run(verb, global, ui).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_color_counts() {
        for (words, variable, choice) in [
            ("build", None, ColorChoice::Auto),
            ("build --colour", Some("never"), ColorChoice::Never),
            ("--color always build --color=never", None, ColorChoice::Never),
            ("build --color=never --color always", Some("never"), ColorChoice::Always),
            ("build --color auto", Some("always"), ColorChoice::Auto),
            ("build -- --color always", None, ColorChoice::Auto),
            ("build --color", None, ColorChoice::Auto),
        ] {
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            assert_eq!(words_color(&words, variable), choice, "{words:?}");
        }
    }
}
