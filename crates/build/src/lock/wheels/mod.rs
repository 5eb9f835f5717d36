//! Python wheels: their names, the platforms they run on, and the lock that names them.

pub mod compile;
pub mod filename;
pub mod input;
pub mod make;
pub mod merge;
pub mod repack;
pub mod requirement;
pub mod resolve;
pub mod select;
pub mod tags;
pub mod target;

pub use compile::Upgrade;
pub use filename::{WheelName, normalise};
pub use input::Input;
pub use make::{Locked, Request, lock};
pub use select::WheelChoice;
pub use tags::Tags;
pub use target::PythonTarget;
