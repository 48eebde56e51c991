//! The same work for many things at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::{Result, WorkerError};

/// What one read takes in.
const BUFFER: usize = 1 << 18;

/// Does work for each thing on so many threads; results come in the order of the things. After a failure nothing new is begun.
pub(super) fn each<T: Sync, R: Send>(
    things: &[T],
    threads: usize,
    work: impl Fn(&T, &mut [u8]) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let run = || {
        let mut buffer = vec![0; BUFFER];
        let mut done = Vec::new();
        while !failed.load(Ordering::Acquire) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(thing) = things.get(at) else { break };
            let result = work(thing, &mut buffer);
            failed.fetch_or(result.is_err(), Ordering::Release);
            done.push((at, result));
        }
        done
    };
    let all = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(things.len())).map(|_| scope.spawn(run)).collect();
        let mut all = run();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(_) => return Err(WorkerError::engine("working on several files at once", "a thread panicked")),
            }
        }
        Ok(all)
    });
    let mut all = all?;
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, result)| result).collect()
}
