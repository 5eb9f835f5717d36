//! The tag rule of an image repository: what a tag's text means, how tags compare, which number the next build of
//! a version gets, and which aliases (`5.3.1`, `5.3`, `5`, `latest`) then move to it.
//!
//! `RULE.md` at the root of this crate is the rule; its numbers stand in the comments. Everything here is a function
//! of its arguments: no network, no clock, no file. Reading the tags of a repository, and pushing, are the caller's.
//! So is rule 11: no image has prefixes or suffixes, and nothing renders any.
//!
//! ```
//! let existing = ["5.3.0-0", "5.3.0", "5.3", "5", "latest", "main"];
//! assert_eq!(perijove_tags::next_build("5.3.0", existing, true)?, "1");
//! assert_eq!(perijove_tags::aliases("5.3.0-1", existing)?, ["5.3.0-1", "5.3.0", "5.3", "5", "latest"]);
//! assert_eq!(perijove_tags::release("4.1.6", existing)?, ["4.1.6-0", "4.1.6", "4.1", "4"]);
//! # Ok::<(), perijove_tags::Refusal>(())
//! ```

mod aliases;
mod error;
mod next;
mod order;
mod tag;

pub use aliases::{aliases, release};
pub use error::{Reason, Refusal};
pub use next::next_build;
pub use order::Build;
pub use tag::Tag;
