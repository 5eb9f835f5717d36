//! Values files from disk, bounded.

use std::io::Read;
use std::path::Path;

use crate::Error;

/// Bytes of a values file that are read. Helm keeps a release within 1 MB.
pub const LIMIT: u64 = 16_000_000;

/// A file with values.
#[derive(Clone, Debug)]
pub struct ValuesFile {
    /// What it is called in messages.
    pub name: String,
    /// What it says.
    pub text: String,
}

impl ValuesFile {
    /// A file of which the text is known.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        ValuesFile { name: name.into(), text: text.into() }
    }

    /// Reads a file; `-` is stdin.
    ///
    /// # Errors
    /// When it cannot be read, is larger than [`LIMIT`] or is not UTF-8.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let failed =
            |error: std::io::Error| Error::Unreadable { file: name.clone(), reason: error.to_string() };
        let mut bytes = Vec::new();
        let read = match path.as_os_str() == "-" {
            true => std::io::stdin().lock().take(LIMIT + 1).read_to_end(&mut bytes),
            false => {
                let file = std::fs::File::open(path).map_err(failed)?;
                file.take(LIMIT + 1).read_to_end(&mut bytes)
            }
        };
        read.map_err(failed)?;
        if bytes.len() as u64 > LIMIT {
            return Err(Error::Large { file: name, limit: LIMIT });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(ValuesFile { name, text }),
            Err(error) => {
                let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
                Err(Error::Encoding { file: name, line: u32::try_from(line).unwrap_or(u32::MAX) })
            }
        }
    }
}
