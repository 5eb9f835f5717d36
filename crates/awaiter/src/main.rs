//! The awaiter as a program of its own, for an image with nothing else in it.

mod command;

fn main() -> std::process::ExitCode {
    // A puller's container runs this program too, and must be next to nothing.
    perijove_awaiter::noop::maybe_run().unwrap_or_else(|| command::run(std::env::args_os()))
}
