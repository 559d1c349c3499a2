//! The console without a terminal: what it knows, what happens to it, and how that looks.
//!
//! Two functions hold everything. [`update()`] takes the model and one message and returns what the
//! program around has to do; [`draw`] turns the model into a frame. Neither reads a clock, a file
//! or the environment, so a test, a replay and the terminal see the same screens.
//!
//! Read in this order: [`model`] (what is known), [`message`] (what can happen), [`command`] (the
//! one table of keys), [`screen`] (how it looks). Roles, not colours: only [`theme`] names a
//! colour, only [`glyphs`] knows what a terminal can draw.

pub mod command;
pub mod glyphs;
pub mod judge;
pub mod message;
pub mod model;
pub mod screen;
pub mod text;
pub mod theme;
pub mod tree;
mod update;
mod widget;

pub use glyphs::Glyphs;
pub use message::{Effect, Key, LinkMsg, Msg};
pub use model::{Access, Model, Screen};
pub use screen::{Look, draw, exit_code, frame, summary};
pub use theme::{Palette, Theme};
pub use update::update;
