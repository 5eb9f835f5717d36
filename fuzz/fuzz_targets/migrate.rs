//! Any text as a Dockerfile, as YAML, as a script and as Python: no panic, places lie in the text, and fixing a second
//! time changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/migrate/tests/fixing/invariants.rs"]
mod invariants;

fuzz_target!(|text: &str| {
    for path in ["hub/Dockerfile", "values.yaml", "run.sh", "jupyterhub_config.py"] {
        invariants::of(path, text);
    }
});
