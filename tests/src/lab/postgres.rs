//! A PostgreSQL server of a test's own: Debian's, on loopback, as a user without rights even where the tests are run by root.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// Password of the superuser and of every user that a test makes.
pub const PASSWORD: &str = "secret-of-the-lab-7c1f";
/// Somebody who may nothing.
const NOBODY: u32 = 65534;
/// Longest wait for the server to answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    folder: tempfile::TempDir,
    /// Port on 127.0.0.1.
    pub port: u16,
    server: Child,
}

/// The folder with the programs of the newest PostgreSQL that is installed.
///
/// # Errors
/// When there is none.
pub fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let (Some(version), true) = (version, entry.path().join("bin/initdb").is_file()) {
            found.push((version, entry.path().join("bin")));
        }
    }
    found.sort();
    found.pop().map(|(_, bin)| bin).context("PostgreSQL is missing: `make deps` installs Debian's package postgresql")
}

impl Postgres {
    /// Makes and starts a server with a superuser `postgres`.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same with settings of the server, each `name=value`.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start_with(settings: &[&str]) -> Result<Self> {
        let (bin, folder) = (programs()?, folder()?);
        initialise(&bin, folder.path())?;
        Self::started(bin, folder, settings)
    }

    /// The same for tests that need many: it begins with a copy of data that are kept in a folder, and made there if they are not.
    /// Servers that began with the same data are one server to whoever asks for their identity.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start, or nothing can be kept.
    pub fn start_copied(kept_in: &Path, name: &str, settings: &[&str]) -> Result<Self> {
        let (bin, folder) = (programs()?, folder()?);
        let version = bin.parent().and_then(Path::file_name).context("a version")?.to_string_lossy().into_owned();
        let user = rustix::process::geteuid().as_raw();
        let (kept, data) = (kept_in.join(format!("postgres-{version}-{user}-{name}")), folder.path().join("data"));
        if kept.exists() {
            copy(&kept, &data)?;
        } else {
            initialise(&bin, folder.path())?;
            let making = tempfile::tempdir_in(kept_in)?;
            let made = making.path().join("data");
            copy(&data, &made)?;
            if let Err(error) = std::fs::rename(&made, &kept) {
                // Another test may have been first; both are good.
                ensure!(kept.exists(), "{}: {error}", kept.display());
            }
        }
        Self::started(bin, folder, settings)
    }

    fn started(bin: PathBuf, folder: tempfile::TempDir, settings: &[&str]) -> Result<Self> {
        let data = folder.path().join("data");
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut command = unprivileged(&bin.join("postgres"), folder.path());
        command.arg("-D").arg(&data).arg("-p").arg(port.to_string()).arg("-k").arg(folder.path());
        // A test's data need not outlive the machine.
        for setting in ["listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "shared_buffers=32MB"]
            .iter()
            .chain(settings)
        {
            command.arg("-c").arg(setting);
        }
        let server = command.stdout(Stdio::null()).stderr(log).spawn()?;
        let mut postgres = Self { bin, folder, port, server };
        postgres.wait()?;
        Ok(postgres)
    }

    fn wait(&mut self) -> Result<()> {
        let begun = Instant::now();
        while self.sql("postgres", "SELECT 1").is_err() {
            if self.server.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                bail!("the server does not start: {}", std::fs::read_to_string(self.folder.path().join("log"))?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The folder with its programs.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Its process, and where its output goes.
    pub fn process(&self) -> (u32, PathBuf) {
        (self.server.id(), self.folder.path().join("log"))
    }

    /// The superuser at this server.
    pub fn superuser(&self) -> Superuser {
        Superuser { bin: self.bin.clone(), port: self.port }
    }

    /// [`Superuser::sql`]
    ///
    /// # Errors
    /// When a statement fails.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String> {
        self.superuser().sql(database, statements)
    }

    /// [`Superuser::session`]
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn session(&self, database: &str) -> Result<Child> {
        self.superuser().session(database)
    }

    /// [`Superuser::digests`]
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn digests(&self, database: &str) -> Result<Vec<String>> {
        self.superuser().digests(database)
    }

    /// Sessions of a program at the server.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn sessions(&self, application: &str) -> Result<usize> {
        let query = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}'");
        Ok(self.sql("postgres", &query)?.parse()?)
    }
}

/// The superuser of a lab's server, whoever started that.
#[derive(Clone, Debug)]
pub struct Superuser {
    bin: PathBuf,
    port: u16,
}

impl Superuser {
    /// At the server on a port of 127.0.0.1.
    ///
    /// # Errors
    /// When PostgreSQL is not installed.
    pub fn at(port: u16) -> Result<Self> {
        Ok(Self { bin: programs()?, port })
    }

    /// Carries out statements as the superuser; what they answer, a line a row.
    ///
    /// # Errors
    /// When one fails.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String> {
        let mut psql = self.session(database)?;
        psql.stdin.take().context("psql reads statements")?.write_all(statements.as_bytes())?;
        let output = psql.wait_with_output()?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// A session of the superuser that carries out what is written to it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn session(&self, database: &str) -> Result<Child> {
        let mut command = Command::new(self.bin.join("psql"));
        command.env_clear().env("PGPASSWORD", PASSWORD).env("LC_ALL", "C.UTF-8").env("HOME", "/nonexistent");
        command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        command.arg("-p").arg(self.port.to_string()).arg("-d").arg(database);
        Ok(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    }

    /// Rows and a digest of each table of a database, by the server's own means and not the product's.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn digests(&self, database: &str) -> Result<Vec<String>> {
        let rows = self.sql(
            database,
            "SELECT replace(format('%I.%I ', schemaname, tablename) || query_to_xml(format('SELECT count(*) AS rows, \
             md5(coalesce(string_agg(md5((t.*)::text), '''' ORDER BY md5((t.*)::text)), '''')) AS digest FROM %I.%I t', \
             schemaname, tablename), true, true, '')::text, E'\\n', ' ') FROM pg_tables \
             WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1",
        )?;
        Ok(rows.lines().map(str::to_owned).collect())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once, but with what the system keeps for it given back.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.server),
            rustix::process::Signal::QUIT,
        );
        let _ = self.server.wait();
    }
}

/// A folder for the user without rights.
fn folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
    }
    Ok(folder)
}

/// Makes a server's data.
fn initialise(bin: &Path, folder: &Path) -> Result<()> {
    let password = folder.join("password");
    std::fs::File::create(&password)?.write_all(PASSWORD.as_bytes())?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&password, Some(NOBODY), Some(NOBODY))?;
    }
    let made = unprivileged(&bin.join("initdb"), folder)
        .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
        .arg("--pwfile")
        .arg(&password)
        .arg("--pgdata")
        .arg(folder.join("data"))
        .output()?;
    ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("--archive").arg(from).arg(to).output()?;
    ensure!(copied.status.success(), "cp: {}", String::from_utf8_lossy(&copied.stderr));
    Ok(())
}

fn unprivileged(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C.UTF-8").env("HOME", folder).current_dir(folder).stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
