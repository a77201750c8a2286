//! Takes the tokens of a JSON text (RFC 8259) one by one.

use std::borrow::Cow;

use super::scalars::varint;
use super::values::close;
use super::{Other, Step};
use crate::text::{append, plain_ascii_bytes};

/// The powers of ten up to those of as many decimals as are read at once; a float has all exactly.
const POWERS: [f64; MOST_DIGITS] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
];
/// A float has all integers up to this one exactly.
const EXACT: u64 = 1 << 53;
/// The most digits that 64 bits hold, whatever they are.
const MOST_DIGITS: usize = 19;

/// The name of a member as most programs spell it: in quotes, with the colon behind it.
pub struct Spelled {
    /// Its first bytes, and the mask of those that it has.
    first: u128,
    mask: u128,
    others: Vec<u8>,
    size: usize,
}

impl Spelled {
    /// Spells a name; None if that takes an escape.
    pub fn new(name: &str) -> Option<Spelled> {
        if plain_ascii_bytes(name.as_bytes()) < name.len() {
            return None;
        }
        let bytes = format!("\"{name}\":").into_bytes();
        let (mut first, mut mask) = ([0; 16], [0; 16]);
        for (at, byte) in bytes.iter().take(16).enumerate() {
            first[at] = *byte;
            mask[at] = 0xff;
        }
        Some(Spelled {
            first: u128::from_le_bytes(first),
            mask: u128::from_le_bytes(mask),
            others: bytes.get(16..).unwrap_or_default().to_vec(),
            size: bytes.len(),
        })
    }
}

