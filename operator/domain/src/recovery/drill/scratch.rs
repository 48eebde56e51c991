//! The scratch of a drill: a grant of the department that drills are charged to, as large as the grant whose copy is tried.

use jiff::SignedDuration;
use jiff::civil::Date;
use kube::ResourceExt;
use zhengyun_crds::grant::{Bundle, GrantClass, RequestRef, ResourceGrantSpec};
use zhengyun_crds::{AmountText, RecoveryDrill, ResourceGrant, marks};

use crate::ledger::Refusal;

/// How long a drill may hold its room, unless its objective is longer.
pub(super) const LEASE: SignedDuration = SignedDuration::from_hours(24);

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
