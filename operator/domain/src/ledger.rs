//! The books of one site: every charge, and the rule that decides a new one.
//!
//! At every commit, whatever crashes or whoever else runs: no commit makes what is reserved and granted in the subtree of
//! any department exceed that department's adopted limit, nor the sum over all exceed the adopted capacity. A decision
//! states the object's new *absolute* charge, so replaying it changes nothing.

mod charge;
mod recovery;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zhengyun_crds::ledger::ChargedObject;
use zhengyun_crds::request::AncestorEffect;

use crate::amounts::{AmountError, Amounts, Limits};
use crate::quota::{self, EffectError, LimitBook, QuotaLine};
use crate::seeded::{self, Bug};
use crate::tree::Tree;

pub use charge::Charge;
pub use recovery::{ObjectRecord, Recovery, audit_digest, recover};
pub use refusal::Refusal;

/// A charge in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub object: ChargedObject,
    /// Department that is charged.
    pub department: String,
    /// How much.
    pub charge: Charge,
    /// Sequence of the decision.
    pub sequence: i64,
}

/// One object's new absolute charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub object: ChargedObject,
    /// Department that is charged.
    pub department: String,
    /// New charge.
    pub charge: Charge,
}

/// What several departments would grow by in one commit: each is held against its limits beside the others.
#[derive(Default)]
struct Growth {
    subtree: BTreeMap<String, Amounts>,
    site: Amounts,
}

/// The books of one site in memory. The ledger's writer is their only user.
#[derive(Clone, Debug, Default)]
pub struct Books {
    site: String,
    /// Shared by the books of all sites: there is one tree.
    tree: Arc<Tree>,
    limits: LimitBook,
    entries: BTreeMap<String, Entry>,
    /// Charge of each department's subtree.
    subtree: BTreeMap<String, Charge>,
    totals: Charge,
    held: Option<String>,
    quarantined: BTreeMap<String, String>,
    moving: BTreeSet<String>,
}

impl Books {
    /// Empty books of a site over a tree and limits.
    pub fn new(site: &str, tree: impl Into<Arc<Tree>>, limits: LimitBook) -> Self {
        Self { site: site.to_owned(), tree: tree.into(), limits, ..Self::default() }
    }

    /// Reserved and granted in all.
    pub const fn totals(&self) -> &Charge {
        &self.totals
    }

    /// Charge of a department and everything below it.
    pub fn subtree(&self, department: &str) -> Charge {
        self.subtree.get(department).cloned().unwrap_or_default()
    }

    /// What an object holds.
    pub fn entry(&self, uid: &str) -> Option<&Entry> {
        self.entries.get(uid)
    }

    /// Every charge.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Why no new charge is taken, if so.
    pub fn held(&self) -> Option<&str> {
        self.held.as_deref()
    }

    /// Takes no new charge from now on, or takes them again.
    pub fn hold(&mut self, why: Option<String>) {
        self.held = why;
    }

    /// Keeps a department from new charges because a charged object of its vanished.
    pub fn quarantine(&mut self, department: &str, object: &str) {
        self.quarantined.insert(department.to_owned(), object.to_owned());
    }

    /// Ends all quarantines.
    pub fn end_quarantine(&mut self) {
        self.quarantined.clear();
    }

    /// The limits in force.
    pub const fn limits(&self) -> &LimitBook {
        &self.limits
    }

    /// Puts limits in force.
    pub fn set_limits(&mut self, limits: LimitBook) {
        self.limits = limits;
    }

    /// Puts a department's limit in force, or takes it away.
    pub fn set_line(&mut self, department: &str, line: Option<QuotaLine>) {
        match line {
            Some(line) => self.limits.lines.insert(department.to_owned(), line),
            None => self.limits.lines.remove(department),
        };
    }

    /// Puts the site's capacity in force.
    pub fn set_capacity(&mut self, capacity: Limits) {
        self.limits.capacity = capacity;
    }

