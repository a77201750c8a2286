//! A draft is what is known of one message while its bytes are read.
//!
//! It has a slot for each member of the JSON object. A later value of a field replaces the earlier
//! one, and a message that comes in several pieces is read into one draft (protobuf.dev,
//! "Encoding", "Last One Wins"). Items of lists and entries of maps are written as they come, all
//! else at the end. Each byte is read once, whatever the nesting.
//!
//! Each value counts before it is read, and the unset fields of a message before there is a draft of
//! it, so that a few bytes do not become very much JSON.

use std::cell::Cell;

use super::entries::Entries;
use super::plan::{Field, Form, Kind, MapPart, MapValue, Plan, Shape};
use super::plans::Plans;
use super::scalars::{Scalar, Value};
use super::well_known::Own;
use super::Fault;
use crate::text;
use crate::wire::{self, END_GROUP, MAX_DEPTH};

/// The first memory of a list: most are short, and to grow costs as much as to write an item.
const FEW_BYTES: usize = 64;
/// More bytes of a list or map are not kept for the next message.
const MOST_KEPT: usize = 4096;

/// What all drafts of one message share.
pub struct Job<'p> {
    pub plans: &'p Plans,
    pub wire: &'p [u8],
    /// The number of values that the message may still have.
    left: Cell<usize>,
}

impl<'p> Job<'p> {
    /// Prepares the writing of a message, which may have so many values.
    pub fn new(plans: &'p Plans, wire: &'p [u8], most_values: usize) -> Job<'p> {
        Job { plans, wire, left: Cell::new(most_values) }
    }

    /// Counts some values.
    #[inline]
    pub fn spend(&self, count: usize) -> Result<(), Fault> {
        let left = self.left.get().checked_sub(count).ok_or(Fault::TooMany)?;
        self.left.set(left);
        Ok(())
    }
}

