//! Dumps and restores that break off: at the server, by kill -9, in the middle.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Stage, stand_in};
use crate::postgres::PASSWORD;
use crate::support::{refused, report};

const DUMPING: &str = "zhengyun-worker-pg_dump";
const RESTORING: &str = "zhengyun-worker-pg_restore";

fn quiet(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_dump_that_breaks_off_at_the_server_is_no_backup() {
    let stage = Stage::new(1_000);
    // It waits for a table, until its session is ended.
    let mut holder = stage.server.session("app").unwrap();
    std::io::Write::write_all(holder.stdin.as_mut().unwrap(), b"BEGIN; LOCK TABLE invoice;\n").unwrap();
    let waiting = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'invoice'::regclass";
    let begun = Instant::now();
    while stage.server.sql("app", waiting).unwrap() == "0" {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    let backup = stage.backup().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    stage.until(DUMPING, |sessions| sessions > 0);
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{DUMPING}'");
    stage.server.sql("postgres", &end).unwrap();
    let output = backup.wait_with_output().unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("\"DumpFailed\""), "{stderr}");
    let listed = report(&mut stage.place.worker("snapshots"));
    assert_eq!((&listed["backups"], &listed["unfinished"]), (&json!([]), &json!([])));
    // One that says the same of itself at its end.
    let real = stage.server.bin().join("pg_dump");
    let script = format!("case $1 in --version) exec {0} $1;; esac; {0} \"$@\"; exit 3", real.display());
    let (reason, message) = refused(stage.backup().arg("--postgres-bin").arg(stand_in(&stage, "pg_dump", &script)));
    assert_eq!(reason, "DumpFailed", "{message}");
    report(&mut stage.backup());
    report(&mut stage.place.worker("verify"));
    stage.place.restic_agrees();
}

#[test]
fn a_dump_that_falls_silent_in_the_middle_is_given_up() {
    let stage = Stage::new(1_000);
    let script = |beginning: &str| {
        let real = stage.server.bin().join("pg_dump");
        format!("case $1 in --version) exec {} $1;; esac; {beginning}", real.display())
    };
    // More than is read at once, so that it is heard before it is silent.
    let folder = stand_in(&stage, "pg_dump", &script("head -c 20000000 /dev/zero; exec sleep 1000"));
    let begun = Instant::now();
    let mut backup = stage.backup();
    let (reason, message) = refused(backup.args(["--longest-silence", "1", "--postgres-bin"]).arg(folder));
    assert!(begun.elapsed() < Duration::from_secs(300), "{:?}", begun.elapsed());
    assert_eq!(reason, "DumpFailed", "{message}");
    assert!(message.contains("wrote nothing for 1 s") && message.contains("the server answers"), "{message}");
    let listed = report(&mut stage.place.worker("snapshots"));
    assert_eq!((&listed["backups"], &listed["unfinished"]), (&json!([]), &json!([])));
    // A slow store is no silence of the server.
    let slow = "SET ROLE app; CREATE TABLE bulk (t text); INSERT INTO bulk SELECT md5(n::text) FROM generate_series(1, 400000) n";
    stage.server.sql("app", slow).unwrap();
    report(stage.backup().args(["--longest-silence", "1", "--limit-kib", "4000"]));
}

#[test]
fn a_backup_that_is_killed_in_the_middle_of_a_dump_begins_it_anew_and_leaves_nobody_at_the_server() {
    let stage = Stage::new(1_000);
    // Much enough that a slow upload holds the dump up.
    let bulk = "SET ROLE app; CREATE TABLE bulk (n int, t text); ALTER TABLE bulk ALTER t SET STORAGE EXTERNAL;
        INSERT INTO bulk SELECT n, (SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, 32768) i) FROM generate_series(1, 64) n";
    stage.server.sql("app", bulk).unwrap();
    let run = || {
        let mut backup = stage.backup();
        backup.args(["--run", "nightly"]);
        backup
    };
    for stored in [1, 2] {
        let mut child = quiet(run().args(["--limit-kib", "8000"]));
        stage.until(DUMPING, |sessions| sessions > 0);
        let begun = Instant::now();
        while stage.place.stored("data").len() < stored && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(spoken_of(PASSWORD), 0, "a password is on a command line");
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        stage.until(DUMPING, |sessions| sessions == 0);
        stage.until("zhengyun-worker", |sessions| sessions == 0);
        let listed = report(&mut stage.place.worker("snapshots"));
        assert_eq!(listed["backups"], json!([]), "a backup is whole or not there");
    }
    report(&mut run());
    let listed = report(&mut stage.place.worker("snapshots"));
    assert_eq!((listed["backups"].as_array().unwrap().len(), &listed["unfinished"]), (1, &json!([])), "{listed:#}");
    report(&mut stage.place.worker("verify"));
    stage.place.restic_agrees();
    stage.create("back");
    report(&mut stage.restore("back"));
    stage.same("app", "back");
}

/// Processes with a text on their command line, which everybody on a machine can read.
fn spoken_of(text: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.windows(text.len()).any(|window| window == text.as_bytes())
    })
    .count()
}

#[test]
fn a_restore_that_is_killed_leaves_what_was_there_and_can_be_run_again() {
    let stage = Stage::new(200_000);
    report(&mut stage.backup());
    stage.renew("back");
    let mut killed = 0;
    for wait in [0, 150, 500] {
        let mut child = quiet(&mut stage.restore("back"));
        let begun = Instant::now();
        while stage.server.sessions(RESTORING).unwrap() == 0 && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
        std::thread::sleep(Duration::from_millis(wait));
        assert_eq!(spoken_of(PASSWORD), 0, "a password is on a command line");
        child.kill().unwrap();
        if !child.wait().unwrap().success() {
            killed += 1;
            stage.until(RESTORING, |sessions| sessions == 0);
            let there = stage.server.digests("back").unwrap();
            assert!(there.is_empty() || there == stage.server.digests("app").unwrap(), "a half restored database");
        }
    }
    assert!(killed >= 1, "none was killed in the middle");
    let done = report(&mut stage.restore("back"));
    assert_eq!(done["failed"], 0, "{done:#}");
    stage.same("app", "back");
    // Over a database that is in use, the old state stays until the new one stands.
    stage.server.sql("back", "DELETE FROM task").unwrap();
    let before = stage.server.digests("back").unwrap();
    let mut child = quiet(stage.restore("back").args(["--existing", "replace"]));
    let begun = Instant::now();
    while stage.server.sessions(RESTORING).unwrap() == 0 && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    stage.until(RESTORING, |sessions| sessions == 0);
    let there = stage.server.digests("back").unwrap();
    assert!(there == before || there == stage.server.digests("app").unwrap(), "a half replaced database");
    report(stage.restore("back").args(["--existing", "replace"]));
    stage.same("app", "back");
}
