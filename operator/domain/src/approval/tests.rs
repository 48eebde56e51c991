use rstest::rstest;
use serde_json::json;
use zhengyun_crds::Reason;
use zhengyun_crds::approval::{Approval, Verdict};
use zhengyun_crds::request::{Decision, OpenStage, Review};

use super::{Candidate, Case, Evaluation, Outcome, evaluate};

const OPENED: &str = "2026-03-02T08:00:00Z";

fn approval(name: &str, who: &str, stage: &str, verdict: &str, at: &str) -> Approval {
    serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "Approval",
        "metadata": { "name": name, "uid": format!("uid-{name}"), "creationTimestamp": at },
        "spec": {
            "request": "r", "requestUID": "u", "orderDigest": "sha256:1", "stage": stage, "verdict": verdict, "reason": "because",
            "approver": { "username": who, "groups": [] }
        }
    }))
    .unwrap()
}

fn decision(who: &str, stage: &str, round: i64, verdict: Verdict, at: &str) -> Decision {
    serde_json::from_value(json!({
        "round": round, "stage": stage, "approval": format!("by-{who}"), "uid": format!("uid-by-{who}"), "approver": who,
        "verdict": verdict, "orderDigest": "sha256:1", "reason": "because", "at": at
    }))
    .unwrap()
}

/// A request of zhang, edited by zhao, at its second stage of two, which needs two people.
fn judge(decisions: &[Decision], approvals: &[Approval]) -> Evaluation {
    let review: Review = serde_json::from_value(json!({
        "orderDigest": "sha256:1", "round": 2, "policy": { "name": "p", "uid": "p-uid", "generation": 1 }, "charge": {},
        "stages": [{ "name": "department", "quorum": 1 }, { "name": "technical", "quorum": 2 }]
    }))
    .unwrap();
    let stage: OpenStage =
        serde_json::from_value(json!({ "name": "technical", "index": 1, "openedAt": OPENED })).unwrap();
    let editors = ["zhao".to_owned()];
    let case = Case { uid: "u", review: &review, stage: &stage, requested_by: "zhang", editors: &editors, decisions };
    let candidates: Vec<_> = approvals.iter().map(|approval| Candidate { approval, entitled: true }).collect();
    evaluate(&case, &candidates)
}

fn department() -> Vec<Decision> {
    vec![decision("head", "department", 2, Verdict::Approve, "2026-03-02T07:00:00Z")]
}

fn reasons(evaluation: &Evaluation) -> Vec<Reason> {
    evaluation.judgements.iter().map(|j| j.reason).collect()
}

#[rstest]
#[case("li", "technical", Reason::Counted)]
#[case("li", "department", Reason::StageNotOpen)]
#[case("li", "invented", Reason::StageNotOpen)]
#[case("zhang", "technical", Reason::DutiesNotSeparate)]
#[case("zhao", "technical", Reason::DutiesNotSeparate)]
#[case("head", "technical", Reason::DutiesNotSeparate)]
fn who_and_what_counts(#[case] who: &str, #[case] stage: &str, #[case] expected: Reason) {
    let judged = judge(&department(), &[approval("a", who, stage, "Approve", "2026-03-02T09:00:00Z")]);
    assert_eq!(reasons(&judged), [expected]);
    assert_eq!(judged.counted.len(), usize::from(expected == Reason::Counted));
}

#[test]
fn two_people_are_two_people() {
    let twice = ["a", "b"].map(|name| approval(name, "li", "technical", "Approve", "2026-03-02T09:00:00Z"));
    let judged = judge(&department(), &twice);
    assert_eq!(reasons(&judged), [Reason::Counted, Reason::DutiesNotSeparate]);
    assert_eq!(judged.outcome, Outcome::Waiting { missing: 1 });
    let two = ["li", "wang"].map(|who| approval(who, who, "technical", "Approve", "2026-03-02T09:00:00Z"));
    assert_eq!(judge(&department(), &two).outcome, Outcome::Approved);
}

#[test]
fn one_who_returns_it_ends_the_stage_for_all() {
    let approvals = [
        approval("b", "wang", "technical", "Approve", "2026-03-02T09:00:01Z"),
        approval("a", "li", "technical", "Return", "2026-03-02T09:00:00Z"),
    ];
    let judged = judge(&department(), &approvals);
    assert_eq!(reasons(&judged), [Reason::Counted, Reason::StageNotOpen]);
    assert_eq!(judged.outcome, Outcome::Returned { by: "li".into(), reason: "because".into() });
}

/// The operator's clock may be ahead of the hub's, which dates approvals.
#[test]
fn a_decision_after_the_stage_opened_counts_whatever_the_operators_clock_says() {
    let judged = judge(&department(), &[approval("a", "li", "technical", "Approve", "2026-03-02T07:00:00Z")]);
    assert_eq!(reasons(&judged), [Reason::Counted]);
}

/// One that was under way as the request was returned is about the round that ended.
#[test]
fn a_decision_of_before_is_not_counted_later() {
    let mut decisions = vec![decision("chief", "technical", 1, Verdict::Return, "2026-03-01T10:00:00Z")];
    decisions.extend(department());
    let judged = judge(&decisions, &[approval("a", "li", "technical", "Approve", "2026-03-01T09:59:59Z")]);
    assert_eq!(reasons(&judged), [Reason::StageNotOpen]);
    assert!(judged.judgements[0].message.contains("decide again"), "{}", judged.judgements[0].message);
}

/// The second of two at one stage may have been written before the first, and seen after it.
#[test]
fn the_order_within_a_stage_does_not_matter() {
    let mut decisions = department();
    decisions.push(decision("wang", "technical", 2, Verdict::Approve, "2026-03-02T09:00:00Z"));
    let judged = judge(&decisions, &[approval("a", "li", "technical", "Approve", "2026-03-02T08:59:59Z")]);
    assert_eq!((reasons(&judged), judged.outcome), (vec![Reason::Counted], Outcome::Approved));
}

#[test]
fn what_was_judged_is_not_judged_again() {
    let mut judged_before = approval("a", "li", "technical", "Approve", "2026-03-02T09:00:00Z");
    judged_before.status = serde_json::from_value(json!({ "conditions": [{
        "type": "Ready", "status": "False", "reason": "NotEntitled", "message": "no", "observedGeneration": 1,
        "lastTransitionTime": OPENED
    }] }))
    .unwrap();
    assert_eq!(judge(&department(), &[judged_before]).judgements, []);
}

/// It counted, and the write that should have said so was not answered: the stage goes on, and the approval is still told.
#[test]
fn what_counted_before_and_was_not_told_is_told() {
    let decisions = [decision("head", "department", 2, Verdict::Approve, "2026-03-02T07:00:00Z")];
    let judged = judge(&decisions, &[approval("by-head", "head", "department", "Approve", "2026-03-02T07:00:00Z")]);
    assert_eq!((reasons(&judged), judged.counted), (vec![Reason::Counted], vec![]));
    assert_eq!(judged.outcome, Outcome::Waiting { missing: 2 });
}
