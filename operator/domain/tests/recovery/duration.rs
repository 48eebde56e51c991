use jiff::SignedDuration;
use proptest::prelude::*;
use rstest::rstest;
use zhengyun_crds::DurationText;
use zhengyun_domain::recovery::duration::{parse, parse_positive, print};

#[rstest]
#[case("15m", 900)]
#[case("1h30m", 5_400)]
#[case("7d", 604_800)]
#[case("1d2h3m4s", 93_784)]
#[case("0s", 0)]
#[case("90m", 5_400)]
#[case("36500d", 36_500 * 86_400)]
fn read(#[case] text: &str, #[case] seconds: i64) {
    assert_eq!(parse("rpo", &DurationText::from(text)).unwrap().as_secs(), seconds);
}

#[rstest]
#[case("")]
#[case("15")]
#[case("m")]
#[case("1.5h")]
#[case("-5m")]
#[case("5m1h")]
#[case("1h1h")]
#[case("1 h")]
#[case("36500d1s")]
#[case("99999999999999999999d")]
#[case("１h")]
fn refused_with_the_field_the_text_and_the_fix(#[case] text: &str) {
    let error = parse("rpo", &DurationText::from(text)).unwrap_err();
    assert_eq!(error.field, "rpo");
    assert!(error.cause.contains(text) && error.cause.contains("such as 15m or 1h30m"), "{error}");
}

#[test]
fn nothing_is_refused_where_something_is_needed() {
    assert!(parse_positive("rto", &DurationText::from("0s")).is_err());
}

#[test]
fn what_was_measured_never_reads_as_shorter() {
    assert_eq!(print(SignedDuration::new(59, 1)).as_str(), "1m");
    assert_eq!(print(SignedDuration::from_secs(-5)).as_str(), "0s");
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(seconds in 0_i64..=3_153_600_000) {
        let duration = SignedDuration::from_secs(seconds);
        prop_assert_eq!(parse("x", &print(duration)).unwrap(), duration);
    }

    #[test]
    fn no_text_panics(text in ".{0,40}") {
        drop(parse("x", &DurationText(text)));
    }
}
