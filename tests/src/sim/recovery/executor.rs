//! The simulated executor: processes of one machine, on the world's clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::time::Instant;
use zhengyun_domain::recovery::run::{Fault, Sighting};
use zhengyun_operator::executor::{Executor, ExecutorError, RunId, Task};
use zhengyun_operator::runtime::clock::Clock;

use super::super::base::World;
use super::super::fault::{Gate, Life, Role};
use super::order::Order;
use super::process::{Process, Shared};
use super::{restorer, worker};

/// The machine on which operators and runs live. Runs stand in it until they are taken away, whichever operator started them.
#[derive(Clone)]
pub struct Machine(Arc<Inner>);

struct Inner {
    world: World,
    gate: Arc<Gate>,
    /// Runs go on whatever becomes of the thread that starts them.
    runtime: Handle,
    runs: Mutex<BTreeMap<RunId, Run>>,
}

/// A run as the machine knows it.
struct Run {
    /// Number of the operator that started the present attempt.
    by: u32,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine without runs; call it on the run's own clock.
    pub fn new(world: &World, gate: &Arc<Gate>) -> Self {
        Self(Arc::new(Inner {
            world: world.clone(),
            gate: Arc::clone(gate),
            runtime: Handle::current(),
            runs: Mutex::default(),
        }))
    }

    /// What an operator carries runs out with. Runs have its clock: they are on its machine.
    pub fn executor(&self, number: u32, life: &Arc<Life>, clock: Clock) -> Arc<dyn Executor> {
        Arc::new(Simulated { machine: self.clone(), number, life: Arc::clone(life), clock })
    }

    /// An operator ended. Runs are processes of their own; of some it was the machine that ended, and every other run goes down with it.
    pub fn operator_ended(&self, number: u32) {
        for (run, known) in self.runs().iter().filter(|(_, known)| known.by == number) {
            let drawn = run.as_str().bytes().fold(number, |mixed, byte| mixed.wrapping_mul(31) ^ u32::from(byte));
            if drawn.is_multiple_of(2) {
                known.shared.life.end(false);
            }
        }
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<RunId, Run>> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One operator's way to the runs.
#[derive(Debug)]
struct Simulated {
    machine: Machine,
    number: u32,
    life: Arc<Life>,
    clock: Clock,
}

impl Simulated {
    /// An operator that ended or stands still does nothing, here as little as elsewhere.
    fn acts(&self) -> Result<(), ExecutorError> {
        if self.life.is_over() || self.life.is_still() {
            let cause = "the simulated operator does nothing any more, or not for a while".to_owned();
            return Err(ExecutorError::Folder { path: "simulated".to_owned(), cause });
        }
        Ok(())
    }

    fn shared(&self, run: &RunId) -> Option<Arc<Shared>> {
        self.machine.runs().get(run).map(|known| Arc::clone(&known.shared))
    }
}

impl Executor for Simulated {
    /// Threads of their own would come back in an order of their own in every run.
    fn blocks(&self) -> bool {
        false
    }

    fn start(&self, run: &RunId, task: &Task) -> Result<(), ExecutorError> {
        self.acts()?;
        let mut runs = self.machine.runs();
        let before = runs.get(run).map(|known| Arc::clone(&known.shared));
        if before.as_ref().is_some_and(|before| before.lives()) {
            return Ok(());
        }
        let order = Order::read(task);
        let life = Life::new(Role::Worker, &format!("{}-{run}", task.program));
        let shared = Arc::new(Shared::following(before.as_deref(), life));
        runs.insert(run.clone(), Run { by: self.number, shared: Arc::clone(&shared) });
        let Inner { world, gate, runtime, .. } = self.machine.0.as_ref();
        let process = Process {
            order,
            world: world.clone(),
            gate: Arc::clone(gate),
            clock: self.clock,
            shared: Arc::clone(&shared),
        };
        runtime.spawn(async move {
            let outcome = if task_restores(&process.order.command) {
                restorer::carry_out(&process).await
            } else {
                worker::carry_out(&process).await
            };
            shared.end(outcome);
        });
        Ok(())
    }

    fn observe(&self, run: &RunId) -> Result<Sighting, ExecutorError> {
        self.acts()?;
        let Some(shared) = self.shared(run) else { return Ok(Sighting::Absent) };
        Ok(match shared.outcome() {
            Some((Ok(report), _)) => Sighting::Done(report),
            Some((Err(fault), at)) => {
                Sighting::Failed(Fault { seconds_ago: Instant::now().duration_since(at).as_secs(), ..fault })
            }
            None if shared.lives() => Sighting::Running { standing: shared.standing(), silent_seconds: 0 },
            None => Sighting::Lost,
        })
    }

    fn of(&self, uid: &str) -> Result<Vec<RunId>, ExecutorError> {
        self.acts()?;
        Ok(self.machine.runs().keys().filter_map(|run| RunId::read(uid, run.as_str())).collect())
    }

    fn cancel(&self, run: &RunId) -> Result<(), ExecutorError> {
        self.acts()?;
        if let Some(shared) = self.shared(run) {
            shared.cancel();
        }
        Ok(())
    }

    fn kill(&self, run: &RunId) -> Result<(), ExecutorError> {
        self.acts()?;
        if let Some(shared) = self.shared(run).filter(|shared| shared.lives()) {
            shared.life.end(false);
        }
        Ok(())
    }

    fn file(&self, run: &RunId, name: &str) -> Result<Option<Vec<u8>>, ExecutorError> {
        self.acts()?;
        Ok(self.shared(run).and_then(|shared| shared.file(name)).map(String::into_bytes))
    }

    fn remove(&self, run: &RunId) -> Result<(), ExecutorError> {
        self.acts()?;
        let mut runs = self.machine.runs();
        if runs.get(run).is_some_and(|known| !known.shared.lives()) {
            runs.remove(run);
        }
        Ok(())
    }
}

fn task_restores(command: &str) -> bool {
    command.starts_with("zhengyun-restorer")
}
