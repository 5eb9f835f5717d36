//! The registry alone: what tests and benchmarks start as a process of its own. `perijove registry serve` is
//! the same with the whole command line.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use perijove_registry::auth::Access;
use perijove_registry::create_only::CreateOnly;
use perijove_registry::{Collect, Settings, TlsFiles};

const USAGE: &str = "\
usage: perijove-registry --root DIR [--listen ADDRESS] [--create-only REGEX]
       [--tls-certificate PEM --tls-key PEM] [--users HTPASSWD [--rules FILE] [--anonymous-read]]
       [--behind-proxy] [--mount any|named|never] [--max-blob BYTES]
       [--collect-first-ms N] [--collect-every-ms N] [--blob-grace-ms N]";

fn main() -> ExitCode {
    let settings = match settings(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(message) => {
            eprintln!("perijove-registry: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(64).build();
    let outcome = runtime.map_err(|e| e.to_string()).and_then(|runtime| {
        runtime.block_on(async {
            let interrupted = async {
                let _signal = tokio::signal::ctrl_c().await;
            };
            let ready = |address| {
                println!("{address}");
                let _nobody_reads = std::io::stdout().flush();
            };
            perijove_registry::serve(settings, ready, interrupted).await.map_err(|error| match error.hint() {
                Some(hint) => format!("{error}\nhint: {hint}"),
                None => error.to_string(),
            })
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("perijove-registry: {message}");
            ExitCode::FAILURE
        }
    }
}

fn settings(mut words: impl Iterator<Item = String>) -> Result<Settings, String> {
    let mut root = None;
    let mut settings = Settings::new("");
    settings.report = Some(std::sync::Arc::new(|line: &str| eprintln!("perijove-registry: {line}")));
    let (mut users, mut rules, mut anonymous, mut certificate, mut key) = (None, None, false, None, None);
    let mut collect = Collect::default();
    while let Some(flag) = words.next() {
        match flag.as_str() {
            "--anonymous-read" => anonymous = true,
            "--behind-proxy" => settings.behind_proxy = true,
            _ => {
                let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
                let number =
                    || value.parse::<u64>().map_err(|_| format!("{flag}: `{value}` is not a number"));
                match flag.as_str() {
                    "--root" => root = Some(PathBuf::from(&value)),
                    "--listen" => {
                        settings.listen =
                            value.parse().map_err(|_| format!("`{value}` is not ADDRESS:PORT"))?;
                    }
                    "--create-only" => {
                        settings.create_only = CreateOnly::matching(&value).map_err(|e| e.to_string())?;
                    }
                    "--tls-certificate" => certificate = Some(PathBuf::from(&value)),
                    "--tls-key" => key = Some(PathBuf::from(&value)),
                    "--users" => users = Some(PathBuf::from(&value)),
                    "--rules" => rules = Some(PathBuf::from(&value)),
                    "--mount" => settings.mount = value.parse()?,
                    "--max-blob" => settings.limits.blob_bytes = number()?,
                    "--collect-first-ms" => collect.first = Duration::from_millis(number()?),
                    "--collect-every-ms" => collect.every = Duration::from_millis(number()?),
                    "--blob-grace-ms" => collect.blob_grace = Duration::from_millis(number()?),
                    _ => return Err(format!("unknown option {flag}")),
                }
            }
        }
    }
    settings.root = root.ok_or("--root is needed")?;
    settings.collect = Some(collect);
    settings.tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        _ => return Err("--tls-certificate and --tls-key go together".to_owned()),
    };
    if let Some(users) = users {
        let access = Access::load(&users, rules.as_deref()).map_err(|e| e.to_string())?;
        settings.access = Some(if anonymous { access.with_anonymous_read() } else { access });
    }
    Ok(settings)
}
