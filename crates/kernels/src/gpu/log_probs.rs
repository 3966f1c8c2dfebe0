//! Log-probabilities over the vocabulary: the logits of a chunk of rows at a time, a cube per row
//! of them.

use burn::backend::TensorMetadata;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::products::{factor, factors, product, product_as, transposed};
use super::{UNITS, cube_max, cube_sum, cubes, elem, empty, has_planes, rows_and_width, units};
use crate::log_probs::LogProbOps;

/// Logits that are there at the same time: 1.6 GB of them.
const LOGITS: usize = 400_000_000;
/// The vocabulary is padded to a multiple of this: rows of any other length cannot be read by whole
/// vectors.
const PAD: usize = 128;
/// Below this, `e^x` is not a normal number, and 0 here.
const FLOOR: f32 = -87.3;

/// A head with rows of zeros below it, as a factor of products.
#[cube(launch)]
fn pad_rows<F: Float>(
    head: &[f32],
    out: &mut [F],
    given: usize,
    count: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < count {
        let mut value = f32::new(0.0);
        if ABSOLUTE_POS < given {
            value = head[ABSOLUTE_POS];
        }
        out[ABSOLUTE_POS] = F::cast_from(value);
    }
}

/// The largest scaled logit of a row and the sum of `e^(l - max)`; a suppressed token counts for
/// nothing.
#[cube]
fn largest_of(
    logits: &[f32],
    first: usize,
    vocab: usize,
    scale: f32,
    suppress: usize,
    shared: &mut Shared<[f32]>,
    #[comptime] planes: bool,
) -> f32 {
    let mut largest = f32::new(-3.0e38);
    let mut at = UNIT_POS as usize;
    while at < vocab {
        if at != suppress {
            let value = logits[first + at] * scale;
            if value > largest {
                largest = value;
            }
        }
        at += CUBE_DIM as usize;
    }
    cube_max(largest, shared, planes)
}

/// `e^x`, exactly 0 where it is not a normal number; NaN stays NaN.
#[cube]
pub(super) fn weight_of(x: f32) -> f32 {
    let mut weight = x.exp();
    if x < FLOOR {
        weight = f32::new(0.0);
    }
    weight
}

#[cube(launch)]
fn row_stats(
    logits: &[f32],
    targets: &[i32],
    log_probs: &mut [f32],
    entropies: &mut [f32],
    row_offset: usize,
    rows: usize,
    stride: usize,
    vocab: usize,
    scale: f32,
    suppress: usize,
    #[comptime] planes: bool,
) {
    let mut shared = Shared::<[f32]>::new_slice(256usize);
    if CUBE_POS >= rows {
        terminate!();
    }
    let first = CUBE_POS * stride;
    let largest = largest_of(logits, first, vocab, scale, suppress, &mut shared, planes);
    let mut sum = f32::new(0.0);
    let mut weighted = f32::new(0.0);
    let mut at = UNIT_POS as usize;
    while at < vocab {
        if at != suppress {
            let value = logits[first + at] * scale - largest;
            let weight = weight_of(value);
            sum += weight;
            let mut product = weight * value;
            if value < FLOOR {
                product = f32::new(0.0);
            }
            weighted += product;
        }
        at += CUBE_DIM as usize;
    }
    let total = cube_sum(sum, &mut shared, planes);
    let weighted = cube_sum(weighted, &mut shared, planes);
    if UNIT_POS == 0 {
        let row = row_offset + CUBE_POS;
        let target = logits[first + usize::cast_from(targets[row])] * scale;
        log_probs[row] = target - largest - total.ln();
        entropies[row] = total.ln() - weighted / total;
    }
}

/// Turns rows of logits into the gradient of `grad * log p(target)` with respect to them:
/// `grad (1[target] - p) / T`.
#[cube(launch)]
fn row_gradients<F: Float>(
    logits: &[f32],
    targets: &[i32],
    grads: &[f32],
    out: &mut [F],
    row_offset: usize,
    rows: usize,
    stride: usize,
    vocab: usize,
    scale: f32,
    suppress: usize,
    #[comptime] planes: bool,
    #[define(F)] _dtype: ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(256usize);
    if CUBE_POS >= rows {
        terminate!();
    }
    let first = CUBE_POS * stride;
    let row = row_offset + CUBE_POS;
    let target = usize::cast_from(targets[row]);
    let largest = largest_of(logits, first, vocab, scale, suppress, &mut shared, planes);
    let mut sum = f32::new(0.0);
    let mut at = UNIT_POS as usize;
    while at < vocab {
        if at != suppress {
            sum += weight_of(logits[first + at] * scale - largest);
        }
        at += CUBE_DIM as usize;
    }
    let total = cube_sum(sum, &mut shared, planes);
    let factor = grads[row] * scale;
    let mut at = UNIT_POS as usize;
    while at < stride {
        let mut value = f32::new(0.0);
        if at < vocab && at != suppress {
            value -= weight_of(logits[first + at] * scale - largest) / total * factor;
            if at == target {
                value += factor;
            }
        }
        out[first + at] = F::cast_from(value);
        at += CUBE_DIM as usize;
    }
}

