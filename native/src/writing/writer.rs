//! The writer of one message type, or of one field, as Python calls it.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::direct;
use super::draft::{Draft, Job};
use super::plan::Plan;
use super::plans::Plans;
use super::Fault;
use crate::text;

/// Larger messages are written without the interpreter lock: other threads go on.
const LARGE_BYTES: usize = 64 * 1024;
/// The bytes of the names of members in most JSON.
const USUAL_NAMES: usize = 512;

/// Converts the wire bytes of a message to JSON.
#[pyclass(frozen)]
pub struct Writer {
    plans: Py<Plans>,
    plan: usize,
    most_values: usize,
    pretty: bool,
    /// The member to write alone, and the JSON of it where it is not set.
    only: Option<(usize, String)>,
}

#[pymethods]
impl Writer {
    /// Makes a writer by the plan of an index, of messages that have so many values; `only` is the index of a member to write alone.
    #[new]
    #[pyo3(signature = (plans, plan, most_values, *, pretty, only=None))]
    fn new(
        plans: Py<Plans>,
        plan: usize,
        most_values: usize,
        pretty: bool,
        only: Option<(usize, String)>,
    ) -> Writer {
        Writer { plans, plan, most_values, pretty, only }
    }

    // Without it the collector takes the plans for held from outside, and a schema is never freed.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.plans)
    }

    /// Converts a message; raises what `refusal` of the source returns.
    fn write<'py>(&self, wire: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyBytes>> {
        let (py, bytes) = (wire.py(), wire.as_bytes());
        let written = if bytes.len() > LARGE_BYTES {
            py.detach(|| self.written(bytes))
        } else {
            self.written(bytes)
        };
        match written {
            Ok(json) => Ok(PyBytes::new(py, &json)),
            Err(fault) => Err(self.error(py, fault)),
        }
    }
}

impl Writer {
    fn written(&self, wire: &[u8]) -> Result<Vec<u8>, Fault> {
        let plans = self.plans.get();
        let plan = plans.get(self.plan)?;
        // Most JSON is somewhat longer than its message, and a short one mostly names.
        let mut out = Vec::with_capacity(wire.len() + wire.len() / 2 + USUAL_NAMES);
        let is_written = self.only.is_none() && plan.is_in_order() && {
            let job = Job::new(plans, wire, self.most_values);
            direct::write(plan, &job, &mut out).is_some()
        };
        if !is_written {
            out.clear();
            self.draft(plan, &Job::new(plans, wire, self.most_values), &mut out)?;
        }
        Ok(if self.pretty { text::indented(&out) } else { out })
    }

    fn draft<'p>(&self, plan: &'p Plan, job: &Job<'p>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut draft = Draft::new(plan, job)?;
        draft.read(job, job.wire, &mut 0, 0, 0)?;
        match &self.only {
            None => draft.write(job, out),
            Some((member, unset)) => {
                if !draft.write_only(*member, job, out)? {
                    out.extend_from_slice(unset.as_bytes());
                }
                Ok(())
            }
        }
    }

    /// Returns the error of a fault, in the words of the definition.
    fn error(&self, py: Python<'_>, fault: Fault) -> PyErr {
        let reason = match &fault {
            Fault::Malformed => None,
            Fault::Unprintable(reason) => Some(reason.as_str()),
            Fault::TooMany => return self.plans.get().too_many_values(py, self.most_values),
            Fault::Python(error) => return error.clone_ref(py),
        };
        let plans = self.plans.get();
        match plans.get(self.plan) {
            Ok(plan) => plans.refusal(py, &plan.name, reason),
            Err(other) => self.error(py, other),
        }
    }
}
