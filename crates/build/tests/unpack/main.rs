//! Package archives into entries: made archives, hostile ones, and real ones beside the real tools.

mod archives;
mod collect;
mod deb;
mod files;
mod never_panic;
mod npm;
mod real_debs;
mod real_npm;
mod real_wheels;
mod tools;
mod wheel;
mod zips;
