//! The fused functions of this crate for Burn's `CubeCL` backends (CUDA, wgpu): one kernel where
//! the plain composition takes many passes over memory.
//!
//! Products are cubek's; they are taken in f32 (TF32 where there are tensor cores) or with factors
//! rounded to bf16 ([`Precision`](crate::Precision)). Rows are reduced by one cube or one plane
//! each and in a fixed order, so that a result does not change from run to run.

mod adam;
mod attention;
mod columns;
mod decode;
mod draw;
mod embedding;
mod gelu;
mod layer_norm;
mod linear;
mod log_probs;
mod products;
mod squares;
#[cfg(test)]
mod tests;

use std::sync::Mutex;

use burn::backend::{DispatchDevice, TensorMetadata};
use burn::tensor::{DType, Device, Shape};
use burn_cubecl::CubeDevice;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::ops::reshape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::features::{Plane, TypeUsage};
use cubecl::prelude::*;

/// Units of a cube that works on one row.
const UNITS: u32 = 256;
/// Cubes along the first axis of a grid: the most that every device takes.
const CUBES: u32 = 32_768;
/// Planes of a cube that works on a row per plane.
const PLANES: u32 = 8;
/// Units that take the place of a plane.
const GROUP: u32 = 32;

/// Whether the kernels of this module run on a device.
pub(crate) fn ready(device: &Device) -> bool {
    let inner = device.clone().inner();
    let DispatchDevice::Cube(device) = inner.as_dispatch() else {
        return false;
    };
    device.client().properties().hardware.max_units_per_cube >= UNITS
}

/// Whether the kernels run on a device, and can keep factors of products there in bfloat16.
pub(crate) fn has_bfloat16(device: &Device) -> bool {
    let inner = device.clone().inner();
    let DispatchDevice::Cube(cube) = inner.as_dispatch() else {
        return false;
    };
    ready(device) && takes_bfloat16(&cube.client())
}

/// Whether factors of products can be bfloat16 on this device.
fn takes_bfloat16(client: &Client) -> bool {
    let usage = TypeUsage::Conversion | TypeUsage::Buffer;
    client.properties().type_usage(half::bf16::elem_type_native()).is_superset(usage)
}

/// Whether planes are all of one size and add up by themselves; otherwise units meet in shared
/// memory.
fn has_planes(client: &Client) -> bool {
    let hardware = &client.properties().hardware;
    let size = hardware.plane_size_max;
    client.features().plane.contains(Plane::Ops)
        && hardware.plane_size_min == size
        && size > 0
        && UNITS.is_multiple_of(size)
}

/// The type of a tensor's values as kernels name it.
fn elem(dtype: DType) -> ElemType {
    if dtype == DType::BF16 { half::bf16::elem_type_native() } else { f32::elem_type_native() }
}

/// An uninitialised tensor on the device of another.
fn empty(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}

/// A tensor of the shape and type of another.
fn empty_like(like: &CubeTensor) -> CubeTensor {
    empty(like, like.shape(), like.dtype)
}

/// The same values row after row in another shape.
fn shaped(tensor: CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    reshape(into_contiguous(tensor), shape.into())
}

/// Sizes of the last dimension and of all others together.
fn rows_and_width(tensor: &CubeTensor) -> [usize; 2] {
    let shape = tensor.shape();
    let width = shape.last().copied().unwrap_or(1);
    [shape.num_elements() / width.max(1), width]
}

/// A tensor that may be overwritten: itself if nobody else holds it, else a copy.
fn owned(tensor: CubeTensor) -> CubeTensor {
    let tensor = into_contiguous(tensor);
    if tensor.can_mut() {
        return tensor;
    }
    // Burn's own copy may leave room between rows
    let out = empty_like(&tensor);
    let (client, size) = (tensor.client.clone(), tensor.shape().num_elements());
    let (count, dim) = units(&client, size);
    copy::launch(
        &client,
        count,
        dim,
        tensor.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        size,
        elem(out.dtype),
    );
    out
}

#[cube(launch)]
fn copy<F: Float>(x: &[F], out: &mut [F], count: usize, #[define(F)] _dtype: ElemType) {
    if ABSOLUTE_POS < count {
        out[ABSOLUTE_POS] = x[ABSOLUTE_POS];
    }
}

/// Values that a unit takes at once, where rows of this many values are cut into such pieces. (What
/// a kernel sees of a buffer may be longer than the tensor: sizes are arguments.)
fn lanes(width: usize) -> VectorSize {
    if width.is_multiple_of(4) { 4 } else { 1 }
}

/// One cube per item.
fn cubes(items: usize) -> CubeCount {
    let items = u32::try_from(items.max(1)).unwrap_or(u32::MAX);
    CubeCount::Static(items.min(CUBES), items.div_ceil(CUBES), 1)
}

/// One unit per item.
fn units(client: &Client, items: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(UNITS);
    (calculate_cube_count_elemwise(client, items, dim), dim)
}

