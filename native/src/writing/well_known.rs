//! The messages with a JSON form of their own: Timestamp, Duration, FieldMask and Any.

use super::draft::{Draft, Job};
use super::plan::{Form, Shape};
use super::Fault;
use crate::text;
use crate::wire::{self, MAX_DEPTH};

const TIMESTAMP_FIRST_S: i64 = -62_135_596_800; // 0001-01-01T00:00:00Z
const TIMESTAMP_LAST_S: i64 = 253_402_300_799; // 9999-12-31T23:59:59Z
const DURATION_MOST_S: i64 = 315_576_000_000;
const SECOND_NS: i32 = 1_000_000_000;
const DAY_S: i64 = 86_400;
/// The limit of paths in a mask if some of them need care.
const MOST_PATHS: usize = 10_000;
/// The least size of one step of a path; each step counts as a value.
const STEP_BYTES: usize = 2;

/// The values of such a message.
pub enum Own {
    None,
    Time { seconds: i64, nanos: i32 },
    Mask(Box<Mask>),
    Any(Any),
}

/// The paths of a FieldMask with commas between them.
#[derive(Default)]
pub struct Mask {
    paths: String,
    count: usize,
    /// The reason why it has no JSON form; empty if it has one.
    flaw: String,
}

/// Where the URL and the message of an Any are: it is read at the end, when its type is known.
#[derive(Default)]
pub struct Any {
    url: (usize, usize),
    content: (usize, usize),
    depth: usize,
}

impl Own {
    /// Makes the values of an empty message.
    pub fn of(form: Form) -> Own {
        match form {
            Form::Timestamp | Form::Duration => Own::Time { seconds: 0, nanos: 0 },
            Form::Mask => Own::Mask(Box::default()),
            Form::Any => Own::Any(Any::default()),
            _ => Own::None,
        }
    }

    /// Reads the value of a field, which replaces the one before, or is one more path.
    pub fn take(
        &mut self,
        shape: &Shape,
        job: &Job<'_>,
        wire: &[u8],
        at: &mut usize,
        depth: usize,
    ) -> Result<(), Fault> {
        match (self, shape) {
            (Own::Time { seconds, .. }, Shape::Seconds) => {
                *seconds = wire::varint(wire, at)? as i64
            }
            (Own::Time { nanos, .. }, Shape::Nanos) => *nanos = wire::varint(wire, at)? as i32,
            (Own::Mask(mask), Shape::Path) => {
                let (start, end) = wire::span(wire, at)?;
                job.spend((end - start) / STEP_BYTES)?;
                mask.add(utf8(&wire[start..end])?, job)?;
            }
            (Own::Any(any), Shape::Url) => {
                let (start, end) = wire::span(wire, at)?;
                utf8(&wire[start..end])?;
                any.url = (start, end);
            }
            (Own::Any(any), Shape::Content) => {
                let (start, end) = wire::span(wire, at)?;
                if depth >= MAX_DEPTH && start < end {
                    return Err(Fault::too_deep());
                }
                (any.content, any.depth) = ((start, end), depth);
            }
            _ => unreachable!("other shapes are read by the draft"),
        }
        Ok(())
    }

    /// Writes the JSON of the message.
    pub fn write(&self, form: Form, job: &Job<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Own::Time { seconds, nanos } if form == Form::Duration => {
                duration(*seconds, *nanos, out)
            }
            Own::Time { seconds, nanos } => timestamp(*seconds, *nanos, out),
            Own::Mask(mask) => mask.write(out),
            Own::Any(any) => any.write(job, out),
            Own::None => Ok(()),
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::Malformed)
}

fn unprintable(reason: &str) -> Result<(), Fault> {
    Err(Fault::Unprintable(reason.into()))
}

impl Mask {
    /// Adds a path as it is spelled on the wire.
    fn add(&mut self, path: &str, job: &Job<'_>) -> Result<(), Fault> {
        self.count += 1;
        if !self.flaw.is_empty() {
            return Ok(());
        }
        if self.count > 1 {
            self.paths.push(',');
        }
        if is_plain(path) {
            camel_case(path, &mut self.paths);
        } else if self.count > MOST_PATHS {
            self.flaw =
                format!("has more than {MOST_PATHS} paths, and JSON cannot spell some as they are");
        } else if let Some(spelled) = job.plans.spelled(path)? {
            self.paths.push_str(&spelled);
        } else {
            let shown = job.plans.shown(path)?;
            self.flaw = format!("holds the path {shown}, which lowerCamelCase cannot spell");
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if !self.flaw.is_empty() {
            return unprintable(&format!("google.protobuf.FieldMask {}", self.flaw));
        }
        text::quote(self.paths.as_bytes(), out);
        Ok(())
    }
}

/// True for a path that needs no care: names of lowercase words with digits.
fn is_plain(path: &str) -> bool {
    let mut starts = true; // a letter must follow
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' => starts = false,
            b'0'..=b'9' if !starts => {}
            b'_' | b'.' if !starts => starts = true,
            _ => return false,
        }
    }
    !starts
}

