//! Python wheels: their names, the platforms they run on, and the lock that names them.

pub mod filename;
pub mod requirement;
pub mod select;
pub mod tags;
pub mod target;

pub use filename::{WheelName, normalise};
pub use select::WheelChoice;
pub use tags::Tags;
pub use target::PythonTarget;
