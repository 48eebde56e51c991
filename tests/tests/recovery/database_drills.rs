//! Drills of databases: restored into one of the drill's own on a server that the administrator named for drills, compared and gone. The
//! server that people work with is another one, and stays alone.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zhengyun_crds::recovery::{BackupPhase, DrillPhase, RecoveryDrillStatus};
use zhengyun_crds::site::DrillServer;
use zhengyun_crds::{RecoveryDrill, RecoveryPlan, Site};
use zhengyun_domain::recovery::drill::scratch_database;
use zhengyun_domain::recovery::duration;
use zhengyun_tests::lab::postgres::{PASSWORD, Postgres};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::said;
use zhengyun_tests::world;

use super::ground::{CLERK, DEPARTMENT, Ground, NAMESPACE, PATIENCE};
use super::{drills, runs};

const PLAN: &str = "drilled";
const SITE: &str = "ulanqab";
const SECRET: &str = "drill-server";
const ROWS: usize = 3_000;
/// How a session of a restore is called at a server.
const RESTORING: &str = "zhengyun-worker-pg_restore";

pub(crate) async fn tried(ground: &Ground) -> Result<()> {
    let stage = Stage { ground, works: Postgres::start()?, drills: Postgres::start()? };
    stage.prepare()?;
    stage.declare().await?;
    stage.without_a_server_of_its_own().await?;
    stage.what_is_not_its_own_stays().await?;
    stage.a_login_that_is_not_fit_is_refused().await?;
    stage.is_restored_compared_and_gone().await?;
    stage.what_differs_does_not_pass().await?;
    stage.killed_and_cancelled().await?;
    stage.beside_other_sources().await
}

struct Stage<'a> {
    ground: &'a Ground,
    /// The server that people work with.
    works: Postgres,
    /// The one for drills.
    drills: Postgres,
}

fn database() -> Value {
    json!({ "name": "old", "origin": { "database": { "site": "hohhot", "endpoint": "old-invoices", "database": "invoices" } } })
}