/// The value of a member.
enum Slot<'p> {
    Unset,
    /// Unset, with the empty draft of a message that the field may have.
    Spare(Box<Draft<'p>>),
    Scalar(&'p Scalar, Value),
    Message(Box<Draft<'p>>),
    /// The JSON of each item, with commas between them.
    Items(Vec<u8>),
    Entries(Box<Entries>),
}

/// What is known of one message.
pub struct Draft<'p> {
    pub plan: &'p Plan,
    slots: Vec<Slot<'p>>,
    /// The slot of the member of each oneof that is set.
    chosen: Vec<Option<usize>>,
    /// The values of a message with a JSON form of its own.
    pub own: Own,
    /// An empty draft for the next message of a list.
    spare: Option<Box<Draft<'p>>>,
}

impl<'p> Draft<'p> {
    /// Makes the draft of an empty message.
    pub fn new(plan: &'p Plan, job: &Job<'p>) -> Result<Draft<'p>, Fault> {
        job.spend(plan.unset_values)?;
        let mut slots = Vec::with_capacity(plan.members.len());
        slots.resize_with(plan.members.len(), || Slot::Unset);
        let (chosen, own) = (vec![None; plan.oneofs], Own::of(plan.form));
        Ok(Draft { plan, slots, chosen, own, spare: None })
    }

    /// Unsets all fields, for the next message of a list, and keeps the memory of small ones.
    ///
    /// The drafts of messages in fields are kept if `deep` is set, but not those within them: the
    /// shapes of many messages would else stand at once.
    fn clear(&mut self, deep: bool) {
        for slot in &mut self.slots {
            let keeps = match slot {
                Slot::Items(items) => {
                    items.clear();
                    items.capacity() <= MOST_KEPT
                }
                Slot::Entries(entries) => entries.clear(MOST_KEPT),
                Slot::Message(draft) if deep => {
                    draft.clear(false);
                    true
                }
                Slot::Spare(_) => deep,
                _ => false,
            };
            *slot = match std::mem::replace(slot, Slot::Unset) {
                Slot::Message(draft) if keeps => Slot::Spare(draft),
                other if keeps => other,
                _ => Slot::Unset,
            };
        }
        self.chosen.fill(None);
        self.own = Own::of(self.plan.form);
        if !deep {
            self.spare = None;
        }
    }

    /// Reads the bytes from `at` to the end of `wire`, or of a group up to the tag `closing`.
    ///
    /// `depth` is the number of messages around this one.
    pub fn read(
        &mut self,
        job: &Job<'p>,
        wire: &'p [u8],
        at: &mut usize,
        depth: usize,
        closing: u32,
    ) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::too_deep());
        }
        let plan = self.plan;
        while let Some(&byte) = wire.get(*at) {
            job.spend(1)?; // unknown fields count, too: they take time
            let (tag, field) = if byte < 128 {
                *at += 1;
                (u32::from(byte), plan.few(byte))
            } else {
                let tag = wire::tag(wire, at)?;
                (tag, plan.other(tag))
            };
            if let Some(field) = field {
                self.take(field, job, wire, at, depth)?;
            } else if tag & 7 == END_GROUP && closing != 0 {
                return if tag == closing { Ok(()) } else { Err(Fault::Malformed) };
            } else if tag < 8 {
                return Err(Fault::Malformed);
            } else {
                wire::skip(wire, at, tag)?;
            }
        }
        if closing == 0 {
            Ok(())
        } else {
            Err(Fault::Malformed)
        }
    }

    /// Reads the value after a field's tag.
    #[inline]
    fn take(
        &mut self,
        field: &'p Field,
        job: &Job<'p>,
        wire: &'p [u8],
        at: &mut usize,
        depth: usize,
    ) -> Result<(), Fault> {
        match &field.shape {
            Shape::Scalar { scalar, always, implicit } => match scalar.read(wire, at)? {
                Some(value) if *implicit && !always && scalar.is_default(value) => {
                    self.slots[field.slot] = Slot::Unset;
                }
                Some(value) => {
                    self.choose(field);
                    self.slots[field.slot] = Slot::Scalar(scalar, value);
                }
                None => {}
            },
            Shape::List(scalar) => {
                if let Some(value) = scalar.read(wire, at)? {
                    scalar.write(value, wire, self.next_item(field));
                }
            }
            Shape::Packed(scalar) => self.take_packed(field, scalar, job, wire, at)?,
            Shape::Message(kind) => {
                self.choose(field);
                let inner = self.message(field, kind, job)?;
                read_message(inner, kind, job, wire, at, depth)?;
            }
            Shape::Messages(kind) => {
                let mut inner = self.next_message(job.plans.get(kind.plan)?, job)?;
                read_message(&mut inner, kind, job, wire, at, depth)?;
                inner.write(job, self.next_item(field))?;
                inner.clear(true);
                self.spare = Some(inner);
            }
            Shape::Map { key, value } => {
                let (mut from, end) = wire::span(wire, at)?;
                if !matches!(self.slots[field.slot], Slot::Entries(_)) {
                    self.slots[field.slot] = Slot::Entries(Box::new(Entries::new()));
                }
                if let Slot::Entries(entries) = &mut self.slots[field.slot] {
                    take_entry(entries, key, value, job, &wire[..end], &mut from, depth)?;
                }
            }
            shape => self.own.take(shape, job, wire, at, depth)?,
        }
        Ok(())
    }

    /// Reads the items of a list in one length-delimited value; parsers accept both forms.
    fn take_packed(
        &mut self,
        field: &Field,
        scalar: &Scalar,
        job: &Job<'p>,
        wire: &[u8],
        at: &mut usize,
    ) -> Result<(), Fault> {
        let (mut from, end) = wire::span(wire, at)?;
        let wire = &wire[..end];
        while from < end {
            job.spend(1)?;
            if let Some(value) = scalar.read(wire, &mut from)? {
                scalar.write(value, wire, self.next_item(field));
            }
        }
        Ok(())
    }

    /// Makes a field the member of its oneof, and unsets the one that was set before.
    fn choose(&mut self, field: &Field) {
        if let Some(oneof) = field.oneof {
            match self.chosen[oneof].replace(field.slot) {
                Some(before) if before != field.slot => self.slots[before] = Slot::Unset,
                _ => {}
            }
        }
    }

    /// Returns an empty draft for a message of a list.
    fn next_message(&mut self, plan: &'p Plan, job: &Job<'p>) -> Result<Box<Draft<'p>>, Fault> {
        match self.spare.take() {
            Some(draft) if std::ptr::eq(draft.plan, plan) => {
                job.spend(plan.unset_values)?;
                Ok(draft)
            }
            _ => Ok(Box::new(Draft::new(plan, job)?)),
        }
    }

    /// Returns the place for the next item of a list.
    fn next_item(&mut self, field: &Field) -> &mut Vec<u8> {
        let slot = &mut self.slots[field.slot];
        if !matches!(slot, Slot::Items(_)) {
            *slot = Slot::Items(Vec::with_capacity(FEW_BYTES));
        }
        match slot {
            Slot::Items(items) => {
                if !items.is_empty() {
                    items.push(b',');
                }
                items
            }
            _ => unreachable!("a list has no other slots"),
        }
    }

    /// Returns the draft of the message in a field.
    fn message(
        &mut self,
        field: &Field,
        kind: &Kind,
        job: &Job<'p>,
    ) -> Result<&mut Draft<'p>, Fault> {
        let slot = &mut self.slots[field.slot];
        if !matches!(slot, Slot::Message(_)) {
            *slot = Slot::Message(match std::mem::replace(slot, Slot::Unset) {
                Slot::Spare(draft) => {
                    job.spend(draft.plan.unset_values)?;
                    draft
                }
                _ => Box::new(Draft::new(job.plans.get(kind.plan)?, job)?),
            });
        }
        match slot {
            Slot::Message(draft) => Ok(draft),
            _ => unreachable!("a message has no other slots"),
        }
    }

    /// Writes the JSON of the message.
    pub fn write(&mut self, job: &Job<'p>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self.plan.form {
            Form::Object => {
                out.push(b'{');
                self.write_members(job, out)?;
                out.push(b'}');
                Ok(())
            }
            Form::Only => self.write_slot(0, job, out).map(drop),
            Form::Value => self.write_value(job, out),
            _ => self.own.write(self.plan.form, job, out),
        }
    }

    /// Writes the members; `out` ends with the opening brace, or with a member.
    pub fn write_members(&mut self, job: &Job<'p>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let plan = self.plan;
        let mut comma = out.last() != Some(&b'{');
        for (index, member) in plan.members.iter().enumerate() {
            let unset = matches!(self.slots[index], Slot::Unset | Slot::Spare(_));
            if unset && member.unset.is_empty() {
                continue;
            }
            let before = out.len();
            let (start, end) = member.name;
            text::append(&plan.names, start + usize::from(!comma), end, out);
            if self.write_slot(index, job, out)? {
                comma = true;
            } else {
                out.truncate(before);
            }
        }
        Ok(())
    }

    /// Writes the value of a member; returns false if it is not to be written.
    fn write_slot(
        &mut self,
        index: usize,
        job: &Job<'p>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Fault> {
        let written = match &mut self.slots[index] {
            Slot::Unset | Slot::Spare(_) => false,
            Slot::Scalar(scalar, value) => {
                scalar.write(*value, job.wire, out);
                true
            }
            Slot::Message(draft) => {
                draft.write(job, out)?;
                true
            }
            Slot::Items(items) if items.is_empty() => false,
            Slot::Items(items) => {
                out.push(b'[');
                out.extend_from_slice(items);
                out.push(b']');
                true
            }
            Slot::Entries(entries) => entries.write(out),
        };
        if written {
            return Ok(true);
        }
        let unset = &self.plan.members[index].unset;
        out.extend_from_slice(unset.as_bytes());
        Ok(!unset.is_empty())
    }

    /// Writes the JSON of a google.protobuf.Value (google/protobuf/struct.proto).
    fn write_value(&mut self, job: &Job<'p>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let chosen = self.chosen.first().copied().flatten();
        let Some(index) = chosen else {
            return Err(Fault::Unprintable("google.protobuf.Value has no value".into()));
        };
        if let Slot::Scalar(_, Value::Double(number)) = self.slots[index] {
            if !number.is_finite() {
                let reason = "google.protobuf.Value holds a number that is not finite";
                return Err(Fault::Unprintable(reason.into()));
            }
        }
        self.write_slot(index, job, out).map(drop)
    }

    /// Writes the value of one member; returns false if it is not to be written.
    pub fn write_only(
        &mut self,
        only: usize,
        job: &Job<'p>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Fault> {
        let mut written = false;
        for index in 0..self.slots.len() {
            if index == only {
                written = self.write_slot(index, job, out)?;
            } else {
                // Only for its errors: the other members of its oneof are few.
                self.write_slot(index, job, &mut Vec::new())?;
            }
        }
        Ok(written)
    }
}

