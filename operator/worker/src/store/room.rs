//! How much a repository may hold: a run writes no byte past it.
//!
//! The limit is on the repository and not on what one process adds: an attempt that follows a killed one finds what that one left, and
//! has so much less.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{OWN, Store};
use crate::error::{Result, WorkerError};

/// What may still be written into a store, shared by all who write.
#[derive(Clone, Debug)]
pub struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    left: AtomicU64,
    limit: AtomicU64,
}

impl Default for Room {
    /// Without a limit.
    fn default() -> Self {
        Self(Arc::new(Inner { left: AtomicU64::new(u64::MAX), limit: AtomicU64::new(u64::MAX) }))
    }
}

/// Bytes that a repository may hold.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct RoomArgs {
    /// Bytes that the repository may hold, with everything that is there already. The run stops before it would pass them.
    #[arg(long, value_name = "BYTES")]
    pub repository_limit: Option<u64>,
}

impl RoomArgs {
    /// Puts the limit in force. The lease must be ours: nobody else may be writing while it is measured.
    pub fn put_in_force(self, store: &Store) -> Result<()> {
        let Some(limit) = self.repository_limit else { return Ok(()) };
        let inner = &store.room.0;
        inner.limit.store(limit, Ordering::Relaxed);
        inner.left.store(limit.saturating_sub(store.measure()?), Ordering::Release);
        Ok(())
    }
}

impl Room {
    /// Takes room for an object. What a run keeps for itself needs none, so that it can always give its lease back; the chain does, for it
    /// grows.
    pub(super) fn take(&self, name: &str, bytes: u64) -> Result<()> {
        let own = name.strip_prefix(OWN).and_then(|rest| rest.strip_prefix('/'));
        if own.is_some_and(|own| !own.starts_with("chain/")) || self.0.limit.load(Ordering::Relaxed) == u64::MAX {
            return Ok(());
        }
        let taken = self.0.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(bytes));
        taken.map(drop).map_err(|left| WorkerError::QuotaExceeded {
            limit: self.0.limit.load(Ordering::Relaxed),
            left,
            asked: bytes,
        })
    }
}

impl Store {
    /// Bytes of everything in the repository.
    pub fn measure(&self) -> Result<u64> {
        Ok(self.list("")?.iter().map(|stored| stored.size).sum())
    }
}
