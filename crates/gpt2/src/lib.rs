//! tailguard-gpt2
