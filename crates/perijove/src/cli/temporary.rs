//! A folder for what a command needs for a moment.

use tempfile::TempDir;

use super::error::CliError;

/// A new folder below `TMPDIR`, which is removed with the value.
pub fn temporary() -> Result<TempDir, CliError> {
    // The error names the folder.
    tempfile::tempdir().map_err(|error| {
        CliError::failed(
            format!("temporary folder: {error}"),
            "free some disk space there, or point TMPDIR at a folder with room that you may write to",
        )
    })
}
