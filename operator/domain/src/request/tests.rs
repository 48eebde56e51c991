use jiff::Timestamp;
use serde_json::json;
use zhengyun_crds::grant::GrantPhase;
use zhengyun_crds::request::{Finding, RequestPhase};
use zhengyun_crds::{ConditionType, Reason, ResourceGrant, ResourceRequest, condition, marks};

use super::{Assessment, Observed, Plan, entered, owes_zero, plan, refused};
use crate::amounts::{Amounts, ResourceName};
use crate::ledger::{Charge, Refusal};
use crate::policy::Selected;

const NOW: &str = "2026-03-02T08:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A request of finance for a container space; `submission` is what its spec says.
fn request(submission: i64, claimed: bool) -> ResourceRequest {
    let finalizers: Vec<&str> = if claimed { vec![marks::FINALIZER_CHARGE] } else { Vec::new() };
    serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ResourceRequest",
        "metadata": { "name": "r", "namespace": "dept-finance", "uid": "u", "generation": 1, "finalizers": finalizers },
        "spec": {
            "order": { "action": "Create", "system": "s", "site": "hohhot", "justification": "j",
                "items": [{ "item": "space", "name": "a", "parameters": {} }] },
            "submission": submission, "requestedBy": "clerk", "editedBy": "clerk"
        }
    }))
    .unwrap()
}

fn assessment() -> Assessment {
    let mut charge = Amounts::new();
    charge.set(ResourceName::try_from("cpu").unwrap(), "4".parse().unwrap());
    Assessment {
        order_digest: "sha256:1".to_owned(),
        charge,
        policy: Some(Selected {
            policy: zhengyun_crds::request::PolicyRef { name: "p".into(), uid: "p-uid".into(), generation: 1 },
            stages: vec![zhengyun_crds::request::StageRef {
                name: "department".into(),
                quorum: 1,
                deadline_working_days: 3,
                expires: false,
            }],
            auto_basis: None,
            confirm: true,
            required_materials: Vec::new(),
            correction_days: 10,
            hold_seconds: 5,
        }),
        ..Assessment::default()
    }
}

fn observed<'a>(request: &'a ResourceRequest, assessment: &'a Assessment, booked: &'a Charge) -> Observed<'a> {
    Observed {
        request,
        department: "finance",
        assessment: Some(assessment),
        effects: &[],
        site_findings: &[],
        site_unchecked: None,
        refusal: None,
        candidates: Vec::new(),
        grant: None,
        not_enforced: None,
        booked,
    }
}

fn status_of(plan: Plan) -> zhengyun_crds::request::ResourceRequestStatus {
    match plan {
        Plan::Report { status, .. } | Plan::Release(status) | Plan::Reserve { status, .. } => status,
        other => panic!("{other:?} writes no status"),
    }
}

fn ready(status: &zhengyun_crds::request::ResourceRequestStatus) -> String {
    condition::find(&status.conditions, ConditionType::Ready).map(|c| c.reason.clone()).unwrap_or_default()
}

#[test]
fn a_draft_says_what_it_would_be_and_then_rests() {
    let (mut request, assessment, nothing) = (request(0, false), assessment(), Charge::zero());
    let status = status_of(plan(&observed(&request, &assessment, &nothing), now()));
    assert_eq!((status.phase, ready(&status)), (Some(RequestPhase::Draft), Reason::NotSubmitted.to_string()));
    request.status = Some(status);
    assert_eq!(plan(&observed(&request, &assessment, &nothing), now()), Plan::Settled(None));
}

#[test]
fn a_submission_is_claimed_before_it_is_reserved() {
    let (assessment, nothing) = (assessment(), Charge::zero());
    let unclaimed = request(1, false);
    assert_eq!(plan(&observed(&unclaimed, &assessment, &nothing), now()), Plan::Claim);
    let claimed = request(1, true);
    let Plan::Reserve { charge, status } = plan(&observed(&claimed, &assessment, &nothing), now()) else {
        panic!("a claimed submission is reserved");
    };
    assert_eq!(charge, assessment.charge);
    assert_eq!((status.phase, status.submission), (Some(RequestPhase::InReview), 1));
    assert_eq!(status.review.map(|r| r.order_digest).as_deref(), Some("sha256:1"));
}

