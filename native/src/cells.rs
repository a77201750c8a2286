//! Adds to the cells of histograms in shared memory, as `gateway/telemetry/metrics/metric.py` does.

use std::sync::Arc;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PySlice, PyTuple};

/// The cell of a child that has the sum of its values, and the first one of its buckets.
const SUM: usize = 1;
const BUCKETS: usize = 2;
/// The most cells of a child: they are copied to the stack and back, because PyO3 has no safe way
/// to write a few of them where they are.
const MOST_CELLS: usize = 256;
/// The cells that most children have at most: to clear the room for more would cost the most.
const USUAL_CELLS: usize = 32;

/// Histograms in cells of eight bytes, which are always counted together. One without upper bounds
/// is a counter.
#[pyclass(frozen)]
pub struct Histograms {
    cells: Py<PyAny>,
    edges: Vec<Arc<[f64]>>,
}

#[pymethods]
impl Histograms {
    /// Takes a view of the cells, and the upper bounds of each histogram in rising order.
    #[new]
    fn new(cells: Py<PyAny>, edges: Vec<Vec<f64>>) -> PyResult<Histograms> {
        if edges.iter().any(|one| BUCKETS + one.len() >= MOST_CELLS) {
            return Err(PyValueError::new_err("a histogram has too many buckets"));
        }
        let edges = edges.into_iter().map(Arc::from).collect();
        Ok(Histograms { cells, edges })
    }

    /// A child of each histogram, whose first cells are given.
    fn children(&self, py: Python<'_>, places: Vec<usize>) -> PyResult<Children> {
        if places.len() != self.edges.len() {
            return Err(PyValueError::new_err("expected a place of each histogram"));
        }
        let children = places.into_iter().zip(&self.edges).map(|(place, edges)| {
            let count = count(edges);
            let [begin, end] = [place, place.saturating_add(count)]
                .map(|at| isize::try_from(at).unwrap_or(isize::MAX));
            let part = self.cells.bind(py).get_item(PySlice::new(py, begin, end, 1))?;
            let cells = PyBuffer::get(&part)?;
            if cells.item_count() != count || cells.readonly() {
                return Err(PyIndexError::new_err("there is no such cell"));
            }
            Ok(Child { cells, edges: Arc::clone(edges) })
        });
        Ok(Children { children: children.collect::<PyResult<_>>()? })
    }
}

/// A child of each of some histograms.
#[pyclass(frozen)]
pub struct Children {
    children: Vec<Child>,
}

struct Child {
    cells: PyBuffer<f64>,
    edges: Arc<[f64]>,
}

#[pymethods]
impl Children {
    /// Adds a value to each child.
    #[pyo3(signature = (*values))]
    fn observe(&self, py: Python<'_>, values: &Bound<'_, PyTuple>) -> PyResult<()> {
        if values.len() != self.children.len() {
            return Err(PyValueError::new_err("expected a value of each histogram"));
        }
        for (index, child) in self.children.iter().enumerate() {
            child.add(py, values.get_item(index)?.extract()?)?;
        }
        Ok(())
    }
}

impl Child {
    fn add(&self, py: Python<'_>, value: f64) -> PyResult<()> {
        if self.cells.item_count() <= USUAL_CELLS {
            self.add_in::<USUAL_CELLS>(py, value)
        } else {
            self.add_in::<MOST_CELLS>(py, value)
        }
    }

    fn add_in<const ROOM: usize>(&self, py: Python<'_>, value: f64) -> PyResult<()> {
        let mut room = [0.0; ROOM];
        let cells = &mut room[..self.cells.item_count()];
        self.cells.copy_to_slice(py, cells)?;
        cells[SUM] += value;
        if !self.edges.is_empty() {
            // A bound belongs to its bucket.
            cells[BUCKETS + self.edges.partition_point(|edge| *edge < value)] += 1.0;
        }
        self.cells.copy_from_slice(py, cells)
    }
}

/// The number of cells of a child: a counter has no buckets.
fn count(edges: &[f64]) -> usize {
    if edges.is_empty() { BUCKETS } else { BUCKETS + edges.len() + 1 }
}
