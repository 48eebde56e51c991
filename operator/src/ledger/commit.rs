//! The ledger object: reading it, and writing a commit so that its outcome is always known.

use std::time::Duration;

use kube::{Api, Client};
use zhengyun_crds::ledger::{Ledger, LedgerStatus};
use zhengyun_domain::seeded::{self, Bug};

use crate::runtime::hub::{is_conflict, is_not_found, replace_status};

/// Why a commit did not take place, for good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// Another operator wrote the ledger: this one is no longer the leader.
    #[error("another operator wrote the ledger of site {0}; this one ends")]
    TakenOver(String),
    /// The ledger is gone.
    #[error(
        "the ledger of site {0} is gone; this operator ends, and the next one holds the site until an administrator accepts its books"
    )]
    Gone(String),
}

/// The ledger of a site as last read or written.
#[derive(Debug)]
pub(crate) struct LedgerObject {
    api: Api<Ledger>,
    current: Ledger,
}

impl LedgerObject {
    pub(crate) fn new(client: Client, current: Ledger) -> Self {
        Self { api: Api::all(client), current }
    }

    pub(crate) fn status(&self) -> LedgerStatus {
        self.current.status.clone().unwrap_or_default()
    }

    pub(crate) fn site(&self) -> &str {
        &self.current.spec.site
    }

    /// Writes a status. A failure whose outcome is unknown is resolved by reading; it is tried until it is known.
    pub(crate) async fn commit(&mut self, status: &LedgerStatus) -> Result<(), CommitError> {
        let mut pause = Duration::from_millis(50);
        loop {
            match replace_status(&self.api, &self.current, self.current.status.as_ref(), status).await {
                Ok(written) => {
                    self.current = written;
                    return Ok(());
                }
                Err(error) if is_not_found(&error) => return Err(CommitError::Gone(self.site().to_owned())),
                // A conflict may also be our own write of which we did not get the answer, or an administrator's spec.
                Err(error) => {
                    if !is_conflict(&error) {
                        tracing::warn!(site = self.site(), %error, "a commit has no answer; the ledger is read to know its outcome");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_secs(5));
                    }
                    if self.resolve(status).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Reads the ledger: true when the commit took place, false when it is to be tried again.
    async fn resolve(&mut self, status: &LedgerStatus) -> Result<bool, CommitError> {
        match self.api.get(&self.current.spec.site).await {
            Ok(found) => {
                if found.metadata.uid != self.current.metadata.uid {
                    return Err(CommitError::Gone(self.site().to_owned()));
                }
                let there = found.status.clone().unwrap_or_default();
                let before = self.current.status.clone().unwrap_or_default();
                if there.epoch == status.epoch
                    && there.holder == status.holder
                    && there.sequence == status.sequence
                    && there.journal == status.journal
                {
                    self.current = found;
                    return Ok(true);
                }
                let same =
                    (there.epoch, there.sequence, &there.holder) == (before.epoch, before.sequence, &before.holder);
                if same || seeded::is(Bug::TakeoverIgnored) {
                    // Only something else on the object changed, such as an administrator's acceptance.
                    self.current = found;
                    return Ok(false);
                }
                Err(CommitError::TakenOver(self.site().to_owned()))
            }
            Err(error) if is_not_found(&error) => Err(CommitError::Gone(self.site().to_owned())),
            Err(error) => {
                tracing::warn!(site = self.site(), %error, "the ledger cannot be read; it is tried again");
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok(false)
            }
        }
    }
}