#[test]
fn what_the_ledger_would_refuse_is_refused_without_a_claim() {
    let (request, assessment, nothing) = (request(1, false), assessment(), Charge::zero());
    let refusal = Refusal::Held { site: "hohhot".into(), why: "totals differ".into() };
    let seen = Observed { refusal: Some(&refusal), ..observed(&request, &assessment, &nothing) };
    let status = status_of(plan(&seen, now()));
    assert_eq!(status.phase, Some(RequestPhase::Draft), "it stays editable");
    assert_eq!(status.refusal.map(|r| (r.reason, r.submission)), Some(("LedgerHeld".to_owned(), 1)));
    // What passes by itself is no answer: the writer decides when its turn comes.
    let passing = Refusal::Moving("finance".into());
    let seen = Observed { refusal: Some(&passing), ..observed(&request, &assessment, &nothing) };
    assert_eq!(plan(&seen, now()), Plan::Claim);
}

#[test]
fn the_numbers_of_a_refusal_stay_until_something_is_submitted_again() {
    let (mut request, assessment, nothing) = (request(1, false), assessment(), Charge::zero());
    let refusal = Refusal::Held { site: "hohhot".into(), why: "totals differ".into() };
    let seen = Observed { refusal: Some(&refusal), ..observed(&request, &assessment, &nothing) };
    request.status = Some(status_of(plan(&seen, now())));
    let effect = zhengyun_crds::request::AncestorEffect {
        department: "finance".into(),
        resource: "cpu".into(),
        limit: "64".into(),
        used: "60".into(),
        asked: "4".into(),
        short_by: "0".into(),
    };
    let effects = [effect];
    let later = Observed { effects: &effects, ..observed(&request, &assessment, &nothing) };
    assert_eq!(plan(&later, now()), Plan::Settled(None), "another use of the quota rewrites no refused request");
}

#[test]
fn a_submission_waits_for_a_site_that_cannot_check_it() {
    let (mut request, assessment, nothing) = (request(1, true), assessment(), Charge::zero());
    let waits = |request: &ResourceRequest| {
        let seen = Observed { site_unchecked: Some("no answer"), ..observed(request, &assessment, &nothing) };
        plan(&seen, now())
    };
    let status = status_of(waits(&request));
    assert_eq!((status.submission, ready(&status)), (0, Reason::SiteUnreachable.to_string()), "still to be submitted");
    request.status = Some(status);
    assert!(matches!(waits(&request), Plan::Settled(Some(at)) if at > now()), "and it is tried again by itself");
}

#[test]
fn findings_refuse_and_missing_guards_block() {
    let (request, assessment, nothing) = (request(1, true), assessment(), Charge::zero());
    let finding = Finding { pointer: "/order/site".into(), rule: "DryRunRefused".into(), message: "no".into() };
    let findings = [finding];
    let refused = Observed { site_findings: &findings, ..observed(&request, &assessment, &nothing) };
    let status = status_of(plan(&refused, now()));
    assert_eq!(status.refusal.map(|r| r.reason).as_deref(), Some("DryRunRefused"));
    let blocked = Observed { not_enforced: Some("a policy is missing"), ..observed(&request, &assessment, &nothing) };
    let status = status_of(plan(&blocked, now()));
    assert_eq!((status.submission, ready(&status)), (0, Reason::PolicyNotEnforced.to_string()));
}

#[test]
fn a_withdrawal_gives_back_what_was_reserved() {
    let (mut request, assessment) = (request(1, true), assessment());
    let reserved = Charge::reserved(assessment.charge.clone());
    request.status = Some(status_of(plan(&observed(&request, &assessment, &Charge::zero()), now())));
    request.spec.withdrawn = true;
    let Plan::Release(status) = plan(&observed(&request, &assessment, &reserved), now()) else {
        panic!("a reservation is released before the end is written");
    };
    assert_eq!(status.phase, Some(RequestPhase::Withdrawn));
}

