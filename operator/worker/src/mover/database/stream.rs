//! The stream of changes: a publication and a slot on the source, a subscription on the target.
//!
//! The slot is made when copying begins, not before: it keeps the source's log from being removed.

use std::time::Duration;

use super::fence::{Pair, identity};
use super::sql::{OF_PEOPLE, field, name, number, quiet, text, texts, until};
use crate::control::Control;
use crate::database::Server;
use crate::database::login::Login;
use crate::error::{Result, WorkerError};
use crate::secret::sha256_hex;

/// How long a slot may take to be let go by whoever reads it.
const LETTING_GO: Duration = Duration::from_secs(30);

/// A table whose rows are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Its number at the source.
    pub(super) oid: u64,
    /// Schema and name as in a statement.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// As many as the planner believes.
    pub(super) rows: u64,
}

/// The tables whose rows are copied. Of a partitioned table, these are its partitions.
pub(super) fn tables(source: &Server) -> Result<Vec<Table>> {
    let rows = source.rows(&format!(
        "SELECT c.oid, format('%I.%I', n.nspname, c.relname), pg_table_size(c.oid), greatest(c.reltuples, 0)::bigint \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {OF_PEOPLE} ORDER BY 2"
    ))?;
    let of = |row: Vec<String>| Table {
        oid: number(field(&row, 0)),
        name: field(&row, 1).to_owned(),
        bytes: number(field(&row, 2)),
        rows: number(field(&row, 3)),
    };
    Ok(rows.into_iter().map(of).collect())
}

/// How the target reaches the source.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) login: Login,
    /// File at the target's server with the authority of the source's certificate.
    pub(super) ca_path: Option<String>,
}

impl Way {
    /// As PostgreSQL's client library reads it.
    fn connection(&self) -> String {
        let quoted = |value: &str| format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
        let login = &self.login;
        let mode = match (&login.ca, &self.ca_path) {
            (_, Some(path)) => format!("sslmode=verify-full sslrootcert={}", quoted(path)),
            (Some(_), None) => "sslmode=require".to_owned(),
            (None, None) => "sslmode=disable".to_owned(),
        };
        format!(
            "host={} port={} dbname={} user={} password={} {mode} gssencmode=disable connect_timeout=10 \
             keepalives_idle=60 keepalives_interval=15 keepalives_count=4",
            quoted(&login.host),
            login.port,
            quoted(&login.database),
            quoted(&login.user),
            quoted(login.password.reveal()),
        )
    }
}

/// Where a slot stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// Bytes of the log that the source keeps for it.
    pub(super) kept: u64,
    /// Bytes that the target has not confirmed.
    pub(super) lag: u64,
    pub(super) now: String,
    pub(super) confirmed: String,
    pub(super) active: bool,
    pub(super) lost: bool,
}

/// The stream of a migration.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Of publication, slot and subscription.
    pub(super) name: String,
    /// What the names of slots are like by which the target copies a table for the first time.
    first_copies: String,
}

impl Stream {
    /// Slots are of a whole server, so the name says whose it is.
    pub(super) fn of(pair: &Pair) -> Self {
        let (source, target) = (identity(&pair.source.server), identity(&pair.target.server));
        Self::named(&pair.sides.ticket.migration, &source, &target)
    }

    pub(super) fn named(migration: &str, source: &str, target: &str) -> Self {
        let digest = sha256_hex(format!("{migration}\n{source}").as_bytes());
        let system = target.split('/').next().filter(|system| !system.is_empty()).unwrap_or("unknown");
        Self {
            name: format!("zhengyun_move_{}", digest.get(..16).unwrap_or_default()),
            first_copies: format!("slot_name ~ '^pg_[0-9]+_sync_[0-9]+_{system}$' AND database = current_database()"),
        }
    }

    /// Name of the slot that tells which chunks were written.
    pub(super) fn marks(&self) -> String {
        format!("{}_marks", self.name)
    }

