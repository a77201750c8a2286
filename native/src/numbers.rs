//! Writes floating point numbers as JSON text.
//!
//! The digits are those of Python's `repr`: the fewest that are read as the same number, with an
//! exponent below 1e-4 and from 1e16 on.

use std::io::Write;

/// Texts of fewer characters than this have less than 16 digits, and no two of them are equally
/// near to a double.
const MANY_DIGITS: usize = 16;

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
