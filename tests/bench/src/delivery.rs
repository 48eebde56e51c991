//! B5: delivery alone: grants that are charged already, of six objects each, to two sites that join.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, Resource, ResourceExt, discovery};
use serde::de::DeserializeOwned;
use zhengyun_crds::{ResourceGrant, marks};
use zhengyun_domain::delivery::desired;
use zhengyun_tests::figures::{Gate, quantile};

use crate::books;
use crate::ceilings::{self, Ceilings};
use crate::follow::Board;
use crate::orders::Wave;
use crate::outcome::{Outcome, short};
use crate::region::Region;
use crate::run::{Run, scaled};
use crate::stage::{SitePlan, Stage};

const GRANTS: usize = 1_000;
/// Objects of one grant of an item with an empty template.
const OBJECTS: usize = 6;
const SITES: [&str; 2] = ["east", "west"];
const IN_FLIGHT: usize = 64;
const SHARE: f64 = 60.0;
/// Grants whose objects are applied bare, before and after, for the ceiling.
const BARE: usize = 200;

pub(crate) async fn run(run: &Run<'_>) -> Result<Outcome> {
    let grants = scaled(GRANTS, run.scale, 20);
    let title = format!("delivery: {grants} grants of {OBJECTS} objects to {} sites", SITES.len());
    let mut outcome = Outcome::new("B5", title, run.scale);
    run.say("hub and two sites");
    let mut stage = Stage::start(&SITES).await?;
    stage.start_operator(&[])?;
    let admin = stage.admin()?;
    let region = Region::flat("b5", 1, 4);
    let plans = SITES.map(|site| SitePlan::later(site, grants as u64));
    stage.establish(&region, &plans).await?;

    run.say(&format!("{grants} requests are granted; no site has joined yet"));
    let grants_board = Board::of_grants(&admin);
    let wave = Wave { prefix: "deliver", leaves: &region.leaves, sites: &SITES, many: grants, in_flight: IN_FLIGHT };
    let keys = wave.grant(&stage.clerk()?, &Board::of_requests(&admin)).await?.keys;
    let bare = scaled(BARE, run.scale, 20);
    let before = raw(&stage, &admin, "before", bare).await?;

    run.say("the sites join, everything is delivered");
    let meter = stage.meter()?;
    let begun = meter.look().await?;
    let joined = Instant::now();
    let served = stream::iter(keys.clone()).map(|key| {
        let board = &grants_board;
        async move {
            board.until(&key, |status| status.phase == "InService").await?;
            Ok::<_, anyhow::Error>(joined.elapsed().as_secs_f64())
        }
    });
    let (join, times) = tokio::join!(
        stage.join(&SITES),
        tokio::time::timeout(Duration::from_mins(30), served.buffer_unordered(grants).try_collect::<Vec<f64>>())
    );
    join?;
    let times = times.context("not everything was delivered in time")??;
    let spent = begun.until(&meter.look().await?, "delivery", "grant", grants as u64);
    let wall = joined.elapsed().as_secs_f64();
    for site in SITES {
        stands(&stage, site, grants / SITES.len()).await?;
    }
    books::balanced(stage.lab()).await?;
    let after = raw(&stage, &admin, "after", bare).await?;

    let mean = before.mean(&after, "mean");
    let most = mean.applies.context("server-side applies were measured")?;
    let rate = (grants * OBJECTS) as f64 / wall;
    outcome.figure(
        "objects",
        rate,
        "a second",
        None,
        format!("sites registered as joined until the last of {grants} grants was in service at the hub"),
    );
    outcome.figure(
        "share of the ceiling",
        rate / most * 100.0,
        "%",
        Some(Gate::AtLeast(SHARE)),
        format!("of {} bare server-side applies a second of the very same objects, both sites at once", short(most)),
    );
    outcome.figure("delivered, half", quantile(times.clone(), 0.5)?, "s", None, "after the sites joined");
    outcome.figure("delivered, 99 of 100", quantile(times, 0.99)?, "s", None, "after the sites joined");
    outcome.figure("operator CPU", spent.cpu("operator"), "ms", None, "processor time per grant");
    outcome.spent.push(spent);
    outcome.ceilings = vec![before, after, mean];
    outcome.note("requests were granted before the sites joined, so that decisions do not compete with deliveries");
    outcome.note("the operator creates the objects and writes two statuses of every grant at the hub, which shares the machine; the bare applies need no hub");
    Ok(outcome)
}

