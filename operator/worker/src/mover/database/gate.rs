//! Who comes into a database: how it is closed to applications, how that is proved, and how it is opened as it was.
//!
//! Closed means that no role that can log in may connect, but the mover's own and superusers, and that nobody is connected. A setting
//! such as `default_transaction_read_only` would prove nothing: any session may override it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sql::{field, name, text, texts, until};
use crate::control::Control;
use crate::database::Server;
use crate::error::{Result, WorkerError};

/// What to do about a role that other databases use too.
pub(super) const OF_ITS_OWN: &str = "give the application a role for this database alone, or the other databases another one: a role that \
     is closed cannot log in to any of them";
/// Names in a message.
const NAMED: usize = 10;

/// Who may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Doors {
    /// Who was given CONNECT.
    pub(super) connect: Vec<Given>,
    /// Roles that could log in and cannot now.
    pub(super) logins: Vec<String>,
}

/// One entry for CONNECT in the privileges of a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Given {
    /// None for everybody.
    pub(super) to: Option<String>,
    pub(super) by: String,
    pub(super) grantable: bool,
}

impl Given {
    fn to_sql(&self) -> String {
        self.to.as_deref().map_or_else(|| "PUBLIC".to_owned(), name)
    }
}

/// A role that applications use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Application {
    pub(super) role: String,
    pub(super) superuser: bool,
    /// Whether it owns the database, by itself or as a member of the owner.
    pub(super) owns_database: bool,
    /// Other databases of the server that it is used in: closing it here closes it there too.
    pub(super) elsewhere: Vec<String>,
    pub(super) sessions: u64,
}

/// The roles that applications use: those that can log in and have objects, rights or sessions here, by themselves or by a role that
/// they are members of; and those that are named. Superusers are among them if they are named, connected, or own something without
/// being the one that the server was made with.
pub(super) fn applications(server: &Server, named: &[String], ours: &[String]) -> Result<Vec<Application>> {
    let rows = server.rows(&format!(
        "WITH here AS (SELECT oid, datdba FROM pg_database WHERE datname = current_database()), \
         used AS (SELECT DISTINCT refobjid AS role FROM pg_shdepend, here \
           WHERE refclassid = 'pg_authid'::regclass AND deptype IN ('o', 'a', 'r') \
           AND (dbid = here.oid OR (classid = 'pg_database'::regclass AND objid = here.oid))), \
         owns AS (SELECT DISTINCT relowner AS role FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
           WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'zhengyun_move')), \
         there AS (SELECT usesysid AS role, count(*) AS sessions FROM pg_stat_activity \
           WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1) \
         SELECT r.rolname, r.rolsuper, pg_has_role(r.oid, here.datdba, 'MEMBER'), coalesce(there.sessions, 0) \
         FROM pg_roles r CROSS JOIN here LEFT JOIN there ON there.role = r.oid \
         WHERE r.rolcanlogin AND r.rolname <> ALL ({ours}) AND (r.rolname = ANY ({named}) OR there.role IS NOT NULL \
           OR (r.rolsuper AND r.oid <> 10 AND r.oid IN (SELECT role FROM owns)) \
           OR (NOT r.rolsuper AND EXISTS (SELECT FROM used WHERE pg_has_role(r.oid, used.role, 'MEMBER')))) ORDER BY 1",
        ours = texts(ours),
        named = texts(named),
    ))?;
    let roles: Vec<String> = rows.iter().map(|row| field(row, 0).to_owned()).collect();
    let mut elsewhere = elsewhere(server, &roles)?;
    let of = |row: Vec<String>| {
        let (role, superuser) = (field(&row, 0).to_owned(), field(&row, 1) == "t");
        Application {
            superuser,
            owns_database: !superuser && field(&row, 2) == "t",
            elsewhere: elsewhere.remove(&role).unwrap_or_default(),
            sessions: super::sql::number(field(&row, 3)),
            role,
        }
    };
    Ok(rows.into_iter().map(of).collect())
}

