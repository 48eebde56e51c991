//! What a run is asked to do besides its work: stop, go slowly, show that it lives.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Result, WorkerError};

/// The longest nap while throttled: a cancelled run notices within it.
const NAP: Duration = Duration::from_millis(100);

/// Shared by all threads of a run.
#[derive(Clone, Debug, Default)]
pub struct Control {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    cancelled: AtomicBool,
    /// Bytes a second that may be uploaded; 0 means no limit.
    limit: AtomicU64,
    /// When earlier uploads will have been paid for.
    paid_until: Mutex<Option<Instant>>,
    failure: Mutex<Option<WorkerError>>,
    failed: AtomicBool,
    phase: Mutex<&'static str>,
    /// Items and bytes read from the source or written to the target.
    pub(crate) items: AtomicU64,
    bytes: AtomicU64,
    uploaded: AtomicU64,
    /// What an earlier process had done: what is shown does not run backwards.
    floor: (AtomicU64, AtomicU64),
    /// Items and bytes that there are to do, where that is known.
    total: (AtomicU64, AtomicU64),
    /// Bytes and seconds that a copy is behind, once it follows.
    lag: Mutex<Option<(u64, u64)>>,
    notes: Mutex<VecDeque<String>>,
}

impl Control {
    /// A run without limit of its rate.
    pub fn new() -> Self {
        Self::default()
    }

    /// A run that uploads at most so many bytes a second.
    #[must_use]
    pub fn with_limit(self, bytes_a_second: u64) -> Self {
        self.inner.limit.store(bytes_a_second, Ordering::Relaxed);
        self
    }

