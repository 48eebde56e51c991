//! 财政电子票据 itself: objects in its space, rows in a database, files on a share. Made, looked at and lost by other means than the product's.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use kube::Client;

use super::ground::{AWAY, DATABASE, Ground, HOME};
use crate::demo::Stage;
use crate::demo::files::tree;
use crate::lab::postgres::Superuser;
use crate::world::content::{self, Content};

const OBJECTS: usize = 500;
const OBJECT_BYTES: usize = 2_000;
const INVOICES: usize = 200_000;
const SCANS: usize = 2_000;

/// The system, and how each of its two places is reached.
pub(super) struct System<'a> {
    ground: &'a Ground,
    clusters: BTreeMap<&'static str, Client>,
    databases: BTreeMap<&'static str, Superuser>,
}

/// What is there.
#[derive(Debug)]
pub(super) struct Picture {
    objects: Content,
    /// Rows and digest of each table.
    rows: Vec<String>,
    /// Kind, mode and content of each path below the share.
    files: BTreeMap<PathBuf, String>,
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} objects, {} tables with their rows, {} paths",
            self.objects.len(),
            self.rows.len(),
            self.files.len()
        )
    }
}

impl Picture {
    /// # Errors
    /// The first difference.
    pub(super) fn same_as(&self, other: &Self) -> Result<()> {
        for (key, value) in &self.objects {
            ensure!(other.objects.get(key) == Some(value), "{key:?} is not as it was");
        }
        ensure!(self.objects.len() == other.objects.len(), "{self}, and now {other}");
        ensure!(self.rows == other.rows, "the tables were {:?} and are {:?}", self.rows, other.rows);
        for (path, file) in &self.files {
            ensure!(
                other.files.get(path) == Some(file),
                "{} was {file} and is {:?}",
                path.display(),
                other.files.get(path)
            );
        }
        ensure!(self.files.len() == other.files.len(), "{self}, and now {other}");
        Ok(())
    }
}

impl<'a> System<'a> {
    /// Makes everything at home.
    pub(super) async fn build(stage: &Stage, ground: &'a Ground, out: &mut dyn FnMut(&str)) -> Result<Self> {
        let mut system = Self { ground, clusters: BTreeMap::new(), databases: BTreeMap::new() };
        for site in [HOME, AWAY] {
            system.clusters.insert(site, stage.watcher(&format!("site/{site}")).await?);
            system.databases.insert(site, ground.database(stage, site).await?);
        }
        content::make(system.cluster(HOME)?, ground.namespace(HOME), 0, OBJECTS, OBJECT_BYTES).await?;
        let server = system.server(HOME)?;
        let files = ground.files(HOME);
        tokio::task::spawn_blocking(move || -> Result<()> {
            server.sql(DATABASE, &invoices())?;
            scans(&files)
        })
        .await??;
        out(&format!(
            "  财政电子票据 runs at {HOME}: {OBJECTS} objects, {INVOICES} invoices in PostgreSQL, {SCANS} scans on the share"
        ));
        Ok(system)
    }

    fn cluster(&self, site: &str) -> Result<&Client> {
        self.clusters.get(site).with_context(|| format!("no cluster at {site}"))
    }

    fn server(&self, site: &str) -> Result<Superuser> {
        self.databases.get(site).cloned().with_context(|| format!("no database server at {site}"))
    }

    /// What is there.
    pub(super) async fn picture(&self, site: &str) -> Result<Picture> {
        let objects = content::read(self.cluster(site)?, self.ground.namespace(site)).await?;
        let (server, files) =
            (self.server(site)?, if site == AWAY { self.ground.restored() } else { self.ground.files(site) });
        let (rows, files) =
            tokio::task::spawn_blocking(move || Ok::<_, anyhow::Error>((server.digests(DATABASE)?, tree(&files)?)))
                .await??;
        Ok(Picture { objects, rows, files })
    }

    /// Everything at home is gone.
    pub(super) async fn lose(&self, stage: &Stage) -> Result<()> {
        content::destroy(self.cluster(HOME)?, self.ground.namespace(HOME)).await?;
        self.ground.lose_database(stage, HOME).await?;
        std::fs::remove_dir_all(self.ground.files(HOME)).context("remove the share")
    }
}

fn invoices() -> String {
    format!(
        "SET ROLE app;
         CREATE TABLE invoice (id bigserial PRIMARY KEY, code text NOT NULL, payer text, amount numeric(12, 2), scan bytea);
         INSERT INTO invoice (code, payer, amount, scan)
         SELECT 'NMG' || lpad(n::text, 10, '0'), '缴款单位' || n % 977, n * 1.07, decode(md5(n::text), 'hex')
         FROM generate_series(1, {INVOICES}) n;
         CREATE INDEX invoice_payer ON invoice (payer);
         CREATE VIEW payer_total AS SELECT payer, sum(amount) AS total FROM invoice GROUP BY payer"
    )
}

/// Scans in folders by month, some with names that people give, one link.
fn scans(root: &Path) -> Result<()> {
    for number in 0..SCANS {
        let folder = root.join(format!("2026-{:02}", number % 12 + 1));
        std::fs::create_dir_all(&folder)?;
        let name = match number % 50 {
            0 => format!("票据 {number} (副本).pdf"),
            1 => format!("-scan{number}.pdf"),
            _ => format!("{number:05}.pdf"),
        };
        let line = format!("invoice {number} ");
        std::fs::write(folder.join(name), line.repeat(50 + number * 7 % 400))?;
    }
    std::os::unix::fs::symlink("2026-01", root.join("current"))?;
    Ok(())
}
