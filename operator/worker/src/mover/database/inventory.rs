//! What is in a database, as far as its move is concerned.

use serde::Serialize;

use super::gate::{self, Application};
use super::sql::{OF_PEOPLE, field, number};
use crate::database::Server;
use crate::error::Result;

/// Names that are kept of each list.
const NAMED: &str = "20";

/// Things of one kind: how many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counted {
    pub(super) count: u64,
    pub(super) first: Vec<String>,
}

/// An extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Extension {
    pub(super) name: String,
    pub(super) version: String,
}

/// What is in a database.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inventory {
    pub(super) database: String,
    pub(super) version: String,
    #[serde(skip)]
    pub(super) major: u32,
    pub(super) encoding: String,
    pub(super) collation: String,
    pub(super) character_type: String,
    pub(super) owner: String,
    pub(super) bytes: u64,
    /// As many rows as the planner believes.
    pub(super) rows: u64,
    pub(super) tables: u64,
    pub(super) biggest: Vec<String>,
    pub(super) sequences: u64,
    pub(super) large_objects: u64,
    pub(super) unlogged: Counted,
    pub(super) without_key: Counted,
    pub(super) whole_row_key: Counted,
    pub(super) materialised_views: Counted,
    pub(super) foreign_tables: Counted,
    pub(super) firing_triggers: Counted,
    pub(super) extension_tables: Counted,
    pub(super) publications: Counted,
    pub(super) subscriptions: Counted,
    pub(super) settings: Counted,
    pub(super) prepared_transactions: Counted,
    pub(super) extensions: Vec<Extension>,
    pub(super) wal_level: String,
    /// MiB of log that a slot may keep; none without a limit.
    pub(super) slot_limit_mib: Option<u64>,
    pub(super) free_slots: u64,
    pub(super) free_senders: u64,
    pub(super) applications: Vec<Application>,
    #[serde(skip)]
    pub(super) rights: Rights,
}

/// What the mover's user may do.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a right that a user has or has not")]
pub(super) struct Rights {
    pub(super) user: String,
    pub(super) superuser: bool,
    pub(super) replication: bool,
    pub(super) create_role: bool,
    pub(super) sees_all: bool,
    pub(super) signals: bool,
    pub(super) owns_database: bool,
    pub(super) subscribes: bool,
}

fn counted(server: &Server, name: &str, from: &str) -> Result<Counted> {
    let rows = server.rows(&format!(
        "WITH found AS (SELECT {name} AS name FROM {from}) \
         SELECT name, (SELECT count(*) FROM found) FROM found ORDER BY name LIMIT {NAMED}"
    ))?;
    let count = rows.first().map(|row| number(field(row, 1))).unwrap_or_default();
    Ok(Counted { count, first: rows.into_iter().filter_map(|row| row.into_iter().next()).collect() })
}

