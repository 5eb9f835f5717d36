//! Any lines as a new tag, a version and a repository: no panic, and the invariants of the tag rule hold.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/tags/tests/tags/invariants.rs"]
mod invariants;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let (Some(new), Some(version)) = (lines.next(), lines.next()) else { return };
    let existing: Vec<&str> = lines.collect();
    invariants::of_aliases(new, &existing);
    invariants::of_release(version, &existing);
});
