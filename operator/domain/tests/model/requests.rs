//! The next step with a request, by the real `plan`, asked once for everything that the model can show it.

use serde_json::json;
use zhengyun_crds::approval::Approval;
use zhengyun_crds::ledger::ObjectCharge;
use zhengyun_crds::request::{Action, PolicyRef, RequestPhase, ResourceRequestStatus, StageRef};
use zhengyun_crds::{ResourceGrant, ResourceRequest, marks};
use zhengyun_domain::amounts::Amounts;
use zhengyun_domain::approval::Candidate;
use zhengyun_domain::ledger::{Charge, Refusal};
use zhengyun_domain::policy::Selected;
use zhengyun_domain::request::{
    Assessment, Observed, Plan, Submission, Surroundings, applied, assess, entered, owes_zero, plan, refused,
};

use super::grants::{Grants, now};
use super::state::{GrantAt, Holding, RequestAt};
use super::town::{SITE, amounts};

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

/// What the plan for a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Next {
    /// Nothing.
    #[default]
    Rest,
    /// Reserve, then write the status that enters review.
    Reserve,
    /// Bring the ledger to zero, then write the status of where it goes.
    Release(RequestAt),
    /// Write the status of where it goes.
    Report(RequestAt),
    /// Create the grant, move the charge, write both statuses.
    Grant,
    /// Something that the model does not know.
    Unknown,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Where the request stands.
    pub(crate) at: RequestAt,
    /// Whether it is withdrawn.
    pub(crate) withdrawn: bool,
    /// What it shows of its charge.
    pub(crate) own: Holding,
    /// Whether the books charge it.
    pub(crate) booked: bool,
}

impl View {
    const COUNT: usize = 7 * 2 * 3 * 2;

    const fn place(self) -> usize {
        ((self.at as usize * 2 + self.withdrawn as usize) * 3 + self.own as usize) * 2 + self.booked as usize
    }
}

/// The plans.
#[derive(Debug)]
pub(crate) struct Plans {
    table: [Next; View::COUNT],
    revocable: [bool; 14],
    owes_zero: [bool; 12],
    /// Where a refusal by the ledger leads.
    pub(crate) after_refusal: Option<RequestAt>,
    /// Where a committed reservation leads.
    pub(crate) after_reservation: Option<RequestAt>,
    /// Where the move of the charge to the grant leads.
    pub(crate) after_move: Option<RequestAt>,
}

impl Plans {
    /// Asks for every plan.
    pub(crate) fn ask(grants: &Grants) -> Self {
        let desk = Desk::new();
        let mut table = [Next::Unknown; View::COUNT];
        for at in ALL {
            for withdrawn in [false, true] {
                for own in [Holding::Unsaid, Holding::Held, Holding::Nothing] {
                    for booked in [false, true] {
                        let view = View { at, withdrawn, own, booked };
                        table[view.place()] = desk.plan(view, grants);
                    }
                }
            }
        }
        let mut revocable = [false; 14];
        for (at, revocation, grant) in grants.examples() {
            revocable[at as usize * 2 + usize::from(revocation)] = desk.revocable(grant);
        }
        let mut zero = [false; 12];
        for own in [Holding::Unsaid, Holding::Held, Holding::Nothing] {
            for (booked, unshown) in [(false, false), (false, true), (true, false), (true, true)] {
                let request = desk.request(RequestAt::InReview, false, own);
                zero[owed(own, booked, unshown)] = owes_zero(&request, &desk.booked(booked), unshown.then_some(2));
            }
        }
        let submitted = desk.request(RequestAt::Submitted, false, Holding::Unsaid);
        let approved = desk.request(RequestAt::Approved, false, Holding::Held);
        let grant = grants.example(GrantAt::Provisioning, false);
        let booked = Charge::zero();
        Self {
            after_refusal: desk.decode(&desk.refused(&submitted)),
            after_reservation: desk.decode(&desk.entered()),
            after_move: desk.decode(&applied(&desk.observed(&approved, grant, &booked, &[]), "g", now())),
            table,
            revocable,
            owes_zero: zero,
        }
    }

    /// The next step.
    pub(crate) const fn next(&self, view: View) -> Next {
        self.table[view.place()]
    }

    /// Whether an order to end a grant may be submitted, and, once approved, is written on the grant.
    pub(crate) const fn revocable(&self, at: GrantAt, revocation: bool) -> bool {
        self.revocable[at as usize * 2 + revocation as usize]
    }

