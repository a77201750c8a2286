//! Reads JSON of any shape: Value, Struct and ListValue (google/protobuf/struct.proto).

use super::keys::Keys;
use super::scanner::Scanner;
use super::values::close;
use super::{Other, Step};
use crate::wire::MAX_DEPTH;

// The tags of a Value's fields.
const NULL: u8 = 0x08;
const NUMBER: u8 = 0x11;
const TEXT: u8 = 0x1a;
const BOOL: u8 = 0x20;
const STRUCT: u8 = 0x2a;
const ARRAY: u8 = 0x32;
// The only field of a Struct and of a ListValue, and the key of an entry; the value of an entry.
const FIRST: u8 = 0x0a;
const SECOND: u8 = 0x12;

/// Reads a Value; `depth` counts the messages around it, as in `values::message`.
pub fn value(text: &mut Scanner, out: &mut Vec<u8>, depth: usize) -> Step {
    if depth > MAX_DEPTH {
        return Err(Other);
    }
    match text.peek() {
        b'"' => {
            out.push(TEXT);
            text.string_to(out)?;
        }
        bracket @ (b'{' | b'[') => {
            let is_struct = bracket == b'{';
            out.push(if is_struct { STRUCT } else { ARRAY });
            let start = out.len();
            out.push(0);
            if is_struct {
                object(text, out, depth + 1)?;
            } else {
                array(text, out, depth + 1)?;
            }
            close(start, out);
        }
        b'-' | b'0'..=b'9' => {
            let number = text.float()?;
            if !number.is_finite() {
                return Err(Other);
            }
            out.push(NUMBER);
            out.extend_from_slice(&number.to_le_bytes());
        }
        _ if text.word(b"null") => out.extend_from_slice(&[NULL, 0]),
        _ if text.word(b"false") => out.extend_from_slice(&[BOOL, 0]),
        _ if text.word(b"true") => out.extend_from_slice(&[BOOL, 1]),
        _ => return Err(Other),
    }
    Ok(())
}

/// Reads a Struct.
pub fn object(text: &mut Scanner, out: &mut Vec<u8>, depth: usize) -> Step {
    if depth > MAX_DEPTH {
        return Err(Other);
    }
    text.open(b'{')?;
    let mut keys = Keys::default();
    let mut before = false;
    while !text.closes(b'}', before)? {
        before = true;
        out.push(FIRST);
        let entry = out.len();
        out.extend_from_slice(&[0, FIRST]);
        text.string_to(out)?;
        if !text.takes(b':') {
            return Err(Other);
        }
        out.push(SECOND);
        let start = out.len();
        out.push(0);
        value(text, out, depth + 2)?;
        close(start, out);
        let key = close(entry, out);
        keys.add(key, out)?;
    }
    Ok(())
}

/// Reads a ListValue.
pub fn array(text: &mut Scanner, out: &mut Vec<u8>, depth: usize) -> Step {
    if depth > MAX_DEPTH {
        return Err(Other);
    }
    text.open(b'[')?;
    let mut before = false;
    while !text.closes(b']', before)? {
        before = true;
        out.push(FIRST);
        let start = out.len();
        out.push(0);
        value(text, out, depth + 1)?;
        close(start, out);
    }
    Ok(())
}
