//! Reads numbers, booleans, text, bytes and enums.

use std::collections::HashMap;

use super::scanner::{number_size, Scanner};
use super::{base64, Other, Step};
use crate::store::NameHashes;

/// A value that is no message, after its tag, which is empty where values are packed.
pub struct Scalar {
    pub head: Vec<u8>,
    pub omits_default: bool,
    pub kind: Kind,
}

pub enum Kind {
    /// The encodings are those of `reading/scalars.py`: unsigned, signed, zigzag, fixed.
    Integer {
        low: i128,
        high: i128,
        encoding: u8,
    },
    Double,
    Float,
    Bool,
    BoolKey,
    Text,
    Bytes,
    Enum {
        names: HashMap<String, i64, NameHashes>,
        closed: bool,
        /// It is google.protobuf.NullValue.
        is_null: bool,
    },
}

/// Appends a varint.
pub fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 127 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

impl Scalar {
    /// Reads a value, and appends it with its tag.
    pub fn read(&self, text: &mut Scanner, out: &mut Vec<u8>) -> Step {
        match &self.kind {
            Kind::Text => {
                let found = text.string()?;
                self.bytes(found.as_bytes(), out);
            }
            Kind::Bytes => {
                let mut found = Vec::new();
                base64::decode(&text.string()?, &mut found)?;
                self.bytes(&found, out);
            }
            Kind::Bool => {
                let value = text.word("true");
                if !value && !text.word("false") {
                    return Err(Other);
                }
                self.varint(u64::from(value), out);
            }
            Kind::BoolKey => match &*text.string()? {
                "true" => self.varint(1, out),
                "false" => self.varint(0, out),
                _ => return Err(Other),
            },
            Kind::Integer { low, high, encoding } => {
                let value = integer(text)?;
                if !(*low..=*high).contains(&value) {
                    return Err(Other);
                }
                self.integer(value, *encoding, *high > i128::from(u32::MAX), out);
            }
            Kind::Double => self.fixed(&float(text)?.to_le_bytes(), out),
            Kind::Float => {
                let value = float(text)?;
                if value.is_finite() && value.abs() > f64::from(f32::MAX) {
                    return Err(Other);
                }
                self.fixed(&(value as f32).to_le_bytes(), out);
            }
            Kind::Enum { names, closed, is_null } => {
                let value = if text.peek() == b'"' {
                    *names.get(&*text.string()?).ok_or(Other)?
                } else if *is_null && text.word("null") {
                    0
                } else {
                    let value = i64::try_from(integer(text)?).map_err(|_| Other)?;
                    let known = !closed || names.values().any(|own| *own == value);
                    if !known || i32::try_from(value).is_err() {
                        return Err(Other);
                    }
                    value
                };
                self.varint(value as u64, out);
            }
        }
        Ok(())
    }

    fn integer(&self, value: i128, encoding: u8, wide: bool, out: &mut Vec<u8>) {
        match encoding {
            2 => self.varint(((value << 1) ^ (value >> 127)) as u64, out),
            3 if wide => self.fixed(&(value as u64).to_le_bytes(), out),
            3 => self.fixed(&(value as u32).to_le_bytes(), out),
            _ => self.varint(value as u64, out),
        }
    }

    fn varint(&self, value: u64, out: &mut Vec<u8>) {
        if value != 0 || !self.omits_default {
            out.extend_from_slice(&self.head);
            varint(value, out);
        }
    }

    fn fixed(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.omits_default || bytes.iter().any(|byte| *byte != 0) {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(bytes);
        }
    }

    fn bytes(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.omits_default || !bytes.is_empty() {
            out.extend_from_slice(&self.head);
            varint(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
    }
}

/// Reads an integer in its usual spelling, in quotes or not.
fn integer(text: &mut Scanner) -> Step<i128> {
    let quoted = if text.peek() == b'"' { Some(text.string()?) } else { None };
    let found = match &quoted {
        Some(found) => found,
        None => text.number()?,
    };
    if let Some(value) = few_digits(found.as_bytes()) {
        return Ok(value.into());
    }
    if found.len() > 20
        || found == "-0"
        || number_size(found.as_bytes()) != Some((found.len(), true))
    {
        return Err(Other);
    }
    found.parse().map_err(|_| Other)
}

/// Reads one to eighteen digits without a needless zero.
fn few_digits(text: &[u8]) -> Option<i64> {
    let right = (1..=18).contains(&text.len()) && (text[0] != b'0' || text.len() == 1);
    let digit =
        |found: i64, byte: &u8| byte.is_ascii_digit().then(|| found * 10 + i64::from(byte - b'0'));
    right.then_some(())?;
    text.iter().try_fold(0, digit)
}

/// Reads a floating-point number in range, in quotes or not.
fn float(text: &mut Scanner) -> Step<f64> {
    let quoted = if text.peek() == b'"' { Some(text.string()?) } else { None };
    let found = match quoted.as_deref() {
        Some("NaN") => return Ok(f64::from_bits(0x7ff8 << 48)),
        Some("Infinity") => return Ok(f64::INFINITY),
        Some("-Infinity") => return Ok(f64::NEG_INFINITY),
        Some(found) => found,
        None => text.number()?,
    };
    if !number_size(found.as_bytes()).is_some_and(|(size, _)| size == found.len()) {
        return Err(Other);
    }
    found.parse().ok().filter(|value: &f64| value.is_finite()).ok_or(Other)
}
