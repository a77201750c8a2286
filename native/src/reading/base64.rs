//! Decodes base64 (RFC 4648, sections 4 and 5).

use super::{Other, Step};

/// The bits beside those of a digit say which alphabet has it alone, and, both, that none has it.
const STANDARD: u8 = 64;
const FOR_URLS: u8 = 128;
const NONE: u8 = STANDARD | FOR_URLS;
const DIGITS: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let mut found = [NONE; 256];
    let mut at = 0;
    while at < 26 {
        found[b'A' as usize + at] = at as u8;
        found[b'a' as usize + at] = at as u8 + 26;
        at += 1;
    }
    at = 0;
    while at < 10 {
        found[b'0' as usize + at] = at as u8 + 52;
        at += 1;
    }
    found[b'+' as usize] = 62 | STANDARD;
    found[b'-' as usize] = 62 | FOR_URLS;
    found[b'/' as usize] = 63 | STANDARD;
    found[b'_' as usize] = 63 | FOR_URLS;
    found
}

/// Decodes one of both alphabets, padded in full or not at all.
pub fn decode(text: &[u8], out: &mut Vec<u8>) -> Step {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let data = &text[..text.len() - padding];
    let right = match padding {
        0 => data.len() % 4 != 1,
        1 | 2 => text.len() % 4 == 0,
        _ => false,
    };
    if !right {
        return Err(Other);
    }
    out.reserve(data.len() / 4 * 3 + 3);
    let mut alphabets = 0;
    for chunk in data.chunks(4) {
        let mut word = 0_u32;
        for byte in chunk {
            let digit = DIGITS[usize::from(*byte)];
            alphabets |= digit;
            word = word << 6 | u32::from(digit & 63);
        }
        let bytes = (word << (6 * (4 - chunk.len()))).to_be_bytes();
        out.extend_from_slice(&bytes[1..chunk.len()]);
    }
    if alphabets & NONE == NONE {
        Err(Other)
    } else {
        Ok(())
    }
}
