//! Reads an Any, whose JSON is that of the message in it, with its type.

use super::plan::{Held, Plan, ReadPlans};
use super::scalars::varint;
use super::scanner::Scanner;
use super::values::{close, members, message};
use super::{Other, Step};
use crate::wire::MAX_DEPTH;

pub const TYPE: &[u8] = b"@type";
const CONTENT: &[u8] = b"value";
// The tags of the two fields.
const TYPE_URL: u8 = 0x0a;
const VALUE: u8 = 0x12;

/// Reads an Any; `depth` counts the messages around it.
pub fn any(
    plans: &ReadPlans,
    held: &Held,
    text: &mut Scanner,
    out: &mut Vec<u8>,
    depth: usize,
) -> Step {
    text.open(b'{')?;
    if text.closes(b'}', false)? {
        return Ok(());
    }
    if depth > MAX_DEPTH {
        return Err(Other);
    }
    let start = text.at;
    let url = text.ahead(type_url)?;
    text.at = start;
    let name = url.rsplit_once('/').ok_or(Other)?.1;
    let plan = plans.held(held, name)?;
    out.push(TYPE_URL);
    varint(url.len() as u64, out);
    out.extend_from_slice(url.as_bytes());
    let at = out.len();
    out.extend_from_slice(&[VALUE, 0]);
    match plans.get(plan)? {
        Plan::Object(object) => members(plans, object, text, out, depth + 1, true)?,
        _ => content(plans, plan, text, out, depth + 1)?,
    }
    if out.len() == at + 2 {
        out.truncate(at);
    } else {
        close(at + 1, out);
    }
    Ok(())
}

/// Returns the member `@type` of an object, wherever it is there.
fn type_url(text: &mut Scanner) -> Step<String> {
    loop {
        if *text.name()? == *TYPE {
            return String::from_utf8(text.string()?.into_owned()).map_err(|_| Other);
        }
        text.skip()?;
        if text.closes(b'}', true)? {
            return Err(Other);
        }
    }
}

/// Reads the member `value`, which has a type that is no object of its fields.
fn content(
    plans: &ReadPlans,
    plan: usize,
    text: &mut Scanner,
    out: &mut Vec<u8>,
    depth: usize,
) -> Step {
    let (mut has_type, mut has_content, mut before) = (false, false, false);
    while !text.closes(b'}', before)? {
        before = true;
        match &*text.name()? {
            TYPE if !has_type => {
                has_type = true;
                text.string()?;
            }
            CONTENT if !has_content => {
                has_content = true;
                message(plans, plan, text, out, depth)?;
            }
            _ => return Err(Other),
        }
    }
    if has_content {
        Ok(())
    } else {
        Err(Other)
    }
}
