//! Opening a ledger: take the epoch first, then list, overlay the journal, compare.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};

use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;
use zhengyun_crds::ledger::{ChargedObject, Held, Ledger, LedgerSpec};
use zhengyun_crds::quota::DepartmentQuota;
use zhengyun_crds::site::Site;
use zhengyun_crds::{Reason, RecoveryPlan, ResourceGrant, ResourceRequest, marks};
use zhengyun_domain::ledger::{Books, ObjectRecord, audit_digest, recover};
use zhengyun_domain::quota::{FieldError, adopted_book};
use zhengyun_domain::seeded::{self, Bug};

use super::commit::{CommitError, LedgerObject};
use super::journal::Unshown;
use super::service::{LedgerService, SiteLedger};
use super::writer::Writer;
use crate::runtime::hub::is_not_found;
use crate::runtime::metrics::Metrics;

/// Decisions that may wait for the writer before callers wait themselves.
const QUEUE: usize = 1024;
/// Objects in one page of a list.
const PAGE: u32 = 500;

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The hub does not answer or refuses.
    #[error("the ledger of site {site}: {source}")]
    Hub {
        /// Site.
        site: String,
        /// What the hub said.
        source: kube::Error,
    },
    /// A text in an object is not an amount.
    #[error("the books of site {site} cannot be read: {source}; correct that object")]
    Books {
        /// Site.
        site: String,
        /// Field.
        source: FieldError,
    },
    /// Another operator is taking the ledger at the same time.
    #[error("{0}")]
    TakenOver(String),
}

/// Every request, grant and recovery plan with what it says it is charged, by lists that go to the quorum.
///
/// # Errors
/// When the hub does not answer.
pub async fn list_records(client: &Client) -> kube::Result<Vec<ObjectRecord>> {
    let mut records = Vec::new();
    let requests: Api<ResourceRequest> = Api::all(client.clone());
    for request in pages(&requests).await? {
        let charge = request.status.as_ref().and_then(|s| s.charge.clone());
        records.push(record("ResourceRequest", &request, charge));
    }
    let grants: Api<ResourceGrant> = Api::all(client.clone());
    for grant in pages(&grants).await? {
        let charge = grant.status.as_ref().and_then(|s| s.charge.clone());
        records.push(record("ResourceGrant", &grant, charge));
    }
    let plans: Api<RecoveryPlan> = Api::all(client.clone());
    for plan in pages(&plans).await? {
        // One for each site; one that holds nothing is there all the same, or what the journal says of it would count as orphaned.
        let charges = plan.status.as_ref().map(|s| s.charges.clone()).unwrap_or_default();
        records.push(record("RecoveryPlan", &plan, None));
        records.extend(charges.into_iter().map(|charge| record("RecoveryPlan", &plan, Some(charge))));
    }
    Ok(records)
}

async fn pages<K>(api: &Api<K>) -> kube::Result<Vec<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|c| !c.is_empty()) {
            Some(next) => params = ListParams::default().limit(PAGE).continue_token(&next),
            None => return Ok(all),
        }
    }
}

fn record<K: ResourceExt>(kind: &str, object: &K, charge: Option<zhengyun_crds::ledger::ObjectCharge>) -> ObjectRecord {
    let namespace = object.namespace().unwrap_or_default();
    ObjectRecord {
        department: namespace.strip_prefix(marks::DEPARTMENT_NAMESPACE_PREFIX).unwrap_or(&namespace).to_owned(),
        object: ChargedObject {
            kind: kind.to_owned(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            namespace,
        },
        charge,
    }
}

impl LedgerService {
    /// Opens the ledger of a site, unless it is open.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing is charged meanwhile.
    pub async fn open(
        self: &Arc<Self>,
        client: &Client,
        site: &Site,
        identity: &str,
        metrics: &Arc<Metrics>,
    ) -> Result<SiteLedger, OpenError> {
        let name = site.name_any();
        if let Ok(open) = self.site(&name) {
            return Ok(open);
        }
        let hub = |source| OpenError::Hub { site: name.clone(), source };
        let books_error = |source| OpenError::Books { site: name.clone(), source };
        let api: Api<Ledger> = Api::all(client.clone());
        let (ledger, was_missing) = match api.get(&name).await {
            Ok(ledger) => (ledger, false),
            Err(error) if is_not_found(&error) => {
                let ledger = Ledger::new(&name, LedgerSpec { site: name.clone(), acceptance: None });
                (api.create(&PostParams::default(), &ledger).await.map_err(hub)?, true)
            }
            Err(error) => return Err(hub(error)),
        };
        // The epoch is taken before anything is read: a former leader's next commit conflicts from here on.
        let mut object = LedgerObject::new(client.clone(), ledger);
        let mut status = object.status();
        if !seeded::is(Bug::EpochNotRaised) {
            status.epoch = status.epoch.saturating_add(1);
        }
        identity.clone_into(&mut status.holder);
        object.commit(&status).await.map_err(|e| taken_over(&e))?;

        let records = list_records(client).await.map_err(hub)?;
        let quotas: Api<DepartmentQuota> = Api::all(client.clone());
        let quotas = pages(&quotas).await.map_err(hub)?;
        let fresh: Api<Site> = Api::all(client.clone());
        let fresh = fresh.get(&name).await.map_err(hub)?;
        let capacity = fresh.status.as_ref().and_then(|s| s.adopted.as_ref()).map(|a| &a.capacity);
        let limits = adopted_book(&name, capacity, &quotas).map_err(books_error)?;
        let recovery =
            recover(Books::new(&name, self.tree(), limits), &name, &status, &records).map_err(books_error)?;
        let mut books = recovery.books;
        let charged_before = records.iter().any(|r| r.charge.as_ref().is_some_and(|c| c.site == name));
        status.held = recovery.held;
        if was_missing && charged_before {
            let held = missing(&name, &books, status.sequence);
            books.hold(Some(held.message.clone()));
            status.held = Some(held);
        }
        // Totals of held books stay as they were: the difference is what the administrator must see.
        if status.held.is_none() {
            status.totals = books.totals().to_text();
        }
        let (queue, receiver) = mpsc::channel(QUEUE);
        let ledger = SiteLedger {
            site: name.clone(),
            books: Arc::new(Mutex::new(books)),
            queue,
            epoch: Arc::new(AtomicI64::new(status.epoch)),
            unshown: Unshown::default(),
            metrics: Arc::clone(metrics),
            clock: self.clock,
        };
        let mut writer = Writer::new(object, status, ledger.clone(), receiver, self.lost.clone(), &recovery.pending);
        writer.settle_recovery(recovery.orphaned).await.map_err(|e| taken_over(&e))?;
        tracing::info!(site = name, epoch = ledger.epoch(), pending = recovery.pending.len(), "the ledger is open");
        tokio::spawn(writer.run());
        self.insert(ledger.clone());
        Ok(ledger)
    }
}

fn missing(site: &str, books: &Books, sequence: i64) -> Held {
    Held {
        reason: Reason::LedgerMissing.as_str().to_owned(),
        message: format!(
            "the Ledger of site {site} was missing although requests, grants or recovery plans hold charges there; run `zhengyun-operator audit-ledger --site {site}`, then accept with --accept and a reason"
        ),
        digest: audit_digest(books, sequence),
    }
}

fn taken_over(error: &CommitError) -> OpenError {
    OpenError::TakenOver(error.to_string())
}
