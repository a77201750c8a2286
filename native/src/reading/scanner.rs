//! Takes the tokens of a JSON text (RFC 8259) one by one.

use std::borrow::Cow;

use super::{Other, Step};
use crate::text::plain_bytes;

/// A JSON text and the position that is read next.
pub struct Scanner<'a> {
    text: &'a str,
    pub at: usize,
    /// The number of objects and arrays around the position.
    pub levels: usize,
    most_levels: usize,
    /// The bytes that may still be read twice.
    left_ahead: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str, most_levels: usize) -> Scanner<'a> {
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
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
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
    pub fn closes(&mut self, bracket: u8, before: bool) -> Step<bool> {
        if self.takes(bracket) {
            self.levels -= 1;
            return Ok(true);
        }
        if before {
            self.expect(b',')?;
        }
        Ok(false)
    }

    /// Takes the name of a member and the colon after it.
    pub fn name(&mut self) -> Step<Cow<'a, str>> {
        let name = self.string()?;
        self.expect(b':')?;
        Ok(name)
    }

    /// Takes a word if it is next.
    pub fn word(&mut self, word: &str) -> bool {
        self.peek();
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// Takes a string.
    pub fn string(&mut self) -> Step<Cow<'a, str>> {
        self.expect(b'"')?;
        let start = self.at;
        self.at += plain_bytes(&self.text.as_bytes()[start..]);
        let plain = &self.text[start..self.at];
        match self.next()? {
            b'"' => Ok(Cow::Borrowed(plain)),
            b'\\' => self.escaped(plain).map(Cow::Owned),
            _ => Err(Other),
        }
    }

    /// Takes the rest of a string, from behind its first backslash.
    fn escaped(&mut self, before: &str) -> Step<String> {
        let mut found = before.to_owned();
        loop {
            found.push(self.escape()?);
            let start = self.at;
            self.at += plain_bytes(&self.text.as_bytes()[start..]);
            found.push_str(&self.text[start..self.at]);
            match self.next()? {
                b'"' => return Ok(found),
                b'\\' => (),
                _ => return Err(Other),
            }
        }
    }

    fn escape(&mut self) -> Step<char> {
        Ok(match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\x08',
            b'f' => '\x0c',
            b'u' => return self.unicode(),
            _ => return Err(Other),
        })
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
        let byte = self.text.as_bytes().get(self.at).ok_or(Other)?;
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
            _ if self.word("null") || self.word("true") || self.word("false") => Ok(()),
            _ => Err(Other),
        }
    }

    /// Takes a number; returns its text.
    pub fn number(&mut self) -> Step<&'a str> {
        self.peek();
        let rest = &self.text[self.at..];
        let (size, _) = number_size(rest.as_bytes()).ok_or(Other)?;
        self.at += size;
        Ok(&rest[..size])
    }
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
