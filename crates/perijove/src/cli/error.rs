//! From the libraries' errors to a message, a hint and an exit code. Nothing else decides exit codes.
//!
//! What the operating system says has no place in it, so there is no `From` for it: [`CliError::io`] wants one.

use std::fmt::Display;
use std::io;

/// What the user is told when a verb fails.
#[derive(Debug)]
pub struct CliError {
    /// What went wrong and where.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// 1 the work failed, 2 wrong usage or unreadable input, 3 a deadline passed.
    pub code: u8,
}

impl CliError {
    /// Wrong usage.
    pub fn usage(message: impl Into<String>, hint: &str) -> Self {
        CliError { message: message.into(), hint: Some(hint.to_owned()), code: 2 }
    }

    /// The work failed.
    pub fn failed(message: impl Into<String>, hint: &str) -> Self {
        CliError { message: message.into(), hint: Some(hint.to_owned()).filter(|h| !h.is_empty()), code: 1 }
    }
}

impl CliError {
    /// For `map_err` on what the operating system refused. `place` is a path, or what stands for one.
    pub fn io(place: impl Display) -> impl FnOnce(io::Error) -> CliError {
        move |error| {
            let hint = perijove_oci::error::io_hint(&error)
                .unwrap_or("mend what the message names, and run it again");
            CliError::failed(format!("{place}: {error}"), hint)
        }
    }
}

impl From<perijove_build::Error> for CliError {
    fn from(error: perijove_build::Error) -> Self {
        CliError {
            message: error.to_string(),
            hint: error.hint(),
            code: if error.is_usage() { 2 } else { 1 },
        }
    }
}

impl From<perijove_oci::Error> for CliError {
    fn from(error: perijove_oci::Error) -> Self {
        CliError { message: error.to_string(), hint: error.hint(), code: 1 }
    }
}

impl From<perijove_prepull::Error> for CliError {
    fn from(error: perijove_prepull::Error) -> Self {
        CliError { message: error.to_string(), hint: Some(error.hint()), code: 2 }
    }
}

impl From<perijove_prepull::awaiter::Error> for CliError {
    fn from(error: perijove_prepull::awaiter::Error) -> Self {
        let code = if error.is_usage() { 2 } else { 1 };
        CliError { message: error.to_string(), hint: Some(error.hint()), code }
    }
}

impl From<perijove_tags::Refusal> for CliError {
    fn from(refusal: perijove_tags::Refusal) -> Self {
        CliError { message: refusal.to_string(), hint: Some(refusal.hint()), code: 1 }
    }
}

impl From<perijove_init::Error> for CliError {
    fn from(error: perijove_init::Error) -> Self {
        let code = if error.is_usage() { 2 } else { 1 };
        CliError { message: error.to_string(), hint: error.hint(), code }
    }
}

impl From<perijove_release::Error> for CliError {
    fn from(error: perijove_release::Error) -> Self {
        CliError { message: error.to_string(), hint: error.hint(), code: 1 }
    }
}

impl From<perijove_runtime::Error> for CliError {
    fn from(error: perijove_runtime::Error) -> Self {
        CliError { message: error.to_string(), hint: error.hint(), code: 1 }
    }
}

impl From<perijove_registry::Error> for CliError {
    fn from(error: perijove_registry::Error) -> Self {
        use perijove_registry::Error::{Exposed, Line};
        let code = if matches!(error, Exposed { .. } | Line { .. }) { 2 } else { 1 };
        CliError { message: error.to_string(), hint: error.hint().map(str::to_owned), code }
    }
}