/// The output head `[vocab, d]` with rows of zeros below it, `[padded, d]`, as a factor.
pub(super) fn padded_head(head: CubeTensor) -> CubeTensor {
    let head = into_contiguous(head);
    let ([vocab, width], dtype) = (rows_and_width(&head), factors(&head.client));
    let out = empty(&head, [vocab.next_multiple_of(PAD), width], dtype);
    let client = head.client.clone();
    let size = out.shape().num_elements();
    let (count, dim) = units(&client, size);
    let (head, output) = (head.into_buffer_arg(), out.clone().into_buffer_arg());
    pad_rows::launch(&client, count, dim, head, output, vocab * width, size, elem(dtype));
    out
}

/// Rows from one on of a contiguous matrix, as a tensor of their own.
fn some_rows(matrix: &CubeTensor, first: usize, count: usize) -> CubeTensor {
    let [rows, width] = rows_and_width(matrix);
    if count == rows {
        return matrix.clone();
    }
    burn_cubecl::kernel::slice(matrix.clone(), &[first..first + count, 0..width].map(Into::into))
}

/// Rows of logits at a time.
fn chunk_rows(padded: usize) -> usize {
    (LOGITS / padded.max(1)).max(1)
}

impl LogProbOps for CubeBackend {
    fn token_log_probs(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: IntTensor<Self>,
        scale: f32,
        suppress: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [n, _] = rows_and_width(&hidden);
        let [vocab, _] = rows_and_width(&head);
        let (hidden, head, targets) = (factor(hidden), padded_head(head), into_contiguous(targets));
        let [padded, _] = rows_and_width(&head);
        let [log_probs, entropies] = [0, 1].map(|_| empty(&hidden, [n], DType::F32));
        let client = hidden.client.clone();
        let suppress = suppress.min(padded);
        let chunk = chunk_rows(padded);
        for first in (0..n).step_by(chunk) {
            let rows = chunk.min(n - first);
            let logits = product(some_rows(&hidden, first, rows), transposed(head.clone()));
            row_stats::launch(
                &client,
                cubes(rows),
                CubeDim::new_1d(UNITS),
                logits.into_buffer_arg(),
                targets.clone().into_buffer_arg(),
                log_probs.clone().into_buffer_arg(),
                entropies.clone().into_buffer_arg(),
                first,
                rows,
                padded,
                vocab,
                scale,
                suppress,
                has_planes(&client),
            );
        }
        (log_probs, entropies)
    }

    fn token_log_probs_backward(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: IntTensor<Self>,
        scale: f32,
        suppress: usize,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [n, width] = rows_and_width(&hidden);
        let [vocab, _] = rows_and_width(&head);
        let of = hidden.dtype;
        let (hidden, head, targets) = (factor(hidden), padded_head(head), into_contiguous(targets));
        let grad = into_contiguous(grad);
        let [padded, _] = rows_and_width(&head);
        let (client, dtype) = (hidden.client.clone(), factors(&hidden.client));
        let suppress = suppress.min(padded);
        let chunk = chunk_rows(padded);
        let (mut of_hidden, mut of_head) = (Vec::new(), None);
        for first in (0..n).step_by(chunk) {
            let rows = chunk.min(n - first);
            let states = some_rows(&hidden, first, rows);
            let logits = product(states.clone(), transposed(head.clone()));
            let grads = empty(&logits, [rows, padded], dtype);
            row_gradients::launch(
                &client,
                cubes(rows),
                CubeDim::new_1d(UNITS),
                logits.into_buffer_arg(),
                targets.clone().into_buffer_arg(),
                grad.clone().into_buffer_arg(),
                grads.clone().into_buffer_arg(),
                first,
                rows,
                padded,
                vocab,
                scale,
                suppress,
                has_planes(&client),
                elem(dtype),
            );
            of_hidden.push(product_as(grads.clone(), head.clone(), of));
            let part = product(transposed(grads), states);
            of_head = Some(match of_head.take() {
                Some(others) => burn_cubecl::ops::numeric::add(others, part),
                None => part,
            });
        }
        let of_head = match of_head {
            Some(of_head) => some_rows(&of_head, 0, vocab),
            None => burn_cubecl::ops::numeric::zeros_client(
                client,
                grad.device.clone(),
                [vocab, width].into(),
                DType::F32,
            ),
        };
        let of_hidden = match of_hidden.len() {
            1 => of_hidden.remove(0),
            0 => empty(&hidden, [0, width], of),
            _ => <Self as burn::backend::ops::FloatTensorOps<Self>>::float_cat(of_hidden, 0),
        };
        (of_hidden, of_head)
    }
}
