//! What clients order.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{Api, Client};
use serde_json::{Value, json};
use zhengyun_crds::ResourceRequest;
use zhengyun_tests::town::submitted;

use crate::follow::{self, Board};
use crate::region::{ITEM, SYSTEM};
use crate::stage::{self, CLERK};

/// The requests of a department.
pub fn requests(client: &Client, department: &str) -> Api<ResourceRequest> {
    Api::namespaced(client.clone(), &namespace(department))
}

/// A department's namespace on the hub.
pub fn namespace(department: &str) -> String {
    format!("dept-{department}")
}

/// An order for one item of `cores` cores, submitted.
///
/// # Errors
/// Never for the values used here.
pub fn create(name: &str, site: &str, cores: u32) -> Result<ResourceRequest> {
    create_item(name, site, ITEM, cores)
}

/// An order for some of an item, submitted.
///
/// # Errors
/// Never for the values used here.
pub fn create_item(name: &str, site: &str, item: &str, count: u32) -> Result<ResourceRequest> {
    submitted(name, CLERK, &order(site, item, count))
}

/// An order for some of an item.
pub fn order(site: &str, item: &str, count: u32) -> Value {
    json!({
        "action": "Create", "system": SYSTEM, "site": site, "class": "Test", "justification": "a benchmark",
        "items": [{ "item": item, "name": "unit", "count": count, "parameters": {} }]
    })
}

/// An order to end a grant, submitted.
///
/// # Errors
/// Never for the values used here.
pub fn revoke(name: &str, site: &str, grant: &str) -> Result<ResourceRequest> {
    let order = json!({
        "action": "Revoke", "site": site, "grant": grant, "disposition": "Delete", "justification": "a benchmark"
    });
    submitted(name, CLERK, &order)
}

/// Many orders of one core each, from every leaf in turn, spread over sites in turn.
#[derive(Clone, Copy, Debug)]
pub struct Wave<'a> {
    /// What their names begin with.
    pub prefix: &'a str,
    /// Departments that order.
    pub leaves: &'a [String],
    /// Sites that they order at.
    pub sites: &'a [&'a str],
    /// How many.
    pub many: usize,
    /// How many wait for their answer at a time.
    pub in_flight: usize,
}

/// What came of a wave.
#[derive(Debug, Default)]
pub struct Granted {
    /// `namespace/request` of every grant.
    pub keys: Vec<String>,
    /// Seconds from each request to its answer.
    pub answers: Vec<f64>,
    /// Until the last answer.
    pub wall: Duration,
}

impl Granted {
    /// Grants a second.
    pub fn rate(&self) -> f64 {
        self.keys.len() as f64 / self.wall.as_secs_f64()
    }
}

impl Wave<'_> {
    /// Sends them, and waits until every one is granted.
    ///
    /// # Errors
    /// The first that is refused.
    pub async fn grant(self, clerk: &Client, board: &Board) -> Result<Granted> {
        let begun = Instant::now();
        let mut granted = Granted::default();
        let turns = self.sites.len().max(1);
        let orders = (0..self.many).map(|number| {
            // Every leaf orders at every site.
            let leaf = self.leaves.get(number / turns % self.leaves.len().max(1));
            let site = self.sites.get(number % turns);
            self.one(clerk, board, number, leaf, site)
        });
        let mut answers = stream::iter(orders).buffer_unordered(self.in_flight);
        while let Some((key, seconds)) = answers.try_next().await? {
            granted.keys.push(key);
            granted.answers.push(seconds);
        }
        granted.wall = begun.elapsed();
        Ok(granted)
    }

    async fn one(
        self,
        clerk: &Client,
        board: &Board,
        number: usize,
        leaf: Option<&String>,
        site: Option<&&str>,
    ) -> Result<(String, f64)> {
        let (leaf, site) = leaf.zip(site).context("a wave has leaves and sites")?;
        let name = format!("{}-{number:05}", self.prefix);
        let begun = Instant::now();
        stage::create(&requests(clerk, leaf), &create(&name, site, 1)?)
            .await
            .with_context(|| format!("create {name}"))?;
        let key = follow::key(&namespace(leaf), &name);
        let answer = board.until(&key, follow::is_answered).await?;
        if let Some(refusal) = answer.refusal {
            bail!("{key} was refused, {}: {}", refusal.reason, refusal.message);
        }
        Ok((key, begun.elapsed().as_secs_f64()))
    }
}
