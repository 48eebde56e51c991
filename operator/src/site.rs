//! Sites: how objects reach a member cluster, and how it is known what stands there.
//!
//! A [`link::SiteLink`] is the connection to one site. What is done over it is behind [`driver::SiteDriver`], so that another
//! way of delivery can take its place: here it is direct, from this process to the site's API server.
//!
//! Every write carries the operator's epoch and is refused by the site once a newer operator has raised the [`fence`].

mod call;
mod direct;
pub mod driver;
mod error;
mod facts;
pub mod fence;
mod kinds;
pub mod kubeconfig;
pub mod link;
mod watch;

pub use error::SiteError;
pub use watch::Touch;
