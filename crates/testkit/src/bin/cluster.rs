//! A real Kubernetes on this machine, until Ctrl-C: `cluster up` prints how to use it. The other words are how it
//! starts itself; see `cluster/mod.rs`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a program")]

use std::path::Path;
use std::process::ExitCode;

use perijove_testkit::cluster::{Cluster, Options, init, lacking, node, plane, programs, supervisor};

const USAGE: &str = "usage: cluster up [--kubernetes newest|oldest|NUMBER] [--nodes N | --fake-nodes N]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["up", flags @ ..] => up(flags),
        ["supervise", options] => serde_json::from_str(options)
            .map_err(|e| e.to_string())
            .and_then(|options| on_runtime(supervisor::run(options))),
        ["init", ..] => init::run(&arguments[1..]).map_err(|e| e.to_string()),
        ["plane", folder] => on_runtime(plane::run(Path::new(folder))),
        ["node", number, folder] => match number.parse() {
            Ok(number) => on_runtime(node::run(number, Path::new(folder))),
            Err(_) => Err(USAGE.to_owned()),
        },
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn on_runtime<E: ToString>(work: impl Future<Output = Result<(), E>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|e| e.to_string())?.block_on(work).map_err(|e| e.to_string())
}

fn up(flags: &[&str]) -> Result<(), String> {
    let mut options = Options::default();
    for pair in flags.chunks(2) {
        let number = |text: &str| text.parse::<u32>().map_err(|_| USAGE.to_owned());
        match *pair {
            ["--kubernetes", version] => options.kubernetes = version.parse()?,
            ["--nodes", nodes] => options.nodes = number(nodes)?.min(9) as u8,
            ["--fake-nodes", nodes] => options.fake_nodes = number(nodes)?,
            _ => return Err(USAGE.to_owned()),
        }
    }
    if let Some(why) = lacking(&options) {
        return Err(why);
    }
    let cluster = Cluster::start(&options);
    eprintln!("Kubernetes {} after {:.1} s", cluster.version().number(), cluster.facts().seconds);
    eprintln!("registry {}, with login {}", cluster.registry(), cluster.private_registry());
    eprintln!("kubectl {}", programs::kubectl().display());
    eprintln!("logs {}; Ctrl-C ends it", cluster.folder().join("log").display());
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    on_runtime(tokio::signal::ctrl_c())?;
    drop(cluster);
    Ok(())
}
