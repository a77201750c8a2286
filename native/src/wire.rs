//! Reads values of the protobuf wire format (protobuf.dev, "Encoding").
//!
//! Each function takes the bytes up to the end of the message, and the position to read at, which
//! it moves behind the value. A value never reaches beyond the end.

pub const VARINT: u32 = 0;
pub const FIXED64: u32 = 1;
pub const LENGTH: u32 = 2;
pub const GROUP: u32 = 3;
pub const END_GROUP: u32 = 4;
pub const FIXED32: u32 = 5;
/// The nesting limit of messages: the default of the protobuf libraries.
pub const MAX_DEPTH: usize = 100;

/// The bytes are not a protobuf message.
pub struct Malformed;

/// Reads an unsigned number of at most 64 bits, in at most ten bytes.
#[inline]
pub fn varint(wire: &[u8], at: &mut usize) -> Result<u64, Malformed> {
    match wire.get(*at) {
        Some(&byte) if byte < 128 => {
            *at += 1;
            Ok(u64::from(byte))
        }
        _ => long_varint(wire, at),
    }
}

fn long_varint(wire: &[u8], at: &mut usize) -> Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..=63).step_by(7) {
        let byte = *wire.get(*at).ok_or(Malformed)?;
        *at += 1;
        // Of the tenth byte, all bits but one are beyond the 64.
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

/// Reads a tag: field number times 8 plus wire type.
#[inline]
pub fn tag(wire: &[u8], at: &mut usize) -> Result<u32, Malformed> {
    match u32::try_from(varint(wire, at)?) {
        Ok(tag) if tag >= 8 => Ok(tag),
        _ => Err(Malformed),
    }
}

/// Reads the length before a length-delimited value, and the value; returns its start and end.
#[inline]
pub fn span(wire: &[u8], at: &mut usize) -> Result<(usize, usize), Malformed> {
    let size = varint(wire, at)?;
    let start = *at;
    if size > (wire.len() - start) as u64 {
        return Err(Malformed);
    }
    *at = start + size as usize;
    Ok((start, *at))
}

/// Reads as many bytes as the array has.
#[inline]
pub fn fixed<const N: usize>(wire: &[u8], at: &mut usize) -> Result<[u8; N], Malformed> {
    let bytes = wire.get(*at..).and_then(<[u8]>::first_chunk::<N>);
    *at += N;
    bytes.copied().ok_or(Malformed)
}

/// Skips the value after a tag. Groups are skipped with their end tag.
pub fn skip(wire: &[u8], at: &mut usize, first: u32) -> Result<(), Malformed> {
    if first & 7 != GROUP {
        return skip_one(wire, at, first & 7);
    }
    let mut groups = vec![first >> 3];
    while let Some(&inner) = groups.last() {
        let next = tag(wire, at)?;
        match next & 7 {
            GROUP if groups.len() < MAX_DEPTH => groups.push(next >> 3),
            GROUP => return Err(Malformed),
            END_GROUP if inner == next >> 3 => drop(groups.pop()),
            END_GROUP => return Err(Malformed),
            other => skip_one(wire, at, other)?,
        }
    }
    Ok(())
}

fn skip_one(wire: &[u8], at: &mut usize, wire_type: u32) -> Result<(), Malformed> {
    match wire_type {
        LENGTH => span(wire, at).map(drop),
        VARINT => varint(wire, at).map(drop),
        FIXED32 => fixed::<4>(wire, at).map(drop),
        FIXED64 => fixed::<8>(wire, at).map(drop),
        _ => Err(Malformed),
    }
}
