//! Holds back the answer to one request, so that a command is stopped at a known point and not by the clock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// The side of the test. The answer is given when it goes.
pub struct Held {
    arrived: Receiver<()>,
    _until: Sender<()>,
}

impl Held {
    /// Returns when the request has come.
    pub fn wait(&self) {
        self.arrived.recv_timeout(Duration::from_secs(60)).unwrap();
    }
}

/// The side of the server, to be called for every request: at the `number`th (from 1) it returns, true, when the
/// test lets it.
pub fn gate(number: usize) -> (impl Fn() -> bool + Send + Sync + 'static, Held) {
    let (here, arrived) = channel();
    let (until, release) = channel::<()>();
    let (count, ends) = (AtomicUsize::new(0), Mutex::new((here, release)));
    let hold = move || {
        if count.fetch_add(1, Ordering::SeqCst) + 1 != number {
            return false;
        }
        let (here, release) = &*ends.lock().unwrap();
        let _ = here.send(());
        // An error: the test has let go.
        let _ = release.recv();
        true
    };
    (hold, Held { arrived, _until: until })
}
