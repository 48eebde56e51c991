//! One writer for each repository.
//!
//! A heartbeat that stops does not prove a worker dead, so a lease cannot keep an old writer from writing. It can make it notice:
//! whoever holds the repository has the highest epoch, and a worker looks for a higher one before it writes an index or a
//! snapshot and before it deletes. What an outrun worker still adds is harmless, because names are digests; deleting is done in two
//! steps, days apart.
//!
//! An epoch is an object of its own, created only if it is not there: directories and S3 can both do that, and a directory
//! cannot replace an object conditionally.

mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use self::writer::{Writer, steady};
use super::{OWN, Put, Store};
use crate::error::{Result, WorkerError};
use crate::secret::sha256_hex;

/// How often the holder shows that it lives.
const BEAT: Duration = Duration::from_secs(5);
/// How long a holder must have been silent, watched by our own clock, before another run takes over.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a waiting worker looks.
const LOOK: Duration = Duration::from_secs(1);

/// Who wants the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The run; the same run may always take itself over, its starter knows what it started.
    pub run: String,
    /// Its attempt.
    pub attempt: u32,
    /// How long to wait for another holder to end or to fall silent.
    pub wait: Duration,
    /// How long a holder must have been silent, watched by our own clock, before this run takes over.
    pub silence: Duration,
}

impl Claim {
    /// A claim that takes over from a holder that missed several beats.
    pub const fn new(run: String, attempt: u32, wait: Duration) -> Self {
        Self { run, attempt, wait, silence: SILENCE }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    epoch: u64,
    holder: String,
    run: String,
    attempt: u32,
    beat: u64,
    released: bool,
    /// Whether the holder came to its end before it released: otherwise its last uploads may be in no index.
    settled: bool,
}

/// A body with its digest, so that a damaged lease is seen as such.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    sha256: String,
    body: String,
}

/// The repository is ours while this lives.
#[derive(Debug)]
pub struct Lease {
    fence: Fence,
    body: Body,
    stop: Arc<AtomicBool>,
    beating: Option<JoinHandle<()>>,
    /// Whether the holder before did not come to its end: its last uploads may be in no index.
    pub inherited: bool,
}

/// Looks whether the lease is still ours.
#[derive(Clone, Debug)]
pub struct Fence {
    store: Store,
    epoch: u64,
}

impl Fence {
    /// Our epoch.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Fails once somebody else took the repository over.
    pub fn check(&self) -> Result<()> {
        match highest(&self.store)? {
            Some(theirs) if theirs > self.epoch => Err(WorkerError::LeaseLost { ours: self.epoch, theirs }),
            _ => Ok(()),
        }
    }
}

impl Lease {
    /// Takes the repository, or says who holds it. The epoch is above the floor, also if the leases before it were lost.
    pub fn take(store: &Store, claim: &Claim, floor: u64) -> Result<Self> {
        let started = Instant::now();
        let mut watched: Option<(Body, Instant)> = None;
        loop {
            let current = highest(store)?;
            let (previous, inherited) = match current {
                None => (0, false),
                Some(epoch) => match read_or_guess(store, epoch)? {
                    // Deleted by a newer holder between listing and reading: look again.
                    None => continue,
                    Some(body) if body.released => (epoch, !body.settled),
                    Some(body) if body.run == claim.run => (epoch, true),
                    Some(body) => {
                        let since = match &watched {
                            Some((seen, since)) if *seen == body => *since,
                            _ => Instant::now(),
                        };
                        watched = Some((body.clone(), since));
                        if since.elapsed() < claim.silence {
                            if started.elapsed() >= claim.wait {
                                return Err(busy(body));
                            }
                            std::thread::sleep(LOOK);
                            continue;
                        }
                        (epoch, true)
                    }
                },
            };
            if let Some(lease) = Self::create(store, claim, previous.max(floor), inherited)? {
                return Ok(lease);
            }
        }
    }

