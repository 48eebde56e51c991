//! `zhengyun-operator`: the controllers, the ledger and the delivery to sites.

use std::process::ExitCode;

use clap::Parser;
use zhengyun_operator::runtime::args::Args;

/// A third of the processor time went into the system's allocator, and much memory did not come back from it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Two TLS providers in one process panic at run time, so the choice is made before anything else.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("zhengyun-operator: another TLS provider is installed already");
        return ExitCode::from(1);
    }
    let args = Args::parse();
    match zhengyun_operator::runtime::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zhengyun-operator: {error:#}");
            ExitCode::from(1)
        }
    }
}
