//! The configuration: departments and limits, requests and amounts, and how much may go wrong.

use zhengyun_domain::amounts::{Amounts, Limit, Limits, ResourceName};
use zhengyun_domain::ledger::Books;
use zhengyun_domain::quantity::Quantity;
use zhengyun_domain::quota::{LimitBook, QuotaLine};
use zhengyun_domain::tree::Tree;

use super::fault::property;
use super::state::REQUESTS;

/// The site that everything is about.
pub(crate) const SITE: &str = "hohhot";

/// CPUs and gibibytes.
pub(crate) type Size = [u8; 2];

/// A department with its quota.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Department {
    /// Name.
    pub(crate) name: &'static str,
    /// Place of its parent in the list.
    pub(crate) parent: Option<usize>,
    /// Limit in force.
    pub(crate) limit: Size,
}

/// What one request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Place of its department in the list.
    pub(crate) department: usize,
    /// Amount.
    pub(crate) size: Size,
}

/// What a leader does that lost the ledger and does not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// It goes on for as long as it likes: looks at everything afresh, judges by its old books, writes what they allow.
    GoesOn,
    /// It finishes what it had begun, and ends.
    Finishes,
}

/// What the books say to a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// What the real books say.
    Counted,
    /// Either answer: as if others had taken the room, or not.
    Unknown,
}

/// One configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Town {
    /// Departments, parents first.
    pub(crate) departments: &'static [Department],
    /// Capacity of the site in force.
    pub(crate) capacity: Size,
    /// Requests; those that are alike stand next to each other.
    pub(crate) orders: &'static [Order],
    /// Crashes of a process that was the rightful leader or on its way to become it.
    pub(crate) crashes: u8,
    /// Leaders that fall silent past their lease and go on afterwards.
    pub(crate) pauses: u8,
    /// What such a leader does.
    pub(crate) late: Late,
    /// What the books say to a reservation.
    pub(crate) room: Room,
}

impl Town {
    /// How many requests there are.
    pub(crate) const fn requests(&self) -> usize {
        self.orders.len()
    }

    /// Departments whose subtree contains the department of a request, itself first.
    pub(crate) fn chain(&self, request: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(self.orders[request].department), |at| self.departments[*at].parent)
    }

    /// Whether what is only possible can be seen in so small a configuration.
    pub(crate) fn shows(&self, possibility: &str) -> bool {
        match possibility {
            property::TWO_LEADERS | property::LATE_DELIVERY => self.pauses > 0,
            property::REPLAY => self.pauses + self.crashes > 0,
            _ => true,
        }
    }

    /// Requests that may trade places: same department, same amount.
    pub(crate) fn groups(&self) -> Vec<std::ops::Range<usize>> {
        let mut groups: Vec<std::ops::Range<usize>> = Vec::new();
        for (at, order) in self.orders.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if self.orders[group.start] == *order => group.end = at + 1,
                _ => groups.push(at..at + 1),
            }
        }
        groups
    }

    /// Real books without any charge.
    pub(crate) fn books(&self) -> Books {
        let mut tree = Tree::default();
        let mut book = LimitBook { capacity: limits(self.capacity), ..LimitBook::default() };
        for department in self.departments {
            tree.place(department.name, department.parent.map(|p| self.departments[p].name));
            let line = QuotaLine { hard: limits(department.limit), shared_with_unlisted: false };
            book.lines.insert(department.name.to_owned(), line);
        }
        Books::new(SITE, tree, book)
    }

    /// Whether the charges of a set of requests and grants keep within every limit of the tree and the capacity: sums of small
    /// numbers, independent of the books.
    pub(crate) fn fits(&self, charged: impl Fn(usize) -> u8) -> bool {
        let mut at_department = [[0_u8; 2]; 8];
        let mut at_site = [0_u8; 2];
        for request in 0..self.requests() {
            let times = charged(request);
            if times == 0 {
                continue;
            }
            for (resource, amount) in self.orders[request].size.iter().enumerate() {
                for department in self.chain(request) {
                    at_department[department][resource] += times * amount;
                }
                at_site[resource] += times * amount;
            }
        }
        let within = |used: &Size, limit: &Size| used.iter().zip(limit).all(|(used, limit)| used <= limit);
        within(&at_site, &self.capacity)
            && self.departments.iter().enumerate().all(|(at, d)| within(&at_department[at], &d.limit))
    }
}

/// Amounts of a size.
pub(crate) fn amounts(size: Size) -> Amounts {
    names().into_iter().zip(size).map(|(name, amount)| (name, quantity(amount))).collect()
}

fn limits(size: Size) -> Limits {
    let mut limits = Limits::new();
    for (name, amount) in names().into_iter().zip(size) {
        limits.set(name, Limit::AtMost(quantity(amount)));
    }
    limits
}

fn names() -> [ResourceName; 2] {
    ["cpu", "memory"].map(|name| name.parse().unwrap())
}

fn quantity(amount: u8) -> Quantity {
    amount.to_string().parse().unwrap()
}

/// Two requests of two departments, one under the other, that do not both fit.
pub(crate) const PAIR: Town = Town {
    departments: &[
        Department { name: "region", parent: None, limit: [3, 2] },
        Department { name: "education", parent: Some(0), limit: [2, 2] },
    ],
    capacity: [3, 3],
    orders: &[Order { department: 1, size: [2, 1] }, Order { department: 0, size: [2, 1] }],
    crashes: 1,
    pauses: 1,
    late: Late::GoesOn,
    room: Room::Counted,
};

/// One of any number of requests.
pub(crate) const ONE: Town =
    Town { orders: &[Order { department: 1, size: [2, 1] }], crashes: 2, room: Room::Unknown, ..PAIR };

/// The whole: three departments, four requests, two operators, two crashes and a pause.
pub(crate) const FULL: Town = Town {
    departments: &[
        Department { name: "region", parent: None, limit: [4, 9] },
        Department { name: "education", parent: Some(0), limit: [2, 9] },
        Department { name: "health", parent: Some(0), limit: [3, 9] },
    ],
    capacity: [9, 3],
    orders: &[
        Order { department: 1, size: [2, 1] },
        Order { department: 1, size: [2, 1] },
        Order { department: 2, size: [3, 1] },
        Order { department: 0, size: [1, 3] },
    ],
    crashes: 2,
    pauses: 1,
    late: Late::Finishes,
    room: Room::Counted,
};

const _: () = assert!(FULL.orders.len() <= REQUESTS);
