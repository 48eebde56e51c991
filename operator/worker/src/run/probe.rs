//! `probe`: is a store the one that was joined, can it be read and written, can it do what the lease rests on, how much lies in it.

use data_encoding::HEXLOWER;
use serde::Serialize;
use tokio::runtime::Handle;

use crate::control::Control;
use crate::error::{Result, WorkerError};
use crate::secret::random;
use crate::store::open::{Place, StoreArgs};
use crate::store::{Put, Store};

/// Object that says which store it is. A bucket that was emptied, or another one in its place, does not have it.
const MARK: &str = "zhengyun-store";

/// Look at a store.
#[derive(Clone, Debug, clap::Args)]
pub struct ProbeArgs {
    /// Which.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Identity that it must have; without it, one is given to a store that has none.
    #[arg(long, value_name = "HEX")]
    pub identity: Option<String>,
    /// UID of the hub that uses it: a store that another hub marked as its own is refused.
    #[arg(long, value_name = "UID", default_value = "")]
    pub hub: String,
}

/// What was seen.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeReport {
    /// Which store it is.
    pub identity: String,
    /// Bytes of everything in it.
    pub used_bytes: u64,
}

/// Looks at a store.
pub fn probe(args: &ProbeArgs, runtime: &Handle, control: &Control) -> Result<ProbeReport> {
    control.enter("opening");
    let store = args.store.open(Place::Existing, runtime)?;
    let identity = identity(&store, args.identity.as_deref(), &args.hub)?;
    control.enter("writing");
    creates_once(&store)?;
    control.enter("listing");
    Ok(ProbeReport { identity, used_bytes: store.measure()? })
}

fn identity(store: &Store, wanted: Option<&str>, hub: &str) -> Result<String> {
    let refused = |problem: String, fix: &'static str| WorkerError::StoreRefused {
        store: store.location().to_owned(),
        action: format!("reading {MARK}"),
        reason: "AnotherStore",
        problem,
        fix,
    };
    if wanted.is_none() && read(store)?.is_none() {
        // If somebody else is first, theirs stands.
        let new = HEXLOWER.encode(&random::<16>()?);
        store.put(MARK, format!("{new}\n{hub}\n").into(), Put::Create)?;
    }
    let (found, owner) = match read(store)? {
        Some((identity, owner)) => (Some(identity), owner),
        None => (None, String::new()),
    };
    if !hub.is_empty() && !owner.is_empty() && owner != hub {
        return Err(refused(
            format!("it belongs to the hub with UID {owner}, and this is {hub}"),
            "give each hub a bucket or prefix of its own; if that hub is gone for good, delete the object zhengyun-store in it",
        ));
    }
    match (found, wanted) {
        (Some(found), Some(wanted)) if found != wanted => Err(refused(
            format!("it is store {found}, {wanted} was joined"),
            "bring the right bucket back; another one stands in its place",
        )),
        (None, Some(wanted)) => Err(refused(
            format!("it is not store {wanted} that was joined: it was emptied, or is another one"),
            "bring the right bucket back; nothing is written until then",
        )),
        (Some(found), _) => Ok(found),
        (None, None) => {
            Err(refused("what was written is not there".to_owned(), "use a server that shows what was written at once"))
        }
    }
}

/// Identity, and the hub that it belongs to; that is empty where none was named.
fn read(store: &Store) -> Result<Option<(String, String)>> {
    Ok(store.get(MARK)?.map(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines().map(|line| line.trim().to_owned());
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
    }))
}

/// Of two writers that create the same object, one must lose: otherwise two runs could hold a repository at once.
fn creates_once(store: &Store) -> Result<()> {
    let name = format!("{MARK}-probe-{}", HEXLOWER.encode(&random::<8>()?));
    let first = store.put(&name, "x".into(), Put::Create)?;
    let second = store.put(&name, "y".into(), Put::Create);
    store.delete(&name)?;
    if first && !second? {
        return Ok(());
    }
    Err(WorkerError::StoreRefused {
        store: store.location().to_owned(),
        action: "creating an object twice".to_owned(),
        reason: "StoreUnfit",
        problem: "both times succeeded: it does not heed If-None-Match".to_owned(),
        fix: "use a server that supports conditional writes",
    })
}