    /// The tree in force.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Puts a tree in force and adds the subtrees up anew.
    ///
    /// # Errors
    /// When a sum is beyond what an amount can be, which the charges already ruled out.
    pub fn set_tree(&mut self, tree: impl Into<Arc<Tree>>) -> Result<(), AmountError> {
        self.tree = tree.into();
        self.subtree.clear();
        let entries: Vec<Entry> = self.entries.values().cloned().collect();
        for entry in entries {
            self.add_to_subtrees(&entry.department, &entry.charge)?;
        }
        Ok(())
    }

    /// Marks departments whose place is being changed: nothing new is charged to them meanwhile.
    pub fn set_moving(&mut self, departments: BTreeSet<String>) {
        self.moving = departments;
    }

    /// Whether the changes may be committed together. The books stay as they are.
    ///
    /// # Errors
    /// Why not; see [`Refusal`].
    pub fn check(&self, changes: &[Change]) -> Result<(), Refusal> {
        // What departments before grow by; what one of them gives back makes room for another by a commit of its own.
        let mut beside = Growth::default();
        for (department, delta) in self.deltas(changes)? {
            let grows = delta.iter().any(|(_, q)| !q.is_negative() && !q.is_zero());
            if !grows {
                continue;
            }
            if self.moving.contains(&department) {
                return Err(Refusal::Moving(department));
            }
            if let Some(object) = self.quarantined.get(&department) {
                return Err(Refusal::Quarantined { department, object: object.clone(), site: self.site.clone() });
            }
            self.check_growth(&department, &delta, &mut beside)?;
        }
        if let Some(why) = &self.held
            && changes.iter().any(|c| self.grows(c).unwrap_or(true))
        {
            return Err(Refusal::Held { site: self.site.clone(), why: why.clone() });
        }
        Ok(())
    }