/// Other databases of the server that roles are used in, by role: where one was given a right or owns something, by itself or by a role
/// that it is a member of, or has a session. That everybody may connect to a database says nothing, and to the server's own belongs
/// nobody's system.
pub(super) fn elsewhere(server: &Server, roles: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
    let rows = server.rows(&format!(
        "WITH used AS (SELECT DISTINCT refobjid AS role, CASE classid WHEN 'pg_database'::regclass THEN objid ELSE dbid END AS database \
           FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND deptype IN ('o', 'a', 'r')) \
         SELECT r.rolname, d.datname FROM pg_roles r JOIN pg_database d ON d.datname NOT IN (current_database(), 'postgres') \
           AND NOT d.datistemplate \
         WHERE r.rolname = ANY ({}) AND (EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid AND a.usesysid = r.oid) \
           OR EXISTS (SELECT FROM used WHERE used.database = d.oid \
             AND (used.role = r.oid OR (NOT r.rolsuper AND pg_has_role(r.oid, used.role, 'MEMBER'))))) ORDER BY 1, 2",
        texts(roles)
    ))?;
    let mut found = BTreeMap::<String, Vec<String>>::new();
    for row in rows {
        found.entry(field(&row, 0).to_owned()).or_default().push(field(&row, 1).to_owned());
    }
    Ok(found)
}

/// The other databases that a role is used in, counted, and the first of them.
pub(super) fn used_in(role: &str, databases: &[String]) -> String {
    let of = if databases.len() == 1 { "database" } else { "databases" };
    format!("{role} is used in {} other {of} of this server too: {}", databases.len(), first(databases))
}

/// Roles that could let themselves into a closed database, for they are members of its owner, but the mover's own and superusers.
pub(super) fn of_owner(server: &Server, ours: &[String]) -> Result<Vec<String>> {
    let rows = server.rows(&format!(
        "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname <> ALL ({}) \
         AND pg_has_role(oid, (SELECT datdba FROM pg_database WHERE datname = current_database()), 'MEMBER') ORDER BY 1",
        texts(ours)
    ))?;
    Ok(rows.into_iter().flatten().collect())
}

/// The roles of the mover itself: nobody shuts itself out.
pub(super) fn ours(server: &Server, more: &[String]) -> Result<Vec<String>> {
    let own = server.one("SELECT current_user")?;
    let mut ours: Vec<String> = more.iter().filter(|role| **role != own).cloned().collect();
    ours.insert(0, own);
    Ok(ours)
}

/// Who was given CONNECT.
pub(super) fn given(server: &Server) -> Result<Vec<Given>> {
    let rows = server.rows(
        "SELECT coalesce((SELECT rolname FROM pg_roles WHERE oid = a.grantee), ''), pg_get_userbyid(a.grantor), a.is_grantable \
         FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a \
         WHERE d.datname = current_database() AND a.privilege_type = 'CONNECT' ORDER BY 2, 1",
    )?;
    let of = |row: Vec<String>| Given {
        to: Some(field(&row, 0).to_owned()).filter(|role| !role.is_empty()),
        by: field(&row, 1).to_owned(),
        grantable: field(&row, 2) == "t",
    };
    Ok(rows.into_iter().map(of).collect())
}

/// What closes a database: CONNECT is taken from everybody but the mover, and roles are not let in at all.
pub(super) fn shut(server: &Server, given: &[Given], logins: &[String], ours: &[String]) -> String {
    let database = name(&server.login.database);
    let mut statements: Vec<String> =
        ours.iter().map(|role| format!("GRANT CONNECT ON DATABASE {database} TO {}", name(role))).collect();
    let others = given.iter().filter(|given| given.to.as_ref().is_none_or(|role| !ours.contains(role)));
    // What they gave on goes with it.
    statements
        .extend(others.map(|given| format!("REVOKE CONNECT ON DATABASE {database} FROM {} CASCADE", given.to_sql())));
    statements.extend(logins.iter().map(|role| format!("ALTER ROLE {} NOLOGIN", name(role))));
    statements.join("; ")
}