    fn create(store: &Store, claim: &Claim, previous: u64, inherited: bool) -> Result<Option<Self>> {
        let epoch = previous.saturating_add(1);
        let body = Body {
            epoch,
            holder: format!("{}/{}", hostname(), std::process::id()),
            run: claim.run.clone(),
            attempt: claim.attempt,
            beat: 0,
            released: false,
            settled: false,
        };
        let won = store.put(&name(epoch), seal(&body)?, Put::Create)?;
        // A repeated request may find what its first try wrote.
        if !won && read(store, epoch)?.as_ref() != Some(&body) {
            return Ok(None);
        }
        let fence = Fence { store: store.clone(), epoch };
        // Older epochs are deleted below, so one that was deleted could be created again by a slow worker: only the highest counts.
        if fence.check().is_err() {
            store.delete(&name(epoch))?;
            return Ok(None);
        }
        for older in epochs(store)?.into_iter().filter(|e| *e < epoch) {
            store.delete(&name(older))?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let beating = Some(beat(store.clone(), body.clone(), Arc::clone(&stop)));
        Ok(Some(Self { fence, body, stop, beating, inherited }))
    }

    /// For the engine.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Gives the repository back: the next run need not wait. One that did not come to its end leaves uploads for it to adopt.
    pub fn release(mut self, settled: bool) -> Result<()> {
        self.end();
        if self.fence.check().is_ok() {
            let body = Body { released: true, settled, ..self.body.clone() };
            self.fence.store.put(&name(body.epoch), seal(&body)?, Put::Replace)?;
        }
        Ok(())
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.beating.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end();
    }
}

fn beat(store: Store, mut body: Body, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        loop {
            std::thread::park_timeout(BEAT);
            if stop.load(Ordering::Acquire) {
                return;
            }
            body.beat = body.beat.saturating_add(1);
            // A beat that is not stored is repeated soon; an outrun holder must not bring its old epoch back.
            let fence = Fence { store: store.clone(), epoch: body.epoch };
            if fence.check().is_ok()
                && let Ok(sealed) = seal(&body)
            {
                let _ = store.put(&name(body.epoch), sealed, Put::Replace);
            }
        }
    })
}

fn busy(body: Body) -> WorkerError {
    WorkerError::Busy { holder: body.holder, run: body.run, attempt: body.attempt }
}

fn name(epoch: u64) -> String {
    format!("{OWN}/lease/{epoch:020}")
}

fn epochs(store: &Store) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for stored in store.list(&format!("{OWN}/lease"))? {
        let last = stored.name.rsplit('/').next().unwrap_or_default();
        let epoch = last.parse().map_err(|_| {
            WorkerError::damaged(&stored.name, "it is named like no epoch; remove it if nobody knows it")
        })?;
        found.push(epoch);
    }
    Ok(found)
}

fn highest(store: &Store) -> Result<Option<u64>> {
    Ok(epochs(store)?.into_iter().max())
}

/// Checks the leases that are there: they can be read, and the last one that wrote is not lost.
pub fn inspect(store: &Store, floor: u64) -> Result<()> {
    let epochs = epochs(store)?;
    for epoch in &epochs {
        read(store, *epoch)?;
    }
    if epochs.last().copied().unwrap_or(0) < floor {
        return Err(WorkerError::damaged(
            name(floor),
            "the lease that wrote last is missing; the next run makes another",
        ));
    }
    Ok(())
}

fn seal(body: &Body) -> Result<bytes::Bytes> {
    let body = serde_json::to_string(body).map_err(|e| WorkerError::engine("writing a lease", e))?;
    let sealed = Sealed { sha256: sha256_hex(body.as_bytes()), body };
    serde_json::to_vec(&sealed).map(Into::into).map_err(|e| WorkerError::engine("writing a lease", e))
}

