//! Adds to the cells of histograms in shared memory, as `gateway/telemetry/metrics/metric.py` does.
//!
//! What is counted is kept here until `flush`, because a copy to the cells costs several times as
//! much as an addition, and PyO3 has no safe way to write a few of them where they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PySlice;

/// The cell of a child that has the sum of its values, and the first one of its buckets.
const SUM: usize = 1;
const BUCKETS: usize = 2;
/// The most cells of a child: they are copied to the stack and back.
const MOST_CELLS: usize = 256;
/// The most histograms that are counted together.
const MOST_TOGETHER: usize = 3;

/// The cells of one file. All that add to the same cells share what waits for them.
#[pyclass(frozen)]
pub struct Cells {
    view: Py<PyAny>,
    waiting: Arc<Mutex<Waiting>>,
}

/// What was counted and is not yet in the cells.
#[derive(Default)]
struct Waiting {
    children: Vec<Child>,
    /// The child whose first cell is the key.
    by_place: HashMap<usize, usize>,
    /// The children that have counted something.
    changed: Vec<usize>,
}

struct Child {
    cells: PyBuffer<f64>,
    edges: Arc<[f64]>,
    is_changed: bool,
    sum: f64,
    counts: Vec<f64>,
}

#[pymethods]
impl Cells {
    /// Takes a view of the cells.
    #[new]
    fn new(view: Py<PyAny>) -> Cells {
        Cells { view, waiting: Arc::default() }
    }

    /// Histograms that are always counted together, with their upper bounds in rising order. One
    /// without upper bounds is a counter.
    fn histograms(&self, py: Python<'_>, edges: Vec<Vec<f64>>) -> PyResult<Histograms> {
        if edges.iter().any(|one| BUCKETS + one.len() >= MOST_CELLS) {
            return Err(PyValueError::new_err("a histogram has too many buckets"));
        }
        let edges = edges.into_iter().map(Arc::from).collect();
        Ok(Histograms { view: self.view.clone_ref(py), waiting: Arc::clone(&self.waiting), edges })
    }

    /// Adds what was counted to the cells.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let waiting = &mut *locked(&self.waiting);
        for index in waiting.changed.drain(..) {
            waiting.children[index].flush(py)?;
        }
        Ok(())
    }
}

/// Histograms that are always counted together.
#[pyclass(frozen)]
pub struct Histograms {
    view: Py<PyAny>,
    waiting: Arc<Mutex<Waiting>>,
    edges: Vec<Arc<[f64]>>,
}

#[pymethods]
impl Histograms {
    /// A child of each histogram, whose first cells are given.
    fn children(&self, py: Python<'_>, places: Vec<usize>) -> PyResult<Children> {
        if places.len() != self.edges.len() || places.len() > MOST_TOGETHER {
            return Err(PyValueError::new_err("expected a place of each histogram"));
        }
        let waiting = &mut *locked(&self.waiting);
        let children = places.into_iter().zip(&self.edges).map(|(place, edges)| {
            if let Some(known) = waiting.by_place.get(&place) {
                return Ok(*known);
            }
            let count = count(edges);
            let [begin, end] = [place, place.saturating_add(count)]
                .map(|at| isize::try_from(at).unwrap_or(isize::MAX));
            let part = self.view.bind(py).get_item(PySlice::new(py, begin, end, 1))?;
            let cells = PyBuffer::get(&part)?;
            if cells.item_count() != count || cells.readonly() {
                return Err(PyIndexError::new_err("there is no such cell"));
            }
            let counts = vec![0.0; count - BUCKETS];
            let edges = Arc::clone(edges);
            waiting.children.push(Child { cells, edges, is_changed: false, sum: 0.0, counts });
            waiting.by_place.insert(place, waiting.children.len() - 1);
            Ok(waiting.children.len() - 1)
        });
        let children = children.collect::<PyResult<_>>()?;
        Ok(Children { waiting: Arc::clone(&self.waiting), children })
    }
}

/// A child of each of some histograms.
#[pyclass(frozen)]
pub struct Children {
    waiting: Arc<Mutex<Waiting>>,
    children: Vec<usize>,
}

#[pymethods]
impl Children {
    /// Adds a value to each child, of which there are at most three.
    // Not any number of values: they would be put into a tuple.
    #[pyo3(signature = (first, second=None, third=None, /))]
    fn observe(&self, first: f64, second: Option<f64>, third: Option<f64>) -> PyResult<()> {
        let number = 1 + usize::from(second.is_some()) + usize::from(third.is_some());
        if number != self.children.len() {
            return Err(PyValueError::new_err("expected a value of each histogram"));
        }
        let waiting = &mut *locked(&self.waiting);
        let values = [Some(first), second, third];
        for (index, value) in self.children.iter().zip(values.into_iter().flatten()) {
            let child = &mut waiting.children[*index];
            child.add(value);
            if !child.is_changed {
                child.is_changed = true;
                waiting.changed.push(*index);
            }
        }
        Ok(())
    }
}

impl Child {
    fn add(&mut self, value: f64) {
        self.sum += value;
        if !self.edges.is_empty() {
            // A bound belongs to its bucket.
            self.counts[self.edges.partition_point(|edge| *edge < value)] += 1.0;
        }
    }

    fn flush(&mut self, py: Python<'_>) -> PyResult<()> {
        let mut room = [0.0; MOST_CELLS];
        let cells = &mut room[..self.cells.item_count()];
        self.cells.copy_to_slice(py, cells)?;
        cells[SUM] += self.sum;
        for (cell, count) in cells[BUCKETS..].iter_mut().zip(&self.counts) {
            *cell += count;
        }
        (self.sum, self.is_changed) = (0.0, false);
        self.counts.fill(0.0);
        self.cells.copy_from_slice(py, cells)
    }
}

/// What waits; it stays valid if a thread has failed while it held the lock.
fn locked(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of cells of a child: a counter has no buckets.
fn count(edges: &[f64]) -> usize {
    if edges.is_empty() { BUCKETS } else { BUCKETS + edges.len() + 1 }
}
