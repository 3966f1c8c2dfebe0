//! Matrix products by cubek, with a strategy chosen by shape and device: trying all of them at
//! every start, as autotuning does, takes minutes.

use burn::backend::TensorMetadata;
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::{cast, into_contiguous};
use burn_cubecl::ops::permute;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use cubecl::zspace::Strides;
use cubecl::zspace::metadata::Metadata;
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems, MatmulSetupError};
use cubek::matmul::launch::launch_ref;
use cubek::matmul::multi_level;
use cubek::matmul::multi_level::components::tile::TileMatmulKind;
use cubek::matmul::multi_level::routines::batch::simple::SimpleArgs;
use cubek::matmul::routine::BlueprintStrategy::Inferred;
use cubek::matmul::strategy::Strategy;
use cubek::std::InputBinding;

use super::{elem, empty, lanes, takes_bfloat16, units};

/// What factors of products are rounded to on this device. (It may be another one than
/// [`crate::set_precision`] was asked about.)
pub(super) fn factors(client: &Client) -> DType {
    let half = crate::precision::is_half() && takes_bfloat16(client);
    if half { DType::BF16 } else { DType::F32 }
}

/// A matrix or a batch of them as a factor of a product.
pub(super) fn factor(tensor: CubeTensor) -> CubeTensor {
    let dtype = factors(&tensor.client);
    cast(into_contiguous(tensor), dtype)
}

/// The last two dimensions exchanged; a view.
pub(super) fn transposed(tensor: CubeTensor) -> CubeTensor {
    let rank = tensor.rank();
    let mut axes: Vec<usize> = (0..rank).collect();
    axes.swap(rank - 2, rank - 1);
    permute(tensor, &axes)
}

/// The product of two factors in single precision: `[.., m, k]` times `[.., k, n]`.
///
/// # Panics
/// If the device multiplies no matrices at all.
pub(super) fn product(left: CubeTensor, right: CubeTensor) -> CubeTensor {
    product_as(left, right, DType::F32)
}

/// The product, rounded to a type.
///
/// # Panics
/// As [`product`].
pub(super) fn product_as(left: CubeTensor, right: CubeTensor, dtype: DType) -> CubeTensor {
    let shape = out_shape(&left, &right);
    match in_parts(left, right, dtype) {
        Parts::Whole(out) => out,
        Parts::Several(parts) => sum_parts(parts, shape, dtype),
    }
}

/// A product as it comes.
pub(super) enum Parts {
    /// The product itself, of the type that was asked for.
    Whole(CubeTensor),
    /// `[parts, m, n]` in single precision, which are to be added.
    Several(CubeTensor),
}

/// The product, or parts of it whose sum it is.
pub(super) fn in_parts(left: CubeTensor, right: CubeTensor, dtype: DType) -> Parts {
    match parts(&left, &right) {
        1 => Parts::Whole(multiplied(left, right, dtype)),
        count => {
            Parts::Several(multiplied(split(left, 1, count), split(right, 0, count), DType::F32))
        }
    }
}

/// The shape of a product.
fn out_shape(left: &CubeTensor, right: &CubeTensor) -> Shape {
    let mut shape = left.shape();
    let rank = left.rank();
    shape[rank - 1] = right.shape()[rank - 1];
    shape
}

fn multiplied(left: CubeTensor, right: CubeTensor, dtype: DType) -> CubeTensor {
    let out = empty(&left, out_shape(&left, &right), dtype);
    if out.shape().num_elements() == 0 {
        return out;
    }
    // factors may have been rounded before the precision was another one
    let right = if right.dtype == left.dtype { right } else { cast(right, left.dtype) };
    let mut refused = None;
    let strategies = strategies(&left, &right);
    for strategy in strategies.iter().flatten() {
        match launch(strategy, &left, &right, &out) {
            Ok(()) => return out,
            Err(error) => refused = Some(error),
        }
    }
    unreachable!("a product of {left:?} and {right:?}: {refused:?}")
}

/// Side of the tile that a cube computes, roughly.
const TILE: usize = 128;
/// Tiles that keep a large device busy.
const TILES: usize = 264;
/// The least that is worth a part of its own: parts of the left side may have to be copied apart.
const DEPTH: usize = 768;
/// The most parts.
const PARTS: usize = 16;

