//! Migration: when a system may move, what is done next, when there is no way back, and when its room is empty.
//!
//! [`machine`] holds the stages and [`follow`] says the one next step of a migration from what is seen. [`facts`] is what is seen, [`gate`]
//! what must hold before a stage is reached. [`wave`] says which migrations may begin and [`window`] when systems may be cut over,
//! [`sign`] whose signature counts, [`evidence`] what is signed, [`finding`] what was found and who mends it, [`forecast`] how long a
//! copy still takes, [`noted`] what a status keeps of what movers say, [`names`] in which words and [`sealed`] what people sign, [`room`] how far the closure of a room is, and [`status`] what all of them
//! say of themselves. Nothing here looks at a clock or at a mover: moments and reports are given.

pub mod evidence;
pub mod facts;
pub mod finding;
pub mod follow;
pub mod forecast;
pub mod gate;
pub mod machine;
pub mod names;
pub mod noted;
pub mod room;
pub mod sealed;
pub mod sign;
pub mod status;
pub mod wave;
pub mod window;