/// A plane per row, or as many units where there are no planes.
fn planes(client: &Client, rows: usize) -> (CubeCount, CubeDim) {
    let size = if has_planes(client) { client.properties().hardware.plane_size_max } else { GROUP };
    let planes = PLANES.min(UNITS / size).max(1);
    (cubes(rows.div_ceil(planes as usize)), CubeDim::new_2d(size, planes))
}

/// The first tokens of rows, on the device. The last ones are kept: all layers of a pass ask for
/// the same.
fn starts_on(like: &CubeTensor, starts: &[usize]) -> CubeTensor {
    type Kept = Option<(CubeDevice, Vec<usize>, CubeTensor)>;
    static KEPT: Mutex<Kept> = Mutex::new(None);
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((device, of, tensor)) = kept.as_ref()
        && *device == like.device
        && of == starts
    {
        return tensor.clone();
    }
    let values: Vec<i32> =
        starts.iter().map(|&start| i32::try_from(start).unwrap_or(i32::MAX)).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let handle = like.client.create_from_slice(&bytes);
    let shape = Shape::new([values.len()]);
    let tensor = CubeTensor::new_contiguous(
        like.client.clone(),
        like.device.clone(),
        shape,
        handle,
        DType::I32,
    );
    *kept = Some((like.device.clone(), starts.to_vec(), tensor.clone()));
    tensor
}

/// The sum over a cube's units, known to all of them; `shared` has a place for each.
#[cube]
fn cube_sum(value: f32, shared: &mut Shared<[f32]>, #[comptime] planes: bool) -> f32 {
    if planes {
        let partial = plane_sum(value);
        if UNIT_POS_PLANE == 0 {
            shared[PLANE_POS as usize] = partial;
        }
        sync_cube();
        let mut total = f32::new(0.0);
        for plane in 0..CUBE_DIM / PLANE_DIM {
            total += shared[plane as usize];
        }
        sync_cube();
        total
    } else {
        shared[UNIT_POS as usize] = value;
        sync_cube();
        let mut half = CUBE_DIM / 2;
        while half > 0 {
            if UNIT_POS < half {
                let other = shared[(UNIT_POS + half) as usize];
                shared[UNIT_POS as usize] += other;
            }
            sync_cube();
            half /= 2;
        }
        let total = shared[0];
        sync_cube();
        total
    }
}

/// The maximum over a cube's units, known to all of them.
#[cube]
fn cube_max(value: f32, shared: &mut Shared<[f32]>, #[comptime] planes: bool) -> f32 {
    if planes {
        let partial = plane_max(value);
        if UNIT_POS_PLANE == 0 {
            shared[PLANE_POS as usize] = partial;
        }
        sync_cube();
        let mut largest = shared[0];
        for plane in 0..CUBE_DIM / PLANE_DIM {
            let other = shared[plane as usize];
            if other > largest {
                largest = other;
            }
        }
        sync_cube();
        largest
    } else {
        shared[UNIT_POS as usize] = value;
        sync_cube();
        let mut half = CUBE_DIM / 2;
        while half > 0 {
            if UNIT_POS < half {
                let other = shared[(UNIT_POS + half) as usize];
                if other > shared[UNIT_POS as usize] {
                    shared[UNIT_POS as usize] = other;
                }
            }
            sync_cube();
            half /= 2;
        }
        let largest = shared[0];
        sync_cube();
        largest
    }
}

/// The sum over the units of one row of a cube, which are a plane if there are planes.
#[cube]
fn row_sum(value: f32, shared: &mut Shared<[f32]>, #[comptime] planes: bool) -> f32 {
    if planes {
        plane_sum(value)
    } else {
        shared[UNIT_POS as usize] = value;
        sync_cube();
        let mut half = CUBE_DIM_X / 2;
        while half > 0 {
            if UNIT_POS_X < half {
                let other = shared[(UNIT_POS + half) as usize];
                shared[UNIT_POS as usize] += other;
            }
            sync_cube();
            half /= 2;
        }
        let total = shared[(UNIT_POS_Y * CUBE_DIM_X) as usize];
        sync_cube();
        total
    }
}

/// The maximum over the units of one row of a cube.
#[cube]
fn row_max(value: f32, shared: &mut Shared<[f32]>, #[comptime] planes: bool) -> f32 {
    if planes {
        plane_max(value)
    } else {
        shared[UNIT_POS as usize] = value;
        sync_cube();
        let mut half = CUBE_DIM_X / 2;
        while half > 0 {
            if UNIT_POS_X < half {
                let other = shared[(UNIT_POS + half) as usize];
                if other > shared[UNIT_POS as usize] {
                    shared[UNIT_POS as usize] = other;
                }
            }
            sync_cube();
            half /= 2;
        }
        let largest = shared[(UNIT_POS_Y * CUBE_DIM_X) as usize];
        sync_cube();
        largest
    }
}
