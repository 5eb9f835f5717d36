//! The `perijove` command.
fn main() {}