/// A JSON text and the position that is read next.
///
/// A text need not be UTF-8: strings are checked when they are taken, and other tokens are ASCII.
pub struct Scanner<'a> {
    text: &'a [u8],
    pub at: usize,
    /// The number of objects and arrays around the position.
    pub levels: usize,
    most_levels: usize,
    /// The bytes that may still be read twice.
    left_ahead: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a [u8], most_levels: usize) -> Scanner<'a> {
        Scanner { text, at: 0, levels: 0, most_levels, left_ahead: 2 * text.len() }
    }

    /// Takes tokens that will be read once more; all that are read so are limited together, so that
    /// the time stays linear in the text.
    pub fn ahead<T>(&mut self, take: impl FnOnce(&mut Scanner<'a>) -> Step<T>) -> Step<T> {
        let start = self.at;
        let found = take(self)?;
        self.left_ahead = self.left_ahead.checked_sub(self.at - start).ok_or(Other)?;
        Ok(found)
    }

    /// Returns the first byte of the next token; 0 at the end.
    #[inline]
    pub fn peek(&mut self) -> u8 {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(&byte) => return byte,
                None => return 0,
            }
        }
    }

    /// Takes a byte if it is the next token.
    #[inline]
    pub fn takes(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Step {
        if self.takes(byte) {
            Ok(())
        } else {
            Err(Other)
        }
    }

    /// Takes the bracket that opens an object or an array.
    #[inline]
    pub fn open(&mut self, bracket: u8) -> Step {
        self.expect(bracket)?;
        self.levels += 1;
        if self.levels > self.most_levels {
            Err(Other)
        } else {
            Ok(())
        }
    }

    /// Takes the closing bracket if it is next, or else a comma if items came `before`.
    #[inline]
    pub fn closes(&mut self, bracket: u8, before: bool) -> Step<bool> {
        let byte = self.peek();
        if byte == bracket {
            self.at += 1;
            self.levels -= 1;
            return Ok(true);
        }
        if before && byte != b',' {
            return Err(Other);
        }
        self.at += usize::from(before);
        Ok(false)
    }

    /// Takes the name of a member and the colon after it.
    pub fn name(&mut self) -> Step<Cow<'a, [u8]>> {
        let name = self.string()?;
        self.expect(b':')?;
        Ok(name)
    }

    /// Takes one of some names, and the colon after it, if it is next and spelled so; returns its
    /// place among them.
    #[inline]
    pub fn likely_name<'n>(
        &mut self,
        mut names: impl Iterator<Item = Option<&'n Spelled>>,
    ) -> Option<usize> {
        self.peek();
        let (block, others) = self.text.get(self.at..)?.split_first_chunk()?;
        let block = u128::from_le_bytes(*block);
        let mut size = 0;
        let found = names.position(|name| {
            name.is_some_and(|name| {
                size = name.size;
                block & name.mask == name.first && (size <= 16 || others.starts_with(&name.others))
            })
        })?;
        self.at += size;
        Some(found)
    }

    /// Takes a word if it is next.
    #[inline]
    pub fn word(&mut self, word: &[u8]) -> bool {
        self.peek();
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// Takes a string.
    pub fn string(&mut self) -> Step<Cow<'a, [u8]>> {
        self.expect(b'"')?;
        let start = self.at;
        let escape = self.run()?;
        let plain = &self.text[start..self.at - 1];
        if !escape {
            return Ok(Cow::Borrowed(plain));
        }
        let mut found = plain.to_vec();
        self.escaped(&mut found)?;
        Ok(Cow::Owned(found))
    }

    /// Takes a string, and appends it with its length before it.
    #[inline]
    pub fn string_to(&mut self, out: &mut Vec<u8>) -> Step {
        self.expect(b'"')?;
        let start = self.at;
        let escape = self.run()?;
        let end = self.at - 1;
        if !escape {
            varint((end - start) as u64, out);
            append(self.text, start, end, out);
            return Ok(());
        }
        let length = out.len();
        out.push(0);
        out.extend_from_slice(&self.text[start..end]);
        self.escaped(out)?;
        close(length, out);
        Ok(())
    }

    /// Appends the rest of a string, from behind its first backslash.
    fn escaped(&mut self, out: &mut Vec<u8>) -> Step {
        loop {
            self.escape(out)?;
            let start = self.at;
            let again = self.run()?;
            append(self.text, start, self.at - 1, out);
            if !again {
                return Ok(());
            }
        }
    }

    /// Takes characters of a string, and the quote or the backslash behind them; true for a
    /// backslash.
    fn run(&mut self) -> Step<bool> {
        let text = self.text;
        let mut at = self.at;
        loop {
            at += plain_ascii_bytes(text.get(at..).ok_or(Other)?);
            match text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at = at + 1;
                    return Ok(true);
                }
                Some(128..) => (),
                _ => return Err(Other),
            }
            // Other scripts than the Latin one have many such characters one after another.
            while text.get(at).is_some_and(|byte| *byte >= 128) {
                at += character(&text[at..]).ok_or(Other)?;
            }
        }
        self.at = at + 1;
        Ok(false)
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Step {
        out.push(match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => b'\x08',
            b'f' => b'\x0c',
            b'u' => {
                let character = self.unicode()?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(Other),
        });
        Ok(())
    }

    /// Takes the digits of an escape, or of both halves of a surrogate pair (RFC 8259, section 7).
    fn unicode(&mut self) -> Step<char> {
        let first = self.hex()?;
        let code = if first & 0xfc00 == 0xd800 {
            if self.next()? != b'\\' || self.next()? != b'u' {
                return Err(Other);
            }
            let second = self.hex()?;
            if second & 0xfc00 != 0xdc00 {
                return Err(Other);
            }
            0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff)
        } else {
            first
        };
        char::from_u32(code).ok_or(Other)
    }

    fn hex(&mut self) -> Step<u32> {
        let mut code = 0;
        for _ in 0..4 {
            code = code << 4 | char::from(self.next()?).to_digit(16).ok_or(Other)?;
        }
        Ok(code)
    }

    /// Takes one byte within a token.
    #[inline]
    fn next(&mut self) -> Step<u8> {
        let byte = self.text.get(self.at).ok_or(Other)?;
        self.at += 1;
        Ok(*byte)
    }

    /// Takes a value of any kind.
    pub fn skip(&mut self) -> Step {
        match self.peek() {
            b'"' => self.string().map(drop),
            bracket @ (b'{' | b'[') => {
                self.open(bracket)?;
                let mut before = false;
                // The brackets that close have these codes.
                while !self.closes(bracket + 2, before)? {
                    if bracket == b'{' {
                        self.name()?;
                    }
                    self.skip()?;
                    before = true;
                }
                Ok(())
            }
            b'-' | b'0'..=b'9' => self.number().map(drop),
            _ if self.word(b"null") || self.word(b"true") || self.word(b"false") => Ok(()),
            _ => Err(Other),
        }
    }

    /// Takes a number; returns its text.
    pub fn number(&mut self) -> Step<&'a [u8]> {
        self.peek();
        let rest = self.text.get(self.at..).ok_or(Other)?;
        let (size, _) = number_size(rest).ok_or(Other)?;
        self.at += size;
        Ok(&rest[..size])
    }

    /// Takes an integer of few digits in its usual spelling, in quotes or not, if it is next.
    #[inline]
    pub fn few_digits(&mut self) -> Option<i128> {
        let quoted = self.peek() == b'"';
        let sign = self.at + usize::from(quoted);
        let negative = self.text.get(sign) == Some(&b'-');
        let start = sign + usize::from(negative);
        let (value, end) = digits(self.text, start, 0);
        let is_end = match self.text.get(end)? {
            b'"' => quoted,
            b'.' | b'e' | b'E' => false,
            _ => !quoted,
        };
        let needless = self.text[start] == b'0' && (negative || end - start > 1);
        if !is_end || needless || !(1..=MOST_DIGITS).contains(&(end - start)) {
            return None;
        }
        self.at = end + usize::from(quoted);
        Some(if negative { -i128::from(value) } else { value.into() })
    }

    /// Takes a number that is not in quotes; returns its value, which may be infinite.
    pub fn float(&mut self) -> Step<f64> {
        match self.decimal() {
            Some(value) => Ok(value),
            None => parsed(self.number()?),
        }
    }

    /// Takes a number of few digits without exponent, if it is next.
    ///
    /// Both its digits and the power of ten are exact, so that their quotient is the nearest float.
    #[inline]
    fn decimal(&mut self) -> Option<f64> {
        let negative = self.peek() == b'-';
        let start = self.at + usize::from(negative);
        let (mut value, whole) = digits(self.text, start, 0);
        if whole == start || self.text[start] == b'0' && whole - start > 1 {
            return None;
        }
        let (mut end, mut decimals) = (whole, 0);
        if self.text.get(whole) == Some(&b'.') {
            (value, end) = digits(self.text, whole + 1, value);
            decimals = end - whole - 1;
            if decimals == 0 {
                return None;
            }
        }
        let few = end - start <= MOST_DIGITS && value <= EXACT;
        if !few || matches!(self.text.get(end), Some(b'e' | b'E')) {
            return None;
        }
        self.at = end;
        let size = value as f64 / POWERS[decimals];
        Some(if negative { -size } else { size })
    }
}

