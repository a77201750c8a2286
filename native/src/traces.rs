//! Begins and continues traces, as `gateway/telemetry/traces/starting.py` does.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::text;

/// The length of a `traceparent` of version 00 (W3C Trace Context, section 3.2).
const LENGTH: usize = 55;
const DASHES: [usize; 3] = [2, 35, 52];
/// The longest `tracestate` that is passed on, and its most members (sections 3.3.1.5 and 3.3.1.1).
const LONGEST_STATE: usize = 512;
const MOST_MEMBERS: usize = 32;
/// The longest key of a member, and its longest value.
const LONGEST_PART: usize = 256;
const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;
/// The step of SplitMix64: odd, so that a sum comes again only after 2^64 of them.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The valid parts of a `traceparent`, as hexadecimal digits.
pub struct Parent<'a> {
    pub trace_id: &'a str,
    pub span_id: &'a str,
    pub flags: &'a str,
}

impl Parent<'_> {
    /// Parses a `traceparent`; a version above 00 may have more after the flags (section 4.3).
    pub fn read(text: &str) -> Option<Parent<'_>> {
        let known = text.as_bytes().first_chunk::<LENGTH>()?;
        let has_dashes = DASHES.iter().all(|at| known[*at] == b'-');
        // With the dashes where they must be, no others are among the digits.
        // Counted in bytes, which the processor adds sixteen at a time.
        let digits: u8 = known.iter().map(|byte| u8::from(is_digit(*byte))).sum();
        if !has_dashes || usize::from(digits) != LENGTH - DASHES.len() || text.starts_with("ff") {
            return None;
        }
        if let Some(more) = text.as_bytes().get(LENGTH) {
            if *more != b'-' || text.starts_with("00") {
                return None;
            }
        }
        let parent =
            Parent { trace_id: &text[3..35], span_id: &text[36..52], flags: &text[53..LENGTH] };
        let is_zero = |id: &str| id.bytes().all(|digit| digit == b'0');
        (!is_zero(parent.trace_id) && !is_zero(parent.span_id)).then_some(parent)
    }

    /// The flags of the last digit, which has all that are defined.
    fn flag_bits(&self) -> u8 {
        match self.flags.as_bytes()[1] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit => digit - b'a' + 10,
        }
    }
}

/// Makes the ids of traces and spans, and decides which traces are recorded.
#[pyclass(frozen)]
pub struct TraceIds {
    /// Of the lower 64 bits of the ids of traces, those below it are recorded. As digits, which sort
    /// as numbers do; a letter behind those of numbers is above all.
    bound: [u8; 16],
    // Ids are no secrets: they must only differ. SplitMix64 makes each of a sum that never comes
    // again (Steele, Lea and Flood, 2014); both seeds are of the system, so that two processes whose
    // sums meet have other ids all the same.
    sum: AtomicU64,
    seed: u64,
}

#[pymethods]
impl TraceIds {
    /// Takes how many of the 2^64 values of the lower bits of an id are recorded.
    #[new]
    fn new(bound: u128) -> TraceIds {
        // The keys of a hash are the randomness of the system that the standard library has.
        let keys = RandomState::new();
        let bound = u64::try_from(bound).map_or([b'g'; 16], text::hex);
        TraceIds { bound, sum: AtomicU64::new(keys.hash_one(0)), seed: keys.hash_one(1) }
    }

    /// Begins a trace; returns what `Trace` takes.
    fn begin<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut trace_id = [0; 32];
        trace_id[..16].copy_from_slice(&text::hex(self.random()));
        trace_id[16..].copy_from_slice(&text::hex(self.random()));
        self.made(py, &trace_id, RANDOM | self.sampled(&trace_id))
    }

    /// Continues the trace of a `traceparent`; returns None if that is malformed.
    fn go_on<'py>(&self, traceparent: &Bound<'py, PyString>) -> Option<Bound<'py, PyBytes>> {
        self.continued(traceparent, false)
    }

    /// Does the same, and obeys what the client has decided on sampling.
    fn obey<'py>(&self, traceparent: &Bound<'py, PyString>) -> Option<Bound<'py, PyBytes>> {
        self.continued(traceparent, true)
    }
}

impl TraceIds {
    #[inline]
    fn continued<'py>(
        &self,
        traceparent: &Bound<'py, PyString>,
        obeys: bool,
    ) -> Option<Bound<'py, PyBytes>> {
        let py = traceparent.py();
        let traceparent = traceparent.to_string_lossy();
        let parent = Parent::read(&traceparent)?;
        let trace_id = parent.trace_id.as_bytes().first_chunk()?;
        let mut flags = parent.flag_bits() & (RANDOM | SAMPLED);
        if !obeys {
            flags = (flags & RANDOM) | self.sampled(trace_id);
        }
        Some(self.made(py, trace_id, flags))
    }

    /// The `traceparent` for the back end, with a new id of a span.
    fn made<'py>(&self, py: Python<'py>, trace_id: &[u8; 32], flags: u8) -> Bound<'py, PyBytes> {
        let mut out = *b"00-................................-................-00";
        out[3..35].copy_from_slice(trace_id);
        out[36..52].copy_from_slice(&text::hex(self.random()));
        out[LENGTH - 1] += flags;
        PyBytes::new(py, &out)
    }

    fn sampled(&self, trace_id: &[u8; 32]) -> u8 {
        u8::from(trace_id[16..] < self.bound[..]) * SAMPLED
    }

    fn random(&self) -> u64 {
        let mut id = self.sum.fetch_add(STEP, Ordering::Relaxed) ^ self.seed;
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        id ^ (id >> 31)
    }
}

fn is_digit(byte: u8) -> bool {
    byte.wrapping_sub(b'0') < 10 || byte.wrapping_sub(b'a') < 6
}

/// The places in a member of a `tracestate` where a byte can stand (section 3.3.1.3).
const BEGINS_KEY: u8 = 1;
const IN_KEY: u8 = 2;
const IN_VALUE: u8 = 4;
const PLACES: [u8; 256] = {
    let mut places = [0; 256];
    let mut at = 0;
    while at < 128 {
        let byte = at as u8;
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() {
            places[at] = BEGINS_KEY | IN_KEY;
        } else if matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@') {
            places[at] = IN_KEY;
        }
        if matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=' {
            places[at] |= IN_VALUE;
        }
        at += 1;
    }
    places
};

/// True for a `tracestate` of the usual form: valid, with nothing but commas between its members.
#[pyfunction]
pub fn is_usual_tracestate(text: &Bound<'_, PyString>) -> bool {
    let text = text.to_string_lossy();
    text.len() <= LONGEST_STATE && are_members(text.as_bytes())
}

fn are_members(mut rest: &[u8]) -> bool {
    for _ in 0..MOST_MEMBERS {
        let key = run(rest, IN_KEY);
        let begins = rest.first().is_some_and(|byte| PLACES[usize::from(*byte)] & BEGINS_KEY != 0);
        if !begins || key > LONGEST_PART || rest.get(key) != Some(&b'=') {
            return false;
        }
        rest = &rest[key + 1..];
        let value = run(rest, IN_VALUE);
        if value == 0 || value > LONGEST_PART || rest[value - 1] == b' ' {
            return false;
        }
        match rest.get(value) {
            None => return true,
            Some(b',') => rest = &rest[value + 1..],
            Some(_) => return false,
        }
    }
    false
}

/// The number of bytes at the start that can stand in a place.
fn run(text: &[u8], place: u8) -> usize {
    text.iter().take_while(|byte| PLACES[usize::from(**byte)] & place != 0).count()
}
