//! The objects of a namespace back into an API server.
//!
//! Layer after layer, so that what an object refers to is there before it; within a layer side by side. Creating under a name is
//! safe to repeat: what is there already is compared, and the same content counts as restored. So a restore that was killed goes on
//! without a record of its own.

pub mod clean;
pub mod layers;
mod pace;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;

use self::pace::Pace;
use self::write::{Writer, Written};
use super::restore::{Outcome, Ready, Tally};
use super::verify::Digesting;
use crate::cluster::discover::{Kind, discover};
use crate::cluster::{Cluster, check_namespace, text};
use crate::engine::{self, Stored};
use crate::error::{Result, WorkerError};
use crate::evidence::items::Item;

/// Restores the source of a proved backup into a namespace.
pub(super) fn restore(ready: &Ready<'_>, cluster: &Cluster, namespace: &str, tally: &mut Tally) -> Result<()> {
    check_namespace("--target-namespace", namespace)?;
    let served = cluster.runtime.block_on(async {
        let path = format!("/api/v1/namespaces/{namespace}");
        cluster.read(&path).await.map_err(|refusal| match refusal.code() {
            Some(404) => WorkerError::Target {
                target: format!("namespace {namespace}"),
                problem: "does not exist".to_owned(),
                fix: "have it created first: it belongs to whoever charges for it".to_owned(),
            },
            _ => refusal.told(&format!("GET {path}")),
        })?;
        discover(cluster).await
    })?;
    let served: BTreeMap<String, Kind> = served.captured.into_iter().map(|kind| (kind.directory(), kind)).collect();
    let mut objects = Objects { ready, served, tally, owners: HashMap::new(), pace: Pace::new() };
    for layer in layers::in_order(objects.directories()?) {
        objects.layer(cluster, namespace, &layer)?;
    }
    Ok(())
}

struct Objects<'a> {
    ready: &'a Ready<'a>,
    /// Kinds of the target by the name of their directory.
    served: BTreeMap<String, Kind>,
    tally: &'a mut Tally,
    /// UIDs of captured objects, and of what was restored for them: owner references are rewritten by them.
    owners: HashMap<String, String>,
    pace: Pace,
}

impl Objects<'_> {
    /// The kinds in the backup.
    fn directories(&self) -> Result<Vec<String>> {
        let top = self.ready.top();
        let mut found = Vec::new();
        self.ready.proved.compare(self.ready.engine, &self.ready.snapshot, |stored, _| {
            if stored.kind == engine::Kind::Dir && stored.path.parent() == Some(&top) {
                found.push(stored.path.file_name().unwrap_or_default().to_string_lossy().into_owned());
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Restores the kinds of a layer. Objects are read one after the other, and written side by side.
    fn layer(&mut self, cluster: &Cluster, namespace: &str, directories: &[String]) -> Result<()> {
        let top = self.ready.top();
        let wanted: Vec<PathBuf> = directories.iter().map(|directory| top.join(directory)).collect();
        let writer = Writer::new(cluster.clone(), namespace.to_owned(), self.ready.existing);
        let mut under_way = FuturesUnordered::new();
        let (ready, runtime) = (self.ready, cluster.runtime.clone());
        ready.proved.compare(ready.engine, &ready.snapshot, |stored, item| {
            if stored.kind != engine::Kind::File || !wanted.iter().any(|w| stored.path.parent() == Some(w)) {
                return Ok(());
            }
            ready.control.check()?;
            ready.control.count_item();
            let (object, kind) = match self.prepare(&stored, &item, namespace) {
                Ok(prepared) => prepared,
                Err(WorkerError::Damaged { part, problem }) => {
                    return self.tally.enter(&stored.path, Outcome::Failed, Some(format!("{part}: {problem}")));
                }
                Err(other) => return Err(other),
            };
            let Some(kind) = kind else {
                let cause = "the target does not have this kind; install its definition first".to_owned();
                return self.tally.enter(&stored.path, Outcome::Failed, Some(cause));
            };
            while under_way.len() >= self.pace.width() {
                if let Some(done) = runtime.block_on(under_way.next()) {
                    self.enter(done)?;
                }
            }
            let (writer, old) = (writer.clone(), text(&object, "/metadata/uid").to_owned());
            let path = stored.path;
            under_way.push(runtime.spawn(async move { (path, old, writer.write(&kind, object).await) }));
            Ok(())
        })?;
        while let Some(done) = runtime.block_on(under_way.next()) {
            self.enter(done)?;
        }
        Ok(())
    }

    fn enter(&mut self, done: std::result::Result<(PathBuf, String, Written), tokio::task::JoinError>) -> Result<()> {
        let (path, old, written) = done.map_err(|e| WorkerError::engine("writing an object", e))?;
        self.pace.learn(written.throttled);
        if let Some(new) = written.uid {
            self.owners.insert(old, new);
        }
        if let Some(error) = written.fatal {
            return Err(error);
        }
        self.tally.enter(&path, written.outcome, written.cause)
    }

    /// Reads an object, proves it, and makes it ready for the target.
    fn prepare(&self, stored: &Stored, item: &Item, namespace: &str) -> Result<(Value, Option<Kind>)> {
        let object = read(self.ready.engine, stored, item)?;
        let directory = stored.path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let kind = self.served.get(directory.as_ref()).cloned();
        let mut object = clean::for_target(object, namespace, &|uid| self.owners.get(uid).cloned());
        // The group serves another version now: the API server converts what it knows.
        if let Some(kind) = &kind
            && !kind.group.is_empty()
            && text(&object, "/apiVersion").split('/').next() != Some(&kind.group)
        {
            let problem = "its apiVersion is not of the group it was stored under";
            return Err(WorkerError::damaged(stored.path.display().to_string(), problem));
        }
        if let (Some(kind), Some(fields)) = (&kind, object.as_object_mut()) {
            fields.insert("kind".to_owned(), kind.kind.clone().into());
        }
        Ok((object, kind))
    }
}

/// Reads an object, which must be the one of the manifest.
fn read(engine: &dyn engine::Engine, stored: &Stored, item: &Item) -> Result<Value> {
    let mut sink = Digesting::new(Vec::new());
    engine.read(stored, &mut sink)?;
    let (bytes, digest, _) = sink.into_parts();
    let damaged = |problem: &str| WorkerError::damaged(stored.path.display().to_string(), problem);
    if digest != item.digest {
        return Err(damaged("its content is not what the manifest says"));
    }
    serde_json::from_slice(&bytes).map_err(|_| damaged("it is no object"))
}
