//! Reads messages, lists and maps.

use std::collections::HashSet;

use super::plan::{Plan, ReadPlans, Value};
use super::scalars::varint;
use super::scanner::Scanner;
use super::{times, Other, Step};
use crate::wire::MAX_DEPTH;

/// Puts the size of what was appended since `start` before it.
fn close(start: usize, out: &mut Vec<u8>) {
    let mut prefix = Vec::with_capacity(10);
    varint((out.len() - start - 1) as u64, &mut prefix);
    out.splice(start..=start, prefix);
}

/// Reads a message without the tag and length that a field gives it; `depth` counts those around.
pub fn message(
    plans: &ReadPlans,
    plan: usize,
    text: &mut Scanner,
    out: &mut Vec<u8>,
    depth: usize,
) -> Step {
    let plan = plans.get(plan)?;
    let (names, members) = match &*plan {
        Plan::Object { names, members } => (names, members),
        Plan::Timestamp => return time(times::timestamp(&text.string()?)?, out),
        Plan::Duration => return time(times::duration(&text.string()?)?, out),
        Plan::Other => return Err(Other),
    };
    if depth > MAX_DEPTH {
        return Err(Other);
    }
    text.open(b'{')?;
    let mut seen = vec![0_u64; members.len() / 64 + 1];
    let mut chosen = Vec::new();
    let mut before = false;
    while !text.closes(b'}', before)? {
        before = true;
        let index = *names.get(&*text.name()?).ok_or(Other)?;
        let bit = 1 << (index % 64);
        if seen[index / 64] & bit != 0 {
            return Err(Other);
        }
        seen[index / 64] |= bit;
        let member = &members[index];
        if !member.takes_null && text.word("null") {
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
            out.extend_from_slice(head);
            if !end.is_empty() {
                message(plans, *plan, text, out, depth + 1)?;
                out.extend_from_slice(end);
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
            out.extend_from_slice(head);
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
            let mut seen = HashSet::new();
            let mut before = false;
            while !text.closes(b'}', before)? {
                before = true;
                if depth >= MAX_DEPTH {
                    return Err(Other);
                }
                out.extend_from_slice(head);
                let start = out.len();
                out.push(0);
                // A key is a string in JSON, also if it spells a number.
                if text.peek() != b'"' {
                    return Err(Other);
                }
                key.read(text, out)?;
                if !seen.insert(out[start + 1..].to_vec()) || !text.takes(b':') {
                    return Err(Other);
                }
                value(plans, item, text, out, depth + 1)?;
                close(start, out);
            }
            Ok(())
        }
        Value::Other => Err(Other),
    }
}
