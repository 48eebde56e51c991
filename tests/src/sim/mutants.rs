//! Mutants: seeded bugs, each hunted with plan after plan until an invariant shows it; and the same plans without a bug.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use zhengyun_domain::seeded::{self, Bug};

use super::base::Base;
use super::campaign::{Class, Failure, judge, plans};
use super::check::INVARIANTS;
use super::fault::Counts;
use super::plan::{Fault, Plan, Trouble};
use super::run::{End, run};
use super::workload;

/// What is hunted, and how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bugs.
    pub bugs: Vec<Bug>,
    /// Seed of the pauses between requests.
    pub seed: u64,
    /// Plans that are played at most for one bug.
    pub plans: usize,
    /// Threads.
    pub threads: usize,
}

/// How the hunt for one bug came out.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The bug.
    pub bug: Bug,
    /// The first plan that shows it, and what was wrong.
    pub caught: Option<Failure>,
    /// Plans that were played.
    pub played: usize,
    /// How long that took.
    pub took: Duration,
}

impl Hunt {
    /// What caught it, the most telling first.
    pub fn by(&self) -> Vec<String> {
        let lines = self.caught.iter().flat_map(|failure| &failure.lines);
        let mut names: Vec<String> = lines.map(|line| invariant(line)).collect();
        names.sort_by_key(|name| INVARIANTS.iter().position(|i| i == name));
        names.dedup();
        names
    }
}

/// How all hunts came out.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// One for each bug.
    pub hunts: Vec<Hunt>,
    /// Plans that were played without a bug: as many as the longest hunt.
    pub control: usize,
    /// Those of them that failed all the same.
    pub alarms: Vec<Failure>,
}

/// Hunts every bug; `say` hears of progress.
///
/// # Errors
/// When this program was built without seeded bugs, or the world cannot be established.
pub fn hunt(options: &Options, say: &(dyn Fn(&str) + Sync)) -> Result<Outcome> {
    ensure!(seeded::seed(None), "this program was built without seeded bugs; use `make prove-mutants`");
    let base = Base::establish()?;
    let (calm, all) = spread(&base, options)?;
    let mut outcome = Outcome::default();
    for bug in &options.bugs {
        let begun = Instant::now();
        seeded::seed(Some(*bug));
        let (played, caught) = first_failure(&base, &all, &calm, options.threads);
        seeded::seed(None);
        let hunt = Hunt { bug: *bug, caught, played, took: begun.elapsed() };
        let by = if hunt.caught.is_some() { hunt.by().join(", ") } else { "SURVIVES".to_owned() };
        say(&format!("{bug}: {by} after {played} plans, {:.1} s", hunt.took.as_secs_f64()));
        outcome.hunts.push(hunt);
    }
    outcome.control = outcome.hunts.iter().map(|hunt| hunt.played).max().unwrap_or_default();
    say(&format!("the same {} plans without a bug", outcome.control));
    let prefix = all.get(..outcome.control).unwrap_or(&all);
    outcome.alarms = failures(&base, prefix, &calm, options.threads, false).into_values().collect();
    Ok(outcome)
}

/// Undisturbed ends, and plans to play: every workload undisturbed, then each class in turn, in an order drawn by what they are.
fn spread(base: &Base, options: &Options) -> Result<(BTreeMap<String, End>, Vec<Plan>)> {
    let mut calm = BTreeMap::new();
    let mut by_turn: BTreeMap<(Class, Weight), Vec<Plan>> = BTreeMap::new();
    for workload in workload::ALL {
        let plan = Plan::calm(workload.name, options.seed);
        let report = run(base, &plan)?;
        let wrong: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        ensure!(wrong.is_empty(), "{plan} fails without a bug: {}", wrong.join("\n"));
        for class in Class::ALL {
            for plan in plans(class, &plan, &report.counts, 100) {
                by_turn.entry((class, weight(&plan, &report.counts))).or_default().push(plan);
            }
        }
        calm.insert(workload.name.to_owned(), report.end);
    }
    let mut all = by_turn.remove(&(Class::Calm, Weight::Usual)).unwrap_or_default();
    let mut turns: Vec<std::vec::IntoIter<Plan>> = Vec::new();
    for mut plans in by_turn.into_values() {
        plans.sort_by_cached_key(|plan| draw(&plan.to_string()));
        turns.push(plans.into_iter());
    }
    while all.len() < options.plans {
        let before = all.len();
        all.extend(turns.iter_mut().filter_map(Iterator::next));
        if all.len() == before {
            break;
        }
    }
    all.truncate(options.plans);
    Ok((calm, all))
}

/// Plans of a class that take turns with the rest of it, for they are few and more telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Any.
    Usual,
    /// Something goes wrong with a write.
    Write,
    /// A write is not answered for long: everything else goes on meanwhile.
    Standstill,
}

fn weight(plan: &Plan, counts: &Counts) -> Weight {
    match plan.faults.as_slice() {
        [Fault::Call(at, Trouble::Silence)] if counts.writing.contains(at) => Weight::Standstill,
        [Fault::Call(at, _)] if counts.writing.contains(at) => Weight::Write,
        _ => Weight::Usual,
    }
}

fn draw(text: &str) -> u64 {
    let mixed = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The invariant that a line of a judgement names.
fn invariant(line: &str) -> String {
    let name = line.split([' ', ':']).next().unwrap_or_default();
    // A panic, or a script that broke off.
    if name == "End" || INVARIANTS.contains(&name) { name.to_owned() } else { "Liveness".to_owned() }
}

/// The first plan of all that fails, and how many were played for it.
fn first_failure(base: &Base, all: &[Plan], calm: &BTreeMap<String, End>, threads: usize) -> (usize, Option<Failure>) {
    match failures(base, all, calm, threads, true).into_iter().next() {
        Some((index, failure)) => (index.saturating_add(1), Some(failure)),
        None => (all.len(), None),
    }
}

/// Plans that fail, by number; none behind the first of them is begun, if that one is enough.
fn failures(
    base: &Base,
    all: &[Plan],
    calm: &BTreeMap<String, End>,
    threads: usize,
    one_is_enough: bool,
) -> BTreeMap<usize, Failure> {
    let (next, end) = (AtomicUsize::new(0), AtomicUsize::new(all.len()));
    let found: Mutex<BTreeMap<usize, Failure>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(plan) = all.get(index).filter(|_| index < end.load(Ordering::Acquire)) else { return };
                    let lines = judge(base, plan, calm);
                    if lines.is_empty() {
                        continue;
                    }
                    if one_is_enough {
                        end.fetch_min(index, Ordering::AcqRel);
                    }
                    let failure = Failure { plan: plan.clone(), lines };
                    found.lock().unwrap_or_else(PoisonError::into_inner).insert(index, failure);
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
