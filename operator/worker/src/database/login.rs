//! How a database is reached: from a file, never from arguments.

use std::fmt;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Result, WorkerError};
use crate::secret::read_secret;

/// PostgreSQL's own port.
const PORT: u16 = 5432;

/// A password: it is shown nowhere.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// For whoever logs in with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// How a database is reached. Nothing else can be said of a connection: no other file, no program, no option of the client library.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Login {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    #[serde(default = "usual_port")]
    pub port: u16,
    /// Database.
    pub database: String,
    /// User.
    pub user: String,
    /// Password.
    pub password: Password,
    /// PEM of the authority that signed the server's certificate. The certificate must be of `host`.
    #[serde(default)]
    pub ca: Option<String>,
}

fn usual_port() -> u16 {
    PORT
}

/// A database that is a source.
#[derive(Clone, Debug)]
pub struct NamedLogin {
    /// Name of the source.
    pub name: String,
    /// How it is reached.
    pub login: Login,
}

impl Login {
    /// Reads one from a file.
    pub fn read(argument: &str, file: &Path) -> Result<Self> {
        let login: Self = parse(argument, file, &read_secret(argument, file)?)?;
        login.check()?;
        Ok(login)
    }

    /// Reads several from a file: an object with a login for each name.
    pub fn read_all(argument: &str, file: &Path) -> Result<Vec<NamedLogin>> {
        let all: std::collections::BTreeMap<String, Self> = parse(argument, file, &read_secret(argument, file)?)?;
        for (name, login) in &all {
            crate::source::args::check_name(argument, name)?;
            login.check()?;
        }
        Ok(all.into_iter().map(|(name, login)| NamedLogin { name, login }).collect())
    }

    /// Host, port and database, for people and for the record. No user and no password.
    pub fn shown(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }

    /// Refuses what is no host, database or user. A host must be no path and no list: the client library would take a path for a
    /// socket on this machine.
    pub fn check(&self) -> Result<()> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':');
        if self.host.is_empty() || self.host.len() > 253 || !self.host.bytes().all(plain) || self.host.starts_with('-')
        {
            return Err(self.wrong("host", "is no host", "write a host name or an address, and nothing else"));
        }
        for (field, value) in [("database", &self.database), ("user", &self.user)] {
            if value.is_empty() || value.len() > 63 || value.chars().any(char::is_control) {
                let problem = format!("\"{}\" is none", value.escape_debug());
                return Err(self.wrong(field, &problem, "write 1 to 63 bytes without control characters"));
            }
        }
        if self.password.reveal().contains('\0') {
            return Err(self.wrong("password", "holds a zero byte", "write it as the server knows it"));
        }
        Ok(())
    }

    /// Something about a field.
    pub fn wrong(&self, field: &str, problem: &str, fix: &str) -> WorkerError {
        WorkerError::input(format!("database {}: {field}", self.shown().escape_debug()), problem, fix)
    }
}

fn parse<T: serde::de::DeserializeOwned>(argument: &str, file: &Path, text: &str) -> Result<T> {
    // The parser's message may quote a value, and one of them is a password.
    serde_json::from_str(text).map_err(|e| {
        WorkerError::input(
            argument,
            format!("\"{}\" is not the expected JSON at line {}, column {}", file.display(), e.line(), e.column()),
            "write {\"host\": \"...\", \"port\": 5432, \"database\": \"...\", \"user\": \"...\", \"password\": \"...\", \"ca\": \"...\"}; several sources as an object of them by name",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::Login;

    fn login(host: &str, database: &str) -> Login {
        Login {
            host: host.to_owned(),
            port: 5432,
            database: database.to_owned(),
            user: "app".to_owned(),
            password: "hunter2".to_owned().into(),
            ca: None,
        }
    }

    #[test]
    fn a_host_is_a_host_and_nothing_that_the_client_library_makes_of_one() {
        for good in ["db.example", "10.0.0.1", "fd00::1", "db-rw"] {
            login(good, "app").check().unwrap();
        }
        for bad in ["", "/var/run/postgresql", "@abstract", "a,b", "a b", "-h", "a=b", "%2Fvar", "a\nb"] {
            assert!(login(bad, "app").check().is_err(), "{bad}");
        }
        assert!(login("a", "").check().is_err());
        assert!(login("a", "a\nb").check().is_err());
        assert!(login("a", "财政").check().is_ok());
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let login = login("/", "app");
        assert!(!format!("{login:?} {}", login.check().unwrap_err()).contains("hunter2"));
        let (dir, secret) = (tempfile::tempdir().unwrap(), r#"{"host": "a", "password": ["hunter2"]}"#);
        std::fs::write(dir.path().join("f"), secret).unwrap();
        let said = Login::read("--f", &dir.path().join("f")).unwrap_err().to_string();
        assert!(said.contains("column") && !said.contains("hunter2"), "{said}");
        let more = r#"{"host": "a", "database": "b", "user": "c", "password": "d", "sslkey": "/etc/passwd"}"#;
        std::fs::write(dir.path().join("f"), more).unwrap();
        assert!(Login::read("--f", &dir.path().join("f")).is_err());
    }
}
