//! Image references on the command line. clap repeats a wrong value in its message; a reference may have been
//! given with a password, so the library's message, which leaves it out, takes its place.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use perijove_oci::Reference;
use perijove_oci::reference::ReferenceError;

/// Parses a [`Reference`]; for `#[arg(value_parser = ReferenceParser)]`.
#[derive(Clone, Copy)]
pub struct ReferenceParser;

impl TypedValueParser for ReferenceParser {
    type Value = Reference;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Reference, clap::Error> {
        value.to_string_lossy().parse().map_err(|error: ReferenceError| {
            let of = argument.map(|argument| format!("{argument}: ")).unwrap_or_default();
            command.clone().error(ErrorKind::ValueValidation, format!("{of}{error}"))
        })
    }
}
