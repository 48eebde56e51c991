//! For comparison: one hot object that everybody changes by compare-and-swap, in the shape of Capsule's retries.
//!
//! A plain loop written here, not Capsule: 8 tries, 10 ms first, 1.6 times as long each time, against one object that holds the
//! sum. Like a request of the product, each claim costs one create and one status patch beside that.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::json;

use crate::outcome::Outcome;
use crate::probe;

const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const FACTOR: f64 = 1.6;
const HOT: &str = "hot-object";

/// How it came out.
#[derive(Debug, Default)]
pub(super) struct Loop {
    claims: usize,
    units: usize,
    granted: usize,
    exceeded: usize,
    gave_up: usize,
    recorded: u64,
    wall: Duration,
}

enum Answer {
    Granted,
    Exceeded,
    GaveUp,
}

pub(super) async fn contest(client: &Client, clients: usize, claims: usize, units: usize) -> Result<Loop> {
    let probes = probe::api(client);
    let limit = units as u64;
    probes.create(&PostParams::default(), &probe::object(HOT, &json!({ "used": 0, "limit": limit }))?).await?;
    let mut result = Loop { claims, units, ..Loop::default() };
    let begun = Instant::now();
    let mut answers = stream::iter(0..claims).map(|number| claim(&probes, number, limit)).buffer_unordered(clients);
    while let Some(answer) = answers.try_next().await? {
        match answer {
            Answer::Granted => result.granted += 1,
            Answer::Exceeded => result.exceeded += 1,
            Answer::GaveUp => result.gave_up += 1,
        }
    }
    result.wall = begun.elapsed();
    result.recorded = used(&probes.get(HOT).await?)?;
    probes.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    Ok(result)
}

async fn claim(probes: &Api<DynamicObject>, number: usize, limit: u64) -> Result<Answer> {
    let name = format!("claim-{number:05}");
    probes.create(&PostParams::default(), &probe::object(&name, &json!({ "units": 1 }))?).await?;
    let answer = take(probes, limit).await?;
    let phase = match answer {
        Answer::Granted => "Granted",
        Answer::Exceeded => "Exceeded",
        Answer::GaveUp => "Conflict",
    };
    let patch = json!({ "status": { "phase": phase } });
    probes.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(answer)
}

async fn take(probes: &Api<DynamicObject>, limit: u64) -> Result<Answer> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..TRIES {
        let mut hot = probes.get(HOT).await?;
        let now = used(&hot)?;
        if now >= limit {
            return Ok(Answer::Exceeded);
        }
        *hot.data.pointer_mut("/spec/used").context("the hot object has a sum")? = json!(now + 1);
        match probes.replace(HOT, &PostParams::default(), &hot).await {
            Ok(_) => return Ok(Answer::Granted),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(pause).await;
        pause = pause.mul_f64(FACTOR);
    }
    Ok(Answer::GaveUp)
}

fn used(hot: &DynamicObject) -> Result<u64> {
    hot.data.pointer("/spec/used").and_then(serde_json::Value::as_u64).context("the hot object has a sum")
}

impl Loop {
    pub(super) fn report(&self, outcome: &mut Outcome) {
        let settled = (self.granted + self.exceeded) as f64;
        outcome.figure(
            "retry loop",
            settled / self.wall.as_secs_f64(),
            "a second",
            None,
            format!(
                "Capsule's retry shape re-created as a plain loop ({TRIES} tries, 10 ms × {FACTOR}, one hot object): {} claims for {} units, {} granted (the object says {}), {} exceeded, {} gave up with a conflict",
                self.claims, self.units, self.granted, self.recorded, self.exceeded, self.gave_up
            ),
        );
    }
}
