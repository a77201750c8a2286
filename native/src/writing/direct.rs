//! Writes a message in one pass, where its fields come in the order of its members.
//!
//! Serializers write fields by number, and most messages declare them so. Then each value is
//! written as it is read, without a draft. A message that comes otherwise, or has a fault, is
//! written by a draft from its start, which also finds the words for the fault.

use super::draft::{take_entry, Draft, Job};
use super::entries::Entries;
use super::plan::{Field, Kind, Plan, Shape};
use super::scalars::{Scalar, Value};
use crate::text;
use crate::wire::{self, MAX_DEPTH};

/// Writes a message of the wire bytes; None means that a draft must write it.
pub fn write<'p>(plan: &'p Plan, job: &Job<'p>, out: &mut Vec<u8>) -> Option<()> {
    Message { plan, job, wire: job.wire, depth: 0 }.write(0, out)
}

/// One message, whose bytes end with those of `wire`.
struct Message<'a, 'p> {
    plan: &'p Plan,
    job: &'a Job<'p>,
    wire: &'p [u8],
    /// The number of messages around it.
    depth: usize,
}

/// What is written of a message.
struct Progress<'o> {
    out: &'o mut Vec<u8>,
    /// The first member that is not written yet; no earlier one may come.
    next: usize,
    has_members: bool,
    /// True if the last member is a list that may go on.
    is_list: bool,
    /// The entries of the last member, if it is a map that may go on.
    entries: Option<Entries>,
    /// The oneofs with a member that is set, one bit each.
    chosen: u64,
}

impl<'p> Message<'_, 'p> {
    /// Writes the message that begins at a position; None means that a draft must write it.
    fn write(&self, mut at: usize, out: &mut Vec<u8>) -> Option<()> {
        if self.depth > MAX_DEPTH {
            return None;
        }
        if !self.plan.is_in_order() {
            let mut draft = Draft::new(self.plan, self.job).ok()?;
            draft.read(self.job, self.wire, &mut at, self.depth, 0).ok()?;
            return draft.write(self.job, out).ok();
        }
        self.job.spend(self.plan.unset_values).ok()?;
        out.push(b'{');
        let mut done =
            Progress { out, next: 0, has_members: false, is_list: false, entries: None, chosen: 0 };
        while let Some(&byte) = self.wire.get(at) {
            self.job.spend(1).ok()?; // unknown fields count, too: they take time
            let (tag, field) = if byte < 128 {
                at += 1;
                (u32::from(byte), self.plan.few(byte))
            } else {
                let tag = wire::tag(self.wire, &mut at).ok()?;
                (tag, self.plan.other(tag))
            };
            match field {
                Some(field) => self.take(field, &mut at, &mut done)?,
                None if tag < 8 => return None,
                None => wire::skip(self.wire, &mut at, tag).ok()?,
            }
        }
        done.go_to(self.plan, self.plan.members.len());
        out.push(b'}');
        Some(())
    }

    /// Writes the value after a field's tag.
    #[inline]
    fn take(&self, field: &'p Field, at: &mut usize, done: &mut Progress<'_>) -> Option<()> {
        match &field.shape {
            Shape::Scalar { scalar, always, implicit } => match scalar.read(self.wire, at).ok()? {
                Some(value) if *implicit && !always && scalar.is_default(value) => {
                    // As if it had not come, unless it takes back one that is written.
                    if field.slot < done.next {
                        return out_of_order(self.plan);
                    }
                }
                Some(value) => {
                    done.member(self.plan, field)?;
                    scalar.write(value, self.wire, done.out);
                }
                None => {}
            },
            Shape::List(scalar) => {
                self.item(field, scalar, scalar.read(self.wire, at).ok()?, done)?
            }
            Shape::Packed(scalar) => {
                let (mut from, end) = wire::span(self.wire, at).ok()?;
                let wire = &self.wire[..end];
                while from < end {
                    self.job.spend(1).ok()?;
                    self.item(field, scalar, scalar.read(wire, &mut from).ok()?, done)?;
                }
            }
            Shape::Message(kind) => {
                done.member(self.plan, field)?;
                self.message(kind, at, done.out)?;
            }
            Shape::Messages(kind) => {
                done.next_item(self.plan, field)?;
                self.message(kind, at, done.out)?;
            }
            Shape::Map { key, value } => {
                let (mut from, end) = wire::span(self.wire, at).ok()?;
                let entries = done.entries(self.plan, field)?;
                let wire = &self.wire[..end];
                take_entry(entries, key, value, self.job, wire, &mut from, self.depth).ok()?;
            }
            _ => return None,
        }
        Some(())
    }

    /// Writes an item of a list; None is a number that a closed enum does not have.
    #[inline]
    fn item(
        &self,
        field: &Field,
        scalar: &Scalar,
        value: Option<Value>,
        done: &mut Progress<'_>,
    ) -> Option<()> {
        if let Some(value) = value {
            done.next_item(self.plan, field)?;
            scalar.write(value, self.wire, done.out);
        }
        Some(())
    }

    /// Writes the message in a field.
    fn message(&self, kind: &Kind, at: &mut usize, out: &mut Vec<u8>) -> Option<()> {
        let plan = self.job.plans.get(kind.plan).ok()?;
        let (from, end) = wire::span(self.wire, at).ok()?;
        let inner = Message { plan, job: self.job, wire: &self.wire[..end], depth: self.depth + 1 };
        inner.write(from, out)
    }
}