    /// Makes the publication, or has it hold these tables.
    pub(super) fn publish(&self, source: &Server, tables: &[Table]) -> Result<bool> {
        let (own, list) =
            (name(&self.name), tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>().join(", "));
        let there =
            source.one(&format!("SELECT count(*) FROM pg_publication WHERE pubname = {}", text(&self.name)))? != "0";
        let statement = match (there, list.is_empty()) {
            (true, true) => return Ok(false),
            (true, false) => format!("ALTER PUBLICATION {own} SET TABLE {list}"),
            (false, true) => format!("CREATE PUBLICATION {own}"),
            (false, false) => format!("CREATE PUBLICATION {own} FOR TABLE {list}"),
        };
        source.rows(&statement)?;
        Ok(!there)
    }

    /// Makes the subscription, without copying anything yet.
    pub(super) fn subscribe(&self, target: &Server, way: &Way) -> Result<bool> {
        if self.subscription(target)?.is_some() {
            return Ok(false);
        }
        quiet(target);
        target.rows(&self.create(way))?;
        Ok(true)
    }

    fn create(&self, way: &Way) -> String {
        let own = name(&self.name);
        format!(
            "CREATE SUBSCRIPTION {own} CONNECTION {} PUBLICATION {own} WITH (enabled = false, create_slot = false, \
             slot_name = {}, copy_data = true)",
            text(&way.connection()),
            text(&self.name),
        )
    }

    /// Whether there is a subscription: its slot and whether it is enabled.
    pub(super) fn subscription(&self, target: &Server) -> Result<Option<(String, bool)>> {
        let rows = target.rows(&format!("SELECT subslotname, subenabled FROM pg_subscription WHERE {}", self.own()))?;
        Ok(rows.first().map(|row| (field(row, 0).to_owned(), field(row, 1) == "t")))
    }

    fn own(&self) -> String {
        format!(
            "subname = {} AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
            text(&self.name)
        )
    }

    /// How many tables are in each state of being copied.
    pub(super) fn states(&self, target: &Server) -> Result<Vec<(String, char)>> {
        let rows = target.rows(&format!(
            "SELECT format('%I.%I', n.nspname, c.relname), r.srsubstate FROM pg_subscription_rel r \
             JOIN pg_subscription s ON s.oid = r.srsubid JOIN pg_class c ON c.oid = r.srrelid \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {} ORDER BY 1",
            self.own()
        ))?;
        Ok(rows.iter().map(|row| (field(row, 0).to_owned(), field(row, 1).chars().next().unwrap_or('?'))).collect())
    }

    /// The slot, if it is there; the log that it and the slots of first copies keep counts together.
    pub(super) fn slot(&self, source: &Server) -> Result<Option<Slot>> {
        let lost = if source.major >= 13 { "coalesce(wal_status = 'lost', false)" } else { "false" };
        let rows = source.rows(&format!(
            "SELECT greatest(0, pg_wal_lsn_diff(now, (SELECT min(restart_lsn) FROM pg_replication_slots WHERE slot_name = s.slot_name \
               OR ({first}))))::bigint, \
             greatest(0, pg_wal_lsn_diff(now, confirmed_flush_lsn))::bigint, now, confirmed_flush_lsn, active, {lost} \
             FROM pg_replication_slots s, pg_current_wal_lsn() now WHERE slot_name = {}",
            text(&self.name),
            first = self.first_copies,
        ))?;
        Ok(rows.first().map(|row| Slot {
            kept: number(field(row, 0)),
            lag: number(field(row, 1)),
            now: field(row, 2).to_owned(),
            confirmed: field(row, 3).to_owned(),
            active: field(row, 4) == "t",
            lost: field(row, 5) == "t",
        }))
    }

    /// Makes the slot. It waits for the transactions that are under way at the source.
    pub(super) fn make_slot(&self, source: &Server, control: &Control) -> Result<()> {
        source.rows_for(
            &format!("SELECT pg_create_logical_replication_slot({}, 'pgoutput')", text(&self.name)),
            control,
        )?;
        Ok(())
    }

