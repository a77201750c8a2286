//! Formats the line of a request for the access log, as `gateway/telemetry/logs/access.py` does.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::text;
use crate::traces::Parent;

/// The longest text that is shown whole.
const LIMIT: usize = 1024;
const USUAL_LENGTH: usize = 1024;

const DELETE: u8 = 0x7f;
/// What is not printable, what a credential can hide behind, and the last letters of the beginnings
/// of tokens (`gw`) and JWTs (`eyJ`).
const SUSPECT: [u8; 4] = [DELETE, b'%', b'w', b'J'];

/// Returns the line of a request; None if a text in it may have to be masked, escaped or cut.
///
/// `path` and `request_id` are a client's, the other texts are ready: `date` with the time up to the
/// seconds, `about` from there to the path, `addresses` and `agent` from the sizes to the request id,
/// and `rest` to the end. `own` is the trace of the request; without it, the `traceparent` of its
/// client counts.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one call for all costs the least")]
#[pyo3(signature = (
    date, at_s, about, path, duration_s, request_bytes, response_bytes, addresses, agent, request_id,
    traceparent, own, rest, /
))]
pub fn access_line<'py>(
    date: &str,
    at_s: f64,
    about: &str,
    path: &Bound<'py, PyString>,
    duration_s: f64,
    request_bytes: u64,
    response_bytes: u64,
    addresses: &str,
    agent: &str,
    request_id: &Bound<'py, PyString>,
    traceparent: &Bound<'py, PyString>,
    own: Option<&[u8]>,
    rest: &str,
) -> Option<Bound<'py, PyBytes>> {
    let py = path.py();
    let (path, request_id) = (&*path.to_string_lossy(), &*request_id.to_string_lossy());
    if !is_plain(path) || !is_plain(request_id) {
        return None;
    }
    let mut out = Vec::with_capacity(USUAL_LENGTH);
    add(&mut out, [r#"{"timestamp":""#, date, "."]);
    text::padded((at_s.fract() * 1e3) as u64, 3, &mut out);
    add(&mut out, [about, path, r#"","http.server.request.duration":"#]);
    // Cut, and not rounded.
    let micros = (duration_s * 1e6) as u64;
    text::unsigned(micros / 1_000_000, &mut out);
    out.push(b'.');
    text::padded(micros % 1_000_000, 6, &mut out);
    add(&mut out, [r#","http.request.body.size":"#]);
    text::unsigned(request_bytes, &mut out);
    add(&mut out, [r#","http.response.body.size":"#]);
    text::unsigned(response_bytes, &mut out);
    add(&mut out, [addresses, agent, request_id, "\""]);
    if let Some(own) = own {
        let span_id = server_span(own.get(36..52)?.first_chunk()?);
        out.extend_from_slice(br#","trace_id":""#);
        out.extend_from_slice(own.get(3..35)?);
        out.extend_from_slice(br#"","span_id":""#);
        out.extend_from_slice(&span_id);
        out.extend_from_slice(br#"","trace_flags":""#);
        out.extend_from_slice(own.get(53..55)?);
        out.push(b'"');
    } else if let Some(ids) = Parent::read(&traceparent.to_string_lossy()) {
        add(&mut out, [r#","trace_id":""#, ids.trace_id, r#"","span_id":""#, ids.span_id]);
        add(&mut out, [r#"","trace_flags":""#, ids.flags, "\""]);
    }
    add(&mut out, [rest, "}\n"]);
    Some(PyBytes::new(py, &out))
}

fn add<const N: usize>(out: &mut Vec<u8>, parts: [&str; N]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Returns true if a text is shown as it is: printable ASCII without what JSON escapes, and without
/// what can be or hide a credential (`gateway/telemetry/masking.py`).
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    if text.len() > LIMIT || !text::is_plain(bytes) {
        return false;
    }
    if !text::may_have(bytes, SUSPECT) {
        return true;
    }
    bytes.iter().enumerate().all(|(at, byte)| match *byte {
        b'%' | DELETE => false,
        b'w' => !bytes[..at].ends_with(b"g"),
        b'J' => !bytes[..at].ends_with(b"ey"),
        _ => true,
    })
}

/// The id of the span of a request: that of its call with the highest bit inverted
/// (`Trace.span_id`).
fn server_span(call: &[u8; 16]) -> [u8; 16] {
    let mut id = *call;
    id[0] = match id[0] {
        digit @ b'0'..=b'1' => digit + 8,
        digit @ b'2'..=b'7' => digit - b'2' + b'a',
        digit @ b'8'..=b'9' => digit - 8,
        digit => digit.wrapping_sub(b'a') + b'2',
    };
    id
}
