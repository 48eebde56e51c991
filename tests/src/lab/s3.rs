//! An S3 server of a test's own on loopback: versitygw, pinned in `tests/lab/s3`. What it stores are files, so a test can damage them.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// Access key of the server's owner.
pub const ACCESS_KEY: &str = "lab-access-key";
/// The secret key that goes with it.
pub const SECRET_KEY: &str = "lab-secret-key-2f9d";
/// Longest wait for the server to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct S3 {
    folder: tempfile::TempDir,
    port: u16,
    server: Child,
}

/// The server's program, built from the Go module that pins it if it was not yet.
///
/// # Errors
/// When it cannot be built.
pub fn program() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("ZHENGYUN_LAB_ASSETS") {
        let built = PathBuf::from(folder).join("versitygw");
        if built.is_file() {
            return Ok(built);
        }
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = manifest.ancestors().map(|folder| folder.join("tests/lab/up")).find(|script| script.is_file());
    let script = script.context("tests/lab/up is not above this package")?;
    let output = Command::new(script).args(["--tool", "versitygw"]).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "tests/lab/up --tool versitygw failed; what to do is above");
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

impl S3 {
    /// Starts a server with empty buckets of these names.
    ///
    /// # Errors
    /// When it cannot be built or does not start.
    pub fn start(buckets: &[&str]) -> Result<Self> {
        let program = program()?;
        let folder = tempfile::tempdir()?;
        for name in ["buckets", "attributes"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        for bucket in buckets {
            std::fs::create_dir(folder.path().join("buckets").join(bucket))?;
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let log = std::fs::File::create(folder.path().join("log"))?;
        let server = Command::new(program)
            .env_clear()
            .env("ROOT_ACCESS_KEY", ACCESS_KEY)
            .env("ROOT_SECRET_KEY", SECRET_KEY)
            .arg("--port")
            .arg(format!("127.0.0.1:{port}"))
            .args(["--quiet", "posix", "--sidecar"])
            .arg(folder.path().join("attributes"))
            .arg(folder.path().join("buckets"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut s3 = Self { folder, port, server };
        s3.wait()?;
        Ok(s3)
    }

    fn wait(&mut self) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if self.server.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                bail!("versitygw does not start: {}", std::fs::read_to_string(self.folder.path().join("log"))?);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Its address.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The folder in which the objects of a bucket are files.
    pub fn bucket(&self, name: &str) -> PathBuf {
        self.folder.path().join("buckets").join(name)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
