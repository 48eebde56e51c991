//! Why the ledger refuses a decision.

use zhengyun_crds::Reason;
use zhengyun_crds::request::AncestorEffect;

use crate::amounts::AmountError;
use crate::quota::{self, EffectError};

/// Why a decision is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not fit somewhere in the chain, or at the site.
    #[error("{}", .effects.iter().map(|e| quota::explain(e, .site)).collect::<Vec<_>>().join("; "))]
    DoesNotFit {
        /// Site.
        site: String,
        /// Every node and resource at which it does not fit, nearest first.
        effects: Vec<AncestorEffect>,
    },
    /// The books take no new charge.
    #[error("the ledger of site {site} takes no new charges until an administrator accepts its audit: {why}")]
    Held {
        /// Site.
        site: String,
        /// Why.
        why: String,
    },
    /// A charged object of the department vanished.
    #[error(
        "a charged object of department {department} vanished ({object}); its charge is kept and nothing new is charged to the department until an administrator accepts the audit of the ledger of site {site}"
    )]
    Quarantined {
        /// Department.
        department: String,
        /// What vanished.
        object: String,
        /// Site.
        site: String,
    },
    /// The department is being moved in the tree.
    #[error("department {0} is being moved in the tree; try again in a moment")]
    Moving(String),
    /// The department has no place, or a sum is too large.
    #[error(transparent)]
    Effect(#[from] EffectError),
}

impl Refusal {
    /// The condition reason.
    pub fn reason(&self) -> Reason {
        match self {
            Self::DoesNotFit { effects, .. } if effects.iter().all(|e| e.department.is_empty()) => {
                Reason::CapacityExceeded
            }
            Self::DoesNotFit { .. } => Reason::QuotaExceeded,
            Self::Held { .. } => Reason::LedgerHeld,
            Self::Quarantined { .. } => Reason::Quarantined,
            Self::Moving(_) => Reason::LedgerBusy,
            Self::Effect(EffectError::Tree(_)) => Reason::DepartmentNotFound,
            Self::Effect(EffectError::Amount(_)) => Reason::Invalid,
        }
    }

    /// Whether trying again without any change by a user makes sense.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Moving(_))
    }
}

impl From<AmountError> for Refusal {
    fn from(error: AmountError) -> Self {
        Self::Effect(EffectError::Amount(error))
    }
}
