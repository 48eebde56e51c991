//! What the supervisor does from its start to its end.

use std::{
    collections::BTreeMap,
    fs,
    io::BufRead as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use tempfile::TempDir;
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::JoinSet,
};

use super::{
    Command, Phase, ProcessRecord, State,
    socket::{Answer, read_command, write_answer},
};
use crate::lab::{Component, Lab, LabOptions, postgres::Postgres, proc::ProcessId};

/// How often it looks for processes that ended by themselves.
const ROUND: Duration = Duration::from_secs(2);
/// A socket's path may have 107 bytes (unix(7)).
const LONGEST_SOCKET_PATH: usize = 100;

/// Runs the lab in `options.dir` until it is told to end by SIGTERM, or until its starter goes away
/// before having said `keep` on standard input.
pub async fn supervise(options: LabOptions) -> Result<()> {
    let dir = options.dir.clone().context("a supervised lab has a folder")?;
    let (socket, _short) = socket_path(&dir)?;
    let own = ProcessRecord {
        name: "supervisor".to_owned(),
        id: ProcessId::of(std::process::id()).context("read /proc of this process")?,
        log: dir.join("logs/supervisor.log"),
    };
    let mut desk = Desk { state: State::starting(&options.sites, socket.clone(), own)?, dir };
    desk.save()?;

    let mut terminate = signal(SignalKind::terminate())?;
    let mut abandoned = watch_starter();
    let started = tokio::select! {
        running = Running::start(options, &mut desk) => running,
        _ = terminate.recv() => Err(anyhow!("told to end while starting")),
        Ok(()) = &mut abandoned => Err(anyhow!("whoever started the lab went away while it was starting")),
    };
    let ended = match started {
        Ok(mut running) => {
            desk.state.phase = Phase::Ready;
            running.note(&mut desk)?;
            let ended = tokio::select! {
                ended = running.serve(&mut desk, &socket) => ended,
                _ = terminate.recv() => Ok(()),
                Ok(()) = &mut abandoned => Ok(()),
            };
            running.stop().await;
            ended
        }
        Err(error) => {
            // Whatever was started went with the dropped future.
            desk.state.phase = Phase::Failed;
            desk.state.steps.push(format!("{error:#}"));
            desk.save()?;
            return Err(error);
        }
    };
    // A leftover socket only costs the next start a removal.
    let _ = fs::remove_file(&socket);
    desk.state.phase = Phase::Stopped;
    desk.state.processes.truncate(1);
    desk.save()?;
    ended
}

/// Resolves when the starter's end of standard input closes before the word `keep` came.
fn watch_starter() -> oneshot::Receiver<()> {
    let (gone, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        if read.is_err() || line.trim() != "keep" {
            // The receiver is gone only when the supervisor is ending anyway.
            let _ = gone.send(());
        }
        // Otherwise the sender is dropped here, and the branch that waits for it is disabled.
    });
    receiver
}

/// In the lab's folder, or in a temporary one, which must be kept, when the lab's folder has a long name.
fn socket_path(dir: &Path) -> Result<(PathBuf, Option<TempDir>)> {
    let path = dir.join("lab.sock");
    if path.as_os_str().len() <= LONGEST_SOCKET_PATH {
        return Ok((path, None));
    }
    let short = tempfile::Builder::new().prefix("zhengyun-").tempdir()?;
    Ok((short.path().join("lab.sock"), Some(short)))
}

/// The state as written down, and where.
struct Desk {
    state: State,
    dir: PathBuf,
}

impl Desk {
    fn save(&self) -> Result<()> {
        self.state.write(&self.dir)
    }

    fn step(&mut self, text: &str) -> Result<()> {
        tracing::info!("{text}");
        self.state.steps.push(text.to_owned());
        self.save()
    }
}

