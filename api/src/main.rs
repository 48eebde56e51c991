//! The door of Zhengyun: reads arguments, then serves the REST API until it is told to stop.

use std::process::ExitCode;

use clap::Parser as _;
use zhengyun_api::{Args, RunError, logging, shutdown_signal};

/// Much of the processor time went into the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all: two crypto providers in one process panic at run time, so the choice is made before anything can make another.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let args = Args::parse();
    logging::start(&args);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&RunError::Runtime(error)),
    };
    match runtime.block_on(async { zhengyun_api::run(&args, shutdown_signal()?).await }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &RunError) -> ExitCode {
    tracing::error!("zhengyun-api stops: {error}");
    ExitCode::from(error.exit_code())
}
