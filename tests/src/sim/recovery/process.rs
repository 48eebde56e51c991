//! One process of a run: what it was told, where it stands, how it ends, and its ways to buckets and sites.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Client;
use serde_json::Value;
use tokio::time::Instant;
use zhengyun_domain::recovery::run::{Fault, Standing};
use zhengyun_operator::runtime::clock::Clock;

use super::super::base::World;
use super::super::fault::{Gate, Life, Line};
use super::super::people;
use super::order::Order;
use super::repository::Repository;

/// What comes of a step.
pub(super) type Step<T> = Result<T, Fault>;

/// What is left when a process ended: report or reason, and when.
type End = (Step<Value>, Instant);

/// Files that a run keeps from one attempt to the next.
type Kept = Arc<Mutex<BTreeMap<String, String>>>;

/// Why a step failed, in the worker's words.
pub(super) fn fault(reason: &str, message: impl Into<String>, transient: bool) -> Fault {
    Fault { reason: reason.to_owned(), message: message.into(), transient, ..Fault::default() }
}

/// What the machine sees of a process.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) life: Arc<Life>,
    kept: Kept,
    cancelled: AtomicBool,
    standing: Mutex<Standing>,
    end: Mutex<Option<End>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// A process that follows another one of the same run, if there was one: what that one kept is there again.
    pub(super) fn following(before: Option<&Self>, life: Arc<Life>) -> Self {
        let kept = before.map(|before| Arc::clone(&before.kept)).unwrap_or_default();
        Self { life, kept, cancelled: AtomicBool::new(false), standing: Mutex::default(), end: Mutex::default() }
    }

    pub(super) fn lives(&self) -> bool {
        !self.life.is_over() && locked(&self.end).is_none()
    }

    /// It came to its end, unless it was ended before.
    pub(super) fn end(&self, outcome: Step<Value>) {
        if !self.life.is_over() {
            *locked(&self.end) = Some((outcome, Instant::now()));
        }
    }

    pub(super) fn outcome(&self) -> Option<End> {
        locked(&self.end).clone()
    }

    pub(super) fn standing(&self) -> Standing {
        locked(&self.standing).clone()
    }

    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    /// What the run keeps under a name.
    pub(super) fn file(&self, name: &str) -> Option<String> {
        locked(&self.kept).get(name).cloned()
    }

    /// Keeps something.
    pub(super) fn keep(&self, name: &str, content: String) {
        locked(&self.kept).insert(name.to_owned(), content);
    }
}

/// A process.
pub(super) struct Process {
    pub(super) order: Order,
    pub(super) world: World,
    pub(super) gate: Arc<Gate>,
    pub(super) clock: Clock,
    pub(super) shared: Arc<Shared>,
}

impl Process {
    /// It says what it does now, and that takes its time.
    pub(super) async fn enter(&self, phase: &str) -> Step<()> {
        phase.clone_into(&mut locked(&self.shared.standing).phase);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.check().await
    }

    /// Goes no further if it was ended, stands still or is asked to stop.
    pub(super) async fn check(&self) -> Step<()> {
        self.shared.life.stand_still().await;
        self.shared.life.or_never().await;
        if self.shared.cancelled.load(Ordering::Acquire) {
            return Err(fault("Cancelled", "the run was cancelled", true));
        }
        Ok(())
    }

    /// It counts what it has read or written.
    pub(super) fn count(&self, items: usize, bytes: u64) {
        let mut standing = locked(&self.shared.standing);
        standing.items = u64::try_from(items).unwrap_or(u64::MAX);
        standing.bytes = bytes;
    }

    /// The repository at a place such as `s3://BUCKET/DEPARTMENT`.
    pub(super) fn repository(&self, flag: &str) -> Step<Repository> {
        let place = self.order.one(flag);
        let parts = place.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
        let (bucket, department) = parts.unwrap_or_default();
        let Some(found) = self.world.buckets.get(bucket) else {
            return Err(fault("BucketMissing", format!("{flag}: the simulated world has no bucket {bucket:?}"), false));
        };
        let service = found.server.service(&people::bucket(), &self.shared.life.agent);
        let line = Line::new(&self.gate, &self.shared.life, bucket, service, &found.cut);
        Ok(Repository::at(Client::new(line, super::PLACE), bucket, department, self.world.clock))
    }

    /// The site of `--server`, and a client of its account of recovery.
    pub(super) fn site(&self) -> Step<(&str, Client)> {
        let server = self.order.one("--server");
        let host = server.strip_prefix("https://").unwrap_or_default();
        let name = host.split('.').next().unwrap_or_default();
        let Some((name, found)) = self.world.sites.get_key_value(name) else {
            return Err(fault("ClusterFailed", format!("the simulated world has no cluster at {server:?}"), false));
        };
        let service = found.server.service(&people::recovery(), &self.shared.life.agent);
        let line = Line::new(&self.gate, &self.shared.life, name, service, &found.cut);
        Ok((name, Client::new(line, "default")))
    }

    /// Rights are not modelled by the simulated clusters, so the process asks itself what the site would answer: its account may enter
    /// a namespace only while the driver's binding lets it in.
    pub(super) fn may_enter(&self, site: &str, namespace: &str, writes: bool) -> Step<()> {
        let roles = ["zhengyun-recovery-writer", "zhengyun-recovery-reader"];
        let roles = if writes { roles.get(..1) } else { roles.get(..) }.unwrap_or_default();
        let group = "rbac.authorization.k8s.io";
        let open = self.world.sites.get(site).is_some_and(|site| {
            roles.iter().any(|role| site.server.object(group, "rolebindings", namespace, role).is_some())
        });
        if open {
            return Ok(());
        }
        Err(fault("ClusterFailed", format!("API server of {site}: {namespace} is not open for recovery"), false))
    }
}

/// What a site or its API server refused.
pub(super) fn of_site(error: &kube::Error) -> Fault {
    let refused = matches!(error, kube::Error::Api(status) if status.code < 500 && status.code != 429);
    fault("ClusterFailed", format!("API server: {error}"), !refused)
}
