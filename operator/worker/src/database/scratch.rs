//! A database made for one restore, and removed again.
//!
//! It comes into being closed: nobody can connect to it before it carries a mark that says what it is. So one of that name is ours if it
//! has the mark, or if a process of ours was killed in between, and then nothing can be in it. Any other is left as it is.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::login::Login;
use super::{DatabaseArgs, Server, address};
use crate::control::Control;
use crate::error::Result;

/// How long sessions of killed processes may take to end.
const ENDING: Duration = Duration::from_secs(30);
/// How soon it is looked again.
const NAP: Duration = Duration::from_millis(100);
/// The template that every server has, and that holds nothing.
const BARE: &str = "template0";

/// A database that is made for one restore. The login for it is one that may create databases.
#[derive(Clone, Debug)]
pub struct ScratchDatabase {
    /// Its name.
    pub name: String,
    /// Database that it is made like.
    pub template: String,
}

/// How the place of a scratch database was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing is there.
    Nothing,
    /// One of ours.
    Ours,
    /// One of somebody else, and whose it is.
    Anothers(String),
}

/// What a server says of a database.
#[derive(Clone, Debug)]
struct Facts {
    owner: String,
    is_own: bool,
    is_open: bool,
    comment: String,
}

impl ScratchDatabase {
    /// Makes it anew, empty, and gives the login for it. `begun` is called before anything is written.
    pub fn make(
        &self,
        server: &Server,
        (encoding, origin): (&str, &str),
        args: &DatabaseArgs,
        runtime: &Handle,
        control: &Control,
        begun: impl FnOnce() -> Result<()>,
    ) -> Result<Login> {
        may_create(server)?;
        is_not_where(server, origin, args, runtime)?;
        let found = self.find(server)?;
        if let Found::Anothers(owner) = found {
            return Err(server.failed(
                "ScratchTaken",
                format!(
                    "there is a database {} of {owner} already, which is not of this restore and stays as it is",
                    self.name
                ),
                "look whose it is, rename or drop it, and begin again",
            ));
        }
        let locale = self.locale(server, encoding)?;
        begun()?;
        if found == Found::Ours {
            self.drop(server, control)?;
        }
        let name = identifier(&self.name);
        server.one(&format!(
            "CREATE DATABASE {name} TEMPLATE {} ENCODING {}{locale} ALLOW_CONNECTIONS false",
            identifier(&self.template),
            literal(encoding)
        ))?;
        // What it will hold is for nobody else to read.
        server.one(&format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"))?;
        server.one(&format!("COMMENT ON DATABASE {name} IS {}", literal(&self.mark())))?;
        server.one(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"))?;
        Ok(Login { database: self.name.clone(), ..server.login.clone() })
    }

    /// Removes it if it is there and ours; says what stood there.
    pub fn remove(&self, server: &Server, control: &Control) -> Result<Found> {
        let found = self.find(server)?;
        if found == Found::Ours {
            self.drop(server, control)?;
            if self.find(server)? != Found::Nothing {
                return Err(server.failed(
                    "DatabaseBusy",
                    format!("database {} is still there after it was dropped", self.name),
                    "look who made it anew",
                ));
            }
        }
        Ok(found)
    }

    fn mark(&self) -> String {
        format!("zhengyun: made for one drill, and dropped when that ends: {}", self.name)
    }

    /// What stands under its name.
    fn find(&self, server: &Server) -> Result<Found> {
        let asked = format!(
            "SELECT pg_get_userbyid(datdba), pg_get_userbyid(datdba) = current_user, datallowconn, \
             shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = {}",
            literal(&self.name)
        );
        let facts = server.rows(&asked)?.into_iter().next().map(|row| {
            let field = |at: usize| row.get(at).cloned().unwrap_or_default();
            Facts { owner: field(0), is_own: field(1) == "t", is_open: field(2) != "f", comment: field(3) }
        });
        Ok(judge(facts, &self.mark()))
    }

    /// What is said beside the encoding: a locale goes with some encodings, and C with all.
    fn locale(&self, server: &Server, encoding: &str) -> Result<&'static str> {
        let asked = format!(
            "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = {}",
            literal(&self.template)
        );
        let there = server.one(&asked)?;
        if there.is_empty() {
            return Err(server.failed(
                "TemplateMissing",
                format!("there is no database {} to make one like", self.template),
                "correct the template, or make it",
            ));
        }
        if there == encoding {
            return Ok("");
        }
        if self.template != BARE {
            return Err(server.failed(
                "EncodingMismatch",
                format!("the encoding of template {} is {there}, the backup's is {encoding}", self.template),
                format!("name {BARE}, or a template in that encoding"),
            ));
        }
        Ok(" LC_COLLATE 'C' LC_CTYPE 'C'")
    }

    fn drop(&self, server: &Server, control: &Control) -> Result<()> {
        let name = identifier(&self.name);
        // Nobody comes in any more; whoever is inside goes.
        server.one(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"))?;
        let inside = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = {} AND usename = current_user",
            literal(&self.name)
        );
        let begun = Instant::now();
        loop {
            control.check()?;
            server.one(&inside)?;
            match server.one(&format!("DROP DATABASE {name}")) {
                Err(error) if error.reason() == "DatabaseBusy" && begun.elapsed() < ENDING => std::thread::sleep(NAP),
                other => return other.map(drop),
            }
        }
    }
}

/// Whether what stands there is ours. An open one without the mark is not, whoever owns it.
fn judge(facts: Option<Facts>, mark: &str) -> Found {
    match facts {
        None => Found::Nothing,
        Some(facts) if facts.is_own && (facts.comment == mark || (facts.comment.is_empty() && !facts.is_open)) => {
            Found::Ours
        }
        Some(facts) => Found::Anothers(facts.owner),
    }
}

/// Refuses a user that may not create databases, and one that may do too much: what is restored holds programs of whoever wrote it.
fn may_create(server: &Server) -> Result<()> {
    let asked = "SELECT rolcreatedb, rolsuper OR EXISTS (SELECT FROM pg_roles AS of WHERE of.rolname IN \
                 ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files') \
                 AND pg_has_role(me.oid, of.oid, 'MEMBER')) FROM pg_roles AS me WHERE me.rolname = current_user";
    let row = server.rows(asked)?.into_iter().next().unwrap_or_default();
    let (creates, mighty) = (row.first().is_some_and(|t| t == "t"), row.get(1).is_none_or(|t| t != "f"));
    let user = &server.login.user;
    if mighty {
        return Err(server.failed(
            "RightsTooWide",
            format!("user {user} is a superuser, or may open files and start programs of the server: so could whatever a backup holds"),
            "make a user for this alone: CREATE ROLE ... LOGIN CREATEDB",
        ));
    }
    if !creates {
        return Err(server.failed(
            "RightMissing",
            format!("user {user} may not create databases"),
            format!("ALTER ROLE {} CREATEDB", identifier(user)),
        ));
    }
    Ok(())
}

/// Refuses the server that the backup is of, also under another name.
fn is_not_where(server: &Server, origin: &str, args: &DatabaseArgs, runtime: &Handle) -> Result<()> {
    let Some((host, port)) = origin.rsplit_once('/').and_then(|(place, _)| place.rsplit_once(':')) else {
        return Ok(());
    };
    if port.parse() != Ok(server.login.port) {
        return Ok(());
    }
    let there = Login { host: host.to_owned(), ..server.login.clone() };
    let is_same = host.eq_ignore_ascii_case(&server.login.host)
        // One that has no address any more is gone, and one that may not be spoken to is not this one.
        || runtime.block_on(address::resolve(&there, args)).is_ok_and(|all| all.iter().any(|a| a.ip() == server.address));
    if !is_same {
        return Ok(());
    }
    Err(server.failed(
        "ServerInUse",
        format!("it is the server {host}:{port} that the backup was made of"),
        "name a server for drills alone",
    ))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// As the server reads it whatever its settings are.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::{Facts, Found, identifier, judge, literal};

    #[test]
    fn only_what_carries_the_mark_or_cannot_hold_anything_is_ours() {
        let facts = |is_own, is_open, comment: &str| {
            Some(Facts { owner: "who".to_owned(), is_own, is_open, comment: comment.to_owned() })
        };
        assert_eq!(judge(None, "m"), Found::Nothing);
        for ours in [facts(true, true, "m"), facts(true, false, "m"), facts(true, false, "")] {
            assert_eq!(judge(ours.clone(), "m"), Found::Ours, "{ours:?}");
        }
        for anothers in [
            facts(true, true, ""),
            facts(true, true, "theirs"),
            facts(true, false, "theirs"),
            facts(false, true, "m"),
            facts(false, false, ""),
        ] {
            assert_eq!(judge(anothers.clone(), "m"), Found::Anothers("who".to_owned()), "{anothers:?}");
        }
    }

    #[test]
    fn no_name_is_taken_for_anything_else() {
        assert_eq!(identifier("a\"; DROP"), "\"a\"\"; DROP\"");
        assert_eq!(literal("a'\\b"), "E'a''\\\\b'");
    }
}
