//! The `perijove` command: settings in, one library call a verb, results out.

mod cli;
mod compiled;
mod embedded;
mod git;
mod settings;
mod staged;
mod ui;

fn main() -> std::process::ExitCode {
    // A container's first process is this program again: it must not start threads.
    perijove_runtime::init::maybe_run().unwrap_or_else(|| cli::run(std::env::args_os()))
}
