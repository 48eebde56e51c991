//! One run: a workload under a plan, from the established world until nothing moves any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::base::{Base, World, on_paused_clock};
use super::check::{self, Violation};
use super::fault::{Counts, Gate, VERY_LATE};
use super::plan::{Fault, Plan, WatchTrouble};
use super::process::Operator;
use super::recovery::Machine;
use super::stage::{Stage, counts};
use super::workload::{self, Ends, Workload};
use crate::apiserver::{Commit, Key, Verb};

/// A lease runs out, and another operator takes over.
const LEASE: Duration = Duration::from_secs(17);
/// After so long without a write it is quiet: longer than every timer but the regular look at grants.
const QUIET: Duration = Duration::from_secs(95);

/// How often everything is looked at anew at the end of an undisturbed run, and how far apart.
const RESYNCS: u32 = 10;
const RESYNC: Duration = Duration::from_secs(15);

/// How a run came out.
#[derive(Debug)]
pub struct Report {
    /// What was sent.
    pub counts: Counts,
    /// Operators that ran.
    pub operators: u32,
    /// What should not be.
    pub violations: Vec<Violation>,
    /// Every write.
    pub journal: Vec<Arc<Commit>>,
    /// The world as it ended, masked for what differs from run to run.
    pub end: End,
}

/// The end of a run: what stands, and how often each thing was made and removed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct End {
    /// Objects, by cluster and key.
    pub objects: BTreeMap<(String, Key), Value>,
    /// Creations and deletions, by cluster and key.
    pub made: BTreeMap<(String, Key), (u32, u32)>,
}

/// Plays a plan.
///
/// # Errors
/// When the plan names no workload, or the machine has no runtime; what goes wrong in the world is in the report.
pub fn run(base: &Base, plan: &Plan) -> Result<Report> {
    let workload =
        workload::named(&plan.workload).with_context(|| format!("there is no workload {:?}", plan.workload))?;
    on_paused_clock(Box::pin(play(base, plan, *workload)))
}

async fn play(base: &Base, plan: &Plan, workload: Workload) -> Result<Report> {
    let world = base.world();
    let before = standing(&world);
    let gate = Gate::new(plan);
    world.keep_house();
    let supervisor = tokio::spawn(supervise(world.clone(), Arc::clone(&gate)));
    let stage = Stage::new(&world, &gate);
    let mut violations = Vec::new();
    // Faults that outlast the workload come to their end before quiet means anything.
    let lasting = plan.faults.iter().filter_map(|f| match f {
        Fault::Cut(..) => Some(QUIET),
        Fault::Watch(_, WatchTrouble::VeryLate) => Some(VERY_LATE),
        _ => None,
    });
    let lasting = lasting.max().unwrap_or_default();
    let script = async {
        (workload.play)(&stage).await?;
        tokio::time::sleep(lasting).await;
        stage.quiet(QUIET).await
    };
    let played = tokio::select! {
        biased;
        endless = gate.flooded() => Err(anyhow::anyhow!(endless)),
        played = script => played,
    };
    if let Err(error) = played {
        violations.push(Violation::liveness(format!("{error:#}")));
    }
    let journal = world.journal.all();
    let end = end(&world, &journal);
    // What the forced looks below send is no part of the workload.
    let counts = gate.counts();
    if plan.faults.is_empty() && violations.is_empty() {
        violations.extend(stays_quiet(&world).await);
    }
    supervisor.abort();
    let came_to_rest = violations.is_empty();
    violations.extend(check::check(&before, &journal, came_to_rest));
    let operators = journal.iter().filter_map(|c| c.agent.strip_prefix("operator-")?.parse().ok()).max().unwrap_or(0);
    Ok(Report { counts, operators, violations, journal, end })
}

/// I10: everything is listed and looked at anew, many times over, and nothing is written.
async fn stays_quiet(world: &World) -> Option<Violation> {
    let before = world.journal.len();
    for _ in 0..RESYNCS {
        world.hub.expire_watches();
        world.sites.values().for_each(|site| site.server.expire_watches());
        tokio::time::sleep(RESYNC).await;
    }
    let all = world.journal.all();
    let new: Vec<String> = all
        .get(before..)
        .unwrap_or_default()
        .iter()
        .filter(|c| counts(c))
        .take(4)
        .map(|c| format!("{} {:?} {} at {}", c.agent, c.verb, c.key, c.cluster))
        .collect();
    (!new.is_empty()).then(|| Violation {
        invariant: "I10",
        after: None,
        what: format!("it writes although nothing happens: {}", new.join("; ")),
    })
}

/// Starts an operator, and another one whenever one ends or stands still.
async fn supervise(world: World, gate: Arc<Gate>) {
    let machine = Machine::new(&world, &gate);
    let mut running: Vec<Operator> = Vec::new();
    for number in 1.. {
        running.push(Operator::start(&world, &gate, &machine, number));
        gate.vacant.notified().await;
        for (number, _) in (1..).zip(&running).filter(|(_, operator)| operator.life.is_over()) {
            machine.operator_ended(number);
        }
        tokio::time::sleep(LEASE).await;
    }
}

/// Every object of every cluster.
pub(super) type Standing = BTreeMap<(String, Key), Arc<Value>>;

