//! From arguments to running controllers, and back down.

mod watching;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zhengyun_domain::seeded::{self, Bug};
use zhengyun_domain::tree::Tree;

use self::watching::{filled, start_watches};
use super::args::{Args, Command};
use super::clock::Clock;
use super::controller::{self, Shared, Triggers};
use super::events::Events;
use super::health::{self, Readiness};
use super::hub::{self, Hub};
use super::leader::Leadership;
use super::metrics::Metrics;
use super::signals::watch_signals;
use super::telemetry;
use super::writes::Writes;
use crate::controllers::recovery::Recovery;
use crate::controllers::{self, Context, department_of};
use crate::ledger::{LedgerService, audit};
use crate::site::link::{Connector, Network, SiteLinks};

/// Time for steps under way to finish.
const DRAIN: Duration = Duration::from_secs(15);

/// Runs the operator, or another command.
///
/// # Errors
/// When it cannot start, or loses its leadership.
pub fn run(args: Args) -> Result<()> {
    if let Some(Command::Launch { folder }) = &args.command {
        return crate::executor::launch::launch(folder);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(async move {
        match &args.command {
            Some(Command::AuditLedger { site, accept, reason }) => {
                let request = audit::Request { site: site.clone(), accept: accept.clone(), reason: reason.clone() };
                let hub = hub::connect(args.connection.kubeconfig.as_deref(), None).await?;
                if !audit::run(&hub, &request, &mut std::io::stdout()).await? {
                    bail!("the books are not balanced; see above");
                }
                Ok(())
            }
            Some(Command::Launch { .. }) => Ok(()),
            None => {
                telemetry::start(args.log_format, &args.log)?;
                operate(args).await
            }
        }
    })
}

async fn operate(args: Args) -> Result<()> {
    let shutdown = CancellationToken::new();
    watch_signals(shutdown.clone())?;
    let metrics = Metrics::new();
    let readiness = Arc::new(Readiness::default());
    let serving = tokio::spawn(health::serve(
        args.metrics_listen,
        Arc::clone(&metrics),
        Arc::clone(&readiness),
        shutdown.clone(),
    ));
    tokio::task::yield_now().await;
    let writes = Writes::new(Arc::clone(&metrics), args.crash_after_write.clone());
    let hub = hub::connect(args.connection.kubeconfig.as_deref(), Some(&writes)).await?;
    let identity = args.identity.clone().unwrap_or_else(default_identity);
    tracing::info!(identity, version = env!("CARGO_PKG_VERSION"), "waiting to lead");
    // Standing by is being ready: a second replica must not look broken.
    readiness.set();
    let Some(mut leadership) = Leadership::acquire(hub.calls.clone(), &identity, args.lease_seconds, &shutdown).await?
    else {
        return Ok(());
    };
    tracing::info!(identity, "leading");
    let stop = shutdown.child_token();
    let setup = Setup {
        hub,
        identity,
        connector: Arc::new(Network(writes)),
        metrics,
        clock: Clock::system(),
        concurrency: args.concurrency,
        recovery: Recovery::of_hub(&args.recovery, args.connection.kubeconfig.as_deref()).await?,
    };
    let (context, running) = lead(setup, &stop).await?;
    let outcome = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(()),
        () = leadership.lost() => Err(anyhow::anyhow!("leadership was lost; this operator ends so that only one acts")),
        () = context.ledger.lost.cancelled() => Err(anyhow::anyhow!("another operator took over a ledger or a site; this operator ends")),
        ended = serving => ended.context("health server")?.and_then(|()| bail!("the health server ended")),
    };
    stop.cancel();
    if outcome.is_ok() {
        tracing::info!("shutting down: finishing steps under way");
        if tokio::time::timeout(DRAIN, join_all(running)).await.is_err() {
            tracing::warn!("some steps did not finish in time; the next operator takes them up");
        }
        leadership.release().await;
    }
    outcome
}