    /// Whether the next status has to say that the request holds nothing: what it shows, whether the books charge it, and whether
    /// the journal has a decision that it does not show.
    pub(crate) const fn owes_zero(&self, own: Holding, booked: bool, unshown: bool) -> bool {
        self.owes_zero[owed(own, booked, unshown)]
    }

    /// How many questions were asked.
    pub(crate) const fn questions(&self) -> usize {
        self.table.len() + self.revocable.len() + self.owes_zero.len() + 3
    }
}

const fn owed(own: Holding, booked: bool, unshown: bool) -> usize {
    (own as usize * 2 + booked as usize) * 2 + unshown as usize
}

const ALL: [RequestAt; 7] = [
    RequestAt::Draft,
    RequestAt::Submitted,
    RequestAt::InReview,
    RequestAt::Approved,
    RequestAt::Applied,
    RequestAt::Withdrawn,
    RequestAt::Refused,
];

/// Requests as the hub would store them, each status written by the real functions.
struct Desk {
    assessment: Assessment,
    approval: Approval,
}

impl Desk {
    fn new() -> Self {
        let stage = StageRef { name: "department".to_owned(), quorum: 1, deadline_working_days: 3, expires: false };
        let policy = Selected {
            policy: PolicyRef { name: "p".to_owned(), uid: "p".to_owned(), generation: 1 },
            stages: vec![stage],
            auto_basis: None,
            confirm: false,
            required_materials: Vec::new(),
            correction_days: 10,
            hold_seconds: 0,
        };
        let approval = json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "Approval",
            "metadata": { "name": "a", "namespace": "dept-x", "uid": "a", "creationTimestamp": now().to_string() },
            "spec": {
                "request": "r", "requestUID": "r", "orderDigest": DIGEST, "stage": "department", "verdict": "Approve",
                "approver": { "username": "leader" }
            }
        });
        Self {
            assessment: Assessment {
                order_digest: DIGEST.to_owned(),
                charge: amounts([1, 1]),
                policy: Some(policy),
                ..Assessment::default()
            },
            approval: serde_json::from_value(approval).unwrap(),
        }
    }

    fn observed<'a>(
        &'a self,
        request: &'a ResourceRequest,
        grant: Option<&'a ResourceGrant>,
        booked: &'a Charge,
        approvals: &'a [Approval],
    ) -> Observed<'a> {
        Observed {
            request,
            department: "x",
            assessment: Some(&self.assessment),
            effects: &[],
            site_findings: &[],
            site_unchecked: None,
            refusal: None,
            candidates: approvals.iter().map(|approval| Candidate { approval, entitled: true }).collect(),
            grant,
            not_enforced: None,
            booked,
        }
    }

    fn plan(&self, view: View, grants: &Grants) -> Next {
        if view.at == RequestAt::Draft {
            return Next::Rest;
        }
        let request = self.request(view.at, view.withdrawn, view.own);
        let booked = self.booked(view.booked);
        // Where its grant stands makes no difference to the plan of a Create request; a live one is shown to those that have one.
        let grant = grants.example(GrantAt::Provisioning, false).filter(|_| view.at == RequestAt::Applied);
        let approvals = std::slice::from_ref(&self.approval);
        let observed = self.observed(&request, grant, &booked, approvals);
        match plan(&observed, now()) {
            Plan::Settled(_) => Next::Rest,
            Plan::Reserve { charge, status } if charge == self.assessment.charge && status.phase.is_some() => {
                Next::Reserve
            }
            Plan::Release(status) => self.decode(&status).map_or(Next::Unknown, Next::Release),
            Plan::Report { status, .. } => match self.decode(&status) {
                // Conditions and the like; where it stands is the same.
                Some(at) if at == view.at => Next::Rest,
                Some(at) => Next::Report(at),
                None => Next::Unknown,
            },
            Plan::Grant(_) => Next::Grant,
            _ => Next::Unknown,
        }
    }

    fn booked(&self, booked: bool) -> Charge {
        if booked { Charge::reserved(self.assessment.charge.clone()) } else { Charge::zero() }
    }

    /// Whether a Revoke order for a grant meets no objection about the grant, and is carried out once it is approved.
    fn revocable(&self, grant: &ResourceGrant) -> bool {
        let mut request = bare();
        request.metadata.name = Some("e".to_owned());
        request.metadata.uid = Some("e".to_owned());
        request.spec.order.action = Action::Revoke;
        request.spec.order.grant = Some("g".to_owned());
        request.spec.order.items.clear();
        let submission = Submission {
            department: "x",
            grant_name: "g",
            requested_by: "clerk",
            order: &request.spec.order,
            materials: &[],
        };
        let around = Surroundings { grant: Some(grant), ..Surroundings::default() };
        let live = !assess(&submission, &around).findings.iter().any(|f| f.pointer == "/order/grant");
        request.status = self.status(RequestAt::Approved);
        let booked = Charge::zero();
        live && matches!(plan(&self.observed(&request, Some(grant), &booked, &[]), now()), Plan::Revoke(_))
    }

    /// Where a status puts a request whose submission is 1.
    fn decode(&self, status: &ResourceRequestStatus) -> Option<RequestAt> {
        match status.phase? {
            RequestPhase::Draft if status.submission == 0 => Some(RequestAt::Submitted),
            RequestPhase::Draft if status.refusal.as_ref().is_some_and(|r| r.submission == 1) => {
                Some(RequestAt::Refused)
            }
            RequestPhase::InReview
                if status.review.as_ref().is_some_and(|r| r.order_digest == self.assessment.order_digest) =>
            {
                Some(RequestAt::InReview)
            }
            RequestPhase::Approved => Some(RequestAt::Approved),
            RequestPhase::Applied => Some(RequestAt::Applied),
            RequestPhase::Withdrawn => Some(RequestAt::Withdrawn),
            _ => None,
        }
    }

    fn request(&self, at: RequestAt, withdrawn: bool, own: Holding) -> ResourceRequest {
        let mut request = bare();
        request.status = self.status(at);
        if let Some(status) = &mut request.status {
            let held = if own == Holding::Held { self.assessment.charge.clone() } else { Amounts::new() };
            status.charge = (own != Holding::Unsaid).then(|| ObjectCharge {
                site: SITE.to_owned(),
                sequence: 1,
                reserved: zhengyun_domain::quota::texts(&held),
                ..ObjectCharge::default()
            });
        }
        request.spec.withdrawn = withdrawn;
        request
    }

    /// The status of each place, written by the real functions from the one before.
    fn status(&self, at: RequestAt) -> Option<ResourceRequestStatus> {
        let with = |status| ResourceRequest { status: Some(status), ..bare() };
        let written = |request: &ResourceRequest, approvals: &[Approval], booked: &Charge| match plan(
            &self.observed(request, None, booked, approvals),
            now(),
        ) {
            Plan::Report { status, .. } | Plan::Release(status) => Some(status),
            _ => None,
        };
        let (reserved, nothing) = (Charge::reserved(self.assessment.charge.clone()), Charge::zero());
        match at {
            RequestAt::Draft => None,
            RequestAt::Submitted => Some(ResourceRequestStatus {
                phase: Some(RequestPhase::Draft),
                editors: vec!["clerk".to_owned()],
                ..ResourceRequestStatus::default()
            }),
            RequestAt::InReview => Some(self.entered()),
            RequestAt::Approved => written(&with(self.entered()), std::slice::from_ref(&self.approval), &reserved),
            RequestAt::Applied => {
                let approved = with(self.status(RequestAt::Approved)?);
                Some(applied(&self.observed(&approved, None, &nothing, &[]), "g", now()))
            }
            RequestAt::Withdrawn => {
                let mut request = with(self.entered());
                request.spec.withdrawn = true;
                written(&request, &[], &nothing)
            }
            RequestAt::Refused => Some(self.refused(&with(self.status(RequestAt::Submitted)?))),
        }
    }

    fn entered(&self) -> ResourceRequestStatus {
        let mut submitted = bare();
        submitted.status = self.status(RequestAt::Submitted);
        let booked = Charge::zero();
        match plan(&self.observed(&submitted, None, &booked, &[]), now()) {
            Plan::Reserve { charge, status } => entered(status, SITE, Some(1), &charge),
            _ => ResourceRequestStatus::default(),
        }
    }

    fn refused(&self, request: &ResourceRequest) -> ResourceRequestStatus {
        let booked = Charge::zero();
        let refusal = Refusal::DoesNotFit { site: SITE.to_owned(), effects: Vec::new() };
        refused(&self.observed(request, None, &booked, &[]), &refusal, now())
    }
}

fn bare() -> ResourceRequest {
    serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ResourceRequest",
        "metadata": {
            "name": "r", "namespace": "dept-x", "uid": "r", "generation": 2,
            "finalizers": [marks::FINALIZER_CHARGE]
        },
        "spec": {
            "order": {
                "action": "Create", "system": "s", "site": SITE, "justification": "j",
                "items": [{ "item": "space", "name": "a", "parameters": {} }]
            },
            "submission": 1, "requestedBy": "clerk", "editedBy": "clerk"
        }
    }))
    .unwrap()
}
