//! `zhengyun-worker`: backs up, verifies, restores and moves.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use zhengyun_worker::args::{Args, Command};
use zhengyun_worker::control::{Control, ProgressForm, Reporter, say};
use zhengyun_worker::error::{Result, WorkerError};
use zhengyun_worker::{mover, run};

fn main() -> ExitCode {
    // Two TLS providers in one process panic at run time, so the choice is made before anything else.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("zhengyun-worker: another TLS provider is installed already");
        return ExitCode::from(1);
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let form = args.progress;
    // A fault of a library is an error like others: whoever waits for the last line gets one. The message was printed already.
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| start(args)));
    match outcome.unwrap_or_else(|_| Err(WorkerError::engine("running the command", "it panicked"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(form, &error);
            ExitCode::from(if matches!(error, WorkerError::Input { .. }) { 2 } else { 1 })
        }
    }
}

/// Help, version, or arguments that cannot be used: programs are told in their own form.
fn usage(error: &clap::Error) -> ExitCode {
    // Where it cannot be printed, nobody reads it.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let asked = std::env::args().collect::<Vec<_>>();
    let json = asked.iter().any(|argument| argument == "--progress=json")
        || asked.iter().zip(asked.iter().skip(1)).any(|(name, form)| name == "--progress" && form == "json")
        || std::env::var_os("ZHENGYUN_PROGRESS").is_some_and(|form| form == "json");
    if json {
        let text = error.to_string();
        let problem = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        tell(ProgressForm::Json, &WorkerError::input("arguments", problem, "correct them; --help names all of them"));
    }
    ExitCode::from(2)
}

fn tell(form: ProgressForm, error: &WorkerError) {
    if form == ProgressForm::Json {
        let body = serde_json::json!({
            "error": { "reason": error.reason(), "message": error.to_string(), "transient": error.is_transient() }
        });
        eprintln!("{body}");
    } else {
        eprintln!("zhengyun-worker: {error}");
    }
}

fn start(args: Args) -> Result<()> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| WorkerError::engine("starting the runtime", e))?;
    let control = Control::new().with_limit(args.limit_kib.saturating_mul(1024));
    stop_on_signals(&runtime, &control)?;
    let reporter = Reporter::start(control.clone(), args.progress, args.heartbeat_file);
    let form = args.progress;
    let outcome = carry_out(args.command, &runtime, &control);
    drop(reporter);
    control.take_notes().iter().for_each(|note| say(form, note));
    outcome
}

/// The commands block, so they run on this thread and not on the runtime's.
fn carry_out(command: Command, runtime: &Runtime, control: &Control) -> Result<()> {
    let handle = runtime.handle();
    match command {
        Command::Init(args) => print(&run::init::init(&args, handle, control)?),
        Command::Probe(args) => print(&run::probe::probe(&args, handle, control)?),
        Command::Backup(args) => print(&run::backup::backup(&args, handle, control)?),
        Command::Replicate(args) => print(&run::replicate::replicate(&args, handle, control)?),
        Command::Forget(args) => print(&run::forget::forget(&args, handle, control)?),
        Command::Prune(args) => print(&run::prune::prune(&args, handle, control)?),
        Command::Snapshots(args) => print(&run::snapshots::snapshots(&args, handle, control)?),
        Command::Verify(args) => {
            let report = run::verify::verify(&args, handle, control)?;
            print(&report)?;
            match report.findings.first() {
                None => Ok(()),
                Some(_) if args.report_only => Ok(()),
                Some(first) => Err(WorkerError::NotIntact {
                    findings: report.findings.len(),
                    first: format!("{}: {}", first.part, first.problem),
                }),
            }
        }
        Command::Restore(args) => {
            let report = run::restore::restore(&args, handle, control)?;
            print(&report)?;
            let total =
                report.created + report.replaced + report.same + report.skipped + report.left_out + report.failed;
            if report.failed == 0 { Ok(()) } else { Err(WorkerError::Incomplete { failed: report.failed, total }) }
        }
        Command::Move(args) => {
            let (report, outcome) = mover::carry_out(*args, handle, control)?;
            print(&report)?;
            outcome
        }
    }
}

#[expect(clippy::print_stdout, reason = "the report is the output of the program")]
fn print<T: Serialize>(report: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(report).map_err(|e| WorkerError::engine("writing the report", e))?;
    println!("{text}");
    Ok(())
}

/// The first signal asks the run to stop; the second ends the process, which is safe at any point.
fn stop_on_signals(runtime: &Runtime, control: &Control) -> Result<()> {
    let _inside = runtime.enter();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).map_err(|e| WorkerError::engine("waiting for signals", e))?;
        let control = control.clone();
        runtime.spawn(async move {
            while signals.recv().await.is_some() {
                if control.is_cancelled() {
                    std::process::exit(1);
                }
                control.cancel();
            }
        });
    }
    Ok(())
}
