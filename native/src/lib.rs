//! The JSON codec of the gateway, in Rust: the same contract as the one in Python, which defines it
//! (`docs/codec.md`).
//!
//! `writing` converts wire bytes to JSON. Reading, from JSON to wire bytes, is Python's; a module
//! `reading` beside `writing` is the place for it.
#![forbid(unsafe_code)]

mod numbers;
mod text;
mod wire;
mod writing;

/// The JSON codec of the gateway in Rust.
#[pyo3::pymodule]
mod gateway_native {
    #[pymodule_export]
    use crate::writing::{Plans, Writer};

    /// The version of what Python and Rust tell each other; both must have the same.
    #[pymodule_export]
    const CONTRACT: u32 = 1;
}