/// A lease that is damaged is held by nobody knows whom: a holder that lives replaces it with its next beat, and one that does
/// not is silent. The next epoch is above it, which it would not be once somebody had deleted it.
fn read_or_guess(store: &Store, epoch: u64) -> Result<Option<Body>> {
    match read(store, epoch) {
        Err(WorkerError::Damaged { .. }) => Ok(Some(Body {
            epoch,
            holder: "nobody knows whom: the lease is damaged".to_owned(),
            run: "(unknown)".to_owned(),
            attempt: 0,
            beat: 0,
            released: false,
            settled: false,
        })),
        other => other,
    }
}

fn read(store: &Store, epoch: u64) -> Result<Option<Body>> {
    let name = name(epoch);
    let Some(bytes) = store.get(&name)? else { return Ok(None) };
    let damaged = |problem: &str| WorkerError::damaged(&name, problem);
    let sealed: Sealed = serde_json::from_slice(&bytes).map_err(|_| damaged("it is no lease"))?;
    if sha256_hex(sealed.body.as_bytes()) != sealed.sha256 {
        return Err(damaged("its digest does not match"));
    }
    let body: Body = serde_json::from_str(&sealed.body).map_err(|_| damaged("it is no lease"))?;
    if body.epoch == epoch { Ok(Some(body)) } else { Err(damaged("it is the lease of another epoch")) }
}

/// The name of this machine.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use tokio::runtime::Runtime;

    use super::{Claim, Lease, name, read};
    use crate::error::WorkerError;
    use crate::store::Store;
    use crate::store::open::{Place, StoreArgs};

    fn store(directory: &Path, runtime: &Runtime) -> Store {
        StoreArgs::directory(directory).open(Place::Existing, runtime.handle()).unwrap()
    }

    fn claim(run: &str, wait: u64) -> Claim {
        Claim { run: run.to_owned(), attempt: 1, wait: Duration::from_secs(wait), silence: Duration::from_millis(1500) }
    }

    #[test]
    fn a_silent_holder_is_outrun_and_knows_it() {
        let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
        let store = store(dir.path(), &runtime);
        let mut first = Lease::take(&store, &claim("first", 0), 7).unwrap();
        assert_eq!(first.fence().epoch(), 8);
        assert!(matches!(Lease::take(&store, &claim("second", 0), 7), Err(WorkerError::Busy { .. })));
        first.end();
        let second = Lease::take(&store, &claim("second", 60), 7).unwrap();
        assert!(second.inherited);
        assert!(matches!(first.fence().check(), Err(WorkerError::LeaseLost { ours: 8, theirs: 9 })));
        assert!(read(&store, 8).unwrap().is_none());
        // An outrun holder gives back nothing that is not its own.
        first.release(true).unwrap();
        second.fence().check().unwrap();
        assert!(matches!(Lease::take(&store, &claim("third", 0), 0), Err(WorkerError::Busy { .. })));
    }

    #[test]
    fn only_a_holder_that_came_to_its_end_leaves_nothing_to_adopt() {
        let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
        let store = store(dir.path(), &runtime);
        Lease::take(&store, &claim("first", 0), 0).unwrap().release(false).unwrap();
        let second = Lease::take(&store, &claim("second", 0), 0).unwrap();
        assert!(second.inherited);
        second.release(true).unwrap();
        assert!(!Lease::take(&store, &claim("third", 0), 0).unwrap().inherited);
    }

    #[test]
    fn a_damaged_lease_is_outrun_when_nobody_mends_it() {
        let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
        let store = store(dir.path(), &runtime);
        Lease::take(&store, &claim("first", 0), 3).unwrap().release(true).unwrap();
        std::fs::write(dir.path().join(name(4)), b"{").unwrap();
        assert!(matches!(Lease::take(&store, &claim("second", 0), 3), Err(WorkerError::Busy { .. })));
        let second = Lease::take(&store, &claim("second", 60), 3).unwrap();
        assert_eq!((second.fence().epoch(), second.inherited), (5, true));
    }
}
