//! Texts of amounts: read as Kubernetes reads them or refused, and exact from then on.

use std::fs;
use std::time::Instant;

use proptest::prelude::*;
use zhengyun_domain::quantity::{Quantity, QuantityError};

use crate::run::{fuzz, report};

/// What Kubernetes makes of texts, and of pairs of amounts; `tests/fuzz/quantity` writes both files.
const TEXTS: &str = include_str!("../data/quantity_vectors.tsv");
const PAIRS: &str = include_str!("../data/quantity_pairs.tsv");
/// A folder with two more such files, which `tests/prove-fuzz` has written for one run.
const MORE: &str = "ZHENGYUN_FUZZ_VECTORS";
/// 2^63-1 whole units in milli units, where Kubernetes cuts binary amounts and Zhengyun refuses.
const MOST: i128 = 9_223_372_036_854_775_807_000;

/// Every line of a committed file, and of the one beside it in `MORE`, cut into its columns.
fn vectors<const COLUMNS: usize>(target: &str, file: &str, committed: &str, check: impl Fn([&str; COLUMNS])) {
    eprintln!("fuzz {target}: what Kubernetes made of them");
    let started = Instant::now();
    let more = std::env::var(MORE).map(|folder| fs::read_to_string(format!("{folder}/{file}")).unwrap());
    let more = more.unwrap_or_default();
    let mut checked = 0;
    for line in committed.lines().chain(more.lines()).filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        check(columns.try_into().unwrap_or_else(|_| panic!("{file}: malformed vector {line:?}")));
        checked += 1;
    }
    assert!(checked >= 800, "{file}: only {checked} vectors");
    report(target, checked, started);
}

/// The same amount and text, or a refusal that the module documents.
#[test]
fn texts_mean_what_they_mean_to_kubernetes() {
    let target = "quantity::texts_mean_what_they_mean_to_kubernetes";
    vectors(target, "quantity_vectors.tsv", TEXTS, |[input, canonical, milli]| {
        match (input.parse::<Quantity>(), canonical) {
            (Err(_), "error") => {}
            (Ok(ours), "error") => panic!("{input:?} is refused by Kubernetes but read as {ours}"),
            (Ok(ours), _) => {
                assert_eq!(ours.milli().to_string(), milli, "amount of {input:?}");
                assert_eq!(ours.to_string(), canonical, "text of {input:?}");
            }
            (Err(QuantityError::TooFine { .. }), _) => {
                // Kubernetes holds a fraction of a thousandth here, or rounded up to a billionth, or cut it off with the rest.
                let cut = input.ends_with('i') && milli.trim_start_matches('-') == MOST.to_string();
                assert!(
                    milli.contains('.') || cut || finer_than_held(input),
                    "{input:?} is whole thousandths: {milli}"
                );
            }
            (Err(QuantityError::TooLarge { .. }), _) => {
                let size: i128 = milli.trim_start_matches('-').split('.').next().unwrap().parse().unwrap_or(i128::MAX);
                let cut = input.ends_with('i') && size == MOST;
                assert!(size > MOST || cut, "{input:?} is in range: {milli}");
            }
            (Err(QuantityError::Malformed { .. }), _) => {
                let digitless = !input.split(['e', 'E']).next().unwrap().contains(|c: char| c.is_ascii_digit());
                assert!(digitless, "{input:?} has digits and is {canonical} to Kubernetes");
            }
            (Err(error), _) => panic!("{input:?} is {canonical} to Kubernetes: {error}"),
        }
    });
}

/// Whether a text goes beyond the nine decimals that Kubernetes keeps, so that it may have rounded up to something whole.
fn finer_than_held(input: &str) -> bool {
    let fraction = input.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let exponent = input.split_once(['e', 'E']).and_then(|(_, exponent)| exponent.parse::<i64>().ok()).unwrap_or(0);
    let shift = match input.bytes().last() {
        Some(b'n') => 9,
        Some(b'u') => 6,
        Some(b'm') => 3,
        _ => -exponent,
    };
    i64::try_from(digits).unwrap() + shift > 9
}

