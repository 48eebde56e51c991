//! Campaigns: every plan of a class, for every workload; what went wrong, and the arithmetic that shows that nothing was left out.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::base::Base;
use super::fault::Counts;
use super::plan::{Cut, Fault, Moment, Plan, Rate, Trouble, WatchTrouble};
use super::run::{End, run};
use super::workload;

/// Which plans there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Nothing goes wrong.
    Calm,
    /// The operator ends at each write, at each moment around it.
    Crash,
    /// Each trouble with each call.
    Call,
    /// Each trouble with each watch of the hub and the sites.
    Watch,
    /// The operator stands still at each write while another one takes over.
    Pause,
    /// The ways to sites are cut at each write, in each manner.
    Cut,
    /// The operators' clocks go wrong.
    Clock,
    /// It ends at two writes, drawn by the seed.
    Pair,
}

impl Class {
    /// All of them, in the order in which they are played.
    pub const ALL: [Self; 8] =
        [Self::Calm, Self::Crash, Self::Pause, Self::Cut, Self::Clock, Self::Watch, Self::Pair, Self::Call];
}

/// What of a campaign is played.
#[derive(Clone, Debug)]
pub struct Options {
    /// Classes.
    pub classes: Vec<Class>,
    /// Workloads; all when empty.
    pub workloads: Vec<String>,
    /// Seed.
    pub seed: u64,
    /// Every n-th plan of a class only.
    pub every: usize,
    /// Pairs drawn for each workload.
    pub pairs: u64,
    /// Threads.
    pub threads: usize,
    /// After so long no further plan is begun.
    pub limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            classes: Class::ALL.to_vec(),
            workloads: Vec::new(),
            seed: 1,
            every: 1,
            pairs: 200,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            limit: Duration::from_secs(30 * 60),
        }
    }
}

/// A plan that should have come out well.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The plan.
    pub plan: Plan,
    /// What was wrong, most important first.
    pub lines: Vec<String>,
}

/// How a campaign came out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Plans by class and workload: how many there are, and how many were played.
    pub plans: BTreeMap<(Class, String), (usize, usize)>,
    /// The arithmetic, a line for each workload.
    pub sums: Vec<String>,
    /// What went wrong.
    pub failures: Vec<Failure>,
    /// How long plans took, in order.
    pub times: Vec<Duration>,
    /// Altogether.
    pub took: Duration,
}

impl Outcome {
    /// The middle one of all times.
    pub fn median(&self) -> Duration {
        self.times.get(self.times.len() / 2).copied().unwrap_or_default()
    }

    /// Plans that were played.
    pub fn played(&self) -> usize {
        self.times.len()
    }
}

/// Plays a campaign; `say` hears of progress.
///
/// # Errors
/// When the world cannot be established, or an undisturbed run cannot be played at all.
pub fn play(options: &Options, say: &(dyn Fn(&str) + Sync)) -> Result<Outcome> {
    let begun = Instant::now();
    let base = Base::establish()?;
    let mut outcome = Outcome::default();
    let mut all: Vec<(Class, Plan)> = Vec::new();
    let mut calm: BTreeMap<String, End> = BTreeMap::new();
    for workload in workload::ALL {
        if !options.workloads.is_empty() && !options.workloads.iter().any(|w| w == workload.name) {
            continue;
        }
        let plan = Plan::calm(workload.name, options.seed);
        let report = run(&base, &plan)?;
        calm.insert(workload.name.to_owned(), report.end);
        outcome.sums.push(sum(workload.name, &report.counts));
        for class in &options.classes {
            let plans = plans(*class, &plan, &report.counts, options.pairs);
            let every = options.every.max(1);
            let taken: Vec<Plan> = plans
                .iter()
                .skip(offset(*class, workload.name, every.min(plans.len())))
                .step_by(every)
                .cloned()
                .collect();
            outcome.plans.insert((*class, workload.name.to_owned()), (plans.len(), 0));
            all.extend(taken.into_iter().map(|p| (*class, p)));
        }
    }
    // Classes one after the other, so that the most telling ones are done when time is short.
    all.sort_by_key(|(class, _)| Class::ALL.iter().position(|c| c == class));
    say(&format!("{} plans, {} threads", all.len(), options.threads));
    let results = run_all(&base, options, &all, &calm, begun, say);
    for (class, plan, took, lines) in results {
        if let Some(count) = outcome.plans.get_mut(&(class, plan.workload.clone())) {
            count.1 = count.1.saturating_add(1);
        }
        outcome.times.push(took);
        if !lines.is_empty() {
            outcome.failures.push(Failure { plan, lines });
        }
    }
    outcome.times.sort_unstable();
    outcome.took = begun.elapsed();
    Ok(outcome)
}

