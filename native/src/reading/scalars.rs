//! Reads numbers, booleans, text, bytes and enums.

use std::collections::HashMap;

use super::scanner::{number_size, parsed, Scanner};
use super::values::close;
use super::{base64, Other, Step};
use crate::store::NameHashes;

/// The tag before a value; empty where values are packed.
pub struct Head {
    bytes: [u8; 8],
    size: usize,
}

impl Head {
    /// Makes it of at most eight bytes.
    pub fn new(tag: &[u8]) -> Option<Head> {
        let mut bytes = [0; 8];
        bytes.get_mut(..tag.len())?.copy_from_slice(tag);
        Some(Head { bytes, size: tag.len() })
    }

    pub fn len(&self) -> usize {
        self.size
    }

    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Appends it: all eight bytes, which takes one instruction, and cuts off those too many.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.size;
        out.extend_from_slice(&self.bytes);
        out.truncate(end);
    }
}

/// A value that is no message, after its tag, which is empty where values are packed.
pub struct Scalar {
    pub head: Head,
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
        names: HashMap<Vec<u8>, i64, NameHashes>,
        closed: bool,
        /// It is google.protobuf.NullValue.
        is_null: bool,
    },
}

/// Appends a varint.
#[inline]
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
                let start = out.len();
                self.head.append(out);
                text.string_to(out)?;
                self.omit_empty(start, out);
            }
            Kind::Bytes => {
                let start = out.len();
                self.head.append(out);
                let length = out.len();
                out.push(0);
                base64::decode(&text.string()?, out)?;
                close(length, out);
                self.omit_empty(start, out);
            }
            Kind::Bool => {
                let value = text.word(b"true");
                if !value && !text.word(b"false") {
                    return Err(Other);
                }
                self.varint(u64::from(value), out);
            }
            Kind::BoolKey => match &*text.string()? {
                b"true" => self.varint(1, out),
                b"false" => self.varint(0, out),
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
                } else if *is_null && text.word(b"null") {
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
            self.head.append(out);
            varint(value, out);
        }
    }

    fn fixed(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.omits_default || bytes.iter().any(|byte| *byte != 0) {
            self.head.append(out);
            out.extend_from_slice(bytes);
        }
    }

    /// Removes the empty text or bytes that were appended from `start` on, if a default is omitted.
    #[inline]
    fn omit_empty(&self, start: usize, out: &mut Vec<u8>) {
        if self.omits_default && out.len() == start + self.head.size + 1 {
            out.truncate(start);
        }
    }
}

/// Reads an integer in its usual spelling, in quotes or not.
fn integer(text: &mut Scanner) -> Step<i128> {
    if let Some(value) = text.few_digits() {
        return Ok(value);
    }
    let quoted = if text.peek() == b'"' { Some(text.string()?) } else { None };
    let found = match &quoted {
        Some(found) => found,
        None => text.number()?,
    };
    if found.len() > 20 || found == b"-0" || number_size(found) != Some((found.len(), true)) {
        return Err(Other);
    }
    std::str::from_utf8(found).ok().and_then(|found| found.parse().ok()).ok_or(Other)
}

/// Reads a floating-point number in range, in quotes or not.
fn float(text: &mut Scanner) -> Step<f64> {
    let value = if text.peek() == b'"' {
        match &*text.string()? {
            b"NaN" => return Ok(f64::from_bits(0x7ff8 << 48)),
            b"Infinity" => return Ok(f64::INFINITY),
            b"-Infinity" => return Ok(f64::NEG_INFINITY),
            found if number_size(found).is_some_and(|(size, _)| size == found.len()) => {
                parsed(found)?
            }
            _ => return Err(Other),
        }
    } else {
        text.float()?
    };
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Other)
    }
}
