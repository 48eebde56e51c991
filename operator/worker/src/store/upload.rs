//! Uploads side by side, within bounds.
//!
//! The engine hands over one pack at a time and waits for it. Here it waits only for room: a few packs are under way at once, and
//! whatever refers to packs (an index, a snapshot) waits until all of them are stored.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::{Put, Store};
use crate::control::Control;
use crate::error::{Result, WorkerError};

/// Packs under way at once. With packs of 8 MiB and what the engine holds back itself, a killed run repeats less than 64 MiB.
pub const PARALLEL: u32 = 4;

/// Uploads of one run.
#[derive(Clone, Debug)]
pub struct Uploads {
    store: Store,
    control: Control,
    room: Arc<Semaphore>,
}

impl Uploads {
    /// Nothing is under way yet.
    pub fn new(store: Store, control: Control) -> Self {
        Self { store, control, room: Arc::new(Semaphore::new(PARALLEL as usize)) }
    }

    /// Waits for room and for the rate, and starts an upload. Its failure stops the run.
    pub fn start(&self, name: String, content: Vec<Bytes>) -> Result<()> {
        let size: u64 = content.iter().map(|piece| piece.len() as u64).sum();
        self.control.pay(size)?;
        let room = Arc::clone(&self.room);
        let permit = self
            .store
            .runtime
            .block_on(room.acquire_owned())
            .map_err(|e| WorkerError::engine("waiting for room to upload", e))?;
        let (store, control) = (self.store.clone(), self.control.clone());
        self.store.runtime.spawn(async move {
            match store.put_async(&name, content, Put::Replace).await {
                Ok(_) => control.count_upload(size),
                Err(error) => control.fail(error),
            }
            drop(permit);
        });
        Ok(())
    }

    /// Waits until everything that was started is stored; fails if anything was not.
    pub fn settle(&self) -> Result<()> {
        let all = self.store.runtime.block_on(self.room.acquire_many(PARALLEL));
        drop(all.map_err(|e| WorkerError::engine("waiting for uploads", e))?);
        self.control.check()
    }
}
