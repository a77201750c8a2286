//! The entries of a map while they are read.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;

use super::Fault;
use crate::text::end_of_string;

/// Below this number of entries, a key is searched for one by one.
const FEW: usize = 8;
/// Replaced entries are removed when they take more bytes than this, and than the others.
const MOST_WASTE: usize = 1 << 16;
const FREE: u32 = u32::MAX;
/// The first memory of the texts: most maps are small, and to grow costs as much as an entry.
const FEW_BYTES: usize = 128;
/// More entries are not kept for another map.
const MOST_KEPT: usize = 64;

/// The JSON of each entry, in the order in which their keys came first.
///
/// Beside its text, an entry takes 14 to 19 bytes: a message may consist of small ones alone.
#[derive(Default)]
pub struct Entries {
    /// The entries as `"key":value`, one after another, and those that were replaced.
    text: Vec<u8>,
    entries: Vec<Entry>,
    /// The indexes of the entries by the hashes of their keys, if there are more than a few.
    table: Vec<u32>,
    /// With a secret: no client can choose keys that meet in one slot.
    hashes: Option<RandomState>,
    wasted: usize,
}

/// The start and the size of an entry in the text.
#[derive(Clone, Copy)]
struct Entry {
    start: u32,
    size: u32,
}

impl Entry {
    fn place(&self) -> Range<usize> {
        self.start as usize..self.start as usize + self.size as usize
    }
}

impl Entries {
    /// Makes an empty map.
    pub fn new() -> Entries {
        Entries { text: Vec::with_capacity(FEW_BYTES), ..Entries::default() }
    }

    /// Returns the place for the text of the next entry, which `put` then ends.
    pub fn place(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Sets the entry whose text was appended from `start` on; the last one of a key counts.
    ///
    /// `middle` is the end of its key. Fails if the map has 4 GB of JSON.
    pub fn put(&mut self, start: usize, middle: usize) -> Result<(), Fault> {
        let end = self.text.len();
        if u32::try_from(end).is_err() {
            return Err(Fault::Unprintable("a map has more than 4 GB of JSON".into()));
        }
        let entry = Entry { start: start as u32, size: (end - start) as u32 };
        match self.find_or_add(start..middle) {
            Some(index) => {
                let before = std::mem::replace(&mut self.entries[index], entry);
                self.wasted += before.size as usize;
                if self.wasted > MOST_WASTE && self.wasted > self.text.len() / 2 {
                    self.compact();
                }
            }
            None => self.entries.push(entry),
        }
        Ok(())
    }

    /// True if an entry has the key that is at a place of the text.
    fn has_key(&self, index: usize, key: &Range<usize>) -> bool {
        // Keys end with a quote: none is the start of another one.
        self.text[self.entries[index].start as usize..].starts_with(&self.text[key.clone()])
    }

    /// Returns the index of the entry with a key; if there is none, the next one is to have it.
    fn find_or_add(&mut self, key: Range<usize>) -> Option<usize> {
        let count = self.entries.len();
        if count < FEW {
            return (0..count).find(|index| self.has_key(*index, &key));
        }
        if count * 4 >= self.table.len() * 3 {
            self.grow();
        }
        let slot = self.slot(&key);
        if self.table[slot] == FREE {
            self.table[slot] = count as u32;
            return None;
        }
        Some(self.table[slot] as usize)
    }

    fn grow(&mut self) {
        let size = (self.table.len() * 2).max(FEW * 4);
        self.table = Vec::new(); // its memory is free before there is more
        self.table = vec![FREE; size];
        for index in 0..self.entries.len() {
            let start = self.entries[index].start as usize;
            let slot = self.slot(&(start..end_of_string(&self.text, start)));
            self.table[slot] = index as u32;
        }
    }

    /// Returns the slot of a key, or the free one where it belongs.
    fn slot(&mut self, key: &Range<usize>) -> usize {
        let hashes = self.hashes.get_or_insert_with(RandomState::new);
        let last = self.table.len() - 1;
        let mut slot = hashes.hash_one(&self.text[key.clone()]) as usize & last;
        while self.table[slot] != FREE && !self.has_key(self.table[slot] as usize, key) {
            slot = (slot + 1) & last;
        }
        slot
    }

    /// Removes all entries; returns false if that would keep much memory for others.
    pub fn clear(&mut self, most_bytes: usize) -> bool {
        self.text.clear();
        self.entries.clear();
        self.table = Vec::new();
        self.wasted = 0;
        self.text.capacity() <= most_bytes && self.entries.capacity() <= MOST_KEPT
    }

    fn compact(&mut self) {
        let mut text = Vec::with_capacity(self.text.len() - self.wasted);
        for entry in &mut self.entries {
            let start = text.len() as u32;
            text.extend_from_slice(&self.text[entry.place()]);
            entry.start = start;
        }
        (self.text, self.wasted) = (text, 0);
    }

    /// Writes the object, once; returns false, and writes nothing, if it has no members.
    pub fn write(&mut self, out: &mut Vec<u8>) -> bool {
        self.table = Vec::new(); // its memory is free before there is more
        for (index, entry) in self.entries.iter().enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            out.extend_from_slice(&self.text[entry.place()]);
        }
        if !self.entries.is_empty() {
            out.push(b'}');
        }
        !self.entries.is_empty()
    }
}
