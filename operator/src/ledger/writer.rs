//! The one writer of a site's ledger.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use zhengyun_crds::ledger::{Held, JournalEntry, LedgerStatus, QuarantinedCharge};
use zhengyun_crds::{ConditionType, Reason};
use zhengyun_domain::condition::ConditionSet;
use zhengyun_domain::ledger::{Change, Entry, audit_digest};
use zhengyun_domain::seeded::{self, Bug};

use super::commit::{CommitError, LedgerObject};
use super::journal::Journal;
use super::service::SiteLedger;
use super::{Command, LedgerError};
use crate::runtime::metrics::{DecisionLabels, SiteLabel};

/// Decisions in one commit.
const BATCH: usize = 128;
/// Decisions that may be under way; the CRD's bound of the journal.
const JOURNAL: usize = 512;
/// After this long without a decision, acknowledged entries are taken out of the stored journal.
const TIDY_AFTER: Duration = Duration::from_secs(2);

type Reply = (oneshot::Sender<Result<i64, LedgerError>>, i64);

/// Owns the ledger object; nobody else writes it.
pub(crate) struct Writer {
    object: LedgerObject,
    status: LedgerStatus,
    ledger: SiteLedger,
    queue: mpsc::Receiver<Command>,
    lost: CancellationToken,
    /// Decisions that are not acknowledged.
    journal: Journal,
    fence_epoch: Option<i64>,
}

impl Writer {
    pub(crate) fn new(
        object: LedgerObject,
        status: LedgerStatus,
        ledger: SiteLedger,
        queue: mpsc::Receiver<Command>,
        lost: CancellationToken,
        pending: &[Entry],
    ) -> Self {
        // Of what a former operator left in the journal only what its object does not show yet is still needed.
        let is_pending = |e: &&JournalEntry| pending.iter().any(|p| p.object.uid == e.object.uid);
        let journal = Journal::new(status.journal.iter().filter(is_pending).cloned(), ledger.unshown.clone());
        Self { object, status, ledger, queue, lost, journal, fence_epoch: None }
    }

    /// Releases what vanished objects held in the journal, and writes down what recovery found.
    pub(crate) async fn settle_recovery(&mut self, orphaned: Vec<Change>) -> Result<(), CommitError> {
        for change in orphaned {
            self.status.sequence = self.status.sequence.saturating_add(1);
            if let Err(error) = self.ledger.books().book(std::slice::from_ref(&change), self.status.sequence) {
                tracing::error!(%error, "a vanished object's charge cannot be released");
            }
            self.journal.remove(&change.object.uid);
        }
        self.commit().await
    }

    /// Works until the queue closes or another operator takes over.
    pub(crate) async fn run(mut self) {
        if let Err(error) = self.work().await {
            tracing::error!(site = self.ledger.site, %error, "the ledger's writer ends");
            // What is in memory is no longer what is stored: nobody may act on it.
            self.lost.cancel();
        }
    }

    async fn work(&mut self) -> Result<(), CommitError> {
        loop {
            let untidy = self.journal.len() < self.status.journal.len();
            let first = if untidy {
                if let Ok(command) = tokio::time::timeout(TIDY_AFTER, self.queue.recv()).await {
                    command
                } else {
                    self.commit().await?;
                    continue;
                }
            } else {
                self.queue.recv().await
            };
            let Some(first) = first else { return Ok(()) };
            let mut commands = vec![first];
            while commands.len() < BATCH {
                match self.queue.try_recv() {
                    Ok(command) => commands.push(command),
                    Err(_) => break,
                }
            }
            self.handle(commands).await?;
        }
    }

