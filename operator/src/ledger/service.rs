//! The handle that controllers hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use zhengyun_crds::ledger::Held;
use zhengyun_crds::request::AncestorEffect;
use zhengyun_domain::amounts::Amounts;
use zhengyun_domain::ledger::{Books, Change, Charge, Refusal};
use zhengyun_domain::quota::QuotaLine;
use zhengyun_domain::seeded::{self, Bug};
use zhengyun_domain::tree::Tree;

use super::journal::Unshown;
use super::{Command, LedgerError};
use crate::runtime::clock::Clock;
use crate::runtime::metrics::{Metrics, SiteLabel};

/// The ledger of one site.
#[derive(Debug, Clone)]
pub struct SiteLedger {
    pub(crate) site: String,
    pub(crate) books: Arc<Mutex<Books>>,
    pub(crate) queue: mpsc::Sender<Command>,
    pub(crate) epoch: Arc<AtomicI64>,
    pub(crate) unshown: Unshown,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
}

impl SiteLedger {
    /// Decides on changes, all or none, and returns the sequence under which they are committed.
    ///
    /// # Errors
    /// When they are refused, or the ledger is busy or closed.
    pub async fn decide(&self, changes: Vec<Change>) -> Result<i64, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let early = if seeded::is(Bug::AcknowledgedBeforeShown) { changes.clone() } else { Vec::new() };
        let depth = self.metrics.queue_depth.get_or_create(&SiteLabel { site: self.site.clone() }).clone();
        depth.inc();
        let sent = self.queue.send(Command::Decide { changes, reply }).await;
        let result = match sent {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.closed())),
            Err(_) => Err(self.closed()),
        };
        depth.dec();
        for change in early {
            self.acknowledge(&change.object.uid, result.clone().unwrap_or_default()).await;
        }
        result
    }

    /// What the writer would answer to changes now, if it would refuse them. A refusal commits nothing, so it needs no turn.
    pub fn would_refuse(&self, changes: &[Change]) -> Option<Refusal> {
        let refusal = self.books().check(changes).err()?;
        self.metrics.refused(&self.site, refusal.reason().as_str());
        Some(refusal)
    }

    /// Says that an object shows the charge of a sequence, so that the journal may forget it.
    pub async fn acknowledge(&self, uid: &str, sequence: i64) {
        // A closed queue means that this operator ends; the next one overlays the journal again.
        let _ = self.queue.send(Command::Acknowledge { uid: uid.to_owned(), sequence }).await;
    }

    /// Takes no new charges until an administrator accepts the books. Returns once that is committed.
    pub async fn hold(&self, held: Held, fence_epoch: Option<i64>) {
        let (reply, done) = oneshot::channel();
        if self.queue.send(Command::Hold { held, fence_epoch, reply }).await.is_ok() {
            let _ = done.await;
        }
    }

    /// Ends `Held` when the digest is that of the books as they stand. Tells whether it was.
    pub async fn accept(&self, digest: &str) -> bool {
        let (reply, done) = oneshot::channel();
        match self.queue.send(Command::Accept { digest: digest.to_owned(), reply }).await {
            Ok(()) => done.await.unwrap_or(false),
            Err(_) => false,
        }
    }

    /// Keeps the charge of an object that vanished, and blocks its department.
    pub async fn quarantine(&self, uid: &str) {
        let _ = self.queue.send(Command::Quarantine { uid: uid.to_owned() }).await;
    }

    /// The sequence after everything queued before was committed.
    ///
    /// # Errors
    /// When the ledger is closed.
    pub async fn mark(&self) -> Result<i64, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Command::Mark { reply }).await.map_err(|_| self.closed())?;
        answer.await.map_err(|_| self.closed())
    }

    /// Whether every decision shows on its object, so that the journal is empty, in memory and as it is stored.
    pub async fn is_tidy(&self) -> bool {
        let (reply, tidy) = oneshot::channel();
        match self.queue.send(Command::Tidy { reply }).await {
            Ok(()) => tidy.await.unwrap_or(false),
            Err(_) => false,
        }
    }

    /// What an object holds.
    pub fn booked(&self, uid: &str) -> Charge {
        self.books().entry(uid).map(|e| e.charge.clone()).unwrap_or_default()
    }

    /// The sequence of an object's charge.
    pub fn booked_sequence(&self, uid: &str) -> Option<i64> {
        self.books().entry(uid).map(|e| e.sequence)
    }

    /// The sequence of the last decision about an object, as long as the object is not known to show it.
    pub fn unshown(&self, uid: &str) -> Option<i64> {
        self.unshown.sequence(uid)
    }

    /// What each node of a department's chain and the site would say to a charge; a report.
    pub fn effects(&self, department: &str, asked: &Amounts) -> Vec<AncestorEffect> {
        self.books().effects(department, asked).unwrap_or_default()
    }

    /// Epoch of this operator at the site.
    pub fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The books, for a moment. Never hold them across an await.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a department's limit in force.
    pub fn set_line(&self, department: &str, line: Option<QuotaLine>) {
        self.books().set_line(department, line);
    }

    /// Puts the site's capacity in force.
    pub fn set_capacity(&self, capacity: zhengyun_domain::amounts::Limits) {
        self.books().set_capacity(capacity);
    }

    fn closed(&self) -> LedgerError {
        LedgerError::Closed(self.site.clone())
    }
}

