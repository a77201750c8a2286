//! Reads the usual paths of a FieldMask; the definition reads the others.

use super::scalars::varint;
use super::{Other, Step};

/// The limits of `gateway/transcoding/field_masks.py`; characters are bytes here.
const MOST_CHARACTERS: usize = 64 * 1024;
const MOST_PATHS: usize = 10_000;
const PATHS: u8 = 0x0a;

/// Appends the paths of a mask in lowerCamelCase, whose steps are names alone, in snake_case.
pub fn mask(text: &[u8], out: &mut Vec<u8>) -> Step {
    if text.is_empty() {
        return Ok(());
    }
    if text.len() > MOST_CHARACTERS {
        return Err(Other);
    }
    let mut spelled = Vec::new();
    for (index, path) in text.split(|byte| *byte == b',').enumerate() {
        if index == MOST_PATHS || !path.first().is_some_and(u8::is_ascii_alphabetic) {
            return Err(Other);
        }
        spelled.clear();
        for byte in path {
            match *byte {
                b'A'..=b'Z' => spelled.extend_from_slice(&[b'_', byte.to_ascii_lowercase()]),
                b'a'..=b'z' | b'0'..=b'9' => spelled.push(*byte),
                b'.' if spelled.last() != Some(&b'.') => spelled.push(*byte),
                _ => return Err(Other),
            }
        }
        if spelled.last() == Some(&b'.') {
            return Err(Other);
        }
        out.push(PATHS);
        varint(spelled.len() as u64, out);
        out.extend_from_slice(&spelled);
    }
    Ok(())
}
