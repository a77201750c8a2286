//! Decodes base64 (RFC 4648, sections 4 and 5).

use super::{Other, Step};

const NONE: u8 = 64;
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
    found[b'+' as usize] = 62;
    found[b'-' as usize] = 62;
    found[b'/' as usize] = 63;
    found[b'_' as usize] = 63;
    found
}

/// Decodes one of both alphabets, padded in full or not at all.
pub fn decode(text: &str, out: &mut Vec<u8>) -> Step {
    let data = text.trim_end_matches('=').as_bytes();
    let padding = text.len() - data.len();
    let right = match padding {
        0 => data.len() % 4 != 1,
        1 | 2 => text.len() % 4 == 0,
        _ => false,
    };
    let has = |pair: [u8; 2]| data.iter().any(|byte| pair.contains(byte));
    if !right || has(*b"-_") && has(*b"+/") {
        return Err(Other);
    }
    out.reserve(data.len() / 4 * 3 + 3);
    for chunk in data.chunks(4) {
        let mut word = 0_u32;
        for byte in chunk {
            let digit = DIGITS[usize::from(*byte)];
            if digit == NONE {
                return Err(Other);
            }
            word = word << 6 | u32::from(digit);
        }
        let bytes = (word << (6 * (4 - chunk.len()))).to_be_bytes();
        out.extend_from_slice(&bytes[1..chunk.len()]);
    }
    Ok(())
}
