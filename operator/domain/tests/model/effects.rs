//! What a step does.

use super::books::{Decision, Verdict, grant_bit, request_bit};
use super::fault::Fault;
use super::grants::Writing;
use super::looks::books;
use super::protocol::Protocol;
use super::recovery::{Read, Reading};
use super::requests::Next;
use super::state::{
    Column, Entry, GrantAt, GrantTask, Holding, OPERATORS, Record, RequestAt, RequestTask, Stage, State, alarm,
};
use super::steps::{Step, Which, Who};

impl Protocol {
    /// Takes a step.
    pub(crate) fn take(&self, state: &mut State, step: Step) {
        match step {
            Step::Submit(i) => column(state, i).request = RequestAt::Submitted,
            Step::Withdraw(i) => column(state, i).withdrawn = true,
            Step::OrderRevocation(i) => column(state, i).revocation = true,
            Step::Elect(x) => {
                state.lease = Some(x);
                state.operators[usize::from(x)].stage = Stage::Elected;
            }
            Step::Pause(_) => {
                state.lease = None;
                state.pauses -= 1;
            }
            Step::Crash(x) => {
                state.end(usize::from(x));
                state.crashes -= 1;
            }
            Step::End(x) => state.end(usize::from(x)),
            Step::TakeEpoch(x) => {
                take_epoch(state, x);
                state.operators[usize::from(x)].stage = Stage::Opened;
            }
            Step::ListRequests(x) => {
                for column in &mut state.columns {
                    let memory = &mut column.memory[usize::from(x)];
                    (memory.listed, memory.listed_holds) = (column.reservation.own, true);
                }
                state.operators[usize::from(x)].stage = Stage::Listed;
            }
            Step::Lead(x) => self.lead(state, x),
            Step::RaiseFence(x) => {
                let operator = &mut state.operators[usize::from(x)];
                operator.fenced = true;
                state.fence = operator.epoch;
            }
            Step::Decide(x, i, decision) => {
                self.decide(state, x, i, decision);
                if self.coarse {
                    self.commit(state, x);
                }
            }
            Step::Commit(x) | Step::Tidy(x) => self.commit(state, x),
            Step::Resume(x, i) => column(state, i).memory[usize::from(x)].request = RequestTask::Moved,
            Step::Refuse(_, i) => go(state, i, self.plans.after_refusal),
            Step::WriteRequest(x, i) => self.write_request(state, x, i),
            Step::Report(x, i) => match self.next(&state.columns[usize::from(i)], booked(state, x, i)) {
                Next::Report(to) => {
                    go(state, i, Some(to));
                    let column = column(state, i);
                    if self.coarse && to == RequestAt::Approved && column.grant == GrantAt::Absent {
                        column.grant = GrantAt::Pending;
                    }
                }
                _ => state.alarms |= alarm::ILLEGAL,
            },
            Step::SayReleased(x, i) => {
                if let Next::Release(to) | Next::Report(to) = self.next(&state.columns[usize::from(i)], false) {
                    go(state, i, Some(to));
                }
                say_nothing(state, x, i, |c| &mut c.reservation);
            }
            Step::LookForGrant(x, i) => column(state, i).memory[usize::from(x)].request = RequestTask::SawNoGrant,
            Step::CreateGrant(x, i) => {
                let column = column(state, i);
                column.memory[usize::from(x)].request = RequestTask::Idle;
                // A name that follows from the request is there already when it is created twice; any other makes a second grant.
                column.twin |= column.grant != GrantAt::Absent;
                if column.grant == GrantAt::Absent {
                    column.grant = GrantAt::Pending;
                }
            }
            Step::WriteGrant(x, i) => self.write_grant(state, x, i),
            Step::Apply(_, i) => {
                go(state, i, self.plans.after_move);
                let column = column(state, i);
                // The request carries the later of its own sequence and its grant's.
                let newer = column.reservation.own_newer || column.holding.own_newer;
                say(state, i, Holding::Nothing, newer, true, |c| &mut c.reservation);
            }
            Step::Intend(x, i) => {
                column(state, i).intended = true;
                column(state, i).memory[usize::from(x)].grant = GrantTask::Delivering;
            }
            Step::BeginDelivery(x, i) => column(state, i).memory[usize::from(x)].grant = GrantTask::Delivering,
            Step::Create(x, i) => {
                column(state, i).memory[usize::from(x)].grant = GrantTask::Idle;
                column(state, i).standing = true;
            }
            Step::Remove(_, i) => column(state, i).standing = false,
            Step::WriteDelivered(_, i) => self.go_grant(state, i, Writing::Delivered),
            Step::BeginRemoval(_, i) => {
                if self.coarse {
                    let column = column(state, i);
                    column.revocation = self.plans.revocable(column.grant, column.revocation);
                }
                self.go_grant(state, i, Writing::Removing);
            }
            Step::BeginProof(_, i) => self.go_grant(state, i, Writing::Proving),
            Step::SayRevoked(x, i) => {
                self.go_grant(state, i, Writing::Revoked);
                say_nothing(state, x, i, |c| &mut c.holding);
            }
        }
    }

