//! What the kernels run on: devices by name, and cores that pieces of a batch share.

mod device;
mod pieces;

pub(crate) use device::fused;
pub use device::{DeviceError, device, on_flex, on_gpu};
pub use pieces::{in_order, pieces, side_by_side};
