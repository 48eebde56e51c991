//! Runs as processes of their own, with the real program that launches them. The programs that they become are shells: what is
//! tested is how a process is started, found again, told from others, and taken away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use zhengyun_domain::recovery::run::Sighting;
use zhengyun_operator::executor::process::ProcessExecutor;
use zhengyun_operator::executor::{Executor, RunId, Task};

/// A shell that is called with `--progress json --heartbeat-file FILE COMMAND ...`.
const SHELL: &str = "#!/bin/sh\nheartbeat=$4\nshift 5\n";

struct Ground {
    dir: tempfile::TempDir,
}

impl Ground {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        fs::write(&program, format!("{SHELL}{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        Self { dir }
    }

    /// An executor as each operator makes one; a second one knows nothing that the first did not write down.
    fn executor(&self) -> ProcessExecutor {
        let launcher = env!("CARGO_BIN_EXE_zhengyun-operator").into();
        ProcessExecutor::new(&self.dir.path().join("runs"), self.dir.path().to_path_buf(), launcher).unwrap()
    }

    fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("runs").join(run().as_str())
    }
}

fn run() -> RunId {
    RunId::new("0a1b2c", "backup").unwrap()
}

fn task() -> Task {
    let mut task = Task::of("program", "work");
    task.secret("--key-file", "key", SecretString::from("hush")).kept("--state", "journal").file("--out", "out");
    task
}

/// Waits for a state; nothing here takes longer than moments.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not come about");
        std::thread::yield_now();
    }
}

fn ended(executor: &ProcessExecutor) -> Sighting {
    until("the end of the run", || Some(executor.observe(&run()).unwrap()).filter(|seen| !seen.runs()))
}

fn pid(folder: &Path) -> i32 {
    let text = until("the process known", || fs::read(folder.join("process.json")).ok());
    let identity: serde_json::Value = serde_json::from_slice(&text).unwrap();
    i32::try_from(identity["pid"].as_i64().unwrap()).unwrap()
}

#[test]
fn a_run_reports_and_its_secrets_are_files_of_its_own() {
    let ground = Ground::new(r#"cat "$2" > "$6"; printf '{"args":"%s"}' "$*""#);
    let executor = ground.executor();
    assert_eq!(executor.observe(&run()).unwrap(), Sighting::Absent);
    executor.start(&run(), &task()).unwrap();
    let Sighting::Done(report) = ended(&executor) else { panic!("{:?}", executor.observe(&run())) };
    assert!(!report["args"].as_str().unwrap().contains("hush"), "a secret stands among the arguments: {report}");
    assert_eq!(executor.file(&run(), "out").unwrap().unwrap(), b"hush");
    let key = ground.folder().join("secrets/key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(ground.folder()).unwrap().permissions().mode() & 0o777, 0o700);
    executor.remove(&run()).unwrap();
    assert!(!ground.folder().exists());
}

#[test]
fn another_operator_finds_a_run_that_lives_and_starts_no_second_one() {
    let ground = Ground::new(r#"echo x >> "$4"; while [ ! -e "$4.go" ]; do :; done; echo '{}'"#);
    let first = ground.executor();
    first.start(&run(), &task()).unwrap();
    let process = pid(&ground.folder());
    drop(first);
    let second = ground.executor();
    assert!(second.observe(&run()).unwrap().runs());
    second.start(&run(), &task()).unwrap();
    assert_eq!(pid(&ground.folder()), process);
    // It left the session of whoever started it, so nothing that ends that one reaches it.
    let session = rustix::process::getsid(rustix::process::Pid::from_raw(process)).unwrap();
    assert_eq!(session.as_raw_nonzero().get(), process);
    fs::write(ground.folder().join("kept/journal.go"), b"").unwrap();
    assert_eq!(ended(&second), Sighting::Done(serde_json::json!({})));
    assert_eq!(fs::read_to_string(ground.folder().join("kept/journal")).unwrap(), "x\n");
}

#[test]
fn a_killed_run_is_lost_and_taken_up_with_what_it_kept() {
    let ground = Ground::new(r#"echo x >> "$4"; echo '{"progress":{}}' >&2; while :; do sleep 1; done"#);
    let executor = ground.executor();
    executor.start(&run(), &task()).unwrap();
    let process = pid(&ground.folder());
    until("it works", || fs::read_to_string(ground.folder().join("kept/journal")).ok().filter(|t| !t.is_empty()));
    executor.kill(&run()).unwrap();
    assert_eq!(ended(&executor), Sighting::Lost);
    executor.start(&run(), &task()).unwrap();
    assert_ne!(pid(&ground.folder()), process);
    let kept = || fs::read_to_string(ground.folder().join("kept/journal")).ok().filter(|text| text == "x\nx\n");
    until("what was kept is there again", kept);
    executor.cancel(&run()).unwrap();
    assert_eq!(ended(&executor), Sighting::Lost);
}

#[test]
fn a_process_that_has_the_number_of_another_is_never_taken_for_it() {
    let ground = Ground::new("exec sleep 1000");
    let executor = ground.executor();
    executor.start(&run(), &task()).unwrap();
    pid(&ground.folder());
    executor.kill(&run()).unwrap();
    ended(&executor);
    // This very test has the number now. It began in about the same hundredth of a second, so another start is written.
    let file = ground.folder().join("process.json");
    let mut identity: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    identity["pid"] = std::process::id().into();
    identity["started"] = 1.into();
    fs::write(&file, identity.to_string()).unwrap();
    assert_eq!(executor.observe(&run()).unwrap(), Sighting::Lost);
    // Neither does a signal reach it: otherwise this line is the last one.
    executor.kill(&run()).unwrap();
}

#[test]
fn the_last_word_of_a_run_counts() {
    let word = r#"{"error":{"reason":"StoreFull","message":"no room","transient":false}}"#;
    let ground = Ground::new(&format!("echo '{{}}'; echo '{word}' >&2; exit 1"));
    let executor = ground.executor();
    executor.start(&run(), &task()).unwrap();
    let Sighting::Failed(fault) = ended(&executor) else { panic!("{:?}", executor.observe(&run())) };
    assert_eq!((fault.reason.as_str(), fault.message.as_str(), fault.wrote), ("StoreFull", "no room", false));
    // One that refuses its arguments says so in words, and would say so again.
    let ground = Ground::new("echo 'error: unexpected argument' >&2; exit 2");
    let executor = ground.executor();
    executor.start(&run(), &task()).unwrap();
    let Sighting::Failed(fault) = ended(&executor) else { panic!("{:?}", executor.observe(&run())) };
    assert!(fault.reason == "WorkerRefused" && fault.message.contains("unexpected argument"), "{fault:?}");
}
