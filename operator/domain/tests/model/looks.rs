//! What an operator does next with a request or a grant that it looks at.

use zhengyun_domain::grant::Task;

use super::books::{Charges, Decision, Verdict, grant_bit, request_bit};
use super::fault::Fault;
use super::protocol::Protocol;
use super::requests::{Next, View};
use super::state::{Column, GrantAt, GrantTask, Holding, REQUESTS, RequestAt, RequestTask, State, index};
use super::steps::Step;
use super::town::{Late, Room};

/// Steps of one request that any leader would take with the same result: the first one takes them.
#[derive(Default)]
pub(crate) struct Once(Vec<Shared>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shared {
    Report(RequestAt),
    Create,
    Apply,
    Delivered,
    Removal,
    Proof,
}

impl Once {
    fn first(&mut self, step: Shared) -> bool {
        let new = !self.0.contains(&step);
        if new {
            self.0.push(step);
        }
        new
    }
}

impl Protocol {
    /// Steps with a request.
    pub(crate) fn request(&self, state: &State, x: usize, i: usize, once: &mut Once, steps: &mut Vec<Step>) {
        let (who, which, column) = (index(x), index(i), &state.columns[i]);
        let memory = &column.memory[x];
        let decides = self.commits(state, x);
        match memory.request {
            RequestTask::Idle => {}
            RequestTask::SawNoGrant => return steps.push(Step::CreateGrant(who, which)),
            RequestTask::Reserving | RequestTask::Releasing => {
                if self.acts_early(state, x) {
                    steps.push(Step::WriteRequest(who, which));
                }
                return;
            }
            RequestTask::Moving => {
                if self.acts_early(state, x) {
                    steps.push(Step::WriteGrant(who, which));
                }
                return;
            }
            RequestTask::Reserved | RequestTask::Released => return steps.push(Step::WriteRequest(who, which)),
            RequestTask::Moved => return steps.push(Step::WriteGrant(who, which)),
        }
        let next = self.next(column, memory.books_request);
        if matches!(next, Next::Rest | Next::Report(_) | Next::Release(_)) {
            // One that lost the ledger does not know what was decided since.
            let known = state.current(x) || !column.reservation.entry_newer;
            if self.owes_zero(column, memory.books_request, known && column.reservation.pending()) {
                if self.sequence_allows(state, x, column.reservation.own_newer) {
                    steps.push(Step::SayReleased(who, which));
                }
                return;
            }
        }
        match next {
            Next::Reserve if decides => match self.verdicts.verdict(self.sums(state, x), Decision::Reserve, i) {
                Verdict::Booked(_) => {
                    steps.push(Step::Decide(who, which, Decision::Reserve));
                    if (self.coarse || self.town.room == Room::Unknown) && !memory.books_request {
                        steps.push(Step::Refuse(who, which));
                    }
                }
                _ => steps.push(Step::Refuse(who, which)),
            },
            // Its books are out of date and may refuse whatever they like; what they accept meets the guard.
            Next::Reserve if !memory.books_request => steps.push(Step::Refuse(who, which)),
            Next::Release(_) if memory.books_request && decides => {
                steps.push(Step::Decide(who, which, Decision::Release));
            }
            Next::Report(to) if once.first(Shared::Report(to)) => steps.push(Step::Report(who, which)),
            Next::Grant => match column.grant {
                GrantAt::Absent if self.makes(Fault::GrantNamedByChance) => {
                    steps.push(Step::LookForGrant(who, which));
                }
                GrantAt::Absent if once.first(Shared::Create) => steps.push(Step::CreateGrant(who, which)),
                GrantAt::Pending if memory.books_grant => steps.push(Step::Resume(who, which)),
                GrantAt::Pending
                    if decides
                        && matches!(self.verdicts.verdict(books(state, x), Decision::Move, i), Verdict::Booked(_)) =>
                {
                    steps.push(Step::Decide(who, which, Decision::Move));
                }
                GrantAt::Absent | GrantAt::Pending => {}
                _ if once.first(Shared::Apply) => steps.push(Step::Apply(who, which)),
                _ => {}
            },
            _ => {}
        }
    }

    /// Steps with a grant.
    pub(crate) fn grant(&self, state: &State, x: usize, i: usize, once: &mut Once, steps: &mut Vec<Step>) {
        let (who, which, column) = (index(x), index(i), &state.columns[i]);
        let memory = &column.memory[x];
        let fenced = state.operators[x].fenced;
        let lets_through = self.makes(Fault::FenceNotEnforced) || state.fence <= state.operators[x].epoch;
        let confirmed = fenced || self.makes(Fault::ProofWithoutFence);
        match memory.grant {
            GrantTask::Idle => {}
            GrantTask::Delivering if fenced && lets_through => return steps.push(Step::Create(who, which)),
            GrantTask::Delivering | GrantTask::Freeing => return,
            GrantTask::Freed => return steps.push(Step::WriteGrant(who, which)),
        }
        if self.coarse && column.grant == GrantAt::Provisioning {
            // Somebody ordered the revocation since it was last looked at, or nobody did.
            if once.first(Shared::Removal) {
                steps.push(Step::BeginRemoval(who, which));
            }
            if !column.standing {
                steps.push(if column.intended { Step::BeginDelivery(who, which) } else { Step::Intend(who, which) });
            }
            return;
        }
        match self.grants.task(column.grant, column.revocation) {
            Some(Task::Deliver) if column.grant == GrantAt::Provisioning => {
                if column.standing {
                    if once.first(Shared::Delivered) {
                        steps.push(Step::WriteDelivered(who, which));
                    }
                } else if column.intended || self.makes(Fault::EffectBeforeIntent) {
                    // What the fence keeps out is not begun a second time: its refusal ends the operator.
                    if lets_through {
                        steps.push(Step::BeginDelivery(who, which));
                    }
                } else {
                    steps.push(Step::Intend(who, which));
                }
            }
            Some(Task::Remove) if column.grant != GrantAt::Removing && once.first(Shared::Removal) => {
                steps.push(Step::BeginRemoval(who, which));
            }
            Some(Task::Remove) if column.grant == GrantAt::Removing => {
                if column.standing && fenced && lets_through {
                    steps.push(Step::Remove(who, which));
                }
                if !column.standing && confirmed && once.first(Shared::Proof) {
                    steps.push(Step::BeginProof(who, which));
                }
                if self.makes(Fault::ReleaseBeforeZero) && memory.books_grant && self.commits(state, x) {
                    steps.push(Step::Decide(who, which, Decision::Free));
                }
            }
            // What came after the removal is removed before zero is looked for again.
            Some(Task::Prove)
                if column.standing && fenced && lets_through && !self.makes(Fault::ProofWithoutRemoval) =>
            {
                steps.push(Step::Remove(who, which));
            }
            Some(Task::Prove) if !column.standing && confirmed => {
                if !memory.books_grant {
                    if self.sequence_allows(state, x, column.holding.own_newer) {
                        steps.push(Step::SayRevoked(who, which));
                    }
                } else if self.commits(state, x) {
                    steps.push(Step::Decide(who, which, Decision::Free));
                }
            }
            _ => {}
        }
    }

    /// Whether the operator lost the ledger and begins nothing any more.
    pub(crate) fn only_finishes(&self, state: &State, x: usize) -> bool {
        self.town.late == Late::Finishes && state.leads(x) && !state.current(x)
    }

    /// The plan for a request in the eyes of an operator whose books charge it or not.
    pub(crate) fn next(&self, column: &Column, booked: bool) -> Next {
        let view = View { at: column.request, withdrawn: column.withdrawn, own: column.reservation.own, booked };
        match self.plans.next(view) {
            Next::Release(_) if column.request == RequestAt::Refused && self.makes(Fault::RefusedKeepsCharge) => {
                Next::Rest
            }
            next => next,
        }
    }

    fn owes_zero(&self, column: &Column, booked: bool, unshown: bool) -> bool {
        let own = column.reservation.own;
        let over_shown = own == Holding::Held || !self.makes(Fault::ReleaseSaidOverShown);
        self.plans.owes_zero(own, booked, unshown) && over_shown && !self.makes(Fault::ReleaseNotSaid)
    }

    /// Whether a decision of this operator can become a commit that lands.
    pub(crate) fn commits(&self, state: &State, x: usize) -> bool {
        state.current(x) || self.makes(Fault::CommitWithoutGuard) || self.makes(Fault::CommitRepeatedOverConflict)
    }

    fn acts_early(&self, state: &State, x: usize) -> bool {
        self.makes(Fault::StatusBeforeCommit) || (self.makes(Fault::ActsOnRefusedCommit) && !state.current(x))
    }

    /// Whether the API server takes a charge with the sequence that this operator last knew: never below the stored one.
    fn sequence_allows(&self, state: &State, x: usize, newer: bool) -> bool {
        state.current(x) || !newer || self.makes(Fault::SequenceMayFall)
    }

    /// What a decision is added up from.
    fn sums(&self, state: &State, x: usize) -> Charges {
        if self.makes(Fault::SumOfStatuses) {
            return charges(|i| {
                let column = &state.columns[i];
                (column.reservation.own == Holding::Held, column.holding.own == Holding::Held)
            });
        }
        books(state, x)
    }
}

/// What an operator had begun and can still finish.
pub(crate) fn finish(state: &State, x: usize, i: usize, steps: &mut Vec<Step>) {
    let (who, which, memory) = (index(x), index(i), &state.columns[i].memory[x]);
    match memory.request {
        RequestTask::Reserved | RequestTask::Released => steps.push(Step::WriteRequest(who, which)),
        RequestTask::Moved => steps.push(Step::WriteGrant(who, which)),
        _ => {}
    }
    match memory.grant {
        GrantTask::Delivering => steps.push(Step::Create(who, which)),
        GrantTask::Freed => steps.push(Step::WriteGrant(who, which)),
        _ => {}
    }
}

/// The books of an operator.
pub(crate) fn books(state: &State, x: usize) -> Charges {
    charges(|i| {
        let memory = &state.columns[i].memory[x];
        (memory.books_request, memory.books_grant)
    })
}

fn charges(of: impl Fn(usize) -> (bool, bool)) -> Charges {
    let mut charges = 0;
    for i in 0..REQUESTS {
        let (request, grant) = of(i);
        if request {
            charges |= request_bit(i);
        }
        if grant {
            charges |= grant_bit(i);
        }
    }
    charges
}

/// Whether a commit of an operator is under way that concerns a request or its grant.
pub(crate) fn under_way(column: &Column, x: usize) -> bool {
    let memory = &column.memory[x];
    matches!(memory.request, RequestTask::Reserving | RequestTask::Releasing | RequestTask::Moving)
        || memory.grant == GrantTask::Freeing
}
