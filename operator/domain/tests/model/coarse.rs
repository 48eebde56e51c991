//! Coarser steps for large configurations, and why nothing is lost by them.
//!
//! Each merge below joins steps between which a state differs from its neighbours in nothing that another step reads, or lets
//! something happen at more moments than it really may. So every run in fine steps is one in coarse steps, seen through
//! [`Protocol::blur`], and a property that holds of all coarse states holds of all fine ones. The test
//! `coarse_steps_lose_nothing` does not take this on trust: it collects every fine state of a configuration and looks its blurred
//! form up among the coarse ones.
//!
//! - *A decision is committed when it is taken.* A commit is one write, and a batch of decisions is as good as the same decisions
//!   one after the other. Until it lands nobody acts on it, and if it never does it might as well not have been taken. Only a
//!   refusal can have been told because of it; so the ledger may refuse a reservation at any time, with or without a reason.
//!   What it accepts is still what the real books accept.
//! - *Requests are submitted from the start.* A draft does nothing, and neither does a submission that nobody has looked at yet.
//! - *The approval that is reported creates the grant.* In between nobody can do anything else with either of them.
//! - *A revocation is ordered when somebody looks.* Until then an ordered one only lets less happen.
//! - *What stands is in service.* The phase is written for people; the next step is the same.
//! - *An inventory without a delivery is none.* Whoever delivers next writes it again without a difference.
//!
//! Operators that lost the ledger must only finish what they had begun ([`super::town::Late::Finishes`]).

use super::canonical::as_if_undecided;
use super::protocol::Protocol;
use super::state::{GrantAt, RequestAt, State};

impl Protocol {
    /// A state in fine steps as it looks in coarse ones.
    pub(crate) fn blur(&self, state: &State) -> State {
        let mut state = *state;
        for column in state.columns.iter_mut().take(self.town.requests()) {
            let stored = *column;
            for memory in &mut column.memory {
                as_if_undecided(&stored, memory);
            }
            column.request = match column.request {
                RequestAt::Draft => RequestAt::Submitted,
                RequestAt::Approved if column.grant == GrantAt::Absent => RequestAt::InReview,
                at => at,
            };
            if column.grant == GrantAt::InService {
                column.grant = GrantAt::Provisioning;
            }
            column.revocation = column.grant >= GrantAt::Removing;
        }
        self.forget(&mut state);
        self.settle(&mut state);
        state
    }
}
