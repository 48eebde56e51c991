//! What is stored at the hub and at the site, and what the operators hold in memory.
//!
//! A state is small and canonical: two histories that leave the same objects and the same memories are one state.

use std::fmt;

/// Most requests of a configuration.
pub(crate) const REQUESTS: usize = 4;
/// Operators: two processes that compete for one lease.
pub(crate) const OPERATORS: usize = 2;

/// Where a Create request stands, by its stored spec and status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum RequestAt {
    /// A draft, nothing submitted.
    #[default]
    Draft,
    /// `spec.submission` was raised; no status answers it yet.
    Submitted,
    /// Phase `InReview`.
    InReview,
    /// Phase `Approved`.
    Approved,
    /// Phase `Applied`.
    Applied,
    /// Phase `Withdrawn`.
    Withdrawn,
    /// Phase `Draft` again, with a refusal that answers the submission.
    Refused,
}

/// Where a grant stands, by its stored status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum GrantAt {
    /// There is no grant of that name.
    #[default]
    Absent,
    /// Created; nothing charged.
    Pending,
    /// Charged; being delivered.
    Provisioning,
    /// Delivered, with the UID of what stands at the site in its inventory.
    InService,
    /// Phase `Revoking`, step `Removing`.
    Removing,
    /// Phase `Revoking`, step `Proving`.
    Proving,
    /// Phase `Revoked`.
    Revoked,
}

/// What a record says an object holds. Every object of the model charges one fixed amount, so an absolute charge has two values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Holding {
    /// `status.charge` was never written.
    #[default]
    Unsaid,
    /// The object's amount.
    Held,
    /// Zero.
    Nothing,
}

/// The stored journal entry of an object beside what the object itself shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Entry {
    /// None.
    #[default]
    Absent,
    /// Newer than what the object shows: its amount.
    Held,
    /// Newer than what the object shows: zero.
    Nothing,
    /// The object shows it, or something newer. The next commit leaves it out.
    Shown,
    /// The object shows it, and no commit will ever leave it out (only under [`super::fault::Fault::ShownEntriesStay`]).
    Stuck,
}

/// The charge of one object, as far as it is stored.
///
/// Sequences are kept as what `recover` and the API server compare, not as numbers: whether the journal's entry is newer than the
/// object's own charge ([`Entry::Held`], [`Entry::Nothing`]) or not ([`Entry::Shown`]), and whether either was decided after the
/// older of two living operators lost the ledger (`own_newer`, `entry_newer`). The numbers themselves would tell apart every order
/// in which independent decisions can be taken, although nothing reads more of them than these relations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Record {
    /// `status.charge` of the object.
    pub(crate) own: Holding,
    /// Whether that was decided later than anything the older living operator knows of.
    pub(crate) own_newer: bool,
    /// Entry of the ledger's journal.
    pub(crate) entry: Entry,
    /// Whether that was decided later than anything the older living operator knows of.
    pub(crate) entry_newer: bool,
    /// Whether the totals of the ledger's status contain it.
    pub(crate) counted: bool,
}

impl Record {
    /// What is charged for the object by everything that is stored: its own word, overlaid by a newer entry of the journal.
    pub(crate) const fn charged(self) -> bool {
        match self.entry {
            Entry::Held => true,
            Entry::Nothing => false,
            Entry::Absent | Entry::Shown | Entry::Stuck => matches!(self.own, Holding::Held),
        }
    }

    /// Whether the journal holds a decision that the object does not show.
    pub(crate) const fn pending(self) -> bool {
        matches!(self.entry, Entry::Held | Entry::Nothing)
    }
}

/// What an operator is doing with a request: the step of its reconcile that waits for the ledger or for the request's own write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum RequestTask {
    /// Nothing.
    #[default]
    Idle,
    /// Saw that there is no grant yet (only under [`super::fault::Fault::GrantNamedByChance`]).
    SawNoGrant,
    /// Decided to reserve; the commit is under way.
    Reserving,
    /// The reservation is committed; the status is not written.
    Reserved,
    /// Decided to release; the commit is under way.
    Releasing,
    /// The release is committed; the status is not written.
    Released,
    /// Decided to move the charge to the grant; the commit is under way.
    Moving,
    /// The move is committed; the grant's status is not written.
    Moved,
}

/// What an operator is doing with a grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum GrantTask {
    /// Nothing.
    #[default]
    Idle,
    /// Read a live grant and is about to create its objects at the site.
    Delivering,
    /// Proved zero and decided to release; the commit is under way.
    Freeing,
    /// The release is committed; `Revoked` is not written.
    Freed,
}

/// What one operator remembers about one request and its grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Memory {
    /// Step under way for the request.
    pub(crate) request: RequestTask,
    /// Step under way for the grant.
    pub(crate) grant: GrantTask,
    /// Whether its books charge the request.
    pub(crate) books_request: bool,
    /// Whether its books charge the grant.
    pub(crate) books_grant: bool,
    /// While it opens the ledger: what its list of requests showed.
    pub(crate) listed: Holding,
    /// Whether the request still shows that.
    pub(crate) listed_holds: bool,
}

