//! Operators as processes of the simulation, and what runs beside them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kube::Client;
use tokio_util::sync::CancellationToken;
use zhengyun_operator::controllers::recovery::Recovery;
use zhengyun_operator::runtime::hub::Hub;
use zhengyun_operator::runtime::metrics::Metrics;
use zhengyun_operator::runtime::{self, Setup};
use zhengyun_operator::site::kubeconfig::{ConnectError, Credential};
use zhengyun_operator::site::link::Connector;

use super::base::World;
use super::fault::{Gate, Life, Line, Role};
use super::people;
use super::plan::Rate;
use super::recovery::Machine;
use crate::apiserver::{Apiserver, User};

/// One operator process.
#[derive(Debug)]
pub struct Operator {
    /// Whether it runs.
    pub life: Arc<Life>,
    stop: CancellationToken,
}

/// Leads to the sites of the simulated world.
struct Roads {
    world: World,
    gate: Arc<Gate>,
    life: Arc<Life>,
}

impl Roads {
    fn client(&self, server: &Apiserver, cluster: &str, user: &User, cut: &Arc<AtomicBool>) -> Client {
        Client::new(Line::new(&self.gate, &self.life, cluster, server.service(user, &self.life.agent), cut), "default")
    }
}

impl Connector for Roads {
    fn clients(&self, _: &str, credential: &Credential) -> Result<(Client, Client), ConnectError> {
        // Whatever the hub calls the site: the address leads where it leads.
        let site = credential.server().host().and_then(|host| host.split('.').next()).unwrap_or_default();
        let found = self.world.sites.get(site).ok_or_else(|| ConnectError::Unreadable {
            problem: format!("the simulated world has no cluster {site}"),
        })?;
        let client = || self.client(&found.server, site, &people::driver(), &found.cut);
        Ok((client(), client()))
    }
}

impl Operator {
    /// Starts the n-th operator of a run on the machine of all of them.
    pub fn start(world: &World, gate: &Arc<Gate>, machine: &Machine, number: u32) -> Self {
        let agent = format!("operator-{number}");
        let life = Life::new(Role::Operator, &agent);
        gate.started(number);
        let roads = Roads { world: world.clone(), gate: Arc::clone(gate), life: Arc::clone(&life) };
        let open = Arc::new(AtomicBool::new(false));
        let hub = || roads.client(&world.hub, "hub", &people::operator(), &open);
        let clock = match gate.rate() {
            Some(Rate::Half) => world.clock.at_pace(1),
            Some(Rate::Double) => world.clock.at_pace(4),
            None => world.clock,
        };
        let setup = Setup {
            hub: Hub { calls: hub(), watches: hub() },
            identity: agent.clone(),
            metrics: Metrics::new(),
            clock,
            concurrency: 16,
            // Processes of their own have no place in a simulated world.
            recovery: Some(Arc::new(Recovery::with(machine.executor(number, &life, clock)))),
            connector: Arc::new(roads),
        };
        let stop = CancellationToken::new();
        let (own_life, own_gate, own_stop) = (Arc::clone(&life), Arc::clone(gate), stop.clone());
        tokio::spawn(async move {
            match runtime::lead(setup, &own_stop).await {
                // Another operator took over: this process ends.
                Ok((context, _running)) => context.ledger.lost.cancelled().await,
                Err(error) => tracing::debug!(agent, %error, "the operator ended"),
            }
            if !own_life.is_over() {
                own_life.end(false);
                // One that was replaced leaves no gap.
                if own_gate.is_latest(number) {
                    own_gate.vacant.notify_one();
                }
            }
        });
        Self { life, stop }
    }

    /// Ends it for good, tasks and all.
    pub fn stop(&self) {
        self.life.end(false);
        self.stop.cancel();
    }
}
