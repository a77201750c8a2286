//! Reads scalar values from wire bytes, and writes them as JSON.

use crate::numbers;
use crate::text;
use crate::wire::{self, Malformed};

/// A scalar type.
pub enum Scalar {
    Text,
    Bytes,
    Integer { wide: bool, signed: bool, zigzag: bool },
    Fixed32 { signed: bool },
    Fixed64 { signed: bool },
    Bool,
    Enum(EnumTexts),
    Null,
    Float,
    Double,
}

/// The JSON of each number of an enum; a closed one has no others.
pub struct EnumTexts {
    /// By number, in order.
    pub texts: Vec<(i32, Vec<u8>)>,
    pub closed: bool,
    /// The number whose text is the default of the enum.
    pub default: i32,
}

impl EnumTexts {
    fn find(&self, number: i32) -> Option<&[u8]> {
        // Most enums count from zero without gaps.
        let direct = usize::try_from(number).ok().and_then(|index| self.texts.get(index));
        if let Some((_, text)) = direct.filter(|(own, _)| *own == number) {
            return Some(text);
        }
        let found = self.texts.binary_search_by_key(&number, |(own, _)| *own);
        found.ok().map(|index| self.texts[index].1.as_slice())
    }
}

/// A value that was read. Texts and bytes stay in the wire bytes, from a start to an end.
#[derive(Clone, Copy)]
pub enum Value {
    /// A text of plain characters, as `text::is_plain` tells.
    Plain(usize, usize),
    Text(usize, usize),
    Bytes(usize, usize),
    Signed(i64),
    Unsigned(u64),
    Bool(bool),
    Enum(i32),
    Null,
    Float(f32),
    Double(f64),
}

impl Scalar {
    /// Reads a value. None is a number that a closed enum does not have: it counts as absent
    /// (protobuf.dev, "Enum Behavior").
    #[inline]
    pub fn read(&self, wire: &[u8], at: &mut usize) -> Result<Option<Value>, Malformed> {
        let value = match self {
            Scalar::Text => {
                let (start, end) = wire::span(wire, at)?;
                let text = &wire[start..end];
                if text::is_plain(text) {
                    Value::Plain(start, end)
                } else if std::str::from_utf8(text).is_ok() {
                    Value::Text(start, end)
                } else {
                    return Err(Malformed);
                }
            }
            Scalar::Bytes => {
                let (start, end) = wire::span(wire, at)?;
                Value::Bytes(start, end)
            }
            Scalar::Integer { wide, signed, zigzag } => {
                integer(wire::varint(wire, at)?, *wide, *signed, *zigzag)
            }
            Scalar::Fixed32 { signed } => {
                let number = u32::from_le_bytes(wire::fixed(wire, at)?);
                integer(u64::from(number), false, *signed, false)
            }
            Scalar::Fixed64 { signed } => {
                integer(u64::from_le_bytes(wire::fixed(wire, at)?), true, *signed, false)
            }
            Scalar::Bool => Value::Bool(wire::varint(wire, at)? != 0),
            Scalar::Enum(texts) => {
                let number = wire::varint(wire, at)? as i32;
                if texts.closed && texts.find(number).is_none() {
                    return Ok(None);
                }
                Value::Enum(number)
            }
            Scalar::Null => {
                wire::varint(wire, at)?;
                Value::Null
            }
            Scalar::Float => Value::Float(f32::from_le_bytes(wire::fixed(wire, at)?)),
            Scalar::Double => Value::Double(f64::from_le_bytes(wire::fixed(wire, at)?)),
        };
        Ok(Some(value))
    }

    /// True for the value that means, in a field without presence, that it is not set.
    pub fn is_default(&self, value: Value) -> bool {
        match value {
            Value::Plain(start, end) | Value::Text(start, end) | Value::Bytes(start, end) => {
                start == end
            }
            Value::Signed(number) => number == 0,
            Value::Unsigned(number) => number == 0,
            Value::Bool(truth) => !truth,
            Value::Enum(number) => matches!(self, Scalar::Enum(texts) if texts.default == number),
            Value::Null => true,
            // Minus zero is not the default.
            Value::Float(number) => number.to_bits() == 0,
            Value::Double(number) => number.to_bits() == 0,
        }
    }

    /// Writes a value that this type has read.
    #[inline]
    pub fn write(&self, value: Value, wire: &[u8], out: &mut Vec<u8>) {
        match value {
            Value::Plain(start, end) => text::quote_plain(wire, start, end, out),
            Value::Text(start, end) => text::quote(&wire[start..end], out),
            Value::Bytes(start, end) => text::base64(&wire[start..end], out),
            Value::Signed(number) => self.quoted_if_wide(out, |out| text::signed(number, out)),
            Value::Unsigned(number) => self.quoted_if_wide(out, |out| text::unsigned(number, out)),
            Value::Bool(truth) => out.extend_from_slice(if truth { b"true" } else { b"false" }),
            Value::Enum(number) => self.write_enum(number, out),
            Value::Null => out.extend_from_slice(b"null"),
            Value::Float(number) => numbers::float(number, out),
            Value::Double(number) => numbers::double(number, out),
        }
    }

    fn quoted_if_wide(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        // 64-bit integers are strings, because many parsers keep 53 bits (ProtoJSON).
        let wide = matches!(self, Scalar::Integer { wide: true, .. } | Scalar::Fixed64 { .. });
        if wide {
            out.push(b'"');
        }
        write(out);
        if wide {
            out.push(b'"');
        }
    }

    fn write_enum(&self, number: i32, out: &mut Vec<u8>) {
        match self {
            Scalar::Enum(texts) => match texts.find(number) {
                Some(text) => out.extend_from_slice(text),
                None => text::signed(i64::from(number), out),
            },
            _ => text::signed(i64::from(number), out),
        }
    }
}

/// Returns the integer of a number on the wire, which loses the bits that its type does not have.
#[inline]
fn integer(number: u64, wide: bool, signed: bool, zigzag: bool) -> Value {
    let number = if wide { number } else { number & 0xffff_ffff };
    if zigzag {
        Value::Signed((number >> 1) as i64 ^ -((number & 1) as i64))
    } else if !signed {
        Value::Unsigned(number)
    } else if wide {
        Value::Signed(number as i64)
    } else {
        Value::Signed(i64::from(number as i32))
    }
}
