//! Reads messages, lists and maps.

use super::keys::Keys;
use super::plan::{Object, Plan, ReadPlans, Value};
use super::scalars::varint;
use super::scanner::Scanner;
use super::{any, free, masks, times, Other, Step};
use crate::wire::MAX_DEPTH;

/// Puts the size of what was appended since `start` before it; returns where that begins then.
pub fn close(start: usize, out: &mut Vec<u8>) -> usize {
    let size = out.len() - start - 1;
    if size < 128 {
        out[start] = size as u8;
        return start + 1;
    }
    let end = out.len();
    if size < 1 << 14 {
        out.push(0);
        out.copy_within(start + 1..end, start + 2);
        out[start] = size as u8 | 128;
        out[start + 1] = (size >> 7) as u8;
        return start + 2;
    }
    varint(size as u64, out);
    let more = out.len() - end - 1;
    let mut prefix = [0; 10];
    prefix[..=more].copy_from_slice(&out[end..]);
    out.truncate(end + more);
    out.copy_within(start + 1..end, start + 1 + more);
    out[start..=start + more].copy_from_slice(&prefix[..=more]);
    start + 1 + more
}

/// Reads a message without the tag and length that a field gives it; `depth` counts those around.
pub fn message(
    plans: &ReadPlans,
    plan: usize,
    text: &mut Scanner,
    out: &mut Vec<u8>,
    depth: usize,
) -> Step {
    match plans.get(plan)? {
        Plan::Object(object) => {
            text.open(b'{')?;
            members(plans, object, text, out, depth, false)
        }
        Plan::Timestamp => time(times::timestamp(&text.string()?)?, out),
        Plan::Duration => time(times::duration(&text.string()?)?, out),
        Plan::Mask => masks::mask(&text.string()?, out),
        Plan::Free => free::value(text, out, depth),
        Plan::Struct => free::object(text, out, depth),
        Plan::Array => free::array(text, out, depth),
        Plan::Wrapper(_) if depth > MAX_DEPTH => Err(Other),
        Plan::Wrapper(only) => value(plans, only, text, out, depth),
        Plan::Field(member) if !member.takes_null && text.word(b"null") => Ok(()),
        Plan::Field(member) => value(plans, &member.value, text, out, depth),
        Plan::Any(held) => any::any(plans, held, text, out, depth),
        Plan::Other => Err(Other),
    }
}

/// Reads the members of an object behind its bracket, which may be that of an Any.
pub fn members(
    plans: &ReadPlans,
    object: &Object,
    text: &mut Scanner,
    out: &mut Vec<u8>,
    depth: usize,
    in_any: bool,
) -> Step {
    if depth > MAX_DEPTH {
        return Err(Other);
    }
    let mut seen = Seen::new(object.members.len());
    let mut chosen = Vec::new();
    let (mut before, mut has_type, mut next) = (false, false, 0);
    while !text.closes(b'}', before)? {
        before = true;
        let index = match object.likely(next, text) {
            Some(index) => index,
            None => {
                let name = text.name()?;
                if in_any && *name == *any::TYPE {
                    if has_type {
                        return Err(Other);
                    }
                    has_type = true;
                    text.string()?;
                    continue;
                }
                match object.names.get(&*name) {
                    Some(index) => *index,
                    None if object.ignores(&name) => {
                        text.skip()?;
                        continue;
                    }
                    None => return Err(Other),
                }
            }
        };
        next = index + 1;
        seen.add(index)?;
        let member = &object.members[index];
        if !member.takes_null && text.word(b"null") {
            continue;
        }
        if member.oneof >= 0 {
            if chosen.contains(&member.oneof) {
                return Err(Other);
            }
            chosen.push(member.oneof);
        }
        value(plans, &member.value, text, out, depth)?;
    }
    Ok(())
}

/// The members that an object has, by index.
struct Seen {
    first: u64,
    others: Vec<bool>,
}

impl Seen {
    fn new(count: usize) -> Seen {
        Seen { first: 0, others: vec![false; count.saturating_sub(64)] }
    }

    /// Adds a member; fails if it is there already.
    fn add(&mut self, index: usize) -> Step {
        let before = if index < 64 {
            let bit = 1 << index;
            let before = self.first & bit != 0;
            self.first |= bit;
            before
        } else {
            std::mem::replace(&mut self.others[index - 64], true)
        };
        if before {
            Err(Other)
        } else {
            Ok(())
        }
    }
}

fn time((seconds, nanos): (i64, i64), out: &mut Vec<u8>) -> Step {
    for (tag, number) in [(8, seconds), (16, nanos)] {
        if number != 0 {
            out.push(tag);
            varint(number as u64, out);
        }
    }
    Ok(())
}

fn value(
    plans: &ReadPlans,
    kind: &Value,
    text: &mut Scanner,
    out: &mut Vec<u8>,
    depth: usize,
) -> Step {
    match kind {
        Value::Scalar(scalar) => scalar.read(text, out),
        Value::Message { head, end, plan } => {
            head.append(out);
            if !end.is_empty() {
                message(plans, *plan, text, out, depth + 1)?;
                end.append(out);
                return Ok(());
            }
            let start = out.len();
            out.push(0);
            message(plans, *plan, text, out, depth + 1)?;
            close(start, out);
            Ok(())
        }
        Value::List { head, item } => {
            let start = out.len();
            head.append(out);
            if !head.is_empty() {
                out.push(0);
            }
            text.open(b'[')?;
            let mut before = false;
            while !text.closes(b']', before)? {
                value(plans, item, text, out, depth)?;
                before = true;
            }
            if !before {
                out.truncate(start);
            } else if !head.is_empty() {
                close(start + head.len(), out);
            }
            Ok(())
        }
        Value::Map { head, key, value: item } => {
            text.open(b'{')?;
            let mut keys = Keys::default();
            let mut before = false;
            while !text.closes(b'}', before)? {
                before = true;
                if depth >= MAX_DEPTH {
                    return Err(Other);
                }
                head.append(out);
                let start = out.len();
                out.push(0);
                // A key is a string in JSON, also if it spells a number.
                if text.peek() != b'"' {
                    return Err(Other);
                }
                key.read(text, out)?;
                if !text.takes(b':') {
                    return Err(Other);
                }
                value(plans, item, text, out, depth + 1)?;
                let key = close(start, out);
                keys.add(key, out)?;
            }
            Ok(())
        }
        Value::Other => Err(Other),
    }
}