/// Reserved under 5 and withdrawn before that was written, released under 6 and the operator ended before that was written: the next
/// one found nothing in the books and nothing on the request, and the entry stayed in the journal for good.
#[test]
fn a_release_is_said_also_by_a_request_that_never_showed_its_reservation() {
    let (mut request, assessment, nothing) = (request(1, true), assessment(), Charge::zero());
    request.spec.withdrawn = true;
    let Plan::Report { status, .. } = plan(&observed(&request, &assessment, &nothing), now()) else {
        panic!("nothing is left to release");
    };
    assert_eq!((status.phase, status.charge.as_ref()), (Some(RequestPhase::Withdrawn), None));
    assert!(owes_zero(&request, &nothing, Some(6)), "the journal waits for it");
    assert!(!owes_zero(&request, &nothing, None), "what was never charged owes nothing");
    let shows = |sequence, charge: &Amounts| {
        let mut request = request.clone();
        request.status = Some(entered(status.clone(), "hohhot", Some(sequence), charge));
        request
    };
    assert!(!owes_zero(&shows(6, &Amounts::new()), &nothing, Some(6)), "once said it is said, heard or not");
    assert!(owes_zero(&shows(4, &Amounts::new()), &nothing, Some(6)), "an earlier zero is not this one");
    assert!(owes_zero(&shows(5, &assessment.charge), &nothing, None), "a charge that is not in the books");
    let reserved = Charge::reserved(assessment.charge.clone());
    assert!(!owes_zero(&shows(5, &assessment.charge), &reserved, None), "what is charged is released first");
}

/// A paused operator that does not know yet that it lost the ledger refused, by its old books, what its successor had reserved: the
/// request stayed a refused draft, and the reservation stayed in the books.
#[test]
fn a_refused_submission_keeps_no_reservation_of_another_operator() {
    let (mut request, assessment, nothing) = (request(1, true), assessment(), Charge::zero());
    let refusal = Refusal::DoesNotFit { site: "hohhot".into(), effects: Vec::new() };
    let reserved = Charge::reserved(assessment.charge.clone());
    for phase in [RequestPhase::Draft, RequestPhase::ReturnedForCorrection] {
        let mut status = refused(&observed(&request, &assessment, &nothing), &refusal, now());
        status.phase = Some(phase);
        request.status = Some(status);
        let Plan::Release(after) = plan(&observed(&request, &assessment, &reserved), now()) else {
            panic!("{phase}: what was reserved for a refused submission is released");
        };
        assert_eq!((after.phase, after.refusal.is_some()), (Some(phase), true), "and it stays refused");
        request.status = Some(after);
        assert_eq!(plan(&observed(&request, &assessment, &nothing), now()), Plan::Settled(None));
    }
}

#[test]
fn an_order_may_be_deleted_once_its_grant_has_ended() {
    let (mut request, assessment, nothing) = (request(1, true), assessment(), Charge::zero());
    let mut grant: ResourceGrant = serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ResourceGrant", "metadata": { "name": "g" },
        "spec": { "department": "finance", "system": "s", "site": "hohhot", "request": { "name": "r", "uid": "u" }, "revision": 1,
            "class": "Standard", "items": [], "charge": {}, "bundle": {}, "confirm": false }
    }))
    .unwrap();
    let mut ended = |phase| {
        grant.status = Some(zhengyun_crds::grant::ResourceGrantStatus { phase: Some(phase), ..Default::default() });
        let mut status = request.status.clone().unwrap_or_default();
        status.phase = Some(RequestPhase::Applied);
        request.status = Some(status);
        let seen = Observed { grant: Some(&grant), ..observed(&request, &assessment, &nothing) };
        status_of(plan(&seen, now())).grant_ended
    };
    assert!(!ended(GrantPhase::InService));
    assert!(ended(GrantPhase::Revoked));
}

/// A confirmation of the delivery changes the spec of a request that is over: what was said stays, and speaks of the new generation.
#[test]
fn what_still_holds_speaks_of_the_present_generation() {
    let (assessment, nothing) = (assessment(), Charge::zero());
    let mut over = request(1, true);
    over.status = Some(serde_json::from_value(json!({ "phase": "Approved", "submission": 1 })).unwrap());
    over.status = Some(super::applied(&observed(&over, &assessment, &nothing), "g", now()));
    over.metadata.generation = Some(2);
    over.spec.delivery_confirmed = true;
    let status = status_of(plan(&observed(&over, &assessment, &nothing), now()));
    let ready = condition::find(&status.conditions, ConditionType::Ready).unwrap();
    assert_eq!((status.observed_generation, ready.observed_generation), (2, 2));
    over.status = Some(status);
    assert_eq!(plan(&observed(&over, &assessment, &nothing), now()), Plan::Settled(None));
}
