//! Encodes the spans of an ended request for OTLP, as `gateway/telemetry/traces/spans.py` does.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::log_line::{is_plain, server_span};
use crate::reading::varint;

const USUAL_LENGTH: usize = 1024;
/// The fields of a `Span`, as tags (opentelemetry-proto 1.5, trace/v1), and of its attributes.
const SPANS: u8 = 2 << 3 | 2;
const TRACE_ID: u8 = 1 << 3 | 2;
const SPAN_ID: u8 = 2 << 3 | 2;
const STATE: u8 = 3 << 3 | 2;
const PARENT_ID: u8 = 4 << 3 | 2;
const START: u8 = 7 << 3 | 1;
const END: u8 = 8 << 3 | 1;
const ATTRIBUTES: u8 = 9 << 3 | 2;
const KEY: u8 = 1 << 3 | 2;
const VALUE: u8 = 2 << 3 | 2;
const TEXT: u8 = 1 << 3 | 2;
const INTEGER: u8 = 3 << 3;
/// A `status` with `STATUS_CODE_ERROR`.
const FAILED: [u8; 4] = [15 << 3 | 2, 2, 3 << 3, 2];
/// The tag of `flags`, which are 32 bits: the first byte has those of the trace.
const FLAGS: [u8; 2] = [0x85, 0x01];
const LOCAL: [u8; 3] = [1, 0, 0];
const REMOTE: [u8; 3] = [3, 0, 0];

/// Returns the span of a request and that of its call; None if a text may have to be masked or cut.
///
/// `own` is the `traceparent` for the back end, and `parent_id` the id of the client's span, empty
/// without one. `title` and `outcome` are encoded: the name and the kind of a span, and attributes
/// that many requests have in common, as also `caller`. Without a call, `call_title` is empty. Of
/// the texts, only `path` and `request_id` are as a client sent them.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one call for all costs the least")]
#[pyo3(signature = (
    own, parent_id, state, title, outcome, is_failed, at_s, duration_s, path, query, request_bytes,
    response_bytes, request_id, caller, call_title, call_outcome, call_failed, call_started_s,
    call_ended_s, /
))]
pub fn request_spans<'py>(
    own: &[u8],
    parent_id: &str,
    state: &str,
    title: &[u8],
    outcome: &[u8],
    is_failed: bool,
    at_s: f64,
    duration_s: f64,
    path: &Bound<'py, PyString>,
    query: &str,
    request_bytes: u64,
    response_bytes: u64,
    request_id: &Bound<'py, PyString>,
    caller: &[u8],
    call_title: &[u8],
    call_outcome: &[u8],
    call_failed: bool,
    call_started_s: f64,
    call_ended_s: f64,
) -> Option<Bound<'py, PyBytes>> {
    let py = path.py();
    let (path, request_id) = (&*path.to_string_lossy(), &*request_id.to_string_lossy());
    if !(is_plain(path) && is_plain(request_id)) {
        return None;
    }
    let call_id: &[u8; 16] = own.get(36..52)?.first_chunk()?;
    let request_span_id = server_span(call_id);
    let trace = Trace { id: own.get(3..35)?, state, flags: own.get(54)? & 3 };
    let mut attributes = Vec::with_capacity(USUAL_LENGTH);
    attributes.extend_from_slice(outcome);
    text_attribute("url.path", path, &mut attributes);
    number_attribute("http.request.body.size", request_bytes, &mut attributes);
    number_attribute("http.response.body.size", response_bytes, &mut attributes);
    text_attribute("gateway.request.id", request_id, &mut attributes);
    attributes.extend_from_slice(caller);
    if !query.is_empty() {
        text_attribute("url.query", query, &mut attributes);
    }
    let mut out = Vec::with_capacity(2 * USUAL_LENGTH);
    let has_parent = !parent_id.is_empty();
    let request = Span {
        id: &request_span_id,
        parent_id: parent_id.as_bytes(),
        title,
        start_s: at_s - duration_s,
        end_s: at_s,
        attributes: &attributes,
        is_failed,
        origin: if has_parent { REMOTE } else { LOCAL },
    };
    trace.add(&request, &mut out);
    if !call_title.is_empty() {
        let call = Span {
            id: call_id,
            parent_id: &request_span_id,
            title: call_title,
            start_s: call_started_s,
            end_s: call_ended_s,
            attributes: call_outcome,
            is_failed: call_failed,
            origin: LOCAL,
        };
        trace.add(&call, &mut out);
    }
    Some(PyBytes::new(py, &out))
}

/// What the spans of one request have in common.
struct Trace<'a> {
    id: &'a [u8],
    state: &'a str,
    flags: u8,
}

/// A span; ids are hexadecimal digits, and times seconds since 1970.
struct Span<'a> {
    id: &'a [u8],
    parent_id: &'a [u8],
    title: &'a [u8],
    start_s: f64,
    end_s: f64,
    attributes: &'a [u8],
    is_failed: bool,
    /// The upper bytes of `flags`: it is known whether the parent is in another process.
    origin: [u8; 3],
}

impl Trace<'_> {
    /// Writes a span as an item of `ScopeSpans.spans`.
    fn add(&self, span: &Span<'_>, out: &mut Vec<u8>) {
        let mut inner = Vec::with_capacity(USUAL_LENGTH);
        hex_id(TRACE_ID, self.id, &mut inner);
        hex_id(SPAN_ID, span.id, &mut inner);
        if !self.state.is_empty() {
            bytes(STATE, self.state.as_bytes(), &mut inner);
        }
        if !span.parent_id.is_empty() {
            hex_id(PARENT_ID, span.parent_id, &mut inner);
        }
        inner.extend_from_slice(span.title);
        for (tag, time_s) in [(START, span.start_s), (END, span.end_s)] {
            inner.push(tag);
            inner.extend_from_slice(&((time_s * 1e9) as u64).to_le_bytes());
        }
        inner.extend_from_slice(span.attributes);
        if span.is_failed {
            inner.extend_from_slice(&FAILED);
        }
        inner.extend_from_slice(&FLAGS);
        inner.push(self.flags);
        inner.extend_from_slice(&span.origin);
        bytes(SPANS, &inner, out);
    }
}

/// Writes a string, bytes or message field.
fn bytes(tag: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Writes the bytes that valid hexadecimal digits in lower case stand for.
fn hex_id(tag: u8, digits: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[tag, (digits.len() / 2) as u8]);
    let number = |digit: u8| digit.wrapping_sub(if digit < b'a' { b'0' } else { b'a' - 10 });
    out.extend(digits.chunks_exact(2).map(|pair| number(pair[0]) << 4 | number(pair[1])));
}

fn text_attribute(key: &str, value: &str, out: &mut Vec<u8>) {
    let size = 1 + size_of_varint(value.len() as u64) + value.len();
    attribute(key, size, out);
    bytes(TEXT, value.as_bytes(), out);
}

fn number_attribute(key: &str, value: u64, out: &mut Vec<u8>) {
    attribute(key, 1 + size_of_varint(value), out);
    out.push(INTEGER);
    varint(value, out);
}

/// Writes an attribute but its value, which takes `size` bytes.
fn attribute(key: &str, size: usize, out: &mut Vec<u8>) {
    let whole = 2 + key.len() + 1 + size_of_varint(size as u64) + size;
    out.push(ATTRIBUTES);
    varint(whole as u64, out);
    bytes(KEY, key.as_bytes(), out);
    out.push(VALUE);
    varint(size as u64, out);
}

/// The number of bytes of a varint: one for each seven bits.
fn size_of_varint(value: u64) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}
