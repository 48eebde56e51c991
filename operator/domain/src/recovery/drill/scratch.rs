//! The scratch of a drill: for each namespace a grant of the department that drills are charged to, as large as the grant whose copy is tried.

use jiff::SignedDuration;
use jiff::civil::Date;
use kube::ResourceExt;
use zhengyun_crds::grant::{Bundle, GrantClass, RequestRef, ResourceGrantSpec};
use zhengyun_crds::{AmountText, GrantPhase, RecoveryDrill, ResourceGrant, marks};

use crate::ledger::Refusal;

/// How long a drill may hold its room, unless its objective is longer.
pub(super) const LEASE: SignedDuration = SignedDuration::from_hours(24);

/// What is seen of the grant that a scratch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scratch {
    /// There is none.
    Absent,
    /// It is recorded, and not in service yet; what it says of itself.
    Coming(String),
    /// It is in service.
    Ready,
    /// It is being ended; what it says of itself.
    Ending(String),
    /// It is over, and nothing is left at the site.
    Gone,
}

impl Scratch {
    /// From the grant's phase and the message of its condition.
    pub fn seen(phase: GrantPhase, said: &str) -> Self {
        match phase {
            GrantPhase::Pending | GrantPhase::Provisioning => Self::Coming(said.to_owned()),
            GrantPhase::InService => Self::Ready,
            GrantPhase::Revoking => Self::Ending(said.to_owned()),
            GrantPhase::Revoked => Self::Gone,
        }
    }

    /// Several as one, as long as something is to be restored: all must stand. None is as good as one that stands, for nothing is missing.
    pub fn together(all: Vec<Self>) -> Self {
        let rank = |one: &Self| match one {
            Self::Absent | Self::Gone => 0,
            Self::Ending(_) => 1,
            Self::Coming(_) => 2,
            Self::Ready => 3,
        };
        all.into_iter().min_by_key(rank).unwrap_or(Self::Ready)
    }

    /// Several as one, once they are to go: what is farthest from that counts.
    pub fn farthest(all: Vec<Self>) -> Self {
        let rank = |one: &Self| match one {
            Self::Ready | Self::Coming(_) => 0,
            Self::Ending(_) => 1,
            Self::Absent | Self::Gone => 2,
        };
        all.into_iter().min_by_key(rank).unwrap_or(Self::Absent)
    }
}

/// What a drill asks for.
///
/// It is charged what the grant is charged whose copy is restored, because in an emergency as much would be needed. Its frame lets
/// no pod run: what is restored is compared, and must not act, send or answer anything a second time.
pub fn spec(drill: &RecoveryDrill, source: &ResourceGrant, today: Date) -> ResourceGrantSpec {
    let mut ceilings = source.spec.bundle.ceilings.clone();
    ceilings.insert("pods".to_owned(), AmountText::from("0"));
    ResourceGrantSpec {
        department: marks::DRILL_DEPARTMENT.to_owned(),
        system: source.spec.system.clone(),
        site: drill.spec.site.clone(),
        request: RequestRef { name: drill.name_any(), uid: drill.uid().unwrap_or_default() },
        revision: 1,
        class: GrantClass::Temporary,
        lease_end: today.tomorrow().ok().map(|day| day.to_string()),
        items: Vec::new(),
        charge: source.spec.charge.clone(),
        bundle: Bundle {
            ceilings,
            // What claims that are restored may leave behind is looked for as after the grant itself.
            residue: source.spec.bundle.residue.clone(),
            ..Bundle::default()
        },
        confirm: false,
        revocation: None,
    }
}

/// Whether a refusal means that there is no room, so that the drill is skipped; otherwise it waits.
pub const fn is_no_room(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::DoesNotFit { .. } | Refusal::Effect(_))
}

#[cfg(test)]
mod tests {
    use super::Scratch;

    #[test]
    fn several_scratches_stand_when_all_do_and_are_gone_when_all_are() {
        let coming = || Scratch::Coming("waits".to_owned());
        let ending = || Scratch::Ending("goes".to_owned());
        for (all, together, farthest) in [
            (vec![], Scratch::Ready, Scratch::Absent),
            (vec![Scratch::Ready, Scratch::Ready], Scratch::Ready, Scratch::Ready),
            (vec![Scratch::Ready, coming()], coming(), Scratch::Ready),
            (vec![coming(), ending()], ending(), coming()),
            (vec![Scratch::Ready, Scratch::Gone], Scratch::Gone, Scratch::Ready),
            (vec![Scratch::Gone, ending()], Scratch::Gone, ending()),
            (vec![Scratch::Absent, Scratch::Gone], Scratch::Absent, Scratch::Absent),
        ] {
            assert_eq!(Scratch::together(all.clone()), together, "{all:?}");
            assert_eq!(Scratch::farthest(all.clone()), farthest, "{all:?}");
        }
    }
}
