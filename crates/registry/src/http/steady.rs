//! Keeps a connection on its thread while a body flows.
//!
//! hyper hands a piece of a body to the request, which asks for the next one: the task wakes itself while it is
//! polled. The runtime answers that by queueing the task and waking another thread to look for work, once a
//! piece; the piece is then hashed on a core that does not have it near. [`Steady`] polls again at once instead.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Polls in a row before other tasks get the thread: some milliseconds of hashing.
const ROUNDS: usize = 16;

const RESTING: u8 = 0;
const POLLED: u8 = 1;
const WOKEN: u8 = 2;

/// A future that is polled again at once when it was woken while it was polled.
pub(crate) struct Steady<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Who is to be woken, and whether that is needed.
struct Bell {
    state: AtomicU8,
    task: Mutex<Waker>,
}

impl Bell {
    fn task(&self) -> std::sync::MutexGuard<'_, Waker> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let noted = self.state.compare_exchange(POLLED, WOKEN, Ordering::AcqRel, Ordering::Acquire);
        if noted == Err(RESTING) {
            self.task().wake_by_ref();
        }
    }
}

impl<F: Future> Steady<F> {
    pub(crate) fn new(future: F) -> Self {
        let bell = Arc::new(Bell { state: AtomicU8::new(RESTING), task: Mutex::new(Waker::noop().clone()) });
        Steady { future: Box::pin(future), waker: bell.clone().into(), bell }
    }

    /// The future inside.
    pub(crate) fn as_mut(&mut self) -> Pin<&mut F> {
        self.future.as_mut()
    }
}

impl<F: Future> Future for Steady<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        this.bell.task().clone_from(cx.waker());
        for _ in 0..ROUNDS {
            this.bell.state.store(POLLED, Ordering::Release);
            let polled = this.future.as_mut().poll(&mut Context::from_waker(&this.waker));
            let woken = this.bell.state.swap(RESTING, Ordering::AcqRel) == WOKEN;
            if polled.is_ready() || !woken {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts how often the task is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A future that wakes itself `times`; then it keeps its waker, or is ready.
    fn busy(times: usize, kept: Arc<Mutex<Option<Waker>>>) -> impl Future<Output = ()> {
        let mut polls = 0;
        std::future::poll_fn(move |cx| {
            polls += 1;
            match polls {
                n if n <= times => cx.waker().wake_by_ref(),
                n if n == times + 1 => *kept.lock().unwrap() = Some(cx.waker().clone()),
                _ => return Poll::Ready(()),
            }
            Poll::Pending
        })
    }

    #[test]
    fn wakes_of_its_own_stay_inside_and_others_go_out() {
        let (count, kept) = (Arc::new(Count::default()), Arc::default());
        let waker = count.clone().into();
        let mut cx = Context::from_waker(&waker);
        let mut steady = Steady::new(busy(ROUNDS - 1, Arc::clone(&kept)));
        assert!(Pin::new(&mut steady).poll(&mut cx).is_pending());
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        kept.lock().unwrap().take().unwrap().wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(Pin::new(&mut steady).poll(&mut cx).is_ready());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn others_get_a_turn() {
        let (count, kept) = (Arc::new(Count::default()), Arc::default());
        let waker = count.clone().into();
        let mut cx = Context::from_waker(&waker);
        let mut steady = Steady::new(busy(ROUNDS * 2, kept));
        for turn in 1..=2 {
            assert!(Pin::new(&mut steady).poll(&mut cx).is_pending());
            assert_eq!(count.0.load(Ordering::Relaxed), turn);
        }
    }
}
