//! `init`: creates a repository.

use std::path::PathBuf;

use data_encoding::BASE32_NOPAD;
use serde::Serialize;
use tokio::runtime::Handle;

use crate::control::Control;
use crate::engine::rustic::Rustic;
use crate::error::{Result, WorkerError};
use crate::evidence::chain::{Chain, Event, KnownHead};
use crate::secret::{DepartmentKey, SigningKey, random, sha256_hex, write_secret};
use crate::store::Put;
use crate::store::open::{Place, StoreArgs};

use super::open::wrapped_name;

/// Create a repository.
#[derive(Clone, Debug, clap::Args)]
pub struct InitArgs {
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// File with the department's key: 32 bytes in base64.
    #[arg(long, env = "ZHENGYUN_KEY_FILE", value_name = "FILE")]
    pub key_file: PathBuf,
    /// File with the control plane's Ed25519 key as PKCS#8 in PEM; it signs the chain.
    #[arg(long, env = "ZHENGYUN_SIGNING_KEY_FILE", value_name = "FILE")]
    pub signing_key_file: PathBuf,
    /// New file for the escrow password: print it, lock it away, delete the file. Plain restic opens the repository with it.
    #[arg(long, value_name = "FILE")]
    pub escrow_out: PathBuf,
    /// Make the department's key and the signing key if their files are not there.
    #[arg(long)]
    pub generate: bool,
}

/// What was created.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InitReport {
    store: String,
    escrow_key: String,
    public_key: String,
    chain: KnownHead,
}

/// Creates the repository. The escrow password is written before anything is stored, so that no repository is without one.
pub fn init(args: &InitArgs, runtime: &Handle, control: &Control) -> Result<InitReport> {
    control.enter("init");
    let wanted = |file: &PathBuf| args.generate && !file.exists();
    let key = if wanted(&args.key_file) {
        DepartmentKey::generate("--key-file", &args.key_file)?
    } else {
        DepartmentKey::read("--key-file", &args.key_file)?
    };
    let signing = if wanted(&args.signing_key_file) {
        SigningKey::generate("--signing-key-file", &args.signing_key_file)?
    } else {
        SigningKey::read("--signing-key-file", &args.signing_key_file)?
    };
    let store = args.store.open(Place::New, runtime)?;
    if store.get("config")?.is_some() {
        return Err(WorkerError::RepositoryExists { store: store.location().to_owned() });
    }
    let password = BASE32_NOPAD.encode(&random::<25>()?);
    write_secret("--escrow-out", &args.escrow_out, &format!("{password}\n"))?;
    let created = Rustic::create(&store, &password, control)?;
    let wrapped =
        serde_json::to_vec(&key.wrap(&created.key)?).map_err(|e| WorkerError::engine("wrapping the key", e))?;
    let event = Event::Created {
        config: created.config,
        escrow_key: created.escrow_key.clone(),
        wrapped_key: sha256_hex(&wrapped),
    };
    store.put(&wrapped_name(), wrapped.into(), Put::Create)?;
    let chain = Chain::create(&store, &signing, event)?;
    Ok(InitReport {
        store: store.location().to_owned(),
        escrow_key: created.escrow_key,
        public_key: signing.public().text(),
        chain: chain.known_head(),
    })
}