/// Applies what some grants would deliver, without the product, at both sites at once, and removes it again.
async fn raw(stage: &Stage, hub: &Client, run: &str, grants: usize) -> Result<Ceilings> {
    let template = Api::<ResourceGrant>::all(hub.clone()).list(&ListParams::default().limit(1)).await?;
    let template = template.items.into_iter().next().context("a grant to take the objects of")?;
    let rates =
        try_join_all(
            SITES.map(|site| {
                let template = &template;
                async move {
                    bare_applies(&stage.lab().site(site)?.client_admin()?, template, run, grants / SITES.len()).await
                }
            }),
        )
        .await?;
    Ok(Ceilings { what: format!("both sites, {run}"), applies: Some(rates.iter().sum()), ..Ceilings::default() })
}

async fn bare_applies(site: &Client, template: &ResourceGrant, run: &str, grants: usize) -> Result<f64> {
    let mut namespaces = Vec::new();
    let mut inside = Vec::new();
    for number in 0..grants {
        let namespace = format!("bare-{run}-{number:05}");
        for object in desired(template, &namespace, false) {
            let mut body: DynamicObject = serde_json::from_value(object.body)?;
            // What is not delivered by the product must not look like it.
            body.metadata.labels = None;
            let list = if object.entry.namespace.is_empty() { &mut namespaces } else { &mut inside };
            list.push(body);
        }
    }
    let names: Vec<String> = namespaces.iter().map(ResourceExt::name_any).collect();
    let begun = Instant::now();
    apply_all(site, namespaces).await?;
    apply_all(site, inside).await?;
    let rate = (grants * OBJECTS) as f64 / begun.elapsed().as_secs_f64();
    let api: Api<Namespace> = Api::all(site.clone());
    for name in names {
        api.delete(&name, &kube::api::DeleteParams::default()).await?;
    }
    Ok(rate)
}

async fn apply_all(site: &Client, objects: Vec<DynamicObject>) -> Result<()> {
    let params = PatchParams::apply("zhengyun-bench").force();
    let mut kinds: HashMap<String, ApiResource> = HashMap::new();
    for object in &objects {
        if let Entry::Vacant(unknown) = kinds.entry(kind_of(object)) {
            let types = object.types.clone().context("an object names its kind")?;
            let gvk = GroupVersionKind::try_from(&types)?;
            unknown.insert(discovery::pinned_kind(site, &gvk).await?.0);
        }
    }
    stream::iter(objects)
        .map(Ok::<_, anyhow::Error>)
        .try_for_each_concurrent(ceilings::IN_FLIGHT, |object| {
            let (params, kinds) = (&params, &kinds);
            async move {
                let resource = kinds.get(&kind_of(&object)).context("a kind that was looked up")?;
                let api: Api<DynamicObject> = match &object.metadata.namespace {
                    Some(namespace) => Api::namespaced_with(site.clone(), namespace, resource),
                    None => Api::all_with(site.clone(), resource),
                };
                api.patch(&object.name_any(), params, &Patch::Apply(&object)).await?;
                Ok(())
            }
        })
        .await
}

fn kind_of(object: &DynamicObject) -> String {
    object.types.as_ref().map(|t| t.kind.clone()).unwrap_or_default()
}

/// Exactly the objects of so many grants stand at a site.
async fn stands(stage: &Stage, site: &str, grants: usize) -> Result<()> {
    let client = stage.lab().site(site)?.client_admin()?;
    let counts = [
        ("namespaces", count::<Namespace>(&client).await?, grants),
        ("quotas", count::<ResourceQuota>(&client).await?, grants),
        ("limits", count::<LimitRange>(&client).await?, grants),
        ("network policies", count::<NetworkPolicy>(&client).await?, 2 * grants),
        ("role bindings", count::<RoleBinding>(&client).await?, grants),
    ];
    for (what, found, wanted) in counts {
        ensure!(found == wanted, "{wanted} {what} were to stand at {site}, there are {found}");
    }
    Ok(())
}

async fn count<K>(site: &Client) -> Result<usize>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let ours = ListParams::default().labels(marks::LABEL_GRANT_UID);
    Ok(Api::<K>::all(site.clone()).list_metadata(&ours).await?.items.len())
}
