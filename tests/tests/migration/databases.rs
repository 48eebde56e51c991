//! A database moves from a server in a room to one on the cloud, while it is written; two real servers of PostgreSQL.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use zhengyun_crds::Site;
use zhengyun_crds::migration::{FreezeStrength, MigrationStage as M, RollbackLoss};
use zhengyun_tests::lab::postgres::{PASSWORD, Postgres};

use crate::ground::{ADMIN, DEPARTMENT, Ground, HEAD};
use crate::waves::{self, ANNEX};

const LEDGER: &str = "ledger";
const ROWS: usize = 3_000;

struct Servers {
    source: Postgres,
    target: Postgres,
}

impl Servers {
    fn start() -> Result<Self> {
        let source = Postgres::start_with(&["wal_level=logical", "max_slot_wal_keep_size=1GB"])?;
        // By default, a server waits for seconds before it follows again.
        let target = Postgres::start_with(&["wal_retrieve_retry_interval=50ms"])?;
        source.sql("postgres", &format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'; CREATE DATABASE {LEDGER}"))?;
        source.sql(
            LEDGER,
            &format!(
                "GRANT CREATE ON SCHEMA public TO app; SET ROLE app;
                 CREATE TABLE entry (id bigserial PRIMARY KEY, code text NOT NULL, amount numeric(12,2));
                 INSERT INTO entry (code, amount) SELECT 'e' || n, n / 7.0 FROM generate_series(1, {ROWS}) n;
                 CREATE VIEW codes AS SELECT code FROM entry; ANALYZE entry"
            ),
        )?;
        target.sql("postgres", &format!("CREATE DATABASE {LEDGER}"))?;
        Ok(Self { source, target })
    }

    /// Whether the application may log in and connect.
    fn lets_in(server: &Postgres) -> Result<bool> {
        let query = format!(
            "SELECT coalesce(bool_or(rolcanlogin AND has_database_privilege(rolname, '{LEDGER}', 'CONNECT')), false) FROM pg_roles WHERE rolname = 'app'"
        );
        Ok(server.sql("postgres", &query)? == "t")
    }
}

async fn declare(ground: &Ground, servers: &Servers) -> Result<()> {
    let admin = ground.town.client_of(ADMIN)?;
    let declared = |name: &str, server: &Postgres| {
        json!({ "databases": [{
            "name": name, "department": DEPARTMENT, "host": "127.0.0.1", "port": server.port,
            "databases": [LEDGER], "secretName": "database-ledger"
        }] })
    };
    let in_room = json!({ "spec": { "sources": declared("old-ledger", &servers.source) } });
    ground.rooms(ADMIN)?.patch(ANNEX, &PatchParams::default(), &Patch::Merge(&in_room)).await?;
    let at_site = json!({ "spec": { "externalSources": declared("new-ledger", &servers.target) } });
    let sites: Api<Site> = Api::all(admin.clone());
    sites.patch("hohhot", &PatchParams::default(), &Patch::Merge(&at_site)).await?;
    let data = [("username", "postgres"), ("password", PASSWORD)];
    let secret = Secret {
        metadata: kube::api::ObjectMeta {
            name: Some("database-ledger".to_owned()),
            labels: Some([("zhengyun.io/department".to_owned(), DEPARTMENT.to_owned())].into()),
            ..Default::default()
        },
        string_data: Some(
            data.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect::<BTreeMap<_, _>>(),
        ),
        ..Default::default()
    };
    Api::<Secret>::namespaced(admin, "zhengyun-system").create(&PostParams::default(), &secret).await?;
    Ok(())
}

fn workload(database: &str) -> Value {
    json!({
        "name": "books", "source": { "database": { "endpoint": "old-ledger", "database": database } },
        "target": { "database": { "site": "hohhot", "endpoint": "new-ledger", "database": LEDGER } }
    })
}

pub(crate) async fn moved(ground: &Ground) -> Result<()> {
    let servers = Servers::start()?;
    declare(ground, &servers).await?;
    refused(ground).await?;
    let ledger = ground.of(LEDGER);
    ledger.ask(ANNEX, workload(LEDGER), &json!({})).await?;
    waves::add(ground, LEDGER).await?;
    ledger.when("copies", |status| matches!(status.stage, Some(M::FullCopy | M::Replicating))).await?;
    ground.operator_dies().await?;
    servers
        .source
        .sql(LEDGER, "SET ROLE app; INSERT INTO entry (code) SELECT 'later' || n FROM generate_series(1, 50) n")?;
    ledger.rehearsed("ledger").await?;
    servers.source.sql(LEDGER, "SET ROLE app; UPDATE entry SET amount = 0 WHERE id % 100 = 0")?;
    ensure!(!Servers::lets_in(&servers.target)?, "the target is closed while it follows");
    ledger.sign(HEAD, "Department", "Cutover", "Cutover").await?;
    let status = ledger.at(M::ParallelRun).await?;
    let books = status.workloads.first().cloned().unwrap_or_default();
    ensure!(books.freeze_strength == Some(FreezeStrength::Proven) && books.position.is_some(), "{books:?}");
    let progress = &books.progress;
    ensure!(progress.percent == 100 && progress.bytes_done > 0 && progress.objects_total > 0, "{progress:?}");
    ensure!(!Servers::lets_in(&servers.source)? && Servers::lets_in(&servers.target)?, "applications have one side");
    ensure!(of_people(&servers.source)? == of_people(&servers.target)?, "both sides hold the same rows");
    let slots = servers.source.sql("postgres", "SELECT count(*) FROM pg_replication_slots")?;
    ensure!(slots == "0", "the source keeps nothing of its log for the copy any more");
    // Sequences go on where they were.
    let id =
        servers.target.sql(LEDGER, "SET ROLE app; INSERT INTO entry (code) VALUES ('on the cloud') RETURNING id")?;
    ensure!(id.parse::<usize>()? == ROWS + 51, "{id}");
    eprintln!("neither side was open for {:?} ({ROWS} rows)", status.downtime);
    ledger.accept().await?;
    ground.room_is(ANNEX, "Emptied").await?;
    ledger.change(json!({ "closeSource": true })).await?;
    let status = ledger.at(M::Retained).await?;
    ensure!(status.rollback == Some(RollbackLoss::NoWayBack), "{:?}", status.rollback);
    ensure!(!Servers::lets_in(&servers.source)? && Servers::lets_in(&servers.target)?, "it stays so");
    Ok(())
}

/// A database that the room does not declare is no source, whatever the server has.
async fn refused(ground: &Ground) -> Result<()> {
    let other = ground.of("not-declared");
    other.ask(ANNEX, workload("postgres"), &json!({})).await?;
    let status = other.waits(M::Discovered, "SourceRefused").await?;
    let told = status.blocker.map(|blocker| blocker.message).unwrap_or_default();
    ensure!(told.contains("machine room annex") && told.contains("not for postgres"), "{told}");
    other.change(json!({ "cancel": true })).await?;
    other.at(M::Cancelled).await.map(drop)
}

/// Rows of what people made, without the records of the migration.
fn of_people(server: &Postgres) -> Result<Vec<String>> {
    Ok(server.digests(LEDGER)?.into_iter().filter(|line| !line.starts_with("zhengyun_move.")).collect())
}
