//! Puts the demo's image repository into the program: a table of this workspace's `perijove.toml` and `images/`, which
//! `perijove demo` unpacks where there is no image repository. A package of this crate alone has none of them; its
//! table is empty, and its `perijove demo` says so.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(name));
    let root = variable("CARGO_MANIFEST_DIR")?.join("../..");
    let mut paths = Vec::new();
    for name in ["perijove.toml", "images"] {
        let path = root.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        if path.exists() {
            walk(&path, &mut paths)?;
        }
    }
    paths.sort();
    let mut table = String::from("&[\n");
    for path in &paths {
        let name = path.strip_prefix(&root).map_err(io::Error::other)?;
        let value = if path.is_symlink() {
            format!("Kept::Link({:?})", fs::read_link(path)?)
        } else {
            let executable = fs::metadata(path)?.permissions().mode() & 0o100 != 0;
            format!(
                "Kept::File {{ bytes: include_bytes!({:?}), executable: {executable} }}",
                fs::canonicalize(path)?
            )
        };
        writeln!(table, "    ({name:?}, {value}),").map_err(io::Error::other)?;
    }
    table.push_str("]\n");
    fs::write(variable("OUT_DIR")?.join("demo.rs"), table)
}

/// The files and links below `path`.
fn walk(path: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_symlink() || !path.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        // Beside locks these are somebody's own settings, as .npmrc; in an image's files they belong to the image.
        let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden || path.components().any(|step| step.as_os_str() == "rootfs") {
            walk(&entry, found)?;
        }
    }
    Ok(())
}