    /// Asks the run to stop at the next step.
    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::Release);
    }

    /// Whether the run was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::Acquire)
    }

    /// An error once the run was asked to stop or failed in another thread.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(WorkerError::Cancelled);
        }
        if self.has_failed() {
            return Err(WorkerError::engine("another part of the run", "it failed before"));
        }
        Ok(())
    }

    /// Keeps the first failure of any thread; the engine between us and them would only tell a follow-up of it.
    pub fn fail(&self, error: WorkerError) {
        let mut failure = self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() {
            *failure = Some(error);
        }
        self.inner.failed.store(true, Ordering::Release);
    }

    /// Whether some thread failed.
    pub fn has_failed(&self) -> bool {
        self.inner.failed.load(Ordering::Acquire)
    }

    /// The first failure, once. Whoever takes it decides whether the run goes on.
    pub fn take_failure(&self) -> Option<WorkerError> {
        let taken = self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.inner.failed.store(false, Ordering::Release);
        taken
    }

    /// The first failure, or else that the run was cancelled, or else what the caller saw.
    pub fn explain(&self, seen: WorkerError) -> WorkerError {
        match self.take_failure() {
            Some(first) => first,
            None if self.is_cancelled() => WorkerError::Cancelled,
            None => seen,
        }
    }

    /// Waits until so many bytes may be uploaded.
    pub fn pay(&self, bytes: u64) -> Result<()> {
        let limit = self.inner.limit.load(Ordering::Relaxed);
        if limit > 0 {
            let cost = Duration::from_secs_f64(as_float(bytes) / as_float(limit));
            let until = {
                let mut paid = self.inner.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                let until = paid.filter(|t| *t > now).unwrap_or(now) + cost;
                *paid = Some(until);
                until
            };
            while Instant::now() < until {
                self.check()?;
                std::thread::sleep(NAP.min(until.saturating_duration_since(Instant::now())));
            }
        }
        self.check()
    }

    /// Says what the run does now.
    pub fn enter(&self, phase: &'static str) {
        *self.inner.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Counts an item.
    pub fn count_item(&self) {
        self.inner.items.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts bytes read from the source or written to the target.
    pub fn count_bytes(&self, bytes: u64) {
        self.inner.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes stored.
    pub fn count_upload(&self, bytes: u64) {
        self.inner.uploaded.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Shows from now on no less than this: so far an earlier process had come.
    pub fn start_from(&self, items: u64, bytes: u64) {
        self.inner.floor.0.fetch_max(items, Ordering::Relaxed);
        self.inner.floor.1.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Says how much there is to do.
    pub fn expect(&self, items: u64, bytes: u64) {
        self.inner.total.0.store(items, Ordering::Relaxed);
        self.inner.total.1.store(bytes, Ordering::Relaxed);
    }

    /// Says how far a copy is behind, in bytes and seconds.
    pub fn behind(&self, bytes: u64, seconds: u64) {
        *self.inner.lag.lock().unwrap_or_else(PoisonError::into_inner) = Some((bytes, seconds));
    }

    /// Something that a person should know and that is no failure.
    pub fn note(&self, note: impl Into<String>) {
        self.inner.notes.lock().unwrap_or_else(PoisonError::into_inner).push_back(note.into());
    }

    /// The notes since the last call.
    pub fn take_notes(&self) -> Vec<String> {
        self.inner.notes.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    /// Where the run stands.
    pub fn standing(&self) -> Standing {
        let at_least =
            |count: &AtomicU64, floor: &AtomicU64| count.load(Ordering::Relaxed).max(floor.load(Ordering::Relaxed));
        let items = at_least(&self.inner.items, &self.inner.floor.0);
        let bytes = at_least(&self.inner.bytes, &self.inner.floor.1);
        // Nobody has done more than everything: what grows on the way is a part of the whole.
        let lag = *self.inner.lag.lock().unwrap_or_else(PoisonError::into_inner);
        let whole =
            |total: &AtomicU64, done: u64| Some(total.load(Ordering::Relaxed)).filter(|t| *t > 0).map(|t| t.max(done));
        Standing {
            phase: *self.inner.phase.lock().unwrap_or_else(PoisonError::into_inner),
            items,
            bytes,
            uploaded: self.inner.uploaded.load(Ordering::Relaxed),
            total_items: whole(&self.inner.total.0, items),
            total_bytes: whole(&self.inner.total.1, bytes),
            lag_bytes: lag.map(|lag| lag.0),
            lag_seconds: lag.map(|lag| lag.1),
        }
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// What is being done.
    pub phase: &'static str,
    /// Items so far.
    pub items: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// Bytes uploaded so far.
    pub uploaded: u64,
    /// Items that there are, if that is known.
    #[serde(rename = "totalItems", skip_serializing_if = "Option::is_none")]
    pub total_items: Option<u64>,
    /// Their bytes.
    #[serde(rename = "totalBytes", skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Bytes that a copy is behind, if it follows.
    #[serde(rename = "lagBytes", skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
    /// The same in seconds.
    #[serde(rename = "lagSeconds", skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<u64>,
}

/// A float for rates; nobody minds the last bits of them.
#[expect(clippy::cast_precision_loss, reason = "rates for people")]
fn as_float(number: u64) -> f64 {
    number as f64
}

/// Shows progress and that the process lives, until it is dropped.
#[derive(Debug)]
pub struct Reporter {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Form of progress on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ProgressForm {
    /// A line for people every two seconds.
    #[default]
    Text,
    /// A JSON object a line, every second.
    Json,
    /// Nothing.
    None,
}

impl Reporter {
    /// Starts to report; the heartbeat file is replaced as a whole each second.
    pub fn start(control: Control, form: ProgressForm, heartbeat: Option<PathBuf>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let started = Instant::now();
            let mut beats = 0_u64;
            while !ending.load(Ordering::Acquire) {
                std::thread::park_timeout(Duration::from_secs(1));
                if ending.load(Ordering::Acquire) {
                    break;
                }
                beats = beats.saturating_add(1);
                let standing = control.standing();
                if let Some(path) = &heartbeat {
                    beat(path, beats, standing);
                }
                show(form, beats, started.elapsed(), standing);
                for note in control.take_notes() {
                    say(form, &note);
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A reporter that panicked has nothing left to say.
            let _ = thread.join();
        }
    }
}

fn beat(path: &Path, beats: u64, standing: Standing) {
    let body = serde_json::json!({
        "pid": std::process::id(), "beat": beats, "at": jiff::Timestamp::now().to_string(), "standing": standing,
    });
    let staged = path.with_extension("next");
    // A heartbeat that cannot be written must not end a backup; whoever watches it sees that it stopped.
    if std::fs::write(&staged, body.to_string()).is_ok() {
        let _ = std::fs::rename(&staged, path);
    }
}

fn show(form: ProgressForm, beats: u64, elapsed: Duration, standing: Standing) {
    match form {
        ProgressForm::Text if beats.is_multiple_of(2) => {
            let rate = as_float(standing.bytes) / elapsed.as_secs_f64().max(0.001);
            eprintln!(
                "{:>5} s  {:<10} {} items, {:.1} MiB, {:.1} MiB stored, {:.1} MiB/s",
                elapsed.as_secs(),
                standing.phase,
                standing.items,
                as_float(standing.bytes) / MIB,
                as_float(standing.uploaded) / MIB,
                rate / MIB,
            );
        }
        ProgressForm::Json => {
            let line =
                serde_json::json!({ "progress": standing, "elapsedMs": elapsed.as_millis().min(u128::from(u64::MAX)) });
            eprintln!("{line}");
        }
        ProgressForm::Text | ProgressForm::None => {}
    }
}

const MIB: f64 = 1024.0 * 1024.0;

/// A note on stderr.
pub fn say(form: ProgressForm, note: &str) {
    match form {
        ProgressForm::Text => eprintln!("note: {note}"),
        ProgressForm::Json => eprintln!("{}", serde_json::json!({ "note": note })),
        ProgressForm::None => {}
    }
}
