//! The product's own programs, run beside the lab as ordinary processes.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use rustix::process::Signal;
use tokio::time::Instant;

use super::process::{Launch, Process};

/// The product ends within 20 s of SIGTERM; this is what a person at the keyboard waits for.
const STOP_GRACE: Duration = Duration::from_secs(25);
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// How often a kept program is looked at: a fraction of the first backoff.
const LOOK: Duration = Duration::from_millis(200);
/// A run of this length was no crash loop: the next failure starts at the first backoff again.
const STEADY: Duration = Duration::from_mins(1);

/// A program of the product, running or between two runs.
#[derive(Debug)]
pub struct Component {
    launch: Launch,
    process: Mutex<Arc<Process>>,
    wanted: AtomicBool,
    restarts: AtomicU32,
    /// Where its API listens, `http://127.0.0.1:port`; `None` when it has none.
    url: Option<String>,
    /// Where `/healthz`, `/readyz` and `/metrics` are.
    metrics_url: String,
}

impl Component {
    /// Starts it once; [`Component::keep_running`] is what restarts it.
    pub(super) fn start(launch: Launch, url: Option<String>, metrics_url: String) -> Result<Self> {
        let process = Mutex::new(Arc::new(Process::start(launch.clone())?));
        Ok(Self { launch, process, wanted: AtomicBool::new(true), restarts: AtomicU32::new(0), url, metrics_url })
    }

    /// The name people see, such as `zhengyun-operator`.
    pub fn name(&self) -> &str {
        &self.launch.name
    }

    /// Where its API listens, such as `http://127.0.0.1:20400`; `None` for one without an API.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Where `/healthz`, `/readyz` and `/metrics` are.
    pub fn metrics_url(&self) -> &str {
        &self.metrics_url
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.launch.log
    }

    /// The present process, or the last one.
    pub fn process(&self) -> Arc<Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it runs at this moment.
    pub fn is_running(&self) -> bool {
        self.process().is_running()
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Resident memory in bytes.
    pub fn rss_bytes(&self) -> Result<u64> {
        self.process().id().rss_bytes()
    }

    /// Processor time of the present process.
    pub fn cpu_time(&self) -> Result<Duration> {
        self.process().id().cpu_time()
    }

    /// Ends it like a power cut. With [`Component::keep_running`] it comes back.
    pub async fn kill9(&self) -> Result<()> {
        self.process().kill9().await
    }

    /// Asks it to end for good (SIGTERM, then a kill) and gives its exit status.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.wanted.store(false, Ordering::Relaxed);
        let process = self.process();
        process.signal(Signal::CONT)?;
        process.terminate(STOP_GRACE).await
    }

    /// Halts it in the middle of whatever it does (SIGSTOP): the paused leader of a takeover test.
    pub fn pause(&self) -> Result<()> {
        self.process().signal(Signal::STOP)
    }

    /// Lets a paused one go on.
    pub fn resume(&self) -> Result<()> {
        self.process().signal(Signal::CONT)
    }

    /// Starts it again with the same arguments; one that still runs is an error.
    pub fn start_again(&self) -> Result<()> {
        if self.is_running() {
            bail!("{} is running already", self.name());
        }
        let process = Arc::new(Process::start(self.launch.clone())?);
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = process;
        self.wanted.store(true, Ordering::Relaxed);
        self.restarts.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Starts it again whenever it ends, with a growing pause, until it is stopped or this future is dropped.
    pub async fn keep_running(self: Arc<Self>) {
        let mut backoff = FIRST_BACKOFF;
        let mut since = Instant::now();
        loop {
            while self.is_running() {
                tokio::time::sleep(LOOK).await;
            }
            if !self.wanted.load(Ordering::Relaxed) {
                return;
            }
            if since.elapsed() > STEADY {
                backoff = FIRST_BACKOFF;
            }
            let status = self.process().exit_status();
            tracing::warn!(component = self.name(), ?status, ?backoff, "ended by itself; starting it again");
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
            since = Instant::now();
            if self.wanted.load(Ordering::Relaxed)
                && !self.is_running()
                && let Err(error) = self.start_again()
            {
                tracing::error!(component = self.name(), %error, "cannot be started");
            }
        }
    }
}

/// The program of this name beside the running one (`target/<profile>`), or in `ZHENGYUN_BIN_DIR`.
pub fn binary(name: &str) -> Result<PathBuf> {
    let mut folders: Vec<PathBuf> = env::var_os("ZHENGYUN_BIN_DIR").map(PathBuf::from).into_iter().collect();
    let own = env::current_exe()?;
    // Test programs run from target/<profile>/deps, examples from target/<profile>/examples.
    folders.extend(own.ancestors().skip(1).take(2).map(Path::to_path_buf));
    match folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!(
            "{name} is not built: not in {}. Fix: make build",
            folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" nor ")
        ),
    }
}

pub(super) fn arguments(pairs: &[(&str, &str)], extra: &[String]) -> Vec<OsString> {
    let fixed = pairs.iter().flat_map(|(flag, value)| [OsString::from(flag), OsString::from(value)]);
    fixed.chain(extra.iter().map(OsString::from)).collect()
}
