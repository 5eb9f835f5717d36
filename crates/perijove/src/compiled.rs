//! What an image's Python compiles, kept between starts in Perijove's cache: the image itself holds no bytecode, so
//! that it stays small and reproducible, and every start of a container would compile every module again.
//!
//! A folder for each image and processor, all in one that only this user may enter. Safe to delete at any time;
//! those of other images are removed. A runtime that cannot show a container this machine's folders does without.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use perijove_oci::Platform;
use perijove_runtime::{Engine, ImageSource, Mount, Network, Spec};

/// Where containers see it.
const INSIDE: &str = "/var/cache/python";
/// Python's name for the setting: a folder to keep bytecode in, in place of one beside each module.
const VARIABLE: &str = "PYTHONPYCACHEPREFIX";
/// With a runtime's name behind it, a file that one of its containers wrote: they see the very folder.
const PROOF: &str = ".seen-by-";
/// What a container gets for one of the small programs below; docker and podman fetch the image first.
const WITHIN: Duration = Duration::from_secs(120);

/// The container settings that keep the bytecode of `source`'s image below `cache`.
///
/// # Errors
/// Why this machine, or this runtime, keeps none.
pub async fn keep(cache: &Path, engine: &Engine, source: &ImageSource) -> Result<Spec, String> {
    let folder = cache.join("demo").join("bytecode");
    let architecture = Platform::host().architecture;
    let digest = &source.manifest.hex()[..32];
    let own = folder.join(format!("{architecture}-{digest}"));
    let others = prepare(&folder, &own).map_err(|e| format!("{}: {e}", folder.display()))?;
    for other in others {
        remove(&other, engine, source).await;
    }
    let spec = settings(&own);
    let proof = format!("{PROOF}{}", engine.runtime.name());
    if !own.join(&proof).exists() {
        let write = format!("open('{INSIDE}/{proof}', 'w').close()");
        let said = python(engine, source, spec.clone(), &write).await;
        if !own.join(&proof).exists() {
            // If it is empty: other runtimes may do better.
            let _ = fs::remove_dir(&own);
            return Err(said
                .err()
                .unwrap_or_else(|| "its containers do not see this machine's files".to_owned()));
        }
    }
    Ok(spec)
}

/// Makes the folders, and gives those of other images.
fn prepare(folder: &Path, own: &Path) -> io::Result<Vec<PathBuf>> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if fs::metadata(folder)?.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it is another user's"));
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    DirBuilder::new().recursive(true).create(own)?;
    // For the container's user, who may be anybody here. Others of this machine do not get past the folder above.
    fs::set_permissions(own, Permissions::from_mode(0o777))?;
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.into_iter().map(|entry| entry.path()).filter(|path| path != own).collect())
}

fn settings(folder: &Path) -> Spec {
    Spec {
        env: vec![(VARIABLE.to_owned(), INSIDE.to_owned())],
        mounts: vec![Mount { source: folder.to_owned(), target: INSIDE.to_owned(), read_only: false }],
        ..Spec::default()
    }
}

/// Removes a folder that is not needed any more. What docker's or podman's users wrote may be a container's root's
/// to remove, not this user's. What stays then costs only its space.
async fn remove(folder: &Path, engine: &Engine, source: &ImageSource) {
    if fs::remove_dir_all(folder).is_ok() {
        return;
    }
    let spec = Spec { user: Some("0:0".to_owned()), env: Vec::new(), ..settings(folder) };
    let empty = format!(
        "import os, shutil\nfor e in os.scandir('{INSIDE}'):\n    (shutil.rmtree if e.is_dir(follow_symlinks=False) else os.remove)(e.path)"
    );
    let _ = python(engine, source, spec, &empty).await;
    let _ = fs::remove_dir_all(folder);
}

async fn python(engine: &Engine, source: &ImageSource, spec: Spec, program: &str) -> Result<(), String> {
    let command = ["python3", "-I", "-S", "-c", program].map(str::to_owned).to_vec();
    let spec = Spec { command: Some(command), network: Network::Own, ..spec };
    let output = engine.run_to_end(source, spec, WITHIN).await.map_err(|e| e.to_string())?;
    match output.status {
        Some(status) if status.success() => Ok(()),
        _ => Err(output.stderr.lines().last().unwrap_or("it does not answer").to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_one_user_and_one_image() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("a/b");
        let (old, new) = (folder.join("amd64-1"), folder.join("amd64-2"));
        assert_eq!(prepare(&folder, &old).unwrap(), [""; 0].map(PathBuf::from));
        assert_eq!(prepare(&folder, &new).unwrap(), [old]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&folder), mode(&new)), (0o700, 0o777));
        // Opened by somebody, it is closed again.
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        prepare(&folder, &new).unwrap();
        assert_eq!(mode(&folder), 0o700);
    }
}
