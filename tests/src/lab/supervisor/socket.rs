//! Commands to the supervisor: one line of JSON each way over a socket that only its owner may open.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    time::timeout,
};

use super::State;

/// Starting a control plane beside a build takes a while.
const ANSWER_LIMIT: Duration = Duration::from_mins(3);
/// A caller that opens the socket and says nothing holds nobody up for longer.
const QUESTION_LIMIT: Duration = Duration::from_secs(2);

/// What the supervisor does on demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Ends a site's control plane; it stays down until started.
    StopSite(String),
    /// Starts a stopped site on its old ports and data.
    StartSite(String),
    /// Ends and starts a site.
    RestartSite(String),
    /// Kills the operator; it is started again after its backoff.
    KillOperator,
    /// Renews every token of the product now.
    RenewCredentials,
    /// Starts an empty PostgreSQL server of this name, if none of the name runs; the answer is its port on loopback.
    StartDatabase(String),
    /// Ends a PostgreSQL server; its data are gone.
    StopDatabase(String),
}

pub(super) type Answer = Result<String, String>;

/// Asks the supervisor of the lab in `dir`, and gives its answer in words.
pub async fn request(dir: &Path, command: &Command) -> Result<String> {
    let state = State::of_running(dir)?;
    let mut stream = UnixStream::connect(&state.socket)
        .await
        .with_context(|| format!("reach the supervisor at {}", state.socket.display()))?;
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = String::new();
    timeout(ANSWER_LIMIT, BufReader::new(stream).read_line(&mut answer))
        .await
        .context("the supervisor does not answer; its log is logs/supervisor.log in the lab's folder")??;
    serde_json::from_str::<Answer>(&answer).context("the supervisor's answer")?.map_err(|message| anyhow!(message))
}

pub(super) async fn read_command(stream: &mut UnixStream) -> Result<Command> {
    let mut line = String::new();
    timeout(QUESTION_LIMIT, BufReader::new(stream).read_line(&mut line)).await??;
    serde_json::from_str(&line).context("not a command of the supervisor")
}

pub(super) async fn write_answer(stream: &mut UnixStream, answer: &Answer) -> Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    Ok(timeout(QUESTION_LIMIT, stream.write_all(&line)).await??)
}
