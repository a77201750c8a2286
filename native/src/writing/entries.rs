//! The entries of a map while they are read.

use std::collections::HashMap;

/// Below this number of entries, a key is searched for one by one.
const FEW: usize = 8;
/// Replaced entries are removed when they take more bytes than this, and than the others.
const MOST_WASTE: usize = 1 << 16;

/// The JSON of each entry, in the order in which their keys came first.
#[derive(Default)]
pub struct Entries {
    /// The entries as `"key":value`, one after another, and those that were replaced.
    text: Vec<u8>,
    entries: Vec<Entry>,
    /// The index of each key, if there are more than a few.
    by_key: HashMap<Vec<u8>, usize>,
    wasted: usize,
}

/// The start, the end of the key, and the end of an entry in the text.
#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    middle: usize,
    end: usize,
}

impl Entries {
    /// Returns the place for the text of the next entry, which `put` then ends.
    pub fn place(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Sets the entry whose text was appended from `start` on; the last one of a key counts.
    pub fn put(&mut self, start: usize, middle: usize) {
        let entry = Entry { start, middle, end: self.text.len() };
        match self.find(&entry) {
            Some(index) => {
                let before = std::mem::replace(&mut self.entries[index], entry);
                self.wasted += before.end - before.start;
                if self.wasted > MOST_WASTE && self.wasted > self.text.len() / 2 {
                    self.compact();
                }
            }
            None => self.append(entry),
        }
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        &self.text[entry.start..entry.middle]
    }

    fn find(&self, entry: &Entry) -> Option<usize> {
        let key = self.key(entry);
        if self.entries.len() > FEW {
            return self.by_key.get(key).copied();
        }
        self.entries.iter().position(|other| self.key(other) == key)
    }

    fn append(&mut self, entry: Entry) {
        self.entries.push(entry);
        let count = self.entries.len();
        let first = match count {
            0..=FEW => count,
            // From now on, all keys are looked up.
            _ if self.by_key.is_empty() => 0,
            _ => count - 1,
        };
        for index in first..count {
            let key = self.key(&self.entries[index]).to_vec();
            self.by_key.insert(key, index);
        }
    }

    fn compact(&mut self) {
        let mut text = Vec::with_capacity(self.text.len() - self.wasted);
        for entry in &mut self.entries {
            let start = text.len();
            text.extend_from_slice(&self.text[entry.start..entry.end]);
            let middle = start + entry.middle - entry.start;
            *entry = Entry { start, middle, end: text.len() };
        }
        (self.text, self.wasted) = (text, 0);
    }

    /// Writes the object; returns false, and writes nothing, if it has no members.
    pub fn write(&self, out: &mut Vec<u8>) -> bool {
        for (index, entry) in self.entries.iter().enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            out.extend_from_slice(&self.text[entry.start..entry.end]);
        }
        if !self.entries.is_empty() {
            out.push(b'}');
        }
        !self.entries.is_empty()
    }
}