/// Reads a message in a field, or one more piece of it.
fn read_message<'p>(
    draft: &mut Draft<'p>,
    kind: &Kind,
    job: &Job<'p>,
    wire: &'p [u8],
    at: &mut usize,
    depth: usize,
) -> Result<(), Fault> {
    if kind.closing != 0 {
        return draft.read(job, wire, at, depth + 1, kind.closing);
    }
    let (mut from, end) = wire::span(wire, at)?;
    draft.read(job, &wire[..end], &mut from, depth + 1, 0)
}

/// Reads one entry of a map. A key or value that is missing has its default.
pub fn take_entry<'p>(
    entries: &mut Entries,
    key: &MapPart,
    value: &MapValue,
    job: &Job<'p>,
    wire: &'p [u8],
    at: &mut usize,
    depth: usize,
) -> Result<(), Fault> {
    let mut found_key = None;
    // None is a value that is missing, Some(None) one that a closed enum does not have.
    let mut found: Option<Option<Value>> = None;
    let mut inner: Option<Draft<'p>> = None;
    while *at < wire.len() {
        job.spend(1)?;
        let tag = wire::tag(wire, at)?;
        if tag == key.tag {
            found_key = key.scalar.read(wire, at)?;
            continue;
        }
        match value {
            MapValue::Scalar(part) if tag == part.tag => found = Some(part.scalar.read(wire, at)?),
            MapValue::Message(kind) if tag == (2 << 3 | wire::LENGTH) => {
                let draft = match inner.take() {
                    Some(draft) => draft,
                    None => Draft::new(job.plans.get(kind.plan)?, job)?,
                };
                read_message(inner.insert(draft), kind, job, wire, at, depth + 1)?;
            }
            _ => wire::skip(wire, at, tag)?,
        }
    }
    if found.is_some_and(|value| value.is_none()) {
        return Ok(()); // unknown to a closed enum: the entry counts as absent
    }
    let out = entries.place();
    let start = out.len();
    write_key(key, found_key, wire, out);
    let middle = out.len();
    out.push(b':');
    match value {
        MapValue::Scalar(part) => match found.flatten() {
            Some(value) => part.scalar.write(value, wire, out),
            None => out.extend_from_slice(part.default.as_bytes()),
        },
        MapValue::Message(kind) => match inner {
            Some(mut draft) => draft.write(job, out)?,
            None => Draft::new(job.plans.get(kind.plan)?, job)?.write(job, out)?,
        },
    }
    entries.put(start, middle)
}

/// Writes the key of an entry, which is always a string.
fn write_key(key: &MapPart, found: Option<Value>, wire: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    match found {
        Some(value) => key.scalar.write(value, wire, out),
        None => out.extend_from_slice(key.default.as_bytes()),
    }
    if out[start] != b'"' {
        out.insert(start, b'"');
        out.push(b'"');
    }
}