/// Flags of an operator that carries out backups: runs, stores, file roots and drills have folders of the lab, databases are on loopback.
fn recovery(lab: &Path) -> Result<Vec<String>> {
    let folder = |name: &str| -> Result<String> {
        let path = lab.join(name);
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path.canonicalize()?.display().to_string())
    };
    Ok(vec![
        "--recovery-dir".to_owned(),
        folder("recovery")?,
        "--backup-root".to_owned(),
        folder("stores")?,
        "--writable-file-root".to_owned(),
        format!("shares={}", folder("files")?),
        // What the story of migration has in a machine room.
        "--file-root".to_owned(),
        format!("rooms={}", folder("rooms")?),
        // Where the story of disaster recovery holds its drills.
        "--drill-folder".to_owned(),
        format!("ulanqab={}", folder("drills")?),
        "--lab-local-databases".to_owned(),
    ])
}

/// The lab with the product's programs.
struct Running {
    lab: Lab,
    operator: Option<Arc<Component>>,
    api: Option<Arc<Component>>,
    // Servers outside the cloud that stories protect, by name.
    databases: Mutex<BTreeMap<String, Postgres>>,
    // Restart the product's programs for as long as this lives.
    keepers: JoinSet<()>,
}

impl Running {
    async fn start(options: LabOptions, desk: &mut Desk) -> Result<Self> {
        let product = options.product;
        let desk_cell = std::cell::RefCell::new(&mut *desk);
        let lab = Lab::start_telling(options, |text| {
            if let Err(error) = desk_cell.borrow_mut().step(text) {
                tracing::warn!(error = format!("{error:#}"), "state not written");
            }
        })
        .await?;
        let databases = Mutex::default();
        let mut running = Self { lab, operator: None, api: None, databases, keepers: JoinSet::new() };
        if product {
            let operator = Arc::new(running.lab.start_operator("", &recovery(running.lab.dir())?)?);
            let api = Arc::new(running.lab.start_api("", &[])?);
            desk.step(&format!("operator and API started; API at {}", api.url().unwrap_or_default()))?;
            running.keepers.spawn(operator.clone().keep_running());
            running.keepers.spawn(api.clone().keep_running());
            running.operator = Some(operator);
            running.api = Some(api);
        }
        Ok(running)
    }

