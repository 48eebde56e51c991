//! PostgreSQL databases, as a source and as a target.
//!
//! Our own connection looks at the server and holds the snapshot; PostgreSQL's own programs dump and restore. `psql` is not among
//! them: a dump may hold commands for it that run programs on this machine, and `pg_restore` on a connection knows none.

pub mod address;
pub mod archive;
pub mod cluster_secret;
pub mod login;
pub mod scratch;
pub mod tool;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::cluster_secret::ClusterName;
use self::login::Login;
use self::scratch::ScratchDatabase;
use crate::cluster::ClusterArgs;
use crate::control::Control;
use crate::error::{Result, WorkerError};

/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(10);
/// How long it may take until the login is done as well.
const LOGIN: Duration = Duration::from_secs(30);
/// How long a question about the server may take.
const ANSWER: Duration = Duration::from_mins(1);
/// How soon a cancelled run stops to wait for an answer.
const NAP: Duration = Duration::from_millis(100);
/// How large its answer may be: whoever runs the server must not fill this machine.
const ANSWER_BYTES: usize = 16 << 20;
/// Key of the name under which our connections show at the server.
const APPLICATION: &str = "zhengyun-worker";

/// What is true of all databases of a command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DatabaseArgs {
    /// For laboratories: a database may be on this very machine, and without TLS.
    #[arg(long, env = "ZHENGYUN_LAB_LOCAL_DATABASES")]
    pub lab_local_databases: bool,
    /// Address that no database may have, such as the hub's; may be given several times. Addresses of this machine, loopback and
    /// link-local ones are refused in any case.
    #[arg(long, value_name = "ADDRESS")]
    pub refuse_address: Vec<IpAddr>,
    /// Folder with pg_dump and pg_restore; those on the PATH unless given.
    #[arg(long, env = "ZHENGYUN_POSTGRES_BIN", value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,
    /// How long a dump may bring nothing before it is given up: its server lives and does not answer. 1800 unless given.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub longest_silence: Option<u64>,
}

/// How long a dump may bring nothing, unless said otherwise: longer than a large catalogue takes, or a table of which nothing is dumped.
const LONGEST_SILENCE: u64 = 1800;

impl DatabaseArgs {
    /// How long a dump may bring nothing.
    pub fn silence(&self) -> Duration {
        Duration::from_secs(self.longest_silence.unwrap_or(LONGEST_SILENCE))
    }
}

/// Where a database goes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DatabaseTargetArgs {
    /// File with the login of the PostgreSQL database that receives one; it must exist.
    #[arg(long, value_name = "FILE")]
    pub target_database_file: Option<PathBuf>,
    /// CloudNativePG cluster whose database receives one.
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "server", conflicts_with = "target_database_file")]
    pub target_cluster_database: Option<String>,
    /// Everything in a database belongs to the user that restores, and rights of others are left out: for a server that does not have
    /// the roles of the source.
    #[arg(long)]
    pub without_roles: bool,
    /// Prove the backup, look at the target database or directory, say what would be done, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// A restore of the same kind was killed in the middle: what holds all objects and rows of the backup is what it wrote. PostgreSQL
    /// may word a definition anew when it is dumped again, so this is taken for equal then, and only then.
    #[arg(long)]
    pub resumes: bool,
    /// File that stands as soon as the database may have been written; for programs that have this one done in their own.
    #[arg(skip)]
    pub writing: Option<PathBuf>,
    /// A database that is made for this restore on the server of the login; for programs that have this one done in their own.
    #[arg(skip)]
    pub scratch: Option<ScratchDatabase>,
    /// What is true of all databases.
    #[command(flatten)]
    pub databases: DatabaseArgs,
}

impl DatabaseTargetArgs {
    /// The login of the target; none if it is no database.
    pub fn login(&self, cluster: &ClusterArgs, runtime: &Handle) -> Result<Option<Login>> {
        match (&self.target_database_file, &self.target_cluster_database) {
            (Some(file), _) => Login::read("--target-database-file", file).map(Some),
            (None, Some(name)) => {
                let name = ClusterName::parse("--target-cluster-database", name)?;
                name.login(&cluster.connect(runtime)?).map(Some)
            }
            (None, None) => Ok(None),
        }
    }
}

