//! The life of one process of the product.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Which program a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The operator.
    Operator,
    /// The API.
    Api,
    /// A run of backup, restore or drill.
    Worker,
}

/// One process.
#[derive(Debug)]
pub struct Life {
    /// What it runs.
    pub role: Role,
    /// What the record calls it, such as `operator-1`.
    pub agent: String,
    dead: AtomicBool,
    straggles: AtomicBool,
    still_until: Mutex<Option<Instant>>,
}

impl Life {
    /// A process that runs.
    pub fn new(role: Role, agent: &str) -> Arc<Self> {
        Arc::new(Self {
            role,
            agent: agent.to_owned(),
            dead: AtomicBool::new(false),
            straggles: AtomicBool::new(false),
            still_until: Mutex::new(None),
        })
    }

    /// Ends it: nothing that it sends from now on takes place.
    pub fn end(&self, straggles: bool) {
        self.straggles.store(straggles, Ordering::Release);
        self.dead.store(true, Ordering::Release);
    }

    /// Whether it ended.
    pub fn is_over(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Whether what was under way as it ended still takes place, later.
    pub(super) fn straggles(&self) -> bool {
        self.straggles.load(Ordering::Acquire)
    }

    /// It does nothing for a while.
    pub(super) fn halt(&self, long: Duration) {
        *self.still_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + long);
    }

    /// Whether it stands still.
    pub(in crate::sim) fn is_still(&self) -> bool {
        let until = *self.still_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| until > Instant::now())
    }

    /// Returns once it does not stand still.
    pub(in crate::sim) async fn stand_still(&self) {
        loop {
            let until = *self.still_until.lock().unwrap_or_else(PoisonError::into_inner);
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return,
            }
        }
    }

    /// Returns unless it ended.
    pub(in crate::sim) async fn or_never(&self) {
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }
}
