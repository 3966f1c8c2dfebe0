//! Products of small matrices: both sides packed so that a tile of the result stays in registers.

/// Rows of a tile.
pub(crate) const ROWS: usize = 4;
/// Columns of a tile: two vector registers of eight.
pub(crate) const COLUMNS: usize = 16;

/// Rows of a matrix inside a larger one.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Begins with the first row.
    pub(crate) data: &'a [f32],
    /// From one row to the next.
    pub(crate) stride: usize,
    pub(crate) width: usize,
    pub(crate) count: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    fn row(self, index: usize) -> &'a [f32] {
        &self.data[index * self.stride..][..self.width]
    }
}

/// The left side: panels of [`ROWS`] rows, each column by column. Rows that are missing in the last
/// are 0.
pub(crate) struct Left {
    columns: Vec<[f32; ROWS]>,
    /// Columns of a panel.
    depth: usize,
}

impl Left {
    /// All rows, times a factor.
    #[inline(always)]
    pub(crate) fn of(rows: Rows<'_>, factor: f32) -> Self {
        let depth = rows.width;
        let mut columns = vec![[0.0; ROWS]; rows.count.div_ceil(ROWS) * depth];
        for index in 0..rows.count {
            let panel = &mut columns[index / ROWS * depth..][..depth];
            for (column, &value) in panel.iter_mut().zip(rows.row(index)) {
                column[index % ROWS] = value * factor;
            }
        }
        Self { columns, depth }
    }

    /// The first `depth` columns of [`ROWS`] rows that stand one after another.
    #[inline(always)]
    pub(crate) fn of_panel(rows: &[f32], depth: usize) -> Self {
        let stride = rows.len() / ROWS;
        Self::of(Rows { data: rows, stride, width: depth, count: ROWS }, 1.0)
    }

    /// [`ROWS`] columns of a matrix as rows, from its row `first` on, which is also the first of
    /// the columns.
    #[inline(always)]
    pub(crate) fn of_columns(data: &[f32], stride: usize, first: usize, count: usize) -> Self {
        let columns = (first..count).map(|row| {
            let mut column = [0.0; ROWS];
            column.copy_from_slice(&data[row * stride + first..][..ROWS]);
            column
        });
        Self { columns: columns.collect(), depth: count - first }
    }

    #[inline(always)]
    pub(crate) fn scaled(mut self, factor: f32) -> Self {
        for value in self.columns.as_flattened_mut() {
            *value *= factor;
        }
        self
    }

    #[inline(always)]
    pub(crate) fn panel(&self, index: usize) -> &[[f32; ROWS]] {
        &self.columns[index * self.depth..][..self.depth]
    }

    /// All columns of the only panel.
    #[inline(always)]
    pub(crate) fn all(&self) -> &[[f32; ROWS]] {
        &self.columns
    }
}

/// The right side: blocks of [`COLUMNS`] columns, each row by row. Columns that are missing in the
/// last are 0.
#[derive(Debug)]
pub(crate) struct Right {
    rows: Vec<[f32; COLUMNS]>,
    /// Rows of a block.
    depth: usize,
}

impl Right {
    /// The matrix as it is.
    #[inline(always)]
    pub(crate) fn of(rows: Rows<'_>) -> Self {
        let depth = rows.count;
        let mut packed = vec![[0.0; COLUMNS]; rows.width.div_ceil(COLUMNS) * depth];
        for index in 0..depth {
            for (block, values) in rows.row(index).chunks(COLUMNS).enumerate() {
                packed[block * depth + index][..values.len()].copy_from_slice(values);
            }
        }
        Self { rows: packed, depth }
    }

    /// The matrix with rows and columns exchanged.
    #[inline(always)]
    pub(crate) fn transposed(rows: Rows<'_>) -> Self {
        let depth = rows.width;
        let mut packed = vec![[0.0; COLUMNS]; rows.count.div_ceil(COLUMNS) * depth];
        for index in 0..rows.count {
            let block = &mut packed[index / COLUMNS * depth..][..depth];
            for (row, &value) in block.iter_mut().zip(rows.row(index)) {
                row[index % COLUMNS] = value;
            }
        }
        Self { rows: packed, depth }
    }

    /// Rows of the matrix.
    #[inline(always)]
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    #[inline(always)]
    pub(crate) fn blocks(&self) -> usize {
        self.rows.len() / self.depth.max(1)
    }

    #[inline(always)]
    pub(crate) fn block(&self, index: usize) -> &[[f32; COLUMNS]] {
        &self.rows[index * self.depth..][..self.depth]
    }
}

/// A tile of the product: the sum over the columns of a panel and the rows of a block.
#[inline(always)]
pub(crate) fn product(left: &[[f32; ROWS]], right: &[[f32; COLUMNS]]) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0.0f32; COLUMNS]; ROWS];
    for (column, row) in left.iter().zip(right) {
        for (sums, &factor) in sums.iter_mut().zip(column) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum = factor.mul_add(value, *sum);
            }
        }
    }
    sums
}
