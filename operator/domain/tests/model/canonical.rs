//! What a state may forget, and which states are one.

use super::fault::Fault;
use super::protocol::Protocol;
use super::requests::Next;
use super::state::{
    Column, Entry, GrantAt, GrantTask, Holding, Memory, OPERATORS, Record, RequestAt, RequestTask, Stage, State, index,
};

impl Protocol {
    /// Drops from memory what can have no effect any more. Each rule says why; nothing is dropped under an error that would use it.
    pub(crate) fn forget(&self, state: &mut State) {
        let compares = state.has_stale_leader();
        let keeps = matches!(
            self.fault,
            Some(Fault::CommitWithoutGuard | Fault::CommitRepeatedOverConflict | Fault::ActsOnRefusedCommit)
        );
        let lets_through = self.makes(Fault::FenceNotEnforced);
        // A new leader holds on to the journal that it read when it took the epoch, whatever objects show meanwhile.
        let opens = (0..OPERATORS).any(|x| state.current(x) && !state.leads(x));
        for i in 0..self.town.requests() {
            let column = &mut state.columns[i];
            if !compares {
                // Nobody is left whose knowledge could be older.
                for record in [&mut column.reservation, &mut column.holding] {
                    (record.own_newer, record.entry_newer) = (false, false);
                }
            }
            if !self.keeps_shown() && !opens {
                for record in [&mut column.reservation, &mut column.holding] {
                    if record.entry == Entry::Shown {
                        record.entry = Entry::Absent;
                    }
                }
            }
            if self.coarse {
                // An operator that lost the ledger begins nothing, so that it lowers no sequence.
                (column.reservation.own_newer, column.holding.own_newer) = (false, false);
                // An inventory that nothing follows from is written again without a difference.
                column.intended = column.standing || column.memory.iter().any(|m| m.grant == GrantTask::Delivering);
            }
            // Asked for only while an older operator could lower it.
            column.reservation.own_newer &= match column.request {
                RequestAt::InReview => true,
                RequestAt::Withdrawn => column.reservation.own == Holding::Held,
                _ => false,
            };
            column.holding.own_newer &= column.grant != GrantAt::Revoked;
            for x in 0..OPERATORS {
                let Stage::Leading = state.operators[x].stage else { continue };
                let late = state.operators[x].epoch != state.epoch;
                let fenced_off = state.fence > state.operators[x].epoch && !lets_through;
                // No write of it passes there any more; what it reads there still tells it something.
                state.operators[x].fenced &= !(fenced_off && self.only_finishes(state, x));
                let column = &state.columns[i];
                let mut memory = column.memory[x];
                if !self.can_write(column, memory.request) {
                    memory.request = RequestTask::Idle;
                }
                if memory.grant == GrantTask::Freed && column.grant != GrantAt::Proving {
                    memory.grant = GrantTask::Idle;
                }
                // What stands is found and kept; what the fence keeps out ends the operator.
                if memory.grant == GrantTask::Delivering && (column.standing || fenced_off) {
                    memory.grant = GrantTask::Idle;
                }
                if late && !keeps {
                    as_if_undecided(column, &mut memory);
                    outdated(column, &mut memory);
                }
                state.columns[i].memory[x] = memory;
            }
        }
        for x in 0..OPERATORS {
            if self.only_finishes(state, x) && !finish_can(state, x) {
                state.end(x);
                // Whom it was compared with is now compared with nobody.
                self.forget(state);
            }
        }
    }

    /// Whether the write that a task of a request leads to can still land: it is guarded by the resourceVersion of what was read.
    fn can_write(&self, column: &Column, task: RequestTask) -> bool {
        match task {
            RequestTask::Reserved => column.request == RequestAt::Submitted && !column.withdrawn,
            RequestTask::Released => {
                column.reservation.own != Holding::Nothing && matches!(self.next(column, true), Next::Release(_))
            }
            RequestTask::Moved => column.grant == GrantAt::Pending,
            RequestTask::SawNoGrant => column.request == RequestAt::Approved && !column.twin,
            RequestTask::Idle | RequestTask::Reserving | RequestTask::Releasing | RequestTask::Moving => true,
        }
    }