/// The ledgers of all sites.
#[derive(Debug)]
pub struct LedgerService {
    sites: RwLock<BTreeMap<String, SiteLedger>>,
    tree: Mutex<Arc<Tree>>,
    pub(super) clock: Clock,
    /// Cancelled when another operator took over: this one must end.
    pub lost: CancellationToken,
}

impl LedgerService {
    /// No ledgers yet, over a tree.
    pub fn new(tree: Tree, clock: Clock, lost: CancellationToken) -> Arc<Self> {
        Arc::new(Self { sites: RwLock::default(), tree: Mutex::new(Arc::new(tree)), clock, lost })
    }

    /// The ledger of a site.
    ///
    /// # Errors
    /// When it is not open.
    pub fn site(&self, site: &str) -> Result<SiteLedger, LedgerError> {
        let sites = self.sites.read().unwrap_or_else(PoisonError::into_inner);
        sites.get(site).cloned().ok_or_else(|| LedgerError::Closed(site.to_owned()))
    }

    /// Every open ledger.
    pub fn all(&self) -> Vec<SiteLedger> {
        self.sites.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Name of a site's ledger handle.
    pub fn names(&self) -> Vec<String> {
        self.sites.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(crate) fn insert(&self, ledger: SiteLedger) {
        self.sites.write().unwrap_or_else(PoisonError::into_inner).insert(ledger.site.clone(), ledger);
    }

    /// Closes the ledger of a site that is gone: its writer ends once nobody holds the handle.
    pub fn close(&self, site: &str) {
        self.sites.write().unwrap_or_else(PoisonError::into_inner).remove(site);
    }

    /// The tree in force.
    pub fn tree(&self) -> Arc<Tree> {
        Arc::clone(&self.tree.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a department in its place, in every site's books.
    pub fn place(&self, department: &str, parent: Option<&str>) {
        let stands = |tree: &Tree| tree.contains(department) && tree.parent(department) == parent;
        // Every change of the tree adds up all books anew.
        if !stands(&self.tree()) {
            self.with_tree(|tree| tree.place(department, parent));
        }
    }

    /// Takes a department out of the tree.
    pub fn remove(&self, department: &str) {
        self.with_tree(|tree| tree.remove(department));
    }

    fn with_tree(&self, change: impl FnOnce(&mut Tree)) {
        let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut tree));
        for site in self.all() {
            if let Err(error) = site.books().set_tree(Arc::clone(&tree)) {
                tracing::error!(site = site.site, %error, "the sums of the tree are beyond what an amount can be");
            }
        }
    }

    /// Marks a subtree as moving if it holds no charge anywhere; from then on nothing new is charged to it.
    ///
    /// # Errors
    /// The sites at which it holds charges.
    pub fn begin_move(&self, department: &str) -> Result<(), Vec<String>> {
        let subtree: BTreeSet<String> = self.tree().subtree(department);
        let mut charged = Vec::new();
        for site in self.all() {
            let mut books = site.books();
            if books.subtree(department).is_zero() {
                books.set_moving(subtree.clone());
            } else {
                charged.push(site.site.clone());
            }
        }
        if charged.is_empty() {
            return Ok(());
        }
        self.end_move();
        Err(charged)
    }

    /// Ends a move.
    pub fn end_move(&self) {
        for site in self.all() {
            site.books().set_moving(BTreeSet::new());
        }
    }

    /// Whether a department or anything below it holds a charge, and where.
    pub fn charged_at(&self, department: &str) -> Vec<String> {
        self.all()
            .into_iter()
            .filter(|site| !site.books().subtree(department).is_zero())
            .map(|site| site.site.clone())
            .collect()
    }
}