    /// Answers commands and revives what ended by itself, until an error that nothing here can mend.
    async fn serve(&mut self, desk: &mut Desk, socket: &Path) -> Result<()> {
        let _ = fs::remove_file(socket);
        let listener = UnixListener::bind(socket).with_context(|| format!("listen at {}", socket.display()))?;
        fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
        let mut round = tokio::time::interval(ROUND);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (mut stream, _) = accepted?;
                    let answer: Answer = match read_command(&mut stream).await {
                        Ok(command) => self.carry_out(&command).await.map_err(|error| format!("{error:#}")),
                        Err(error) => Err(format!("{error:#}")),
                    };
                    self.note(desk)?;
                    if let Err(error) = write_answer(&mut stream, &answer).await {
                        tracing::warn!(error = format!("{error:#}"), "nobody waited for the answer");
                    }
                }
                _ = round.tick() => {
                    self.heal().await;
                    self.note(desk)?;
                }
            }
        }
    }

    async fn carry_out(&self, command: &Command) -> Result<String> {
        tracing::info!(?command, "command");
        match command {
            Command::StopSite(name) => {
                self.lab.site(name)?.stop().await?;
                Ok(format!("site {name} is stopped"))
            }
            Command::StartSite(name) => {
                self.lab.site(name)?.start_again().await?;
                Ok(format!("site {name} serves"))
            }
            Command::RestartSite(name) => {
                let site = self.lab.site(name)?;
                site.stop().await?;
                site.start_again().await?;
                Ok(format!("site {name} serves again"))
            }
            Command::KillOperator => {
                self.operator.as_ref().context("this lab runs no operator")?.kill9().await?;
                Ok("the operator was killed; it is started again".to_owned())
            }
            Command::RenewCredentials => {
                self.lab.renew_credentials().await?;
                Ok("every token of the product was renewed".to_owned())
            }
            Command::StartDatabase(name) => {
                if let Some(running) = self.databases().get(name) {
                    return Ok(running.port.to_string());
                }
                // Whatever it holds may be moved away from it while it is written. Followers come back at once.
                let start = || {
                    Postgres::start_with(&[
                        "wal_level=logical",
                        "max_slot_wal_keep_size=4GB",
                        "wal_retrieve_retry_interval=50ms",
                    ])
                };
                let started = tokio::task::spawn_blocking(start).await??;
                let port = started.port.to_string();
                self.databases().insert(name.clone(), started);
                Ok(port)
            }
            Command::StopDatabase(name) => {
                let Some(running) = self.databases().remove(name) else { bail!("no database server {name} runs") };
                tokio::task::spawn_blocking(|| drop(running)).await?;
                Ok(format!("database server {name} is gone, with its data"))
            }
        }
    }

    fn databases(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Postgres>> {
        self.databases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn heal(&self) {
        for plane in self.lab.planes() {
            match plane.heal().await {
                Ok(revived) if revived.is_empty() => {}
                Ok(revived) => tracing::warn!(?revived, "ended by themselves and were started again"),
                Err(error) => {
                    tracing::error!(plane = plane.name(), error = format!("{error:#}"), "cannot be started again");
                }
            }
        }
    }

    /// Writes down what runs, if that changed.
    fn note(&mut self, desk: &mut Desk) -> Result<()> {
        let before = desk.state.clone();
        let state = &mut desk.state;
        state.processes.truncate(1);
        let components = || [&self.operator, &self.api].into_iter().flatten();
        let processes = self.lab.planes().flat_map(|plane| plane.processes());
        let all = processes.chain(components().map(|component| component.process()));
        state.processes.extend(all.map(|process| ProcessRecord {
            name: process.name().to_owned(),
            id: process.id(),
            log: process.log().to_path_buf(),
        }));
        state.processes.extend(self.databases().iter().filter_map(|(name, server)| {
            let (pid, log) = server.process();
            Some(ProcessRecord { name: format!("postgres/{name}"), id: ProcessId::of(pid)?, log })
        }));
        (state.kubeconfigs, state.urls) = (self.kubeconfigs(), self.urls());
        if *state == before { Ok(()) } else { desk.save() }
    }

    fn kubeconfigs(&self) -> BTreeMap<String, PathBuf> {
        let mut all = BTreeMap::from([("hub".to_owned(), self.lab.hub().admin_kubeconfig())]);
        all.extend(self.lab.sites().iter().map(|(name, site)| (format!("site/{name}"), site.admin_kubeconfig())));
        all.extend(
            self.lab.people().iter().map(|person| {
                (format!("person/{}", person.username), self.lab.hub().person_kubeconfig(&person.username))
            }),
        );
        for component in [&self.operator, &self.api].into_iter().flatten() {
            all.insert(component.name().to_owned(), self.lab.component_kubeconfig(component.name()));
        }
        all
    }

    fn urls(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([("hub".to_owned(), self.lab.hub().url())]);
        all.extend(self.lab.sites().iter().map(|(name, site)| (format!("site/{name}"), site.url())));
        if let Some(operator) = &self.operator {
            all.insert("operator-metrics".to_owned(), operator.metrics_url().to_owned());
        }
        if let Some(api) = &self.api {
            all.insert("api-metrics".to_owned(), api.metrics_url().to_owned());
            all.extend(api.url().map(|url| ("api".to_owned(), url.to_owned())));
        }
        all
    }

    /// Ends the product first: it should see its clusters until its last step is done.
    async fn stop(mut self) {
        self.keepers.abort_all();
        for component in [&self.api, &self.operator].into_iter().flatten() {
            if let Err(error) = component.stop().await {
                tracing::warn!(component = component.name(), error = format!("{error:#}"), "not ended in order");
            }
        }
        if let Err(error) = self.lab.stop().await {
            tracing::warn!(error = format!("{error:#}"), "not ended in order");
        }
    }
}
