//! Leader election by Lease. A lease does not fence: the ledger's epoch does at the hub, the fence object at a site.

use anyhow::{Context as _, Result};
use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zhengyun_crds::marks;

/// Name of the Lease in the system namespace.
const LEASE: &str = "zhengyun-operator";

/// Leadership, held.
pub struct Leadership {
    channel: tokio::sync::watch::Receiver<bool>,
    task: JoinHandle<kube_lease_manager::Result<LeaseManager>>,
}

impl std::fmt::Debug for Leadership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leadership")
    }
}

impl Leadership {
    /// Waits until this operator leads, or until shutdown (`None`).
    ///
    /// # Errors
    /// When the Lease cannot be made or read.
    pub async fn acquire(
        client: Client,
        identity: &str,
        seconds: u64,
        shutdown: &CancellationToken,
    ) -> Result<Option<Self>> {
        let manager = LeaseManagerBuilder::new(client, LEASE)
            .with_namespace(marks::SYSTEM_NAMESPACE)
            .with_identity(identity)
            .with_field_manager(format!("zhengyun-operator-{identity}"))
            .with_duration(seconds)
            .with_grace((seconds / 3).max(1))
            .build()
            .await
            .context("leader election: the Lease zhengyun-operator in namespace zhengyun-system cannot be made or read; check the operator's RBAC")?;
        let (mut channel, task) = manager.watch().await;
        loop {
            if *channel.borrow_and_update() {
                return Ok(Some(Self { channel, task }));
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(None),
                changed = channel.changed() => changed.context("leader election ended")?,
            }
        }
    }

    /// Ends when leadership is lost.
    pub async fn lost(&mut self) {
        while self.channel.changed().await.is_ok() {
            if !*self.channel.borrow_and_update() {
                return;
            }
        }
    }

    /// Gives the lease back, so that the next operator need not wait for its end.
    pub async fn release(self) {
        drop(self.channel);
        if let Ok(Err(error)) = self.task.await {
            tracing::warn!(%error, "the lease could not be given back; the next operator waits for its end");
        }
    }
}
