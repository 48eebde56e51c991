//! Roles: what the source's objects belong to and its applications log in with, made at the target without a way in.

use super::sql::{field, name, number, text, texts};
use crate::database::Server;
use crate::error::Result;
use crate::mover::{Finding, Severity};

/// A role of the source.
#[derive(Clone, Debug)]
struct Role {
    name: String,
    superuser: bool,
    inherits: bool,
    limit: String,
    until: String,
    hash: String,
    member_of: Vec<String>,
}

/// Makes the roles that the target lacks; none of them can log in, and none is a superuser.
pub(super) fn make(
    source: &Server,
    target: &Server,
    applications: &[String],
) -> Result<(String, Vec<String>, Vec<Finding>)> {
    let roles = needed(source, applications)?;
    let names: Vec<String> = roles.iter().map(|role| role.name.clone()).collect();
    let there = target.rows(&format!("SELECT rolname FROM pg_roles WHERE rolname = ANY ({})", texts(&names)))?;
    let there: Vec<String> = there.into_iter().flatten().collect();
    let (mut statements, mut made, mut findings) = (Vec::new(), Vec::new(), Vec::new());
    let mut told = |code, severity, role: &str, evidence: String, remedy: &str| {
        findings.push(Finding { code, severity, subject: role.to_owned(), evidence, remedy: remedy.to_owned() });
    };
    for role in &roles {
        if there.contains(&role.name) {
            told(
                "RoleExists",
                Severity::Info,
                &role.name,
                "the target has it, and it stays as it is".to_owned(),
                "see that it is the same",
            );
            continue;
        }
        let inherits = if role.inherits { "INHERIT" } else { "NOINHERIT" };
        let given = |word: &str, value: &str| {
            if value.is_empty() { String::new() } else { format!(" {word} {}", text(value)) }
        };
        let statement = format!(
            "CREATE ROLE {} NOLOGIN {inherits} CONNECTION LIMIT {}{}{}",
            name(&role.name),
            role.limit,
            given("VALID UNTIL", &role.until),
            given("PASSWORD", &role.hash)
        );
        if role.superuser {
            told(
                "SuperuserNotCarried",
                Severity::Warning,
                &role.name,
                "it is a superuser of the source".to_owned(),
                "it is an ordinary role at the target",
            );
        }
        statements.push(statement);
        made.push(role.name.clone());
    }
    for role in roles.iter().filter(|role| made.contains(&role.name)) {
        for group in &role.member_of {
            statements.push(format!("GRANT {} TO {}", name(group), name(&role.name)));
        }
    }
    Ok((statements.join("; "), made, findings))
}

/// Roles that objects and rights of the database lead to, those that applications log in with, and what all of them are members of.
fn needed(source: &Server, applications: &[String]) -> Result<Vec<Role>> {
    let hash = if source.one("SELECT has_table_privilege('pg_authid', 'SELECT')")? == "t" {
        "(SELECT rolpassword FROM pg_authid a WHERE a.oid = r.oid)"
    } else {
        "NULL"
    };
    let rows = source.rows(&format!(
        "WITH RECURSIVE here AS (SELECT oid FROM pg_database WHERE datname = current_database()), \
         used AS (SELECT refobjid AS role FROM pg_shdepend, here WHERE refclassid = 'pg_authid'::regclass AND deptype IN ('o', 'a', 'r') \
             AND (dbid = here.oid OR (classid = 'pg_database'::regclass AND objid = here.oid)) \
           UNION SELECT oid FROM pg_roles WHERE rolname = ANY ({}) \
           UNION SELECT m.roleid FROM used JOIN pg_auth_members m ON m.member = used.role) \
         SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolconnlimit, coalesce(r.rolvaliduntil::text, ''), coalesce({hash}, ''), \
           coalesce((SELECT string_agg(g.rolname, E'\\n' ORDER BY 1) FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid \
             WHERE m.member = r.oid), '') \
         FROM pg_roles r WHERE r.oid IN (SELECT role FROM used) AND r.rolname !~ '^pg_' ORDER BY 1",
        texts(applications)
    ))?;
    let of = |row: Vec<String>| Role {
        name: field(&row, 0).to_owned(),
        superuser: field(&row, 1) == "t",
        inherits: field(&row, 2) == "t",
        limit: field(&row, 3).parse::<i64>().unwrap_or(-1).to_string(),
        until: field(&row, 4).to_owned(),
        hash: field(&row, 5).to_owned(),
        member_of: field(&row, 6).lines().map(str::to_owned).collect(),
    };
    Ok(rows.into_iter().map(of).collect())
}

/// Takes away roles that the migration made and that nothing needs; those that stay.
pub(super) fn remove(target: &Server, made: &[String]) -> Result<(Vec<String>, Vec<String>)> {
    let (mut gone, mut stay) = (Vec::new(), Vec::new());
    for role in made {
        if number(&target.one(&format!("SELECT count(*) FROM pg_roles WHERE rolname = {}", text(role)))?) == 0 {
            continue;
        }
        match target.rows(&format!("DROP OWNED BY {0}; DROP ROLE {0}", name(role))) {
            Ok(_) => gone.push(role.clone()),
            // Another database uses it.
            Err(_) => stay.push(role.clone()),
        }
    }
    Ok((gone, stay))
}
