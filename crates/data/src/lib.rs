//! tailguard-data
