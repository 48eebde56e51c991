//! A site's ledger with its requests and grants as a crash may have left them, and what their books must be.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use zhengyun_crds::amounts::{AmountText, Amounts as Texts};
use zhengyun_crds::ledger::{
    Charge as ChargeText, ChargedObject, Held, JournalEntry, LedgerStatus, ObjectCharge, QuarantinedCharge,
};
use zhengyun_domain::amounts::Limits;
use zhengyun_domain::ledger::{Books, ObjectRecord};
use zhengyun_domain::quota::{LimitBook, QuotaLine};
use zhengyun_domain::tree::Tree;

/// The site whose ledger it is.
pub(crate) const SITE: &str = "hohhot";
/// Departments with their parents.
pub(crate) const TREE: [(&str, Option<&str>); 6] = [
    ("region", None),
    ("league-a", Some("region")),
    ("league-b", Some("region")),
    ("education", Some("league-a")),
    ("health", Some("league-a")),
    ("finance", Some("league-b")),
];

/// What one object holds by one account: a sequence, and the four amounts as texts.
pub(crate) type Account = (i64, ChargeText);

/// One object, and all that is written about it anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub(crate) number: usize,
    pub(crate) department: usize,
    /// Whether the object itself still exists.
    pub(crate) exists: bool,
    /// What its own status says, and whether that is about this site.
    pub(crate) own: Option<(bool, Account)>,
    /// What the journal says: once, or by mistake more often.
    pub(crate) journal: Vec<Account>,
    pub(crate) quarantined: Option<ChargeText>,
}

impl Thing {
    pub(crate) fn object(&self) -> ChargedObject {
        ChargedObject {
            kind: if self.number.is_multiple_of(2) { "ResourceRequest" } else { "ResourceGrant" }.to_owned(),
            namespace: format!("dept-{}", self.department_name()),
            name: format!("thing-{}", self.number),
            uid: format!("uid-{}", self.number),
        }
    }

    pub(crate) fn department_name(&self) -> &'static str {
        TREE[self.department].0
    }

    /// The newest entry of the journal.
    fn newest(&self) -> Option<&Account> {
        self.journal.iter().max_by_key(|(sequence, _)| sequence)
    }

    /// What it holds, and whether the object has yet to be told or is gone and to be released.
    pub(crate) fn truth(&self) -> (Option<&ChargeText>, Standing) {
        let own = self.own.as_ref().filter(|(here, _)| *here && self.exists).map(|(_, account)| account);
        match (self.newest(), own) {
            (Some((_, charge)), _) if !self.exists && !is_zero(charge) => (Some(charge), Standing::Gone),
            (Some((sequence, charge)), own) if self.exists && own.is_none_or(|(at, _)| at < sequence) => {
                (Some(charge), Standing::Untold)
            }
            (_, Some((_, charge))) => (Some(charge), Standing::Told),
            _ => (self.quarantined.as_ref(), Standing::Told),
        }
    }
}

/// How an object stands to what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Told,
    Untold,
    Gone,
}

/// A ledger and its objects.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) things: Vec<Thing>,
    pub(crate) sequence: i64,
    /// Totals as recorded; those that add up, unless something is written here.
    pub(crate) totals: Option<ChargeText>,
    pub(crate) held: bool,
    /// Limits of the departments and of the site.
    pub(crate) limits: Vec<Limits>,
}

impl World {
    pub(crate) fn records(&self) -> Vec<ObjectRecord> {
        let existing = self.things.iter().filter(|thing| thing.exists);
        existing
            .map(|thing| ObjectRecord {
                object: thing.object(),
                department: thing.department_name().to_owned(),
                charge: thing.own.clone().map(|(here, (sequence, charge))| ObjectCharge {
                    site: if here { SITE } else { "elsewhere" }.to_owned(),
                    sequence,
                    reserved: charge.reserved,
                    granted: charge.granted,
                }),
            })
            .collect()
    }

    pub(crate) fn status(&self) -> LedgerStatus {
        let journal = self.things.iter().flat_map(|thing| {
            thing.journal.iter().map(|(sequence, charge)| JournalEntry {
                sequence: *sequence,
                object: thing.object(),
                department: thing.department_name().to_owned(),
                charge: charge.clone(),
            })
        });
        let quarantine = self.things.iter().filter_map(|thing| {
            Some(QuarantinedCharge {
                object: thing.object(),
                department: thing.department_name().to_owned(),
                charge: thing.quarantined.clone()?,
            })
        });
        LedgerStatus {
            epoch: 1,
            sequence: self.sequence,
            totals: self.totals.clone().unwrap_or_else(|| self.sum()),
            journal: journal.collect(),
            quarantine: quarantine.collect(),
            held: self.held.then(|| Held { reason: "TotalsMismatch".to_owned(), ..Held::default() }),
            ..LedgerStatus::default()
        }
    }