    /// A measure that every step makes larger, compared from the left: what went wrong, paused processes that took the ledger or
    /// ended, how far the processes are, what is stored, what is under way. Since the states are finitely many, every run ends.
    pub(crate) fn rank(&self, state: &State) -> [u32; 5] {
        let wrong = u32::from(self.town.crashes - state.crashes) + u32::from(self.town.pauses - state.pauses);
        let (mut no_surprise, mut processes, mut stored, mut again, mut under_way) = (2, 0, 0, 0, 0);
        for (x, operator) in state.operators.iter().enumerate() {
            let holds = state.lease == Some(index(x));
            no_surprise -= u32::from(operator.stage == Stage::Elected && !holds);
            processes += match operator.stage {
                Stage::Down => 4,
                stage if state.must_end(x) => stage as u32 - 1,
                stage => stage as u32 + 4,
            };
            stored += u32::from(operator.epoch > 0 && state.fence >= operator.epoch);
        }
        for column in &state.columns {
            stored += stored_in(column) + u32::from(column.intended && !self.coarse);
            // It will make an entry anew that the request already shows.
            again += u32::from(
                column.reservation.own == Holding::Held
                    && !column.reservation.pending()
                    && column.memory.iter().any(|m| m.request == RequestTask::Reserving),
            );
            under_way += at_work(column);
        }
        [wrong, no_surprise, processes, stored + 3 * (64 - again), under_way]
    }
}

/// Forgets what an operator that only finishes does not need, and tells whether anything is left to finish.
fn finish_can(state: &mut State, x: usize) -> bool {
    let fenced = state.operators[x].fenced;
    let mut any = false;
    for column in &mut state.columns {
        let memory = &mut column.memory[x];
        (memory.books_request, memory.books_grant) = (false, false);
        if memory.grant == GrantTask::Delivering && !fenced {
            memory.grant = GrantTask::Idle;
        }
        any |= memory.request != RequestTask::Idle || memory.grant != GrantTask::Idle;
    }
    any
}

/// How far a request and its grant came.
fn stored_in(column: &Column) -> u32 {
    let request = match column.request {
        RequestAt::Refused => RequestAt::Withdrawn as u32,
        at => at as u32,
    };
    request
        + u32::from(column.withdrawn)
        + charged_in(column.reservation)
        + column.grant as u32
        + u32::from(column.revocation)
        + charged_in(column.holding)
        + u32::from(column.twin)
}

/// How far a charge came: decided, shown, left out of the journal; first its amount, then zero.
const fn charged_in(record: Record) -> u32 {
    match (record.own, record.entry) {
        (Holding::Unsaid, Entry::Held) => 1,
        (Holding::Held, Entry::Held) => 2,
        (Holding::Held, Entry::Shown | Entry::Stuck) => 3,
        (Holding::Held, Entry::Absent) => 4,
        (Holding::Unsaid | Holding::Held, Entry::Nothing) => 5,
        (Holding::Nothing, Entry::Nothing) => 6,
        (Holding::Nothing, Entry::Shown | Entry::Stuck) => 7,
        (Holding::Nothing, Entry::Absent) => 8,
        (Holding::Unsaid, Entry::Absent | Entry::Shown | Entry::Stuck) | (Holding::Nothing, Entry::Held) => 0,
    }
}

