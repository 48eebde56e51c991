//! A leader is paused, another takes over, and the first wakes up believing that it still leads.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use zhengyun_crds::{Ledger, RequestPhase, Site};
use zhengyun_tests::lab::Component;
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town, said};

use super::{audit, life};

const SYSTEM: &str = "zhengyun-system";
/// A lease so long that the paused one does not learn from it that its time is over: only ledger and fence can tell it.
const LONG_LEASE: &str = "120";

fn flags(identity: &str) -> Vec<String> {
    ["--identity", identity, "--lease-seconds", LONG_LEASE].map(str::to_owned).to_vec()
}

pub(crate) async fn a_former_leader_is_refused(town: &Arc<Town>) -> Result<()> {
    let first = lead(town, "leader-1").await?;
    let name = "life-takeover";
    let grant = life::serve(town, name).await?;

    first.pause()?;
    let second = lead(town, "leader-2").await?;
    fence_refuses(town, &first, &second, &grant).await?;

    second.pause()?;
    let third = lead(town, "leader-3").await?;
    ledger_refuses(town, &second, &third).await?;

    life::end(town, name, &grant).await?;
    life::ended_well(town, name).await?;
    audit::balanced(town).await?;
    third.stop().await?;
    Ok(())
}

/// Takes the lease away from whoever holds it, as its end would, and waits until a new operator has ledgers and fences.
async fn lead(town: &Town, identity: &str) -> Result<Component> {
    let leases: Api<Lease> = Api::namespaced(town.admin()?, SYSTEM);
    if leases.get_opt("zhengyun-operator").await?.is_some() {
        leases.delete("zhengyun-operator", &DeleteParams::default()).await?;
    }
    let operator = town.lab().start_operator(identity, &flags(identity))?;
    let (ledgers, sites): (Api<Ledger>, Api<Site>) = (Api::all(town.admin()?), Api::all(town.admin()?));
    settled(&format!("{identity} leads"), SOON, || async {
        operator.process().fail_if_ended()?;
        for ledger in ledgers.list(&ListParams::default()).await? {
            let status = ledger.status.clone().unwrap_or_default();
            let site = sites.get(&ledger.name_any()).await?.status.unwrap_or_default();
            if status.holder != identity || site.fence_epoch != status.epoch {
                let seen = format!("{} is held by {}, fence {}", ledger.name_any(), status.holder, site.fence_epoch);
                return Ok(Err(seen));
            }
        }
        Ok(Ok(()))
    })
    .await?;
    Ok(operator)
}

/// With the successor paused as well, nobody but site and ledger can stop the former leader from repairing what it sees missing:
/// the site refuses the write, or the former leader sees the raised fence first and asks the ledger, which refuses it too.
async fn fence_refuses(town: &Town, former: &Component, successor: &Component, grant: &str) -> Result<()> {
    let held = town.grant("life-takeover", grant).await?;
    let namespace = held.status.and_then(|s| s.namespace).context("a grant in service has a namespace")?;
    let policies: Api<NetworkPolicy> = Api::namespaced(town.site_admin("hohhot")?, &namespace);
    let victim = policies.list(&ListParams::default()).await?.items.first().map(ResourceExt::name_any);
    let victim = victim.context("a grant's namespace has network policies")?;
    successor.pause()?;
    policies.delete(&victim, &DeleteParams::default()).await?;
    former.resume()?;
    ended_because(former, &["fenced against this operator", "another operator wrote the ledger"]).await?;
    ensure!(policies.get_opt(&victim).await?.is_none(), "the former leader wrote {victim} past the fence");
    successor.resume()?;
    settled("the successor repairs the policy", SOON, || async {
        Ok(policies.get_opt(&victim).await?.map(|_| ()).ok_or_else(|| "still missing".to_owned()))
    })
    .await
}

/// With the successor paused as well, only the ledger can stop the former leader from charging a request.
async fn ledger_refuses(town: &Town, former: &Component, successor: &Component) -> Result<()> {
    let (department, name) = ("life-takeover", "late");
    successor.pause()?;
    town.submit("clerk-finance", department, name, &life::order("system")).await?;
    former.resume()?;
    ended_because(former, &["another operator wrote the ledger"]).await?;
    let status = town.request(department, name).await?.status.unwrap_or_default();
    ensure!(status.charge.is_none(), "the former leader charged {name}: {:?}", status.charge);
    successor.resume()?;
    // The quota is taken by the grant in service, so a living leader answers with a refusal.
    let (reason, message) = town.refused(department, name).await?;
    ensure!(reason == "QuotaExceeded", "{reason}: {message}");
    let request = town.request(department, name).await?;
    ensure!(request.status.as_ref().is_some_and(|s| s.phase == Some(RequestPhase::Draft)), "{:?}", request.status);
    town.requests(department)?.delete(name, &DeleteParams::default()).await?;
    settled("the refused draft is gone", SOON, || async {
        let left = town.requests(department)?.get_opt(name).await?;
        Ok(left.map_or(Ok(()), |r| Err(said(&r.status.unwrap_or_default().conditions))))
    })
    .await
}

async fn ended_because(former: &Component, why: &[&str]) -> Result<()> {
    let status = former.process().wait_exit(Duration::from_secs(60)).await?;
    let log = std::fs::read_to_string(former.log())?;
    let heard: Vec<&&str> = why.iter().filter(|reason| log.contains(**reason)).collect();
    eprintln!("{} heard {heard:?}", former.name());
    ensure!(!status.success() && !heard.is_empty(), "the former leader ends ({status}) and says why; its log:\n{log}");
    Ok(())
}
