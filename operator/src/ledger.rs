//! The ledger: one writer of charges per site, which commits decisions in batches before anyone acts on them.
//!
//! Callers put decisions into a queue; the writer evaluates them in order against the books in memory and commits a batch in one
//! resourceVersion-guarded status write. Only then does the caller write the object's own status, and acknowledges it.

pub mod audit;
mod commit;
mod journal;
mod open;
mod service;
mod writer;

pub use open::{OpenError, list_records};
pub use service::{LedgerService, SiteLedger};

use tokio::sync::oneshot;
use zhengyun_crds::ledger::Held;
use zhengyun_domain::ledger::{Change, Refusal};

/// Why a decision has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// Refused; see the sentence.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many decisions are not visible on their objects yet.
    #[error("LedgerBusy: the ledger of site {0} has too many decisions under way; it is tried again")]
    Busy(String),
    /// The ledger of that site is not open, or this operator is ending.
    #[error("the ledger of site {0} is not open; it opens when the site is registered and this operator leads")]
    Closed(String),
}

/// What the writer does.
#[derive(Debug)]
pub(crate) enum Command {
    /// Decide on changes, all or none.
    Decide { changes: Vec<Change>, reply: oneshot::Sender<Result<i64, LedgerError>> },
    /// The object shows the charge of that sequence.
    Acknowledge { uid: String, sequence: i64 },
    /// Take no new charges.
    Hold { held: Held, fence_epoch: Option<i64>, reply: oneshot::Sender<()> },
    /// An administrator accepted the books with this digest.
    Accept { digest: String, reply: oneshot::Sender<bool> },
    /// A charged object vanished.
    Quarantine { uid: String },
    /// Write down what objects show by now, and tell whether the journal is empty.
    Tidy { reply: oneshot::Sender<bool> },
    /// Tell the present sequence, after everything before it was committed.
    Mark { reply: oneshot::Sender<i64> },
}
