//! tailguard-metrics
