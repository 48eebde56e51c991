//! What a site driver does, whatever the way to the site.

use std::future::Future;

use zhengyun_crds::catalog::{ReadinessRule, ResidueRule};
use zhengyun_crds::grant::{ClaimRecord, InventoryEntry};
use zhengyun_crds::request::Finding;
use zhengyun_domain::delivery::Desired;

use super::SiteError;

/// What stands after objects were brought to what is desired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Every desired object, with UID, state and message, in the order in which they were given.
    ///
    /// An object that vanished comes back without UID and is not created yet: write the inventory down, then apply again.
    pub inventory: Vec<InventoryEntry>,
    /// What waits for somebody to act, one sentence each.
    pub failures: Vec<String>,
    /// How many objects were created or changed.
    pub changed: u64,
}

/// What is still there while a grant is being removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// One line per thing, with what it waits for.
    pub remaining: Vec<String>,
    /// Whether that is the namespace alone, whose end the site's watch shows.
    pub namespace_alone: bool,
}

/// Whether nothing is left of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zero {
    /// Nothing is left: one line per check.
    Proven(Vec<String>),
    /// This is left: one line per thing.
    Residue(Vec<String>),
}

/// What the account of recovery may do in a namespace while a run is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read everything.
    Read,
    /// Read everything, create and replace.
    Write,
}

/// Delivers to one site, repairs and removes there. Every step is safe to repeat.
pub trait SiteDriver {
    /// Creates what is missing and changes what differs, in order: the namespace, its rules, then the bundle.
    ///
    /// Every object is tried, and each cause of failure listed; an error is returned only where the site as a whole stands in the
    /// way. An object of that name which is not the grant's is a failure: it is neither adopted nor overwritten.
    fn apply(
        &self,
        desired: &[Desired],
        inventory: &[InventoryEntry],
        grant_uid: &str,
        readiness: &[ReadinessRule],
    ) -> impl Future<Output = Result<Applied, SiteError>> + Send;

    /// Tries objects with server-side dry run in the site's standing namespace. What the site would refuse comes back as findings.
    fn dry_run(&self, objects: &[Desired]) -> impl Future<Output = Result<Vec<Finding>, SiteError>> + Send;

    /// Brings a namespace to its frozen form and ends the pods in it. Data is kept. Anything that could not be frozen is an error.
    fn freeze(
        &self,
        desired: &[Desired],
        inventory: &[InventoryEntry],
        grant_uid: &str,
        namespace: &str,
    ) -> impl Future<Output = Result<Applied, SiteError>> + Send;

    /// Every claim on storage in the namespace, to be written down before [`SiteDriver::remove`].
    fn claims(
        &self,
        namespace: &str,
        inventory: &[InventoryEntry],
    ) -> impl Future<Output = Result<Vec<ClaimRecord>, SiteError>> + Send;

    /// Removes what was delivered: workloads, then data, then the namespace. A namespace that is not the grant's is left alone.
    fn remove(
        &self,
        namespace: &str,
        inventory: &[InventoryEntry],
        grant_uid: &str,
    ) -> impl Future<Output = Result<Removal, SiteError>> + Send;

    /// Lets the site's account of recovery into a grant's namespace, which it cannot enter otherwise.
    fn open_access(
        &self,
        namespace: &str,
        grant_uid: &str,
        access: Access,
    ) -> impl Future<Output = Result<(), SiteError>> + Send;

    /// Shuts it out again.
    fn close_access(
        &self,
        namespace: &str,
        grant_uid: &str,
        access: Access,
    ) -> impl Future<Output = Result<(), SiteError>> + Send;

    /// Looks for anything that is left, by reads that the API server answers from the newest state only.
    fn prove_zero(
        &self,
        namespace: &str,
        inventory: &[InventoryEntry],
        residue: &[ResidueRule],
        claims: &[ClaimRecord],
    ) -> impl Future<Output = Result<Zero, SiteError>> + Send;
}
