//! Quantities refuse by name and compute exactly. What Kubernetes makes of the same texts: `fuzz/quantity.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use rstest::rstest;
use zhengyun_domain::quantity::{Format, Quantity, QuantityError};

#[rstest]
#[case("1n", "finer than one thousandth")]
#[case("0.0001", "finer than one thousandth")]
#[case("8Ei", "beyond 9223372036854775807")]
#[case("1e4294967296", "beyond 9223372036854775807")]
#[case("1e9223372036854775807", "beyond 9223372036854775807")]
#[case("1e-9223372036854775808", "finer than one thousandth")]
#[case("1K", "unknown suffix \"K\"")]
#[case("4 Gi", "not a quantity")]
#[case("99999999999999999999999999999999999999999", "beyond 9223372036854775807")]
#[case("00000000000000000000000000000000000000000000000000000000000000000000000001", "not a quantity")]
fn names_the_text_and_what_to_write(#[case] input: &str, #[case] expected: &str) {
    let error = input.parse::<Quantity>().unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn one_byte_written_as_a_fraction_of_an_exbibyte_is_too_long_to_be_exact() {
    // Exact in theory, but longer than any amount needs to be.
    let text = "0.000000000000000000867361737988403547205962240695953369140625Ei";
    assert!(matches!(text.parse::<Quantity>(), Err(QuantityError::TooFine { .. })));
}

#[rstest]
#[case("0", "1Gi", "1Gi")]
#[case("1Gi", "0", "1Gi")]
#[case("1Gi", "512Mi", "1536Mi")]
#[case("1G", "1Gi", "2073741824")]
#[case("500m", "500m", "1")]
#[case("1e3", "1k", "2e3")]
fn adds_in_the_format_of_the_left_unless_it_is_zero(#[case] left: &str, #[case] right: &str, #[case] sum: &str) {
    let (left, right): (Quantity, Quantity) = (left.parse().unwrap(), right.parse().unwrap());
    assert_eq!(left.checked_add(&right).unwrap().to_string(), sum);
}

#[test]
fn a_result_out_of_range_is_an_error_that_shows_the_computation() {
    let most: Quantity = "9223372036854775807".parse().unwrap();
    let one = Quantity::from(1);
    assert_eq!(
        most.checked_add(&one).unwrap_err().to_string(),
        "9223372036854775807 + 1 is beyond 9223372036854775807 units, the most an amount can be"
    );
    assert!(most.checked_mul(-1).unwrap().checked_sub(&one).is_err());
    assert!(most.checked_mul(i64::MAX).is_err());
    assert!(Quantity::try_from(i64::MIN).is_err());
    assert!(Quantity::from_milli(i128::MAX, Format::DecimalSi).is_err());
    assert_eq!(most.whole_units(), Some(i64::MAX));
    assert_eq!("1500m".parse::<Quantity>().unwrap().whole_units(), None);
}

#[rstest]
#[case(r#""500m""#, Some("500m"))]
#[case("4", Some("4"))]
#[case("-4", Some("-4"))]
#[case("0.5", None)]
#[case("18446744073709551615", None)]
#[case("true", None)]
#[case("null", None)]
#[case(r#""half""#, None)]
fn reads_json_strings_and_whole_numbers_only(#[case] json: &str, #[case] expected: Option<&str>) {
    let read = serde_json::from_str::<Quantity>(json).ok().map(|q| q.to_string());
    assert_eq!(read.as_deref(), expected);
}

#[test]
fn is_written_to_json_as_its_canonical_text() {
    let quantity: Quantity = "2048Mi".parse().unwrap();
    assert_eq!(serde_json::to_string(&quantity).unwrap(), r#""2Gi""#);
}

fn any_quantity() -> impl Strategy<Value = Quantity> {
    let milli = prop_oneof![
        -2_000_000_i128..2_000_000,
        (-1_000_000_i128..1_000_000).prop_map(|units| units * 1000),
        (-8_000_i128..8_000, 0_u32..6)
            .prop_map(|(n, power)| n * 1000 * 1024_i128.pow(power))
            .prop_filter("in range", |milli| milli.abs() <= 9_223_372_036_854_775_807_000),
        -9_223_372_036_854_775_807_000_i128..=9_223_372_036_854_775_807_000,
    ];
    let format = prop_oneof![Just(Format::DecimalSi), Just(Format::BinarySi), Just(Format::DecimalExponent)];
    (milli, format).prop_map(|(milli, format)| Quantity::from_milli(milli, format).unwrap())
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_the_same_amount(quantity in any_quantity()) {
        let text = quantity.to_string();
        let back: Quantity = text.parse().unwrap();
        prop_assert_eq!(back.milli(), quantity.milli());
        prop_assert_eq!(back.to_string(), text, "printing is a fixed point");
    }

    #[test]
    fn adding_and_taking_away_loses_nothing(a in any_quantity(), b in any_quantity()) {
        if let Ok(sum) = a.checked_add(&b) {
            prop_assert_eq!(sum.checked_sub(&b).unwrap(), a);
            prop_assert_eq!(sum, b.checked_add(&a).unwrap());
            prop_assert_eq!(sum.milli(), a.milli() + b.milli());
        }
    }

    #[test]
    fn multiplying_is_adding_again_and_again(a in any_quantity(), times in 0_i64..20) {
        if let Ok(product) = a.checked_mul(times) {
            let sum = (0..times).try_fold(Quantity::ZERO, |sum, _| sum.checked_add(&a)).unwrap();
            prop_assert_eq!(product, sum);
        }
    }

    #[test]
    fn order_is_the_order_of_amounts(a in any_quantity(), b in any_quantity()) {
        prop_assert_eq!(a.cmp(&b), a.milli().cmp(&b.milli()));
        prop_assert_eq!(a == b, a.milli() == b.milli());
    }
}
