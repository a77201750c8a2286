//! The plans by which messages are read, made from the tuples that
//! `gateway/transcoding/json/reading/native.py` describes.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::scalars::{Kind, Scalar};
use super::{Other, Step};

/// How messages of one type are read.
pub enum Plan {
    /// An object of these members.
    Object {
        names: HashMap<String, usize>,
        members: Vec<Member>,
    },
    Timestamp,
    Duration,
    /// A form that the definition reads.
    Other,
}

/// A field as a member of an object.
pub struct Member {
    /// The index of its oneof, or -1.
    pub oneof: i32,
    pub takes_null: bool,
    pub value: Value,
}

/// How the value of a field is read.
pub enum Value {
    Scalar(Scalar),
    /// A message between its tag, or length, and for a group the tag at its end.
    Message {
        head: Vec<u8>,
        end: Vec<u8>,
        plan: usize,
    },
    /// `head` is the common tag of packed items, else empty.
    List {
        head: Vec<u8>,
        item: Box<Value>,
    },
    Map {
        head: Vec<u8>,
        key: Scalar,
        value: Box<Value>,
    },
    Other,
}

/// The plans of a schema, by an index that Python gives to each message type.
#[pyclass(frozen)]
pub struct ReadPlans {
    source: Py<PyAny>,
    made: RwLock<HashMap<usize, Arc<Plan>>>,
}

#[pymethods]
impl ReadPlans {
    /// Makes an empty store; the method `describe` of `source` describes the plan of an index.
    #[new]
    fn new(source: Py<PyAny>) -> ReadPlans {
        ReadPlans { source, made: RwLock::default() }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.source)
    }
}

impl ReadPlans {
    /// Returns the plan at an index, which is made if it is not there.
    pub fn get(&self, index: usize) -> Step<Arc<Plan>> {
        if let Some(plan) = self.made.read().map_err(|_| Other)?.get(&index) {
            return Ok(Arc::clone(plan));
        }
        let plan =
            Python::attach(|py| plan_of(&self.source.bind(py).call_method1("describe", (index,))?));
        let plan = Arc::new(plan.map_err(|_| Other)?);
        self.made.write().map_err(|_| Other)?.insert(index, Arc::clone(&plan));
        Ok(plan)
    }
}

type Described<'py> = Vec<(Vec<String>, i32, bool, Bound<'py, PyTuple>)>;

fn plan_of(described: &Bound<'_, PyAny>) -> PyResult<Plan> {
    let (form, described): (String, Described) = described.extract()?;
    match form.as_str() {
        "timestamp" => return Ok(Plan::Timestamp),
        "duration" => return Ok(Plan::Duration),
        "object" => (),
        _ => return Ok(Plan::Other),
    }
    let (mut names, mut members) = (HashMap::new(), Vec::new());
    for (own, oneof, takes_null, value) in described {
        names.extend(own.into_iter().map(|name| (name, members.len())));
        members.push(Member { oneof, takes_null, value: value_of(&value)? });
    }
    Ok(Plan::Object { names, members })
}

fn value_of(tuple: &Bound<'_, PyTuple>) -> PyResult<Value> {
    let kind: String = tuple.get_item(0)?.extract()?;
    let inner = |at: usize| -> PyResult<Box<Value>> {
        Ok(Box::new(value_of(tuple.get_item(at)?.cast::<PyTuple>()?)?))
    };
    Ok(match kind.as_str() {
        "message" => {
            let (_, head, end, plan) = tuple.extract::<(String, Vec<u8>, Vec<u8>, usize)>()?;
            Value::Message { head, end, plan }
        }
        "list" => Value::List { head: tuple.get_item(1)?.extract()?, item: inner(2)? },
        "map" => match *inner(2)? {
            Value::Scalar(key) => {
                Value::Map { head: tuple.get_item(1)?.extract()?, key, value: inner(3)? }
            }
            _ => Value::Other,
        },
        "other" => Value::Other,
        _ => {
            let (_, head, omits_default): (String, Vec<u8>, bool) =
                tuple.get_slice(0, 3).extract()?;
            Value::Scalar(Scalar { head, omits_default, kind: kind_of(&kind, tuple)? })
        }
    })
}

fn kind_of(kind: &str, tuple: &Bound<'_, PyTuple>) -> PyResult<Kind> {
    Ok(match kind {
        "integer" => {
            let (low, high, encoding) = tuple.get_slice(3, 6).extract()?;
            Kind::Integer { low, high, encoding }
        }
        "double" => Kind::Double,
        "float" => Kind::Float,
        "bool" => Kind::Bool,
        "boolkey" => Kind::BoolKey,
        "string" => Kind::Text,
        "bytes" => Kind::Bytes,
        "enum" => {
            let (names, closed): (Vec<(String, i64)>, bool) = tuple.get_slice(3, 5).extract()?;
            Kind::Enum { names: names.into_iter().collect(), closed }
        }
        _ => return Err(PyValueError::new_err(format!("unknown kind of scalar: {kind}"))),
    })
}
