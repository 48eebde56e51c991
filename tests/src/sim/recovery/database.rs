//! Database servers, simulated: one that people work with and one for drills. A server is an in-memory API server with one `ConfigMap`
//! for each database, so that the writes to it stand in the record of all writes and meet every fault of a plan.
//!
//! What `zhengyun-restorer` does there is kept step by step: a scratch database comes into being closed, is marked, and is filled at once.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Value, json};
use zhengyun_domain::recovery::run::Fault;

use super::super::fault::Line;
use super::super::people;
use super::evidence::Items;
use super::process::{Process, Step, fault};
use super::repository::Held;
use super::worker::{named, size, trust};

/// Says that a database may have been made.
const WRITING: &str = "writing";
/// How many processes of the run were started.
const STARTS: &str = "starts";
/// What a scratch database carries once it is known to be one.
const MARK: &str = "mark";
/// What a database holds.
const ROWS: &str = "rows";

/// How a database is reached.
#[derive(Clone, Debug, Deserialize)]
struct Login {
    host: String,
    database: String,
}

/// A server.
struct Server(Api<ConfigMap>);

fn away(error: &kube::Error) -> Fault {
    fault("DatabaseUnreachable", format!("the server: {error}"), false)
}

/// The name of the object that stands for a database.
pub(crate) fn object_of(database: &str) -> String {
    database.replace('_', "-")
}

impl Server {
    fn of(process: &Process, login: &Login) -> Step<Self> {
        let Some(found) = process.world.buckets.get(&login.host) else {
            return Err(fault(
                "DatabaseUnreachable",
                format!("the simulated world has no server {}", login.host),
                false,
            ));
        };
        let service = found.server.service(&people::bucket(), &process.shared.life.agent);
        let line = Line::new(&process.gate, &process.shared.life, &login.host, service, &found.cut);
        Ok(Self(Api::namespaced(Client::new(line, super::PLACE), super::PLACE)))
    }

    async fn find(&self, database: &str) -> Step<Option<ConfigMap>> {
        self.0.get_opt(&object_of(database)).await.map_err(|e| away(&e))
    }

    async fn write(
        &self,
        database: &str,
        data: &[(&str, String)],
        resource_version: Option<String>,
    ) -> Step<ConfigMap> {
        let name = object_of(database);
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let metadata = ObjectMeta { name: Some(name.clone()), resource_version, ..ObjectMeta::default() };
        let object = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
        let written = if object.metadata.resource_version.is_some() {
            self.0.replace(&name, &PostParams::default(), &object).await
        } else {
            self.0.create(&PostParams::default(), &object).await
        };
        written.map_err(|e| away(&e))
    }

    /// Removes a scratch database; whether another one stands there.
    async fn remove(&self, database: &str) -> Step<bool> {
        match self.find(database).await? {
            Some(found) if !is_scratch(&found) => Ok(true),
            Some(_) => {
                let gone = self.0.delete(&object_of(database), &DeleteParams::default()).await;
                gone.map(|_| false).map_err(|e| away(&e))
            }
            None => Ok(false),
        }
    }
}

/// Marked, or closed still and without anything in it.
fn is_scratch(found: &ConfigMap) -> bool {
    let data = found.data.clone().unwrap_or_default();
    data.contains_key(MARK) || !data.contains_key(ROWS)
}

/// The rows of a database, by item.
fn rows(source: &str, found: &ConfigMap) -> Items {
    let text = found.data.as_ref().and_then(|data| data.get(ROWS)).cloned().unwrap_or_default();
    let rows: BTreeMap<String, String> = serde_json::from_str(&text).unwrap_or_default();
    rows.into_iter().map(|(key, row)| (format!("{source}/rows/{key}"), row)).collect()
}

/// What the databases hold that a backup is told of, by source.
pub(super) async fn read(process: &Process) -> Step<Vec<(String, Items)>> {
    let Some(text) = process.order.secret("--databases-file") else { return Ok(Vec::new()) };
    let logins: BTreeMap<String, Login> =
        serde_json::from_str(text).map_err(|e| fault("InvalidInput", e.to_string(), false))?;
    let mut all = Vec::new();
    for (source, login) in logins {
        let found = Server::of(process, &login)?.find(&login.database).await?;
        let found = found.ok_or_else(|| fault("DatabaseNotFound", format!("no {}", login.database), false))?;
        let items = rows(&source, &found);
        all.push((source, items));
    }
    Ok(all)
}

