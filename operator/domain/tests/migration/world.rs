//! Two sides, movers that do what they are told, and an operator that may be anywhere in its work when something dies.
//!
//! The movers here refuse nothing but what the fence refuses: a verb of an older epoch than either side has seen. Whatever else keeps both
//! sides from being open at once is the decisions' own.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::json;
use zhengyun_crds::migration::{MigrationStage as M, MigrationVerb as V, Strategy};
use zhengyun_domain::migration::facts::{Stale, Told};
use zhengyun_domain::migration::follow::{Act, FOLLOWING, Next, follows, verb};
use zhengyun_domain::migration::machine::{Event, Place};
use zhengyun_domain::recovery::run::{Fault, Order, Sighting, Standing};

use crate::scene::{Scene, missing};

/// Which process: workload, verb, epoch.
type Key = (usize, V, i64);

/// How a process stands, and whether it is at work though nobody knows.
#[derive(Clone, Debug)]
struct Process {
    seen: Sighting,
    /// It raised the fence.
    begun: bool,
    /// It was given up for dead and lives.
    ghost: bool,
}

/// The two sides of a workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides {
    pub(crate) source_open: bool,
    pub(crate) target_open: bool,
    fence: i64,
}

/// What may happen to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It begins: the fence is raised.
    Begins,
    /// It does its work and says so.
    Ends,
    /// It does its work and dies before it can say so.
    DiesAfter,
    /// It dies before it does anything.
    DiesBefore,
    /// It is taken for dead, and goes on.
    Vanishes,
    /// It says that it cannot.
    Fails,
    /// It says that it cannot now.
    FailsForNow,
    /// It comes to its end without evidence, and has done nothing; of what is judged by its report.
    EndsUnproven,
}

/// Everything.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(crate) sides: Vec<Sides>,
    processes: BTreeMap<Key, Process>,
    /// What an operator decided that was stopped before it did it.
    overdue: Vec<(usize, V, i64)>,
    pub(crate) trail: Vec<Place>,
}

impl World {
    pub(crate) fn new(strategy: Strategy) -> Self {
        let mut scene = Scene::good(Place::at(M::Discovered));
        scene.strategy = strategy;
        scene.epoch = 1;
        scene.asked.close_source = strategy == Strategy::Retire;
        scene.outside.probe = Told::Nothing;
        scene.outside.switch = Told::Nothing;
        scene.outside.switch_back = Told::Nothing;
        scene.wave.approved = None;
        scene.moments = zhengyun_domain::migration::facts::Moments::default();
        scene.signed.acceptance = if strategy == Strategy::Retire { Ok(()) } else { missing() };
        scene.signed.erasure = missing();
        let sides = vec![Sides { source_open: true, target_open: false, fence: 0 }; scene.works.len()];
        Self { scene, sides, processes: BTreeMap::new(), overdue: Vec::new(), trail: Vec::new() }
    }

    /// What an operator sees and decides now.
    pub(crate) fn decide(&mut self) -> Next {
        let (place, epoch) = (self.scene.at, self.scene.epoch);
        let of = |processes: &BTreeMap<Key, Process>, index: usize, verb: Option<V>| {
            let known = verb.and_then(|verb| processes.get(&(index, verb, epoch)));
            known.map_or(Sighting::Absent, |process| process.seen.clone())
        };
        for index in 0..self.scene.works.len() {
            let stale = self.processes.iter().find(|((at, verb, of), process)| {
                *at == index
                    && matches!(process.seen, Sighting::Running { .. })
                    && (*of < epoch || (*verb == V::Copy && !follows(place)))
            });
            let stale = stale.map(|((_, verb, epoch), _)| Stale { verb: *verb, epoch: *epoch, hangs: false });
            let work = &mut self.scene.works[index];
            work.sighting = of(&self.processes, index, verb(place));
            work.follower = of(&self.processes, index, Some(V::Copy));
            work.stale = stale;
        }
        self.scene.next()
    }

    /// An operator looks once and does what follows.
    pub(crate) fn look(&mut self) {
        let next = self.decide();
        self.write(&next);
        self.act(&next.act);
    }