fn standing(world: &World) -> Standing {
    let of = |name: &str, server: &crate::apiserver::Apiserver| -> Vec<((String, Key), Arc<Value>)> {
        server.objects().into_iter().map(|(key, object)| ((name.to_owned(), key), object)).collect()
    };
    let mut all: Standing = of("hub", &world.hub).into_iter().collect();
    for (name, site) in world.sites.iter().chain(&world.buckets) {
        all.extend(of(name, &site.server));
    }
    all
}

fn end(world: &World, journal: &[Arc<Commit>]) -> End {
    let objects = standing(world)
        .into_iter()
        .filter(|((_, key), _)| is_compared(key))
        .map(|(key, object)| {
            let mut object = object.as_ref().clone();
            mask(&mut object);
            (key, object)
        })
        .collect();
    let mut made: BTreeMap<(String, Key), (u32, u32)> = BTreeMap::new();
    for commit in journal.iter().filter(|c| counts(c) && c.verb != Verb::Update) {
        let entry = made.entry((commit.cluster.clone(), commit.key.clone())).or_default();
        match commit.verb {
            Verb::Create => entry.0 = entry.0.saturating_add(1),
            _ => entry.1 = entry.1.saturating_add(1),
        }
    }
    End { objects, made }
}

fn is_compared(key: &Key) -> bool {
    !matches!(key.plural.as_str(), "events" | "leases")
}

/// Takes out what may differ between two runs that came to the same end: revisions, times, epochs, sequences, holders, attempts.
fn mask(value: &mut Value) {
    const DIFFERS: [&str; 33] = [
        "resourceVersion",
        "generation",
        "observedGeneration",
        "lastTransitionTime",
        "creationTimestamp",
        "epoch",
        "zhengyun.io/epoch",
        "sequence",
        "holder",
        "run",
        "adoptedAtSequence",
        "lastSeen",
        "lastContact",
        "digest",
        "hubGeneration",
        "deletionTimestamp",
        "since",
        "fenceEpoch",
        // How often a run was taken up, and what was measured of time and of room on the way.
        "attempt",
        "progress",
        "used",
        "measuredRto",
        "lastMeasuredRto",
        "worstRpo",
        "rpo",
        "rto",
        "record",
        // Links of a chain are signed over their time and over one another.
        "counter",
        "head",
        "knownHead",
        "measured",
        "statement",
        "signature",
    ];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                !DIFFERS.contains(&name.as_str()) && !name.ends_with("At") && !name.ends_with("Time")
            });
            fields.values_mut().for_each(mask);
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        // A moment, by itself or in a message.
        Value::String(text) if text.len() >= 20 && text.contains('T') && text.contains('Z') => {
            let word = |word: &str| {
                let bare = word.trim_matches(['(', ')', ';', ',', '.', ':']);
                let is_time = bare.len() >= 20 && bare.parse::<jiff::Timestamp>().is_ok();
                if is_time { word.replace(bare, "<time>") } else { word.to_owned() }
            };
            *text = text.split(' ').map(word).collect::<Vec<_>>().join(" ");
        }
        _ => {}
    }
}

impl End {
    /// What differs from the end of the undisturbed run, in lines.
    pub fn differs_from(&self, calm: &Self, ends: Ends) -> Vec<String> {
        let mut lines = Vec::new();
        if ends == Ends::AsTold {
            return lines;
        }
        let keys: std::collections::BTreeSet<_> = self.objects.keys().chain(calm.objects.keys()).collect();
        for key in keys {
            match (self.objects.get(key), calm.objects.get(key)) {
                (Some(mine), Some(theirs)) if mine == theirs => {}
                (Some(mine), Some(theirs)) => {
                    let mut at = Vec::new();
                    differing("", mine, theirs, &mut at);
                    if ends == Ends::Standing {
                        // What was made another number of times has other UIDs.
                        at.retain(|(path, _)| !path.ends_with("/uid"));
                    }
                    if at.is_empty() {
                        continue;
                    }
                    let at: Vec<String> = at.into_iter().map(|(path, what)| format!("{path} {what}")).collect();
                    lines.push(format!("{} {}: {}", key.0, key.1, at.join("; ")));
                }
                (Some(_), None) => lines.push(format!("{} {}: should not be there", key.0, key.1)),
                _ => lines.push(format!("{} {}: is missing", key.0, key.1)),
            }
        }
        if ends == Ends::Standing {
            return lines;
        }
        let keys: std::collections::BTreeSet<_> = self.made.keys().chain(calm.made.keys()).collect();
        for key in keys {
            let (mine, theirs) = (self.made.get(key), calm.made.get(key));
            if mine != theirs {
                lines.push(format!("{} {}: made and removed {mine:?} times instead of {theirs:?}", key.0, key.1));
            }
        }
        lines
    }
}

fn differing(path: &str, mine: &Value, theirs: &Value, found: &mut Vec<(String, String)>) {
    match (mine, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                differing(
                    &format!("{path}/{name}"),
                    a.get(name).unwrap_or(&Value::Null),
                    b.get(name).unwrap_or(&Value::Null),
                    found,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differing(&format!("{path}/{index}"), a, b, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push((path.to_owned(), format!("is {a} instead of {b}"))),
    }
}
