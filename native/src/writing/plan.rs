//! The plans by which messages are written: one for each message type, made from the tuples that
//! `gateway/transcoding/json/writing/native.py` describes.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::scalars::{EnumTexts, Scalar};
use crate::{text, wire};

/// Tags below this, of field numbers up to 15, are one byte, and found in an array.
const FEW_TAGS: usize = 128;
/// The oneofs that a message in order may have: each has a bit of a word.
const MOST_ONEOFS: usize = 64;

/// How messages of one type are written.
pub struct Plan {
    /// The full name of the message type.
    pub name: String,
    pub form: Form,
    /// The number of fields that are written even if they are not set.
    pub unset_values: usize,
    /// The members of the JSON object, in order.
    pub members: Vec<Member>,
    /// The names of all members, one after another, and a block of spaces.
    pub names: Vec<u8>,
    /// The number of oneofs.
    pub oneofs: usize,
    fields: Vec<Field>,
    /// One more than the index in `fields`, by tag; 0 if there is none.
    few: [u8; FEW_TAGS],
    /// The index in `fields` of the other tags, in order.
    others: Vec<(u32, usize)>,
    /// True if `direct` can write messages of this type, as far as is known.
    in_order: AtomicBool,
}

/// The kind of JSON of a message type (protobuf.dev, "ProtoJSON Format").
#[derive(Clone, Copy, PartialEq)]
pub enum Form {
    Object,
    /// The JSON of the only field: wrappers, Struct, ListValue.
    Only,
    Value,
    Timestamp,
    Duration,
    Mask,
    Any,
}

/// A member of a JSON object.
pub struct Member {
    /// The start and the end in `names` of the name, with a comma, in quotes, and with a colon.
    pub name: (usize, usize),
    /// The JSON where the field is not set; empty if it is not written then.
    pub unset: String,
}

/// What a tag begins.
pub struct Field {
    /// The index of the member.
    pub slot: usize,
    /// The index of the oneof.
    pub oneof: Option<usize>,
    pub shape: Shape,
}

/// How the value after a tag is read.
pub enum Shape {
    Scalar {
        scalar: Scalar,
        /// The field is written even if it is not set.
        always: bool,
        /// The field has no presence: its zero value means that it is not set.
        implicit: bool,
    },
    List(Scalar),
    Packed(Scalar),
    Message(Kind),
    Messages(Kind),
    Map {
        key: MapPart,
        value: MapValue,
    },
    Seconds,
    Nanos,
    Path,
    Url,
    Content,
}

/// The type of a message in a field.
pub struct Kind {
    /// The index of its plan.
    pub plan: usize,
    /// The tag that ends a group; 0 for a length-delimited message.
    pub closing: u32,
}

/// The key or the value of a map.
pub struct MapPart {
    pub scalar: Scalar,
    pub tag: u32,
    /// The JSON where it is missing.
    pub default: String,
}

/// The values of a map.
pub enum MapValue {
    Scalar(MapPart),
    Message(Kind),
}

type Tags<'py> = Vec<(u32, usize, Option<usize>, Bound<'py, PyTuple>)>;
type Description<'py> = (String, String, usize, Vec<(String, String)>, usize, Tags<'py>);

impl Plan {
    /// Makes a plan from its description.
    pub fn from_python(description: &Bound<'_, PyAny>) -> PyResult<Plan> {
        let (name, form, unset_values, members, oneofs, tags): Description =
            description.extract()?;
        let mut names = Vec::new();
        let members = members.into_iter().map(|(name, unset)| {
            let start = names.len();
            names.push(b',');
            names.extend_from_slice(name.as_bytes());
            Member { name: (start, names.len()), unset }
        });
        let members = members.collect();
        names.resize(names.len() + text::BLOCK, b' ');
        let mut plan = Plan {
            name,
            form: form_of(&form)?,
            unset_values,
            members,
            names,
            oneofs,
            fields: Vec::with_capacity(tags.len()),
            few: [0; FEW_TAGS],
            others: Vec::new(),
            in_order: AtomicBool::new(false),
        };
        plan.in_order = AtomicBool::new(plan.form == Form::Object && are_in_order(oneofs, &tags));
        for (tag, slot, oneof, shape) in tags {
            plan.fields.push(Field { slot, oneof, shape: shape_of(&shape)? });
            match plan.few.get_mut(tag as usize) {
                Some(place) => *place = plan.fields.len() as u8,
                None => plan.others.push((tag, plan.fields.len() - 1)),
            }
        }
        plan.others.sort_unstable();
        Ok(plan)
    }

    /// True if serializers that write fields by number write them in the order of the members.
    #[inline]
    pub fn is_in_order(&self) -> bool {
        self.in_order.load(Ordering::Relaxed)
    }

    /// Notes that a message came in another order: the next ones come from the same serializer.
    #[cold]
    pub fn came_in_another_order(&self) {
        self.in_order.store(false, Ordering::Relaxed);
    }

    /// Returns the field of a tag that is one byte.
    #[inline]
    pub fn few(&self, tag: u8) -> Option<&Field> {
        let index = usize::from(*self.few.get(usize::from(tag))?);
        self.fields.get(index.wrapping_sub(1))
    }

