//! The plans by which messages are read, made from the tuples that
//! `gateway/transcoding/json/reading/native.py` describes.

use std::collections::HashMap;
use std::sync::RwLock;

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::any;
use super::scalars::{Head, Kind, Scalar};
use super::scanner::{Scanner, Spelled};
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
    pub names: HashMap<Vec<u8>, usize, NameHashes>,
    pub members: Vec<Member>,
    /// The names of members that are ignored; None for all that are no field's.
    pub ignored: Option<Vec<Vec<u8>>>,
}

/// The members that are compared with the text before their names are looked for in the table.
const LIKELY: usize = 4;

impl Object {
    /// Takes the name of a member if it is one of the first from `next` on; returns its index.
    ///
    /// Most programs write members in the order of the .proto.
    #[inline]
    pub fn likely(&self, next: usize, text: &mut Scanner) -> Option<usize> {
        let likely = self.members.iter().skip(next).take(LIKELY);
        Some(next + text.likely_name(likely.map(|member| member.spelled.as_ref()))?)
    }

    /// True if a member that is no field's is ignored.
    pub fn ignores(&self, name: &[u8]) -> bool {
        self.ignored.as_ref().is_none_or(|own| own.iter().any(|other| *other == *name))
    }
}

/// The types that an Any held before, by name; `own` is its index.
pub struct Held {
    own: usize,
    found: RwLock<HashMap<String, usize>>,
}

/// A field as a member of an object.
pub struct Member {
    /// Its name in JSON, the last one of its names; None if that is never compared with the text.
    pub spelled: Option<Spelled>,
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
        head: Head,
        end: Head,
        plan: usize,
    },
    /// `head` is the common tag of packed items, else empty.
    List {
        head: Head,
        item: Box<Value>,
    },
    Map {
        head: Head,
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
    let (form, described, ignored): (String, Described, Option<Vec<String>>) =
        described.extract()?;
    let (mut names, mut members) = (HashMap::default(), Vec::new());
    for (own, oneof, takes_null, value) in described {
        // In an Any, the type comes before a field of that name.
        let likely = own.last().filter(|name| name.as_bytes() != any::TYPE);
        let spelled = likely.and_then(|name| Spelled::new(name));
        names.extend(own.into_iter().map(|name| (name.into_bytes(), members.len())));
        members.push(Member { spelled, oneof, takes_null, value: value_of(&value)? });
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
            let bytes = |names: Vec<String>| names.into_iter().map(String::into_bytes).collect();
            let ignored = ignored.map(bytes);
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
    let head = |at: usize| -> PyResult<Head> {
        let bytes: Vec<u8> = tuple.get_item(at)?.extract()?;
        Head::new(&bytes).ok_or_else(|| PyValueError::new_err("a tag has at most eight bytes"))
    };
    Ok(match kind.as_str() {
        "message" => {
            let plan = tuple.get_item(3)?.extract()?;
            Value::Message { head: head(1)?, end: head(2)?, plan }
        }
        "list" => Value::List { head: head(1)?, item: inner(2)? },
        "map" => match *inner(2)? {
            Value::Scalar(key) => Value::Map { head: head(1)?, key, value: inner(3)? },
            _ => Value::Other,
        },
        "other" => Value::Other,
        _ => {
            let omits_default = tuple.get_item(2)?.extract()?;
            Value::Scalar(Scalar { head: head(1)?, omits_default, kind: kind_of(&kind, tuple)? })
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
            let names = names.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
            Kind::Enum { names, closed, is_null }
        }
        _ => return Err(PyValueError::new_err(format!("unknown kind of scalar: {kind}"))),
    })
}
