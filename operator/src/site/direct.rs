//! Direct delivery: this process speaks to the site's own API server.

pub(super) mod access;
mod apply;
mod delete;
mod dry_run;
mod freeze;
mod namespace;
mod object;
mod prove;
mod remove;
mod served;

use zhengyun_crds::catalog::{ReadinessRule, ResidueRule};
use zhengyun_crds::grant::{ClaimRecord, InventoryEntry};
use zhengyun_crds::request::Finding;
use zhengyun_domain::delivery::Desired;

use super::SiteError;
use super::driver::{Access, Applied, Removal, SiteDriver, Zero};
use super::link::SiteLink;

impl SiteDriver for SiteLink {
    async fn apply(
        &self,
        desired: &[Desired],
        inventory: &[InventoryEntry],
        grant_uid: &str,
        readiness: &[ReadinessRule],
    ) -> Result<Applied, SiteError> {
        apply::apply(self, desired, inventory, grant_uid, readiness).await
    }

    async fn dry_run(&self, objects: &[Desired]) -> Result<Vec<Finding>, SiteError> {
        dry_run::dry_run(self, objects).await
    }

    async fn freeze(
        &self,
        desired: &[Desired],
        inventory: &[InventoryEntry],
        grant_uid: &str,
        namespace: &str,
    ) -> Result<Applied, SiteError> {
        freeze::freeze(self, desired, inventory, grant_uid, namespace).await
    }

    async fn claims(&self, namespace: &str, inventory: &[InventoryEntry]) -> Result<Vec<ClaimRecord>, SiteError> {
        remove::claims(self, namespace, inventory).await
    }

    async fn remove(
        &self,
        namespace: &str,
        inventory: &[InventoryEntry],
        grant_uid: &str,
    ) -> Result<Removal, SiteError> {
        self.permit()?;
        remove::remove(self, namespace, inventory, grant_uid).await
    }

    async fn open_access(&self, namespace: &str, grant_uid: &str, access: Access) -> Result<(), SiteError> {
        access::open(self, namespace, grant_uid, access).await
    }

    async fn close_access(&self, namespace: &str, grant_uid: &str, access: Access) -> Result<(), SiteError> {
        access::close(self, namespace, grant_uid, access).await
    }

    async fn prove_zero(
        &self,
        namespace: &str,
        inventory: &[InventoryEntry],
        residue: &[ResidueRule],
        claims: &[ClaimRecord],
    ) -> Result<Zero, SiteError> {
        // Where nothing stands nothing is written, and nobody would ask for the permit: but that it stands nowhere is only known at
        // the cluster that was joined, and that nothing comes after the proof only behind the own fence.
        self.permit()?;
        prove::prove_zero(self, namespace, inventory, residue, claims).await
    }
}
