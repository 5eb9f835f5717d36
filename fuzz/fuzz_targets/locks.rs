//! Any text as each of the locks: a result, never a panic; and what `debs.lock` holds survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perijove_build::lock::debs::{DebsIn, DebsLock};
use perijove_build::lock::{NpmLock, RequirementsLock};

fuzz_target!(|text: &str| {
    let _ = RequirementsLock::parse(text, "requirements.txt");
    let _ = NpmLock::parse(text, "package-lock.json");
    let _ = DebsIn::parse(text, "debs.in");
    if let Ok(lock) = DebsLock::parse(text, "debs.lock") {
        let written = lock.to_text();
        let again = DebsLock::parse(&written, "debs.lock").map(|lock| lock.to_text());
        assert_eq!(again.ok().as_deref(), Some(written.as_str()));
    }
});
