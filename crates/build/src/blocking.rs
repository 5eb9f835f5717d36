//! Work that keeps a core or a disk busy, beside the network's.

use crate::{Error, Result};

/// Runs `work` on a thread for it. Its panic is the caller's: a fault of the program is never reported as one of the
/// input.
///
/// # Errors
/// Those of `work`; [`Error::Refused`] when the program ends before it began.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Err(_) => Err(Error::Refused { reason: "the program is ending".to_owned(), hint: String::new() }),
    }
}