    /// An operator looks once, and is stopped before it does what follows; it may do so later, when another one has gone on.
    pub(crate) fn look_and_stop(&mut self) {
        let next = self.decide();
        self.write(&next);
        if let Act::Run { workload, verb, epoch, order: Order::Start } = &next.act {
            self.overdue.push((self.index(workload), *verb, *epoch));
        }
    }

    /// The operator that was stopped does what it had decided.
    pub(crate) fn resume(&mut self, pick: usize) {
        if !self.overdue.is_empty() {
            let (index, verb, epoch) = self.overdue.remove(pick % self.overdue.len());
            self.start((index, verb, epoch));
        }
    }

    fn index(&self, name: &str) -> usize {
        self.scene.works.iter().position(|work| work.name == name).unwrap()
    }

    fn write(&mut self, next: &Next) {
        let now = self.scene.now;
        if next.at != self.scene.at {
            assert!(!self.scene.at.stage.is_terminal(), "{} changed", self.scene.at);
            assert_eq!(next.act, Act::Wait, "something is done before {} is written", next.at);
            self.trail.push(next.at);
        }
        assert!(next.epoch >= self.scene.epoch, "the epoch fell");
        let moments = &mut self.scene.moments;
        match next.event {
            Some(Event::CutoverBegun | Event::RetirementBegun) => {
                moments.frozen = Some(now);
                self.scene.outside.probe = Told::Nothing;
                self.scene.outside.switch = Told::Nothing;
                self.scene.outside.switch_back = Told::Nothing;
            }
            Some(Event::TrafficAdmitted) => moments.admitted = Some(now),
            Some(Event::Kept) => moments.retained_until = Some(now + SignedDuration::from_hours(24)),
            Some(Event::Approved) => self.scene.wave.approved = self.scene.wave.window.map(|window| window.start),
            _ => {}
        }
        if next.epoch > self.scene.epoch {
            self.scene.works.iter_mut().for_each(|work| work.attempt = 0);
        }
        (self.scene.at, self.scene.epoch, self.scene.round) = (next.at, next.epoch, next.round);
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Wait => {}
            Act::Probe => self.scene.outside.probe = Told::Running,
            Act::Switch => self.scene.outside.switch = Told::Running,
            Act::SwitchBack => self.scene.outside.switch_back = Told::Running,
            Act::Run { workload, verb, epoch, order } => {
                let key = (self.index(workload), *verb, *epoch);
                match order {
                    Order::Start => self.start(key),
                    Order::Cancel | Order::Kill => {
                        // It may be killed in the middle of its work, and its last write may still be on its way.
                        let process = self.processes.get_mut(&key).unwrap();
                        process.seen = Sighting::Lost;
                        process.ghost = true;
                    }
                    Order::StartLater | Order::Wait | Order::Nothing => {}
                }
            }
        }
    }

    fn start(&mut self, key: Key) {
        if self.processes.get(&key).is_some_and(|process| matches!(process.seen, Sighting::Running { .. })) {
            return;
        }
        self.scene.works[key.0].attempt += 1;
        let ghost = self.processes.get(&key).is_some_and(|process| process.ghost);
        self.processes.insert(key, Process { seen: busy("working"), begun: false, ghost });
    }

    /// Something happens to one of the processes that live.
    pub(crate) fn happens(&mut self, pick: usize, fate: Fate) {
        let living: Vec<Key> = self
            .processes
            .iter()
            .filter(|(_, process)| matches!(process.seen, Sighting::Running { .. }))
            .map(|(key, _)| *key)
            .collect();
        if !living.is_empty() {
            self.meets(living[pick % living.len()], fate);
        }
    }

    /// A process that was taken for dead does its work after all.
    pub(crate) fn haunts(&mut self, pick: usize) {
        let ghosts: Vec<Key> =
            self.processes.iter().filter(|(_, process)| process.ghost).map(|(key, _)| *key).collect();
        if !ghosts.is_empty() {
            let key = ghosts[pick % ghosts.len()];
            self.works(key);
        }
    }

    /// Does the work of a process, unless a side has seen a later epoch.
    fn works(&mut self, (index, verb, epoch): Key) -> bool {
        let sides = &mut self.sides[index];
        if epoch < sides.fence {
            return false;
        }
        sides.fence = epoch;
        match verb {
            V::Freeze => sides.source_open = false,
            V::Open => sides.target_open = true,
            V::Close => sides.target_open = false,
            V::Thaw => sides.source_open = true,
            V::Assess | V::Prepare | V::Copy | V::Compare | V::Finish | V::Drop => {}
        }
        true
    }

    fn meets(&mut self, key: Key, fate: Fate) {
        let fenced = Fault { reason: "Fenced".to_owned(), message: "a later epoch".to_owned(), ..Fault::default() };
        let seen = match fate {
            Fate::Begins => {
                let (index, _, epoch) = key;
                if epoch < self.sides[index].fence {
                    Sighting::Failed(fenced)
                } else {
                    self.sides[index].fence = epoch;
                    self.processes.get_mut(&key).unwrap().begun = true;
                    if key.1 == V::Copy { busy(FOLLOWING) } else { busy("working") }
                }
            }
            // Every verb raises the fence before anything else.
            _ if !self.processes[&key].begun => return,
            Fate::Ends if key.1 == V::Copy => busy(FOLLOWING),
            Fate::Ends if self.works(key) => {
                Sighting::Done(json!({ "strength": "Proven", "equal": true, "evidence": ["seen"] }))
            }
            Fate::Ends => Sighting::Failed(fenced),
            Fate::DiesAfter => {
                self.works(key);
                Sighting::Lost
            }
            Fate::Vanishes => {
                self.processes.get_mut(&key).unwrap().ghost = true;
                Sighting::Lost
            }
            Fate::Fails => fault("NoSpace", false),
            Fate::FailsForNow => fault("Busy", true),
            Fate::EndsUnproven if matches!(key.1, V::Compare | V::Freeze | V::Finish | V::Close) => {
                Sighting::Done(json!({ "equal": false }))
            }
            Fate::DiesBefore | Fate::EndsUnproven => Sighting::Lost,
        };
        self.processes.get_mut(&key).unwrap().seen = seen;
    }

    /// Whether both sides of a workload are open.
    pub(crate) fn both_open(&self) -> bool {
        self.sides.iter().any(|sides| sides.source_open && sides.target_open)
    }

    /// Everything comes to a good end from here: processes do their work, people sign what they are asked for.
    pub(crate) fn settle(&mut self, give_up: bool) {
        self.scene.asked.cancel = give_up;
        self.scene.asked.close_source = !give_up;
        self.scene.signed.rollback = if give_up { Ok(()) } else { missing() };
        self.scene.signed.acceptance = Ok(());
        self.scene.signed.erasure = Ok(());
        self.scene.asked.paused = false;
        for _ in 0..400 {
            if self.scene.at.stage.is_terminal() {
                return;
            }
            let before = (self.scene.at, self.scene.epoch);
            self.look();
            let outside = &mut self.scene.outside;
            for told in [&mut outside.probe, &mut outside.switch, &mut outside.switch_back] {
                if matches!(told, Told::Running | Told::Failed(_)) {
                    *told = Told::Done;
                }
            }
            let stuck = (self.scene.at, self.scene.epoch) == before;
            let living: Vec<Key> = self.processes.keys().copied().collect();
            for key in living {
                if matches!(self.processes[&key].seen, Sighting::Running { .. }) {
                    self.meets(key, Fate::Begins);
                    if matches!(self.processes[&key].seen, Sighting::Running { .. }) {
                        self.meets(key, Fate::Ends);
                    }
                }
            }
            if stuck {
                self.patience();
            }
        }
    }

    /// Time passes, and somebody tries again what could not go on.
    fn patience(&mut self) {
        let waits_for_a_person = matches!(self.scene.next().act, Act::Wait) && self.scene.next().blocker.is_some();
        if waits_for_a_person {
            let trial = matches!(self.scene.at.stage, M::ParallelRun | M::Retained);
            if trial {
                self.scene.now += SignedDuration::from_hours(25);
            } else {
                self.scene.asked.round = self.scene.round + 1;
            }
        }
    }
}

fn busy(word: &str) -> Sighting {
    Sighting::Running { standing: Standing { phase: word.to_owned(), ..Standing::default() }, silent_seconds: 0 }
}

fn fault(reason: &str, transient: bool) -> Sighting {
    Sighting::Failed(Fault {
        reason: reason.to_owned(),
        message: "it says why".to_owned(),
        transient,
        seconds_ago: 60,
        ..Fault::default()
    })
}