    /// Has the target follow the tables that are published now.
    pub(super) fn refresh(&self, target: &Server) -> Result<()> {
        target.rows(&format!("ALTER SUBSCRIPTION {} REFRESH PUBLICATION", name(&self.name)))?;
        Ok(())
    }

    pub(super) fn enable(&self, target: &Server, enabled: bool) -> Result<()> {
        let what = if enabled { "ENABLE" } else { "DISABLE" };
        target.rows(&format!("ALTER SUBSCRIPTION {} {what}", name(&self.name)))?;
        Ok(())
    }

    /// Takes the subscription away, and leaves the slot.
    pub(super) fn unsubscribe(&self) -> String {
        let own = name(&self.name);
        format!(
            "ALTER SUBSCRIPTION {own} DISABLE; ALTER SUBSCRIPTION {own} SET (slot_name = NONE); DROP SUBSCRIPTION {own}"
        )
    }

    /// Takes the slots away: ours, that of the marks, and those of first copies that broke off.
    pub(super) fn drop_slot(&self, source: &Server, control: &Control) -> Result<u64> {
        let own = [self.name.clone(), self.marks()];
        let ours = format!("(slot_name = ANY ({}) OR ({}))", texts(&own), self.first_copies);
        let held = until(LETTING_GO, control, || {
            source.rows(&format!(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE {ours} AND active"
            ))?;
            let active = source.one(&format!("SELECT count(*) FROM pg_replication_slots WHERE {ours} AND active"))?;
            Ok((active != "0").then(|| "it is read by somebody".to_owned()))
        })?;
        if let Some(problem) = held {
            return Err(source.failed(
                "SlotBusy",
                format!("slot {}: {problem}", self.name),
                "stop whoever reads it and run the command again",
            ));
        }
        let dropped = source
            .rows(&format!("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE {ours}"))?;
        Ok(dropped.len() as u64)
    }

    /// Begins to copy anew: what was copied is taken away first.
    pub(super) fn restart(&self, pair: &Pair, way: &Way, tables: &[Table], control: &Control) -> Result<()> {
        let target = &pair.target.server;
        quiet(target);
        if self.subscription(target)?.is_some() {
            self.enable(target, false)?;
        }
        self.drop_slot(&pair.source.server, control)?;
        let mut statements = Vec::new();
        if self.subscription(target)?.is_some() {
            statements.push(self.unsubscribe());
        }
        if !tables.is_empty() {
            let list: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
            // Only what the migration copied is in there.
            statements.push(format!("TRUNCATE {} CASCADE", list.join(", ")));
        }
        statements.push(self.create(way));
        pair.target.change(&statements.join("; "), |record| {
            (record.complete, record.finished, record.was_open) = (None, None, false);
            (record.copied, record.known) = ((0, 0), None);
        })?;
        Ok(())
    }