    /// Returns the field of a tag of several bytes.
    pub fn other(&self, tag: u32) -> Option<&Field> {
        let found = self.others.binary_search_by_key(&tag, |(own, _)| *own);
        found.ok().map(|index| &self.fields[self.others[index].1])
    }
}

/// True if members are in the order of the numbers of their fields, and none is a group.
fn are_in_order(oneofs: usize, tags: &Tags<'_>) -> bool {
    let mut places: Vec<_> = tags.iter().map(|(tag, slot, ..)| (tag >> 3, *slot)).collect();
    places.sort_unstable();
    let has_groups = tags.iter().any(|(tag, ..)| tag & 7 == wire::GROUP);
    oneofs <= MOST_ONEOFS && !has_groups && places.is_sorted_by_key(|(_, slot)| *slot)
}

fn form_of(name: &str) -> PyResult<Form> {
    Ok(match name {
        "object" => Form::Object,
        "only" => Form::Only,
        "value" => Form::Value,
        "timestamp" => Form::Timestamp,
        "duration" => Form::Duration,
        "mask" => Form::Mask,
        "any" => Form::Any,
        _ => return Err(unknown("form", name)),
    })
}

fn shape_of(tuple: &Bound<'_, PyTuple>) -> PyResult<Shape> {
    let name: String = tuple.get_item(0)?.extract()?;
    let scalar = || scalar_of(&tuple.get_item(1)?);
    let kind = || -> PyResult<Kind> {
        let (_, plan, closing): (String, usize, u32) = tuple.extract()?;
        Ok(Kind { plan, closing })
    };
    Ok(match name.as_str() {
        "scalar" => Shape::Scalar {
            scalar: scalar()?,
            always: tuple.get_item(2)?.extract()?,
            implicit: tuple.get_item(3)?.extract()?,
        },
        "list" => Shape::List(scalar()?),
        "packed" => Shape::Packed(scalar()?),
        "message" => Shape::Message(kind()?),
        "messages" => Shape::Messages(kind()?),
        "map" => map_of(tuple)?,
        "seconds" => Shape::Seconds,
        "nanos" => Shape::Nanos,
        "path" => Shape::Path,
        "url" => Shape::Url,
        "content" => Shape::Content,
        _ => return Err(unknown("shape", &name)),
    })
}

/// Makes the shape of a map, whose entries have the key in field 1 and the value in field 2.
fn map_of(tuple: &Bound<'_, PyTuple>) -> PyResult<Shape> {
    let value = match tuple.get_item(3)?.extract::<Option<usize>>()? {
        Some(plan) => MapValue::Message(Kind { plan, closing: 0 }),
        None => MapValue::Scalar(map_part(&tuple.get_item(2)?, 2)?),
    };
    Ok(Shape::Map { key: map_part(&tuple.get_item(1)?, 1)?, value })
}

fn map_part(described: &Bound<'_, PyAny>, number: u32) -> PyResult<MapPart> {
    let scalar = scalar_of(described)?;
    let default = described.get_item(1)?.extract()?;
    let wire_type = match scalar {
        Scalar::Text | Scalar::Bytes => wire::LENGTH,
        Scalar::Fixed32 { .. } | Scalar::Float => wire::FIXED32,
        Scalar::Fixed64 { .. } | Scalar::Double => wire::FIXED64,
        _ => wire::VARINT,
    };
    Ok(MapPart { scalar, tag: number << 3 | wire_type, default })
}

fn scalar_of(described: &Bound<'_, PyAny>) -> PyResult<Scalar> {
    let (kind, default, mut texts, closed): (String, String, Vec<(i32, String)>, bool) =
        described.extract()?;
    Ok(match kind.as_str() {
        "string" => Scalar::Text,
        "bytes" => Scalar::Bytes,
        "int32" => Scalar::Integer { wide: false, signed: true, zigzag: false },
        "int64" => Scalar::Integer { wide: true, signed: true, zigzag: false },
        "uint32" => Scalar::Integer { wide: false, signed: false, zigzag: false },
        "uint64" => Scalar::Integer { wide: true, signed: false, zigzag: false },
        "sint32" => Scalar::Integer { wide: false, signed: true, zigzag: true },
        "sint64" => Scalar::Integer { wide: true, signed: true, zigzag: true },
        "fixed32" => Scalar::Fixed32 { signed: false },
        "fixed64" => Scalar::Fixed64 { signed: false },
        "sfixed32" => Scalar::Fixed32 { signed: true },
        "sfixed64" => Scalar::Fixed64 { signed: true },
        "bool" => Scalar::Bool,
        "float" => Scalar::Float,
        "double" => Scalar::Double,
        "null" => Scalar::Null,
        "enum" => {
            texts.sort_unstable_by_key(|(number, _)| *number);
            let default = texts.iter().find(|(_, text)| *text == default);
            let default = default.map_or(0, |(number, _)| *number);
            let texts = texts.into_iter().map(|(number, text)| (number, text.into_bytes()));
            Scalar::Enum(EnumTexts { texts: texts.collect(), closed, default })
        }
        _ => return Err(unknown("scalar", &kind)),
    })
}

fn unknown(what: &str, name: &str) -> PyErr {
    PyValueError::new_err(format!("the native codec has no {what} {name:?}"))
}