fn target(process: &Process) -> Step<Login> {
    let text = process.order.secret("--target-database-file").unwrap_or_default();
    serde_json::from_str(text).map_err(|e| fault("InvalidInput", e.to_string(), false))
}

/// `restore-database --scratch`.
pub(super) async fn drill(process: &Process) -> Step<Value> {
    let starts = process.shared.file(STARTS).and_then(|text| text.parse::<u32>().ok()).unwrap_or_default() + 1;
    process.shared.keep(STARTS, starts.to_string());
    let attempt: u32 = process.order.one("--attempt").parse().unwrap_or_default();
    let wrote = || process.shared.file(WRITING).is_some() || starts < attempt;
    restored(process).await.map_err(|reason| Fault { wrote: wrote(), ..reason })
}

async fn restored(process: &Process) -> Step<Value> {
    process.enter("planning").await?;
    let order = &process.order;
    let held = process.repository("--store")?.read().await?;
    let wanted = proved(process, &held).await?;
    let server = Server::of(process, &target(process)?)?;
    let database = order.one("--scratch");
    if server.find(database).await?.is_some_and(|found| !is_scratch(&found)) {
        return Err(fault("ScratchTaken", format!("there is a database {database} already"), false));
    }
    process.shared.keep(WRITING, String::new());
    server.remove(database).await?;
    let closed = server.write(database, &[], None).await?;
    process.check().await?;
    let marked = server.write(database, &[(MARK, database.to_owned())], closed.metadata.resource_version).await?;
    process.enter("restoring").await?;
    let end = format!("{}/rows/", order.one("--source"));
    let content: BTreeMap<&str, &String> =
        wanted.iter().filter_map(|(path, row)| Some((path.strip_prefix(&end)?, row))).collect();
    let content = serde_json::to_string(&content).unwrap_or_default();
    let filled = [(MARK, database.to_owned()), (ROWS, content)];
    server.write(database, &filled, marked.metadata.resource_version).await?;
    process.enter("comparing").await?;
    let there = server.find(database).await?.map(|found| rows(order.one("--source"), &found)).unwrap_or_default();
    let equal: Items = wanted.iter().filter(|(path, row)| there.get(*path) == Some(row)).map(owned).collect();
    Ok(json!({
        "digest": "", "planned": {}, "equal": equal.len() == wanted.len(), "failures": [],
        "coverage": {
            "objectsCompared": equal.len(), "objectsTotal": wanted.len(), "objectsDelivered": 0,
            "bytesCompared": size(&equal), "bytesTotal": size(&wanted)
        }
    }))
}

fn owned((path, row): (&String, &String)) -> (String, String) {
    (path.clone(), row.clone())
}

/// What the backup holds of the source, proved.
async fn proved(process: &Process, held: &Held) -> Step<Items> {
    let order = &process.order;
    held.proven(&trust(process))?;
    let backup = named(held, order.one("--snapshot"))?;
    if backup.root != order.one("--root") {
        return Err(fault("EvidenceInvalid", "another backup stands in its place", false));
    }
    process.enter("verifying").await?;
    if let Some(problem) = held.damage(&backup) {
        return Err(fault("RepositoryDamaged", problem, false));
    }
    let source = format!("{}/", order.one("--source"));
    let stored = held.snapshots.get(&backup.snapshot).map(|(_, items)| items.clone()).unwrap_or_default();
    Ok(stored.into_iter().filter(|(path, _)| path.starts_with(&source)).collect())
}

/// `remove-databases`.
pub(super) async fn remove(process: &Process) -> Step<Value> {
    process.enter("removing").await?;
    let server = Server::of(process, &target(process)?)?;
    let mut databases = serde_json::Map::new();
    for database in process.order.all("--scratch") {
        process.check().await?;
        let anothers = server.remove(database).await?;
        let said = if anothers { "not found; another one of that name" } else { "not found" };
        databases.insert(database.clone(), json!(said));
    }
    Ok(json!({ "databases": databases }))
}
