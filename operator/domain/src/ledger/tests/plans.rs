//! Recovery plans in the books.

use zhengyun_crds::ledger::{JournalEntry, LedgerStatus};

use super::super::{Charge, recover};
use super::{books, cpu, object, record};

/// A plan holds something at several sites, and may hold nothing but what the journal says.
#[test]
fn recovery_takes_of_a_plan_what_it_holds_at_this_site() {
    let two = Charge::granted(cpu("2"));
    let at = |site: &str, sequence| {
        let mut record = record("plan", "education", Some((sequence, &two)));
        if let Some(charge) = &mut record.charge {
            charge.site = site.to_owned();
        }
        record
    };
    let status = LedgerStatus { epoch: 1, sequence: 7, totals: two.to_text(), ..LedgerStatus::default() };
    let known = [record("plan", "education", None), at("hohhot", 5), at("ulanqab", 90)];
    let recovered = recover(books(), "hohhot", &status, &known).unwrap();
    assert_eq!((recovered.books.totals(), recovered.held), (&two, None));
    let entry =
        JournalEntry { sequence: 7, object: object("plan"), department: "education".into(), charge: two.to_text() };
    let status = LedgerStatus { journal: vec![entry], ..status };
    let recovered = recover(books(), "hohhot", &status, &known[..1]).unwrap();
    assert_eq!((recovered.books.totals(), recovered.pending.len(), recovered.orphaned.len()), (&two, 1, 0));
}