impl Stage<'_> {
    fn prepare(&self) -> Result<()> {
        let app = format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'");
        self.works.sql("postgres", &app)?;
        self.works.sql("postgres", "CREATE DATABASE invoices OWNER app")?;
        // The index takes its time also where it is made again, so that there is a moment to kill in.
        let content = format!(
            "SET ROLE app; CREATE TABLE invoice (id bigserial PRIMARY KEY, code text, raw bytea);
             INSERT INTO invoice (code, raw) SELECT 'bill' || n, decode(md5(n::text), 'hex') FROM generate_series(1, {ROWS}) n;
             CREATE VIEW codes AS SELECT code FROM invoice;
             CREATE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_catalog.pg_sleep(3); RETURN n; END $$;
             CREATE TABLE slow (n int); INSERT INTO slow VALUES (1); CREATE INDEX ON slow (slow(n));
             GRANT SELECT ON invoice TO pg_monitor"
        );
        self.works.sql("invoices", &content)?;
        for role in ["drill LOGIN CREATEDB", "weak LOGIN"] {
            self.drills.sql("postgres", &format!("CREATE ROLE {role} PASSWORD '{PASSWORD}'"))?;
        }
        // Whatever is restored into a database like this one loses a row.
        self.drills.sql("postgres", "CREATE DATABASE lossy IS_TEMPLATE true")?;
        let loses = "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN IF NEW.id = 7 THEN RETURN NULL; END IF; RETURN NEW; END $$;
             CREATE FUNCTION loses() RETURNS event_trigger LANGUAGE plpgsql AS
               $$ BEGIN IF to_regclass('public.invoice') IS NOT NULL THEN
                 CREATE OR REPLACE TRIGGER loses BEFORE INSERT ON public.invoice FOR EACH ROW EXECUTE FUNCTION public.lose();
               END IF; END $$;
             CREATE EVENT TRIGGER loses ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION loses()";
        self.drills.sql("lossy", loses).map(drop)
    }

    async fn declare(&self) -> Result<()> {
        let sites: Api<Site> = Api::all(self.ground.town.client_of("cloud-admin")?);
        let declared = json!({ "spec": { "externalSources": { "databases": [{
            "name": "old-invoices", "department": DEPARTMENT, "host": "127.0.0.1", "port": self.works.port,
            "databases": ["invoices"], "secretName": "database-of-invoices"
        }] } } });
        sites.patch("hohhot", &PatchParams::default(), &Patch::Merge(&declared)).await?;
        self.secret("database-of-invoices", DEPARTMENT, "app").await?;
        let plan = serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "RecoveryPlan",
            "metadata": { "name": PLAN, "namespace": NAMESPACE },
            "spec": {
                "system": "finance-e-invoice", "level": 1, "ceiling": "10Gi", "sources": [database()],
                "schedule": { "cron": "0 0 1 1 *" }, "retention": { "last": 7 }, "copies": [{ "store": "hohhot-1" }],
                "objectives": { "rpo": "6h", "rto": "1d" }, "encryption": { "secretName": "key-finance" }
            }
        }))?;
        world::apply(&self.ground.town.client_of(CLERK)?, &[plan]).await?;
        self.ground.ask_backup_of(PLAN, "invoices").await?;
        self.ground.backup_ends("invoices", BackupPhase::Completed).await.map(drop)
    }

    /// The login in a Secret of the administrator's.
    async fn secret(&self, name: &str, department: &str, user: &str) -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.ground.town.client_of("cloud-admin")?, "zhengyun-system");
        let secret: Secret = serde_json::from_value(json!({
            "metadata": { "name": name, "labels": { "zhengyun.io/department": department } },
            "stringData": { "username": user, "password": PASSWORD }
        }))?;
        // The administrator writes Secrets and does not read them.
        match secrets.create(&PostParams::default(), &secret).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                secrets.patch(name, &PatchParams::default(), &Patch::Merge(&secret)).await?;
            }
            other => drop(other?),
        }
        Ok(())
    }

    async fn name_server(&self, port: u16, template: &str) -> Result<()> {
        let sites: Api<Site> = Api::all(self.ground.town.client_of("cloud-admin")?);
        let server = json!({ "host": "127.0.0.1", "port": port, "template": template, "secretName": SECRET });
        let named = json!({ "spec": { "drillServer": server } });
        sites.patch(SITE, &PatchParams::default(), &Patch::Merge(&named)).await?;
        Ok(())
    }

    async fn without_a_server_of_its_own(&self) -> Result<()> {
        self.failed("no-server", "ActionNotAvailable", "site ulanqab names no server for drills").await?;
        self.name_server(self.works.port, "template0").await?;
        let named = format!("127.0.0.1:{}, which site hohhot declares as the database old-invoices", self.works.port);
        self.failed("works-server", "ActionNotAvailable", &named).await?;
        self.name_server(self.drills.port, "template0").await
    }

    /// A database of the same name that somebody else made is told, and not touched.
    async fn what_is_not_its_own_stays(&self) -> Result<()> {
        self.ground.ask_drill_of(PLAN, SITE, "taken").await?;
        self.says("taken", "spec.drillServer of site ulanqab: secretName: there is no Secret drill-server").await?;
        let uid = self.drill("taken").await?.uid().context("a drill has a UID")?;
        let server: DrillServer =
            serde_json::from_value(json!({ "host": "127.0.0.1", "port": self.drills.port, "secretName": SECRET }))?;
        let name = scratch_database(&uid, 0, &server);
        // Even of the very user.
        self.drills.sql("postgres", &format!("CREATE DATABASE {name} OWNER drill"))?;
        self.drills.sql(&name, "CREATE TABLE precious (n int); INSERT INTO precious VALUES (7)")?;
        self.secret(SECRET, "drill", "drill").await?;
        let ended = self.ended_failed("taken", "ScratchTaken", &name).await?;
        ensure!(ended.parts[0].database.as_ref() == Some(&name), "{:?}", ended.parts);
        let proof = ended.zero_proof.map(|proof| proof.checks).unwrap_or_default();
        ensure!(proof == [format!("database {name} for drills: never made")], "{proof:?}");
        ensure!(self.drills.sql(&name, "SELECT n FROM precious")? == "7", "it is as it was");
        self.drills.sql("postgres", &format!("DROP DATABASE {name}")).map(drop)
    }

    async fn a_login_that_is_not_fit_is_refused(&self) -> Result<()> {
        for (user, reason, told) in [
            ("postgres", "RightsTooWide", "CREATE ROLE ... LOGIN CREATEDB"),
            ("weak", "RightMissing", "ALTER ROLE \"weak\" CREATEDB"),
            ("nobody", "DatabaseLoginRefused", "correct user (nobody)"),
        ] {
            self.secret(SECRET, "drill", user).await?;
            let ended = self.failed(&format!("as-{user}"), reason, told).await?;
            let message = ended.failure.unwrap_or_default().message;
            ensure!(message.contains("spec.drillServer of site ulanqab"), "it says where it is named: {message}");
        }
        self.secret(SECRET, "drill", "drill").await?;
        // Nothing answers there.
        let closed = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        self.name_server(closed, "template0").await?;
        self.failed("away", "DatabaseUnreachable", "make the server reachable").await?;
        self.name_server(self.drills.port, "missing").await?;
        self.failed("no-template", "TemplateMissing", "there is no database missing").await?;
        self.name_server(self.drills.port, "template0").await
    }

    async fn is_restored_compared_and_gone(&self) -> Result<()> {
        let before = self.works.digests("invoices")?;
        let sessions = self.sessions_at_work().await?;
        let status = self.passed("whole").await?;
        let after = self.sessions_at_work().await?;
        ensure!(after == sessions, "somebody connected to the database that people work with: {sessions}, {after}");
        ensure!(self.works.digests("invoices")? == before, "what people work with is as it was");
        let coverage = status.coverage.clone().context("what passed was compared")?;
        // Two tables, a sequence, a view, a function, two indexes, and rows of two tables at least.
        ensure!(coverage.objects_total > 9 && coverage.objects_compared == coverage.objects_total, "{coverage:?}");
        ensure!(coverage.bytes_total > 100_000 && coverage.bytes_compared == coverage.bytes_total, "{coverage:?}");
        let part = &status.parts[0];
        let took = duration::parse("duration", part.duration.as_ref().context("it was timed")?)?;
        ensure!(took.as_secs() >= 3 && part.attempt == 1, "the index alone takes 3 s: {part:?}");
        ensure!(status.measured_rto.is_some() && part.scratch.is_none() && status.folder.is_none(), "{status:?}");
        Ok(())
    }

    async fn what_differs_does_not_pass(&self) -> Result<()> {
        self.name_server(self.drills.port, "lossy").await?;
        let ended = self.failed("lossy", "Differs", "invoice").await?;
        ensure!(ended.difference_count == 1 && ended.measured_rto.is_none(), "{ended:?}");
        ensure!(ended.differences[0].message.contains("invoice"), "{:?}", ended.differences);
        self.name_server(self.drills.port, "template0").await
    }

    async fn killed_and_cancelled(&self) -> Result<()> {
        let worker = self.at_work("killed-database").await?;
        self.ground.operator().kill9().await?;
        runs::kill(worker)?;
        self.ground.operator().start_again()?;
        let status = self.ends("killed-database", DrillPhase::Passed).await?;
        ensure!(status.attempt == 2 && status.parts[0].attempt == 2, "its process was taken up once: {status:?}");

        self.at_work("cancelled-database").await?;
        let open = "SELECT has_database_privilege('weak', datname, 'CONNECT') FROM pg_database WHERE datname LIKE 'zy_drill_%'";
        ensure!(self.drills.sql("postgres", open)? == "f", "what is restored is for nobody else");
        let drills: Api<RecoveryDrill> = Api::namespaced(self.ground.town.client_of(CLERK)?, NAMESPACE);
        let cancel = Patch::Merge(json!({ "spec": { "cancel": true } }));
        drills.patch("cancelled-database", &PatchParams::default(), &cancel).await?;
        self.ends("cancelled-database", DrillPhase::Cancelled).await?;

        // A server that is named no more keeps the drill until it is named again.
        self.at_work("moved").await?;
        let closed = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        self.name_server(closed, "template0").await?;
        drills.patch("moved", &PatchParams::default(), &cancel).await?;
        self.says("moved", "on another server than spec.drillServer of site ulanqab names now").await?;
        ensure!(!self.left()?.is_empty(), "it stands as long as nobody can remove it");
        self.name_server(self.drills.port, "template0").await?;
        self.ends("moved", DrillPhase::Cancelled).await.map(drop)
    }

    /// One plan for two namespaces, a file tree and a database is tried as a whole, or not at all.
    async fn beside_other_sources(&self) -> Result<()> {
        let second = self.ground.space("beside").await?;
        let sources = json!({ "spec": { "sources": [
            database(),
            { "name": "scans", "origin": { "files": { "site": "hohhot", "root": "returns", "subpath": "new" } } },
            { "name": "space", "origin": { "namespace": { "grant": self.ground.home_grant() } } },
            { "name": "second", "origin": { "namespace": { "grant": second.name_any() } } },
        ] } });
        let plans: Api<RecoveryPlan> = Api::namespaced(self.ground.town.client_of(CLERK)?, NAMESPACE);
        plans.patch(PLAN, &PatchParams::default(), &Patch::Merge(&sources)).await?;
        self.ground.ask_backup_of(PLAN, "system").await?;
        self.ground.backup_ends("system", BackupPhase::Completed).await?;
        // There is room for the first namespace, and not for both.
        self.ground.ask_drill_of(PLAN, SITE, "half").await?;
        let skipped = self.ground.drill_ends("half", DrillPhase::Skipped).await?;
        ensure!(skipped.failure.as_ref().is_some_and(|f| f.message.contains("cpu")), "{skipped:?}");
        self.ground.nothing_is_left().await?;
        drills::room(self.ground, "4").await?;
        let status = self.passed("system").await?;
        let parts: Vec<(&str, bool, bool)> = status
            .parts
            .iter()
            .map(|part| (part.source.as_str(), part.database.is_some(), part.duration.is_some()))
            .collect();
        let [namespaces @ .., _, _] = parts.as_slice() else { bail!("{parts:?}") };
        ensure!(namespaces == [("second", false, true), ("space", false, true)], "{parts:?}");
        ensure!(parts.contains(&("old", true, true)) && parts.contains(&("scans", false, true)), "{parts:?}");
        ensure!(status.attempt == 4, "a process for each part: {status:?}");
        let spaces: Vec<&str> =
            status.parts.iter().filter_map(|part| Some(part.scratch.as_ref()?.namespace.as_str())).collect();
        let [one, other] = spaces.as_slice() else { bail!("{spaces:?}") };
        ensure!(one != other, "each has a scratch of its own");
        let checks = status.zero_proof.clone().context("zero was proven")?.checks;
        for space in spaces {
            ensure!(checks.iter().any(|check| check.starts_with(&format!("Namespace {space}"))), "{space}: {checks:?}");
        }
        for begin in ["folder zy-drill-", "database zy_drill_"] {
            ensure!(checks.iter().any(|check| check.starts_with(begin)), "{begin}: {checks:?}");
        }
        self.ground.nothing_is_left().await
    }

    async fn drill(&self, name: &str) -> Result<RecoveryDrill> {
        let drills: Api<RecoveryDrill> = Api::namespaced(self.ground.town.admin()?, NAMESPACE);
        Ok(drills.get(name).await?)
    }

    /// Waits for a drill to say something.
    async fn says(&self, name: &str, wanted: &str) -> Result<()> {
        settled(&format!("drill {name} says {wanted}"), PATIENCE, || async {
            let seen = said(&self.drill(name).await?.status.unwrap_or_default().conditions);
            Ok(if seen.contains(wanted) { Ok(()) } else { Err(seen) })
        })
        .await
    }

    async fn passed(&self, name: &str) -> Result<RecoveryDrillStatus> {
        self.ground.ask_drill_of(PLAN, SITE, name).await?;
        let status = self.ends(name, DrillPhase::Passed).await?;
        self.ground.is_signed(&status).await?;
        Ok(status)
    }

    async fn failed(&self, name: &str, reason: &str, told: &str) -> Result<RecoveryDrillStatus> {
        self.ground.ask_drill_of(PLAN, SITE, name).await?;
        let status = self.ended_failed(name, reason, told).await?;
        ensure!(self.left()?.is_empty(), "{:?} is left of drill {name}", self.left()?);
        Ok(status)
    }

    async fn ended_failed(&self, name: &str, reason: &str, told: &str) -> Result<RecoveryDrillStatus> {
        let status = self.ground.drill_ends(name, DrillPhase::Failed).await?;
        let failure = status.failure.clone().unwrap_or_default();
        ensure!(failure.reason == reason && failure.message.contains(told), "{name}: {failure:?}");
        ensure!(!failure.message.contains(PASSWORD), "{failure:?}");
        Ok(status)
    }

    /// How a drill ended that made a database, which is gone.
    async fn ends(&self, name: &str, wanted: DrillPhase) -> Result<RecoveryDrillStatus> {
        let status = self.ground.drill_ends(name, wanted).await?;
        let left = self.left()?;
        ensure!(left.is_empty(), "{left:?} is left of drill {name}");
        let made = status.parts.iter().find_map(|part| part.database.clone()).context("it made a database")?;
        let checks = status.zero_proof.clone().context("zero was proven")?.checks;
        let proof = format!("database {made} for drills: not found");
        ensure!(checks.contains(&proof), "{proof}: {checks:?}");
        Ok(status)
    }

    /// A drill whose process is writing; gives the process.
    async fn at_work(&self, name: &str) -> Result<i32> {
        self.ground.ask_drill_of(PLAN, SITE, name).await?;
        settled(&format!("drill {name} restores"), PATIENCE, || async {
            let status = self.drill(name).await?.status.unwrap_or_default();
            let seen = format!("{:?}: {} {:?}", status.phase, said(&status.conditions), status.failure);
            Ok(if self.drills.sessions(RESTORING)? > 0 { Ok(()) } else { Err(seen) })
        })
        .await?;
        let uid = self.drill(name).await?.uid().context("a drill has a UID")?;
        self.ground.worker_in(self.ground.runs().join(format!("{uid}-drill"))).await
    }

    /// Databases of drills.
    fn left(&self) -> Result<Vec<String>> {
        let found = self.drills.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'zy_drill_%'")?;
        Ok(found.lines().map(str::to_owned).collect())
    }

    /// How often somebody connected to the database that people work with, once nobody is connected.
    async fn sessions_at_work(&self) -> Result<String> {
        settled("nobody is connected", PATIENCE, || async {
            let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'invoices'";
            let connected = self.works.sql("postgres", count)?;
            Ok(if connected == "0" { Ok(()) } else { Err(connected) })
        })
        .await?;
        self.works.sql("postgres", "SELECT sessions FROM pg_stat_database WHERE datname = 'invoices'")
    }
}
