//! Formats the line of a request for the access log, as `gateway/telemetry/logs/access.py` does.

use std::fmt::Write;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::traces::Parent;

/// The longest text that is shown whole.
const LIMIT: usize = 1024;
/// The form of a trace of our own: a `traceparent` of version 00, and the span of the request.
const OWN_LENGTH: usize = 71;
const USUAL_LENGTH: usize = 640;

/// Returns the line of a request; None if a text in it may have to be masked, escaped or cut.
///
/// `path` and `request_id` are a client's, the other texts are ready. `trace` is that of the
/// request if `is_own`, and else the `traceparent` of its client.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one call for all costs the least")]
#[pyo3(signature = (
    instant, severity, scope, method, rpc, status, code, path, duration_s, request_bytes,
    response_bytes, client, peer, user_agent, request_id, trace, is_own, rest, /
))]
pub fn access_line(
    instant: &str,
    severity: &str,
    scope: &str,
    method: &str,
    rpc: &str,
    status: u32,
    code: &str,
    path: &Bound<'_, PyString>,
    duration_s: f64,
    request_bytes: u64,
    response_bytes: u64,
    client: &str,
    peer: &str,
    user_agent: &str,
    request_id: &Bound<'_, PyString>,
    trace: &Bound<'_, PyString>,
    is_own: bool,
    rest: &str,
) -> Option<String> {
    let (path, request_id) = (&*path.to_string_lossy(), &*request_id.to_string_lossy());
    if !is_plain(path) || !is_plain(request_id) {
        return None;
    }
    let mut out = String::with_capacity(USUAL_LENGTH);
    for part in [r#"{"timestamp":""#, instant, r#"","severity_text":""#, severity, scope, method] {
        out.push_str(part);
    }
    out.push_str(rpc);
    out.push_str(r#","http.response.status_code":"#);
    number(u64::from(status), &mut out);
    for part in [code, r#","url.path":""#, path, r#"","http.server.request.duration":"#] {
        out.push_str(part);
    }
    seconds(duration_s, &mut out);
    out.push_str(r#","http.request.body.size":"#);
    number(request_bytes, &mut out);
    out.push_str(r#","http.response.body.size":"#);
    number(response_bytes, &mut out);
    for part in [
        r#","client.address":"#,
        client,
        r#","network.peer.address":"#,
        peer,
        r#","user_agent.original":"#,
        user_agent,
        r#","gateway.request.id":""#,
        request_id,
        "\"",
    ] {
        out.push_str(part);
    }
    if let Some(ids) = ids(&trace.to_string_lossy(), is_own) {
        for part in [
            r#","trace_id":""#,
            ids.trace_id,
            r#"","span_id":""#,
            ids.span_id,
            r#"","trace_flags":""#,
            ids.flags,
            "\"",
        ] {
            out.push_str(part);
        }
    }
    out.push_str(rest);
    out.push_str("}\n");
    Some(out)
}

/// Returns true if a text is shown as it is: printable ASCII without what JSON escapes, and without
/// what can be or hide a credential (`gateway/telemetry/masking.py`).
fn is_plain(text: &str) -> bool {
    if text.len() > LIMIT {
        return false;
    }
    let (mut before, mut earlier) = (0, 0);
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | b'%' => return false,
            b'w' if before == b'g' => return false,
            b'J' if before == b'y' && earlier == b'e' => return false,
            b' '..=b'~' => (earlier, before) = (before, byte),
            _ => return false,
        }
    }
    true
}

fn ids(trace: &str, is_own: bool) -> Option<Parent<'_>> {
    if !is_own {
        return Parent::read(trace);
    }
    let (trace_id, span_id) = (trace.get(3..35)?, trace.get(55..OWN_LENGTH)?);
    Some(Parent { trace_id, span_id, flags: trace.get(53..55)? })
}

/// Writes seconds with microseconds, which are cut and not rounded.
fn seconds(duration_s: f64, out: &mut String) {
    let micros = (duration_s * 1e6) as u64;
    number(micros / 1_000_000, out);
    out.push('.');
    let rest = micros % 1_000_000;
    for power in [100_000, 10_000, 1_000, 100, 10, 1] {
        out.push(char::from(b'0' + (rest / power % 10) as u8));
    }
}

fn number(number: u64, out: &mut String) {
    // Writing to a text cannot fail.
    let _ = write!(out, "{number}");
}
