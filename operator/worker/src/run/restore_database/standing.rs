//! What stands at a database, and whether that is what was backed up.

use std::process::{Command, Stdio};

use super::{DatabaseReport, Restore, feed};
use crate::database::archive::{self, Object, Tables};
use crate::database::tool::Running;
use crate::error::{Result, WorkerError};

impl Restore<'_> {
    pub(super) fn objects_there(&self) -> Result<Vec<Object>> {
        let mut dump = self.dump.on(&self.server, self.scratch.directory())?;
        dump.args(["--format=custom", "--compress=0", "--no-password", "--schema-only"]).stdout(Stdio::piped());
        let mut dumping = Running::start(&mut dump, self.ready.control)?;
        let mut list = self.load.alone(self.scratch.directory());
        list.arg("--list").stdout(Stdio::piped());
        if let Some(stdout) = dumping.stdout.take() {
            list.stdin(Stdio::from(stdout));
        }
        let mut listing = Running::start(&mut list, self.ready.control)?;
        // Here it would keep the pipe open.
        drop(list);
        let mut text = String::new();
        if let Some(mut stdout) = listing.stdout.take() {
            std::io::Read::read_to_string(&mut stdout, &mut text)
                .map_err(|e| WorkerError::engine("reading a list", e))?;
        }
        let listed = listing.end()?;
        dumping.end()?.map_err(|said| self.unreadable(&said))?;
        listed.map_err(|said| self.unreadable(&said))?;
        let mut objects = archive::objects(&text);
        // The list does not name them one by one; they count where nothing else does.
        let bare = objects.iter().all(|object| object.is_of_extension() || object.is_of_every_database());
        if bare && self.server.one("SELECT count(*) FROM pg_largeobject_metadata")? != "0" {
            objects.extend(archive::objects("0; 0 0 LARGE OBJECTS - all -"));
        }
        Ok(objects)
    }

    fn unreadable(&self, said: &str) -> WorkerError {
        self.server.failed(
            "DumpFailed",
            format!("pg_dump cannot read the target: {said}"),
            "let the user read everything there (GRANT pg_read_all_data)",
        )
    }

    /// The rows at the target.
    fn rows_there(&self) -> Result<Tables> {
        let mut command = self.dump.on(&self.server, self.scratch.directory())?;
        command.args(["--format=plain", "--no-password", "--section=data"]).stdout(Stdio::piped());
        let mut running = Running::start(&mut command, self.ready.control)?;
        let tables = match running.stdout.take() {
            Some(stdout) => archive::tables(stdout).map_err(|e| WorkerError::engine("reading rows", e))?,
            None => Tables::new(),
        };
        running.end()?.map_err(|said| self.unreadable(&said))?;
        Ok(tables)
    }

    /// The rows in the dump.
    fn rows_stored(&self) -> Result<Tables> {
        let mut command = self.reading_rows();
        feed::through(self.ready, &self.parts, &mut [], &mut command, archive::tables)?
            .map_err(|said| WorkerError::damaged("the dump", format!("pg_restore says: {said}")))
    }

    /// The definitions that an archive of PostgreSQL holds, in the order of their names; not those of extensions, nor what is data.
    fn definitions(&self, objects: &[Object], command: &mut Command) -> Result<()> {
        let mut kept: Vec<&Object> =
            objects.iter().filter(|object| !is_data(&object.name) && !object.is_of_extension()).collect();
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        let list = self.scratch.directory().join("definitions");
        let lines: Vec<&str> = kept.into_iter().map(Object::line).collect();
        std::fs::write(&list, lines.join("\n") + "\n").map_err(|e| WorkerError::local(&list, e))?;
        command.arg("--schema-only").arg("--file=-").arg("--use-list").arg(list).stdout(Stdio::piped());
        if self.target.without_roles {
            command.args(["--no-owner", "--no-privileges"]);
        }
        Ok(())
    }

    fn definitions_stored(&self, stored: &[Object]) -> Result<[u8; 32]> {
        let mut command = self.load.alone(self.scratch.directory());
        self.definitions(stored, &mut command)?;
        command.stdin(Stdio::piped());
        feed::through(self.ready, &self.parts, &mut [], &mut command, archive::definitions)?
            .map_err(|said| WorkerError::damaged("the dump", format!("pg_restore says: {said}")))
    }

    fn definitions_there(&self) -> Result<[u8; 32]> {
        let kept = self.scratch.directory().join("there");
        let mut dump = self.dump.on(&self.server, self.scratch.directory())?;
        dump.args(["--format=custom", "--no-password", "--schema-only"]).arg("--file").arg(&kept);
        Running::start(&mut dump, self.ready.control)?.end()?.map_err(|said| self.unreadable(&said))?;
        let mut list = self.load.alone(self.scratch.directory());
        let objects = archive::objects(&self.text(list.arg("--list").arg(&kept))?);
        let mut command = self.load.alone(self.scratch.directory());
        self.definitions(&objects, &mut command)?;
        let mut running = Running::start(command.arg(&kept), self.ready.control)?;
        let read = running.stdout.take().map(archive::definitions).transpose();
        let read = read.map_err(|e| WorkerError::engine("reading definitions", e))?;
        running.end()?.map_err(|said| self.unreadable(&said))?;
        Ok(read.unwrap_or_default())
    }

    /// Everything that a program writes.
    fn text(&self, command: &mut Command) -> Result<String> {
        let mut running = Running::start(command.stdout(Stdio::piped()), self.ready.control)?;
        let mut text = String::new();
        if let Some(mut stdout) = running.stdout.take() {
            std::io::Read::read_to_string(&mut stdout, &mut text)
                .map_err(|e| WorkerError::engine("reading a list", e))?;
        }
        running.end()?.map_err(|said| self.unreadable(&said))?;
        Ok(text)
    }

    pub(super) fn reading_rows(&self) -> Command {
        let mut command = self.load.alone(self.scratch.directory());
        command.args(["--section=data", "--file=-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    /// Whether the target holds what the backup holds already, and nothing else. Of what a killed process wrote, the rows tell.
    pub(super) fn stands(&self, stored: &[Object], report: &mut DatabaseReport) -> Result<bool> {
        if !self.target.resumes && self.definitions_stored(stored)? != self.definitions_there()? {
            return Ok(false);
        }
        let (rows, there) = (self.rows_stored()?, self.rows_there()?);
        count(&rows, report);
        let equal = if self.target.resumes { archive::differences(&rows, &there).is_empty() } else { rows == there };
        report.equal = Some(equal);
        Ok(equal)
    }

    /// What stands at the target, held against the dump.
    pub(super) fn compare(
        &self,
        stored: &Tables,
        wanted: &std::collections::BTreeSet<&str>,
        report: &mut DatabaseReport,
    ) -> Result<Vec<String>> {
        let there = self.objects_there()?;
        let names = archive::names(&there);
        let of_roles =
            |name: &str| self.target.without_roles && (name.starts_with("ACL ") || name.starts_with("DEFAULT ACL "));
        let lost = |name: &&&str| !names.contains(**name) && !is_data(name) && !of_roles(name) && !is_common(name);
        let mut differences: Vec<String> =
            wanted.iter().filter(lost).map(|name| format!("{name}: it is not there")).collect();
        differences.extend(archive::differences(stored, &self.rows_there()?));
        count(stored, report);
        report.equal = Some(differences.is_empty());
        Ok(differences)
    }
}

fn count(tables: &Tables, report: &mut DatabaseReport) {
    report.tables = tables.len() as u64;
    report.rows = tables.values().map(|rows| rows.count).sum();
}

/// Entries of a dump that are rows and not objects.
pub(super) fn is_data(name: &str) -> bool {
    [
        "TABLE DATA ",
        "SEQUENCE SET ",
        "MATERIALIZED VIEW DATA ",
        "BLOB",
        "LARGE OBJECT",
        "COMMENT - LARGE OBJECT",
        "ACL - LARGE OBJECT",
    ]
    .iter()
    .any(|begin| name.starts_with(begin))
}

/// Entries that every database has, or that belong to extensions.
fn is_common(name: &str) -> bool {
    let object = archive::objects(&format!("0; 0 0 {name} -"));
    object.iter().any(|object| object.is_of_every_database() || object.is_of_extension())
}
