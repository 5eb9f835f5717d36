//! The tag rule from outside: the vectors, and the invariants of RULE.md over random repositories.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // clippy.toml's allowance reaches test functions, not what they call.

mod invariants;
mod properties;
mod vectors;