/// Spells a plain path in lowerCamelCase.
fn camel_case(path: &str, out: &mut String) {
    let mut words = path.split('_');
    out.push_str(words.next().unwrap_or_default());
    for word in words {
        let mut letters = word.chars();
        out.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
}

impl Any {
    /// Writes an object with the URL in `@type`, and the members or the `value`.
    fn write(&self, job: &Job<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let url = utf8(&job.wire[self.url.0..self.url.1])?;
        let (mut at, end) = self.content;
        if url.is_empty() && at == end {
            out.extend_from_slice(b"{}");
            return Ok(());
        }
        let name = url.rsplit_once('/').map_or(url, |(_, name)| name);
        let Some(plan) = job.plans.named(name)? else {
            let shown = job.plans.shown(url)?;
            return unprintable(&format!("google.protobuf.Any holds the unknown type {shown}"));
        };
        let mut inner = Draft::new(plan, job)?;
        match inner.read(job, &job.wire[..end], &mut at, self.depth + 1, 0) {
            Err(Fault::Malformed) => {
                let reason = format!("google.protobuf.Any holds a malformed {}", plan.name);
                return Err(Fault::Unprintable(reason));
            }
            other => other?,
        }
        out.extend_from_slice(b"{\"@type\":");
        text::quote(url.as_bytes(), out);
        if plan.form == Form::Object {
            inner.write_members(job, out)?;
        } else {
            out.extend_from_slice(b",\"value\":");
            inner.write(job, out)?;
        }
        out.push(b'}');
        Ok(())
    }
}

/// Writes a time in UTC (RFC 3339) with 0, 3, 6 or 9 decimals.
fn timestamp(seconds: i64, nanos: i32, out: &mut Vec<u8>) -> Result<(), Fault> {
    let in_range = (TIMESTAMP_FIRST_S..=TIMESTAMP_LAST_S).contains(&seconds);
    if !in_range || !(0..SECOND_NS).contains(&nanos) {
        return unprintable("google.protobuf.Timestamp is outside the years 1 to 9999");
    }
    let (year, month, day) = date(seconds.div_euclid(DAY_S));
    let rest = seconds.rem_euclid(DAY_S) as u64;
    let mut time = *b"\"0000-00-00T00:00:00";
    let year = [(1, year / 100), (3, year % 100)];
    let day = [(6, month), (9, day)];
    let clock = [(12, rest / 3600), (15, rest / 60 % 60), (18, rest % 60)];
    for (place, number) in year.into_iter().chain(day).chain(clock) {
        time[place..place + 2].copy_from_slice(&text::DIGITS[number as usize]);
    }
    out.extend_from_slice(&time);
    decimals(nanos, out);
    out.extend_from_slice(b"Z\"");
    Ok(())
}

/// Writes seconds with 0, 3, 6 or 9 decimals and an s.
fn duration(seconds: i64, nanos: i32, out: &mut Vec<u8>) -> Result<(), Fault> {
    let is_mixed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
    let is_large = seconds.unsigned_abs() > DURATION_MOST_S.unsigned_abs();
    if is_large || nanos.unsigned_abs() >= SECOND_NS.unsigned_abs() || is_mixed {
        return unprintable(
            "google.protobuf.Duration is out of range or has parts of different signs",
        );
    }
    out.push(b'"');
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    text::unsigned(seconds.unsigned_abs(), out);
    decimals(nanos.abs(), out);
    out.extend_from_slice(b"s\"");
    Ok(())
}

/// Writes the fraction of a second with 0, 3, 6 or 9 digits, and the point before it.
fn decimals(nanos: i32, out: &mut Vec<u8>) {
    let (number, width) = match nanos {
        0 => return,
        _ if nanos % 1_000_000 == 0 => (nanos / 1_000_000, 3),
        _ if nanos % 1_000 == 0 => (nanos / 1_000, 6),
        _ => (nanos, 9),
    };
    out.push(b'.');
    text::padded(number.unsigned_abs().into(), width, out);
}

/// Returns the year, month and day of a day, counted from 1970-01-01, in the proleptic Gregorian
/// calendar.
fn date(days: i64) -> (u64, u64, u64) {
    // Years begin in March here, so that the day added in a leap year is the last one of a year;
    // four hundred years always have 146,097 days.
    let days = days + 719_468; // from 0000-03-01
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097) as u64;
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5;
    let is_next = month > 9; // January and February belong to the next year
    let year = year + era as u64 * 400 + u64::from(is_next);
    (year, if is_next { month - 9 } else { month + 3 }, day + 1)
}
