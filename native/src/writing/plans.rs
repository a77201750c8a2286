//! The plans of one schema, each made when it is first needed: in a large schema most types are
//! never written.

use std::collections::HashMap;
use std::sync::{OnceLock, RwLock};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::plan::Plan;
use super::Fault;
use crate::store::Store;

/// The plans of a schema, by an index that Python gives to each message type.
#[pyclass(frozen)]
pub struct Plans {
    /// The Python object that describes plans, and words errors.
    source: Py<PyAny>,
    made: Store<Plan>,
    /// The indexes of the types that an Any has held.
    named: RwLock<HashMap<String, usize>>,
}

#[pymethods]
impl Plans {
    /// Makes an empty store; `source` has the methods that are called below.
    #[new]
    fn new(source: Py<PyAny>) -> Plans {
        Plans { source, made: Store::default(), named: RwLock::default() }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.source)
    }
}

impl Plans {
    /// Returns the plan at an index, which is made if it is not there.
    #[inline]
    pub fn get(&self, index: usize) -> Result<&Plan, Fault> {
        let place = self.made.place(index);
        match place.get() {
            Some(plan) => Ok(plan),
            None => self.make(index, place),
        }
    }

    fn make<'a>(&self, index: usize, place: &'a OnceLock<Plan>) -> Result<&'a Plan, Fault> {
        let plan = Python::attach(|py| {
            Plan::from_python(&self.source.bind(py).call_method1("describe", (index,))?)
        })?;
        // Two threads may make the same plan; either is right. Nobody waits for the other here: one
        // of them holds the interpreter lock.
        Ok(place.get_or_init(|| plan))
    }

    /// Returns the plan of the type with this full name if an Any may hold it.
    pub fn named(&self, name: &str) -> Result<Option<&Plan>, Fault> {
        let known = self.named.read().ok().and_then(|named| named.get(name).copied());
        let found = match known {
            Some(index) => Some(index),
            None => Python::attach(|py| -> PyResult<Option<usize>> {
                self.source.bind(py).call_method1("named", (name,))?.extract()
            })?,
        };
        let Some(index) = found else { return Ok(None) };
        if known.is_none() {
            if let Ok(mut named) = self.named.write() {
                named.insert(name.to_owned(), index);
            }
        }
        self.get(index).map(Some)
    }

    /// Quotes a text for an error message.
    pub fn shown(&self, text: &str) -> Result<String, Fault> {
        Ok(Python::attach(|py| self.source.bind(py).call_method1("shown", (text,))?.extract())?)
    }

    /// Spells a path of a FieldMask for JSON; None if it has no spelling.
    pub fn spelled(&self, path: &str) -> Result<Option<String>, Fault> {
        Ok(Python::attach(|py| self.source.bind(py).call_method1("spelled", (path,))?.extract())?)
    }

    /// Makes the error of a message that has more than `most` values.
    pub fn too_many_values(&self, py: Python<'_>, most: usize) -> PyErr {
        match self.source.bind(py).call_method1("too_many_values", (most,)) {
            Ok(error) => PyErr::from_value(error),
            Err(error) => error,
        }
    }

    /// Makes the error of a message that cannot be written; no reason means that it is malformed.
    pub fn refusal(&self, py: Python<'_>, name: &str, reason: Option<&str>) -> PyErr {
        match self.source.bind(py).call_method1("refusal", (name, reason)) {
            Ok(error) => PyErr::from_value(error),
            Err(error) => error,
        }
    }
}
