//! Formats the line of a request for the access log, as `gateway/telemetry/logs/access.py` does.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::text;
use crate::traces::Parent;

/// The longest text that is shown whole.
const LIMIT: usize = 1024;
const USUAL_LENGTH: usize = 1024;
const DAY_S: u64 = 86_400;
/// The bytes of a text that are checked together, with the one after them.
const BLOCK: usize = 17;

/// Returns the line of a request; None if a text in it may have to be masked, escaped or cut.
///
/// `about`, `agent` and `rest` are ready: the members from the time to the path, those from the
/// program of the client to the request id, and those after all others. The other texts are a
/// client's. `own` is the trace of the request; without it, the `traceparent`
/// of its client counts.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one call for all costs the least")]
#[pyo3(signature = (
    at_s, about, path, duration_s, request_bytes, response_bytes, client, peer, agent, request_id,
    traceparent, own, rest, /
))]
pub fn access_line<'py>(
    at_s: f64,
    about: &str,
    path: &Bound<'py, PyString>,
    duration_s: f64,
    request_bytes: u64,
    response_bytes: u64,
    client: &Bound<'py, PyString>,
    peer: &Bound<'py, PyString>,
    agent: &str,
    request_id: &Bound<'py, PyString>,
    traceparent: &Bound<'py, PyString>,
    own: Option<&[u8]>,
    rest: &str,
) -> Option<Bound<'py, PyBytes>> {
    let py = path.py();
    let is_direct = client.is(peer);
    let (path, request_id) = (&*path.to_string_lossy(), &*request_id.to_string_lossy());
    let (client, peer) = (&*client.to_string_lossy(), &*peer.to_string_lossy());
    // Without a trusted proxy, client and peer are one text.
    let are_addresses_plain = is_plain(client) && (is_direct || is_plain(peer));
    if !(are_addresses_plain && is_plain(path) && is_plain(request_id)) {
        return None;
    }
    let mut out = Vec::with_capacity(USUAL_LENGTH);
    out.extend_from_slice(br#"{"timestamp":""#);
    date(at_s as u64, &mut out);
    out.push(b'.');
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
    add(&mut out, [r#","client.address":""#, client, r#"","network.peer.address":""#, peer]);
    add(&mut out, ["\"", agent, request_id, "\""]);
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

/// Writes the date and the time of a second since 1970 in UTC (RFC 3339).
fn date(second: u64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(second / DAY_S);
    let rest = second % DAY_S;
    text::padded(year, 4, out);
    for (mark, part) in
        [(b'-', month), (b'-', day), (b'T', rest / 3600), (b':', rest / 60 % 60), (b':', rest % 60)]
    {
        out.push(mark);
        out.extend_from_slice(&text::DIGITS[part as usize]);
    }
}

/// Returns year, month and day of a day since 1970.
///
/// Counted in years that begin in March, so that a leap day is their last one (Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, in_era) = (day / 146_097, day % 146_097);
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let march = (5 * in_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, in_year - (153 * march + 2) / 5 + 1)
}

/// Returns true if a text is shown as it is: printable ASCII without what JSON escapes, and without
/// what can be or hide a credential (`gateway/telemetry/masking.py`): `%`, `gw` and `eyJ`.
pub fn is_plain(text: &str) -> bool {
    if text.len() > LIMIT {
        return false;
    }
    let (mut rest, mut is_odd) = (text.as_bytes(), false);
    while let Some(block) = rest.first_chunk() {
        is_odd |= has_odd(block);
        rest = &rest[BLOCK - 1..];
    }
    let mut last = [b' '; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    !(is_odd | has_odd(&last))
}

/// Returns true if what is not plain begins before the last byte of a block. `yJ` stands for `eyJ`.
///
/// All bytes are compared without a branch, so the processor can compare sixteen at once.
#[inline]
fn has_odd(block: &[u8; BLOCK]) -> bool {
    let mut found = 0;
    for at in 0..BLOCK - 1 {
        let (byte, next) = (block[at], block[at + 1]);
        let is_escaped = !(0x20..0x7f).contains(&byte) | (byte == b'"') | (byte == b'\\');
        let is_secret =
            (byte == b'%') | ((byte == b'g') & (next == b'w')) | ((byte == b'y') & (next == b'J'));
        found |= u8::from(is_escaped | is_secret);
    }
    found != 0
}

/// The id of the span of a request: that of its call with the highest bit inverted
/// (`Trace.span_id`).
pub fn server_span(call: &[u8; 16]) -> [u8; 16] {
    let mut id = *call;
    id[0] = match id[0] {
        digit @ b'0'..=b'1' => digit + 8,
        digit @ b'2'..=b'7' => digit - b'2' + b'a',
        digit @ b'8'..=b'9' => digit - 8,
        digit => digit.wrapping_sub(b'a') + b'2',
    };
    id
}