    /// A new leader reads, recovers, and writes down what it found; all of it under the guard of the epoch that it took.
    fn lead(&self, state: &mut State, x: Who) {
        let x = usize::from(x);
        if state.operators[x].epoch == 0 {
            take_epoch(state, super::state::index(x));
        }
        let listed = state.operators[x].stage == Stage::Listed;
        let mut reading = Reading::default();
        for (i, column) in state.columns.iter().enumerate().take(self.town.requests()) {
            reading[i] =
                [Read::of(column.reservation, true), Read::of(column.holding, column.grant != GrantAt::Absent)];
            if listed && !column.memory[x].listed_holds {
                reading[i][0] = read_before(column.reservation, column.memory[x].listed);
            }
            if self.makes(Fault::JournalNotReplayed) {
                for read in &mut reading[i] {
                    read.entry = Entry::Absent;
                }
            }
        }
        let start = self.recoveries.start(&self.town, &reading);
        if start.held {
            state.alarms |= alarm::HELD;
        }
        if start.orphans || start.charges.is_none() || !(start.blind || self.keeps_shown()) {
            state.alarms |= alarm::ILLEGAL;
        }
        let charges = start.charges.unwrap_or_default();
        let stays = self.makes(Fault::ShownEntriesStay);
        for (i, column) in state.columns.iter_mut().enumerate() {
            let memory = &mut column.memory[x];
            (memory.listed, memory.listed_holds) = (Holding::Unsaid, false);
            memory.books_request = charges & request_bit(i) != 0;
            memory.books_grant = charges & grant_bit(i) != 0;
            for (record, bit) in [(&mut column.reservation, request_bit(i)), (&mut column.holding, grant_bit(i))] {
                record.counted = charges & bit != 0;
                // What the journal goes on with is what its objects do not show.
                if start.pending & bit == 0 {
                    record.entry = match record.entry {
                        Entry::Shown | Entry::Stuck if stays => Entry::Stuck,
                        _ => Entry::Absent,
                    };
                }
            }
        }
        state.operators[x].stage = Stage::Leading;
    }

    fn decide(&self, state: &mut State, x: Who, i: Which, decision: Decision) {
        let verdict = self.verdicts.verdict(books(state, usize::from(x)), decision, usize::from(i));
        // A sum from elsewhere may accept what the books would not: it is booked all the same.
        if !matches!(verdict, Verdict::Booked(_)) && !self.makes(Fault::SumOfStatuses) {
            state.alarms |= alarm::ILLEGAL;
        }
        let memory = &mut column(state, i).memory[usize::from(x)];
        match decision {
            Decision::Reserve => (memory.request, memory.books_request) = (RequestTask::Reserving, true),
            Decision::Release => (memory.request, memory.books_request) = (RequestTask::Releasing, false),
            Decision::Move => {
                memory.request = RequestTask::Moving;
                (memory.books_request, memory.books_grant) = (false, true);
            }
            Decision::Free => (memory.grant, memory.books_grant) = (GrantTask::Freeing, false),
        }
    }

    /// One write of the ledger's status: epoch, sequence, totals and journal.
    fn commit(&self, state: &mut State, x: Who) {
        let at = usize::from(x);
        let stale = !state.current(at);
        let newer = !stale && state.has_stale_leader();
        if stale {
            state.alarms |= alarm::STALE_COMMIT;
            if self.makes(Fault::CommitWithoutGuard) {
                // Everything that it last knew, over everything that is there.
                state.alarms |= alarm::FELL;
                state.epoch = state.operators[at].epoch;
            }
        }
        for column in &mut state.columns {
            let memory = &mut column.memory[at];
            let (request, grant) = match memory.request {
                RequestTask::Reserving => (Some(Entry::Held), None),
                RequestTask::Releasing => (Some(Entry::Nothing), None),
                RequestTask::Moving => (Some(Entry::Nothing), Some(Entry::Held)),
                _ => (None, None),
            };
            memory.request = match memory.request {
                RequestTask::Reserving => RequestTask::Reserved,
                RequestTask::Releasing => RequestTask::Released,
                RequestTask::Moving => RequestTask::Moved,
                other => other,
            };
            let freed = memory.grant == GrantTask::Freeing;
            if freed {
                memory.grant = GrantTask::Freed;
            }
            let (in_books, granted_in_books) = (memory.books_request, memory.books_grant);
            self.journal(&mut column.reservation, request, stale, newer);
            self.journal(&mut column.holding, grant.or(freed.then_some(Entry::Nothing)), stale, newer);
            column.reservation.counted = in_books;
            column.holding.counted = granted_in_books;
        }
    }

    fn journal(&self, record: &mut Record, decided: Option<Entry>, stale: bool, newer: bool) {
        if let Some(entry) = decided {
            let shown = match entry {
                Entry::Held => record.own == Holding::Held,
                _ => record.own == Holding::Nothing,
            };
            // Only a status that was written before its commit can show it already.
            let early = self.makes(Fault::StatusBeforeCommit) && shown;
            record.entry = if early { Entry::Shown } else { entry };
            record.entry_newer = newer;
            return;
        }
        let unknown = stale && record.entry_newer;
        let lost = self.makes(Fault::EntryLeavesUnshown) && record.pending();
        if record.entry == Entry::Shown || unknown || lost {
            (record.entry, record.entry_newer) = (Entry::Absent, false);
        }
    }

