//! The operator ends like in a power cut right after a write, before it knows the answer: once for every kind of write it makes.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use zhengyun_tests::lab::process::log_tail;
use zhengyun_tests::town::Town;

use super::{audit, life};

/// `SIGABRT`, by which a crash point ends the process.
const ABORTED: i32 = 6;
/// Every point lies on the road of a life, which takes about ten seconds; a busy machine takes longer.
const REACHED: Duration = Duration::from_mins(1);

/// The n-th write of each kind after the operator's start, in the order of a life.
///
/// The run proves that the list is complete: a kind of write that an undisturbed life makes and that is not here fails the test.
const POINTS: [&str; 48] = [
    // Taking over: each of the two ledgers is taken and then settled, then each site is fenced.
    "hub PATCH ledgers/status 1",
    "hub PATCH ledgers/status 2",
    "hub PATCH ledgers/status 4",
    "site PATCH configmaps 1",
    "site PATCH configmaps 2",
    // A department comes.
    "hub PATCH departments 1",
    "hub PATCH departments/status 1",
    "hub POST namespaces 1",
    "hub PATCH rolebindings 1",
    "hub PATCH rolebindings 2",
    "hub PATCH departmentquotas 1",
    "hub PATCH departmentquotas/status 1",
    "hub PATCH informationsystems/status 1",
    // A request is assessed, reserved, decided.
    "hub PATCH resourcerequests/status 1",
    "hub PATCH resourcerequests 1",
    "hub PATCH ledgers/status 5",
    "hub PATCH resourcerequests/status 3",
    "hub PATCH approvals/status 1",
    "hub POST events 1",
    // It becomes a grant.
    "hub POST resourcegrants 1",
    "hub PATCH ledgers/status 6",
    "hub PATCH resourcegrants/status 1",
    "hub PATCH resourcegrants/status 2",
    // Delivery.
    "site POST namespaces 1",
    "site POST networkpolicies 1",
    "site POST resourcequotas 1",
    "site POST limitranges 1",
    "site POST rolebindings 1",
    "site POST clusters 1",
    "site POST bucketclaims 1",
    "site POST persistentvolumeclaims 1",
    "hub PATCH resourcegrants/status 4",
    // Revocation: ordered, frozen, removed, proven, released, recorded.
    "hub PATCH resourcegrants 1",
    "site PATCH resourcequotas 1",
    "site PATCH networkpolicies 1",
    "site DELETE networkpolicies 1",
    "site PATCH clusters 1",
    "site DELETE clusters 1",
    "site PATCH bucketclaims 1",
    "site DELETE bucketclaims 1",
    "site PATCH persistentvolumeclaims 1",
    "site DELETE persistentvolumeclaims 1",
    "site PATCH namespaces 1",
    "site DELETE namespaces 1",
    "hub PATCH sites/status 1",
    // The department goes.
    "hub PATCH namespaces 1",
    "hub PATCH departmentquotas 2",
    "hub PATCH departments 2",
];

/// A repeated Event is counted on the one that stands: it carries no state, and no life repeats one for sure.
const BESIDE_THE_ROAD: &str = "hub PATCH events";

pub(crate) async fn killed_at_every_kind_of_write(town: &Arc<Town>) -> Result<()> {
    town.operator().stop().await?;
    let mut lives: JoinSet<Result<()>> = JoinSet::new();
    let mut unreached = Vec::new();
    for (number, point) in POINTS.iter().enumerate() {
        let operator = town.lab().start_operator("crash", &life::flags("crash", Some(point)))?;
        let (begun, own, name) = (Instant::now(), Arc::clone(town), format!("life-{number:02}"));
        lives.spawn(async move {
            let grant = life::serve(&own, &name).await?;
            life::end(&own, &name, &grant).await?;
            life::ended_well(&own, &name).await?;
            life::dissolve(&own, &name).await
        });
        if let Ok(status) = operator.process().wait_exit(REACHED).await {
            ensure!(
                status.signal() == Some(ABORTED),
                "at crash point {point} the operator ended otherwise ({status}):\n{}",
                log_tail(operator.log(), 20)
            );
        } else {
            // The rest is tried all the same, so that one run tells every point that is no longer on the road.
            operator.kill9().await?;
            unreached.push(*point);
        }
        eprintln!("{point}: after {:.1} s", begun.elapsed().as_secs_f64());
        // A life that failed says so now rather than at the end.
        while let Some(ended) = lives.try_join_next() {
            ended??;
        }
    }
    ensure!(unreached.is_empty(), "crash points that no life comes by: {unreached:?}");
    let operator = town.lab().start_operator("crash", &life::flags("crash", None))?;
    while let Some(ended) = lives.join_next().await {
        ended??;
    }
    life::nothing_at(town, "hohhot").await?;
    audit::balanced(town).await?;
    // An undisturbed life shows which kinds of writes there are.
    let grant = life::serve(town, "life-undisturbed").await?;
    life::end(town, "life-undisturbed", &grant).await?;
    life::dissolve(town, "life-undisturbed").await?;
    let listed: BTreeSet<String> = POINTS.iter().filter_map(|p| Some(p.rsplit_once(' ')?.0.to_owned())).collect();
    let missing: Vec<String> = kinds_of_writes(operator.metrics_url())
        .await?
        .into_iter()
        .filter(|kind| !listed.contains(kind) && kind != BESIDE_THE_ROAD)
        .collect();
    ensure!(missing.is_empty(), "kinds of writes without a crash point: {missing:?}");
    operator.stop().await?;
    Ok(())
}

/// `hub PATCH ledgers/status` and so on, as the operator counted them.
async fn kinds_of_writes(metrics: &str) -> Result<BTreeSet<String>> {
    let text = reqwest::get(format!("{metrics}/metrics")).await?.text().await?;
    let label = |line: &str, name: &str| {
        line.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
    };
    let lines = text.lines().filter(|line| line.starts_with("zhengyun_writes_total{"));
    Ok(lines.map(|l| format!("{} {} {}", label(l, "cluster"), label(l, "verb"), label(l, "resource"))).collect())
}