/// What a leading operator works with.
pub struct Setup {
    /// The hub.
    pub hub: Hub,
    /// Name of this operator in the ledgers; no two that run at the same time have the same.
    pub identity: String,
    /// How sites are reached.
    pub connector: Arc<dyn Connector>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
    /// Reconciles of one controller at a time.
    pub concurrency: u16,
    /// What runs of disaster recovery are carried out with, if this operator does that.
    pub recovery: Option<Arc<Recovery>>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Leads: takes every ledger, then starts the controllers, which run until `stop`. Whoever calls holds the lease.
///
/// # Errors
/// When the hub does not answer or a ledger cannot be opened.
pub async fn lead(setup: Setup, stop: &CancellationToken) -> Result<(Arc<Context>, Vec<JoinHandle<()>>)> {
    let Setup { hub, identity, connector, metrics, clock, concurrency, recovery } = setup;
    let namespaces: Api<Namespace> = Api::all(hub.calls.clone());
    let system =
        namespaces.get("kube-system").await.context("read namespace kube-system, whose UID tells which hub this is")?;
    let (links, touched) = SiteLinks::new(Arc::clone(&metrics), connector, stop.clone());
    // Between the start of the watches and the controllers' subscription nothing is awaited: a list that came back in between
    // would be told to nobody, and what changed while no operator ran would not be looked at before it changes again.
    let watched = start_watches(&hub, clock, &metrics, stop);
    let context = Arc::new(Context {
        hub_uid: system.uid().unwrap_or_default(),
        events: Events::new(hub.calls.clone(), &identity, Arc::clone(&metrics)),
        watches: watched,
        ledger: LedgerService::new(Tree::default(), clock, stop.child_token()),
        links,
        looked: controllers::grant::Looked::default(),
        recovery,
        metrics: Arc::clone(&metrics),
        run: format!("{identity} since {}", clock.now()),
        identity: identity.clone(),
        clock,
        placement: tokio::sync::Mutex::new(()),
        charging: tokio::sync::Mutex::new(()),
        hub,
    });
    if seeded::is(Bug::SubscribedLate) {
        filled(&context).await;
    }
    let triggers = all_triggers(&context, touched);
    let vanishing = vec![
        tokio::spawn(controllers::ledger::watch_vanishing(
            Arc::clone(&context),
            context.watches.requests.clone(),
            stop.clone(),
        )),
        tokio::spawn(controllers::ledger::watch_vanishing(
            Arc::clone(&context),
            context.watches.grants.clone(),
            stop.clone(),
        )),
        tokio::spawn(controllers::ledger::watch_vanishing(
            Arc::clone(&context),
            context.watches.plans.clone(),
            stop.clone(),
        )),
    ];
    filled(&context).await;
    for department in context.watches.departments.all() {
        if let Some(status) = department.status.as_ref().filter(|s| s.placed) {
            context.ledger.place(&department.name_any(), status.parent.as_deref());
        }
    }
    for site in context.watches.sites.all() {
        context
            .ledger
            .open(&context.hub.calls, &site, &identity, &metrics)
            .await
            .with_context(|| format!("open the ledger of site {}", site.name_any()))?;
    }
    let mut running = triggers.run(&context, concurrency, stop);
    running.extend(vanishing);
    Ok((context, running))
}

/// What makes each controller look.
struct AllTriggers {
    departments: Triggers<zhengyun_crds::Department>,
    quotas: Triggers<zhengyun_crds::DepartmentQuota>,
    sites: Triggers<zhengyun_crds::Site>,
    items: Triggers<zhengyun_crds::CatalogItem>,
    systems: Triggers<zhengyun_crds::InformationSystem>,
    policies: Triggers<zhengyun_crds::ApprovalPolicy>,
    approvals: Triggers<zhengyun_crds::Approval>,
    requests: Triggers<zhengyun_crds::ResourceRequest>,
    grants: Triggers<zhengyun_crds::ResourceGrant>,
    ledgers: Triggers<zhengyun_crds::Ledger>,
    stores: Triggers<zhengyun_crds::BackupStore>,
    plans: Triggers<zhengyun_crds::RecoveryPlan>,
    backups: Triggers<zhengyun_crds::SystemBackup>,
    restores: Triggers<zhengyun_crds::SystemRestore>,
    drills: Triggers<zhengyun_crds::RecoveryDrill>,
    rooms: Triggers<zhengyun_crds::MachineRoom>,
    waves: Triggers<zhengyun_crds::MigrationWave>,
    migrations: Triggers<zhengyun_crds::SystemMigration>,
}

fn all_triggers(context: &Arc<Context>, touched: crate::site::link::Touched) -> AllTriggers {
    let w = &context.watches;
    let open_requests = |context: &Arc<Context>| {
        let context = Arc::clone(context);
        move || controllers::request::open_requests(&context, |_| true)
    };
    let quotas_above = |context: &Arc<Context>| {
        let context = Arc::clone(context);
        move |namespace: Option<String>| {
            controllers::quota::above(&context, department_of(&namespace.unwrap_or_default()))
        }
    };
    let (of_policies, of_admission, of_bindings) =
        (open_requests(context), open_requests(context), open_requests(context));
    let (by_departments, by_sites, by_quotas) = (Arc::clone(context), Arc::clone(context), Arc::clone(context));
    let (by_requests, by_grants, by_plans) = (quotas_above(context), quotas_above(context), quotas_above(context));
    let (for_departments, for_items) = (Arc::clone(context), Arc::clone(context));
    let for_approvals = Arc::clone(context);
    let (for_systems, for_sites) = (Arc::clone(context), Arc::clone(context));
    AllTriggers {
        departments: Triggers::own(&w.departments)
            .on(&w.departments, move |changed| controllers::department::dependants(&for_departments, &changed)),
        quotas: Triggers::own(&w.quotas)
            .on_facts(&w.departments, controllers::quota::place, move |changed| {
                controllers::quota::below(&by_departments, &changed.name_any())
            })
            // A site that comes or goes; nothing else about it matters to a quota.
            .on_facts(&w.sites, |_| (), move |site| controllers::quota::naming(&by_sites, &site.name_any()))
            .on_facts(&w.quotas, controllers::quota::in_force, move |changed| {
                controllers::quota::relatives(&by_quotas, &changed.name_any())
            })
            .on(&w.requests, move |request| by_requests(request.namespace()))
            .on(&w.grants, move |grant| by_grants(grant.namespace()))
            .on_facts(&w.plans, controllers::plan::charges, move |plan| by_plans(plan.namespace())),
        sites: Triggers::own(&w.sites)
            .on(&w.grants, |grant| [ObjectRef::new(&grant.spec.site)])
            .on(&w.ledgers, |ledger| [ObjectRef::new(&ledger.spec.site)]),
        items: Triggers::own(&w.items),
        systems: Triggers::own(&w.systems),
        policies: Triggers::own(&w.policies),
        // The request tells its approvals what they count for; one that did not hear it asks when the request has moved on.
        approvals: Triggers::own(&w.approvals).on_facts(&w.requests, controllers::request::phase, move |request| {
            controllers::approval::untold(&for_approvals, &request)
                .into_iter()
                .map(|a| ObjectRef::from_obj(a.as_ref()))
                .collect::<Vec<_>>()
        }),
        requests: Triggers::own(&w.requests)
            .on(&w.approvals, |a| [ObjectRef::new(&a.spec.request).within(&a.namespace().unwrap_or_default())])
            .on(&w.grants, |g| {
                let namespace = g.namespace().unwrap_or_default();
                let ending = g.spec.revocation.as_ref().map(|r| ObjectRef::new(&r.request.name).within(&namespace));
                [Some(ObjectRef::new(&g.spec.request.name).within(&namespace)), ending]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
            })
            .on(&w.items, move |item| {
                let name = item.name_any();
                controllers::request::open_requests(&for_items, |r| r.spec.order.items.iter().any(|i| i.item == name))
            })
            .on(&w.systems, move |system| {
                let (name, namespace) = (system.name_any(), system.namespace());
                controllers::request::open_requests(&for_systems, |r| {
                    r.namespace() == namespace && r.spec.order.system.as_deref() == Some(&name)
                })
            })
            .on_facts(&w.sites, controllers::site::is_ready, move |site| {
                let name = site.name_any();
                controllers::request::open_requests(&for_sites, |r| r.spec.order.site == name)
            })
            .on(&w.policies, move |_| of_policies())
            .on(&w.admission, move |_| of_admission())
            .on(&w.bindings, move |_| of_bindings()),
        grants: Triggers::own(&w.grants)
            .on(&w.requests, |r| {
                r.status
                    .as_ref()
                    .and_then(|s| s.grant.clone())
                    .map(|name| ObjectRef::new(&name).within(&r.namespace().unwrap_or_default()))
            })
            .from_stream(controllers::grant::touched(Arc::clone(context), touched)),
        ledgers: Triggers::own(&w.ledgers),
        stores: controllers::store::triggers(context),
        plans: controllers::plan::triggers(context),
        backups: Triggers::own(&w.backups),
        restores: Triggers::own(&w.restores),
        drills: Triggers::own(&w.drills),
        rooms: controllers::room::triggers(context),
        waves: controllers::wave::triggers(context),
        migrations: controllers::migration::triggers(context),
    }
}

impl AllTriggers {
    fn run(self, context: &Arc<Context>, concurrency: u16, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let w = &context.watches;
        let pace = Arc::new(controllers::quota::Pace::default());
        let shared = Shared { metrics: Arc::clone(&context.metrics), written: Arc::default() };
        macro_rules! run {
            ($watched:expr, $triggers:expr, $concurrency:expr, $reconcile:expr) => {{
                let context = Arc::clone(context);
                let reconcile = $reconcile;
                tokio::spawn(controller::run(
                    $watched.clone(),
                    $triggers,
                    $concurrency,
                    shared.clone(),
                    stop.clone(),
                    move |object| reconcile(Arc::clone(&context), object),
                ))
            }};
        }
        vec![
            run!(w.departments, self.departments, concurrency, controllers::department::reconcile),
            run!(w.quotas, self.quotas, 4, move |c, o| controllers::quota::reconcile(c, o, Arc::clone(&pace))),
            run!(w.sites, self.sites, 4, controllers::site::reconcile),
            run!(w.items, self.items, 2, controllers::catalog::reconcile),
            run!(w.systems, self.systems, 4, controllers::system::reconcile),
            run!(w.policies, self.policies, 2, controllers::policy::reconcile),
            run!(w.approvals, self.approvals, 4, controllers::approval::reconcile),
            run!(w.requests, self.requests, concurrency.saturating_mul(4), controllers::request::reconcile),
            run!(w.grants, self.grants, concurrency.saturating_mul(2), controllers::grant::reconcile),
            run!(w.ledgers, self.ledgers, 2, controllers::ledger::reconcile),
            run!(w.stores, self.stores, 2, controllers::store::reconcile),
            run!(w.plans, self.plans, 2, controllers::plan::reconcile),
            run!(w.backups, self.backups, 4, controllers::backup::reconcile),
            run!(w.restores, self.restores, 4, controllers::restore::reconcile),
            run!(w.drills, self.drills, 2, controllers::drill::reconcile),
            run!(w.rooms, self.rooms, 2, controllers::room::reconcile),
            run!(w.waves, self.waves, 2, controllers::wave::reconcile),
            run!(w.migrations, self.migrations, 8, controllers::migration::reconcile),
        ]
    }
}

fn default_identity() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-{}", if host.is_empty() { "operator" } else { host }, std::process::id())
}
