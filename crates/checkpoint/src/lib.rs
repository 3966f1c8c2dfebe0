//! tailguard-checkpoint
