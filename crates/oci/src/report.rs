//! What a library says while it works. The binary decides how it looks: bars, lines or nothing.

/// A piece of work that is under way, for one bar or one line.
pub type TaskId = u64;

/// Something that happened. Events go up; nothing comes back down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Work with a length in bytes, where it is known, has begun.
    Started {
        /// Names the work in later events.
        task: TaskId,
        /// `fetch jupyterhub-5.3.0-py3-none-any.whl`: a verb and its object.
        what: String,
        /// Total bytes, if known.
        total_bytes: Option<u64>,
    },
    /// `bytes` more are done.
    Advanced {
        /// The work.
        task: TaskId,
        /// How many more bytes.
        bytes: u64,
    },
    /// The work is done.
    Finished {
        /// The work.
        task: TaskId,
    },
    /// A line for people.
    Note(String),
    /// A line for people that wants their attention.
    Warning(String),
}

/// Takes events from any thread.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn report(&self, event: Event);
}

/// Says nothing.
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _: Event) {}
}

/// A new task number, unique in this process.
pub fn task() -> TaskId {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