/// What opens a database as it was.
pub(super) fn reopen(server: &Server, before: &Doors, now: &[Given]) -> String {
    let database = name(&server.login.database);
    let mut statements = Vec::new();
    for given in now.iter().filter(|given| !before.connect.contains(given)) {
        statements.push(format!("REVOKE CONNECT ON DATABASE {database} FROM {} CASCADE", given.to_sql()));
    }
    // Whoever gave something on must have it first; an owner gives without having.
    let mut waiting: Vec<&Given> = before.connect.iter().collect();
    while !waiting.is_empty() {
        let must_wait =
            |given: &Given| waiting.iter().any(|other| other.to.as_ref() == Some(&given.by) && other.by != given.by);
        let (later, mut ready): (Vec<&Given>, Vec<&Given>) =
            waiting.iter().copied().partition(|given| must_wait(given));
        // In a ring that cannot be, the server says what is wrong.
        (ready, waiting) = if ready.is_empty() { (later, Vec::new()) } else { (ready, later) };
        for given in ready {
            let option = if given.grantable { " WITH GRANT OPTION" } else { "" };
            statements.push(format!(
                "SET LOCAL ROLE {}; GRANT CONNECT ON DATABASE {database} TO {}{option}; RESET ROLE",
                name(&given.by),
                given.to_sql()
            ));
        }
    }
    statements.extend(before.logins.iter().map(|role| format!("ALTER ROLE {} LOGIN", name(role))));
    statements.join("; ")
}

/// Roles that can still log in and connect, but the mover's own and superusers.
pub(super) fn able(server: &Server, ours: &[String]) -> Result<Vec<String>> {
    let rows = server.rows(&format!(
        "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname <> ALL ({}) \
         AND has_database_privilege(oid, current_database(), 'CONNECT') ORDER BY 1",
        texts(ours)
    ))?;
    Ok(rows.into_iter().flatten().collect())
}

/// Sessions of others, and what might still write.
fn present(server: &Server, ours: &[String], own_workers: bool) -> Result<Vec<String>> {
    // The apply workers of a target are the mover's own; those of a source write what somebody else sends.
    let workers = if own_workers {
        "'client backend'"
    } else {
        "'client backend', 'logical replication worker', 'background worker'"
    };
    let rows = server.rows(&format!(
        "SELECT format('session %s of %s (%s%s)', pid, coalesce(usename, '-'), backend_type, \
           CASE WHEN application_name = '' THEN '' ELSE ', ' || application_name END) \
         FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND (backend_type IN ({workers}) \
           OR {foreign_sender} OR ({strict} AND backend_xid IS NOT NULL AND backend_type NOT IN ('autovacuum worker', 'walsender'))) \
         UNION ALL SELECT format('prepared transaction %L of %s', gid, owner) FROM pg_prepared_xacts WHERE database = current_database()",
        strict = !own_workers,
        foreign_sender = foreign_sender(ours),
    ))?;
    Ok(rows.into_iter().flatten().collect())
}

/// A session that asked for replication may say anything, as others do; those of the stream itself are the mover's own.
fn foreign_sender(ours: &[String]) -> String {
    format!("(backend_type = 'walsender' AND usename <> ALL ({}))", texts(ours))
}

/// Ends the sessions of everybody else until none is left, and proves that the database is closed.
pub(super) fn clear(
    server: &Server,
    ours: &[String],
    own_workers: bool,
    patience: Duration,
    control: &Control,
) -> Result<Vec<String>> {
    let left = until(patience, control, || {
        server.rows(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid() AND (backend_type = 'client backend' OR {})",
            foreign_sender(ours)
        ))?;
        let present = present(server, ours, own_workers)?;
        Ok((!present.is_empty()).then(|| first(&present)))
    })?;
    match left {
        None => prove(server, ours, own_workers),
        Some(left) => Err(not_closed(server, format!("still there: {left}"))),
    }
}