    async fn handle(&mut self, commands: Vec<Command>) -> Result<(), CommitError> {
        let mut replies: Vec<Reply> = Vec::new();
        let mut marks = Vec::new();
        let mut holds = Vec::new();
        let mut tidied: Vec<oneshot::Sender<bool>> = Vec::new();
        let mut dirty = false;
        for command in commands {
            match command {
                Command::Decide { changes, reply } => match self.decide(&changes) {
                    Ok(sequence) => {
                        dirty = true;
                        replies.push((reply, sequence));
                    }
                    Err(error) => {
                        self.count(&error);
                        let _ = reply.send(Err(error));
                    }
                },
                Command::Acknowledge { uid, sequence } => {
                    // What shows a later charge than the entry's shows the entry as well.
                    let shown = self.journal.get(&uid).is_some_and(|e| e.sequence <= sequence);
                    if shown && !seeded::is(Bug::JournalNeverTrimmed) {
                        self.journal.remove(&uid);
                    }
                }
                Command::Hold { held, fence_epoch, reply } => {
                    dirty |= self.hold(held, fence_epoch);
                    holds.push(reply);
                }
                Command::Accept { digest, reply } => {
                    let accepted = self.accept(&digest);
                    dirty |= accepted;
                    let _ = reply.send(accepted);
                }
                Command::Quarantine { uid } => dirty |= self.quarantine(&uid),
                Command::Mark { reply } => marks.push(reply),
                Command::Tidy { reply } => {
                    dirty |= self.journal.len() < self.status.journal.len();
                    tidied.push(reply);
                }
            }
        }
        if dirty {
            self.commit().await?;
            let label = SiteLabel { site: self.ledger.site.clone() };
            self.ledger.metrics.commits.get_or_create(&label).inc();
            #[expect(clippy::cast_precision_loss, reason = "a batch has at most 128 decisions")]
            self.ledger.metrics.batch_size.get_or_create(&label).observe(replies.len() as f64);
        }
        for (reply, sequence) in replies {
            let labels = DecisionLabels {
                site: self.ledger.site.clone(),
                outcome: "committed".to_owned(),
                reason: String::new(),
            };
            self.ledger.metrics.decisions.get_or_create(&labels).inc();
            let _ = reply.send(Ok(sequence));
        }
        for reply in marks {
            let _ = reply.send(self.status.sequence);
        }
        for reply in holds {
            let _ = reply.send(());
        }
        for reply in tidied {
            let _ = reply.send(self.journal.len() == 0);
        }
        Ok(())
    }

    fn decide(&mut self, changes: &[Change]) -> Result<i64, LedgerError> {
        let new = changes.iter().filter(|c| !self.journal.contains(&c.object.uid)).count();
        if self.journal.len().saturating_add(new) > JOURNAL {
            return Err(LedgerError::Busy(self.ledger.site.clone()));
        }
        let sequence = self.status.sequence.saturating_add(1);
        {
            let mut books = self.ledger.books();
            if !seeded::is(Bug::CheckedBeforeTheQueue) {
                books.check(changes)?;
            }
            books.book(changes, sequence).map_err(zhengyun_domain::ledger::Refusal::from)?;
        }
        self.status.sequence = sequence;
        for change in changes {
            let entry = JournalEntry {
                sequence,
                object: change.object.clone(),
                department: change.department.clone(),
                charge: change.charge.to_text(),
            };
            self.journal.insert(entry);
        }
        Ok(sequence)
    }

    fn hold(&mut self, mut held: Held, fence_epoch: Option<i64>) -> bool {
        let mut books = self.ledger.books();
        held.digest = audit_digest(&books, self.status.sequence);
        held.message = zhengyun_domain::condition::cut(held.message, 2000);
        books.hold(Some(held.message.clone()));
        if fence_epoch > self.fence_epoch {
            self.fence_epoch = fence_epoch;
        }
        let changed = self.status.held.as_ref() != Some(&held);
        self.status.held = Some(held);
        changed
    }

