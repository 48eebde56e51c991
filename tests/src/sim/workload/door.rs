//! What people do through the API: whatever is not answered they send again, and it takes effect once.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use zhengyun_crds::{GrantPhase, RequestPhase};

use super::super::door::phase;
use super::super::stage::Stage;
use super::lives::{CLERK, HEAD, HOME, SYSTEM};
use super::order;
use crate::world::door::request_path;

async fn served(stage: &Stage, name: &str) -> Result<String> {
    let door = &stage.door;
    let applied = door.read(CLERK, &request_path(HOME, name), |r| phase(r) == "Applied").await?;
    let grant = applied.get("grant").and_then(Value::as_str).context("an applied request names its grant")?.to_owned();
    door.read(CLERK, &grant_path(&grant), |g| phase(g) == "InService").await?;
    Ok(grant)
}

fn grant_path(grant: &str) -> String {
    format!("/api/v1/departments/{HOME}/grants/{grant}")
}

async fn open(stage: &Stage, name: &str) -> Result<()> {
    let at_stage = |r: &Value| phase(r) == "InReview" && r.pointer("/stage/name") == Some(&json!("department"));
    stage.door.read(HEAD, &request_path(HOME, name), at_stage).await?;
    Ok(())
}

pub(super) async fn life(stage: &Stage) -> Result<()> {
    let door = &stage.door;
    door.create(CLERK, HOME, "space", &order(SYSTEM, "Test", "2")).await?;
    door.submit(CLERK, HOME, "space").await?;
    open(stage, "space").await?;
    door.decide(HEAD, HOME, "space", "department", "Approve").await?;
    let grant = served(stage, "space").await?;
    let path = format!("{}/revocation", grant_path(&grant));
    let ordered = door.post(CLERK, &path, &json!({ "name": "the-end", "justification": "simulated" })).await?;
    ensure!(ordered.get("name") == Some(&json!("the-end")), "{ordered}");
    open(stage, "the-end").await?;
    door.decide(HEAD, HOME, "the-end", "department", "Approve").await?;
    door.read(CLERK, &grant_path(&grant), |g| phase(g) == "Revoked").await?;
    door.read(CLERK, &request_path(HOME, "the-end"), |r| phase(r) == "Applied").await?;
    Ok(())
}

pub(super) async fn correct(stage: &Stage) -> Result<()> {
    let door = &stage.door;
    door.create(CLERK, HOME, "space", &order(SYSTEM, "Test", "2")).await?;
    door.submit(CLERK, HOME, "space").await?;
    open(stage, "space").await?;
    door.decide(HEAD, HOME, "space", "department", "Return").await?;
    door.read(CLERK, &request_path(HOME, "space"), |r| phase(r) == "ReturnedForCorrection").await?;
    door.correct(CLERK, HOME, "space", &order(SYSTEM, "Test", "1")).await?;
    door.submit(CLERK, HOME, "space").await?;
    open(stage, "space").await?;
    door.decide(HEAD, HOME, "space", "department", "Approve").await?;
    served(stage, "space").await?;
    Ok(())
}

pub(super) async fn twice(stage: &Stage) -> Result<()> {
    let door = &stage.door;
    let wanted = order(SYSTEM, "Test", "2");
    both(door.create(CLERK, HOME, "space", &wanted), door.create(CLERK, HOME, "space", &wanted)).await?;
    both(door.submit(CLERK, HOME, "space"), door.submit(CLERK, HOME, "space")).await?;
    open(stage, "space").await?;
    let decide = || door.decide(HEAD, HOME, "space", "department", "Approve");
    both(decide(), decide()).await?;
    stage.granted(HOME, "space", GrantPhase::InService).await?;
    stage.in_phase(HOME, "space", RequestPhase::Applied).await?;
    Ok(())
}

async fn both<T>(one: impl Future<Output = Result<T>>, other: impl Future<Output = Result<T>>) -> Result<()> {
    let (one, other) = tokio::join!(one, other);
    one.and(other).map(drop)
}
