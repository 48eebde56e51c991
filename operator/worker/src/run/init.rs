//! `init`: creates a repository.

use std::path::{Path, PathBuf};

use data_encoding::BASE32_NOPAD;
use serde::Serialize;
use tokio::runtime::Handle;

use crate::control::Control;
use crate::engine::backend::Access;
use crate::engine::rustic::Rustic;
use crate::error::{Result, WorkerError};
use crate::evidence::chain::{Chain, Event, KnownHead};
use crate::secret::{DepartmentKey, SigningKey, random, read_secret, sha256_hex, write_secret};
use crate::store::open::{Place, StoreArgs};
use crate::store::{OWN, Put, Store};

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
///
/// Until the first link of the chain is there, no backup can be made. So what a killed `init` left is thrown away by the next one,
/// and one that was killed after that link is brought to its end.
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
    let is_ours = store.get(&marker())?.is_some();
    let is_whole = !store.list(&format!("{OWN}/chain"))?.is_empty();
    if !is_ours && (is_whole || Rustic::exists(&store)?) {
        return Err(WorkerError::RepositoryExists { store: store.location().to_owned() });
    }
    let staged = staged(&args.escrow_out);
    if is_whole {
        let opens = |file: &Path| {
            read_secret("--escrow-out", file)
                .and_then(|password| Rustic::open_with_password(&store, password.trim(), Access::Read, control))
                .is_ok()
        };
        if !opens(&args.escrow_out) {
            if !opens(&staged) {
                return Err(WorkerError::RepositoryExists { store: store.location().to_owned() });
            }
            give_name(&staged, &args.escrow_out)?;
        }
        return finish(&store, &signing);
    }
    if args.escrow_out.exists() {
        let problem = format!("\"{}\" is there already", args.escrow_out.display());
        return Err(WorkerError::input("--escrow-out", problem, "name a file that does not exist"));
    }
    if is_ours {
        clear(&store)?;
    }
    store.put(&marker(), "an init under way\n".into(), Put::Replace)?;
    let password = BASE32_NOPAD.encode(&random::<25>()?);
    remove(&staged)?;
    write_secret("--escrow-out", &staged, &format!("{password}\n"))?;
    let created = Rustic::create(&store, &password, control)?;
    let wrapped =
        serde_json::to_vec(&key.wrap(&created.key)?).map_err(|e| WorkerError::engine("wrapping the key", e))?;
    let event =
        Event::Created { config: created.config, escrow_key: created.escrow_key, wrapped_key: sha256_hex(&wrapped) };
    store.put(&wrapped_name(), wrapped.into(), Put::Create)?;
    Chain::create(&store, &signing, event)?;
    give_name(&staged, &args.escrow_out)?;
    finish(&store, &signing)
}

/// Says in the store that a repository is being created there: what lies there without a chain is ours to throw away.
fn marker() -> String {
    format!("{OWN}/init")
}

/// What the file of the escrow password is called until the repository is whole.
fn staged(escrow: &Path) -> PathBuf {
    let mut name = escrow.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

fn clear(store: &Store) -> Result<()> {
    for key in store.list("keys")? {
        store.delete(&key.name)?;
    }
    store.delete("config")?;
    store.delete(&wrapped_name())
}

fn remove(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(WorkerError::local(file, error)),
        _ => Ok(()),
    }
}

/// The escrow password comes to its place, where nothing is replaced.
fn give_name(staged: &Path, escrow: &Path) -> Result<()> {
    std::fs::hard_link(staged, escrow).map_err(|e| WorkerError::local(escrow, e))?;
    remove(staged)
}

/// Says what was created, and that nothing is under way any more.
fn finish(store: &Store, signing: &SigningKey) -> Result<InitReport> {
    let chain = Chain::read(store, Some(&signing.public()))?;
    let Some(Event::Created { escrow_key, .. }) = chain.statements.first().map(|s| &s.event) else {
        return Err(WorkerError::damaged("the chain", "it does not begin with the creation of the repository"));
    };
    store.delete(&marker())?;
    Ok(InitReport {
        store: store.location().to_owned(),
        escrow_key: escrow_key.clone(),
        public_key: chain.signer.text(),
        chain: chain.known_head(),
    })
}
