//! A small front of the library for its tests: runs one command in an image, as `perijove` would.
//!
//! `perijove-run [--runtime R] [--no-overlay] [--own-network] [--user U] [--workdir D] [--env N=V]… [--bind S:T[:ro]]…
//! [--writable D]… [--entrypoint E] CACHE LAYOUT DIGEST [COMMAND…]`
//!
//! The command's output goes to stdout and stderr, its exit code becomes the program's; 125 with a line
//! that begins with `error:` when it could not run.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use perijove_oci::{Event, Reporter};
use perijove_runtime::{Engine, ExitStatus, ImageSource, Mount, Network, Settings, Spec, Stream, Wanted};

struct Lines;

impl Reporter for Lines {
    fn report(&self, event: Event) {
        if let Event::Note(text) | Event::Warning(text) = event {
            eprintln!("note: {text}");
        }
    }
}

fn main() -> ExitCode {
    if let Some(code) = perijove_runtime::init::maybe_run() {
        return code;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(|e| e.to_string()).and_then(|r| r.block_on(run())) {
        Ok(ExitStatus::Code(code)) => ExitCode::from(u8::try_from(code).unwrap_or(255)),
        Ok(ExitStatus::Signal(number)) => {
            eprintln!("note: ended by signal {number}");
            ExitCode::from(u8::try_from(128 + number).unwrap_or(255))
        }
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::from(125)
        }
    }
}

async fn run() -> Result<ExitStatus, String> {
    let mut spec = Spec::default();
    let mut wanted = Wanted::This(perijove_runtime::Runtime::Builtin);
    let mut arguments = std::env::args().skip(1);
    let mut plain = Vec::new();
    let mut overlay = true;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or("a value is missing");
        match argument.as_str() {
            "--runtime" => wanted = value()?.parse()?,
            "--no-overlay" => overlay = false,
            "--own-network" => spec.network = Network::Own,
            "--user" => spec.user = Some(value()?),
            "--workdir" => spec.workdir = Some(value()?),
            "--writable" => spec.writable.push(value()?),
            "--entrypoint" => spec.entrypoint = Some(vec![value()?]),
            "--env" => {
                let text = value()?;
                let (name, value) = text.split_once('=').ok_or("NAME=value")?;
                spec.env.push((name.to_owned(), value.to_owned()));
            }
            "--bind" => {
                let text = value()?;
                let parts: Vec<&str> = text.split(':').collect();
                let (source, target) = (PathBuf::from(parts[0]), parts[1].to_owned());
                spec.mounts.push(Mount { source, target, read_only: parts.get(2) == Some(&"ro") });
            }
            _ => {
                plain.push(argument);
                if plain.len() == 3 {
                    break;
                }
            }
        }
    }
    let command: Vec<String> = arguments.collect();
    spec.command = (!command.is_empty()).then_some(command);
    let [cache, layout, digest] = &plain[..] else { return Err("CACHE LAYOUT DIGEST".to_owned()) };
    spec.on_line = Some(Arc::new(|stream, line| match stream {
        Stream::Stdout => println!("{line}"),
        Stream::Stderr => eprintln!("{line}"),
    }));
    let shown = |e: perijove_runtime::Error| {
        e.hint().map_or_else(|| e.to_string(), |hint| format!("{e}\nhint: {hint}"))
    };
    let settings = Settings { overlay, ..Settings::new(PathBuf::from(cache), Arc::new(Lines)) };
    let engine = Engine::choose(wanted, settings).await.map_err(shown)?;
    let manifest = digest.parse().map_err(|e| format!("{e}"))?;
    let source = ImageSource { layout: PathBuf::from(layout), manifest, registry_reference: None };
    let mut container = engine.start(&source, spec).await.map_err(shown)?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|e| e.to_string())?;
    tokio::select! {
        status = container.wait() => return status.map_err(shown),
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    container.stop(Duration::from_secs(2)).await.map_err(shown)
}