/// Reads the digits from a position on; returns the number that they continue, which is right if
/// they are few, and the position behind them.
#[inline]
fn digits(text: &[u8], mut at: usize, mut value: u64) -> (u64, usize) {
    while let Some(byte @ b'0'..=b'9') = text.get(at) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        at += 1;
    }
    (value, at)
}

/// Returns the size of the character outside ASCII at the start of a text, which is UTF-8 (RFC 3629).
#[inline]
fn character(text: &[u8]) -> Option<usize> {
    let is_next = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let second = *text.get(1)?;
    let (size, right) = match text[0] {
        0xc2..=0xdf => (2, 0x80..=0xbf),
        0xe0 => (3, 0xa0..=0xbf),
        0xed => (3, 0x80..=0x9f),
        0xe1..=0xef => (3, 0x80..=0xbf),
        0xf0 => (4, 0x90..=0xbf),
        0xf1..=0xf3 => (4, 0x80..=0xbf),
        0xf4 => (4, 0x80..=0x8f),
        _ => return None,
    };
    (right.contains(&second) && (2..size).all(is_next)).then_some(size)
}

/// Returns the value of a number; infinite if no float is as large.
pub fn parsed(number: &[u8]) -> Step<f64> {
    std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()).ok_or(Other)
}

/// Returns the size of the number at the start of a text, and if it is a mere integer.
pub fn number_size(text: &[u8]) -> Option<(usize, bool)> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let start = usize::from(text.first() == Some(&b'-'));
    let whole = match text.get(start)? {
        b'0' => 1,
        _ => digits(start),
    };
    if whole == 0 {
        return None;
    }
    let mut at = start + whole;
    let mut plain = true;
    if text.get(at) == Some(&b'.') {
        let size = digits(at + 1);
        if size == 0 {
            return None;
        }
        at += 1 + size;
        plain = false;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let size = digits((at + 1 + sign).min(text.len()));
        if size == 0 {
            return None;
        }
        at += 1 + sign + size;
        plain = false;
    }
    Some((at, plain))
}
