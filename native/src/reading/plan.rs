//! The plans by which messages are read, made from the tuples that
//! `gateway/transcoding/json/reading/native.py` describes.

use std::collections::HashMap;
use std::sync::RwLock;

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::scalars::{Kind, Scalar};
use super::{Other, Step};
use crate::store::{NameHashes, Store};

/// How messages of one type are read.
pub enum Plan {
    Object(Object),
    Timestamp,
    Duration,
    Mask,
    Free,
    Struct,
    Array,
    /// A message of one field, whose form is that of the field.
    Wrapper(Value),
    /// A body that is the value of one field.
    Field(Member),
    Any(Held),
    /// A form that the definition reads.
    Other,
}

/// The fields of a message as the members of an object.
pub struct Object {
    pub names: HashMap<String, usize, NameHashes>,
    pub members: Vec<Member>,
    /// The names of members that are ignored; None for all that are no field's.
    pub ignored: Option<Vec<String>>,
}

/// The members that are compared with a name before it is looked for in the table.
const LIKELY: usize = 4;

impl Object {
    /// Returns the index of the member with a name, which is likely to be from `next` on.
    ///
    /// Most programs write members in the order of the .proto.
    #[inline]
    pub fn index(&self, name: &str, next: usize) -> Option<usize> {
        let likely = self.members.iter().skip(next).take(LIKELY);
        match likely.enumerate().find(|(_, member)| member.name == name) {
            Some((distance, _)) => Some(next + distance),
            None => self.names.get(name).copied(),
        }
    }
}

/// The types that an Any held before, by name; `own` is its index.
pub struct Held {
    own: usize,
    found: RwLock<HashMap<String, usize>>,
}

/// A field as a member of an object.
pub struct Member {
    /// Its name in JSON, the last one of its names.
    pub name: String,
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
    made: Store<Plan>,
}

#[pymethods]
impl ReadPlans {
    /// Makes an empty store; the method `describe` of `source` describes the plan of an index.
    #[new]
    fn new(source: Py<PyAny>) -> ReadPlans {
        ReadPlans { source, made: Store::default() }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.source)
    }
}

impl ReadPlans {
    /// Returns the plan at an index, which is made if it is not there.
    #[inline]
    pub fn get(&self, index: usize) -> Step<&Plan> {
        let place = self.made.place(index);
        match place.get() {
            Some(plan) => Ok(plan),
            None => {
                let plan = self.make(index).map_err(|_| Other)?;
                // Two threads may make the same plan; either is right.
                Ok(place.get_or_init(|| plan))
            }
        }
    }

    fn make(&self, index: usize) -> PyResult<Plan> {
        Python::attach(|py| {
            plan_of(index, &self.source.bind(py).call_method1("describe", (index,))?)
        })
    }

    /// Returns the index of a type that an Any may hold.
    pub fn held(&self, any: &Held, name: &str) -> Step<usize> {
        if let Some(index) = any.found.read().map_err(|_| Other)?.get(name) {
            return Ok(*index);
        }
        let index: PyResult<usize> = Python::attach(|py| {
            self.source.bind(py).call_method1("held", (any.own, name))?.extract()
        });
        // A type that is not known has -1, which is no index.
        let index = index.map_err(|_| Other)?;
        any.found.write().map_err(|_| Other)?.insert(name.to_owned(), index);
        Ok(index)
    }
}

type Described<'py> = Vec<(Vec<String>, i32, bool, Bound<'py, PyTuple>)>;

fn plan_of(index: usize, described: &Bound<'_, PyAny>) -> PyResult<Plan> {
    let (form, described, ignored): (String, Described, _) = described.extract()?;
    let (mut names, mut members) = (HashMap::default(), Vec::new());
    for (own, oneof, takes_null, value) in described {
        let name = own.last().cloned().unwrap_or_default();
        names.extend(own.into_iter().map(|name| (name, members.len())));
        members.push(Member { name, oneof, takes_null, value: value_of(&value)? });
    }
    Ok(match (form.as_str(), members.pop()) {
        ("timestamp", _) => Plan::Timestamp,
        ("duration", _) => Plan::Duration,
        ("mask", _) => Plan::Mask,
        ("value", _) => Plan::Free,
        ("struct", _) => Plan::Struct,
        ("array", _) => Plan::Array,
        ("any", _) => Plan::Any(Held { own: index, found: RwLock::default() }),
        ("wrapper", Some(only)) => Plan::Wrapper(only.value),
        ("field", Some(only)) => Plan::Field(only),
        ("object", last) => {
            members.extend(last);
            Plan::Object(Object { names, members, ignored })
        }
        _ => Plan::Other,
    })
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
            let (names, closed, is_null): (Vec<(String, i64)>, bool, bool) =
                tuple.get_slice(3, 6).extract()?;
            Kind::Enum { names: names.into_iter().collect(), closed, is_null }
        }
        _ => return Err(PyValueError::new_err(format!("unknown kind of scalar: {kind}"))),
    })
}
