//! What a request costs, in instructions, and a guard against hot paths that grow unseen.
//!
//! [`machine`] drives the real shards of a real broker in one thread, as any driver of the seam does, on the simulator's
//! disk and under a clock that is a number: no thread, no kernel, no chance, so that the same build executes the same
//! instructions. [`paths`] are the requests that are counted, [`count`] has callgrind do it, [`baselines`] judges what
//! came out by the committed figures, and [`guard`] does all of it.

pub mod baselines;
pub mod count;
pub mod guard;
pub mod machine;
pub mod paths;
mod requests;