type Played = (Class, Plan, Duration, Vec<String>);

fn run_all(
    base: &Base,
    options: &Options,
    all: &[(Class, Plan)],
    calm: &BTreeMap<String, End>,
    begun: Instant,
    say: &(dyn Fn(&str) + Sync),
) -> Vec<Played> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Played>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((class, plan)) = all.get(index).filter(|_| begun.elapsed() < options.limit) else {
                        return;
                    };
                    let started = Instant::now();
                    let lines = judge(base, plan, calm);
                    if index % 500 == 499 {
                        say(&format!("{} of {} plans, {} s", index + 1, all.len(), begun.elapsed().as_secs()));
                    }
                    let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    done.push((*class, plan.clone(), started.elapsed(), lines));
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Plays one plan and compares its end with that of the undisturbed run.
pub fn judge(base: &Base, plan: &Plan, calm: &BTreeMap<String, End>) -> Vec<String> {
    match std::panic::catch_unwind(AssertUnwindSafe(|| run(base, plan))) {
        Ok(Ok(report)) => {
            let mut lines: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
            if lines.is_empty()
                && let (Some(calm), Some(workload)) = (calm.get(&plan.workload), workload::named(&plan.workload))
            {
                lines.extend(report.end.differs_from(calm, workload.ends).into_iter().map(|l| format!("End: {l}")));
            }
            lines
        }
        Ok(Err(error)) => vec![format!("the plan cannot be played: {error:#}")],
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            vec![format!("panic: {}", said.unwrap_or_default())]
        }
    }
}

/// Where a selection begins: not with the first plan of every workload.
fn offset(class: Class, workload: &str, below: usize) -> usize {
    let mixed =
        format!("{class:?} {workload}").bytes().fold(17_usize, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
    mixed % below.max(1)
}

fn sum(workload: &str, counts: &Counts) -> String {
    format!(
        "{workload}: {} writes × ({} moments + 1 pause + {} cuts) + {} calls × {} troubles + {} watches × {} troubles + {} clocks",
        counts.writes,
        Moment::ALL.len(),
        Cut::ALL.len(),
        counts.calls,
        Trouble::ALL.len(),
        counts.watches,
        WatchTrouble::ALL.len(),
        Rate::ALL.len(),
    )
}

pub(super) fn plans(class: Class, calm: &Plan, counts: &Counts, pairs: u64) -> Vec<Plan> {
    let with = |fault: Fault| calm.clone().with(fault);
    match class {
        Class::Calm => vec![calm.clone()],
        Class::Crash => {
            (1..=counts.writes).flat_map(|at| Moment::ALL.map(|moment| with(Fault::Crash(at, moment)))).collect()
        }
        Class::Call => {
            (1..=counts.calls).flat_map(|at| Trouble::ALL.map(|trouble| with(Fault::Call(at, trouble)))).collect()
        }
        Class::Watch => (1..=counts.watches)
            .flat_map(|at| WatchTrouble::ALL.map(|trouble| with(Fault::Watch(at, trouble))))
            .collect(),
        Class::Pause => (1..=counts.writes).map(|at| with(Fault::Pause(at))).collect(),
        Class::Cut => (1..=counts.writes).flat_map(|at| Cut::ALL.map(|cut| with(Fault::Cut(at, cut)))).collect(),
        Class::Clock => Rate::ALL.map(|rate| with(Fault::Clock(rate))).to_vec(),
        Class::Pair => (0..pairs).map(|n| pair(calm, counts, n)).collect(),
    }
}

/// Two crashes; the second falls into the life of the operator that took over.
fn pair(calm: &Plan, counts: &Counts, n: u64) -> Plan {
    let draw = |salt: u64, below: u64| {
        let mixed = (calm.seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb) % below.max(1)
    };
    let moment = |salt: u64| {
        let at = usize::try_from(draw(salt, 3)).unwrap_or_default();
        Moment::ALL.get(at).copied().unwrap_or(Moment::After)
    };
    let first = draw(1, counts.writes) + 1;
    let second = first + 1 + draw(2, counts.writes);
    calm.clone().with(Fault::Crash(first, moment(3))).with(Fault::Crash(second, moment(4)))
}
