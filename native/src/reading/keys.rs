//! Finds a key that an object has twice.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::{Other, Step};
use crate::wire;

/// Up to this many keys are compared one by one.
const FEW: usize = 8;
const FREE: u32 = u32::MAX;

/// The keys of one object, each as the place of its tag in the wire bytes, which says where it ends.
///
/// A key takes 6 to 11 bytes, whatever its size: a body may consist of keys alone.
#[derive(Default)]
pub struct Keys {
    count: usize,
    few: [u32; FEW],
    table: Vec<u32>,
    state: Option<RandomState>,
}

impl Keys {
    /// Adds the key at a place of `wire`, which it moves no more; fails if it is there already.
    pub fn add(&mut self, at: usize, wire: &[u8]) -> Step {
        let place = u32::try_from(at).ok().filter(|place| *place != FREE).ok_or(Other)?;
        if self.count < FEW {
            let key = key_at(wire, at)?;
            if self.few[..self.count].iter().any(|own| wire[*own as usize..].starts_with(key)) {
                return Err(Other);
            }
            self.few[self.count] = place;
            self.count += 1;
            return Ok(());
        }
        if self.count * 4 >= self.table.len() * 3 {
            self.grow(wire)?;
        }
        self.put(place, wire)?;
        self.count += 1;
        Ok(())
    }

    fn grow(&mut self, wire: &[u8]) -> Step {
        let size = (self.table.len() * 2).max(FEW * 4);
        let before = std::mem::replace(&mut self.table, vec![FREE; size]);
        let few = self.few;
        // The few are also in a table that was there.
        let own = if before.is_empty() { &few[..] } else { &before[..] };
        own.iter().filter(|place| **place != FREE).try_for_each(|place| self.put(*place, wire))
    }

    /// Puts a key into the table, in the first free slot from the one of its hash on.
    fn put(&mut self, place: u32, wire: &[u8]) -> Step {
        let key = key_at(wire, place as usize)?;
        // With a secret: no client can choose keys that meet in one slot.
        let hash = self.state.get_or_insert_with(RandomState::new).hash_one(key);
        let last = self.table.len() - 1;
        let mut slot = hash as usize & last;
        while self.table[slot] != FREE {
            // Keys say where they end: none is the start of another one.
            if wire[self.table[slot] as usize..].starts_with(key) {
                return Err(Other);
            }
            slot = (slot + 1) & last;
        }
        self.table[slot] = place;
        Ok(())
    }
}

/// Returns the tag and the value at a place.
fn key_at(wire: &[u8], at: usize) -> Step<&[u8]> {
    let mut end = at;
    let tag = wire::tag(wire, &mut end).map_err(|_| Other)?;
    wire::skip(wire, &mut end, tag).map_err(|_| Other)?;
    Ok(&wire[at..end])
}