impl Progress<'_> {
    /// Ends the last member, and writes those before `slot` that are written though unset.
    #[inline]
    fn go_to(&mut self, plan: &Plan, slot: usize) {
        if self.is_list {
            self.is_list = false;
            self.out.push(b']');
        } else if let Some(mut entries) = self.entries.take() {
            let last = self.next - 1;
            self.next = last + usize::from(self.has_entries(plan, last, &mut entries));
        }
        while self.next < slot {
            let unset = &plan.members[self.next].unset;
            if !unset.is_empty() {
                self.name(plan, self.next);
                self.out.extend_from_slice(unset.as_bytes());
            }
            self.next += 1;
        }
    }

    /// Writes the member of a map; returns false if there is none, because it has no entries.
    fn has_entries(&mut self, plan: &Plan, slot: usize, entries: &mut Entries) -> bool {
        let (before, had_members) = (self.out.len(), self.has_members);
        self.name(plan, slot);
        let is_written = entries.write(self.out);
        if !is_written {
            self.out.truncate(before);
            self.has_members = had_members;
        }
        is_written
    }

    /// Begins the member of a field; None if it, or a later one, or another of its oneof is written.
    #[inline]
    fn member(&mut self, plan: &Plan, field: &Field) -> Option<()> {
        if field.slot < self.next {
            return out_of_order(plan);
        }
        if let Some(oneof) = field.oneof {
            if self.chosen >> oneof & 1 != 0 {
                return out_of_order(plan);
            }
            self.chosen |= 1 << oneof;
        }
        self.go_to(plan, field.slot);
        self.name(plan, field.slot);
        self.next += 1;
        Some(())
    }

    /// Begins the next item of a list.
    #[inline]
    fn next_item(&mut self, plan: &Plan, field: &Field) -> Option<()> {
        if self.is_list && field.slot + 1 == self.next {
            self.out.push(b',');
        } else {
            self.member(plan, field)?;
            self.out.push(b'[');
            self.is_list = true;
        }
        Some(())
    }

    /// Returns the entries of a map.
    fn entries(&mut self, plan: &Plan, field: &Field) -> Option<&mut Entries> {
        if self.entries.is_none() || field.slot + 1 != self.next {
            if field.slot < self.next {
                return out_of_order(plan);
            }
            self.go_to(plan, field.slot);
            self.next += 1;
            self.entries = Some(Entries::new());
        }
        self.entries.as_mut()
    }

    #[inline]
    fn name(&mut self, plan: &Plan, slot: usize) {
        let (start, end) = plan.members[slot].name;
        text::append(&plan.names, start + usize::from(!self.has_members), end, self.out);
        self.has_members = true;
    }
}

/// Has messages of this type be written by drafts from now on.
#[cold]
fn out_of_order<T>(plan: &Plan) -> Option<T> {
    plan.came_in_another_order();
    None
}
