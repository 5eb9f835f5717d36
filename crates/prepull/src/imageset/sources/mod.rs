//! The places of the values where an image can hide: a file each.

pub mod beside;
pub mod code;
pub mod extra;
pub mod overrides;
pub mod profiles;
pub mod singleuser;