    /// Books the changes under a sequence. Call [`Books::check`] first: booking does not refuse.
    ///
    /// # Errors
    /// When a sum is beyond what an amount can be; the books are then as before.
    pub fn book(&mut self, changes: &[Change], sequence: i64) -> Result<(), AmountError> {
        let mut booked: Vec<(&Change, Option<Entry>)> = Vec::with_capacity(changes.len());
        for change in changes {
            match self.book_one(change, sequence) {
                Ok(before) => booked.push((change, before)),
                Err(error) => {
                    for (change, before) in booked.into_iter().rev() {
                        self.undo(change, before);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Books one change, and returns what was there before.
    fn book_one(&mut self, change: &Change, sequence: i64) -> Result<Option<Entry>, AmountError> {
        let before = self.entries.get(&change.object.uid).map(|e| e.charge.clone()).unwrap_or_default();
        let delta = change.charge.minus(&before)?;
        let totals = self.totals.plus(&delta)?;
        self.add_to_subtrees(&change.department, &delta)?;
        self.totals = totals;
        if change.charge.is_zero() {
            return Ok(self.entries.remove(&change.object.uid));
        }
        let entry = Entry {
            object: change.object.clone(),
            department: change.department.clone(),
            charge: change.charge.clone(),
            sequence,
        };
        Ok(self.entries.insert(change.object.uid.clone(), entry))
    }

    /// Takes back a change that was booked. The sums were in range before it, so nothing here can fail.
    fn undo(&mut self, change: &Change, before: Option<Entry>) {
        let charge = before.as_ref().map(|entry| entry.charge.clone()).unwrap_or_default();
        let back = Change { object: change.object.clone(), department: change.department.clone(), charge };
        self.book_one(&back, 0).ok();
        if let Some(entry) = before {
            self.entries.insert(change.object.uid.clone(), entry);
        }
    }

    /// What each node of the department's chain and the site would say to a charge.
    ///
    /// # Errors
    /// When the department has no place, or a sum is too large.
    pub fn effects(&self, department: &str, asked: &Amounts) -> Result<Vec<AncestorEffect>, EffectError> {
        self.effects_beside(department, asked, &Growth::default())
    }

    fn effects_beside(
        &self,
        department: &str,
        asked: &Amounts,
        beside: &Growth,
    ) -> Result<Vec<AncestorEffect>, EffectError> {
        let mut used = BTreeMap::new();
        for name in self.tree.chain(department)? {
            let total = self.subtree.get(&name).map(Charge::total).transpose()?.unwrap_or_default();
            let total = beside.subtree.get(&name).map_or(Ok(total.clone()), |growth| total.checked_add(growth))?;
            used.insert(name, total);
        }
        let used_at_site = self.totals.total()?.checked_add(&beside.site)?;
        quota::effects(&self.limits, &self.tree, department, &used, &used_at_site, asked)
    }

    /// Whether a department may grow beside others, and if so, that it does.
    fn check_growth(&self, department: &str, delta: &Amounts, beside: &mut Growth) -> Result<(), Refusal> {
        let growth: Amounts = delta.iter().filter(|(_, q)| !q.is_negative()).map(|(r, q)| (r.clone(), *q)).collect();
        let mut effects = quota::shortfalls(&self.effects_beside(department, &growth, beside)?);
        effects
            .retain(|e| !seeded::is(Bug::AncestorsUnchecked) || e.department.is_empty() || e.department == department);
        effects.retain(|e| !seeded::is(Bug::LimitUnchecked) || e.department != department);
        effects.retain(|e| !seeded::is(Bug::CapacityUnchecked) || !e.department.is_empty());
        if !effects.is_empty() {
            return Err(Refusal::DoesNotFit { site: self.site.clone(), effects });
        }
        for name in self.tree.chain(department).map_err(EffectError::from)? {
            let sum = beside.subtree.entry(name).or_default();
            *sum = sum.checked_add(&growth)?;
        }
        beside.site = beside.site.checked_add(&growth)?;
        Ok(())
    }

    fn grows(&self, change: &Change) -> Result<bool, AmountError> {
        let before = self.entries.get(&change.object.uid).map(|e| e.charge.total()).transpose()?.unwrap_or_default();
        let delta = change.charge.total()?.checked_sub(&before)?;
        Ok(delta.iter().any(|(_, q)| !q.is_negative() && !q.is_zero()))
    }

    /// How much each department's own charge would change.
    fn deltas(&self, changes: &[Change]) -> Result<BTreeMap<String, Amounts>, AmountError> {
        let mut deltas: BTreeMap<String, Amounts> = BTreeMap::new();
        for change in changes {
            let before =
                self.entries.get(&change.object.uid).map(|e| e.charge.total()).transpose()?.unwrap_or_default();
            let delta = change.charge.total()?.checked_sub(&before)?;
            let sum = deltas.entry(change.department.clone()).or_default();
            *sum = sum.checked_add(&delta)?;
        }
        Ok(deltas)
    }

    fn add_to_subtrees(&mut self, department: &str, delta: &Charge) -> Result<(), AmountError> {
        // A department that lost its place still counts at the site; its chain is then itself alone.
        let chain = self.tree.chain(department).unwrap_or_else(|_| vec![department.to_owned()]);
        let mut next = Vec::with_capacity(chain.len());
        for name in chain {
            let sum = self.subtree.get(&name).cloned().unwrap_or_default().plus(delta)?;
            next.push((name, sum));
        }
        for (name, sum) in next {
            if sum.is_zero() {
                self.subtree.remove(&name);
            } else {
                self.subtree.insert(name, sum);
            }
        }
        Ok(())
    }
}

/// What a change of limits leaves over: departments (and the site, as the empty name) whose use is above the new limit.
///
/// # Errors
/// When a sum is beyond what an amount can be.
pub fn over_limit(books: &Books) -> Result<Vec<(String, String)>, AmountError> {
    let mut over = Vec::new();
    for (name, line) in &books.limits.lines {
        for s in line.hard.exceeded_by(&books.subtree(name).total()?)? {
            over.push((
                name.clone(),
                format!("{}: {} is used, the limit is {}, over by {}", s.resource, s.used, s.limit, s.short_by),
            ));
        }
    }
    for s in books.limits.capacity.exceeded_by(&books.totals.total()?)? {
        over.push((
            String::new(),
            format!("{}: {} is charged, the capacity is {}, over by {}", s.resource, s.used, s.limit, s.short_by),
        ));
    }
    Ok(over)
}

#[cfg(test)]
mod tests;
