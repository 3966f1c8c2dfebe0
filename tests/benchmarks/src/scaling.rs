//! How the time of an iteration grows with batch, length, width and vocabulary: what is run, a
//! table, and a plot.

mod growth;
mod plot;
mod table;

pub use growth::{Growth, Point, Quantity};
pub use plot::svg;
pub use table::markdown;