    /// Takes everything away, on both sides.
    pub(super) fn remove(&self, source: &Server, target: &Server, control: &Control) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        if self.subscription(target)?.is_some() {
            target.rows(&self.unsubscribe())?;
            removed.push(format!("subscription {} of the target", self.name));
        }
        let slots = self.drop_slot(source, control)?;
        if slots > 0 {
            removed.push(format!("slot {} of the source", self.name));
        }
        if source.one(&format!("SELECT count(*) FROM pg_publication WHERE pubname = {}", text(&self.name)))? != "0" {
            source.rows(&format!("DROP PUBLICATION {}", name(&self.name)))?;
            removed.push(format!("publication {} of the source", self.name));
        }
        Ok(removed)
    }

    /// Waits until the target confirmed a place in the source's log.
    pub(super) fn reach(&self, source: &Server, lsn: &str, patience: Duration, control: &Control) -> Result<()> {
        let behind = until(patience, control, || {
            let left = source.one(&format!(
                "SELECT pg_wal_lsn_diff({}, confirmed_flush_lsn)::bigint FROM pg_replication_slots WHERE slot_name = {}",
                text(lsn),
                text(&self.name)
            ))?;
            match left.parse::<i64>() {
                Ok(left) if left <= 0 => Ok(None),
                Ok(left) => Ok(Some(format!("it is {left} bytes behind"))),
                Err(_) => Err(self.gone(source)),
            }
        })?;
        behind.map_or(Ok(()), |behind| {
            Err(WorkerError::Move {
                reason: "NotInStep",
                subject: "the target".to_owned(),
                problem: format!("{behind} the source's {lsn}"),
                fix: "look at the log of the target's server, and run the command again".to_owned(),
                transient: true,
            })
        })
    }

    pub(super) fn gone(&self, source: &Server) -> WorkerError {
        WorkerError::moving(
            "SlotGone",
            source.login.shown(),
            format!("the slot {} is not there any more, and the target cannot follow", self.name),
            "run `copy`: it begins anew",
        )
    }

    /// Ends the stream in order and proves that nothing was written that the target does not have: the slot, which holds everything
    /// after what the target confirmed, holds nothing.
    pub(super) fn settle(&self, pair: &Pair, lsn: &str, patience: Duration, control: &Control) -> Result<String> {
        let (source, target) = (&pair.source.server, &pair.target.server);
        let Some((_, enabled)) = self.subscription(target)? else { return Err(self.gone(source)) };
        if enabled {
            self.reach(source, lsn, patience, control)?;
            self.enable(target, false)?;
        }
        let left = until(patience, control, || {
            let active = self.slot(source)?.ok_or_else(|| self.gone(source))?.active;
            Ok(active.then(|| "is still read".to_owned()))
        })?;
        if let Some(left) = left {
            return Err(source.failed("SlotBusy", format!("slot {} {left}", self.name), "run the command again"));
        }
        let confirmed = self.slot(source)?.ok_or_else(|| self.gone(source))?.confirmed;
        let written = source.rows_for(&format!(
            // Of a transaction that changed nothing that is published, servers before 15 tell that it began and ended.
            "SELECT lsn FROM pg_logical_slot_peek_binary_changes({own}, NULL, NULL, 'proto_version', '1', 'publication_names', {own}) \
             WHERE get_byte(data, 0) IN (ascii('I'), ascii('U'), ascii('D'), ascii('T')) LIMIT 1",
            own = text(&self.name)
        ), control)?;
        match written.first() {
            None => {
                Ok(format!("no published change is in the source's log after {confirmed}, which the target confirmed"))
            }
            Some(row) => Err(WorkerError::moving(
                "SourceWritten",
                pair.source.shown(),
                format!("somebody wrote at {} although it is frozen", field(row, 0)),
                "find out who it is (only a superuser can), then `thaw`, `copy` and `freeze` again",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Stream, Way};

    #[test]
    fn a_connection_is_quoted_and_trusts_what_it_can() {
        let login: crate::database::login::Login = serde_json::from_value(serde_json::json!({
            "host": "db", "database": "a'b\\c", "user": "u", "password": "p w'", "ca": "x"
        }))
        .unwrap();
        let told = Way { login: login.clone(), ca_path: None }.connection();
        assert!(told.contains(r"dbname='a\'b\\c'") && told.contains(r"password='p w\''"), "{told}");
        assert!(told.contains("sslmode=require"), "{told}");
        let told = Way { login, ca_path: Some("/etc/ca.pem".to_owned()) }.connection();
        assert!(told.contains("sslmode=verify-full sslrootcert='/etc/ca.pem'"), "{told}");
    }

    #[test]
    fn a_name_is_one_of_a_slot_and_says_whose_it_is() {
        let one = Stream::named("finance/archive", "1/2", "7/8").name;
        assert!(one.len() <= 63 && one.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        assert!(Stream::named("finance/archive", "1/2", "7/8").marks().len() <= 63);
        assert_ne!(one, Stream::named("finance/archive", "1/3", "7/8").name);
    }
}