/// Parts that the inner dimension of two matrices is cut into: a product with few columns and rows
/// and a long inner dimension would be the work of a few cubes. Only tensor cores are fast enough
/// for that to matter.
fn parts(left: &CubeTensor, right: &CubeTensor) -> usize {
    if left.rank() != 2 || !has_tensor_memory(&left.client) {
        return 1;
    }
    let (rows, depth, columns) = (left.shape()[0], left.shape()[1], right.shape()[1]);
    let tiles = rows.div_ceil(TILE) * columns.div_ceil(TILE);
    let mut parts = 1;
    while 2 * parts * tiles <= TILES
        && 2 * parts <= PARTS
        && depth.is_multiple_of(2 * parts * 64)
        && depth / (2 * parts) >= DEPTH
    {
        parts *= 2;
    }
    parts
}

/// A matrix cut along one dimension, as a batch; a view.
fn split(matrix: CubeTensor, dim: usize, parts: usize) -> CubeTensor {
    let (shape, strides) = (matrix.shape(), matrix.meta.strides().to_vec());
    let mut of_part = [shape[0], shape[1]];
    of_part[dim] /= parts;
    let strides = [of_part[dim] * strides[dim], strides[0], strides[1]];
    let meta = Metadata::new(Shape::new([parts, of_part[0], of_part[1]]), Strides::new(&strides));
    CubeTensor::new(
        matrix.client.clone(),
        matrix.handle.clone(),
        meta,
        matrix.device.clone(),
        matrix.dtype,
    )
}

/// Sums over the first dimension, in its order.
#[cube(launch)]
fn add_parts<F: Float, N: Size>(
    parts: &[Vector<f32, N>],
    out: &mut [Vector<F, N>],
    count: usize,
    #[comptime] several: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < count {
        let mut sum = parts[ABSOLUTE_POS];
        #[unroll]
        for part in 1..several {
            sum += parts[part * count + ABSOLUTE_POS];
        }
        out[ABSOLUTE_POS] = Vector::cast_from(sum);
    }
}

fn sum_parts(parts: CubeTensor, shape: Shape, dtype: DType) -> CubeTensor {
    let (client, several) = (parts.client.clone(), parts.shape()[0]);
    let out = empty(&parts, shape, dtype);
    let size = out.shape().num_elements();
    let (lanes, pieces) = (lanes(size), size / lanes(size));
    let (count, dim) = units(&client, pieces);
    let (parts, output) = (parts.into_buffer_arg(), out.clone().into_buffer_arg());
    add_parts::launch(&client, count, dim, lanes, parts, output, pieces, several, elem(dtype));
    out
}

/// Whether whole tiles are copied by the device itself, as on Hopper and later.
fn has_tensor_memory(client: &Client) -> bool {
    !client.features().tma.is_empty()
}

/// What is tried, the fastest first. Copies of whole tiles want rows that begin at multiples of 16
/// bytes, and dimensions that fill a tile.
fn strategies(left: &CubeTensor, right: &CubeTensor) -> [Option<Strategy>; 3] {
    let aligned = |side: &CubeTensor| {
        let rank = side.rank();
        let (shape, strides) = (side.shape(), side.meta.strides().to_vec());
        let bytes = side.dtype.size();
        let lines = strides
            .iter()
            .filter(|&&stride| stride != 1)
            .all(|stride| (stride * bytes).is_multiple_of(16));
        lines
            && strides[rank - 2..].contains(&1)
            && shape[rank - 2..].iter().all(|&size| size >= 16)
    };
    let tiles = has_tensor_memory(&left.client) && aligned(left) && aligned(right);
    let simple = SimpleArgs { tile_matmul: TileMatmulKind::Mma, multi_rows: false };
    [
        tiles.then(|| multi_level::Strategy::SpecializedTmaMma(Inferred(().into())).into()),
        Some(multi_level::Strategy::SimpleCyclicMma(Inferred(simple)).into()),
        Some(Strategy::Auto),
    ]
}

fn launch(
    strategy: &Strategy,
    left: &CubeTensor,
    right: &CubeTensor,
    out: &CubeTensor,
) -> Result<(), MatmulSetupError> {
    let of = elem(left.dtype);
    let mut elems =
        MatmulElems::from_globals(&MatmulGlobalElems { lhs: of, rhs: of, out: elem(out.dtype) });
    let [left, right] = [left, right].map(|side| InputBinding::new(side.clone().binding(), of));
    launch_ref(strategy, &out.client, left, right, out.clone().binding(), &mut elems)
}
