//! Watches of every kind: started together, and waited for.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::controllers::{Context, Watches};
use crate::runtime::clock::Clock;
use crate::runtime::hub::Hub;
use crate::runtime::metrics::Metrics;
use crate::runtime::watches;

/// Starts all.
pub(super) fn start_watches(hub: &Hub, clock: Clock, metrics: &Arc<Metrics>, stop: &CancellationToken) -> Watches {
    macro_rules! watched {
        () => {
            watches::start(&hub.watches, clock, Arc::clone(metrics), stop.clone())
        };
    }
    Watches {
        departments: watched!(),
        quotas: watched!(),
        sites: watched!(),
        items: watched!(),
        systems: watched!(),
        requests: watched!(),
        approvals: watched!(),
        policies: watched!(),
        grants: watched!(),
        ledgers: watched!(),
        stores: watched!(),
        plans: watched!(),
        backups: watched!(),
        restores: watched!(),
        drills: watched!(),
        rooms: watched!(),
        waves: watched!(),
        migrations: watched!(),
        admission: watched!(),
        bindings: watched!(),
    }
}

/// Waits until all show what there is.
pub(super) async fn filled(context: &Context) {
    let w = &context.watches;
    // An error means that the watch's task ended, which is shutdown.
    let _ = tokio::join!(
        w.departments.store.wait_until_ready(),
        w.quotas.store.wait_until_ready(),
        w.sites.store.wait_until_ready(),
        w.items.store.wait_until_ready(),
        w.systems.store.wait_until_ready(),
        w.requests.store.wait_until_ready(),
        w.approvals.store.wait_until_ready(),
        w.policies.store.wait_until_ready(),
        w.grants.store.wait_until_ready(),
        w.ledgers.store.wait_until_ready(),
        w.stores.store.wait_until_ready(),
        w.plans.store.wait_until_ready(),
        w.backups.store.wait_until_ready(),
        w.restores.store.wait_until_ready(),
        w.drills.store.wait_until_ready(),
        w.rooms.store.wait_until_ready(),
        w.waves.store.wait_until_ready(),
        w.migrations.store.wait_until_ready(),
        w.admission.store.wait_until_ready(),
        w.bindings.store.wait_until_ready(),
    );
}