/// A server that answers, and what is known of it.
pub struct Server {
    /// How it was reached.
    pub login: Login,
    /// The address that answered; PostgreSQL's programs are sent to the same one.
    pub address: IpAddr,
    /// Version, such as `15.18`.
    pub version: String,
    /// Major version.
    pub major: u32,
    /// Character encoding of the database.
    pub encoding: String,
    /// Extensions of the database, without `plpgsql`, which every database has.
    pub extensions: Vec<String>,
    /// Identity of the server and of the database in it: the same name may be another database later.
    pub identity: String,
    client: Client,
    runtime: Handle,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("login", &self.login).field("version", &self.version).finish_non_exhaustive()
    }
}

impl Server {
    /// Connects. Addresses that a database may not have are refused before anything is sent to them.
    pub fn connect(login: &Login, args: &DatabaseArgs, runtime: &Handle, control: &Control) -> Result<Self> {
        if args.lab_local_databases {
            control.note("laboratory: databases on this machine, and without TLS, are allowed (--lab-local-databases)");
        }
        if login.ca.is_none() && !args.lab_local_databases {
            return Err(login.wrong(
                "ca",
                "is missing, and without it nobody knows whose server answers",
                "give the PEM of the authority that signed the server's certificate",
            ));
        }
        let addresses = runtime.block_on(address::resolve(login, args))?;
        let mut last = None;
        for address in addresses {
            match runtime.block_on(reach(login, address)) {
                Ok(client) => return Self::look(login, address, client, runtime),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| unreachable(login, "it has no address")))
    }

    fn look(login: &Login, address: SocketAddr, client: Client, runtime: &Handle) -> Result<Self> {
        let mut server = Self {
            login: login.clone(),
            address: address.ip(),
            version: String::new(),
            major: 0,
            encoding: String::new(),
            extensions: Vec::new(),
            identity: String::new(),
            client,
            runtime: runtime.clone(),
        };
        let facts = server.rows(
            "SELECT current_setting('server_version_num'), pg_encoding_to_char(encoding), oid FROM pg_database \
             WHERE datname = current_database()",
        )?;
        let facts = facts.first().cloned().unwrap_or_default();
        let field = |at: usize| facts.get(at).cloned().unwrap_or_default();
        let number: u32 = field(0).parse().unwrap_or_default();
        server.major = number / 10_000;
        server.version = format!("{}.{}", server.major, number % 10_000);
        server.encoding = field(1);
        // A server that was made anew under the same name has another number.
        let system = server.one("SELECT system_identifier FROM pg_control_system()").unwrap_or_default();
        server.identity = format!("{}/{}/{system}", login.shown(), field(2));
        let names = server.rows("SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY extname")?;
        server.extensions = names.into_iter().flatten().collect();
        Ok(server)
    }

    /// Asks, and takes the answer as text.
    pub fn rows(&self, query: &str) -> Result<Vec<Vec<String>>> {
        let asked = async { tokio::time::timeout(ANSWER, self.ask(query)).await };
        self.runtime
            .block_on(asked)
            .unwrap_or_else(|_| Err(unreachable(&self.login, "it gives no answer within a minute")))
    }

    /// Asks something that may take long: only the end of the run ends it.
    pub fn rows_for(&self, query: &str, control: &Control) -> Result<Vec<Vec<String>>> {
        let watched = async {
            let mut asked = std::pin::pin!(self.ask(query));
            loop {
                match tokio::time::timeout(NAP, asked.as_mut()).await {
                    Ok(answer) => return answer,
                    Err(_) => control.check()?,
                }
            }
        };
        self.runtime.block_on(watched)
    }