    fn write_request(&self, state: &mut State, x: Who, i: Which) {
        let at = &mut column(state, i).memory[usize::from(x)];
        let task = std::mem::take(&mut at.request);
        let own_decision = state.current(usize::from(x)) && state.columns[usize::from(i)].reservation.entry_newer;
        match task {
            RequestTask::Reserved | RequestTask::Reserving => {
                go(state, i, self.plans.after_reservation);
                say_as(state, x, i, Holding::Held, own_decision, |c| &mut c.reservation);
            }
            RequestTask::Released | RequestTask::Releasing => {
                match self.next(&state.columns[usize::from(i)], true) {
                    Next::Release(to) => go(state, i, Some(to)),
                    _ => state.alarms |= alarm::ILLEGAL,
                }
                say_as(state, x, i, Holding::Nothing, own_decision, |c| &mut c.reservation);
            }
            _ => state.alarms |= alarm::ILLEGAL,
        }
        if matches!(task, RequestTask::Reserving | RequestTask::Releasing) {
            // The commit is still under way.
            column(state, i).memory[usize::from(x)].request = task;
        }
    }

    fn write_grant(&self, state: &mut State, x: Who, i: Which) {
        let entry_newer = state.columns[usize::from(i)].holding.entry_newer;
        let memory = &mut column(state, i).memory[usize::from(x)];
        if memory.grant == GrantTask::Freed {
            memory.grant = GrantTask::Idle;
            self.go_grant(state, i, Writing::Revoked);
            let newer = state.current(usize::from(x)) && entry_newer;
            say_as(state, x, i, Holding::Nothing, newer, |c| &mut c.holding);
            return;
        }
        let task = std::mem::take(&mut memory.request);
        self.go_grant(state, i, Writing::Charged);
        // Whoever writes it, the sequence is that of the one decision that charged the grant.
        say(state, i, Holding::Held, entry_newer, true, |c| &mut c.holding);
        if task == RequestTask::Moving {
            column(state, i).memory[usize::from(x)].request = task;
        }
    }

    /// A grant's status leads somewhere.
    fn go_grant(&self, state: &mut State, i: Which, writing: Writing) {
        let column = column(state, i);
        match self.grants.after(column.grant, column.revocation, writing) {
            Some(to) if to != column.grant => column.grant = to,
            _ => state.alarms |= alarm::ILLEGAL,
        }
    }
}

fn take_epoch(state: &mut State, x: Who) {
    state.epoch += 1;
    state.operators[usize::from(x)].epoch = state.epoch;
}

fn column(state: &mut State, i: Which) -> &mut Column {
    &mut state.columns[usize::from(i)]
}

fn booked(state: &State, x: Who, i: Which) -> bool {
    state.columns[usize::from(i)].memory[usize::from(x)].books_request
}

/// A request as a list showed it before it was written again: what the journal says of it is newer than that.
fn read_before(record: Record, listed: Holding) -> Read {
    let entry = match (record.entry, record.own) {
        (Entry::Shown | Entry::Stuck, Holding::Held) => Entry::Held,
        (Entry::Shown | Entry::Stuck, _) => Entry::Nothing,
        (entry, _) => entry,
    };
    Read { exists: true, own: listed, entry, counted: record.counted }
}

/// A request's status leads somewhere.
fn go(state: &mut State, i: Which, to: Option<RequestAt>) {
    match to {
        Some(to) => column(state, i).request = to,
        None => state.alarms |= alarm::ILLEGAL,
    }
}

/// An object says that it holds nothing, with the sequence that the operator last committed.
fn say_nothing(state: &mut State, x: Who, i: Which, of: impl Fn(&mut Column) -> &mut Record + Copy) {
    let stale = !state.current(usize::from(x));
    if stale && of(column(state, i)).own_newer {
        state.alarms |= alarm::FELL;
    }
    say_as(state, x, i, Holding::Nothing, false, of);
}

/// An object says what its operator decided; an operator that lost the ledger shows no decision that came after it.
fn say_as(state: &mut State, x: Who, i: Which, own: Holding, newer: bool, of: impl Fn(&mut Column) -> &mut Record) {
    let current = state.current(usize::from(x));
    let shows = current || !of(column(state, i)).entry_newer;
    say(state, i, own, newer, shows, of);
}

fn say(state: &mut State, i: Which, own: Holding, newer: bool, shows: bool, of: impl Fn(&mut Column) -> &mut Record) {
    let column = column(state, i);
    let record = of(column);
    (record.own, record.own_newer) = (own, newer);
    if record.pending() && shows {
        (record.entry, record.entry_newer) = (Entry::Shown, false);
    }
    for x in 0..OPERATORS {
        column.memory[x].listed_holds = false;
    }
}
