//! The reader of one message type, as Python calls it.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::plan::ReadPlans;
use super::scanner::Scanner;
use super::{values, Other, Step};
use crate::text::BLOCK;

/// Larger texts are read without the interpreter lock: other threads go on.
const LARGE_BYTES: usize = 64 * 1024;
/// The most levels that are read here, whatever the settings allow: reading recurses.
const MOST_LEVELS: usize = 200;

/// Converts JSON to the wire bytes of a message.
#[pyclass(frozen)]
pub struct Reader {
    plans: Py<ReadPlans>,
    plan: usize,
    levels: usize,
    /// The reader in Python, for documents that are not read here.
    definition: Py<PyAny>,
}

#[pymethods]
impl Reader {
    /// Makes a reader by the plan of an index, of texts nested at most `depth` levels; `definition`
    /// reads the others.
    #[new]
    fn new(plans: Py<ReadPlans>, plan: usize, depth: usize, definition: Py<PyAny>) -> Reader {
        Reader { plans, plan, levels: depth.min(MOST_LEVELS), definition }
    }

    // Without it the collector takes the plans for held from outside, and a schema is never freed.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.plans)?;
        visit.call(&self.definition)
    }

    /// Converts a text. A method costs its caller less than an object that is called: Python makes
    /// no tuple of its arguments.
    fn read<'py>(&self, body: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
        let (py, bytes) = (body.py(), body.as_bytes());
        let read = if bytes.len() > LARGE_BYTES {
            py.detach(|| self.message(bytes))
        } else {
            self.message(bytes)
        };
        match read {
            Ok(wire) => Ok(PyBytes::new(py, &wire).into_any()),
            Err(Other) => self.definition.bind(py).call1((body,)),
        }
    }
}

impl Reader {
    fn message(&self, body: &[u8]) -> Step<Vec<u8>> {
        let mut text = Scanner::new(body, self.levels);
        // Short values are copied in blocks, which end behind them.
        let mut out = Vec::with_capacity(body.len() + BLOCK);
        values::message(self.plans.get(), self.plan, &mut text, &mut out, 0)?;
        // A byte 0 in the text is not the end.
        if text.peek() == 0 && text.at == body.len() {
            Ok(out)
        } else {
            Err(Other)
        }
    }
}
