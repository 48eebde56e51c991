//! Amounts of several resources keep every unit, and say by how much a demand misses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use zhengyun_domain::amounts::{Amounts, Limit, Limits, ResourceName};
use zhengyun_domain::quantity::{Format, Quantity};

fn amounts(value: Value) -> Amounts {
    serde_json::from_value(value).unwrap()
}

fn limits(value: Value) -> Limits {
    serde_json::from_value(value).unwrap()
}

#[rstest]
#[case("cpu", true)]
#[case("storage.block", true)]
#[case("vm-count.2", true)]
#[case("", false)]
#[case("CPU", false)]
#[case("2cpu", false)]
#[case(".cpu", false)]
#[case("cpu.", false)]
#[case("cpu-", false)]
#[case("cpu/total", false)]
#[case("cpu\u{e9}", false)]
#[case("a23456789012345678901234567890123456789012345678901234567890123", true)]
#[case("a234567890123456789012345678901234567890123456789012345678901234", false)]
fn resource_names_are_checked(#[case] name: &str, #[case] valid: bool) {
    assert_eq!(name.parse::<ResourceName>().is_ok(), valid);
    assert_eq!(serde_json::from_value::<Amounts>(json!({name: "1"})).is_ok(), valid);
}

#[test]
fn a_zero_means_the_same_as_an_absent_resource() {
    assert_eq!(amounts(json!({"cpu": "0", "memory": "1Gi"})), amounts(json!({"memory": "1024Mi"})));
    assert!(amounts(json!({"cpu": "0"})).is_zero());
    assert_eq!(amounts(json!({"cpu": "0"})).to_string(), "nothing");
    assert_eq!(amounts(json!({"memory": "8Gi", "cpu": "4"})).to_string(), "cpu 4, memory 8Gi");
}

#[test]
fn computes_resource_by_resource() {
    let old = amounts(json!({"cpu": "4", "memory": "8Gi"}));
    let new = amounts(json!({"cpu": "2", "memory": "16Gi", "gpu": "1"}));
    assert_eq!(old.checked_add(&new).unwrap(), amounts(json!({"cpu": "6", "memory": "24Gi", "gpu": "1"})));
    assert_eq!(new.checked_sub(&old).unwrap(), amounts(json!({"cpu": "-2", "memory": "8Gi", "gpu": "1"})));
    assert_eq!(old.max(&new), amounts(json!({"cpu": "4", "memory": "16Gi", "gpu": "1"})));
    assert!(old.checked_sub(&old).unwrap().is_zero());
    let (resource, quantity) = old.checked_sub(&new).unwrap().first_negative().map(|(r, q)| (r.clone(), *q)).unwrap();
    assert_eq!((resource.as_str(), quantity.to_string().as_str()), ("gpu", "-1"));
}

#[test]
fn an_overflow_names_the_resource() {
    let most = amounts(json!({"cpu": "9223372036854775807", "memory": "1Gi"}));
    let error = most.checked_add(&most).unwrap_err().to_string();
    assert!(error.starts_with("cpu: 9223372036854775807 + "), "{error}");
}

#[test]
fn a_shortfall_carries_all_four_numbers() {
    let limits = limits(json!({"cpu": "10", "memory": "unlimited"}));
    let used = amounts(json!({"cpu": "7", "memory": "100Gi"}));
    let asked = amounts(json!({"cpu": "4500m", "memory": "1Ti", "gpu": "1"}));
    let short: Vec<String> = limits.shortfalls(&used, &asked).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        short,
        ["cpu: limit 10, used 7, asked 4500m, short by 1500m", "gpu: limit 0, used 0, asked 1, short by 1"]
    );
}

#[rstest]
#[case::exactly_full(json!({"cpu": "10"}), json!({"cpu": "7"}), json!({"cpu": "3"}), 0)]
#[case::one_thousandth_over(json!({"cpu": "10"}), json!({"cpu": "7"}), json!({"cpu": "3001m"}), 1)]
#[case::release_under_a_lowered_limit(json!({"cpu": "1"}), json!({"cpu": "7"}), json!({"cpu": "-1"}), 0)]
#[case::nothing_asked_under_a_lowered_limit(json!({"cpu": "1"}), json!({"cpu": "7"}), json!({"memory": "0"}), 0)]
#[case::no_limit_written(json!({}), json!({}), json!({"cpu": "1m"}), 1)]
fn fits_or_not(#[case] limit: Value, #[case] used: Value, #[case] asked: Value, #[case] shortfalls: usize) {
    assert_eq!(limits(limit).shortfalls(&amounts(used), &amounts(asked)).unwrap().len(), shortfalls);
}