/// How far what is under way for a request came, at the site and in memory.
fn at_work(column: &Column) -> u32 {
    let (mut tasks, mut deliveries) = (0, 0);
    for memory in &column.memory {
        tasks += match memory.request {
            // The status that would show it will not be written.
            RequestTask::Reserving if column.withdrawn || column.request != RequestAt::Submitted => 0,
            RequestTask::Idle => 1,
            RequestTask::SawNoGrant => 2,
            RequestTask::Reserving | RequestTask::Releasing | RequestTask::Moving => 3,
            RequestTask::Reserved | RequestTask::Released | RequestTask::Moved => 4,
        };
        match memory.grant {
            GrantTask::Idle => {}
            GrantTask::Delivering => deliveries += 1,
            GrantTask::Freeing => tasks += 2,
            GrantTask::Freed => tasks += 3,
        }
    }
    let standing = u32::from(column.standing);
    // While a grant is being ended no delivery begins, and each that is under way may still put something there to be removed.
    let site =
        if column.grant >= GrantAt::Removing { 20 - 2 * deliveries - standing } else { deliveries + 10 * standing };
    tasks + site
}

/// A commit that is under way as if its decisions had not been taken: nobody learns of them and nothing else is done with their
/// objects before it lands. That of an operator that lost the ledger meets the resourceVersion of the new leader's and ends it.
pub(crate) fn as_if_undecided(column: &Column, memory: &mut Memory) {
    let request = matches!(memory.request, RequestTask::Reserving | RequestTask::Releasing | RequestTask::Moving);
    if request {
        (memory.request, memory.books_request) = (RequestTask::Idle, column.reservation.charged());
    }
    if request || memory.grant == GrantTask::Freeing {
        memory.books_grant = column.holding.charged();
    }
    if memory.grant == GrantTask::Freeing {
        memory.grant = GrantTask::Idle;
    }
}

/// What an operator that lost the ledger still uses of its memory.
fn outdated(column: &Column, memory: &mut Memory) {
    // Its books tell it no more than whether something is charged, for writes that need no decision.
    let asked = match column.request {
        RequestAt::Submitted | RequestAt::InReview => true,
        RequestAt::Withdrawn | RequestAt::Refused => {
            column.reservation.own == Holding::Held || column.reservation.pending()
        }
        _ => false,
    };
    memory.books_request &= asked;
    memory.books_grant &= (GrantAt::Pending..=GrantAt::Proving).contains(&column.grant) && !column.holding.own_newer;
}

impl State {
    /// Epochs as what is compared of them: which of two operators is older, who took the ledger last, whom the fence lets through.
    pub(crate) fn relate(&mut self) {
        let (first, second) = (self.operators[0].epoch, self.operators[1].epoch);
        let known = [first.min(second), first.max(second)];
        let place = |epoch: u8| {
            let below = known.iter().filter(|e| **e > 0 && **e < epoch).count();
            // Even numbers for the epochs of living operators, odd ones for what lies below, between and above them.
            index(2 * below) + if epoch > 0 && known.contains(&epoch) { 2 } else { 1 }
        };
        let (fence, epoch) = (place(self.fence), place(self.epoch));
        for operator in &mut self.operators {
            if operator.epoch > 0 {
                operator.epoch = place(operator.epoch);
            }
        }
        (self.fence, self.epoch) = (fence.min(5), if epoch % 2 == 0 { epoch } else { 6 });
        if known == [0, 0] {
            self.fence = 1;
        }
    }

    /// The form in which like states are equal: operators by how far they are, like requests by everything about them.
    ///
    /// Operators run the same program and requests of a group ask the same of the same department, so that trading places leads
    /// from a state to one with the same future; no property tells them apart.
    pub(crate) fn sort(&mut self, groups: &[std::ops::Range<usize>]) {
        // Two that are equally far hold nothing in memory: epochs differ from the moment in which one is taken.
        if self.operators[0] < self.operators[1] {
            self.operators.swap(0, 1);
            for column in &mut self.columns {
                column.memory.swap(0, 1);
            }
            self.lease = self.lease.map(|holder| index(1) - holder);
        }
        for group in groups {
            if group.len() > 1 {
                self.columns[group.clone()].sort_unstable();
            }
        }
    }
}
