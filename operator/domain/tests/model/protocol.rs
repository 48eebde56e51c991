//! The protocol as a `stateright` model.

use stateright::{Model, Property};

use super::books::Verdicts;
use super::fault::Fault;
use super::grants::Grants;
use super::properties::properties;
use super::recovery::Recoveries;
use super::requests::Plans;
use super::state::{State, alarm};
use super::steps::Step;
use super::town::Town;

/// The protocol in one configuration, perhaps with one deliberate error in it.
#[derive(Debug)]
pub(crate) struct Protocol {
    pub(crate) town: Town,
    pub(crate) fault: Option<Fault>,
    pub(crate) verdicts: Verdicts,
    pub(crate) recoveries: Recoveries,
    pub(crate) plans: Plans,
    pub(crate) grants: Grants,
    groups: Vec<std::ops::Range<usize>>,
    reduced: bool,
    pub(crate) coarse: bool,
}

impl Protocol {
    /// The protocol as it is meant to be; states that differ only in which of two like requests, or which operator, are one.
    pub(crate) fn of(town: Town) -> Self {
        let grants = Grants::ask();
        Self {
            fault: None,
            verdicts: Verdicts::ask(&town),
            recoveries: Recoveries::default(),
            plans: Plans::ask(&grants),
            grants,
            groups: town.groups(),
            reduced: true,
            coarse: false,
            town,
        }
    }

    /// The protocol with an error. Operators and requests keep their names, so that a counterexample reads as it would happen.
    pub(crate) fn with(town: Town, fault: Fault) -> Self {
        Self { fault: Some(fault), reduced: false, ..Self::of(town) }
    }

    /// The protocol in coarser steps; see [`super::coarse`].
    pub(crate) fn coarse(town: Town) -> Self {
        Self { coarse: true, ..Self::of(town) }
    }

    /// Whether the protocol makes this error.
    pub(crate) fn makes(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Whether entries stay in the stored journal until the next commit although their objects show them.
    ///
    /// They are left out at once otherwise: nothing reads them but `recover`, which is asked each time whether it would start any
    /// differently with them.
    pub(crate) fn keeps_shown(&self) -> bool {
        !self.reduced
    }

    /// The one form of all states that differ in nothing that anybody compares.
    pub(crate) fn settle(&self, state: &mut State) {
        state.relate();
        state.sort(&self.groups);
    }

    /// Different questions that were put to the functions of the domain: checks with bookings, recoveries, plans and tasks.
    pub(crate) fn questions(&self) -> [usize; 3] {
        [self.verdicts.questions(), self.recoveries.count(), self.plans.questions() + self.grants.questions()]
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let mut first = State { crashes: self.town.crashes, pauses: self.town.pauses, ..State::default() };
        if self.coarse {
            first = self.blur(&first);
        }
        vec![first]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.steps(state, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut next = *last;
        self.take(&mut next, step);
        self.forget(&mut next);
        if self.rank(&next) <= self.rank(last) {
            next.alarms |= alarm::CIRCLE;
        }
        if self.reduced {
            self.settle(&mut next);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties(&self.town)
    }
}
