//! The judge over scenes made of objects as the API server writes them.

mod faults;
mod reasons;
mod refusals;
mod rules;
mod scene;
mod slots;
mod texts;