#[test]
fn a_limit_below_use_is_reported_as_exceeded() {
    let over = limits(json!({"cpu": "5"})).exceeded_by(&amounts(json!({"cpu": "7"}))).unwrap();
    assert_eq!(over[0].to_string(), "cpu: limit 5, used 7, asked 0, short by 2");
}

#[test]
fn limits_are_written_as_they_are_read() {
    let text = json!({"cpu": "10", "memory": "unlimited"});
    let limits = limits(text.clone());
    assert_eq!(limits.get(&"memory".parse().unwrap()), Limit::Unlimited);
    assert_eq!(serde_json::to_value(limits).unwrap(), text);
    assert!(serde_json::from_value::<Limits>(json!({"cpu": "boundless"})).is_err());
}

fn any_amounts() -> impl Strategy<Value = Amounts> {
    let name = prop_oneof![Just("cpu"), Just("memory"), Just("storage.block"), Just("gpu")];
    let entry = (name, -1_000_000_i128..1_000_000)
        .prop_map(|(name, milli)| (name.parse().unwrap(), Quantity::from_milli(milli, Format::BinarySi).unwrap()));
    proptest::collection::vec(entry, 0..5).prop_map(|entries| entries.into_iter().collect())
}

proptest! {
    #[test]
    fn nothing_is_lost_or_made(a in any_amounts(), b in any_amounts(), c in any_amounts()) {
        let sum = a.checked_add(&b).unwrap();
        prop_assert_eq!(&sum, &b.checked_add(&a).unwrap());
        prop_assert_eq!(&sum.checked_sub(&b).unwrap(), &a);
        prop_assert_eq!(
            sum.checked_add(&c).unwrap(),
            a.checked_add(&b.checked_add(&c).unwrap()).unwrap()
        );
    }

    #[test]
    fn the_larger_is_at_least_either(a in any_amounts(), b in any_amounts()) {
        let larger = a.max(&b);
        for smaller in [&a, &b] {
            prop_assert!(larger.checked_sub(smaller).unwrap().first_negative().is_none());
        }
    }

    #[test]
    fn what_fits_stays_within_and_what_does_not_goes_over(used in any_amounts(), asked in any_amounts(), limit in any_amounts()) {
        let total = used.checked_add(&asked).unwrap();
        let short = Limits::from(limit.clone()).shortfalls(&used, &asked).unwrap();
        for (resource, amount) in asked.iter().filter(|(_, amount)| !amount.is_negative()) {
            let over = total.get(resource) > limit.get(resource);
            prop_assert_eq!(over, short.iter().any(|s| &s.resource == resource), "{} {}", resource, amount);
        }
    }

    #[test]
    fn json_keeps_the_amounts(a in any_amounts()) {
        let back: Amounts = serde_json::from_value(serde_json::to_value(&a).unwrap()).unwrap();
        prop_assert_eq!(back, a);
    }
}

#[test]
fn the_lower_of_two_limits_admits_only_what_both_admit() {
    let limits = |pairs: &[(&str, &str)]| -> Limits {
        pairs.iter().map(|(name, limit)| (name.parse().unwrap(), limit.parse::<Limit>().unwrap())).collect()
    };
    let left = limits(&[("cpu", "4"), ("memory", "unlimited"), ("gpu", "1")]);
    let right = limits(&[("cpu", "2"), ("memory", "8Gi"), ("ip.public", "3")]);
    let lower = left.lower_of(&right);
    for (name, limit) in [("cpu", "2"), ("memory", "8Gi"), ("gpu", "0"), ("ip.public", "0")] {
        assert_eq!(lower.get(&name.parse().unwrap()), limit.parse::<Limit>().unwrap(), "{name}");
    }
}
