//! Cron expressions of five fields, matched against a calendar.
//!
//! Own code on purpose: the cron library for our time library counts Sunday as 1, joins the two day fields by *and*, and wants
//! seconds. People write what Kubernetes' CronJob and crontab(5) understand, and a schedule that means something else than its
//! reader thinks is a backup that is not there.

use jiff::civil::Date;

/// What a field may hold: name, smallest, largest, and words for its values from the smallest on.
struct Field {
    name: &'static str,
    low: u8,
    high: u8,
    words: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", low: 0, high: 59, words: &[] };
const HOUR: Field = Field { name: "hour", low: 0, high: 23, words: &[] };
const DAY: Field = Field { name: "day of month", low: 1, high: 31, words: &[] };
const MONTH: Field = Field {
    name: "month",
    low: 1,
    high: 12,
    words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// 7 is Sunday too, and folded into 0 after reading.
const WEEKDAY: Field =
    Field { name: "day of week", low: 0, high: 7, words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// Shorthands and what they stand for.
const SHORTHANDS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// A set of small numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set(u64);

impl Set {
    fn insert(&mut self, value: u8) {
        self.0 |= 1_u64.checked_shl(u32::from(value)).unwrap_or_default();
    }
    fn has(self, value: u8) -> bool {
        self.0.checked_shr(u32::from(value)).is_some_and(|bits| bits & 1 == 1)
    }
    fn iter(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |value| self.has(*value))
    }
}

/// A cron expression that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
    /// Whether the day of month is restricted; if both day fields are, either one is enough (crontab(5)).
    day_restricted: bool,
    weekday_restricted: bool,
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// Which field is wrong, with its text and what it may hold.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let expanded =
            SHORTHANDS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map_or(text, |(_, long)| long);
        if expanded.starts_with('@') {
            let known: Vec<&str> = SHORTHANDS.iter().map(|(name, _)| *name).collect();
            return Err(format!("\"{}\" is no shorthand: use one of {}", cut(text), known.join(", ")));
        }
        let fields: Vec<&str> = expanded.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!(
                "\"{}\" has {} fields, it takes five: minute, hour, day of month, month, day of week, such as 30 2 * * *",
                cut(text),
                fields.len()
            ));
        };
        let mut weekdays = field(&WEEKDAY, weekday)?;
        if weekdays.has(7) {
            weekdays.insert(0);
        }
        Ok(Self {
            minutes: field(&MINUTE, minute)?,
            hours: field(&HOUR, hour)?,
            days: field(&DAY, day)?,
            months: field(&MONTH, month)?,
            weekdays,
            day_restricted: !day.starts_with('*'),
            weekday_restricted: !weekday.starts_with('*'),
        })
    }

    /// Whether it runs in every hour: then it follows elapsed time across daylight changes, not the clock on the wall.
    pub fn every_hour(&self) -> bool {
        (0..24).all(|hour| self.hours.has(hour))
    }

    /// Whether it runs on a day.
    pub fn on(&self, date: Date) -> bool {
        let number = |value: i8| u8::try_from(value).unwrap_or_default();
        if !self.months.has(number(date.month())) {
            return false;
        }
        let day = self.days.has(number(date.day()));
        let weekday = self.weekdays.has(number(date.weekday().to_sunday_zero_offset()));
        if self.day_restricted && self.weekday_restricted { day || weekday } else { day && weekday }
    }

    /// The times of a day at which it runs, earliest first, as hour and minute.
    pub fn times(&self) -> impl Iterator<Item = (i8, i8)> {
        let minutes = self.minutes;
        let small = |value: u8| i8::try_from(value).unwrap_or_default();
        self.hours.iter().flat_map(move |hour| minutes.iter().map(move |minute| (small(hour), small(minute))))
    }
}

fn field(field: &Field, text: &str) -> Result<Set, String> {
    let mut set = Set::default();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step).filter(|s| *s > 0).ok_or_else(|| wrong(field, part))?)),
            None => (part, None),
        };
        let (low, high) = if range == "*" {
            // For the day of week 7 would be Sunday once more.
            (field.low, if field.high == 7 { 6 } else { field.high })
        } else if let Some((low, high)) = range.split_once('-') {
            (
                value(field, low).ok_or_else(|| wrong(field, part))?,
                value(field, high).ok_or_else(|| wrong(field, part))?,
            )
        } else {
            let low = value(field, range).ok_or_else(|| wrong(field, part))?;
            // `5/15` means from 5 on, as in most crons.
            (low, if step.is_some() { field.high } else { low })
        };
        if low > high {
            return Err(wrong(field, part));
        }
        (low..=high).step_by(usize::from(step.unwrap_or(1))).for_each(|value| set.insert(value));
    }
    Ok(set)
}

fn number(text: &str) -> Option<u8> {
    (!text.is_empty() && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn value(field: &Field, text: &str) -> Option<u8> {
    let word = field.words.iter().position(|word| text.eq_ignore_ascii_case(word));
    let value = match word {
        Some(at) => u8::try_from(at).ok()?.checked_add(field.low)?,
        None => number(text)?,
    };
    (field.low..=field.high).contains(&value).then_some(value)
}

fn wrong(field: &Field, part: &str) -> String {
    let words = match field.words {
        [first, .., last] => format!(" or {first} to {last}"),
        _ => String::new(),
    };
    format!(
        "\"{}\" is no {}: write *, a number from {} to {}{words}, a range such as {}-{}, a list, or a step such as */5",
        cut(part),
        field.name,
        field.low,
        field.high,
        field.low,
        field.high
    )
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}
