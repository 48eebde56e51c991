//! What is said to a server: names and texts in it, and the session that says it.

use std::time::Duration;

use tokio::runtime::Handle;

use crate::control::Control;
use crate::database::login::Login;
use crate::database::{DatabaseArgs, Server};
use crate::error::Result;

/// Schema of the migration's own records, on both sides.
pub(super) const SCHEMA: &str = "zhengyun_move";
/// Name under which a mover's sessions show at a server; its programs show under this and their own name.
pub(super) const APPLICATION: &str = "zhengyun-worker-move";

/// Relations `c` in a schema `n` that people made: none of the system's, of an extension or of a migration.
pub(super) const OF_PEOPLE: &str = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'zhengyun_move') \
     AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')";

/// A name in a statement.
pub(super) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A text in a statement.
pub(super) fn text(text: &str) -> String {
    // Backslashes stand for themselves: the session says so.
    format!("'{}'", text.replace('\'', "''"))
}

/// Texts in a statement, as an array.
pub(super) fn texts(all: &[String]) -> String {
    format!("ARRAY[{}]::text[]", all.iter().map(|one| text(one)).collect::<Vec<_>>().join(", "))
}

/// The number in a field.
pub(super) fn number(field: &str) -> u64 {
    field.parse().unwrap_or_default()
}

/// A field of a row.
pub(super) fn field(row: &[String], at: usize) -> &str {
    row.get(at).map(String::as_str).unwrap_or_default()
}

/// Connects with a session that means the same on every server. Nothing that somebody made is found by its bare name.
pub(super) fn connect(login: &Login, args: &DatabaseArgs, runtime: &Handle, control: &Control) -> Result<Server> {
    let server = Server::connect(login, args, runtime, control)?;
    server.rows(&format!(
        "SET application_name = '{APPLICATION}'; SET search_path = pg_catalog; SET standard_conforming_strings = on; \
         SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
         SET default_transaction_read_only = off; SET synchronous_commit = on; SET client_min_messages = error; \
         SET extra_float_digits = 1; SET datestyle = ISO; SET intervalstyle = postgres; SET timezone = UTC; \
         SET bytea_output = hex; SET xmloption = content"
    ))?;
    if server.major >= 14 {
        // What a killed mover asked for ends soon, and with it the lock that the next one waits for.
        server.rows("SET client_connection_check_interval = '500ms'; SET idle_session_timeout = 0")?;
    }
    Ok(server)
}

/// What is said next holds a password, which the server must not write into its log.
pub(super) fn quiet(server: &Server) {
    // Only superusers may; others cannot make a subscription before PostgreSQL 16 either.
    let _ = server
        .rows("SET log_statement = none; SET log_min_error_statement = panic; SET log_min_duration_statement = -1");
    let _ = server.rows("SET pg_stat_statements.track_utility = off");
}

/// Waits until something is so, or says what is not.
pub(super) fn until(
    patience: Duration,
    control: &Control,
    mut seen: impl FnMut() -> Result<Option<String>>,
) -> Result<Option<String>> {
    let begun = std::time::Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        let Some(problem) = seen()? else { return Ok(None) };
        if begun.elapsed() >= patience {
            return Ok(Some(problem));
        }
        control.check()?;
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::{name, text, texts};

    #[test]
    fn names_and_texts_cannot_end_what_they_stand_in() {
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
        assert_eq!(text("a'; DROP TABLE b; --\\"), "'a''; DROP TABLE b; --\\'");
        assert_eq!(texts(&["a'b".to_owned(), String::new()]), "ARRAY['a''b', '']::text[]");
        assert_eq!(texts(&[]), "ARRAY[]::text[]");
    }
}