/// Proves that a database is closed now, without changing anything.
pub(super) fn prove(server: &Server, ours: &[String], own_workers: bool) -> Result<Vec<String>> {
    let able = able(server, ours)?;
    if !able.is_empty() {
        return Err(not_closed(server, format!("these roles can log in and connect: {}", first(&able))));
    }
    let present = present(server, ours, own_workers)?;
    if !present.is_empty() {
        return Err(not_closed(server, format!("still there: {}", first(&present))));
    }
    let superusers = server.rows("SELECT rolname FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY 1")?;
    let superusers: Vec<String> = superusers.into_iter().flatten().collect();
    Ok(vec![
        format!("no role can log in and connect but {} and superusers ({})", ours.join(", "), first(&superusers)),
        "nobody else is connected, no session has a transaction under way, and none is prepared".to_owned(),
    ])
}

/// The first of some names.
pub(super) fn first(names: &[String]) -> String {
    let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
    format!("{}{more}", names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))
}

fn not_closed(server: &Server, problem: String) -> WorkerError {
    WorkerError::moving(
        "NotClosed",
        server.login.shown(),
        problem,
        "end what is named and run the command again; `thaw` opens a source as it was",
    )
}

/// What applications may not be for a freeze to hold.
pub(super) fn refuse(server: &Server, applications: &[Application]) -> Result<()> {
    for application in applications {
        let role = &application.role;
        if application.superuser {
            return Err(WorkerError::moving(
                "ApplicationIsSuperuser",
                format!("role {role} of {}", server.login.shown()),
                "it is a superuser, and nothing keeps a superuser out",
                format!("end its sessions, and if an application uses it: ALTER ROLE {} NOSUPERUSER", name(role)),
            ));
        }
        if application.owns_database {
            return Err(WorkerError::moving(
                "ApplicationOwnsDatabase",
                format!("role {role} of {}", server.login.shown()),
                "it owns the database and could let itself in again",
                format!("ALTER DATABASE {} OWNER TO a role that no application uses", name(&server.login.database)),
            ));
        }
        if !application.elsewhere.is_empty() {
            return Err(WorkerError::moving(
                "RoleUsedElsewhere",
                format!("role {role} of {}", server.login.shown()),
                used_in(role, &application.elsewhere),
                OF_ITS_OWN,
            ));
        }
    }
    Ok(())
}

/// Which of some roles can log in.
pub(super) fn with_login(server: &Server, roles: &[String]) -> Result<Vec<String>> {
    let rows = server.rows(&format!(
        "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname = ANY ({}) ORDER BY 1",
        texts(roles)
    ))?;
    Ok(rows.into_iter().flatten().collect())
}

/// Which of some roles are there.
pub(super) fn existing(server: &Server, roles: &[String]) -> Result<Vec<String>> {
    let rows = server.rows(&format!("SELECT rolname FROM pg_roles WHERE rolname = ANY ({})", texts(roles)))?;
    Ok(rows.into_iter().flatten().collect())
}

/// Whether a role is there.
pub(super) fn has_role(server: &Server, role: &str) -> Result<bool> {
    Ok(server.one(&format!("SELECT count(*) FROM pg_roles WHERE rolname = {}", text(role)))? != "0")
}

#[cfg(test)]
mod tests {
    use super::used_in;

    #[test]
    fn databases_are_counted_and_the_first_are_named() {
        let of = |count: usize| (0..count).map(|n| format!("d{n}")).collect::<Vec<_>>();
        assert_eq!(used_in("app", &of(1)), "app is used in 1 other database of this server too: d0");
        let many = used_in("app", &of(12));
        assert!(many.contains("12 other databases") && many.ends_with("d8, d9 and 2 more"), "{many}");
    }
}
