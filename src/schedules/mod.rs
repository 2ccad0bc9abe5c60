//! What a schedule's times are, and how a request for a schedule becomes one: the only place that knows a calendar.
//!
//! PURE: a cron expression, a time zone and moments in, moments out. Must never read a clock, talk to the engine or know
//! a status code. Imports `domain` and `kinds` only. Start reading at [`calendar`], then [`plan`].

pub mod calendar;
pub mod expression;
pub mod plan;
pub mod request;

pub use calendar::Calendar;
pub use plan::{Firing, plan};
pub use request::{NewSchedule, ScheduleRequest};
