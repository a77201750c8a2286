//! Writes the wire bytes of messages as JSON text, as `gateway/transcoding/json/writing` does.

mod direct;
mod draft;
mod entries;
mod plan;
mod plans;
mod scalars;
mod well_known;
mod writer;

use pyo3::PyErr;

use crate::wire::{Malformed, MAX_DEPTH};

pub use plans::Plans;
pub use writer::Writer;

/// The reason why a message has no JSON.
pub enum Fault {
    /// The bytes are not a message of the type.
    Malformed,
    /// A value has no JSON form; the text says why, for people.
    Unprintable(String),
    /// The message has more values than the limit.
    TooMany,
    /// Python failed while it described a plan.
    Python(Box<PyErr>),
}

impl Fault {
    /// The fault of messages inside each other beyond the limit.
    fn too_deep() -> Fault {
        Fault::Unprintable(format!("it is nested deeper than {MAX_DEPTH} levels"))
    }
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Fault {
        Fault::Malformed
    }
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Fault {
        Fault::Python(Box::new(error))
    }
}
