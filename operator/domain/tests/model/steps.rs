//! What can happen next.

use super::books::Decision;
use super::fault::Fault;
use super::looks::{Once, finish, under_way};
use super::protocol::Protocol;
use super::state::{Column, Entry, OPERATORS, RequestAt, Stage, State, index};

/// An operator's place.
pub(crate) type Who = u8;
/// A request's place.
pub(crate) type Which = u8;

/// One step: something that people do, that goes wrong, or one write or decision of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The department raises `spec.submission`.
    Submit(Which),
    /// The department sets `spec.withdrawn`.
    Withdraw(Which),
    /// An approved Revoke order is written on the grant.
    OrderRevocation(Which),
    /// The operator gets the lease.
    Elect(Who),
    /// The leader falls silent until its lease runs out. It does not know, and goes on when it wakes up.
    Pause(Who),
    /// The process dies.
    Crash(Who),
    /// The process finds that it lost the lease or the ledger, and ends.
    End(Who),
    /// The new leader takes the ledger's epoch by a guarded write.
    TakeEpoch(Who),
    /// It lists the requests.
    ListRequests(Who),
    /// It lists the grants, recovers and writes down what it found.
    Lead(Who),
    /// It confirms the site and raises the fence there.
    RaiseFence(Who),
    /// The writer decides; the commit is under way.
    Decide(Who, Which, Decision),
    /// The commit of everything decided lands.
    Commit(Who),
    /// With nothing to decide, the writer leaves entries that are shown out of the stored journal.
    Tidy(Who),
    /// The books were charged before a takeover: the decision is not taken twice.
    Resume(Who, Which),
    /// The refusal of a reservation is written.
    Refuse(Who, Which),
    /// The request's status is written after its decision.
    WriteRequest(Who, Which),
    /// The request's status is written; nothing had to be decided.
    Report(Who, Which),
    /// A release that was committed before is said on the request.
    SayReleased(Who, Which),
    /// Somebody looks whether there is a grant.
    LookForGrant(Who, Which),
    /// The grant is created, unless one of its name is there.
    CreateGrant(Who, Which),
    /// The grant's status is written after the move of the charge, or after its release.
    WriteGrant(Who, Which),
    /// `Applied` is written.
    Apply(Who, Which),
    /// The inventory names what is to be created; the delivery is under way.
    Intend(Who, Which),
    /// A delivery that was intended before is taken up.
    BeginDelivery(Who, Which),
    /// The site creates.
    Create(Who, Which),
    /// `InService` is written, with the UID of what stands.
    WriteDelivered(Who, Which),
    /// `Removing` is written.
    BeginRemoval(Who, Which),
    /// The site removes.
    Remove(Who, Which),
    /// Nothing is found any more; `Proving` is written.
    BeginProof(Who, Which),
    /// A release that was committed before is said on the grant.
    SayRevoked(Who, Which),
}

impl Protocol {
    /// Every step that can be taken.
    pub(crate) fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        for (i, column) in state.columns.iter().enumerate().take(self.town.requests()) {
            self.people(i, column, steps);
        }
        for x in 0..OPERATORS {
            self.process(state, x, steps);
            if state.leads(x) {
                self.writer(state, x, steps);
            }
        }
        for i in 0..self.town.requests() {
            let mut once = Once::default();
            for x in (0..OPERATORS).filter(|x| state.leads(*x)) {
                if self.only_finishes(state, x) {
                    finish(state, x, i, steps);
                    continue;
                }
                self.request(state, x, i, &mut once, steps);
                self.grant(state, x, i, &mut once, steps);
            }
        }
    }

    fn people(&self, i: usize, column: &Column, steps: &mut Vec<Step>) {
        if column.request == RequestAt::Draft {
            steps.push(Step::Submit(index(i)));
        }
        if matches!(column.request, RequestAt::Submitted | RequestAt::InReview) && !column.withdrawn {
            steps.push(Step::Withdraw(index(i)));
        }
        if !self.coarse && self.plans.revocable(column.grant, column.revocation) {
            steps.push(Step::OrderRevocation(index(i)));
        }
    }

    fn process(&self, state: &State, x: usize, steps: &mut Vec<Step>) {
        let who = index(x);
        let early_list = self.makes(Fault::ListBeforeEpoch);
        match state.operators[x].stage {
            Stage::Down => {
                if state.lease.is_none() {
                    steps.push(Step::Elect(who));
                }
                return;
            }
            Stage::Elected if early_list => steps.push(Step::ListRequests(who)),
            Stage::Elected => steps.push(Step::TakeEpoch(who)),
            // Between two lists only another operator could change what they show.
            Stage::Opened if state.current(x) && (0..OPERATORS).any(|y| y != x && state.leads(y)) => {
                steps.push(Step::ListRequests(who));
            }
            Stage::Opened if state.current(x) => steps.push(Step::Lead(who)),
            Stage::Listed if early_list || state.current(x) => steps.push(Step::Lead(who)),
            Stage::Leading
                if !state.operators[x].fenced
                    && !self.only_finishes(state, x)
                    && state.fence < state.operators[x].epoch =>
            {
                steps.push(Step::RaiseFence(who));
            }
            Stage::Opened | Stage::Listed | Stage::Leading => {}
        }
        if state.must_end(x) {
            steps.push(Step::End(who));
        } else if state.crashes > 0 {
            // One that must end anyway is gone in the same way without a crash.
            steps.push(Step::Crash(who));
        }
        if state.lease == Some(who) && state.pauses > 0 {
            steps.push(Step::Pause(who));
        }
    }

    fn writer(&self, state: &State, x: usize, steps: &mut Vec<Step>) {
        if !self.commits(state, x) {
            return;
        }
        let columns = &state.columns[..self.town.requests()];
        if columns.iter().any(|c| under_way(c, x)) {
            steps.push(Step::Commit(index(x)));
        } else if state.current(x)
            && columns.iter().any(|c| c.reservation.entry == Entry::Shown || c.holding.entry == Entry::Shown)
        {
            steps.push(Step::Tidy(index(x)));
        }
    }
}
