//! tailguard-report
