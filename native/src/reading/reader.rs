//! The reader of one message type, as Python calls it.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::plan::ReadPlans;
use super::scanner::Scanner;
use super::{values, Other, Step};

/// Larger texts are read without the interpreter lock: other threads go on.
const LARGE_BYTES: usize = 64 * 1024;
/// The most levels that are read here, whatever the settings allow: reading recurses.
const MOST_LEVELS: usize = 200;

/// Converts JSON to the wire bytes of a message: call it with the text.
#[pyclass(frozen)]
pub struct Reader {
    plans: Py<ReadPlans>,
    plan: usize,
    levels: usize,
}

#[pymethods]
impl Reader {
    /// Makes a reader by the plan of an index, of texts nested at most `depth` levels.
    #[new]
    fn new(plans: Py<ReadPlans>, plan: usize, depth: usize) -> Reader {
        Reader { plans, plan, levels: depth.min(MOST_LEVELS) }
    }

    // Without it the collector takes the plans for held from outside, and a schema is never freed.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.plans)
    }

    /// Converts a text; returns None if the definition is to read it.
    fn __call__<'py>(&self, body: &Bound<'py, PyBytes>) -> Option<Bound<'py, PyBytes>> {
        let (py, bytes) = (body.py(), body.as_bytes());
        let read = if bytes.len() > LARGE_BYTES {
            py.detach(|| self.read(bytes))
        } else {
            self.read(bytes)
        };
        read.ok().map(|wire| PyBytes::new(py, &wire))
    }
}

impl Reader {
    fn read(&self, body: &[u8]) -> Step<Vec<u8>> {
        let mut text = Scanner::new(std::str::from_utf8(body).map_err(|_| Other)?, self.levels);
        let mut out = Vec::with_capacity(body.len());
        values::message(self.plans.get(), self.plan, &mut text, &mut out, 0)?;
        // A byte 0 in the text is not the end.
        if text.peek() == 0 && text.at == body.len() {
            Ok(out)
        } else {
            Err(Other)
        }
    }
}
