//! Decisions of the real `Books`: every question that the model can ask is put to them once.
//!
//! A set of charges is a number: bit `i` for request `i`, bit `REQUESTS + i` for its grant. The answers are kept in a table, because
//! the checker asks the same few thousand questions millions of times. That books depend on nothing but the set of charges in
//! them, whatever road led there, is not assumed but tried: every booking is compared with books that were filled afresh.

use zhengyun_crds::ledger::ChargedObject;
use zhengyun_domain::ledger::{Books, Change, Charge, Refusal};

use super::state::REQUESTS;
use super::town::{Town, amounts};

/// A set of charged objects.
pub(crate) type Charges = u8;

/// A decision about one request and its grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Decision {
    /// The request holds its amount.
    Reserve,
    /// The request holds nothing.
    Release,
    /// In one commit the request holds nothing and its grant the amount.
    Move,
    /// The grant holds nothing.
    Free,
}

impl Decision {
    const ALL: [Self; 4] = [Self::Reserve, Self::Release, Self::Move, Self::Free];
}

/// What the books say to a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    /// It was booked, and these are the charges now.
    Booked(Charges),
    /// The department's own limit refuses.
    Department,
    /// The limit of a department above refuses.
    Ancestor,
    /// The capacity of the site refuses.
    Site,
    /// It was refused for another reason, or booked wrongly.
    Wrong,
}

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Verdicts {
    table: Vec<Verdict>,
    questions: usize,
}

impl Verdicts {
    /// Asks everything about every set of charges.
    pub(crate) fn ask(town: &Town) -> Self {
        let mut all = Self { table: vec![Verdict::Wrong; 256 * 4 * REQUESTS], questions: 0 };
        for charges in 0..=u8::MAX {
            if (0..2 * REQUESTS).any(|bit| charges & (1 << bit) != 0 && bit % REQUESTS >= town.requests()) {
                continue;
            }
            let books = filled(town, charges);
            for decision in Decision::ALL {
                for request in 0..town.requests() {
                    all.table[place(charges, decision, request)] = ask(town, &books, charges, decision, request);
                    all.questions += 1;
                }
            }
        }
        all
    }

    /// What the books say to a decision.
    pub(crate) fn verdict(&self, charges: Charges, decision: Decision, request: usize) -> Verdict {
        self.table[place(charges, decision, request)]
    }

    /// How many questions were asked.
    pub(crate) const fn questions(&self) -> usize {
        self.questions
    }
}

fn place(charges: Charges, decision: Decision, request: usize) -> usize {
    (usize::from(charges) * 4 + decision as usize) * REQUESTS + request
}

/// The bit of a request's own charge.
pub(crate) const fn request_bit(request: usize) -> Charges {
    1 << request
}

/// The bit of its grant's charge.
pub(crate) const fn grant_bit(request: usize) -> Charges {
    1 << (REQUESTS + request)
}

fn ask(town: &Town, books: &Books, charges: Charges, decision: Decision, request: usize) -> Verdict {
    let size = amounts(town.orders[request].size);
    let change = |object, charge| Change { object, department: department(town, request), charge };
    let of_request = |charge| change(request_object(town, request), charge);
    let of_grant = |charge| change(grant_object(town, request), charge);
    let (changes, after) = match decision {
        Decision::Reserve => (vec![of_request(Charge::reserved(size))], charges | request_bit(request)),
        Decision::Release => (vec![of_request(Charge::zero())], charges & !request_bit(request)),
        Decision::Move => (
            vec![of_request(Charge::zero()), of_grant(Charge::granted(size))],
            charges & !request_bit(request) | grant_bit(request),
        ),
        Decision::Free => (vec![of_grant(Charge::zero())], charges & !grant_bit(request)),
    };
    match books.check(&changes) {
        Err(Refusal::DoesNotFit { effects, .. }) => match effects.first().map(|e| e.department.as_str()) {
            Some("") => Verdict::Site,
            Some(name) if name == department(town, request) => Verdict::Department,
            Some(_) => Verdict::Ancestor,
            None => Verdict::Wrong,
        },
        Err(_) => Verdict::Wrong,
        Ok(()) => {
            let mut booked = books.clone();
            match booked.book(&changes, 7) {
                Ok(()) if alike(town, &booked, &filled(town, after)) => Verdict::Booked(after),
                _ => Verdict::Wrong,
            }
        }
    }
}

/// Books that hold a set of charges, filled one by one.
fn filled(town: &Town, charges: Charges) -> Books {
    let mut books = town.books();
    for request in 0..town.requests() {
        let size = amounts(town.orders[request].size);
        let mut book = |object, charge| {
            books.book(&[Change { object, department: department(town, request), charge }], 1).unwrap();
        };
        if charges & request_bit(request) != 0 {
            book(request_object(town, request), Charge::reserved(size.clone()));
        }
        if charges & grant_bit(request) != 0 {
            book(grant_object(town, request), Charge::granted(size));
        }
    }
    books
}

/// Whether two books say the same of every object, every department and the site.
fn alike(town: &Town, a: &Books, b: &Books) -> bool {
    let entries = |books: &Books| -> Vec<_> {
        books.entries().map(|e| (e.object.clone(), e.department.clone(), e.charge.clone())).collect()
    };
    entries(a) == entries(b)
        && a.totals() == b.totals()
        && town.departments.iter().all(|d| a.subtree(d.name) == b.subtree(d.name))
}

/// The set of charges that real books hold; none if they hold anything else than the amounts of the configuration.
pub(crate) fn charges_of(town: &Town, books: &Books) -> Option<Charges> {
    let mut charges = 0;
    for request in 0..town.requests() {
        if books.entry(&request_object(town, request).uid).is_some() {
            charges |= request_bit(request);
        }
        if books.entry(&grant_object(town, request).uid).is_some() {
            charges |= grant_bit(request);
        }
    }
    alike(town, books, &filled(town, charges)).then_some(charges)
}

/// Department of a request.
pub(crate) fn department(town: &Town, request: usize) -> String {
    town.departments[town.orders[request].department].name.to_owned()
}

/// A request as a charged object.
pub(crate) fn request_object(town: &Town, request: usize) -> ChargedObject {
    object(town, request, "ResourceRequest", "r")
}

/// Its grant as a charged object.
pub(crate) fn grant_object(town: &Town, request: usize) -> ChargedObject {
    object(town, request, "ResourceGrant", "g")
}

fn object(town: &Town, request: usize, kind: &str, letter: &str) -> ChargedObject {
    ChargedObject {
        kind: kind.to_owned(),
        namespace: format!("dept-{}", department(town, request)),
        name: format!("{letter}{request}"),
        uid: format!("{letter}{request}"),
    }
}
