//! Our own image, on the cluster's registry, and `perijove` with a cluster's kubeconfig.

use std::path::{Path, PathBuf};

use perijove_testkit::cluster::{Cluster, TestImage};
use perijove_testkit::program::Program;
use serde_json::Value;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// The static program of the image `perijove-await`: of `PERIJOVE_AWAITER`, else where `make await-image` leaves it.
fn program() -> PathBuf {
    let made = || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        root.join("target/await-image/images/perijove-await/rootfs.amd64/perijove-awaiter")
    };
    std::env::var_os("PERIJOVE_AWAITER").map_or_else(made, PathBuf::from)
}

/// The reference of our image, pushed; nothing where `test` is skipped.
pub fn image(test: &str, cluster: &Cluster) -> Option<String> {
    let Ok(bytes) = std::fs::read(program()) else {
        perijove_testkit::skip(test, &format!("no {} (make await-image)", program().display()));
        return None;
    };
    Some(cluster.push(&TestImage::program("perijove-awaiter", bytes), "perijove-await", "1"))
}

/// `perijove` as an administrator runs it.
pub fn perijove(cluster: &Cluster, folder: &Path) -> Program {
    Program::new(PERIJOVE, folder, folder)
        .env("KUBECONFIG", &cluster.kubeconfig().display().to_string())
        .args(["--color", "never"])
}

/// How each node of a report is, with its reason: `n1 warm`, `n2 excluded Cordoned: …`.
pub fn nodes(report: &Value) -> Vec<String> {
    let rows = report["nodes"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            let reason = row["reason"].as_str().and_then(|text| text.split(':').next()).unwrap_or_default();
            format!("{} {} {reason}", row["name"].as_str().unwrap(), row["state"].as_str().unwrap())
                .trim_end()
                .to_owned()
        })
        .collect()
}
