//! Reads JSON text straight to the wire bytes of messages, as `gateway/transcoding/json/reading`
//! does.
//!
//! It reads documents that are right. One that it does not accept is left to the reader in Python,
//! which words the error, or knows a rare spelling: every rule of refusal has one definition.

mod any;
mod base64;
mod free;
mod keys;
mod masks;
mod plan;
mod reader;
mod scalars;
mod scanner;
mod times;
mod values;

pub use plan::ReadPlans;
pub use reader::Reader;
pub use scalars::varint;

/// The document is not one that is read here: the definition reads it.
pub struct Other;

/// The outcome of a step of reading.
pub type Step<T = ()> = Result<T, Other>;
