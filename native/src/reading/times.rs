//! Reads the usual spellings of Timestamp and Duration; the definition reads the others.

use super::{Other, Step};

const DURATION_MOST_S: i64 = 315_576_000_000; // google/protobuf/duration.proto

/// Reads RFC 3339 in UTC; returns the seconds since 1970 and the nanoseconds after them.
pub fn timestamp(text: &[u8]) -> Step<(i64, i64)> {
    let (moment, rest) = text.split_at_checked(19).ok_or(Other)?;
    let nanos = nanos(rest.strip_suffix(b"Z").ok_or(Other)?)?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| moment[*at] != *byte) {
        return Err(Other);
    }
    let part = |from: usize, to: usize| number(&moment[from..to]);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let is_day = year > 0 && (1..=12).contains(&month) && (1..=last).contains(&day);
    if !is_day || hour > 23 || minute > 59 || second > 59 {
        return Err(Other);
    }
    // Years begin in March here: the day that leap years have more is then the last one.
    let years = if month > 2 { year } else { year - 1 };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = years * 365 + years / 4 - years / 100 + years / 400 + of_year - 719_468;
    Ok((((days * 24 + hour) * 60 + minute) * 60 + second, nanos))
}

/// Reads seconds with the suffix `s`; returns seconds and nanoseconds, of one sign.
pub fn duration(text: &[u8]) -> Step<(i64, i64)> {
    let text = text.strip_suffix(b"s").ok_or(Other)?;
    let (sign, size) = match text.strip_prefix(b"-") {
        Some(size) => (-1, size),
        None => (1, text),
    };
    let (whole, decimals) =
        size.split_at(size.iter().position(|byte| *byte == b'.').unwrap_or(size.len()));
    let seconds = number(whole)?;
    if whole.len() > 12 || seconds > DURATION_MOST_S {
        return Err(Other);
    }
    Ok((sign * seconds, sign * nanos(decimals)?))
}

/// Reads decimals with the point before them, or nothing.
fn nanos(decimals: &[u8]) -> Step<i64> {
    match decimals {
        [] => Ok(0),
        [b'.', digits @ ..] if digits.len() <= 9 => {
            Ok(number(digits)? * 10_i64.pow(9 - digits.len() as u32))
        }
        _ => Err(Other),
    }
}

/// Reads one to twelve digits.
fn number(digits: &[u8]) -> Step<i64> {
    if digits.is_empty() || digits.len() > 12 {
        return Err(Other);
    }
    digits.iter().try_fold(0, |found, byte| match byte {
        b'0'..=b'9' => Ok(found * 10 + i64::from(byte - b'0')),
        _ => Err(Other),
    })
}