    /// Books without any charge.
    pub(crate) fn empty_books(&self) -> Books {
        let mut tree = Tree::default();
        let mut book = LimitBook { capacity: self.limits[TREE.len()].clone(), ..LimitBook::default() };
        for ((name, parent), hard) in TREE.into_iter().zip(&self.limits) {
            tree.place(name, parent);
            book.lines.insert(name.to_owned(), QuotaLine { hard: hard.clone(), shared_with_unlisted: false });
        }
        Books::new(SITE, tree, book)
    }

    /// What all of them hold together.
    pub(crate) fn sum(&self) -> ChargeText {
        let (mut reserved, mut granted) = (BTreeMap::new(), BTreeMap::new());
        for charge in self.things.iter().filter_map(|thing| thing.truth().0) {
            add(&mut reserved, &charge.reserved);
            add(&mut granted, &charge.granted);
        }
        ChargeText { reserved: written(&reserved), granted: written(&granted) }
    }

    /// The numbers of the things that stand so.
    pub(crate) fn standing(&self, wanted: Standing) -> BTreeSet<String> {
        self.things.iter().filter(|t| t.truth().1 == wanted).map(|t| t.object().uid).collect()
    }
}

/// Adds texts up in thousandths: the model's own arithmetic, good for the plain numbers that [`amount`] writes.
fn add(sums: &mut BTreeMap<String, i128>, texts: &Texts) {
    for (resource, text) in texts {
        let (digits, unit) = match text.0.strip_suffix('m') {
            Some(digits) => (digits, 1),
            None => (text.0.as_str(), 1000),
        };
        *sums.entry(resource.clone()).or_default() += digits.parse::<i128>().unwrap() * unit;
    }
}

/// Amounts as the model writes them; the product reads any other spelling of the same.
fn written(sums: &BTreeMap<String, i128>) -> Texts {
    sums.iter().map(|(resource, milli)| (resource.clone(), AmountText(format!("{milli}m")))).collect()
}

fn is_zero(charge: &ChargeText) -> bool {
    let mut sums = BTreeMap::new();
    add(&mut sums, &charge.reserved);
    add(&mut sums, &charge.granted);
    sums.values().all(|milli| *milli == 0)
}

/// Zero, some or many, in units or thousandths.
fn amount() -> impl Strategy<Value = AmountText> {
    let text = prop_oneof![1 => Just("0".to_owned()), 6 => (1_u32..9).prop_map(|n| n.to_string()), 2 => (1_u32..5_000).prop_map(|n| format!("{n}m"))];
    text.prop_map(AmountText)
}

fn amounts() -> impl Strategy<Value = Texts> {
    let resource = proptest::sample::select(vec!["cpu", "memory", "storage.block"]).prop_map(str::to_owned);
    proptest::collection::btree_map(resource, amount(), 0..3)
}

pub(crate) fn charge() -> impl Strategy<Value = ChargeText> {
    (amounts(), amounts()).prop_map(|(reserved, granted)| ChargeText { reserved, granted })
}

fn account() -> impl Strategy<Value = Account> {
    (0_i64..40, charge())
}

fn thing() -> impl Strategy<Value = Thing> {
    let own = proptest::option::weighted(0.7, (proptest::bool::weighted(0.9), account()));
    let journal = prop_oneof![4 => Just(0_usize), 4 => Just(1), 1 => Just(2), 1 => Just(3)]
        .prop_flat_map(|n| proptest::collection::btree_map(0_i64..40, charge(), n))
        .prop_map(|accounts| accounts.into_iter().collect())
        .prop_shuffle();
    let quarantined = proptest::option::weighted(0.15, charge());
    (0..TREE.len(), proptest::bool::weighted(0.8), own, journal, quarantined).prop_map(
        |(department, exists, own, journal, quarantined)| Thing {
            number: 0,
            department,
            exists,
            own,
            journal,
            quarantined,
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    let limit = prop_oneof![6 => (0_u32..60).prop_map(|n| n.to_string()), 1 => Just("unlimited".to_owned())];
    proptest::collection::vec(limit, 3).prop_map(|texts| {
        let names = ["cpu", "memory", "storage.block"];
        names.iter().zip(texts).map(|(name, text)| (name.parse().unwrap(), text.parse().unwrap())).collect()
    })
}

/// Any ledger with up to ten objects.
pub(crate) fn world() -> impl Strategy<Value = World> {
    let things = proptest::collection::vec(thing(), 0..10);
    let totals = proptest::option::weighted(0.2, charge());
    let limits = proptest::collection::vec(limits(), TREE.len() + 1);
    (things, 30_i64..50, totals, proptest::bool::weighted(0.1), limits).prop_map(
        |(mut things, sequence, totals, held, limits)| {
            for (number, thing) in things.iter_mut().enumerate() {
                thing.number = number;
            }
            World { things, sequence, totals, held, limits }
        },
    )
}