/// Order, sum, difference and product are those of Kubernetes, or out of range.
#[test]
fn amounts_compare_and_add_up_as_in_kubernetes() {
    vectors(
        "quantity::amounts_compare_and_add_up_as_in_kubernetes",
        "quantity_pairs.tsv",
        PAIRS,
        |[a, b, times, order, sum, sum_milli, difference, difference_milli, product, product_milli]| {
            let (left, right): (Quantity, Quantity) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(left.cmp(&right) as i8, order.parse::<i8>().unwrap(), "{a} and {b}");
            assert_eq!(left == right, order == "0", "{a} and {b}");
            let computed = [
                ("+", left.checked_add(&right), sum, sum_milli),
                ("-", left.checked_sub(&right), difference, difference_milli),
                ("*", left.checked_mul(times.parse().unwrap()), product, product_milli),
            ];
            for (operator, ours, text, milli) in computed {
                let theirs: i128 = milli.parse().unwrap();
                match ours {
                    Ok(ours) => {
                        assert_eq!(
                            (ours.milli(), ours.to_string().as_str()),
                            (theirs, text),
                            "{a} {operator} {b}, {times}"
                        );
                    }
                    Err(error) => assert!(theirs.abs() > MOST, "{a} {operator} {b}, {times} is {text}: {error}"),
                }
            }
        },
    );
}

/// Anything, nearly a number, or a number that Kubernetes has read with a letter changed.
fn text() -> impl Strategy<Value = String> {
    let known: Vec<&str> = TEXTS.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split('\t').next()).collect();
    let changed = (proptest::sample::select(known), any::<proptest::sample::Index>(), any::<char>(), 0..3).prop_map(
        |(known, at, letter, how)| {
            let mut letters: Vec<char> = known.chars().collect();
            let at = at.index(letters.len() + 1);
            match how {
                0 => letters.insert(at, letter),
                1 if at < letters.len() => letters[at] = letter,
                _ => letters.truncate(at),
            }
            letters.into_iter().collect()
        },
    );
    prop_oneof![
        1 => "\\PC{0,80}",
        4 => "[+-]?[0-9]{0,24}(\\.[0-9]{0,24})?([eE][+-]?[0-9]{0,20}|[numkMGTPE]|[KMGTPE]i)?",
        2 => "[+-]?[0-9]{1,4}(\\.[0-9]{0,3})?([eE][+-]?[0-9]|[mkMGT]|[KMGT]i)?",
        2 => changed,
    ]
}

#[test]
fn a_text_is_an_exact_amount_or_an_error() {
    fuzz("quantity::a_text_is_an_exact_amount_or_an_error", 20_000, &text(), |text| {
        match text.parse::<Quantity>() {
            Ok(amount) => {
                let printed = amount.to_string();
                let again: Quantity = printed.parse().unwrap();
                prop_assert_eq!((again.milli(), again.to_string()), (amount.milli(), printed.clone()), "of {:?}", text);
                prop_assert!(amount.milli().abs() <= MOST && printed.len() <= 40, "{printed}");
                let json = serde_json::to_string(&amount).unwrap();
                prop_assert_eq!(serde_json::from_str::<Quantity>(&json).unwrap(), amount);
            }
            Err(error) => {
                let told = error.to_string();
                prop_assert!(told.chars().count() < 300, "{told}");
                prop_assert_eq!(text.parse::<Quantity>().unwrap_err(), error);
            }
        }
        Ok(())
    });
}

/// Amounts whose sums come near the end of the range, in every format.
fn amounts() -> impl Strategy<Value = Vec<Quantity>> {
    let amount = text().prop_filter_map("an amount", |text| text.parse::<Quantity>().ok());
    let large =
        (-9_i64..10, -9_i64..10).prop_map(|(e, n)| format!("{}", e * 1_000_000_000_000_000_000 + n).parse().unwrap());
    proptest::collection::vec(prop_oneof![3 => amount, 1 => large], 1..12)
}

#[test]
fn sums_are_exact_in_every_order() {
    fuzz("quantity::sums_are_exact_in_every_order", 2_000, &amounts(), |amounts| {
        let exact: i128 = amounts.iter().map(Quantity::milli).sum();
        let add = |sum: Option<Quantity>, amount: &Quantity| sum?.checked_add(amount).ok();
        let forward = amounts.iter().fold(Some(Quantity::ZERO), add);
        let backward = amounts.iter().rev().fold(Some(Quantity::ZERO), add);
        for sum in [forward, backward].into_iter().flatten() {
            prop_assert_eq!(sum.milli(), exact);
        }
        if exact.abs() > MOST {
            prop_assert!(forward.is_none() && backward.is_none(), "{exact} is beyond what an amount can be");
        }
        for pair in amounts.windows(2) {
            let [a, b] = [pair[0], pair[1]];
            prop_assert_eq!(a.cmp(&b), a.milli().cmp(&b.milli()));
            if let Ok(difference) = a.checked_sub(&b) {
                prop_assert_eq!(difference.checked_add(&b).unwrap(), a);
                prop_assert_eq!(difference.is_negative(), a < b);
            }
        }
        Ok(())
    });
}