    fn accept(&mut self, digest: &str) -> bool {
        let mut books = self.ledger.books();
        if self.status.held.is_none() && self.status.quarantine.is_empty() {
            return false;
        }
        if audit_digest(&books, self.status.sequence) != digest {
            return false;
        }
        for quarantined in self.status.quarantine.drain(..) {
            self.status.sequence = self.status.sequence.saturating_add(1);
            let change = Change {
                object: quarantined.object,
                department: quarantined.department,
                charge: zhengyun_domain::ledger::Charge::zero(),
            };
            if let Err(error) = books.book(&[change], self.status.sequence) {
                tracing::error!(%error, "a quarantined charge cannot be released");
            }
        }
        books.end_quarantine();
        books.hold(None);
        self.status.held = None;
        // Above every sequence that an object shows: after a restore of the hub some are ahead, and theirs may never fall.
        let highest = books.entries().map(|e| e.sequence).max().unwrap_or_default();
        self.status.sequence = self.status.sequence.max(highest).saturating_add(1);
        // Above the site's fence, so that this operator's writes pass there again.
        if let Some(fence) = self.fence_epoch.take() {
            self.status.epoch = self.status.epoch.max(fence.saturating_add(1));
            self.ledger.epoch.store(self.status.epoch, Ordering::Release);
        }
        true
    }

    fn quarantine(&mut self, uid: &str) -> bool {
        let mut books = self.ledger.books();
        let Some(entry) = books.entry(uid).cloned() else { return false };
        if self.status.quarantine.iter().any(|q| q.object.uid == uid) {
            return false;
        }
        let name = format!("{} {}/{}", entry.object.kind, entry.object.namespace, entry.object.name);
        tracing::error!(
            site = self.ledger.site,
            department = entry.department,
            object = name,
            "a charged object vanished; its charge is kept and its department gets nothing new"
        );
        books.quarantine(&entry.department, &name);
        self.journal.remove(uid);
        self.status.quarantine.push(QuarantinedCharge {
            object: entry.object,
            department: entry.department,
            charge: entry.charge.to_text(),
        });
        true
    }

    async fn commit(&mut self) -> Result<(), CommitError> {
        self.status.journal = self.journal.to_stored();
        {
            let books = self.ledger.books();
            if self.status.held.is_none() {
                self.status.totals = books.totals().to_text();
            }
            self.status.summary = zhengyun_domain::condition::cut(
                format!("reserved {}; granted {}", books.totals().reserved, books.totals().granted),
                1000,
            );
        }
        self.status.conditions = self.conditions();
        let status = self.status.clone();
        self.object.commit(&status).await
    }

    fn conditions(&self) -> Vec<zhengyun_crds::Condition> {
        let mut set = ConditionSet::new(&self.status.conditions, Some(1), self.ledger.clock.now());
        match &self.status.held {
            Some(held) => {
                let reason =
                    Reason::ALL.iter().copied().find(|r| r.as_str() == held.reason).unwrap_or(Reason::TotalsMismatch);
                set.stalled(reason, held.message.clone());
                set.no(ConditionType::Balanced, reason, held.message.clone());
            }
            None if !self.status.quarantine.is_empty() => {
                let names: Vec<&str> = self.status.quarantine.iter().map(|q| q.object.name.as_str()).collect();
                let message = format!(
                    "charged objects vanished: {}; their departments get nothing new until `zhengyun-operator audit-ledger --site {} --accept <digest> --reason <text>`",
                    names.join(", "),
                    self.ledger.site
                );
                set.stalled(Reason::Quarantined, message.clone());
                set.no(ConditionType::Balanced, Reason::Quarantined, message);
            }
            None => {
                set.yes(ConditionType::Ready, Reason::Balanced, "takes new charges");
                set.yes(ConditionType::Balanced, Reason::Balanced, "totals and objects agree");
            }
        }
        set.finish()
    }

    fn count(&self, error: &LedgerError) {
        let reason = match error {
            LedgerError::Refused(refusal) => refusal.reason().as_str(),
            LedgerError::Busy(_) => Reason::LedgerBusy.as_str(),
            LedgerError::Closed(_) => "Closed",
        };
        self.ledger.metrics.refused(&self.ledger.site, reason);
    }
}
