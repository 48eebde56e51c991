//! Explores a configuration to its end, and says what was seen.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use stateright::{Checker, Expectation, HasDiscoveries, Model};

use super::fault::Fault;
use super::protocol::Protocol;
use super::state::State;
use super::town::{ONE, PAIR, Room, Town};

/// Visits every state of a protocol that must keep its properties.
pub(crate) fn everything(name: &str, protocol: Protocol) {
    let town = protocol.town;
    let (start, busy) = (Instant::now(), processor());
    // Depth first: what waits to be visited stays small. There is no step back, so that each state is still visited once.
    let checker = protocol.checker().threads(threads()).spawn_dfs().join();
    let (spent, busy) = (start.elapsed(), processor().saturating_sub(busy));
    let model = checker.model();
    let broken: Vec<String> = model
        .properties()
        .iter()
        .filter_map(|p| match (p.expectation == Expectation::Sometimes, checker.discovery(p.name)) {
            (true, None) if town.shows(p.name) => Some(format!("{}: never", p.name)),
            (false, Some(path)) => Some(format!("{}: {:?}", p.name, path.into_actions())),
            _ => None,
        })
        .collect();
    assert!(broken.is_empty(), "{name}: {}", broken.join("\n"));
    let kinds = |of: fn(&Expectation) -> bool| model.properties().iter().filter(|p| of(&p.expectation)).count();
    let [booked, recovered, planned] = model.questions();
    eprintln!(
        "model {name}: complete; {} departments, {} requests, 2 operators, {} crashes, {} pauses; {} states, {} steps, at most {} in a run; \
         {} properties always, {} at every end, {} somewhere; {booked} bookings, {recovered} recoveries and {planned} plans of the product; \
         {:.1} s, {:.1} s of processor, {} MiB",
        town.departments.len(),
        town.requests(),
        town.crashes,
        town.pauses,
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        kinds(|e| *e == Expectation::Always),
        kinds(|e| *e == Expectation::Eventually),
        kinds(|e| *e == Expectation::Sometimes),
        spent.as_secs_f64(),
        busy.as_secs_f64(),
        peak(),
    );
}

/// Looks for the first thing that an error breaks, and the shortest way to it.
pub(crate) fn finds(fault: Fault) {
    let town = if fault.needs_two() { PAIR } else { Town { room: Room::Counted, crashes: 1, ..ONE } };
    let start = Instant::now();
    let all = fault.breaks().iter().copied().collect();
    let checker = Protocol::with(town, fault).checker().finish_when(HasDiscoveries::AllOf(all)).spawn_bfs().join();
    for property in fault.breaks() {
        let path = checker.discovery(property).map(stateright::Path::into_actions);
        assert!(path.is_some(), "{fault:?} is not found: {property}");
        let path = path.unwrap_or_default();
        eprintln!(
            "model {fault:?}: found; breaks \"{property}\" in {} steps: {path:?}; {} states, {:.1} s",
            path.len(),
            checker.unique_state_count(),
            start.elapsed().as_secs_f64()
        );
    }
}

/// Compares the states that fine steps lead to with those of coarse ones.
pub(crate) fn every_fine_state_is_coarse(town: Town) {
    let (fine, coarse) = (Protocol::of(town), Protocol::coarse(town));
    let known = reached(&coarse);
    let all = reached(&fine);
    for state in &all {
        let blurred = coarse.blur(state);
        assert!(known.contains(&blurred), "coarse steps never come to\n{blurred:?}\nwhich is\n{state:?}");
    }
    eprintln!("model coarse steps: each of {} fine states is one of {} coarse ones", all.len(), known.len());
}

fn reached(protocol: &Protocol) -> HashSet<State> {
    let mut waiting = protocol.init_states();
    let mut seen: HashSet<State> = waiting.iter().copied().collect();
    let mut steps = Vec::new();
    while let Some(state) = waiting.pop() {
        protocol.actions(&state, &mut steps);
        for step in steps.drain(..) {
            if let Some(next) = protocol.next_state(&state, step)
                && seen.insert(next)
            {
                waiting.push(next);
            }
        }
    }
    seen
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Processor time of the process.
fn processor() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Most memory that the process had, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024
}
