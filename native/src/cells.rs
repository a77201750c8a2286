//! Adds to the cells of histograms in shared memory, as `gateway/telemetry/metrics/metric.py` does.

use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The cell of a child that has the sum of its values, and the first one of its buckets.
const SUM: usize = 1;
const BUCKETS: usize = 2;

/// Histograms in cells of eight bytes, which are always counted together.
#[pyclass(frozen)]
pub struct Histograms {
    cells: PyBuffer<f64>,
    edges: Vec<Vec<f64>>,
}

#[pymethods]
impl Histograms {
    /// Takes the cells, and the upper bounds of each histogram in rising order.
    #[new]
    fn new(cells: PyBuffer<f64>, edges: Vec<Vec<f64>>) -> PyResult<Histograms> {
        if cells.readonly() || cells.as_slice_ptr().is_none() {
            return Err(PyValueError::new_err("the cells cannot be written as one array"));
        }
        Ok(Histograms { cells, edges })
    }

    /// Adds a value to a child of each histogram; `places` has the first cells of the children.
    #[pyo3(signature = (places, *values))]
    fn observe(&self, places: &Bound<'_, PyTuple>, values: &Bound<'_, PyTuple>) -> PyResult<()> {
        let cells = self.cells();
        if places.len() != self.edges.len() || values.len() != self.edges.len() {
            return Err(PyValueError::new_err("expected a place and a value of each histogram"));
        }
        for (index, edges) in self.edges.iter().enumerate() {
            let place: usize = places.get_item(index)?.extract()?;
            let value: f64 = values.get_item(index)?.extract()?;
            let child = cells.get(place..).and_then(|rest| rest.get(..=BUCKETS + edges.len()));
            let Some(child) = child else {
                return Err(PyIndexError::new_err("there is no such cell"));
            };
            // A bound belongs to its bucket.
            add(&child[BUCKETS + edges.partition_point(|edge| *edge < value)], 1.0);
            add(&child[SUM], value);
        }
        Ok(())
    }
}

impl Histograms {
    /// The cells, which other processes read while they are written.
    #[expect(unsafe_code, reason = "PyO3 gives a writable buffer as a pointer alone")]
    fn cells(&self) -> &[AtomicU64] {
        let Some(cells) = self.cells.as_slice_ptr() else {
            return &[];
        };
        let first: NonNull<AtomicU64> = cells.cast();
        // SAFETY: the buffer is held by `self.cells`, so that its memory stays where it is and
        // mapped. `new` has found it writable and in one piece, and `PyBuffer` that its items are
        // of eight bytes and aligned, as those of atomic numbers are: all bits are valid.
        unsafe { slice::from_raw_parts(first.as_ptr(), cells.len()) }
    }
}

#[inline]
fn add(cell: &AtomicU64, amount: f64) {
    // One process writes, with Python's lock; others only must not see half of a number.
    let before = f64::from_bits(cell.load(Ordering::Relaxed));
    cell.store((before + amount).to_bits(), Ordering::Relaxed);
}