/// One request, its grant, what stands at the site of it, and what the operators remember of it.
///
/// Requests of the same department and amount may trade places, and so may the operators: a column holds everything that moves
/// along, which makes the canonical form of a state a mere sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of a stored object, and millions of states are kept"
)]
pub(crate) struct Column {
    /// Request.
    pub(crate) request: RequestAt,
    /// `spec.withdrawn`.
    pub(crate) withdrawn: bool,
    /// The request's charge.
    pub(crate) reservation: Record,
    /// Grant.
    pub(crate) grant: GrantAt,
    /// `spec.revocation` of the grant is set.
    pub(crate) revocation: bool,
    /// The grant's inventory names what is to be created.
    pub(crate) intended: bool,
    /// The grant's charge.
    pub(crate) holding: Record,
    /// Whether something of the grant stands at the site.
    pub(crate) standing: bool,
    /// Whether the request came to a second grant.
    pub(crate) twin: bool,
    /// Memories of the operators.
    pub(crate) memory: [Memory; OPERATORS],
}

/// How far an operator's process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Not started, ended, or crashed: nothing in memory.
    #[default]
    Down,
    /// Got the lease; the ledger is not opened.
    Elected,
    /// Took the epoch.
    Opened,
    /// Listed the requests.
    Listed,
    /// Listed the grants, recovered, and leads.
    Leading,
}

/// One operator beside its memories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Operator {
    /// How far it is.
    pub(crate) stage: Stage,
    /// Epoch that it took; 0 before.
    pub(crate) epoch: u8,
    /// Whether it confirmed the site's identity and raised its fence, so that it may act there.
    pub(crate) fenced: bool,
}

/// One state of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// Holder of the lease.
    pub(crate) lease: Option<u8>,
    /// `status.epoch` of the ledger.
    pub(crate) epoch: u8,
    /// Epoch of the site's fence.
    pub(crate) fence: u8,
    /// Crashes that may still come.
    pub(crate) crashes: u8,
    /// Leaders that may still fall silent for longer than their lease and go on afterwards as if nothing had happened.
    pub(crate) pauses: u8,
    /// What must never happen and leaves no trace in the objects; see the constants of [`alarm`].
    pub(crate) alarms: u8,
    /// Operators.
    pub(crate) operators: [Operator; OPERATORS],
    /// Requests.
    pub(crate) columns: [Column; REQUESTS],
}

/// Events that the properties forbid.
pub(crate) mod alarm {
    /// A write lowered the ledger's epoch or sequence, or the sequence of an object's charge.
    pub(crate) const FELL: u8 = 1;
    /// The ledger took a commit from an operator that had lost it.
    pub(crate) const STALE_COMMIT: u8 = 2;
    /// `recover` found books that do not add up.
    pub(crate) const HELD: u8 = 4;
    /// A step led somewhere that the machine of requests or grants does not know.
    pub(crate) const ILLEGAL: u8 = 8;
    /// A step did not lead forward, so that the protocol could run in a circle.
    pub(crate) const CIRCLE: u8 = 16;
}

impl State {
    /// Whether the operator acts as a leader, rightly or not.
    pub(crate) const fn leads(&self, x: usize) -> bool {
        matches!(self.operators[x].stage, Stage::Leading)
    }

    /// Whether nobody took the ledger since this operator did.
    pub(crate) const fn current(&self, x: usize) -> bool {
        self.operators[x].epoch == self.epoch && !matches!(self.operators[x].stage, Stage::Down | Stage::Elected)
    }

    /// Whether an operator leads although another took the ledger.
    pub(crate) fn has_stale_leader(&self) -> bool {
        (0..OPERATORS).any(|x| self.leads(x) && !self.current(x))
    }

    /// Whether the process has a reason to end: it lost the lease, or the ledger.
    pub(crate) fn must_end(&self, x: usize) -> bool {
        match self.operators[x].stage {
            Stage::Down => false,
            Stage::Elected => self.lease != Some(index(x)),
            _ => self.lease != Some(index(x)) || !self.current(x),
        }
    }

    /// Forgets everything that an operator had in memory.
    pub(crate) fn end(&mut self, x: usize) {
        self.operators[x] = Operator::default();
        for column in &mut self.columns {
            column.memory[x] = Memory::default();
        }
        if self.lease == Some(index(x)) {
            self.lease = None;
        }
    }
}

/// An operator's or a request's place as it is kept in a state.
pub(crate) fn index(at: usize) -> u8 {
    u8::try_from(at).unwrap_or(u8::MAX)
}

/// A table of what differs from nothing; a path of states stays readable.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger epoch {}, fence {}, lease {:?}", self.epoch, self.fence, self.lease)?;
        for (x, operator) in self.operators.iter().enumerate() {
            write!(f, "; operator {x} {:?} epoch {}", operator.stage, operator.epoch)?;
        }
        for (i, column) in self.columns.iter().enumerate().filter(|(_, c)| **c != Column::default()) {
            write!(
                f,
                "; r{i} {:?} {:?}/{:?} g{i} {:?} {:?}/{:?}{}",
                column.request,
                column.reservation.own,
                column.reservation.entry,
                column.grant,
                column.holding.own,
                column.holding.entry,
                if column.standing { " stands" } else { "" }
            )?;
        }
        Ok(())
    }
}
