//! Extension headers of a tar: GNU long names, and pax records (POSIX.1-2001, pax, extended headers).

use std::io::Read;

use super::apply::Refused;

/// Longest extension header (a long name, a set of pax records), in bytes.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// What extension headers say about the entry that follows them.
#[derive(Default)]
pub(super) struct Extensions {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub sparse: bool,
}

impl Extensions {
    /// Takes `entry` when it is an extension header, and says so.
    pub fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<bool, Refused> {
        let kind = entry.header().entry_type();
        let long = kind.is_gnu_longname() || kind.is_gnu_longlink();
        if !long && !kind.is_pax_local_extensions() {
            return Ok(kind.is_pax_global_extensions());
        }
        let refused = |reason: String| Refused { entry: None, reason };
        if entry.size() > EXTENSION_LIMIT {
            return Err(refused(format!("an extension header of {} bytes", entry.size())));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| refused(e.to_string()))?;
        if long {
            bytes.truncate(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
            *(if kind.is_gnu_longname() { &mut self.path } else { &mut self.link }) = Some(bytes);
            return Ok(true);
        }
        for record in tar::PaxExtensions::new(&bytes) {
            let record = record.map_err(|e| refused(format!("pax record: {e}")))?;
            match record.key_bytes() {
                b"path" => self.path = Some(record.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(record.value_bytes().to_vec()),
                b"size" => return Err(refused("an entry of 8 GiB and more".to_owned())),
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Ok(true)
    }
}