/// Looks at a database, and changes nothing.
pub(super) fn look(server: &Server, named: &[String], ours: &[String]) -> Result<Inventory> {
    const NAME: &str = "format('%I.%I', n.nspname, c.relname)";
    let relations = format!(
        "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OF_PEOPLE} AND c.relpersistence <> 't'"
    );
    let of = |condition: &str| counted(server, NAME, &format!("{relations} AND {condition}"));
    let facts = server.rows(
        "SELECT datcollate, datctype, pg_get_userbyid(datdba), pg_database_size(oid), current_setting('wal_level'), \
         (SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'), \
         greatest(0, current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots)), \
         greatest(0, current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender')) \
         FROM pg_database WHERE datname = current_database()",
    )?;
    let facts = facts.into_iter().next().unwrap_or_default();
    let sums = server.rows(&format!(
        "SELECT count(*), coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint FROM {relations} AND c.relkind = 'r'"
    ))?;
    let sums = sums.into_iter().next().unwrap_or_default();
    let biggest = server.rows(&format!(
        "SELECT {NAME} || ', ' || pg_size_pretty(pg_total_relation_size(c.oid)) FROM {relations} AND c.relkind = 'r' \
         ORDER BY pg_total_relation_size(c.oid) DESC LIMIT 5"
    ))?;
    let extensions =
        server.rows("SELECT extname, extversion FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1")?;
    let extensions =
        extensions.iter().map(|row| Extension { name: field(row, 0).to_owned(), version: field(row, 1).to_owned() });
    Ok(Inventory {
        database: server.login.shown(),
        version: server.version.clone(),
        major: server.major,
        encoding: server.encoding.clone(),
        collation: field(&facts, 0).to_owned(),
        character_type: field(&facts, 1).to_owned(),
        owner: field(&facts, 2).to_owned(),
        bytes: number(field(&facts, 3)),
        rows: number(field(&sums, 1)),
        tables: number(field(&sums, 0)),
        biggest: biggest.into_iter().flatten().collect(),
        sequences: of("c.relkind = 'S'")?.count,
        large_objects: number(&server.one("SELECT count(*) FROM pg_largeobject_metadata")?),
        unlogged: of("c.relkind = 'r' AND c.relpersistence = 'u'")?,
        // One with the default identity and no primary key could not be updated any more once it were published.
        without_key: of(
            "c.relkind = 'r' AND c.relpersistence = 'p' AND (c.relreplident = 'n' OR (c.relreplident = 'd' \
             AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)))",
        )?,
        whole_row_key: of("c.relkind = 'r' AND c.relreplident = 'f'")?,
        materialised_views: of("c.relkind = 'm'")?,
        foreign_tables: of("c.relkind = 'f'")?,
        firing_triggers: counted(
            server,
            "format('%I of %I.%I', t.tgname, n.nspname, c.relname)",
            &format!(
                "pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE {OF_PEOPLE} AND t.tgenabled IN ('A', 'R') AND NOT t.tgisinternal"
            ),
        )?,
        extension_tables: counted(server, "c::regclass::text", "pg_extension x, unnest(x.extconfig) c")?,
        publications: counted(server, "pubname", "pg_publication WHERE pubname !~ '^zhengyun_move_'")?,
        subscriptions: counted(
            server,
            "subname",
            "pg_subscription WHERE subenabled AND subname !~ '^zhengyun_move_' \
             AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )?,
        settings: counted(
            server,
            "setting",
            "pg_db_role_setting s, unnest(s.setconfig) setting \
             WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )?,
        prepared_transactions: counted(server, "gid", "pg_prepared_xacts WHERE database = current_database()")?,
        extensions: extensions.collect(),
        wal_level: field(&facts, 4).to_owned(),
        slot_limit_mib: field(&facts, 5).parse().ok(),
        free_slots: number(field(&facts, 6)),
        free_senders: number(field(&facts, 7)),
        applications: gate::applications(server, named, ours)?,
        rights: rights(server)?,
    })
}

fn rights(server: &Server) -> Result<Rights> {
    let rows = server.rows(&format!(
        "SELECT rolname, rolsuper, rolreplication, rolcreaterole, pg_has_role(oid, 'pg_read_all_stats', 'USAGE'), \
         pg_has_role(oid, 'pg_signal_backend', 'USAGE'), \
         pg_has_role(oid, (SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE'), {} \
         FROM pg_roles WHERE rolname = current_user",
        if server.major >= 16 { "pg_has_role(oid, 'pg_create_subscription', 'USAGE')" } else { "rolsuper" },
    ))?;
    let row = rows.into_iter().next().unwrap_or_default();
    let yes = |at| field(&row, at) == "t";
    Ok(Rights {
        user: field(&row, 0).to_owned(),
        superuser: yes(1),
        replication: yes(1) || yes(2),
        create_role: yes(1) || yes(3),
        sees_all: yes(1) || yes(4),
        signals: yes(1) || yes(5),
        owns_database: yes(1) || yes(6),
        subscribes: yes(1) || yes(7),
    })
}

/// Things in a database that people made, the first of them; none in an empty one.
pub(super) fn things(server: &Server) -> Result<Vec<String>> {
    let no_extension = |class: &str, object: &str| {
        format!(
            "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{class}'::regclass AND e.objid = {object} AND e.deptype = 'e')"
        )
    };
    let schema = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'zhengyun_move')";
    let rows = server.rows(&format!(
        "SELECT 'schema ' || quote_ident(n.nspname) FROM pg_namespace n WHERE {schema} AND n.nspname <> 'public' AND {} \
         UNION ALL SELECT 'relation ' || format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
           WHERE {OF_PEOPLE} AND c.relkind <> 'i' \
         UNION ALL SELECT 'function ' || p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {schema} AND {} \
         UNION ALL SELECT 'type ' || format_type(t.oid, NULL) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace \
           WHERE {schema} AND t.typtype IN ('d', 'e', 'r') AND {} \
         UNION ALL SELECT * FROM (SELECT 'large object ' || oid FROM pg_largeobject_metadata LIMIT 1) l ORDER BY 1 LIMIT {NAMED}",
        no_extension("pg_namespace", "n.oid"),
        no_extension("pg_proc", "p.oid"),
        no_extension("pg_type", "t.oid"),
    ))?;
    Ok(rows.into_iter().flatten().collect())
}
