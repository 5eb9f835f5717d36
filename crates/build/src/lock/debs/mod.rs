//! Debian packages: `debs.in` becomes `debs.lock`.
//!
//! ```text
//! debs.in ── input ─┐
//! archive ── index ─┼── resolve ── text ── debs.lock
//!   (openpgp, release, distil: the chain of trust)
//! ```
//!
//! The chain of trust is apt's: a key of the keyring signs InRelease, InRelease has the digest of the Packages
//! index, the index has the digest of the package, and the lock keeps it. [`index`] fetches; everything from
//! there on is pure. Formats: [`input`] (`debs.in`), [`text`] (`debs.lock`).

pub mod apt;
pub mod archives;
pub mod auth;
pub mod check;
pub mod control;
pub mod distil;
pub mod distributions;
pub mod exclude;
pub mod index;
pub mod input;
pub mod openpgp;
pub mod platform;
mod proxy;
pub mod relation;
pub mod release;
pub mod resolve;
pub mod suggest;
pub mod text;
pub mod universe;
pub mod version;

mod write;

pub use archives::{ArchiveSettings, Archives};
pub use check::{check, summary};
pub use input::DebsIn;
pub use openpgp::DEFAULT_KEYRING;
pub use text::{Archive, DebsLock, LockedDeb, LockedSuite};
pub use write::{DebsRequest, lock};
