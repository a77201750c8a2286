//! Writes floating point numbers as JSON text.
//!
//! The digits are those of Python's `repr`: the fewest that are read as the same number, with an
//! exponent below 1e-4 and from 1e16 on.

use std::io::Write;

use crate::text;

/// Texts of fewer characters than this have less than 16 digits, and no two of them are equally
/// near to a double.
const MANY_DIGITS: usize = 16;
/// The decimals of numbers that need no search for their digits, and the numbers from which on
/// digits may be lost: with fewer, no two texts are read as the same double, or float.
const FEW_DECIMALS: usize = 4;
const DOUBLE_EXACT: u64 = 1_000_000_000_000_000;
const FLOAT_EXACT: u64 = 1_000_000;

/// Writes a double with the fewest digits that are read as the same double; 5.0 is 5.
pub fn double(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        let name: &[u8] = match value {
            f64::INFINITY => b"\"Infinity\"",
            f64::NEG_INFINITY => b"\"-Infinity\"",
            _ => b"\"NaN\"",
        };
        out.extend_from_slice(name);
        return;
    }
    if let Some(digits) = few_digits(value.abs(), DOUBLE_EXACT, |near| near == value.abs()) {
        return write_few(value < 0.0, digits, out);
    }
    let mut text = Spelled::default();
    // A sign, the digits with a point after the first one, and the exponent: -1.25e-7.
    let _ = write!(text, "{value:e}");
    if text.size > MANY_DIGITS {
        text = text.to_even(value);
    }
    let (sign, digits, exponent) = text.parts();
    out.extend_from_slice(sign);
    spell(digits, exponent, out);
}

/// Returns a number without its point, and its decimals, if it has few digits.
///
/// The division is exact to the last bit, as reading the text is (Clinger, "How to Read Floating
/// Point Numbers Accurately"), because both numbers are; so the first that is the same has the
/// fewest digits.
fn few_digits(size: f64, most: u64, is_same: impl Fn(f64) -> bool) -> Option<(u64, usize)> {
    let mut power = 1.0;
    for decimals in 0..=FEW_DECIMALS {
        let whole = (size * power + 0.5) as u64;
        if whole >= most {
            return None;
        }
        if whole > 0 && is_same(whole as f64 / power) {
            return Some((whole, decimals));
        }
        power *= 10.0;
    }
    None
}

/// Writes such a number.
fn write_few(negative: bool, (whole, decimals): (u64, usize), out: &mut Vec<u8>) {
    let power = 10_u64.pow(decimals as u32);
    if negative {
        out.push(b'-');
    }
    text::unsigned(whole / power, out);
    if decimals > 0 {
        out.push(b'.');
        text::padded(whole % power, decimals, out);
    }
}

/// Writes decimal digits; `exponent` is that of the first one.
fn spell(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    let count = digits.len() as i32;
    if !(-4..16).contains(&exponent) {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        out.extend_from_slice(digits);
    } else if count <= exponent + 1 {
        out.extend_from_slice(digits);
        out.resize(out.len() + (exponent + 1 - count) as usize, b'0');
    } else {
        let (whole, fraction) = digits.split_at(exponent as usize + 1);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// Writes a 32-bit float with the fewest digits, six or more, that are read as the same float.
pub fn float(value: f32, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return double(f64::from(value), out);
    }
    let is_same = |near: f64| near as f32 == value.abs();
    if let Some(digits) = few_digits(f64::from(value.abs()), FLOAT_EXACT, is_same) {
        return write_few(value < 0.0, digits, out);
    }
    for decimals in 5..9 {
        let mut text = Spelled::default();
        let _ = write!(text, "{:.decimals$e}", f64::from(value));
        let near: f64 = text.as_str().parse().unwrap_or_default();
        // Nine digits are always enough.
        if decimals == 8 || (near as f32).to_bits() == value.to_bits() {
            return double(near, out);
        }
    }
}

/// The text of a number while it is made; 32 bytes are more than any needs.
#[derive(Default)]
struct Spelled {
    bytes: [u8; 32],
    size: usize,
}

impl Spelled {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.size]).unwrap_or_default()
    }

    /// Returns the nearest number of as many digits: of two that are equally near, the even one, as
    /// Python does; Rust takes the larger one.
    fn to_even(self, value: f64) -> Spelled {
        let mantissa = self.as_str().split('e').next().unwrap_or_default();
        let decimals = mantissa.bytes().filter(u8::is_ascii_digit).count() - 1;
        let mut text = Spelled::default();
        let _ = write!(text, "{value:.decimals$e}");
        // Beside a power of two, the nearest one may be read as another number.
        if text.as_str().parse() == Ok(value) {
            text
        } else {
            self
        }
    }

    /// Removes the point; returns the sign, the digits and the exponent.
    fn parts(&mut self) -> (&'static [u8], &[u8], i32) {
        let sign: &[u8] = if self.bytes[0] == b'-' { b"-" } else { b"" };
        let (mantissa, exponent) = self.as_str().split_once('e').unwrap_or(("0", "0"));
        let exponent = exponent.parse().unwrap_or_default();
        let (mut first, end) = (sign.len(), mantissa.len());
        if self.bytes[first + 1] == b'.' {
            self.bytes[first + 1] = self.bytes[first];
            first += 1;
        }
        (sign, &self.bytes[first..end], exponent)
    }
}

impl Write for Spelled {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let end = self.size + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.size..end) {
            place.copy_from_slice(bytes);
            self.size = end;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
