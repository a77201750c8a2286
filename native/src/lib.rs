//! What each request costs most, in Rust: the same contract as the one in Python, which defines it
//! (`docs/codec.md`).
//!
//! `writing` converts wire bytes to JSON, `reading` JSON to wire bytes. `traces` makes the ids of
//! traces, `spans` those spans that are recorded, and `log_line` lines of the access log.
#![forbid(unsafe_code)]

mod log_line;
mod numbers;
mod reading;
mod spans;
mod store;
mod text;
mod traces;
mod wire;
mod writing;

/// The parts of the gateway in Rust.
#[pyo3::pymodule]
mod gateway_native {
    #[pymodule_export]
    use crate::log_line::access_line;
    #[pymodule_export]
    use crate::reading::{ReadPlans, Reader};
    #[pymodule_export]
    use crate::spans::request_spans;
    #[pymodule_export]
    use crate::traces::{is_usual_tracestate, TraceIds};
    #[pymodule_export]
    use crate::writing::{Plans, Writer};

    /// The version of what Python and Rust tell each other; both must have the same.
    #[pymodule_export]
    const CONTRACT: u32 = 14;
}
