//! Writes strings, bytes and integers as JSON text, and indents it.

const PAIRS: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const SPACES: u64 = PAIRS * 0x20;
/// Shorter texts are copied in blocks of this size, see `append`.
pub const BLOCK: usize = 32;
/// The two digits of each number below 100.
pub const DIGITS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};
const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes a text as a JSON string; characters outside ASCII stay as they are (RFC 8259).
pub fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    loop {
        let plain = plain_bytes(rest);
        out.extend_from_slice(&rest[..plain]);
        match rest.get(plain) {
            None => break,
            Some(&byte) => escape(byte, out),
        }
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}

/// Writes a text of plain characters, from `start` to `end` of `wire`, as a JSON string.
#[inline]
pub fn quote_plain(wire: &[u8], start: usize, end: usize, out: &mut Vec<u8>) {
    out.push(b'"');
    append(wire, start, end, out);
    out.push(b'"');
}

/// Appends the bytes from `start` to `end` of `from`.
///
/// A few are copied together with those behind them, which are then cut off: a copy of a fixed size
/// takes two instructions, one of any size a call.
#[inline]
pub fn append(from: &[u8], start: usize, end: usize, out: &mut Vec<u8>) {
    let size = end - start;
    match from[start..].first_chunk::<BLOCK>() {
        Some(block) if size <= BLOCK => {
            let before = out.len();
            out.extend_from_slice(block);
            out.truncate(before + size);
        }
        _ => out.extend_from_slice(&from[start..end]),
    }
}

/// True if a text is ASCII, and no character of it must be escaped in a JSON string.
#[inline]
pub fn is_plain(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some((chunk, others)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        if special(word) | word & HIGH != 0 {
            return false;
        }
        rest = others;
    }
    let last = rest.iter().fold(SPACES, |word, byte| word << 8 | u64::from(*byte));
    special(last) | last & HIGH == 0
}

/// Returns a word with the high bit of each byte that a JSON string must escape.
///
/// Only the lowest of these bits is certain: those above it may be of plain bytes.
#[inline]
fn special(word: u64) -> u64 {
    let quote = word ^ (PAIRS * u64::from(b'"'));
    let slash = word ^ (PAIRS * u64::from(b'\\'));
    let control = word.wrapping_sub(SPACES) & !word & HIGH;
    control | zero_bytes(quote) | zero_bytes(slash)
}

/// Returns a word with the high bit of its bytes that are zero; only the lowest bit is certain.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(PAIRS) & !word & HIGH
}

/// Returns the number of bytes before the first one that a JSON string must escape.
#[inline]
pub fn plain_bytes(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some((chunk, others)) = rest.split_first_chunk::<8>() {
        let found = special(u64::from_le_bytes(*chunk));
        if found != 0 {
            return text.len() - rest.len() + (found.trailing_zeros() / 8) as usize;
        }
        rest = others;
    }
    let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    text.len() - rest.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// Returns the number of bytes before the first one that is not ASCII, or that a JSON string must
/// escape.
#[inline]
pub fn plain_ascii_bytes(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some((chunk, others)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let found = special(word) | word & HIGH;
        if found != 0 {
            return text.len() - rest.len() + (found.trailing_zeros() / 8) as usize;
        }
        rest = others;
    }
    let is_special = |byte: &u8| !(0x20..0x80).contains(byte) || *byte == b'"' || *byte == b'\\';
    text.len() - rest.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Writes bytes as base64 with padding (RFC 4648, section 4), between quotes.
pub fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len().div_ceil(3) * 4 + 2);
    out.push(b'"');
    for chunk in bytes.chunks(3) {
        let second = chunk.get(1).copied().unwrap_or(0);
        let third = chunk.get(2).copied().unwrap_or(0);
        let word = u32::from_be_bytes([0, chunk[0], second, third]);
        let digit = |shift: u32| BASE64[(word >> shift & 63) as usize];
        out.extend_from_slice(&[
            digit(18),
            digit(12),
            if chunk.len() > 1 { digit(6) } else { b'=' },
            if chunk.len() > 2 { digit(0) } else { b'=' },
        ]);
    }
    out.push(b'"');
}

/// Writes a signed integer.
pub fn signed(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(value.unsigned_abs(), out);
}

/// Writes an unsigned integer.
pub fn unsigned(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    while value >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&DIGITS[(value % 100) as usize]);
        value /= 100;
    }
    // One more digit is left, or the number is zero.
    if value > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes a number with leading zeros, in as many digits as asked for.
pub fn padded(value: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut rest = value;
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Indents a JSON text without spaces, for people. Each token stays as it is spelled.
pub fn indented(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 2);
    let mut level = 0;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let empty = matches!(text.get(at..at + 2), Some(b"{}" | b"[]"));
        match byte {
            b'"' => {
                let end = end_of_string(text, at);
                out.extend_from_slice(&text[at..end]);
                at = end;
                continue;
            }
            b'{' | b'[' if empty => {
                out.extend_from_slice(&text[at..at + 2]);
                at += 1;
            }
            b'{' | b'[' => {
                level += 1;
                out.push(byte);
                new_line(level, &mut out);
            }
            b'}' | b']' => {
                level -= 1;
                new_line(level, &mut out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(level, &mut out);
            }
            b':' => out.extend_from_slice(b": "),
            _ => out.push(byte),
        }
        at += 1;
    }
    out
}

fn new_line(level: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.resize(out.len() + 2 * level, b' ');
}

/// Returns the position after the string that begins at a position.
pub fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Returns a number as 16 hexadecimal digits.
pub fn hex(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    digits[..8].copy_from_slice(&eight_digits((number >> 32) as u32));
    digits[8..].copy_from_slice(&eight_digits(number as u32));
    digits
}

/// The digits of half a number: all at once, each in a byte of one word.
fn eight_digits(number: u32) -> [u8; 8] {
    let mut word = u64::from(number);
    word = (word | word << 16) & 0x0000_ffff_0000_ffff;
    word = (word | word << 8) & 0x00ff_00ff_00ff_00ff;
    word = (word | word << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // A digit of ten and more is a letter, which is 39 behind where the digits would go on.
    let letters = (word + PAIRS * 6) >> 4 & PAIRS;
    (word + PAIRS * u64::from(b'0') + letters * 39).to_be_bytes()
}