    async fn ask(&self, query: &str) -> Result<Vec<Vec<String>>> {
        let text = |row: &tokio_postgres::SimpleQueryRow| -> Vec<String> {
            (0..row.len()).map(|at| row.try_get(at).ok().flatten().unwrap_or_default().to_owned()).collect()
        };
        let said = |error: tokio_postgres::Error| told(&self.login, &error);
        let mut answer = std::pin::pin!(self.client.simple_query_raw(query).await.map_err(said)?);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(message) = answer.next().await {
            let SimpleQueryMessage::Row(row) = message.map_err(said)? else { continue };
            let row = text(&row);
            bytes += row.iter().map(String::len).sum::<usize>() + size_of::<Vec<String>>();
            if bytes > ANSWER_BYTES {
                return Err(unreachable(&self.login, "its answer to a short question has no end"));
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// The first field of the first row.
    pub fn one(&self, query: &str) -> Result<String> {
        Ok(self.rows(query)?.into_iter().flatten().next().unwrap_or_default())
    }

    /// An error about this database.
    pub fn failed(&self, reason: &'static str, problem: impl Into<String>, fix: impl Into<String>) -> WorkerError {
        failed(&self.login, reason, problem, fix)
    }
}

/// Connects, or gives up: one that takes connections and says nothing must not hold a run for ever.
async fn reach(login: &Login, address: SocketAddr) -> Result<Client> {
    let connected = tokio::time::timeout(LOGIN, connect(login, address)).await;
    connected.unwrap_or_else(|_| Err(unreachable(login, "it lets nobody in within 30 s")))
}

async fn connect(login: &Login, address: SocketAddr) -> Result<Client> {
    let mut config = Config::new();
    config
        .host(&login.host)
        .hostaddr(address.ip())
        .port(login.port)
        .user(&login.user)
        .password(login.password.reveal())
        .dbname(&login.database)
        .application_name(APPLICATION)
        .connect_timeout(CONNECT)
        .ssl_mode(if login.ca.is_some() { SslMode::Require } else { SslMode::Disable });
    let failed = |error: tokio_postgres::Error| told(login, &error);
    let Some(ca) = &login.ca else {
        let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
        tokio::spawn(connection);
        return Ok(client);
    };
    let tls = MakeRustlsConnect::new(trusting(login, ca)?);
    let (client, connection) = config.connect(tls).await.map_err(failed)?;
    tokio::spawn(connection);
    Ok(client)
}

/// TLS that believes one authority and nobody else.
fn trusting(login: &Login, ca: &str) -> Result<ClientConfig> {
    let wrong = |problem: String| login.wrong("ca", &problem, "give certificates in PEM, and nothing else");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let certificate = certificate.map_err(|e| wrong(format!("is no PEM: {e}")))?;
        roots.add(certificate).map_err(|e| wrong(format!("holds what is no authority: {e}")))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate".to_owned()));
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// An error about a database.
pub fn failed(login: &Login, reason: &'static str, problem: impl Into<String>, fix: impl Into<String>) -> WorkerError {
    WorkerError::Database { database: login.shown(), reason, problem: problem.into(), fix: fix.into() }
}

fn unreachable(login: &Login, cause: &str) -> WorkerError {
    failed(
        login,
        "DatabaseUnreachable",
        format!("it does not answer: {cause}"),
        "correct host and port, or make the server reachable from where the worker runs",
    )
}

/// What a refusal means; the code tells, because the words are in the server's own language.
fn told(login: &Login, error: &tokio_postgres::Error) -> WorkerError {
    let Some(said) = error.as_db_error() else {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        return unreachable(login, &cause.to_string());
    };
    let (code, problem) = (said.code(), said.message().to_owned());
    if [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code) {
        let fix = format!("correct user ({}) and password, or let this machine in (pg_hba.conf)", login.user);
        return failed(login, "DatabaseLoginRefused", problem, fix);
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        return failed(login, "DatabaseNotFound", problem, "name a database that exists, or have it created first");
    }
    if [SqlState::TOO_MANY_CONNECTIONS, SqlState::CANNOT_CONNECT_NOW, SqlState::ADMIN_SHUTDOWN].contains(code) {
        return unreachable(login, &problem);
    }
    if *code == SqlState::OBJECT_IN_USE {
        return failed(login, "DatabaseBusy", problem, "wait for whoever is connected there, or end the session");
    }
    failed(login, "DatabaseRefused", format!("{problem} (SQLSTATE {})", code.code()), "let the user do this")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{Login, reach};

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_given_up() {
        let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = silent.local_addr().unwrap();
        let login = serde_json::json!({
            "host": "127.0.0.1", "port": address.port(), "database": "app", "user": "app", "password": "x"
        });
        let login: Login = serde_json::from_value(login).unwrap();
        let error = reach(&login, address).await.err().unwrap();
        assert!(error.reason() == "DatabaseUnreachable" && error.to_string().contains("within 30 s"), "{error}");
    }
}
