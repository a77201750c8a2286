//! Keeps what is made for each message type of a schema, and finds the members of a message.

use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

/// The number of values in the first part of a store; each part has twice as many as the one before.
const FIRST_PART: usize = 64;
const PARTS: usize = 24;

type Part<T> = OnceLock<Box<[OnceLock<T>]>>;

/// Values by an index. They never move, so that they are read without a lock.
pub struct Store<T> {
    parts: [Part<T>; PARTS],
}

impl<T> Default for Store<T> {
    fn default() -> Store<T> {
        Store { parts: [const { OnceLock::new() }; PARTS] }
    }
}

impl<T> Store<T> {
    /// Returns the place of an index.
    #[inline]
    pub fn place(&self, index: usize) -> &OnceLock<T> {
        let number = (index / FIRST_PART + 1).ilog2() as usize;
        let size = FIRST_PART << number;
        let part = self.parts[number].get_or_init(|| (0..size).map(|_| OnceLock::new()).collect());
        &part[index + FIRST_PART - size]
    }
}

/// Hashes the names of a schema (FNV-1a, of Fowler, Noll and Vo).
///
/// Such a table has no names of clients, who could choose them to meet in one slot.
#[derive(Clone, Copy, Default)]
pub struct NameHashes;

impl BuildHasher for NameHashes {
    type Hasher = NameHash;

    fn build_hasher(&self) -> NameHash {
        NameHash(0xcbf2_9ce4_8422_2325)
    }
}

/// The hash of one name.
pub struct NameHash(u64);

impl Hasher for NameHash {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Takes the length of a name, as one byte.
    #[inline]
    fn write_usize(&mut self, length: usize) {
        self.write(&[length as u8]);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
